import fp from 'fastify-plugin'
import type { ClientAddress } from '#src/limits/client-address.ts'

declare module 'fastify' {
  interface FastifyRequest {
    /** Whom the request is counted for while nobody is known to be calling. */
    clientAddress: ClientAddress
    readonly userAgent: string | undefined
    readonly connection: { readonly destroyed: boolean }
  }
}

/** Adds where a request comes from: `request.clientAddress`, what limits by address go by, and its program and connection. */
export default fp(
  async app => {
    app.decorateRequest('clientAddress')
    app.decorateRequest('userAgent', {
      getter() {
        return this.headers['user-agent']
      },
    })
    app.decorateRequest('connection', {
      getter() {
        return this.raw.socket
      },
    })
    app.addStep('onRequest', {
      run(request) {
        request.clientAddress = app.gate.clientOf(request.raw)
      },
    })
  },
  { name: 'client-address', dependencies: ['steps'] },
)
