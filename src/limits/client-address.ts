import { isIP } from 'node:net'
import { normalizeIP } from '@fastify/rate-limit'
import { LRUCache } from 'lru-cache'
import { canonicalizeAddress, includesAddress } from '#src/auth/address-list.ts'

/** A network whose addresses are counted together. */
export interface Network {
  key: string
  /** The multiple of one customer's limits that it has. */
  share: number
}

/**
 * IPv6 prefixes that are counted besides the /64, with their shares. Some customers get a whole /56 or /48 (RFC 6177):
 * counted by /64 alone, they could make 65,536 times as many attempts as others.
 */
const WIDER_NETWORKS = [
  { bits: 56, share: 4 },
  { bits: 48, share: 16 },
] as const

/** Returns the networks of an address, the narrowest first: an IPv4 address is its own network. */
function networksOf(ip: string): readonly [Network, ...Network[]] {
  const single = { key: normalizeIP(ip), share: 1 }
  if (isIP(single.key) !== 6) return [single]
  const wider = WIDER_NETWORKS.map(({ bits, share }) => ({ key: `${normalizeIP(ip, bits)}/${bits}`, share }))
  return [single, ...wider]
}

/**
 * Returns the network by which logins are recognized: an IPv4 /24 or an IPv6 /48. Within it the addresses of one
 * customer change regularly.
 */
export function loginNetwork({ networks }: Pick<ClientAddress, 'networks'>): string {
  const widest = networks.at(-1)?.key ?? ''
  const [, prefix] = /^(\d+\.\d+\.\d+)\.\d+$/.exec(widest) ?? []
  return prefix === undefined ? widest : `${prefix}.0/24`
}

/**
 * Returns the address to display to a user: the visitor's, of which a trusted machine may have forwarded only the
 * network.
 */
export const displayedAddress = ({ ip, key }: Pick<ClientAddress, 'ip' | 'key'>): string =>
  normalizeIP(ip) === key ? ip : key

/** The address of a request, and the networks that it is counted for as a guest. */
export interface ClientAddress {
  /** The IP address of the connection in canonical form; empty when it has already ended. */
  ip: string
  /** An IPv4 address, or the /64 network of an IPv6 address: what one customer usually has. */
  key: string
  /** Its networks, the narrowest first, whose key is `key`. */
  networks: readonly Network[]
  /** Whether a trusted machine sent it on its own behalf: then it is not counted. */
  isLocal: boolean
}

/**
 * Makes the function that determines a request's client address. Trusted machines may forward their visitor's address
 * as `x-forwarded-ip`; from other clients the header is ignored.
 *
 * @param localIps addresses and ranges of trusted machines
 */
export function clientAddressResolver(localIps: readonly string[]) {
  const resolveAddress = (ip: string, forwardedIp: string | string[] | undefined): ClientAddress => {
    const isTrusted = localIps.length > 0 && includesAddress(localIps, ip)
    const visitor =
      isTrusted && typeof forwardedIp === 'string' ? (canonicalizeAddress(forwardedIp) ?? ip) : ip
    const networks = networksOf(visitor)
    return { ip, key: networks[0].key, networks, isLocal: isTrusted && forwardedIp === undefined }
  }

  // Clients repeat.
  const cache = new LRUCache<string, ClientAddress>({ max: CACHE_SIZE })
  return (ip: string, forwardedIp: string | string[] | undefined): ClientAddress => {
    if (forwardedIp !== undefined && localIps.length > 0) return resolveAddress(ip, forwardedIp)
    let address = cache.get(ip)
    if (address === undefined) {
      address = resolveAddress(ip, undefined)
      cache.set(ip, address)
    }
    return address
  }
}

const CACHE_SIZE = 1_000
