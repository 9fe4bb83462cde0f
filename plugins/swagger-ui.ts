import swaggerUi from '@fastify/swagger-ui'
import fp from 'fastify-plugin'
import { SWAGGER_UI } from '#src/openapi/swagger-ui.ts'

/** Serves Swagger UI under /docs. */
export default fp(
  async app => {
    const { forPages, yaml } = app.specification
    await app.register(async scope => {
      scope.addHook('onRoute', route => {
        route.config = { ...route.config, access: { auth: 'none' } }
        // Swagger UI's handler would serialize the document for each request.
        const document = { '/docs/json': forPages, '/docs/yaml': yaml }[route.url]
        if (document !== undefined) route.handler = (request, reply) => document.send(request, reply)
      })
      // Its requests to the API need a referrer to count as first-party.
      scope.addHook('onRequest', async (_request, reply) => {
        reply.header('referrer-policy', 'same-origin').header('cache-control', 'no-cache')
      })
      await scope.register(swaggerUi, SWAGGER_UI)
    })
  },
  { name: 'swagger-ui', dependencies: ['openapi'] },
)
