import type { FastifyReply, RouteGenericInterface } from 'fastify'
import { type TSchema, Type } from 'typebox'
import { MESSAGES } from '#src/answers/messages.ts'

const header = (description: string, type: 'string' | 'integer' = 'string') => ({ type, description })

const LIMIT_HEADERS = {
  'X-RateLimit-Limit': header(
    'Requests allowed in a minute. Absent for callers who are not limited.',
    'integer',
  ),
  'X-RateLimit-Remaining': header('Requests left in this minute.', 'integer'),
}

const REFUSED_HEADERS = {
  'X-RateLimit-Limit': header('Requests allowed in a minute.', 'integer'),
  'X-RateLimit-Remaining': header('0', 'integer'),
  'X-RateLimit-Reset': header('Unix time in seconds when the next request is allowed.', 'integer'),
  'Retry-After': header('Seconds until the next request is allowed.', 'integer'),
}

const REQUEST_ID = { 'X-Request-Id': header("The request's id, as it stands in the server's log.") }

const CACHE_CONTROL = { 'Cache-Control': header('`no-store, private`') }

/** An answer that says no, as the specification describes it. */
export const failure = (description: string, example: string, headers: Record<string, object> = {}) =>
  Type.Object(
    { message: Type.String() },
    {
      description,
      headers: { ...REQUEST_ID, ...CACHE_CONTROL, ...headers },
      examples: [{ message: example }],
    },
  )

/** The answer where there is no such row, or none that the caller may learn of, as the specification describes it. */
export const missing = (description: string) => failure(description, MESSAGES.notFound)

/**
 * A successful answer of a route, as the specification describes it. In areas with a rate limit {@link withLimits} adds
 * that limit's headers.
 */
export const success = <T extends TSchema>(schema: T): T => ({
  ...schema,
  headers: { ...REQUEST_ID, ...CACHE_CONTROL },
})

/** A successful answer that is the same for everybody, and that clients keep, as the specification describes it. */
export const cachedDocument = <T extends TSchema>(schema: T): T => ({
  ...schema,
  headers: {
    ...REQUEST_ID,
    'Cache-Control': header('`no-cache`: to be kept, and asked for again with `If-None-Match`'),
    ETag: header('The version, for `If-None-Match`; 304 when it has not changed.'),
  },
})

/** A successful answer that is the same for everybody for a day, as the specification describes it. */
export const publicDocument = <T extends TSchema>(schema: T): T => ({
  ...schema,
  headers: { ...REQUEST_ID, 'Cache-Control': header(`\`${CACHED_FOR_A_DAY}\``) },
})

/** What caches are told of an answer that is the same for everybody, and may be a day old. */
export const CACHED_FOR_A_DAY = 'public, max-age=86400'

/** The answer of a route for those who have not logged in, and the one to those who have. */
export const guestMessage = (description: string, example: string) =>
  success(
    Type.Union([Type.Object({ message: Type.String() }), Type.Object({ error: Type.String() })], {
      description: `${description} To whoever is logged in, \`error\` says so.`,
      examples: [{ message: example }, { error: MESSAGES.alreadyAuthenticated }],
    }),
  )

/** The answer that something was done, as the specification describes it. */
export const done = (message: string) =>
  success(Type.Object({ message: Type.String() }, { description: 'It is done.', examples: [{ message }] }))

/** A successful answer without a body, as the specification describes it. */
export const noContent = (description: string, headers: Record<string, object> = {}) =>
  Type.Null({ description, headers: { ...REQUEST_ID, ...CACHE_CONTROL, ...headers } })

/** The header that tells how many tokens a revocation ended. */
export const REVOKED_TOKENS = 'x-revoked-tokens'

/** The answer to a revocation of tokens, as the specification describes it. */
export const revokedTokens = (description: string) =>
  noContent(description, {
    'X-Revoked-Tokens': header('How many tokens ended, with those that they had issued.', 'integer'),
  })

/** An answer that sends the browser elsewhere, as the specification describes it. */
export const redirection = (description: string) =>
  Type.Null({
    description,
    headers: { ...REQUEST_ID, ...CACHE_CONTROL, Location: header('Where to.') },
  })

/** What Fortify says where there is nothing to say: an empty text in JSON. */
const EMPTY_JSON = '""'

/** Answers {@link EMPTY_JSON}. */
export const sendEmptyJson = (reply: FastifyReply<RouteGenericInterface>, status = 200): FastifyReply =>
  reply.code(status).type('application/json').send(EMPTY_JSON)

/** The answer {@link EMPTY_JSON}, as the specification describes it. */
export const emptyJson = (description: string) => success(Type.Literal('', { description, examples: [''] }))

/** The answer of a route that has to wait for something, as the specification describes it. */
export const unavailable = (description: string) =>
  failure(description, MESSAGES.serviceUnavailable, {
    'Retry-After': header('Seconds to wait before the next try.', 'integer'),
  })

