import { isIP } from 'node:net'
import { normalizeIP } from '@fastify/rate-limit'
import { LRUCache } from 'lru-cache'
import { includesAddress } from '../auth/address-list.ts'

/** Whom a request is counted for while nobody is logged in. */
export interface ClientAddress {
  /** An IPv4 address, or the /64 network of an IPv6 address: what one customer usually has. */
  key: string
  /** Whether it comes from one of our own machines on its own behalf, and is not counted at all. */
  isLocal: boolean
}

/**
 * Says who a request comes from. Our own machines may pass on their visitor's address as `x-forwarded-ip`;
 * from anybody else that header means nothing.
 *
 * @param localIps addresses and ranges of our own machines
 */
export function clientAddresses(localIps: readonly string[]) {
  const isOurs = (ip: string) => includesAddress(localIps, ip)

  const find = (peer: string, forwardedIp: string | string[] | undefined): ClientAddress => {
    const ip = withoutPort(peer)
    if (localIps.length === 0 || !isOurs(ip)) return { key: normalizeIP(ip), isLocal: false }
    if (forwardedIp === undefined) return { key: normalizeIP(ip), isLocal: true }
    const visitor = typeof forwardedIp === 'string' && isIP(forwardedIp) !== 0 ? forwardedIp : ip
    return { key: normalizeIP(visitor), isLocal: false }
  }

  // The same addresses call again and again.
  const known = new LRUCache<string, ClientAddress>({ max: REMEMBERED })
  return (peer: string, forwardedIp: string | string[] | undefined): ClientAddress => {
    if (forwardedIp !== undefined && localIps.length > 0) return find(peer, forwardedIp)
    let address = known.get(peer)
    if (address === undefined) {
      address = find(peer, undefined)
      known.set(peer, address)
    }
    return address
  }
}

const REMEMBERED = 1_000

/** Some proxies write the port along, and would give every connection a key of its own. */
const withoutPort = (ip: string) =>
  ip.replace(/^(\d+\.\d+\.\d+\.\d+):\d+$/, '$1').replace(/^\[(.+)\](:\d+)?$/, '$1')
