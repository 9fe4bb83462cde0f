import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { Type } from 'typebox'
import { errorsByField } from '../../../src/api/account-input.ts'
import { unprocessable } from '../../../src/api/errors.ts'
import { OptionalPassword } from '../../../src/api/input.ts'
import { MESSAGES } from '../../../src/api/messages.ts'
import { RevokeTokens } from '../../../src/api/new-password.ts'
import { emptyJson, sendEmptyJson } from '../../../src/api/responses.ts'
import type { SessionIdentity } from '../../../src/auth/identity.ts'
import { changePassword } from '../../../src/database/users.ts'

const Body = Type.Object({
  current_password: OptionalPassword,
  password: OptionalPassword,
  password_confirmation: OptionalPassword,
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
          'All other sessions and remembered browsers of the user end at once; this one goes on. CONFIRM_PASSWORD_RATE_LIMIT attempts a minute; the headers tell what is left.',
        body: Body,
        response: { 200: emptyJson('It is changed.') },
      },
    },
    async (request, reply) => {
      const { user, session } = request.identity as SessionIdentity
      const {
        current_password: current,
        password,
        password_confirmation: repeated,
        revoke_tokens,
      } = request.body
      const isRight =
        typeof current === 'string' &&
        (await request.checkPassword(reply, {
          email: user.email,
          password: current,
          as: 'confirm_password',
        })) !== null
      const ofCurrent = [
        ...(typeof current === 'string' ? [] : [MESSAGES.rules.required('current password')]),
        ...(isRight ? [] : [MESSAGES.wrongCurrentPassword]),
      ]
      const ofNew = await app.screening.passwordErrors(password, repeated)
      const errors = errorsByField({ current_password: ofCurrent, password: ofNew })
      if (errors !== null) throw unprocessable(errors)
      const isRevoking = revoke_tokens ?? app.config.revokeTokensOnPasswordChange
      await changePassword(app.database.kysely, user.id, await app.hashPassword(password as string), {
        keep: session.id.digest(),
        revokeTokens: isRevoking ? app.config.tokenableTypes : null,
        now: app.clock(),
      })
      request.record('password changed', { userId: user.id, revokedTokens: isRevoking })
      await app.mail.notify('passwordChanged', user)
      return sendEmptyJson(reply)
    },
  )
}

export default password
