import type { IncomingMessage } from 'node:http'

/** How paths are matched with routes. */
export const ROUTER_OPTIONS = { ignoreTrailingSlash: true, maxParamLength: 1_000 } as const

/** The status of requests whose client closed the connection before it had the answer, as nginx logs them. */
export const CLIENT_CLOSED_REQUEST = 499

/** Whether a route, by its URL, is a health check: those answer however many requests there are. */
export const isHealthCheck = (url = ''): boolean => /^\/health(?:[/?]|$)/.test(url)

/** The path of a request, without its query string. */
export const pathOf = (url: string): string => url.split('?', 1)[0] ?? url

/** What is received of an unread body, in bytes, to keep a connection: a new one would cost more. */
const MAX_DISCARDED_BYTES = 65_536

/** Whether so much of a request's body may be still to come that its connection is better closed. */
export const hasUnreadBody = ({ headers, complete }: IncomingMessage): boolean =>
  !complete &&
  (headers['transfer-encoding'] !== undefined || Number(headers['content-length'] ?? 0) > MAX_DISCARDED_BYTES)
