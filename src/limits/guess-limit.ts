import { LRUCache } from 'lru-cache'
import { lazy } from '#src/runtime/lazy.ts'
import { type Counters, LimitExceeded } from './counters.ts'

const PROVEN_MS = 600_000
const FRESH_MS = 1_000
const PROVEN_CAPACITY = 10_000

/**
 * Bounds how many wrong credentials one key can try in a window: an address, say, or an account.
 *
 * A key that has used up its failures is refused before anything is looked up, except for credentials
 * that were right within the last ten minutes: so one bad neighbour shuts out nobody who was in already.
 * Attempts under way count as failures until they turn out otherwise. Those beyond the bound wait for them,
 * so that a thousand guesses at once are no better than a thousand in a row.
 *
 * @param counters counts nothing else
 * @param bound.max failures in a window
 * @param monotonic milliseconds since a moment that does not change
 */
export function guessLimit(
  counters: Counters,
  { max, windowMs }: { max: number; windowMs: number },
  monotonic: () => number,
) {
  const proven = lazy(() => new LRUCache<string, number>({ max: PROVEN_CAPACITY }))
  const busy = new Map<string, Attempts>()

  const isProven = (credential: string | null) => {
    const at = credential === null ? undefined : proven().get(credential)
    return at !== undefined && monotonic() - at <= PROVEN_MS
  }

  /** Waits until one more attempt cannot take the failures over the bound, and reserves it. */
  const admit = async (key: string, state: Attempts) => {
    for (;;) {
      const { settled } = state
      const { current, ttl } = await counters.read(key, windowMs)
      // Another attempt ended while the counter was read: what was read is out of date.
      if (settled !== state.settled) continue
      if (current >= max) throw new LimitExceeded(max, ttl)
      if (current + state.pending < max) {
        state.pending += 1
        return
      }
      await new Promise<void>(resolve => state.waiting.push(resolve))
    }
  }

  const judge = async (key: string, credential: string | null, lookUp: () => Promise<boolean>) => {
    const isRight = await lookUp()
    if (credential !== null) {
      const now = monotonic()
      if (!isRight) proven().delete(credential)
      // Remembering it again within a second would change nothing.
      else if (now - (proven().peek(credential) ?? Number.NEGATIVE_INFINITY) >= FRESH_MS)
        proven().set(credential, now)
    }
    if (!isRight) await counters.hit(key, windowMs)
  }

  return {
    /**
     * Tries a credential: `lookUp` says whether it is right.
     *
     * @param credential what the credential is remembered by when it is right, never a plain secret; null for
     *   one that is not remembered
     * @throws {LimitExceeded} when the key has no attempt left; `lookUp` is not called then
     * @throws what `lookUp` throws, which counts neither way
     */
    async attempt(key: string, credential: string | null, lookUp: () => Promise<boolean>): Promise<void> {
      if (isProven(credential)) return judge(key, credential, lookUp)
      const state = busy.get(key) ?? { present: 0, pending: 0, settled: 0, waiting: [] }
      busy.set(key, state)
      state.present += 1
      try {
        await admit(key, state)
        try {
          await judge(key, credential, lookUp)
        } finally {
          state.pending -= 1
          state.settled += 1
          for (const resume of state.waiting.splice(0)) resume()
        }
      } finally {
        state.present -= 1
        if (state.present === 0) busy.delete(key)
      }
    },
  }
}

/** What goes on for one key at this moment. */
interface Attempts {
  /** Attempts that wait or are under way: the last one to leave clears the entry. */
  present: number
  /** Attempts under way. */
  pending: number
  /** Attempts that ended, to tell whether any did since a moment. */
  settled: number
  waiting: (() => void)[]
}
