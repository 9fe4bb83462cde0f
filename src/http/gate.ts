import type { IncomingMessage } from 'node:http'
import { LOOPBACK, ownHosts } from '#src/auth/origin.ts'
import type { Config } from '#src/config/config.ts'
import { CEILING_FACTOR, type OverCeiling, requestCeiling } from '#src/limits/ceiling.ts'
import { type ClientAddress, clientAddresses } from '#src/limits/client-address.ts'
import type { Forwarded } from './forwarded.ts'
import { namesOneHost } from './request-target.ts'

export type HostFault = 'ambiguous' | 'unknown'

/** What is decided by the head of a request, before it is routed and before its body is read. */
export interface Gate {
  /** Whom a request is counted for while nobody is logged in. */
  clientOf(request: IncomingMessage): ClientAddress
  /**
   * Why a request is not for us: it does not name one host, with or without a port (`ambiguous`), or in production none
   * of ours (`unknown`); null when it is.
   *
   * @param anyHost whether it may be any
   */
  hostFault(request: IncomingMessage, anyHost?: boolean): HostFault | null
  /**
   * Whether links may be built on a host: it is APP_URL's or in APP_HOSTS, or locally a name of this machine. Others
   * could be somebody's whom a cache, or whoever is sent the answer, would be led to.
   */
  isLinked(host: string): boolean
  /** Counts a request for its client, once however often it is asked. Returns the limit that it is over, or null. */
  count(request: IncomingMessage, client: ClientAddress): OverCeiling | null
  /** Whether a request's body may be read before it is routed: it names our host, and counts as {@link Gate.count}. */
  admits(request: IncomingMessage): boolean
}

/**
 * Makes the checks that come before everything else. They are asked by hooks, and for forms that are read before the
 * router (src/http/method-override.ts) already there.
 *
 * @param monotonic milliseconds since a moment that does not change
 */
export function requestGate(
  { appEnv, appUrl, appHosts, localIps, rateLimitAnonymous }: Config,
  { addressOf, hostOf }: Forwarded,
  monotonic: () => number,
): Gate {
  const clients = clientAddresses(localIps)
  const ceiling = requestCeiling(rateLimitAnonymous * CEILING_FACTOR, monotonic)
  const isOwn = ownHosts([appUrl.hostname, ...appHosts])
  const isLinked = appEnv === 'local' ? ownHosts([appUrl.hostname, ...appHosts, ...LOOPBACK]) : isOwn
  // Most requests name the same host as the one before.
  let last = ''
  let isLastOwn = isOwn(last)
  /** Verdicts on requests that were counted before the router. */
  const early = new WeakMap<IncomingMessage, OverCeiling | null>()

  const gate: Gate = {
    clientOf: request => clients(addressOf(request), request.headers['x-forwarded-ip']),
    isLinked,
    hostFault(request, anyHost = false) {
      if (!namesOneHost(request)) return 'ambiguous'
      if (anyHost || appEnv !== 'production') return null
      const host = hostOf(request)
      if (host !== last) [last, isLastOwn] = [host, isOwn(host)]
      return isLastOwn ? null : 'unknown'
    },
    count(request, { isLocal, networks }) {
      const counted = early.get(request)
      if (counted !== undefined) return counted
      return isLocal ? null : ceiling(networks)
    },
    admits(request) {
      if (gate.hostFault(request) !== null) return false
      const verdict = gate.count(request, gate.clientOf(request))
      early.set(request, verdict)
      return verdict === null
    },
  }
  return gate
}
