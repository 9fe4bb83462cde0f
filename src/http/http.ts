import { type IncomingMessage, STATUS_CODES } from 'node:http'
import type { Socket } from 'node:net'
import type { FastifyError, FastifyRequest, FastifyServerOptions } from 'fastify'
import { BODY_LIMIT_BYTES, HttpError, serviceUnavailable, unprocessable } from '#src/answers/errors.ts'
import { MESSAGES } from '#src/answers/messages.ts'
import { validationMessages } from '#src/answers/validation.ts'
import { HashWorkerLost } from '#src/auth/hash-workers.ts'
import type { Config } from '#src/config/config.ts'
import type { Browser } from '#src/database/browsers.ts'
import { MOST_INCLUDED, TooMuchIncluded } from '#src/database/select/found.ts'
import { LookupRefused } from '#src/database/shared-lookup.ts'
import { DatabaseBusy, DatabaseUnavailable } from '#src/database/unavailable.ts'
import { TurnRefused } from '#src/runtime/fair-queue.ts'

/** What an answer that is data carries. Pages of HTML replace the policies that would stop them. */
const SECURITY_HEADERS = {
  'cache-control': 'no-store, private',
  'content-security-policy': "default-src 'none'; frame-ancestors 'none'",
  'cross-origin-opener-policy': 'same-origin',
  'cross-origin-resource-policy': 'same-origin',
  'referrer-policy': 'no-referrer',
  'x-content-type-options': 'nosniff',
  'x-download-options': 'noopen',
  'x-frame-options': 'DENY',
  'x-permitted-cross-domain-policies': 'none',
  // The filters that this header drives leaked data across origins: off is the only safe value.
  'x-xss-protection': '0',
}

/** The headers of every answer; with HTTPS also the promise to stay with it (RFC 6797). */
export function securityHeaders({
  appUrl,
  hstsMaxAge,
  hstsIncludeSubdomains,
  hstsPreload,
}: Pick<Config, 'appUrl' | 'hstsMaxAge' | 'hstsIncludeSubdomains' | 'hstsPreload'>): Record<string, string> {
  if (appUrl.protocol !== 'https:') return SECURITY_HEADERS
  const promise = [
    `max-age=${hstsMaxAge}`,
    ...(hstsIncludeSubdomains ? ['includeSubDomains'] : []),
    ...(hstsPreload ? ['preload'] : []),
  ]
  return { ...SECURITY_HEADERS, 'strict-transport-security': promise.join('; ') }
}

/** Names under which something could be logged that nobody may read there. */
const SECRET_NAMES = ['authorization', 'cookie', 'set-cookie', 'password', 'token', 'secret', 'key']

/** Structured logs, one JSON object a line, in which secrets cannot stand. */
export function loggerOptions(
  level: Config['logLevel'],
  stream?: { write(line: string): void },
): FastifyServerOptions['logger'] {
  return {
    level,
    ...(stream && { stream }),
    redact: {
      paths: SECRET_NAMES.flatMap(name => [`["${name}"]`, `*["${name}"]`, `*.headers["${name}"]`]),
      censor: '[redacted]',
    },
    serializers: { err: describeError },
  }
}

interface Described {
  type: string
  message: string
  stack: string
  code?: unknown
  cause?: Described
  [key: string]: unknown
}

/** Errors of databases carry their parameters and rows along: only what is known to be harmless is logged. */
function describeError(error: unknown): Described {
  if (!(error instanceof Error)) return { type: typeof error, message: String(error), stack: '' }
  const { code, cause, stack = '' } = error as Error & { code?: unknown }
  return {
    type: error.name,
    message: error.message,
    stack,
    ...(code !== undefined && { code }),
    ...(cause !== undefined && { cause: describeError(cause) }),
  }
}

/** How paths are matched with routes. */
export const ROUTER_OPTIONS = { ignoreTrailingSlash: true, maxParamLength: 1_000 } as const

/** The status of requests whose client closed the connection before it had the answer, as nginx logs them. */
export const CLIENT_CLOSED_REQUEST = 499

/** A request was not answered within REQUEST_TIMEOUT. */
export class RequestTimedOut extends Error {
  constructor() {
    super('The request was not answered in time.')
    this.name = 'RequestTimedOut'
  }
}

