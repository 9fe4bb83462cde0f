import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { Type } from 'typebox'
import { noContentResponse } from '#src/api/responses.ts'

const Body = Type.Object({
  token: Type.String({
    minLength: 1,
    maxLength: 4096,
    description: 'The token as found: `{id}|{secret}`, or the secret alone.',
    examples: ['42|gkeZ2Vk1TzAVksSA9sQEkyM9EaEvyDaTaK4eEBPk0eeb2480'],
  }),
})

const leakedToken: FastifyPluginAsyncTypebox = async app => {
  if (!app.config.leakedTokens) return

  app.post(
    '/leaked-token',
    {
      config: { access: { auth: 'none', via: 'token' } },
      schema: {
        operationId: 'leaked-token',
        tags: ['token'],
        summary: 'Revoke a leaked token',
        description:
          'For secret scanners, and for users who find a token. Its user is notified by mail. The response is the same for valid and invalid tokens.',
        body: Body,
        response: {
          204: noContentResponse(
            'If the token was valid, it was revoked, with its successor and all tokens that they issued.',
          ),
        },
      },
    },
    async (request, reply) => {
      await app.reportLeakedToken(request, request.body.token)
      return reply.code(204).send(null)
    },
  )
}

export default leakedToken
