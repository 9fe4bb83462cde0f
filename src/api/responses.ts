import type { FastifyReply, RouteGenericInterface } from 'fastify'
import { type TSchema, Type } from 'typebox'
import { MESSAGES } from '#src/responses/messages.ts'

/** A header of an answer, as the specification describes it. */
export const header = (description: string, type: 'string' | 'integer' = 'string') => ({ type, description })

/** What tells callers how much of their rate limit is left. */
export const LIMIT_HEADERS = {
  'X-RateLimit-Limit': header(
    'Requests allowed in a minute. Absent for callers who are not limited.',
    'integer',
  ),
  'X-RateLimit-Remaining': header('Requests left in this minute.', 'integer'),
}

const REQUEST_ID = { 'X-Request-Id': header("The request's id, as it stands in the server's log.") }

const CACHE_CONTROL = { 'Cache-Control': header('`no-store, private`') }

/** The headers of every answer that no cache may keep. */
export const COMMON_HEADERS = { ...REQUEST_ID, ...CACHE_CONTROL }

/** An answer that says no, as the specification describes it. */
export const failure = (description: string, example: string, headers: Record<string, object> = {}) =>
  Type.Object(
    { message: Type.String() },
    {
      description,
      headers: { ...COMMON_HEADERS, ...headers },
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
  headers: { ...COMMON_HEADERS },
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
  Type.Null({ description, headers: { ...COMMON_HEADERS, ...headers } })

/** The header that tells how many tokens a revocation ended. */
export const REVOKED_TOKENS = 'x-revoked-tokens'

/** The answer to a revocation of tokens, as the specification describes it. */
export const revokedTokens = (description: string) =>
  noContent(description, {
    'X-Revoked-Tokens': header('How many tokens ended, with those that they had issued.', 'integer'),
  })

/** The answer where the user has no token with the id that the path names. */
export const NO_SUCH_TOKEN = missing('The user has no such token.')

/** An answer that sends the browser elsewhere, as the specification describes it. */
export const redirection = (description: string) =>
  Type.Null({
    description,
    headers: { ...COMMON_HEADERS, Location: header('Where to.') },
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

/** Answers of a route below 400, with the headers of the rate limit: in areas that have one, all of them carry those. */
export const withLimits = (responses: Record<string, { headers?: object }>): Record<string, object> =>
  Object.fromEntries(
    Object.entries(responses).map(([status, response]) => [
      status,
      Number(status) < 400
        ? { ...response, headers: { ...COMMON_HEADERS, ...LIMIT_HEADERS, ...response.headers } }
        : response,
    ]),
  )
