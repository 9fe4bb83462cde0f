import { isSafe } from '#src/auth/safe-methods.ts'
import type { RouteTraits, Step } from '../step.ts'

const mayChange = (route: RouteTraits | null) => route?.isUnsafe === true

/** Marks requests whose handler may have changed something. */
export const markChangeStep: Step = {
  appliesTo: mayChange,
  run(request) {
    request.mayHaveChanged = !isSafe(request.method)
  },
}

/**
 * Delays the response to a write until the identity cache has applied its invalidation. The client then reads its own
 * writes.
 *
 * @param settle resolves when the invalidations of all committed changes are applied
 */
export const awaitInvalidationStep = (settle: () => Promise<void>): Step => ({
  appliesTo: mayChange,
  run: request => (request.mayHaveChanged && !request.isTimedOut ? settle() : undefined),
})
