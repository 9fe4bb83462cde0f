import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { Type } from 'typebox'
import { guestMessage } from '#src/api/responses.ts'
import { optionalText } from '#src/input/account.ts'
import { RevokeTokens } from '#src/input/new-password.ts'
import { booleanOf, OptionalPassword, reading } from '#src/input/values.ts'
import { MESSAGES } from '#src/responses/messages.ts'

const Body = Type.Object({
  token: optionalText('from the mail'),
  email: optionalText('demo@example.org'),
  password: OptionalPassword,
  password_confirmation: OptionalPassword,
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
        summary: 'Set a new password with the token of a mail',
        description:
          'All sessions and remembered browsers of the user end at once, tokens as well unless REVOKE_TOKENS_ON_PASSWORD_RESET is false, and nobody is logged in. For an account whose address was never verified everything ends, its second factor included. A token counts once, and for an hour. FORGOT_PASSWORD_RATE_LIMIT attempts a minute; the headers tell what is left.',
        body: Body,
        response: {
          200: guestMessage('It is set.', MESSAGES.passwordReset),
        },
      },
      preValidation: reading({ revoke_tokens: booleanOf }),
    },
    async request => {
      const { token, email, password, password_confirmation: repeated, revoke_tokens } = request.body
      const revokeTokens = revoke_tokens ?? config.revokeTokensOnPasswordReset
      await app.passwordResets.complete(request, { token, email, password, repeated, revokeTokens })
      return { message: MESSAGES.passwordReset }
    },
  )
}

export default passwordReset
