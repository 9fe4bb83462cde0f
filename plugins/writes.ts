import fp from 'fastify-plugin'
import { shares } from '#src/database/lanes.ts'
import { isSafe } from '#src/http/http.ts'
import { keyedSemaphore } from '#src/runtime/turns.ts'

declare module 'fastify' {
  interface FastifyRequest {
    /** Ends the request's share in what its user may write at once; null while it has none. */
    endWrite: (() => void) | null
  }
}

/** How many requests of one user may wait for others of that user. */
const WAITING = 50

/**
 * Bounds how many requests of one user change something at the same time: those that wait for a lock would otherwise
 * take all connections from everybody else.
 */
export default fp(
  async app => {
    const holding = Math.max(2, Math.floor(shares(app.config.databaseConnections).write / 2))
    const take = keyedSemaphore({ what: 'too many writes of one user', holding, waiting: WAITING })

    app.decorateRequest('endWrite', null)
    app.addHook('preHandler', (request, reply, done) => {
      const { identity, method } = request
      if (isSafe(method) || identity === null) return done()
      take(identity.user.id).then(giveBack => {
        // The answer may have been 503 meanwhile, and its end is over.
        if (reply.sent) giveBack()
        else request.endWrite = giveBack
        done()
      }, done)
    })
    app.onRequestEnd(request => request.endWrite?.())
  },
  { name: 'writes', dependencies: ['identify', 'request-end', 'request-timeout'] },
)
