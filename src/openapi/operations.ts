import type { RouteOptions } from 'fastify'
import { COMMON_HEADERS, type DocumentedHeader, LIMIT_HEADERS, REFUSAL_HEADERS } from '#src/api/responses.ts'
import { READ_ABILITIES } from '#src/auth/ability.ts'
import type { Config } from '#src/config/config.ts'
import { isHealthCheck } from '#src/http/request.ts'
import { traitsOf } from '#src/http/step.ts'
import { documentedField } from '#src/input/documented.ts'
import type { Components, Reference } from './components.ts'
import { queryParameters } from './query-parameters.ts'
import { SHARED_RESPONSES } from './shared-responses.ts'

/** The parts of an operation that follow from its route. */
export interface OperationParts {
  description: string
  parameters?: object[]
  requestBody?: object
  responses: Record<string, object>
}

type DocumentConfig = Pick<Config, 'csrfMode' | 'csrfCookie'>

/** Describes the operation of a route: parameters, body, responses, and the access that it requires. */
export function describeOperation(
  route: RouteOptions,
  config: DocumentConfig,
  components: Components,
): OperationParts {
  const parameters = parametersOf(route, config, components)
  const requestBody = bodyOf(route, components)
  return {
    description: isSameAsPut(route)
      ? 'The same as `PUT`.'
      : [route.schema?.description, ...requirementsOf(route), ...notesOf(route)].join(' '),
    ...(parameters.length > 0 && { parameters }),
    ...(requestBody && { requestBody }),
    responses: responsesOf(route, config, components),
  }
}

/** Whether an operation is the twin of another one, as updates have two methods. */
const isSameAsPut = ({ schema }: RouteOptions) => schema?.operationId?.endsWith('.patch') === true

const accessOf = ({ config }: RouteOptions) => config?.access ?? { auth: 'none' as const }

const isLimited = ({ config }: RouteOptions) => config?.isApi === true || config?.isWeb === true

/** Whether changes in a session need the CSRF token. */
const needsCsrfToken = (route: RouteOptions, { csrfMode }: DocumentConfig) =>
  traitsOf(route).isUnsafe && isLimited(route) && accessOf(route).via !== 'token' && csrfMode === 'token'

/** The permission and the ability that a route requires, in sentences. */
function requirementsOf(route: RouteOptions): string[] {
  const { permission, ability } = accessOf(route)
  const permissions = [permission ?? []].flat().map(name => `permission \`${name}\``)
  const abilities =
    ability === READ_ABILITIES
      ? ['all abilities to read']
      : [ability ?? []].flat().map(name => `ability \`${name}\``)
  const needed = [...permissions, ...abilities]
  return needed.length === 0 ? [] : [`Requires ${needed.join(' and ')}.`]
}

/** What shared responses mean for the route, if it says so. Of successful ones only where there are several. */
function notesOf(route: RouteOptions): string[] {
  const own = ownResponses(route)
  const successes = own.filter(([status]) => Number(status) < 400)
  return own
    .filter(
      ([status, { component }]) =>
        status in SHARED_ERRORS || (component !== undefined && successes.length > 1),
    )
    .map(([status, { description }]) => `${status}: ${description}`)
}

/** Errors whose response is a shared one even where a route explains them. */
const SHARED_ERRORS: Readonly<Record<string, SharedName>> = {
  401: 'Unauthenticated',
  403: 'Forbidden',
  404: 'NotFound',
  422: 'InvalidInput',
  423: 'PasswordConfirmationRequired',
  503: 'OtherError',
}

const ownResponses = ({ schema }: RouteOptions) =>
  Object.entries((schema?.response ?? {}) as Record<string, DeclaredResponse>)

interface ObjectSchema {
  examples?: readonly unknown[]
  properties?: Record<string, Record<string, unknown>>
  required?: readonly string[]
}

function parametersOf(route: RouteOptions, config: DocumentConfig, components: Components): object[] {
  const { endpoint } = route.config ?? {}
  const { params, querystring } = (route.schema ?? {}) as {
    params?: ObjectSchema
    querystring?: ObjectSchema
  }
  return [
    ...Object.entries(params?.properties ?? {}).map(([name, schema]) =>
      pathParameter(name, schema, components),
    ),
    ...Object.entries(querystring?.properties ?? {}).map(([name, { description, ...schema }]) => ({
      name,
      in: 'query',
      ...(querystring?.required?.includes(name) && { required: true }),
      ...(description !== undefined && { description }),
      schema,
    })),
    ...(endpoint === undefined ? [] : queryParameters(endpoint, components)),
    ...(needsCsrfToken(route, config)
      ? [components.refer('parameters', 'X-XSRF-TOKEN', csrfHeader(config))]
      : []),
  ]
}

