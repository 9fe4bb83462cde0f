import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { Type } from 'typebox'
import { emptyJsonResponse, sendEmptyJson } from '#src/api/responses.ts'
import { RequiredPassword, RevokeTokens } from '#src/input/fields.ts'
import { convertFields, toBooleanValue } from '#src/input/values.ts'

const Body = Type.Object({
  current_password: RequiredPassword,
  password: RequiredPassword,
  password_confirmation: RequiredPassword,
  revoke_tokens: RevokeTokens,
})

const password: FastifyPluginAsyncTypebox = async app => {
  app.put(
    '/password',
    {
      config: { access: { auth: 'required', via: 'session' } },
      schema: {
        operationId: 'user.password',
        tags: ['account'],
        summary: 'Change the password',
        description:
          'Ends all other sessions of the user and forgets all other remembered browsers immediately. Limited to CONFIRM_PASSWORD_RATE_LIMIT attempts per minute.',
        body: Body,
        response: { 200: emptyJsonResponse('The password was changed.') },
      },
      preValidation: convertFields({ revoke_tokens: toBooleanValue }),
    },
    async (request, reply) => {
      const {
        current_password: current,
        password,
        password_confirmation: repeated,
        revoke_tokens,
      } = request.body
      const revokeTokens = revoke_tokens ?? app.config.revokeTokensOnPasswordChange
      await app.passwords.change(request, { current, password, repeated, revokeTokens })
      return sendEmptyJson(reply)
    },
  )
}

export default password
