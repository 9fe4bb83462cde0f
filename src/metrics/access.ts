import type { EpochMillis } from '#src/runtime/units.ts'
import { createServer, type IncomingMessage, type Server } from 'node:http'
import { includesAddress } from '#src/auth/address-list.ts'
import { constantTimeEqual, sha256 } from '#src/auth/secret.ts'
import type { Config } from '#src/config/config.ts'
import type { Gate } from '#src/http/gate.ts'
import { pathOf } from '#src/http/request.ts'
import { buildSecurityHeaders } from '#src/http/security-headers.ts'
import { HttpError, routeNotFound, tooManyRequests, unauthenticated } from '#src/responses/errors.ts'
import { MESSAGES } from '#src/responses/messages.ts'

/** Where the metrics are, on each port that has them. */
export const METRICS_PATH = '/metrics'

const LOOPBACK = ['127.0.0.0/8', '::1/128']

const LOOPBACK_HOST = /^(localhost|127\.0\.0\.1|\[::1\])(:\d+)?$/i

/** What proxies add to the requests that they pass on. */
const FORWARDING = /^(forwarded|via|x-forwarded-.*|x-original-.*|(.*-)?(client|connecting|real)-ip)$/

/**
 * Whether a request comes from this machine itself: over loopback, to a loopback name, and passed on by nobody. A page
 * that has its own name resolve to loopback (DNS rebinding) names another host.
 */
export function isFromThisMachine({ socket, headers }: IncomingMessage): boolean {
  return (
    includesAddress(LOOPBACK, socket.remoteAddress ?? '') &&
    !Object.keys(headers).some(name => FORWARDING.test(name)) &&
    LOOPBACK_HOST.test(headers.host ?? '')
  )
}

/**
 * Whether the port that serves everything else has the metrics as well: for METRICS_TOKEN, or in APP_ENV=local for this
 * machine itself. With METRICS_PORT it has none.
 */
export const hasMetrics = ({ appEnv, metricsPort, metricsToken }: Config): boolean =>
  metricsPort === null && (metricsToken !== null || appEnv === 'local')

/**
 * Lets only those see the metrics there who have METRICS_TOKEN; without that setting this machine itself.
 *
 * @throws {HttpError} 401 for a wrong or missing token, 404 as for a path that does not exist
 */
export function requireMetricsAccess(config: Config, request: IncomingMessage): void {
  if (config.metricsToken === null && !isFromThisMachine(request)) throw routeNotFound(METRICS_PATH)
  requireToken(config, request)
}

function requireToken({ metricsToken }: Config, { headers }: IncomingMessage) {
  if (metricsToken === null) return
  const [, token] = /^Bearer +(\S+) *$/i.exec(headers.authorization ?? '') ?? []
  // Digests have one length, whatever was sent.
  if (token === undefined || !constantTimeEqual(sha256(token), sha256(metricsToken))) throw unauthenticated()
}

/** What the listener of METRICS_PORT needs. */
interface MetricsListener {
  config: Config
  gate: Gate
  /** Milliseconds since the epoch. */
  clock: () => EpochMillis
  /** The metrics in the text format of Prometheus, and its content type. */
  show(): Promise<{ type: string; text: string }>
}

/**
 * A server for METRICS_PORT, not listening yet: it has the metrics, and 404 for everything else. METRICS_TOKEN and the
 * ceiling of the address hold here as well.
 */
export function metricsServer({ config, gate, clock, show }: MetricsListener): Server {
  const answer = async (request: IncomingMessage) => {
    const over = gate.count(request, gate.clientOf(request))
    if (over !== null) throw tooManyRequests(over, clock())
    const path = pathOf(request.url ?? '')
    const isRead = request.method === 'GET' || request.method === 'HEAD'
    if (path !== METRICS_PATH || !isRead) throw routeNotFound(path)
    requireToken(config, request)
    return show()
  }

  return createServer({ requestTimeout: 10_000 }, (request, response) => {
    answer(request).then(
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
