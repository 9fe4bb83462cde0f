import { LRUCache } from 'lru-cache'
import { lazy } from '#src/runtime/lazy.ts'
import type { Millis, MonotonicMillis } from '#src/runtime/units.ts'
import { type Counters, LimitExceeded } from './counters.ts'

const VERIFIED_MS: Millis = 600_000
const FRESH_MS: Millis = 1_000
const VERIFIED_CAPACITY = 10_000

/**
 * Limits the wrong credentials of a key, such as an address or an account, per window.
 *
 * An exhausted key is refused before any lookup, except for credentials that were verified within the last ten minutes:
 * so an attacker behind the same address does not lock out users who were authenticated before. Running attempts count
 * as failures until they are verified. Attempts beyond the limit wait for them, so that a thousand concurrent guesses
 * gain nothing over sequential ones.
 *
 * @param counters used by this limit alone
 * @param limit.max failures per window
 */
export function wrongCredentialLimit(
  counters: Counters,
  { max, windowMs }: { max: number; windowMs: Millis },
  monotonic: () => MonotonicMillis,
) {
  const verified = lazy(() => new LRUCache<string, number>({ max: VERIFIED_CAPACITY }))
  const running = new Map<string, Attempts>()

  const isVerified = (credential: string | null) => {
    // Without a note of the use: a verified credential is stored again every second in which it is used.
    const at = credential === null ? undefined : verified().peek(credential)
    return at !== undefined && monotonic() - at <= VERIFIED_MS
  }

  /** Waits until one more attempt cannot exceed the limit, and reserves it. */
  const reserve = async (key: string, state: Attempts) => {
    for (;;) {
      const { settled } = state
      const { current, ttl } = await counters.read(key, windowMs)
      // Another attempt ended while the counter was read: the count is outdated.
      if (settled !== state.settled) continue
      if (current >= max) throw new LimitExceeded(max, ttl)
      if (current + state.pending < max) {
        state.pending += 1
        return
      }
      await new Promise<void>(resolve => state.waiting.push(resolve))
    }
  }

  const settle = (
    key: string,
    credential: string | null,
    isCorrect: boolean,
  ): Promise<unknown> | undefined => {
    if (credential !== null) {
      const now = monotonic()
      if (!isCorrect) verified().delete(credential)
      // Storing it again within a second would change nothing.
      else if (now - (verified().peek(credential) ?? Number.NEGATIVE_INFINITY) >= FRESH_MS)
        verified().set(credential, now)
    }
    return isCorrect ? undefined : counters.hit(key, windowMs)
  }

  const verify = async (key: string, credential: string | null, lookUp: () => Promise<boolean>) => {
    await settle(key, credential, await lookUp())
  }

  return {
    /** Whether a credential was verified within the last ten minutes: an attempt would not have to wait for others. */
    isVerified,
    /** Records the result of an attempt with a verified credential. Returns a promise only for a wrong one. */
    settle,
    /**
     * Tries a credential: `lookUp` returns whether it is correct.
     *
     * @param credential the key under which a verified credential is cached, never a plain secret; null to not cache it
     * @throws {LimitExceeded} when the key is exhausted; `lookUp` is not called then
     * @throws what `lookUp` throws, which counts neither way
     */
    async attempt(key: string, credential: string | null, lookUp: () => Promise<boolean>): Promise<void> {
      if (isVerified(credential)) return verify(key, credential, lookUp)
      const state = running.get(key) ?? { present: 0, pending: 0, settled: 0, waiting: [] }
      running.set(key, state)
      state.present += 1
      try {
        await reserve(key, state)
        try {
          await verify(key, credential, lookUp)
        } finally {
          state.pending -= 1
          state.settled += 1
          for (const resume of state.waiting.splice(0)) resume()
        }
      } finally {
        state.present -= 1
        if (state.present === 0) running.delete(key)
      }
    },
  }
}

/** The running attempts of a key. */
interface Attempts {
  /** Waiting and running attempts: the last one removes the entry. */
  present: number
  /** Running attempts. */
  pending: number
  /** The number of ended attempts, to detect whether any ended since a time. */
  settled: number
  waiting: (() => void)[]
}
