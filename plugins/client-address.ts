import fp from 'fastify-plugin'
import type { ClientAddress } from '#src/limits/client-address.ts'

declare module 'fastify' {
  interface FastifyRequest {
    /** Whom the request is counted for while nobody is known to be calling. */
    clientAddress: ClientAddress
  }
}

/** Adds `request.clientAddress`, what limits by address go by. */
export default fp(
  async app => {
    app.decorateRequest('clientAddress')
    app.addHook('onRequest', (request, _reply, done) => {
      request.clientAddress = app.gate.clientOf(request.raw)
      done()
    })
  },
  { name: 'client-address', dependencies: ['hosts'] },
)
