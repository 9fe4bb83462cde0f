import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { Type } from 'typebox'
import { cachedDocument, errorResponse, NOT_MODIFIED } from '#src/api/responses.ts'
import { MESSAGES } from '#src/responses/messages.ts'

const openapi: FastifyPluginAsyncTypebox = async app => {
  app.get(
    '/openapi.json',
    {
      config: { access: { auth: 'none' } },
      schema: {
        operationId: 'openapi.show',
        tags: ['system'],
        summary: 'Show the OpenAPI document',
        description:
          'Returns the OpenAPI document of the routes of this server. Supports compression and conditional requests.',
        response: {
          200: cachedDocument(
            Type.Object(
              { openapi: Type.String() },
              { description: 'The document.', additionalProperties: true, examples: [{ openapi: '3.1.0' }] },
            ),
          ),
          304: NOT_MODIFIED,
          406: errorResponse('The client accepts no coding that is offered.', MESSAGES.notAcceptable),
        },
      },
    },
    (request, reply) => app.specification.json.send(request, reply) as never,
  )
}

export default openapi
