import type { IncomingMessage } from 'node:http'
import { createHostCheck, LOOPBACK } from '#src/auth/origin.ts'
import type { Config } from '#src/config/config.ts'
import { CEILING_FACTOR, type ExceededCeiling, requestCeiling } from '#src/limits/ceiling.ts'
import { type ClientAddress, clientAddressResolver } from '#src/limits/client-address.ts'
import type { MonotonicMillis } from '#src/runtime/units.ts'
import type { ForwardedReader } from './forwarded.ts'
import { hasMalformedForwarded } from './forwarded-header.ts'
import { namesOneHost } from './request-target.ts'

export type HostFault = 'malformed' | 'ambiguous' | 'unknown'

/** Checks of a request's head that run before routing and before the body is read. */
export interface Gate {
  /** Returns the client address to which a request of a guest is counted. */
  clientOf(request: IncomingMessage): ClientAddress
  /**
   * Returns why the host of a request is refused. `malformed`: the `Forwarded` header that may name it. `ambiguous`: not exactly one host. `unknown`: in production, a host that
   * is neither APP_URL's nor in APP_HOSTS. Null if it is accepted.
   *
   * @param anyHost whether any single host is accepted
   */
  hostFault(request: IncomingMessage, anyHost?: boolean): HostFault | null
  /**
   * Whether responses may contain links to a host: APP_URL's, one of APP_HOSTS, or with APP_ENV=local a loopback name.
   * Others allow host header injection: the link would be cached, or mailed, with the attacker's host.
   */
  isLinkHost(host: string): boolean
  /** Counts a request towards its client's ceiling, once even if called again. Returns the exceeded ceiling, or null. */
  count(request: IncomingMessage, client: ClientAddress): ExceededCeiling | null
  /** Whether the body may be read before routing: the host is accepted, and the client is within its ceiling. Counts it. */
  admits(request: IncomingMessage): boolean
}

/**
 * Creates the {@link Gate} of a server. Steps use it, and so do the readers that run before the router
 * (src/http/method-override.ts, src/http/overload.ts).
 */
export function createGate(
  { appEnv, appUrl, appHosts, localIps, rateLimitAnonymous }: Config,
  { addressOf, hostOf }: ForwardedReader,
  monotonic: () => MonotonicMillis,
): Gate {
  const clients = clientAddressResolver(localIps)
  const ceiling = requestCeiling(rateLimitAnonymous * CEILING_FACTOR, monotonic)
  const isOwn = createHostCheck([appUrl.hostname, ...appHosts])
  const isLinkHost = appEnv === 'local' ? createHostCheck([appUrl.hostname, ...appHosts, ...LOOPBACK]) : isOwn
  // Caches the last result: most requests have the same host as the one before.
  let last = ''
  let isLastOwn = isOwn(last)
  /** Results for requests that were counted before routing. */
  const countedEarly = new WeakMap<IncomingMessage, ExceededCeiling | null>()

  const gate: Gate = {
    clientOf: request => clients(addressOf(request), request.headers['x-forwarded-ip']),
    isLinkHost,
    hostFault(request, anyHost = false) {
      if (hasMalformedForwarded(request)) return 'malformed'
      if (!namesOneHost(request)) return 'ambiguous'
      if (anyHost || appEnv !== 'production') return null
      const host = hostOf(request)
      if (host !== last) [last, isLastOwn] = [host, isOwn(host)]
      return isLastOwn ? null : 'unknown'
    },
    count(request, { isLocal, networks }) {
      const counted = countedEarly.get(request)
      if (counted !== undefined) return counted
      return isLocal ? null : ceiling(networks)
    },
    admits(request) {
      if (gate.hostFault(request) !== null) return false
      const verdict = gate.count(request, gate.clientOf(request))
      countedEarly.set(request, verdict)
      return verdict === null
    },
  }
  return gate
}
