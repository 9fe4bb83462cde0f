import type { Millis, MonotonicMillis } from './units.ts'

/** Lets each key pass at most once in an interval. */
export interface KeyedThrottle<Key> {
  /** Returns whether the key may pass now, and remembers that it did. */
  pass(key: Key): boolean
  /** Forgets the keys whose interval is over. Call it from time to time. */
  sweep(): void
}

/**
 * Makes a {@link KeyedThrottle}.
 *
 * @param intervalMs 0 lets everything pass
 * @param capacity how many keys are remembered; further ones pass each time
 */
export function keyedThrottle<Key>(
  intervalMs: Millis,
  monotonic: () => MonotonicMillis,
  capacity = 100_000,
): KeyedThrottle<Key> {
  // In the order of the times.
  const passedAt = new Map<Key, MonotonicMillis>()
  return {
    pass(key) {
      if (intervalMs === 0) return true
      const now = monotonic()
      const last = passedAt.get(key)
      if (last !== undefined) {
        if (now - last < intervalMs) return false
        passedAt.delete(key)
      }
      if (passedAt.size < capacity) passedAt.set(key, now)
      return true
    },
    sweep() {
      const now = monotonic()
      for (const [key, at] of passedAt) {
        if (now - at < intervalMs) return
        passedAt.delete(key)
      }
    },
  }
}
