import { isSafe } from '#src/auth/safe-methods.ts'
import { keyedSemaphore } from '#src/database/keyed-mutex.ts'
import { connectionShares } from '#src/runtime/connection-shares.ts'
import type { Step } from '../step.ts'

/** How many write requests of one user may wait. */
const MAX_WAITING = 50

/**
 * Creates a bulkhead: limits the concurrent write requests of one user to half of the connections for writes. Otherwise
 * one user's requests that wait for a row lock could occupy all connections.
 *
 * @param connections DATABASE_CONNECTIONS
 */
export function userWriteBulkheadStep(connections: number): Step {
  const maxHeld = Math.max(2, Math.floor(connectionShares(connections).write / 2))
  const acquire = keyedSemaphore({
    errorPrefix: 'too many writes of one user',
    maxHeld,
    maxWaiting: MAX_WAITING,
  })
  return {
    appliesTo: route => route?.isUnsafe === true,
    run(request, reply) {
      const { identity, method } = request
      if (isSafe(method) || identity === null) return
      return acquire(identity.user.id).then(release => {
        // The request may have timed out in the meantime: then its end listeners have run already.
        if (reply.sent) release()
        else request.releaseWriteSlot = release
      })
    },
  }
}
