import { isSafe } from '#src/auth/safe-methods.ts'
import type { RouteTraits, Step } from '../step.ts'

const mayChange = (route: RouteTraits | null) => route?.isUnsafe === true

/** Notes that a handler is called that may change something. */
export const noteChangeStep: Step = {
  appliesTo: mayChange,
  run(request) {
    request.mayHaveChanged = !isSafe(request.method)
  },
}

/**
 * Has the answer to a change wait until the cache of identities has been told of it: whoever has the answer is not met by
 * what was remembered before.
 *
 * @param settle resolves when all changes that are committed by now have been told
 */
export const settleChangesStep = (settle: () => Promise<void>): Step => ({
  appliesTo: mayChange,
  run: request => (request.mayHaveChanged && !request.isGivenUp ? settle() : undefined),
})
