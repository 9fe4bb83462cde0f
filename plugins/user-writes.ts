import fp from 'fastify-plugin'
import { serializeUserWritesStep } from '#src/http/steps/serialize-user-writes.ts'

declare module 'fastify' {
  interface FastifyRequest {
    /** Ends the request's share in what its user may write at once; null while it has none. */
    endWrite: (() => void) | null
  }
}

/** Bounds how many requests of one user change something at the same time. */
export default fp(
  async app => {
    app.decorateRequest('endWrite', null)
    app.addStep('authorize', serializeUserWritesStep(app.config.databaseConnections))
    app.onRequestEnd(request => request.endWrite?.())
  },
  { name: 'user-writes', dependencies: ['identify', 'request-end', 'steps'] },
)
