import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { Type } from 'typebox'
import { optionalText } from '../../src/api/account-input.ts'
import { unprocessable } from '../../src/api/errors.ts'
import { MESSAGES } from '../../src/api/messages.ts'
import { noContent } from '../../src/api/responses.ts'
import { equalSecrets } from '../../src/auth/secret.ts'
import { type Challenge, isPending, passwordStamp } from '../../src/auth/session.ts'
import { findCredentialsById } from '../../src/database/users.ts'

const Body = Type.Object({
  code: optionalText('123456'),
  recovery_code: optionalText('FbeNR0JtHA-mpIgLYOQiL'),
})

const challenge: FastifyPluginAsyncTypebox = async app => {
  /** The credentials of whoever owes a second factor, unless they are others by now. */
  const credentialsOf = async ({ userId, password }: Challenge) => {
    const credentials = await findCredentialsById(app.database.kysely, userId)
    return credentials !== null && equalSecrets(passwordStamp(credentials.password), password)
      ? credentials
      : null
  }

  app.post(
    '/two-factor-challenge',
    {
      config: { access: { auth: 'guest', via: 'session' } },
      schema: {
        operationId: 'two-factor-challenge',
        tags: ['session'],
        summary: 'Log in with the second factor',
        description:
          "After a login that answered `two_factor: true`, within ten minutes: with a code of the authenticator app, or with a recovery code, which counts once. Gives the browser a new session, which is the user's. TWO_FACTOR_RATE_LIMIT attempts a minute; the headers tell what is left.",
        body: Body,
        response: { 204: noContent("The session is the user's.") },
      },
    },
    async (request, reply) => {
      const { code = null, recovery_code: recoveryCode = null } = request.body
      const pending = request.session?.challenge ?? null
      await app.attempts.count(request, reply, 'two_factor', String(pending?.userId ?? 'nobody'))
      const credentials =
        pending !== null && isPending(pending, app.clock()) ? await credentialsOf(pending) : null
      const accepts = async ({ userId }: { userId: number }) => {
        if (recoveryCode !== null) return app.secondFactor.acceptsRecoveryCode(request, userId, recoveryCode)
        return code !== null && (await app.secondFactor.acceptsCode(request, userId, code))
      }
      if (pending === null || credentials === null || !(await accepts(credentials))) {
        throw unprocessable(
          recoveryCode === null
            ? { code: [MESSAGES.wrongCode] }
            : { recovery_code: [MESSAGES.wrongRecoveryCode] },
        )
      }
      await request.logIn(credentials, {
        remember: pending.remember,
        cause: recoveryCode === null ? 'code' : 'recovery code',
      })
      return reply.code(204).send(null)
    },
  )
}

export default challenge
