import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { Type } from 'typebox'
import { noContent } from '#src/api/responses.ts'

const Body = Type.Object({
  token: Type.String({
    maxLength: 4096,
    description: 'As it was found, `{id}|{secret}` or the secret alone.',
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
        summary: 'Revoke a token that was found',
        description:
          'For scanners of leaked secrets, and whoever else finds one. Its user is told by mail. The answer is the same whether it was a token or not.',
        body: Body,
        response: {
          204: noContent('If it was a token, it is revoked, with its successor and all that they issued.'),
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
