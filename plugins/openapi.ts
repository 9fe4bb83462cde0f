import swagger from '@fastify/swagger'
import swaggerUi from '@fastify/swagger-ui'
import fp from 'fastify-plugin'
import { queryParameters } from '../src/api/query/openapi.ts'
import type { Endpoint } from '../src/api/query/resource.ts'
import { VERSION } from '../src/version.ts'

const DESCRIPTION = `The authenticated user's side of the AnimeThemes API.

Send a personal access token as \`Authorization: Bearer {id}|{secret}\`. Tokens that Laravel Sanctum issued keep working.

Answers are JSON. An error's \`message\` says what went wrong.`

/** Makes the OpenAPI document from the routes, and serves Swagger UI under /docs. */
export default fp(
  async app => {
    const endpoints = new Map<string, Endpoint>()
    app.addHook('onRoute', ({ config, schema }) => {
      if (config?.endpoint && schema?.operationId) endpoints.set(schema.operationId, config.endpoint)
    })

    await app.register(swagger, {
      openapi: {
        openapi: '3.1.0',
        info: {
          title: 'AnimeThemes user API',
          version: VERSION,
          description: DESCRIPTION,
          license: { name: 'MIT', identifier: 'MIT' },
        },
        servers: [{ url: '/', description: 'This server' }],
        tags: [
          { name: 'me', description: 'The authenticated user and what belongs to it.' },
          { name: 'system', description: 'For those who run the server and build on it.' },
        ],
        components: {
          securitySchemes: {
            token: {
              type: 'http',
              scheme: 'bearer',
              bearerFormat: '{id}|{secret}',
              description: 'A personal access token, as Laravel Sanctum issues it.',
            },
          },
        },
      },
      transform: ({ schema, url, route }) => {
        const auth = route.config?.access?.auth ?? 'none'
        const token = { token: [] }
        return {
          url,
          schema: {
            ...schema,
            security: auth === 'required' ? [token] : auth === 'optional' ? [{}, token] : [],
          },
        }
      },
      // A schema of a query string cannot say how each of its parameters is written.
      transformObject: document => {
        const { openapiObject } = document as { openapiObject: OpenApiDocument }
        for (const operation of Object.values(openapiObject.paths).flatMap(path => Object.values(path))) {
          const endpoint = endpoints.get(operation.operationId)
          if (endpoint) operation.parameters = [...(operation.parameters ?? []), ...queryParameters(endpoint)]
        }
        return openapiObject as never
      },
    })

    await app.register(async scope => {
      scope.addHook('onRoute', route => {
        route.config = { ...route.config, access: { auth: 'none' } }
      })
      // A page of ours whose requests back to us carry where they come from.
      scope.addHook('onRequest', async (_request, reply) => {
        reply.header('referrer-policy', 'same-origin').header('cache-control', 'no-cache')
      })
      await scope.register(swaggerUi, {
        routePrefix: '/docs',
        staticCSP: CSP,
        uiConfig: { persistAuthorization: false, tryItOutEnabled: true, displayRequestDuration: true },
        theme: { title: 'AnimeThemes user API' },
      })
    })
  },
  { name: 'openapi', dependencies: ['access'] },
)

/** As much of the document as is looked at here. */
interface OpenApiDocument {
  paths: Record<string, Record<string, { operationId: string; parameters?: object[] }>>
}

/** Swagger UI writes styles into the page and draws its icons from data: URLs; scripts are its files alone. */
const CSP = {
  'default-src': "'none'",
  'script-src': "'self'",
  'style-src': ["'self'", "'unsafe-inline'"],
  'img-src': ["'self'", 'data:'],
  'connect-src': "'self'",
  'form-action': "'none'",
  'base-uri': "'none'",
  'frame-ancestors': "'none'",
}
