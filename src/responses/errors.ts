import { MESSAGES } from './messages.ts'

/** The largest request body of a route that needs to know who calls, in bytes. */
export const BODY_LIMIT_BYTES = 1_048_576

/** The largest request body of all other routes, and of those for browsers: their forms have a few fields. */
export const SMALL_BODY_LIMIT_BYTES = 65_536

/** An answer that says no: thrown wherever that becomes known, rendered in one place. */
export class HttpError extends Error {
  readonly statusCode: number
  readonly headers: Readonly<Record<string, string | number>>
  /** Dotted names of fields with what is wrong about each, for a 422. */
  readonly errors: Readonly<Record<string, readonly string[]>> | undefined

  constructor(
    statusCode: number,
    message: string,
    {
      headers = {},
      errors,
    }: { headers?: Record<string, string | number>; errors?: Record<string, string[]> } = {},
  ) {
    super(message)
    this.name = 'HttpError'
    this.statusCode = statusCode
    this.headers = headers
    this.errors = errors
  }

  /** The body as Laravel writes it: a message, and with a 422 the errors by field. */
  get body() {
    return this.errors === undefined
      ? { message: this.message }
      : { message: this.message, errors: this.errors }
  }
}

/**
 * 401, the same for whatever reason. The challenge is RFC 6750's without an error code: a code would tell a
 * wrong token from a missing one.
 */
export const unauthenticated = () =>
  new HttpError(401, MESSAGES.unauthenticated, { headers: { 'www-authenticate': 'Bearer' } })

/** 403, with the sentence for a missing permission unless another is given. */
export const forbidden = (message: string = MESSAGES.unauthorized) => new HttpError(403, message)

/** 403 for a user who has to set up a second factor before anything else. */
export class SecondFactorRequired extends HttpError {
  constructor() {
    super(403, MESSAGES.secondFactorRequired)
    this.name = 'SecondFactorRequired'
  }
}

/** 404 for something that does not exist. The reference names the class that it looked for; this does not. */
export const notFound = () => new HttpError(404, MESSAGES.notFound)

/** 404 for a path that no route has. Laravel names it without its leading slash. */
export const routeNotFound = (path: string) =>
  new HttpError(404, MESSAGES.routeNotFound(path.replace(/^\//, '')))

/** 405 for a path that only other methods have. */
export const methodNotAllowed = (method: string, path: string, allowed: readonly string[]) =>
  new HttpError(405, MESSAGES.methodNotAllowed(method, path.replace(/^\//, ''), allowed), {
    headers: { allow: allowed.join(', ') },
  })

/** 423 for what asks for the password again, when that was too long ago. */
export const passwordConfirmationRequired = () => new HttpError(423, MESSAGES.passwordConfirmationRequired)

/** 419, Laravel's own status, for a change that no page of ours can be shown to have asked for. */
export const csrfMismatch = () => new HttpError(419, MESSAGES.csrfMismatch)

/**
 * 429 with Laravel's four headers.
 *
 * @param limit.max what the limit is
 * @param limit.ttl milliseconds until the window ends
 * @param now milliseconds since the epoch
 */
export const tooManyRequests = ({ max, ttl }: { max: number; ttl: number }, now: number) =>
  new HttpError(429, MESSAGES.tooManyAttempts, {
    headers: {
      'x-ratelimit-limit': max,
      'x-ratelimit-remaining': 0,
      'retry-after': Math.ceil(ttl / 1000),
      'x-ratelimit-reset': Math.ceil((now + ttl) / 1000),
    },
  })

/** 408 for a request of which the rest has not come in time, whose connection is of no use any longer. */
export const requestTimeout = () =>
  new HttpError(408, MESSAGES.requestTimeout, { headers: { connection: 'close' } })

/**
 * 503 for what will work again by itself.
 *
 * @param retryAfterMs milliseconds until it is likely to
 */
export const serviceUnavailable = (retryAfterMs = 5_000) =>
  new HttpError(503, MESSAGES.serviceUnavailable, {
    headers: { 'retry-after': Math.max(1, Math.ceil(retryAfterMs / 1000)) },
  })

/**
 * 422 as Laravel writes it: the first sentence, and how many more there are.
 *
 * @param errors sentences by dotted field name, in the order of the rules; at least one
 */
export function unprocessable(errors: Record<string, string[]>): HttpError {
  const [first = '', ...more] = Object.values(errors).flat()
  const message = more.length === 0 ? first : `${first} ${MESSAGES.andMoreErrors(more.length)}`
  return new HttpError(422, message, { errors })
}
