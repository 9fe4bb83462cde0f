import { MINUTE_MS } from '#src/auth/time.ts'
import type { Millis, MonotonicMillis } from '#src/runtime/units.ts'
import type { Network } from './client-address.ts'

/** The factor of the ceiling over RATE_LIMIT_ANONYMOUS, per minute, for requests of every kind. */
export const CEILING_FACTOR = 20

/** The capacity of one of the two generations of counters, in networks. */
const GENERATION = 32_768

/** The exceeded limit, and the time until its window ends. */
export interface ExceededCeiling {
  max: number
  ttl: Millis
}

/** Counts a request of a client in these networks. Returns the limit that it exceeds, or null. */
export type Ceiling = (networks: readonly Network[]) => ExceededCeiling | null

/**
 * Limits the requests of each network per minute, in this process's memory, without any round trip. All networks share
 * one window: a minute from the first request after the last window.
 *
 * Networks are checked from the narrowest. A request that one of them refuses is not counted for the wider ones: a
 * flood from one /64 takes one share of its /48, and leaves the others to its neighbours.
 *
 * Memory is bounded by two generations of counters: when the newer one is full it becomes the older one, and counters
 * of the older one that were not used since start again. That takes 32,768 other networks within a minute, which could
 * send as many times the limit in any case. (Deleting the first entry of a Map again and again is quadratic.)
 *
 * @param max requests per window for a network with one share
 */
export function requestCeiling(max: number, monotonic: () => MonotonicMillis): Ceiling {
  let newer = new Map<string, { count: number }>()
  let older: typeof newer = new Map()
  let end = Number.NEGATIVE_INFINITY

  const counterOf = (key: string) => {
    let counter = newer.get(key)
    if (counter === undefined) {
      if (newer.size >= GENERATION) [older, newer] = [newer, new Map()]
      counter = older.get(key) ?? { count: 0 }
      newer.set(key, counter)
    }
    return counter
  }

  return networks => {
    const now = monotonic()
    if (now >= end) {
      newer = new Map()
      older = new Map()
      end = now + MINUTE_MS
    }
    for (const { key, share } of networks) {
      const counter = counterOf(key)
      const limit = max * share
      if (counter.count >= limit) return { max: limit, ttl: end - now }
      counter.count += 1
    }
    return null
  }
}
