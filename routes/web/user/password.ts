import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { Type } from 'typebox'
import { unprocessable } from '../../../src/api/errors.ts'
import { OptionalPassword } from '../../../src/api/input.ts'
import { MESSAGES } from '../../../src/api/messages.ts'
import { newPasswordErrors } from '../../../src/api/new-password.ts'
import { EMPTY_JSON, emptyJson } from '../../../src/api/responses.ts'
import type { SessionIdentity } from '../../../src/auth/identity.ts'
import { changePassword } from '../../../src/database/users.ts'

const Body = Type.Object({
  current_password: OptionalPassword,
  password: OptionalPassword,
  password_confirmation: OptionalPassword,
  revoke_tokens: Type.Optional(
    Type.Union([Type.Boolean(), Type.Null()], {
      description:
        "Whether to revoke the user's tokens as well; REVOKE_TOKENS_ON_PASSWORD_CHANGE unless it is given.",
      examples: [false],
    }),
  ),
})

const password: FastifyPluginAsyncTypebox = async app => {
  app.put(
    '/password',
    {
      config: { access: { auth: 'required', via: 'session' } },
      schema: {
        operationId: 'user.password',
        tags: ['session'],
        summary: 'Change the password',
        description:
          'All other sessions of the user end at once; this one goes on. Trying the current password counts among the logins.',
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
        (await request.checkPassword(reply, { email: user.email, password: current })) !== null
      const ofCurrent = [
        ...(typeof current === 'string' ? [] : [MESSAGES.rules.required('current password')]),
        ...(isRight ? [] : [MESSAGES.wrongCurrentPassword]),
      ]
      const ofNew = newPasswordErrors(password, repeated)
      if (ofCurrent.length + ofNew.length > 0) {
        throw unprocessable({
          ...(ofCurrent.length > 0 && { current_password: ofCurrent }),
          ...(ofNew.length > 0 && { password: ofNew }),
        })
      }
      const isRevoking = revoke_tokens ?? app.config.revokeTokensOnPasswordChange
      await changePassword(app.database.kysely, user.id, await app.hashPassword(password as string), {
        keep: session.id.digest(),
        revokeTokens: isRevoking ? app.config.tokenableTypes : null,
        now: app.clock(),
      })
      request.log.info(
        { userId: user.id, address: request.ip, revokedTokens: isRevoking },
        'password changed',
      )
      return reply.type('application/json').send(EMPTY_JSON as never)
    },
  )
}

export default password
