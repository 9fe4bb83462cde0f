import type { IncomingMessage } from 'node:http'
import proxyAddr from '@fastify/proxy-addr'
import type { FastifyServerOptions } from 'fastify'
import { LRUCache } from 'lru-cache'
import { canonicalizeAddress } from '#src/auth/address-list.ts'

/** Reads client address and host of a request, as Fastify's `request.ip` and `request.host` do. */
export interface ForwardedReader {
  /** For Fastify's option `trustProxy`. */
  trustProxy: NonNullable<FastifyServerOptions['trustProxy']>
  /** Returns the client's IP address in canonical form. Empty if the connection is closed already. */
  addressOf(request: IncomingMessage): string
  /** Returns the requested host, with its port. Empty if there is none. */
  hostOf(request: IncomingMessage): string
}

/** The size of the cache of canonicalized addresses. */
const MAX_CACHED_ADDRESSES = 1_000

/**
 * Creates the reader of `X-Forwarded-*` headers, for checks that run before Fastify creates its request.
 *
 * `X-Forwarded-For` is read from its end, as long as the previous hop is a trusted proxy: entries further left can be
 * forged. Reading stops at an entry that is not an address; the client is then the last proxy before it.
 *
 * @param proxies TRUSTED_PROXIES
 */
export function createForwardedReader(proxies: readonly string[]): ForwardedReader {
  const canonical = createAddressCanonicalizer()
  const peerOf = ({ socket }: IncomingMessage) => canonical(socket.remoteAddress ?? '') ?? ''
  if (proxies.length === 0) {
    return {
      trustProxy: false,
      addressOf: peerOf,
      hostOf: ({ headers }) => headers.host ?? '',
    }
  }
  const isTrusted = trustOf(proxies)
  return {
    trustProxy: isTrusted,
    addressOf(request) {
      let address = peerOf(request)
      const forwarded = request.headers['x-forwarded-for']
      if (forwarded === undefined || address === '') return address
      const hops = [forwarded].flat().join(',').split(',')
      let passed = 0
      for (let hop = hops.pop(); hop !== undefined && isTrusted(address, passed); hop = hops.pop()) {
        passed += 1
        const next = canonical(hop)
        if (next === null) break
        address = next
      }
      return address
    },
    hostOf({ headers, socket }) {
      const { remoteAddress } = socket
      const forwarded = headers['x-forwarded-host']
      if (!forwarded || remoteAddress === undefined || !isTrusted(remoteAddress, 0)) return headers.host ?? ''
      return [forwarded].flat().join(',').split(',').at(-1)?.trim() ?? ''
    },
  }
}

/** Returns the function that says whether a proxy is trusted, by its address and by how many hops it is away. */
function trustOf(proxies: readonly string[]): (address: string, hop: number) => boolean {
  if (proxies.includes('*')) return () => true
  const most = Number(/^hops:(\d)$/.exec(proxies[0] ?? '')?.[1])
  return Number.isNaN(most) ? proxyAddr.compile([...proxies]) : (_address, hop) => hop < most
}

/** Returns {@link canonicalizeAddress} with an LRU cache. */
function createAddressCanonicalizer(): (text: string) => string | null {
  const known = new LRUCache<string, { address: string | null }>({ max: MAX_CACHED_ADDRESSES })
  return text => {
    // No address is longer.
    if (text.length > 64) return null
    let found = known.get(text)
    if (found === undefined) {
      found = { address: canonicalizeAddress(text) }
      known.set(text, found)
    }
    return found.address
  }
}