const csrfHeader = ({ csrfCookie }: DocumentConfig) => ({
  name: 'X-XSRF-TOKEN',
  in: 'header',
  description: `The value of the cookie \`${csrfCookie}\`, for changes in a session. Not needed with a bearer token, and not by pages of this origin.`,
  schema: { type: 'string' },
})

function pathParameter(name: string, schema: Record<string, unknown>, components: Components): Reference {
  const { description, examples, ...type } = documentedField(schema).schema as {
    description?: string
    examples?: unknown[]
    type: string
  }
  const [example] = examples ?? []
  const isText = type.type === 'string'
  return components.refer('parameters', `path.${name}`, {
    name,
    in: 'path',
    required: true,
    ...(description && { description }),
    schema: isText ? { ...type, minLength: 1 } : type,
    ...(example !== undefined && { example: isText ? example : Number(example) }),
  })
}

/** `PlaylistUpdate` for `playlist.update.put`, `TokenStore` for `me.token.store`. */
const nameOf = (operationId: string) =>
  operationId
    .replace(/^me\./, '')
    .replace(/\.(put|patch)$/, '')
    .replace('externalprofile', 'externalProfile')
    .split(/[.-]/)
    .map(word => `${word.charAt(0).toUpperCase()}${word.slice(1)}`)
    .join('')

function bodyOf({ schema }: RouteOptions, components: Components): object | null {
  const { body: validated, operationId = '' } = (schema ?? {}) as {
    body?: ObjectSchema
    operationId?: string
  }
  if (validated === undefined) return null
  const body = documentedBody(validated)
  const name = nameOf(operationId)
  const json = components.refer('schemas', `${name}Input`, withExample(body))
  const lists = Object.entries(body.properties ?? {}).filter(([, property]) => isList(property))
  const form = lists.length === 0 ? json : components.refer('schemas', `${name}Form`, formOf(body))
  const described = {
    ...((body.required ?? []).length > 0 && { required: true }),
    content: {
      'application/json': { schema: json },
      'application/x-www-form-urlencoded': { schema: form },
      'multipart/form-data': { schema: form },
    },
  }
  // PUT and PATCH have the same one.
  const isTwin = /\.(put|patch)$/.test(operationId)
  return isTwin ? components.refer('requestBodies', name, described) : described
}

/** A body whose fields are as they are documented. */
function documentedBody(body: ObjectSchema): ObjectSchema {
  const fields = Object.entries(body.properties ?? {}).map(
    ([name, schema]) => [name, documentedField(schema)] as const,
  )
  const required = fields
    .filter(([name, { isRequired }]) => isRequired || body.required?.includes(name))
    .map(([name]) => name)
  return {
    ...body,
    ...(required.length > 0 && { required }),
    properties: Object.fromEntries(
      fields.map(([name, { schema }]) => [name, schema as Record<string, unknown>]),
    ),
  }
}

/**
 * A body with an example that has the required fields only, unless it has one of its own, since Swagger UI sends what the
 * example has.
 */
function withExample(body: ObjectSchema): object {
  const { required = [], properties = {}, examples: [own] = [] } = body
  const examples = required.map(field => [field, (properties[field]?.examples as unknown[] | undefined)?.[0]])
  const withoutExamples = Object.entries(properties).map(([field, { examples: _examples, ...schema }]) => [
    field,
    required.includes(field) ? schema : properties[field],
  ])
  return {
    ...body,
    properties: Object.fromEntries(withoutExamples),
    examples: [own ?? Object.fromEntries(examples)],
  }
}

const isList = (schema: Record<string, unknown>): boolean =>
  schema.type === 'array' || ((schema.anyOf ?? []) as Record<string, unknown>[]).some(isList)

/** The same body as a form, in which PHP's brackets mark a list: `abilities[]`. */
const formOf = (body: ObjectSchema): object => ({
  ...body,
  properties: Object.fromEntries(
    Object.entries(body.properties ?? {}).map(([name, property]) => [
      isList(property) ? `${name}[]` : name,
      isList(property) ? withoutText(property) : property,
    ]),
  ),
})

