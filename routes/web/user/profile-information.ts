import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { Type } from 'typebox'
import { emptyJsonResponse, refusal, sendEmptyJson } from '#src/api/responses.ts'
import { optionalText } from '#src/input/fields.ts'

const Body = Type.Object({
  name: optionalText('demo'),
  email: optionalText('demo@example.org'),
})

const profile: FastifyPluginAsyncTypebox = async app => {
  app.put(
    '/profile-information',
    {
      config: { access: { auth: 'required', via: 'session' } },
      schema: {
        operationId: 'user.profile-information',
        tags: ['account'],
        summary: 'Change the name or the e-mail address',
        description:
          'Both fields are optional. Changing a verified e-mail address requires a password confirmed within the last three hours (otherwise 422). The new address takes effect when the link that is mailed to it is opened in this session; the old address gets a mail with which the change can be reverted for seven days. An unverified address changes immediately, as does every address with `EMAIL_CHANGE=immediate`; it must be verified again. With REGISTER_REVEALS=false the response does not reveal whether an address is taken: its owner gets a mail without a link. Limited to REGISTER_RATE_LIMIT addresses per minute.',
        body: Body,
        response: {
          200: emptyJsonResponse('The profile was changed, or the new address must be confirmed.'),
          423: refusal('Only with CONFIRM_EMAIL_CHANGE, for an address that would change immediately.'),
        },
      },
    },
    async (request, reply) => {
      await app.profile.update(request, request.body)
      return sendEmptyJson(reply)
    },
  )
}

export default profile
