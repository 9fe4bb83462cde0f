import fp from 'fastify-plugin'
import { shares } from '../src/database/lanes.ts'
import { DatabaseBusy } from '../src/database/unavailable.ts'
import { isSafe } from '../src/http.ts'
import { Slots } from '../src/slots.ts'

declare module 'fastify' {
  interface FastifyRequest {
    /** Ends the request's share in what its user may write at once; null while it has none. */
    endWrite: (() => void) | null
  }
}

/** How long a request waits for others of its user, in milliseconds, and how many of them may wait. */
const WAITING = { waitMs: 5_000, waiting: 50 }

/** How many requests may wait in all. */
const MOST_WAITING = 1_000

/**
 * Bounds how many requests of one user change something at the same time: those that wait for a lock would otherwise
 * take all connections from everybody else.
 */
export default fp(
  async app => {
    const holding = Math.max(2, Math.floor(shares(app.config.databaseConnections).write / 2))
    const slots = new Slots(
      { write: { slots: Number.POSITIVE_INFINITY, waiting: MOST_WAITING, waitMs: WAITING.waitMs } },
      Number.POSITIVE_INFINITY,
      refusal => new DatabaseBusy(`too many writes of one user, ${refusal}`),
    )

    app.decorateRequest('endWrite', null)
    app.addHook('preHandler', (request, reply, done) => {
      const { identity, method } = request
      if (isSafe(method) || identity === null) return done()
      const bounds = [{ key: String(identity.user.id), holding, waiting: WAITING.waiting }]
      slots.take({ kind: 'write', bounds }).then(giveBack => {
        // The answer may have been 503 meanwhile, and its end is over.
        if (reply.sent) giveBack()
        else request.endWrite = giveBack
        done()
      }, done)
    })
    app.addHook('onResponse', (request, _reply, done) => {
      request.endWrite?.()
      done()
    })
  },
  { name: 'writes', dependencies: ['identify', 'request-timeout'] },
)
