import { isIP } from 'node:net'
import { normalizeIP } from '@fastify/rate-limit'
import { LRUCache } from 'lru-cache'
import { canonicalAddress, includesAddress } from '#src/auth/address-list.ts'

/** A network whose addresses are counted together. */
export interface Network {
  key: string
  /** How many customers' worth of requests are allowed to it. */
  share: number
}

/**
 * The prefixes of IPv6 that are counted besides a /64, with their shares. Some customers get a /56 or a /48 whole
 * (RFC 6177): counted by /64 alone, they could try 65,536 times as often as others.
 */
const WIDER_NETWORKS = [
  { bits: 56, share: 4 },
  { bits: 48, share: 16 },
] as const

/** The networks that an address is in, from the narrowest: an IPv4 address is one by itself. */
function networksOf(ip: string): readonly [Network, ...Network[]] {
  const single = { key: normalizeIP(ip), share: 1 }
  if (isIP(single.key) !== 6) return [single]
  const wider = WIDER_NETWORKS.map(({ bits, share }) => ({ key: `${normalizeIP(ip, bits)}/${bits}`, share }))
  return [single, ...wider]
}

/**
 * The network that a login is recognised by: a /24 of IPv4, or a /48 of IPv6. Within it addresses of one customer
 * change by themselves.
 */
export function loginNetwork({ networks }: Pick<ClientAddress, 'networks'>): string {
  const widest = networks.at(-1)?.key ?? ''
  const [, prefix] = /^(\d+\.\d+\.\d+)\.\d+$/.exec(widest) ?? []
  return prefix === undefined ? widest : `${prefix}.0/24`
}

/** The address that a user is told of: the visitor's, of whom our own machine may have passed on the network alone. */
export const toldAddress = ({ ip, key }: Pick<ClientAddress, 'ip' | 'key'>): string =>
  normalizeIP(ip) === key ? ip : key

/** Where a request comes from, and whom it is counted for while nobody is logged in. */
export interface ClientAddress {
  /** The IP address that it was sent from, in its canonical form; empty when the connection has ended already. */
  ip: string
  /** An IPv4 address, or the /64 network of an IPv6 address: what one customer usually has. */
  key: string
  /** The networks that it is in, the narrowest first, whose key is `key`. */
  networks: readonly Network[]
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
  const find = (ip: string, forwardedIp: string | string[] | undefined): ClientAddress => {
    const isOwn = localIps.length > 0 && includesAddress(localIps, ip)
    const visitor = isOwn && typeof forwardedIp === 'string' ? (canonicalAddress(forwardedIp) ?? ip) : ip
    const networks = networksOf(visitor)
    return { ip, key: networks[0].key, networks, isLocal: isOwn && forwardedIp === undefined }
  }

  // The same addresses call again and again.
  const known = new LRUCache<string, ClientAddress>({ max: REMEMBERED })
  return (ip: string, forwardedIp: string | string[] | undefined): ClientAddress => {
    if (forwardedIp !== undefined && localIps.length > 0) return find(ip, forwardedIp)
    let address = known.get(ip)
    if (address === undefined) {
      address = find(ip, undefined)
      known.set(ip, address)
    }
    return address
  }
}

const REMEMBERED = 1_000
