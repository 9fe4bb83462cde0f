import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { Type } from 'typebox'
import { emptyJson, failure, sendEmptyJson } from '#src/api/responses.ts'
import { optionalText } from '#src/input/account.ts'
import { MESSAGES } from '#src/responses/messages.ts'

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
          'Either may be left out. To change a verified e-mail address takes a password confirmed within the last three hours (422 without); the new one counts once the link that is mailed there is opened in this session, and the old one gets a mail by which the change can be reverted for seven days. One that was never verified changes at once, and so does any with `EMAIL_CHANGE=immediate`: it has to be verified anew. With REGISTER_REVEALS=false nobody is told whether an address is taken: its owner then gets a mail without a link. REGISTER_RATE_LIMIT addresses a minute.',
        body: Body,
        response: {
          200: emptyJson('It is changed, or the new address waits for its confirmation.'),
          423: failure(
            'The address would change at once, CONFIRM_EMAIL_CHANGE is set, and the password was not confirmed within the last three hours.',
            MESSAGES.passwordConfirmationRequired,
          ),
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
