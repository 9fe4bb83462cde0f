import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { Type } from 'typebox'
import { noContentResponse } from '#src/api/responses.ts'
import { Proof, readProof } from '#src/input/second-factor.ts'

const Body = Type.Object(Proof, { examples: [{ code: '123456' }] })

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
          'Completes a login that returned `two_factor: true`, within ten minutes, with a code from the authenticator app, or else with a recovery code, which is valid once. Starts a new session. Limited to TWO_FACTOR_RATE_LIMIT attempts per minute.',
        body: Body,
        response: { 204: noContentResponse('The user is logged in.') },
      },
    },
    async (request, reply) => {
      await app.login.completeChallenge(request, readProof(request.body))
      return reply.code(204).send(null)
    },
  )
}

export default challenge