/** What has too much to do, where nothing is wrong. */
const BUSY = [DatabaseBusy, LookupRefused, TurnRefused]

/** What will work again by itself. */
const PASSING = [...BUSY, DatabaseUnavailable, HashWorkerLost, RequestTimedOut]

/** Whether an error says no more than that there is too much to do. */
export const isBusy = (error: Error): boolean => BUSY.some(kind => error instanceof kind)

/** Whether an error is one that many requests meet at the same time, since something is down or has too much to do. */
export const isPassing = (error: Error): boolean => PASSING.some(kind => error instanceof kind)

/**
 * The answer that an error stands for. What nobody foresaw is a 500 without details.
 *
 * @param request.bodyLimit the largest body that the route takes, in bytes
 */
export function toHttpError(
  error: (Error & Partial<FastifyError>) | HttpError,
  { contentType, bodyLimit = BODY_LIMIT_BYTES }: { contentType?: string; bodyLimit?: number } = {},
): HttpError {
  if (error instanceof HttpError) return error
  if (error instanceof TurnRefused) return serviceUnavailable(error.retryAfterMs)
  if (isPassing(error)) return serviceUnavailable()
  if (error instanceof TooMuchIncluded) {
    return unprocessable({ include: [MESSAGES.tooMuchIncluded(MOST_INCLUDED)] })
  }
  const { code, statusCode, validation } = error
  if (validation) return unprocessable(validationMessages(validation))
  switch (code) {
    case 'FST_ERR_CTP_BODY_TOO_LARGE':
      return new HttpError(413, MESSAGES.bodyTooLarge(bodyLimit))
    case 'FST_ERR_CTP_INVALID_MEDIA_TYPE':
      return new HttpError(415, MESSAGES.unsupportedMediaType(contentType))
    case 'FST_ERR_CTP_INVALID_JSON_BODY':
    case 'FST_ERR_CTP_EMPTY_JSON_BODY':
      return new HttpError(400, MESSAGES.malformedJson)
  }
  return statusCode !== undefined && statusCode >= 400 && statusCode < 500
    ? new HttpError(statusCode === 414 ? 414 : 400, MESSAGES.badRequest)
    : new HttpError(500, MESSAGES.serverError)
}

export { isSafe } from '#src/auth/safe-methods.ts'

/** Whether a route, by its URL, is a health check: those answer however many requests there are. */
export const isHealthCheck = (url = ''): boolean => url.startsWith('/health/')

/** The path of a request, without its query string. */
export const pathOf = (url: string): string => url.split('?', 1)[0] ?? url

/** What is received of an unread body, in bytes, to keep a connection: a new one would cost more. */
const DISCARDED_BYTES = 65_536

/** Whether so much of a request's body may be still to come that its connection is better closed. */
export const isUnderWay = ({ headers, complete }: IncomingMessage): boolean =>
  !complete &&
  (headers['transfer-encoding'] !== undefined || Number(headers['content-length'] ?? 0) > DISCARDED_BYTES)

/** What is stored of the browser that sent a request. */
export const browserOf = ({ clientAddress, headers }: FastifyRequest): Browser => ({
  address: clientAddress.ip,
  userAgent: headers['user-agent'],
})

/** Answers what is not even HTTP, or too large or too slow to be, and hangs up. */
export function onClientError(error: Error & { code?: string }, socket: Socket): void {
  if (error.code === 'ECONNRESET' || socket.destroyed || !socket.writable) {
    socket.destroy()
    return
  }
  const status =
    error.code === 'HPE_HEADER_OVERFLOW' ? 431 : error.code === 'ERR_HTTP_REQUEST_TIMEOUT' ? 408 : 400
  const message =
    status === 400 ? MESSAGES.badRequest : status === 431 ? MESSAGES.headersTooLarge : STATUS_CODES[status]
  const body = JSON.stringify({ message })
  socket.end(
    `HTTP/1.1 ${status} ${STATUS_CODES[status]}\r\nContent-Type: application/json\r\n` +
      `Content-Length: ${Buffer.byteLength(body)}\r\nConnection: close\r\n\r\n${body}`,
  )
}
