import { BlockList, isIP, SocketAddress } from 'node:net'
import { LRUCache } from 'lru-cache'

/** The address in brackets, or the IPv4 address before a port. */
const BRACKETS_OR_PORT = /^\[(.+)\](?::\d+)?$|^(\d+\.\d+\.\d+\.\d+):\d+$/

/**
 * Canonicalizes an IP address: IPv6 as in RFC 5952, IPv4-mapped IPv6 (RFC 4291 §2.5.5.2) as IPv4. Brackets, a port
 * (as some proxies append it) and a zone are removed.
 *
 * @returns null for text that is not an address
 */
export function canonicalizeAddress(text: string): string | null {
  const trimmed = text.trim()
  const [, inBrackets, beforePort] = BRACKETS_OR_PORT.exec(trimmed) ?? []
  const [address = ''] = (inBrackets ?? beforePort ?? trimmed).split('%', 1)
  const family = isIP(address)
  if (family === 0) return null
  if (family === 4) return address
  return new SocketAddress({ address, family: 'ipv6' }).address.replace(/^::ffff:(?=\d+\.)/, '')
}

/** Whether text is an IP address, or a range in CIDR notation such as 10.0.0.0/8. */
export const isAddressOrRange = (text: string): boolean => parseRange(text) !== null

/** An address and its prefix length. */
function parseRange(text: string): { address: string; family: 4 | 6; bits: number } | null {
  const [address = '', bits, ...rest] = text.split('/')
  const family = isIP(address)
  if ((family !== 4 && family !== 6) || rest.length > 0) return null
  const maxBits = family === 4 ? 32 : 128
  if (bits === undefined) return { address, family, bits: maxBits }
  return /^\d{1,3}$/.test(bits) && Number(bits) <= maxBits ? { address, family, bits: Number(bits) } : null
}

const nameOf = (family: 4 | 6) => (family === 4 ? 'ipv4' : 'ipv6')

function blockListOf(items: readonly string[]): BlockList {
  const list = new BlockList()
  for (const item of items) {
    const range = parseRange(item)
    if (range !== null) list.addSubnet(range.address, range.bits, nameOf(range.family))
  }
  return list
}

/** Whether a list of addresses and ranges includes an address. The address may be IPv4-mapped IPv6. */
export function includesAddress(items: readonly string[], address: string): boolean {
  const plain = canonicalizeAddress(address) ?? ''
  const family = isIP(plain)
  const key = items.join(',')
  const list = PARSED_LISTS.get(key) ?? blockListOf(items)
  PARSED_LISTS.set(key, list)
  return (family === 4 || family === 6) && list.check(plain, nameOf(family))
}

/** Cache of parsed lists. */
const PARSED_LISTS = new LRUCache<string, BlockList>({ max: 1_000 })

/** Whether each inner range lies within one of the outer ranges. */
export const containsRanges = (outer: readonly string[], inner: readonly string[]): boolean =>
  inner.every(item => {
    const range = parseRange(item)
    return outer.some(candidate => {
      const wider = parseRange(candidate)
      return (
        range !== null &&
        wider !== null &&
        wider.family === range.family &&
        wider.bits <= range.bits &&
        blockListOf([candidate]).check(range.address, nameOf(range.family))
      )
    })
  })

/** Parses the column `allowed_ips`, a JSON array of strings. Malformed content allows no address. */
export function parseAllowedIps(json: string | null): readonly string[] | null {
  if (json === null) return null
  try {
    const value: unknown = JSON.parse(json)
    return Array.isArray(value) ? value.filter(item => typeof item === 'string') : []
  } catch {
    return []
  }
}
