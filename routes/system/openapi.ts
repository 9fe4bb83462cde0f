import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { Type } from 'typebox'
import { success } from '../../src/api/responses.ts'

const openapi: FastifyPluginAsyncTypebox = async app => {
  let document: Buffer | undefined

  app.get(
    '/openapi.json',
    {
      config: { access: { auth: 'none' } },
      schema: {
        operationId: 'openapi.show',
        tags: ['system'],
        summary: 'Show this specification',
        description: 'Returns the OpenAPI document, made from the routes that run.',
        response: {
          200: success(
            Type.Object(
              { openapi: Type.String() },
              { description: 'The document.', additionalProperties: true, examples: [{ openapi: '3.1.0' }] },
            ),
            { isLimited: false },
          ),
        },
      },
    },
    async (_request, reply) => {
      document ??= Buffer.from(JSON.stringify(app.swagger()))
      return reply.type('application/json').send(document as never)
    },
  )
}

export default openapi
