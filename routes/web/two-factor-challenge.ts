import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { Type } from 'typebox'
import { noContentResponse } from '#src/api/responses.ts'
import { optionalText } from '#src/input/fields.ts'

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
          'Completes a login that returned `two_factor: true`, within ten minutes, with a code from the authenticator app or a recovery code, which is valid once. Starts a new session. Limited to TWO_FACTOR_RATE_LIMIT attempts per minute.',
        body: Body,
        response: { 204: noContentResponse('The user is logged in.') },
      },
    },
    async (request, reply) => {
      const { code = null, recovery_code: recoveryCode = null } = request.body
      await app.login.completeChallenge(request, { code, recoveryCode })
      return reply.code(204).send(null)
    },
  )
}

export default challenge
