import fp from 'fastify-plugin'
import { userWriteBulkheadStep } from '#src/http/steps/user-write-bulkhead.ts'

declare module 'fastify' {
  interface FastifyRequest {
    /** Releases the request's slot for concurrent writes of its user; null if it has none. */
    releaseWriteSlot: (() => void) | null
  }
}

/** Limits the concurrent write requests of one user (bulkhead). */
export default fp(
  async app => {
    app.addStep('authorize', userWriteBulkheadStep(app.config.databaseConnections))
    app.onRequestEnd(request => request.releaseWriteSlot?.())
  },
  { name: 'user-writes', dependencies: ['identify', 'request-end', 'steps'] },
)
