import { createServer, type IncomingMessage, type Server } from 'node:http'
import { includesAddress } from '#src/auth/address-list.ts'
import { constantTimeEqual, sha256 } from '#src/auth/secret.ts'
import type { Config } from '#src/config/config.ts'
import type { Gate } from '#src/http/gate.ts'
import { pathOf } from '#src/http/request.ts'
import { buildSecurityHeaders } from '#src/http/security-headers.ts'
import { HttpError, routeNotFound, tooManyRequests, unauthenticated } from '#src/responses/errors.ts'
import { MESSAGES } from '#src/responses/messages.ts'
import type { EpochMillis } from '#src/runtime/units.ts'

/** The path of the metrics, on each port that serves them. */
export const METRICS_PATH = '/metrics'

const LOOPBACK = ['127.0.0.0/8', '::1/128']

const LOOPBACK_HOST = /^(localhost|127\.0\.0\.1|\[::1\])(:\d+)?$/i

/** Headers that proxies add. */
const FORWARDING = /^(forwarded|via|x-forwarded-.*|x-original-.*|(.*-)?(client|connecting|real)-ip)$/

/**
 * Returns whether a request comes from this machine: over loopback, to a loopback name, and not through a proxy. In a
 * DNS rebinding attack a page has another host name resolve to loopback.
 */
export function isFromThisMachine({ socket, headers }: IncomingMessage): boolean {
  return (
    includesAddress(LOOPBACK, socket.remoteAddress ?? '') &&
    !Object.keys(headers).some(name => FORWARDING.test(name)) &&
    LOOPBACK_HOST.test(headers.host ?? '')
  )
}

/**
 * Returns whether the main port serves the metrics too: with METRICS_TOKEN, or in APP_ENV=local to this machine. Not
 * with METRICS_PORT.
 */
export const hasMetrics = ({ appEnv, metricsPort, metricsToken }: Config): boolean =>
  metricsPort === null && (metricsToken !== null || appEnv === 'local')

/**
 * Requires METRICS_TOKEN for the metrics of the main port; without that setting, a request from this machine.
 *
 * @throws {HttpError} 401 for a wrong or missing token, 404 as for an unknown path
 */
export function requireMetricsAccess(config: Config, request: IncomingMessage): void {
  if (config.metricsToken === null && !isFromThisMachine(request)) throw routeNotFound(METRICS_PATH)
  requireToken(config, request)
}

function requireToken({ metricsToken }: Config, { headers }: IncomingMessage) {
  if (metricsToken === null) return
  const [, token] = /^Bearer +(\S+) *$/i.exec(headers.authorization ?? '') ?? []
  // A constant-time comparison of digests, which have equal lengths.
  if (token === undefined || !constantTimeEqual(sha256(token), sha256(metricsToken))) throw unauthenticated()
}

/** What the listener of METRICS_PORT needs. */
interface MetricsListener {
  config: Config
  gate: Gate
  clock: () => EpochMillis
  /** Renders the metrics in Prometheus' text format, with its content type. */
  render(): Promise<{ type: string; text: string }>
}

/**
 * Makes the server for METRICS_PORT, not listening yet: the metrics, and 404 for everything else. METRICS_TOKEN and the
 * ceiling apply here too.
 */
export function metricsServer({ config, gate, clock, render }: MetricsListener): Server {
  const handle = async (request: IncomingMessage) => {
    const over = gate.count(request, gate.clientOf(request))
    if (over !== null) throw tooManyRequests(over, clock())
    const path = pathOf(request.url ?? '')
    const isRead = request.method === 'GET' || request.method === 'HEAD'
    if (path !== METRICS_PATH || !isRead) throw routeNotFound(path)
    requireToken(config, request)
    return render()
  }

  return createServer({ requestTimeout: 10_000 }, (request, response) => {
    handle(request).then(
      ({ type, text }) => {
        response.writeHead(200, { ...buildSecurityHeaders(config), 'content-type': type }).end(text)
      },
      error => {
        const { statusCode, headers, body } =
          error instanceof HttpError ? error : new HttpError(500, MESSAGES.serverError)
        response
          .writeHead(statusCode, {
            ...buildSecurityHeaders(config),
            'content-type': 'application/json; charset=utf-8',
            connection: 'close',
            ...headers,
          })
          .end(JSON.stringify(body))
      },
    )
  })
}
