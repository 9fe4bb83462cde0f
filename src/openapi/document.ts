import type { FastifyDynamicSwaggerOptions } from '@fastify/swagger'
import { sessionCookies } from '#src/auth/session-cookies.ts'
import type { Config } from '#src/config/config.ts'
import type { Access } from '#src/http/access.ts'
import { queryParameters } from '#src/query/parameters.ts'
import type { Endpoint } from '#src/query/resource.ts'
import { VERSION } from '#src/runtime/version.ts'

const description = ({ authPath, csrfMode }: Config) => `The authenticated user's side of the AnimeThemes API.

Programs send a personal access token as \`Authorization: Bearer {id}|{secret}\`. Tokens that Laravel Sanctum issued keep working.

Browsers log in: \`GET /sanctum/csrf-cookie\`, then \`POST ${authPath}/login\`, and after that the session's cookie authenticates the caller. On this page the browser handles the rest. ${csrfMode === 'token' ? 'On pages of other first-party origins, changes need the value of the cookie `XSRF-TOKEN` in the header `X-XSRF-TOKEN`.' : 'Pages of other origins cannot change anything.'}

Bodies are JSON, or forms with the same fields: \`a=1\`, \`a[]=1&a[]=2\` for a list. A form that can only be sent by \`POST\` names its method in the field \`_method\`.

Responses are JSON. An error's \`message\` states the reason.`

/** The general part of the OpenAPI document: info, tags and security schemes. */
export const documentInfo = (config: Config): FastifyDynamicSwaggerOptions['openapi'] => ({
  openapi: '3.1.0',
  info: {
    title: 'AnimeThemes user API',
    version: VERSION,
    description: description(config),
    license: { name: 'MIT', identifier: 'MIT' },
  },
  servers: [{ url: '/', description: 'This server' }],
  tags: [
    { name: 'me', description: "The authenticated user and the user's data." },
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
    { name: 'system', description: 'For operators of the server and developers of clients.' },
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
        name: sessionCookies(config).session.name,
        description:
          'The cookie that `POST /login` sets. It is valid on first-party origins. Changes also need the header `X-XSRF-TOKEN`, unless they come from a page of this origin.',
      },
    },
  },
})

/** Returns the security requirements of a route: alternatives, where the empty one means a guest. */
export function securityRequirements({ auth, via }: Access = { auth: 'none' }): Record<string, string[]>[] {
  if (auth === 'none' || auth === 'guest') return []
  const schemes = (['token', 'session'] as const)
    .filter(scheme => via === undefined || via === scheme)
    .map(scheme => ({ [scheme]: [] }))
  return auth === 'required' ? schemes : [{}, ...schemes]
}

/** The part of the document that is used here. */
export interface OpenApiDocument {
  paths: Record<string, Record<string, { operationId: string; parameters?: object[] }>>
}

/**
 * Adds the query language's parameters to operations, since the schema of a query string cannot describe their
 * serialization.
 *
 * @param endpoints by operation id
 */
export function withQueryParameters(
  document: OpenApiDocument,
  endpoints: ReadonlyMap<string, Endpoint>,
): OpenApiDocument {
  for (const operation of Object.values(document.paths).flatMap(path => Object.values(path))) {
    const endpoint = endpoints.get(operation.operationId)
    if (endpoint) operation.parameters = [...(operation.parameters ?? []), ...queryParameters(endpoint)]
  }
  return document
}
