import type { IncomingMessage } from 'node:http'
import { ownHosts } from './auth/origin.ts'
import type { Config } from './config.ts'
import type { Forwarded } from './forwarded.ts'
import { CEILING_FACTOR, type OverCeiling, requestCeiling } from './limits/ceiling.ts'
import { type ClientAddress, clientAddresses } from './limits/client-address.ts'

/** What is decided by the head of a request, before it is routed and before its body is read. */
export interface Gate {
  /** Whom a request is counted for while nobody is logged in. */
  clientOf(request: IncomingMessage): ClientAddress
  /** Whether a host, with or without a port, is one of ours. Outside production every host is. */
  isOwnHost(host: string): boolean
  /** Counts a request for its client, once however often it is asked. Returns the limit that it is over, or null. */
  count(request: IncomingMessage, client: ClientAddress): OverCeiling | null
  /** Whether a request's body may be read before it is routed: it names our host, and counts as {@link Gate.count}. */
  admits(request: IncomingMessage): boolean
}

/**
 * Makes the checks that come before everything else. They are asked by hooks, and for forms that are read before the
 * router (src/method-override.ts) already there.
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
  const isListed = ownHosts([appUrl.hostname, ...appHosts])
  /** Verdicts on requests that were counted before the router. */
  const early = new WeakMap<IncomingMessage, OverCeiling | null>()

  const gate: Gate = {
    clientOf: request => clients(addressOf(request), request.headers['x-forwarded-ip']),
    isOwnHost: host => appEnv !== 'production' || isListed(host),
    count(request, { isLocal, networks }) {
      const counted = early.get(request)
      if (counted !== undefined) return counted
      return isLocal ? null : ceiling(networks)
    },
    admits(request) {
      if (!gate.isOwnHost(hostOf(request))) return false
      const verdict = gate.count(request, gate.clientOf(request))
      early.set(request, verdict)
      return verdict === null
    },
  }
  return gate
}
