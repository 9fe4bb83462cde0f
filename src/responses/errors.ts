import type { Bytes, EpochMillis, Millis } from '#src/runtime/units.ts'
import { MESSAGES } from './messages.ts'

/** The maximum request body of routes that require authentication. */
export const BODY_LIMIT_BYTES: Bytes = 1_048_576

/** The maximum request body of all other routes, and of forms. */
export const SMALL_BODY_LIMIT_BYTES: Bytes = 65_536

/** An error response. Thrown anywhere, rendered by the error handler. */
export class HttpError extends Error {
  readonly statusCode: number
  readonly headers: Readonly<Record<string, string | number>>
  /** Messages by dotted field name, for a 422. */
  readonly errors: Readonly<Record<string, readonly string[]>> | undefined
  /** Advice for the client's developer; undefined for none. */
  readonly hint: string | undefined

  constructor(
    statusCode: number,
    message: string,
    {
      headers = {},
      errors,
      hint,
    }: { headers?: Record<string, string | number>; errors?: Record<string, string[]>; hint?: string } = {},
  ) {
    super(message)
    this.name = 'HttpError'
    this.statusCode = statusCode
    this.headers = headers
    this.errors = errors
    this.hint = hint
  }

  /** The body in Laravel's format: a message, for a 422 the errors by field, and a hint if there is one. */
  get body() {
    const { message, errors, hint } = this
    return { message, ...(errors !== undefined && { errors }), ...(hint !== undefined && { hint }) }
  }
}

/**
 * 401, the same for all reasons. The RFC 6750 challenge has no error code, which would distinguish a wrong token from
 * a missing one.
 */
export const unauthenticated = () =>
  new HttpError(401, MESSAGES.unauthenticated, { headers: { 'www-authenticate': 'Bearer' } })

/** 403, by default with the message for a missing permission. */
export const forbidden = (message: string = MESSAGES.unauthorized) => new HttpError(403, message)

/** 403 for a user who must set up a second factor first. */
export class SecondFactorRequired extends HttpError {
  constructor() {
    super(403, MESSAGES.secondFactorRequired)
    this.name = 'SecondFactorRequired'
  }
}

/** 404 for a missing row. Unlike Laravel's, the message does not name the model class. */
export const notFound = () => new HttpError(404, MESSAGES.notFound)

/** 404 for an unknown path. Laravel names it without the leading slash. */
export const routeNotFound = (path: string) =>
  new HttpError(404, MESSAGES.routeNotFound(path.replace(/^\//, '')))

/** 405 for a path that has only other methods. */
export const methodNotAllowed = (method: string, path: string, allowed: readonly string[]) =>
  new HttpError(405, MESSAGES.methodNotAllowed(method, path.replace(/^\//, ''), allowed), {
    headers: { allow: allowed.join(', ') },
  })

/** 423 when the password must be confirmed again. */
export const passwordConfirmationRequired = () => new HttpError(423, MESSAGES.passwordConfirmationRequired)

/** 419, Laravel's status for a missing or wrong CSRF token. */
export const csrfMismatch = (hint?: string) => new HttpError(419, MESSAGES.csrfMismatch, { hint })

/**
 * 429 with Laravel's four headers.
 *
 * @param limit.ttl time until the window ends
 */
export const tooManyRequests = ({ max, ttl }: { max: number; ttl: Millis }, now: EpochMillis) =>
  new HttpError(429, MESSAGES.tooManyAttempts, {
    headers: {
      'x-ratelimit-limit': max,
      'x-ratelimit-remaining': 0,
      'retry-after': Math.ceil(ttl / 1000),
      'x-ratelimit-reset': Math.ceil((now + ttl) / 1000),
    },
  })

/** 408 for a request whose rest did not arrive in time. The connection is closed, because it cannot be reused. */
export const requestTimeout = () =>
  new HttpError(408, MESSAGES.requestTimeout, { headers: { connection: 'close' } })

/**
 * 503 for a temporary failure.
 *
 * @param retryAfterMs expected time until it is over
 */
export const serviceUnavailable = (retryAfterMs: Millis = 5_000) =>
  new HttpError(503, MESSAGES.serviceUnavailable, {
    headers: { 'retry-after': Math.max(1, Math.ceil(retryAfterMs / 1000)) },
  })

/**
 * 422 in Laravel's format: the message is the first error and the number of further ones.
 *
 * @param errors messages by dotted field name, in the order of the rules; at least one
 */
export function unprocessable(errors: Record<string, string[]>): HttpError {
  const [first = '', ...more] = Object.values(errors).flat()
  const message = more.length === 0 ? first : `${first} ${MESSAGES.andMoreErrors(more.length)}`
  return new HttpError(422, message, { errors })
}
