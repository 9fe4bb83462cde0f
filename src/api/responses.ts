import type { FastifyReply, RouteGenericInterface } from 'fastify'
import { type TSchema, Type } from 'typebox'
import { schemaReference } from '#src/query/openapi.ts'

/** A response header in OpenAPI. */
export interface DocumentedHeader {
  type: 'string' | 'integer'
  description: string
  /** Whether every such response has it. */
  required?: true
}

/** Describes a response header in OpenAPI. */
export const header = (description: string, type: DocumentedHeader['type'] = 'string'): DocumentedHeader => ({
  type,
  description,
})

const always = (described: DocumentedHeader): DocumentedHeader => ({ ...described, required: true })

/** The headers that tell callers their remaining rate limit. */
export const LIMIT_HEADERS = {
  'X-RateLimit-Limit': header(
    'Requests allowed in a minute. Absent for callers who are not limited.',
    'integer',
  ),
  'X-RateLimit-Remaining': header('Requests left in this minute.', 'integer'),
}

/** The headers of a 429, besides {@link LIMIT_HEADERS}. */
export const REFUSAL_HEADERS = {
  'X-RateLimit-Reset': header('Unix time in seconds when the next request is allowed.', 'integer'),
  'Retry-After': header('Seconds to wait before the next request.', 'integer'),
}

const REQUEST_ID = { 'X-Request-Id': always(header("The request's id, as in the server's log.")) }

const CACHE_CONTROL = { 'Cache-Control': always(header('`no-store, private`')) }

/** The headers of responses that must not be cached. */
export const COMMON_HEADERS = { ...REQUEST_ID, ...CACHE_CONTROL }

/** Describes an error response. */
export const errorResponse = (
  description: string,
  example: string,
  headers: Record<string, object> = {},
) => ({
  ...schemaReference('ApiError'),
  description,
  headers: { ...COMMON_HEADERS, ...headers },
  examples: [{ message: example }],
})

/** Describes a successful response. Where a rate limit applies, its headers are added. */
export const successResponse = <T extends TSchema>(
  schema: T,
  headers: Record<string, DocumentedHeader> = {},
): T => ({
  ...schema,
  headers: { ...COMMON_HEADERS, ...headers },
})

/** Describes a successful public response that clients cache and revalidate. */
export const cachedDocument = <T extends TSchema>(schema: T): T => ({
  ...schema,
  headers: {
    ...REQUEST_ID,
    'Cache-Control': always(header('`no-cache`: to be stored, and revalidated with `If-None-Match`')),
    ETag: header('The version, for `If-None-Match`; 304 when it has not changed.'),
  },
})

/** Describes the 304 of a {@link cachedDocument}. */
export const NOT_MODIFIED = Type.Null({
  description: "The client's copy is current.",
  headers: {
    ...REQUEST_ID,
    'Cache-Control': always(header('`no-cache`')),
    ETag: header('The version.'),
  },
})

/** Describes a successful public response that caches keep for a day. */
export const publicDocument = <T extends TSchema>(schema: T): T => ({
  ...schema,
  headers: { ...REQUEST_ID, 'Cache-Control': always(header(`\`${CACHED_FOR_A_DAY}\``)) },
})

/** The Cache-Control of public responses that may be a day old. */
export const CACHED_FOR_A_DAY = 'public, max-age=86400'

/** A message, and the same for clients that follow Laravel's Breeze, which reads it from `status`. */
interface StatusBody {
  message: string
  status: string
}

/** Describes the message that a route for guests returns, or its response to users who are logged in. */
export const guestResponse = (description: string) => shared<StatusBody>('GuestMessage', description)

/** Describes the response to a request for a mail. */
export const statusResponse = (description: string) => shared<StatusBody>('Status', description)

/** A response of a route that is the shared one of that name in OpenAPI, with what it means here. */
const shared = <Body>(component: string, description: string) => Type.Unsafe<Body>({ component, description })

/** Says when a route responds with an error that routes share, such as 403 or 404. */
export const refusal = (description: string) => Type.Unsafe<{ message: string }>({ description })

/** Describes a success message. */
export const messageResponse = () => shared<{ message: string }>('Message', 'Done.')

/** Describes a successful response without a body. */
export const noContentResponse = (description: string) => shared<null>('NoContent', description)

/** The header with the number of tokens that a revocation ended. */
export const REVOKED_TOKENS = 'x-revoked-tokens'

/** Describes the response to a revocation of tokens. */
export const revokedTokensResponse = (description: string) => shared<null>('TokensRevoked', description)

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
export const emptyJsonResponse = (description: string) => shared<string>('EmptyText', description)
