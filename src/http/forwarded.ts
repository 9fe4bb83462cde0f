import type { IncomingMessage } from 'node:http'
import proxyAddr from '@fastify/proxy-addr'
import type { FastifyServerOptions } from 'fastify'
import { LRUCache } from 'lru-cache'
import { canonicalAddress } from '#src/auth/address-list.ts'

/** Reads who sent a request, and to which host, as Fastify's `request.ip` and `request.host` do. */
export interface Forwarded {
  /** Fastify's option of this name. */
  trustProxy: NonNullable<FastifyServerOptions['trustProxy']>
  /** The client's IP address in its canonical form; empty when its connection has ended already. */
  addressOf(request: IncomingMessage): string
  /** The host that the client named, with its port; empty for none. */
  hostOf(request: IncomingMessage): string
}

/** How many spellings of addresses are remembered. */
const REMEMBERED = 1_000

/**
 * Knows whose `X-Forwarded-*` headers are believed, for what has to be decided before Fastify has made a request of
 * what arrived.
 *
 * `X-Forwarded-For` is read from its end, as long as a trusted proxy has written it. What is no address there counts as
 * left out: the client is then the proxy before it.
 *
 * @param proxies TRUSTED_PROXIES
 */
export function forwardedBy(proxies: readonly string[]): Forwarded {
  const canonical = canonicalAddresses()
  const peerOf = ({ socket }: IncomingMessage) => canonical(socket.remoteAddress ?? '') ?? ''
  if (proxies.length === 0) {
    return {
      trustProxy: false,
      addressOf: peerOf,
      hostOf: ({ headers }) => headers.host ?? '',
    }
  }
  const isTrusted = proxies.includes('*') ? () => true : proxyAddr.compile([...proxies])
  return {
    trustProxy: isTrusted,
    addressOf(request) {
      let address = peerOf(request)
      const forwarded = request.headers['x-forwarded-for']
      if (forwarded === undefined || address === '') return address
      const hops = [forwarded].flat().join(',').split(',')
      for (let hop = hops.pop(); hop !== undefined && isTrusted(address, 0); hop = hops.pop()) {
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

/** {@link canonicalAddress}, with a memory: the same addresses call again and again. */
function canonicalAddresses(): (text: string) => string | null {
  const known = new LRUCache<string, { address: string | null }>({ max: REMEMBERED })
  return text => {
    // Longer ones are no addresses.
    if (text.length > 64) return null
    let found = known.get(text)
    if (found === undefined) {
      found = { address: canonicalAddress(text) }
      known.set(text, found)
    }
    return found.address
  }
}
