import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { Type } from 'typebox'
import { guestResponse } from '#src/api/responses.ts'
import { RequiredPassword, RevokeTokens, requiredText } from '#src/input/fields.ts'
import { convertFields, toBooleanValue } from '#src/input/values.ts'
import { MESSAGES } from '#src/responses/messages.ts'

const Body = Type.Object({
  token: requiredText('from the mail'),
  email: requiredText('demo@example.org'),
  password: RequiredPassword,
  password_confirmation: RequiredPassword,
  revoke_tokens: RevokeTokens,
})

const passwordReset: FastifyPluginAsyncTypebox = async app => {
  const { config } = app

  app.post(
    '/reset-password',
    {
      config: { access: { auth: 'guest', via: 'session' } },
      schema: {
        operationId: 'reset-password',
        tags: ['account'],
        summary: 'Set a new password with the token from a mail',
        description:
          'Ends all sessions of the user and forgets all remembered browsers immediately. Revokes all tokens too, unless REVOKE_TOKENS_ON_PASSWORD_RESET is false. Does not log the user in. For an account with an unverified address all access is revoked, including the second factor. A token is valid once, for one hour. Limited to FORGOT_PASSWORD_RATE_LIMIT attempts per minute.',
        body: Body,
        response: {
          200: guestResponse('The password was set.'),
        },
      },
      preValidation: convertFields({ revoke_tokens: toBooleanValue }),
    },
    async request => {
      const { token, email, password, password_confirmation: repeated, revoke_tokens } = request.body
      const revokeTokens = revoke_tokens ?? config.revokeTokensOnPasswordReset
      await app.passwordResets.complete(request, { token, email, password, repeated, revokeTokens })
      return { message: MESSAGES.passwordReset, status: MESSAGES.passwordReset }
    },
  )
}

export default passwordReset
