import type { IncomingMessage } from 'node:http'
import type { Bytes } from '#src/runtime/units.ts'

/** The router options, used by the server and by src/http/known-methods.ts. */
export const ROUTER_OPTIONS = { ignoreTrailingSlash: true, maxParamLength: 1_000 } as const

/** The status that is logged after a client disconnect, as by nginx. */
export const CLIENT_CLOSED_REQUEST = 499

/** Whether a URL is a health check's. Health checks are exempt from ceiling and admission control. */
export const isHealthCheck = (url = ''): boolean =>
  url.startsWith('/health') && /^\/health(?:[/?]|$)/.test(url)

/** Returns the path of a URL, without its query string. */
export function pathOf(url: string): string {
  const end = url.indexOf('?')
  return end === -1 ? url : url.slice(0, end)
}

/** The longest unread body that is received and discarded to keep a connection: cheaper than a new connection. */
const MAX_DISCARDED_BYTES: Bytes = 65_536

/** Whether a request has an unread body of unknown or large size, so that its connection should be closed. */
export const hasUnreadBody = ({ headers, complete }: IncomingMessage): boolean =>
  !complete &&
  (headers['transfer-encoding'] !== undefined || Number(headers['content-length'] ?? 0) > MAX_DISCARDED_BYTES)