/** A list without its description, which the body in JSON has. */
const withoutText = ({
  description: _description,
  examples: _examples,
  anyOf,
  ...schema
}: Record<string, unknown>): object => ({
  ...schema,
  ...(anyOf !== undefined && { anyOf: (anyOf as Record<string, unknown>[]).map(withoutText) }),
})

/** A response as routes declare it: a schema, with a description, headers and examples. */
interface DeclaredResponse {
  description?: string
  headers?: Record<string, DocumentedHeader>
  examples?: unknown[]
  /** The name under which operations share it. */
  component?: string
  [keyword: string]: unknown
}

type SharedName = keyof typeof SHARED_RESPONSES

function responsesOf(
  route: RouteOptions,
  config: DocumentConfig,
  components: Components,
): Record<string, object> {
  const refer = (name: string, response: DeclaredResponse) =>
    components.refer('responses', name, describeResponse(response, components))
  const referToShared = (name: SharedName) => refer(name, SHARED_RESPONSES[name] as DeclaredResponse)

  const responses: Record<string, object> = {}
  for (const [status, name] of Object.entries(sharedResponsesOf(route, config))) {
    responses[status] = referToShared(name)
  }
  for (const [status, { headers, component, ...response }] of ownResponses(route)) {
    const shared = SHARED_ERRORS[status] ?? component
    if (shared !== undefined && isSharedName(shared)) {
      responses[status] = referToShared(shared)
      continue
    }
    const sent = isLimited(route) ? { ...COMMON_HEADERS, ...LIMIT_HEADERS, ...headers } : (headers ?? {})
    const own = { ...response, headers: sent }
    responses[status] =
      component === undefined ? describeResponse(own, components, producedBy(route)) : refer(component, own)
  }
  return responses
}

const isSharedName = (name: string): name is SharedName => Object.hasOwn(SHARED_RESPONSES, name)

/** The media types of a route's own responses. */
const producedBy = ({ schema }: RouteOptions) => (schema as { produces?: string[] } | undefined)?.produces

/** The responses that follow from a route's access, by status. */
function sharedResponsesOf(route: RouteOptions, config: DocumentConfig): Record<string, SharedName> {
  const { auth, password } = accessOf(route)
  const { endpoint } = route.config ?? {}
  const { body, querystring } = route.schema ?? {}
  const knowsCaller = auth === 'required' || auth === 'optional'
  const isGuarded = isLimited(route) || auth !== 'none'
  return {
    // A route's own response of that status says it too.
    ...(auth === 'guest' && { 200: 'AlreadyAuthenticated' }),
    ...(auth === 'required' && { 401: 'Unauthenticated' }),
    ...((knowsCaller || (isGuarded && config.csrfMode === 'origin-only' && traitsOf(route).isUnsafe)) && {
      403: 'Forbidden',
    }),
    ...(route.url.includes(':') && { 404: 'NotFound' }),
    ...(needsCsrfToken(route, config) && { 419: 'CsrfTokenMismatch' }),
    ...((endpoint !== undefined || body !== undefined || querystring !== undefined) && {
      422: 'InvalidInput',
    }),
    ...(password !== undefined && { 423: 'PasswordConfirmationRequired' }),
    ...(isHealthCheck(route.url) ? { 400: 'OtherError' } : { 429: 'TooManyRequests' }),
    // Not by ranges such as 4XX: some generators write them into their code as numbers.
    default: 'OtherError',
  }
}

/** The headers that are shared parts of the document. Others are described where they are sent. */
const SHARED_HEADERS: Readonly<Record<string, DocumentedHeader>> = {
  ...COMMON_HEADERS,
  ...LIMIT_HEADERS,
  ...REFUSAL_HEADERS,
}

function describeHeader(name: string, described: DocumentedHeader, components: Components): object {
  const { type, description, required } = described
  const header = { description, ...(required && { required }), schema: { type } }
  return described === SHARED_HEADERS[name] ? components.refer('headers', name, header) : header
}

function describeResponse(
  { description = '', headers = {}, examples = [], ...schema }: DeclaredResponse,
  components: Components,
  types: readonly string[] = ['application/json'],
): object {
  const [example] = examples
  return {
    description,
    headers: Object.fromEntries(
      Object.entries(headers).map(([name, header]) => [name, describeHeader(name, header, components)]),
    ),
    ...(schema.type !== 'null' && {
      content: Object.fromEntries(
        types.map(type => [type, { schema, ...(example !== undefined && { example }) }]),
      ),
    }),
  }
}
