import { MINUTE_MS } from '#src/auth/time.ts'
import type { Network } from './client-address.ts'

/** How many times RATE_LIMIT_ANONYMOUS an address may send in a minute, of requests of every kind. */
export const CEILING_FACTOR = 20

/** How many networks one of the two generations of counters holds. */
const GENERATION = 32_768

/** The limit that a request is over: its size, and the milliseconds until its window ends. */
export interface OverCeiling {
  max: number
  ttl: number
}

/** Counts one request of a client that is in these networks. Returns the limit that it is over, or null. */
export type Ceiling = (networks: readonly Network[]) => OverCeiling | null

/**
 * Bounds the requests of each network in a minute, in this process's memory: no round trip, and nothing to wait for.
 * All networks share one window, a minute from the first request after the last window.
 *
 * Networks are asked from the narrowest. A request that one of them refuses is not counted for the wider ones: a
 * flood from one /64 takes one share of its /48, and leaves the others to its neighbours.
 *
 * Memory is bounded by two generations of counters: when the newer one is full it becomes the older one, and what was
 * in that and was not seen since begins anew. That takes 32,768 other networks within a minute, which could send as
 * many times the limit in any case. (Deleting the first entry of a Map again and again is quadratic.)
 *
 * @param max requests in a window for a network with one share
 * @param monotonic milliseconds since a moment that does not change
 */
export function requestCeiling(max: number, monotonic: () => number): Ceiling {
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
