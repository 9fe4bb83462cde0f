import type { FastifyDynamicSwaggerOptions } from '@fastify/swagger'
import type { RouteOptions } from 'fastify'
import { sessionCookies } from '#src/auth/session-cookies.ts'
import type { Config } from '#src/config/config.ts'
import { basePath } from '#src/config/public-url.ts'
import type { Access } from '#src/http/access.ts'
import { PAGE_SCHEMAS, resourceSchemas } from '#src/query/openapi.ts'
import type { Endpoint } from '#src/query/resource.ts'
import { VERSION } from '#src/runtime/version.ts'
import { Components } from './components.ts'
import { describeOperation } from './operations.ts'
import { SHARED_SCHEMAS } from './shared-responses.ts'

const description = ({
  authPath,
  csrfMode,
  csrfCookie,
}: Config) => `The authenticated user's side of the AnimeThemes API.

Programs send a personal access token as \`Authorization: Bearer {id}|{secret}\`. Tokens that Laravel Sanctum issued keep working.

Browsers log in: \`GET /sanctum/csrf-cookie\`, then \`POST ${authPath}/login\`, and after that the session's cookie authenticates the caller, on requests with the \`Origin\` or \`Referer\` of a first-party page. On this page the browser handles the rest. ${csrfMode === 'token' ? 'On pages of other first-party origins, changes need the value of the cookie `' + csrfCookie + '` in the header `X-XSRF-TOKEN`.' : 'Pages of other origins cannot change anything.'}

Bodies are JSON, or forms with the same fields: \`a=1\`, \`a[]=1&a[]=2\` for a list. A form that can only be sent by \`POST\` names its method in the field \`_method\`.

Responses are JSON. An error's \`message\` states the reason.`

/** The general part of the OpenAPI document: info, tags and security schemes. */
export const documentInfo = (config: Config): FastifyDynamicSwaggerOptions['openapi'] => ({
  openapi: '3.1.0',
  info: {
    title: 'AnimeThemes user API',
    version: VERSION,
    description: description(config),
    contact: { name: config.appName, url: config.frontendUrl.href },
    license: { name: 'MIT', identifier: 'MIT' },
  },
  servers: [{ url: config.appUrl.origin + basePath(config.appUrl) }],
  security: DEFAULT_SECURITY,
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
          'The cookie that `POST /login` sets. It counts with an `Origin` or `Referer` of a first-party page. Changes also need the header `X-XSRF-TOKEN`, unless they come from a page of this origin.',
      },
    },
  },
})

/** What most operations require: a token or a session. */
const DEFAULT_SECURITY: Record<string, string[]>[] = [{ token: [] }, { session: [] }]

/**
 * Returns the security requirements of a route: alternatives, where the empty one means a guest. Undefined for those of
 * the whole document.
 */
export function securityRequirements(
  { auth, via }: Access = { auth: 'none' },
): Record<string, string[]>[] | undefined {
  if (auth === 'required' && via === undefined) return undefined
  if (auth === 'none' || auth === 'guest') return []
  const schemes = (['token', 'session'] as const)
    .filter(scheme => via === undefined || via === scheme)
    .map(scheme => ({ [scheme]: [] }))
  return auth === 'required' ? schemes : [{}, ...schemes]
}

interface Operation {
  operationId: string
  parameters?: readonly object[]
}

type PathItem = Record<string, Operation> | { parameters: readonly object[] }

/** Moves parameters that all of a path's operations have, such as those of the path itself, to the path. */
function withCommonParameters(operations: Record<string, Operation>): PathItem {
  const lists = Object.values(operations).map(({ parameters = [] }) => parameters)
  const [first = [], ...others] = lists.map(list => list.map(one => JSON.stringify(one)))
  const common = new Set(first.filter(text => others.length > 0 && others.every(list => list.includes(text))))
  if (common.size === 0) return operations
  const rest = Object.entries(operations).map(([method, { parameters = [], ...operation }]) => {
    const own = parameters.filter(one => !common.has(JSON.stringify(one)))
    return [method, { ...operation, ...(own.length > 0 && { parameters: own }) }]
  })
  return { parameters: [...common].map(text => JSON.parse(text)), ...Object.fromEntries(rest) }
}

/** The part of the document that @fastify/swagger makes. */
export interface OpenApiDocument {
  components?: Record<string, unknown>
  paths: Record<string, Record<string, { operationId: string }>>
}

/**
 * Completes the document with what its generator cannot describe: parameters by their literal names, forms, and parts
 * that operations share.
 *
 * @param routes by operation id
 */
export function completeDocument(
  document: OpenApiDocument,
  routes: ReadonlyMap<string, RouteOptions>,
  config: Pick<Config, 'csrfMode' | 'csrfCookie'>,
  endpoints: readonly Endpoint[],
): object {
  const components = new Components()
  for (const [name, schema] of Object.entries({
    ...resourceSchemas(endpoints),
    ...PAGE_SCHEMAS,
    ...SHARED_SCHEMAS,
  })) {
    components.refer('schemas', name, schema)
  }
  const paths = Object.fromEntries(
    Object.entries(document.paths).map(([path, item]) => {
      const operations = Object.entries(item).map(([method, operation]): [string, Operation] => {
        const route = routes.get(operation.operationId)
        return [method, { ...operation, ...(route && describeOperation(route, config, components)) }]
      })
      return [path, withCommonParameters(Object.fromEntries(operations))]
    }),
  )
  return { ...document, paths, components: { ...document.components, ...components.toJSON() } }
}

/**
 * Returns the document for Swagger UI: for this server under whichever of its names, and whichever path of a proxy, the
 * page was opened. It lacks the headers that all responses have, which the page would show with each; bodies as forms, in
 * which the page invents values for optional fields; and ids of rows, which may exist.
 */
export const documentForPages = (document: object): object =>
  JSON.parse(JSON.stringify({ ...document, servers: [{ url: '..' }] }), (key, value) => {
    if (key === 'headers') return withoutShared(value)
    if (key === 'content' && 'multipart/form-data' in value) {
      return { 'application/json': value['application/json'] }
    }
    if (value?.in === 'path') return { ...value, example: undefined }
    return value
  })

function withoutShared(headers: Record<string, object>): Record<string, object> | undefined {
  const own = Object.entries(headers).filter(([, header]) => !('$ref' in header))
  return own.length === 0 ? undefined : Object.fromEntries(own)
}
