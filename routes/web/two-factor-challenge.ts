import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { Type } from 'typebox'
import { noContent } from '#src/api/responses.ts'
import { optionalText } from '#src/input/account.ts'

const Body = Type.Object({
  code: optionalText('123456'),
  recovery_code: optionalText('FbeNR0JtHA-mpIgLYOQiL'),
})

const challenge: FastifyPluginAsyncTypebox = async app => {
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
      await app.login.answerChallenge(request, { code, recoveryCode })
      return reply.code(204).send(null)
    },
  )
}

export default challenge
