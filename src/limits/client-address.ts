import { BlockList, isIP, isIPv6 } from 'node:net'
import { normalizeIP } from '@fastify/rate-limit'
import { LRUCache } from 'lru-cache'

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
  const local = new BlockList()
  for (const item of localIps) {
    const [address = '', bits] = item.split('/')
    const family = isIPv6(address) ? 'ipv6' : 'ipv4'
    if (bits === undefined) local.addAddress(address, family)
    else local.addSubnet(address, Number(bits), family)
  }
  const isOurs = (ip: string) => isIP(ip) !== 0 && local.check(ip, isIPv6(ip) ? 'ipv6' : 'ipv4')

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
