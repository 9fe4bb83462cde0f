import { isSafe } from '#src/auth/safe-methods.ts'
import { keyedSemaphore } from '#src/database/keyed-mutex.ts'
import { shares } from '#src/runtime/connection-shares.ts'
import type { Step } from '../step.ts'

/** How many requests of one user may wait for others of that user. */
const WAITING = 50

/**
 * Bounds how many requests of one user change something at the same time: those that wait for a lock would otherwise
 * take all connections from everybody else.
 *
 * @param connections DATABASE_CONNECTIONS
 */
export function serializeUserWritesStep(connections: number): Step {
  const holding = Math.max(2, Math.floor(shares(connections).write / 2))
  const take = keyedSemaphore({ what: 'too many writes of one user', holding, waiting: WAITING })
  return {
    appliesTo: route => route?.isUnsafe === true,
    run(request, reply) {
      const { identity, method } = request
      if (isSafe(method) || identity === null) return
      return take(identity.user.id).then(giveBack => {
        // The answer may have been 503 meanwhile, and its end is over.
        if (reply.sent) giveBack()
        else request.endWrite = giveBack
      })
    },
  }
}
