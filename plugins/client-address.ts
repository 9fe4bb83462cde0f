import fp from 'fastify-plugin'
import type { ClientAddress } from '#src/limits/client-address.ts'

declare module 'fastify' {
  interface FastifyRequest {
    /** The client address to which limits count the requests of guests. */
    clientAddress: ClientAddress
    readonly userAgent: string | undefined
    readonly connection: { readonly destroyed: boolean }
  }
}

/** Adds `request.clientAddress`, which limits by address use, `request.userAgent` and `request.connection`. */
export default fp(
  async app => {
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
