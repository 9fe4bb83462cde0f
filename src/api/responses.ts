import type { FastifyReply, RouteGenericInterface } from 'fastify'
import { type TSchema, Type } from 'typebox'
import { MESSAGES } from '#src/responses/messages.ts'

/** Describes a response header in OpenAPI. */
export const header = (description: string, type: 'string' | 'integer' = 'string') => ({ type, description })

/** The headers that tell callers their remaining rate limit. */
export const LIMIT_HEADERS = {
  'X-RateLimit-Limit': header(
    'Requests allowed in a minute. Absent for callers who are not limited.',
    'integer',
  ),
  'X-RateLimit-Remaining': header('Requests left in this minute.', 'integer'),
}

const REQUEST_ID = { 'X-Request-Id': header("The request's id, as in the server's log.") }

const CACHE_CONTROL = { 'Cache-Control': header('`no-store, private`') }

/** The headers of responses that must not be cached. */
export const COMMON_HEADERS = { ...REQUEST_ID, ...CACHE_CONTROL }

/** Describes an error response. */
export const errorResponse = (description: string, example: string, headers: Record<string, object> = {}) =>
  Type.Object(
    { message: Type.String() },
    {
      description,
      headers: { ...COMMON_HEADERS, ...headers },
      examples: [{ message: example }],
    },
  )

/** Describes a 404: there is no such row, or none that the caller may know of. */
export const notFoundResponse = (description: string) => errorResponse(description, MESSAGES.notFound)

/** Describes a successful response. Where a rate limit applies, {@link withLimitHeaders} adds its headers. */
export const successResponse = <T extends TSchema>(schema: T): T => ({
  ...schema,
  headers: { ...COMMON_HEADERS },
})

/** Describes a successful public response that clients cache and revalidate. */
export const cachedDocument = <T extends TSchema>(schema: T): T => ({
  ...schema,
  headers: {
    ...REQUEST_ID,
    'Cache-Control': header('`no-cache`: to be stored, and revalidated with `If-None-Match`'),
    ETag: header('The version, for `If-None-Match`; 304 when it has not changed.'),
  },
})

/** Describes a successful public response that caches keep for a day. */
export const publicDocument = <T extends TSchema>(schema: T): T => ({
  ...schema,
  headers: { ...REQUEST_ID, 'Cache-Control': header(`\`${CACHED_FOR_A_DAY}\``) },
})

/** The Cache-Control of public responses that may be a day old. */
export const CACHED_FOR_A_DAY = 'public, max-age=86400'

/** Describes the response of a route for guests, and the one to logged-in users. */
export const guestResponse = (description: string, example: string) =>
  successResponse(
    Type.Union([Type.Object({ message: Type.String() }), Type.Object({ error: Type.String() })], {
      description: `${description} For a logged-in user, the response is \`error\`.`,
      examples: [{ message: example }, { error: MESSAGES.alreadyAuthenticated }],
    }),
  )

/** Describes a success message. */
export const messageResponse = (message: string) =>
  successResponse(
    Type.Object({ message: Type.String() }, { description: 'Success.', examples: [{ message }] }),
  )

/** Describes a successful response without a body. */
export const noContentResponse = (description: string, headers: Record<string, object> = {}) =>
  Type.Null({ description, headers: { ...COMMON_HEADERS, ...headers } })

/** The header with the number of tokens that a revocation ended. */
export const REVOKED_TOKENS = 'x-revoked-tokens'

/** Describes the response to a revocation of tokens. */
export const revokedTokensResponse = (description: string) =>
  noContentResponse(description, {
    'X-Revoked-Tokens': header('How many tokens ended, including those that they had issued.', 'integer'),
  })

/** The 404 for a token id of the path that the user does not have. */
export const NO_SUCH_TOKEN = notFoundResponse('The user has no such token.')

/** Describes a redirect. */
export const redirectResponse = (description: string) =>
  Type.Null({
    description,
    headers: { ...COMMON_HEADERS, Location: header('The target.') },
  })

/** Fortify's response without content: an empty JSON string. */
const EMPTY_JSON = '""'

/** Sends {@link EMPTY_JSON}. */
export const sendEmptyJson = (reply: FastifyReply<RouteGenericInterface>, status = 200): FastifyReply =>
  reply.code(status).type('application/json').send(EMPTY_JSON)

/** Describes the response {@link EMPTY_JSON}. */
export const emptyJsonResponse = (description: string) =>
  successResponse(Type.Literal('', { description, examples: [''] }))

/** Describes a 503. */
export const unavailableResponse = (description: string) =>
  errorResponse(description, MESSAGES.serviceUnavailable, {
    'Retry-After': header('Seconds to wait before the next attempt.', 'integer'),
  })

/** Adds the rate limit headers to responses below 400: on routes with a rate limit all of them carry those headers. */
export const withLimitHeaders = (responses: Record<string, { headers?: object }>): Record<string, object> =>
  Object.fromEntries(
    Object.entries(responses).map(([status, response]) => [
      status,
      Number(status) < 400
        ? { ...response, headers: { ...COMMON_HEADERS, ...LIMIT_HEADERS, ...response.headers } }
        : response,
    ]),
  )
