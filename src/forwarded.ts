import type { IncomingMessage } from 'node:http'
import proxyAddr from '@fastify/proxy-addr'
import type { FastifyServerOptions } from 'fastify'

/** Reads who sent a request, and to which host, as Fastify's `request.ip` and `request.host` do. */
export interface Forwarded {
  /** Fastify's option of this name. */
  trustProxy: NonNullable<FastifyServerOptions['trustProxy']>
  /** The client's IP address; empty when its connection has ended already. */
  addressOf(request: IncomingMessage): string
  /** The host that the client named, with its port; empty for none. */
  hostOf(request: IncomingMessage): string
}

/**
 * Knows whose `X-Forwarded-*` headers are believed, for what has to be decided before Fastify has made a request of
 * what arrived.
 *
 * @param proxies TRUSTED_PROXIES
 */
export function forwardedBy(proxies: readonly string[]): Forwarded {
  if (proxies.length === 0) {
    return {
      trustProxy: false,
      addressOf: ({ socket }) => socket.remoteAddress ?? '',
      hostOf: ({ headers }) => headers.host ?? '',
    }
  }
  const isTrusted = proxies.includes('*') ? () => true : proxyAddr.compile([...proxies])
  return {
    trustProxy: isTrusted,
    addressOf(request) {
      if (request.socket.remoteAddress === undefined) return ''
      return proxyAddr.all(request, isTrusted).at(-1) ?? ''
    },
    hostOf({ headers, socket }) {
      const { remoteAddress } = socket
      const forwarded = headers['x-forwarded-host']
      if (!forwarded || remoteAddress === undefined || !isTrusted(remoteAddress, 0)) return headers.host ?? ''
      return [forwarded].flat().join(',').split(',').at(-1)?.trim() ?? ''
    },
  }
}
