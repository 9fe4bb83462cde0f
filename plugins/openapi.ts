import swagger from '@fastify/swagger'
import swaggerUi from '@fastify/swagger-ui'
import fp from 'fastify-plugin'
import * as ENDPOINTS from '#src/api/endpoints.ts'
import { sessionCookies } from '#src/auth/session-cookies.ts'
import type { Config } from '#src/config/config.ts'
import { type CompressedDocument, compressedDocument } from '#src/http/compressed-document.ts'
import { resourceSchemas } from '#src/query/openapi.ts'
import { queryParameters } from '#src/query/parameters.ts'
import type { Endpoint } from '#src/query/resource.ts'
import { VERSION } from '#src/runtime/version.ts'
import type { Access } from './access.ts'

const description = ({ authPath, csrfMode }: Config) => `The authenticated user's side of the AnimeThemes API.

Programs send a personal access token as \`Authorization: Bearer {id}|{secret}\`. Tokens that Laravel Sanctum issued keep working.

Browsers log in: \`GET /sanctum/csrf-cookie\`, then \`POST ${authPath}/login\`, and after that the session's cookie says who is calling. On this page the browser does the rest by itself. ${csrfMode === 'token' ? 'On pages of other first-party origins, changes need the value of the cookie `XSRF-TOKEN` in the header `X-XSRF-TOKEN`.' : 'Pages of other origins can change nothing.'}

Bodies are JSON, or forms with the same fields: \`a=1\`, \`a[]=1&a[]=2\` for a list. A form that can only be sent by \`POST\` names its method in the field \`_method\`.

Answers are JSON. An error's \`message\` says what went wrong.`

declare module 'fastify' {
  interface FastifyInstance {
    /** The OpenAPI document. */
    specification: { json: CompressedDocument }
  }
}

/** How long after the start the document is made, in milliseconds, unless somebody asks for it before. */
const PREPARE_MS = 1_000

/** Makes the OpenAPI document from the routes, and serves Swagger UI under /docs. */
export default fp(
  async app => {
    const endpoints = new Map<string, Endpoint>()
    app.addHook('onRoute', ({ config, schema }) => {
      if (config?.endpoint && schema?.operationId) {
        endpoints.set(schema.operationId, config.endpoint)
      }
    })

    for (const schema of resourceSchemas(Object.values(ENDPOINTS))) app.addSchema(schema)

    await app.register(swagger, {
      refResolver: { buildLocalReference: ({ $id }) => String($id) },
      openapi: {
        openapi: '3.1.0',
        info: {
          title: 'AnimeThemes user API',
          version: VERSION,
          description: description(app.config),
          license: { name: 'MIT', identifier: 'MIT' },
        },
        servers: [{ url: '/', description: 'This server' }],
        tags: [
          { name: 'me', description: 'The authenticated user and what belongs to it.' },
          { name: 'playlist', description: 'Playlists and their tracks.' },
          { name: 'externalprofile', description: "Users' profiles on other sites, and their entries." },
          { name: 'token', description: "The user's personal access tokens." },
          { name: 'session', description: 'Logging in and out, for browsers on first-party origins.' },
          {
            name: 'account',
            description: "Registration, the e-mail address, the password, and the account's end.",
          },
          {
            name: 'two-factor',
            description: 'The second factor of a login. Its password has to be confirmed first.',
          },
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
            session: {
              type: 'apiKey',
              in: 'cookie',
              name: sessionCookies(app.config).session.name,
              description:
                'The cookie that `POST /login` sets. It counts on first-party origins, and changes need the header `X-XSRF-TOKEN` as well unless they come from a page of this very origin.',
            },
          },
        },
      },
      transform: ({ schema, url, route }) => {
        return { url, schema: { ...schema, security: securityOf(route.config?.access) } }
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

    const json = compressedDocument({
      type: 'application/json; charset=utf-8',
      make: () => JSON.stringify(app.swagger()),
    })
    const yaml = compressedDocument({
      type: 'application/x-yaml; charset=utf-8',
      make: () => app.swagger({ yaml: true }),
    })
    app.decorate('specification', { json })
    // Not at once: making it takes a tenth of a second. YAML takes half a one, and waits until somebody wants it.
    let cancel = () => {}
    app.addHook('onListen', async () => {
      cancel = app.schedule(PREPARE_MS, () => {
        json.prepare().catch(error => app.log.error({ err: error }, 'the specification was not made'))
      })
    })
    app.addHook('onClose', async () => cancel())

    await app.register(async scope => {
      scope.addHook('onRoute', route => {
        route.config = { ...route.config, access: { auth: 'none' } }
        // Swagger UI's own would write the whole document anew for each request.
        const document = { '/docs/json': json, '/docs/yaml': yaml }[route.url]
        if (document !== undefined) route.handler = (request, reply) => document.send(request, reply)
      })
      // A page of ours whose requests back to us carry where they come from.
      scope.addHook('onRequest', async (_request, reply) => {
        reply.header('referrer-policy', 'same-origin').header('cache-control', 'no-cache')
      })
      await scope.register(swaggerUi, {
        routePrefix: '/docs',
        staticCSP: CSP,
        uiConfig: {
          persistAuthorization: false,
          tryItOutEnabled: true,
          displayRequestDuration: true,
          requestInterceptor: withCsrfToken as (request: object) => object,
        },
        theme: { title: 'AnimeThemes user API' },
      })
    })
  },
  { name: 'openapi', dependencies: ['access'] },
)

/**
 * Proves that a change comes from this page, where the browser itself does not (Fetch Metadata, HTTPS alone). Runs in
 * the browser: it is sent there as text, and knows nothing of this file.
 */
function withCsrfToken(request: { method: string; headers: Record<string, string> }) {
  const { document } = globalThis as unknown as { document: { cookie: string } }
  const token = /(?:^|; )XSRF-TOKEN=([^;]+)/.exec(document.cookie)?.[1]
  if (token !== undefined && request.method !== 'GET') request.headers['X-XSRF-TOKEN'] = token
  return request
}

/** What a caller presents to a route: one of these, where the empty one is nothing. */
function securityOf({ auth, via }: Access = { auth: 'none' }): Record<string, string[]>[] {
  if (auth === 'none' || auth === 'guest') return []
  const schemes = (['token', 'session'] as const)
    .filter(scheme => via === undefined || via === scheme)
    .map(scheme => ({ [scheme]: [] }))
  return auth === 'required' ? schemes : [{}, ...schemes]
}

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