/** The answer to input that is not valid, as the specification describes it. */
const invalid = Type.Object(
  { message: Type.String(), errors: Type.Record(Type.String(), Type.Array(Type.String())) },
  {
    description: 'A parameter or a field is not valid. The errors stand under their dotted names.',
    headers: { ...REQUEST_ID, ...CACHE_CONTROL, ...LIMIT_HEADERS },
    examples: [
      {
        message: 'The page.size must not be greater than 100.',
        errors: { 'page.size': ['The page.size must not be greater than 100.'] },
      },
    ],
  },
)

/** Answers of a route below 400, with the headers of the rate limit: in areas that have one, all of them carry those. */
export const withLimits = (responses: Record<string, { headers?: object }>): Record<string, object> =>
  Object.fromEntries(
    Object.entries(responses).map(([status, response]) => [
      status,
      Number(status) < 400
        ? { ...response, headers: { ...REQUEST_ID, ...CACHE_CONTROL, ...LIMIT_HEADERS, ...response.headers } }
        : response,
    ]),
  )

/** The answers that follow from who may call a route: the specification cannot tell others than are given. */
export function accessResponses({
  access,
  isApi,
  isWeb,
  changes,
  hasInput,
  hasBody,
  bodyLimit,
  isCounted,
  csrfMode,
}: {
  access: {
    auth: 'required' | 'optional' | 'guest' | 'none'
    via?: 'session' | 'token'
    permission?: string | readonly string[]
    ability?: string
    password?: 'confirmed' | 'confirmed or entered'
    whileBanned?: true
    beforeSecondFactor?: true
  }
  /** Whether the route belongs to the API. */
  isApi: boolean
  /** Whether the route is for browsers alone. */
  isWeb: boolean
  /** Whether the method is one that changes things. */
  changes: boolean
  /** Whether the route takes parameters or a body. */
  hasInput: boolean
  /** Whether the route takes a body. */
  hasBody: boolean
  /** The largest body that the route takes, in bytes. */
  bodyLimit: number
  /** Whether requests to the route count for their address, as all do save health checks. */
  isCounted: boolean
  /** How changes in the name of a session are proven to be wanted. */
  csrfMode: 'token' | 'origin-only'
}): Record<number, TSchema> {
  const isLimited = isApi || isWeb
  const limits = isLimited ? LIMIT_HEADERS : {}
  const responses: Record<number, TSchema> = {
    400: failure('The request cannot be understood, or names a host that is not ours.', MESSAGES.badRequest),
    500: failure(
      'Something went wrong inside. The log has more, under the id of the request.',
      MESSAGES.serverError,
    ),
  }
  if (access.auth === 'required') {
    responses[401] = failure(
      'Nobody is known to be calling: the token or the session is missing, wrong, expired or revoked.',
      MESSAGES.unauthenticated,
      { ...limits, 'WWW-Authenticate': header('`Bearer` (RFC 6750)') },
    )
  }
  const isProven = changes && isLimited && access.via !== 'token'
  const knowsCaller = access.auth === 'required' || access.auth === 'optional'
  const refusals = [
    ...(isProven && csrfMode === 'origin-only'
      ? ['The request has a session, and the browser does not say that a page of this origin sent it.']
      : []),
    ...(!knowsCaller || access.whileBanned ? [] : ['The user is banned from everything.']),
    ...(!knowsCaller || access.beforeSecondFactor
      ? []
      : ['REQUIRE_SECOND_FACTOR asks for a second factor that the user has not set up.']),
    ...(access.permission === undefined
      ? []
      : [`The caller lacks the permission \`${access.permission}\`, or is banned from using it.`]),
    ...(access.ability === undefined ? [] : [`The token lacks the ability \`${access.ability}\`.`]),
  ]
  if (refusals.length > 0) {
    const example =
      access.permission !== undefined
        ? MESSAGES.unauthorized
        : access.ability !== undefined
          ? MESSAGES.invalidAbility
          : isProven && csrfMode === 'origin-only'
            ? MESSAGES.originMismatch
            : MESSAGES.banned({ reason: 'spam', until: Date.UTC(2026, 11, 31) })
    responses[403] = failure(refusals.join(' '), example, limits)
  }
  if (access.password !== undefined) {
    responses[423] = failure(
      'The password was not confirmed within the last three hours.',
      MESSAGES.passwordConfirmationRequired,
      limits,
    )
  }
  if (isProven && csrfMode === 'token') {
    responses[419] = failure(
      "The request has a session, and neither the session's CSRF token nor the browser's word that a page of this origin sent it.",
      MESSAGES.csrfMismatch,
      limits,
    )
  }
  if (hasBody) {
    responses[413] = failure('The body is too large.', MESSAGES.bodyTooLarge(bodyLimit), limits)
    responses[415] = failure(
      'The body is neither JSON nor a form.',
      MESSAGES.unsupportedMediaType('image/png'),
      limits,
    )
  }
  if (hasInput) responses[422] = invalid
  if (isCounted) {
    responses[429] = failure(
      'Too many requests, or too many wrong credentials.',
      MESSAGES.tooManyAttempts,
      REFUSED_HEADERS,
    )
  }
  if (isLimited || access.auth !== 'none') {
    responses[503] = unavailable('The database is not available for the moment.')
  }
  return responses
}
