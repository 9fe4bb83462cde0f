import type { Socket } from 'node:net'
import type { FastifyRequest } from 'fastify'
import fp from 'fastify-plugin'

declare module 'fastify' {
  interface FastifyRequest {
    /** The header `User-Agent`. */
    readonly userAgent: string | undefined
    /** The connection that the request came on. */
    readonly connection: Socket
  }
}

/** Adds what use-cases know of the client beside its address: see `Caller`. */
export default fp(
  async app => {
    app.decorateRequest('userAgent', {
      getter(this: FastifyRequest) {
        return this.headers['user-agent']
      },
    })
    app.decorateRequest('connection', {
      getter(this: FastifyRequest) {
        return this.raw.socket
      },
    })
  },
  { name: 'client' },
)
