import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { Type } from 'typebox'
import { emailErrors, enteredEmail, errorsByField, optionalText } from '../../src/api/account-input.ts'
import { unprocessable } from '../../src/api/errors.ts'
import { booleanOf, OptionalPassword, reading } from '../../src/api/input.ts'
import { MESSAGES } from '../../src/api/messages.ts'
import { RevokeTokens } from '../../src/api/new-password.ts'
import { guestMessage } from '../../src/api/responses.ts'
import { isEmail } from '../../src/auth/email.ts'
import { findResetToken } from '../../src/database/password-resets.ts'
import { findUserByEmail, resetPassword } from '../../src/database/users.ts'
import { accountKey } from '../../src/limits/attempt-limit.ts'

const Body = Type.Object({
  token: optionalText('from the mail'),
  email: optionalText('demo@example.org'),
  password: OptionalPassword,
  password_confirmation: OptionalPassword,
  revoke_tokens: RevokeTokens,
})

const passwordReset: FastifyPluginAsyncTypebox = async app => {
  const { config, clock } = app
  const { kysely } = app.database

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
    async (request, reply) => {
      const { password, password_confirmation: repeated, revoke_tokens } = request.body
      const { token = null } = request.body
      const email = enteredEmail(request.body.email)
      await app.attempts.count(request, reply, 'reset_password', accountKey(email ?? ''))
      const errors = errorsByField({
        token: token === null ? [MESSAGES.rules.required('token')] : [],
        email: email === null || !isEmail(email) ? emailErrors(email) : [],
        password: await app.screening.passwordErrors(password, repeated),
      })
      if (errors !== null) throw unprocessable(errors)

      const user = await findUserByEmail(kysely, email as string)
      if (user === null && config.revealUnknownEmail) throw unprocessable({ email: [MESSAGES.unknownEmail] })
      const stored = user && (await findResetToken(kysely, user.email, clock()))
      const isRight = await app.verifyResetToken(token as string, stored)
      if (!isRight || user === null || stored === null) {
        throw unprocessable({ email: [MESSAGES.wrongResetToken] })
      }

      const hash = await app.hashPassword(password as string)
      const done = await resetPassword(kysely, user, {
        token: stored,
        hash,
        revokeTokens: revoke_tokens ?? config.revokeTokensOnPasswordReset,
        types: config.tokenableTypes,
        address: request.clientAddress.key,
        now: clock(),
      })
      if (done === null) throw unprocessable({ email: [MESSAGES.wrongResetToken] })
      request.record('password reset', { userId: user.id, ...done })
      await app.mail.notify('passwordChanged', user)
      return { message: MESSAGES.passwordReset }
    },
  )
}

export default passwordReset
