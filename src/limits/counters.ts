import type { Redis } from 'ioredis'
import { LRUCache } from 'lru-cache'

/** How often a key was counted in its present window, and the milliseconds that the window still lasts. */
export interface Count {
  current: number
  ttl: number
}

/** Counters with fixed windows, each of which begins at the first hit of its key. */
export interface Counters {
  /** Counts once. */
  hit(key: string, windowMs: number): Promise<Count>
  /** Looks without counting. A key without a window has a count and a ttl of 0. */
  read(key: string): Promise<Count>
}

/** Something was tried too often. */
export class LimitExceeded extends Error {
  /** How often it may be. */
  readonly max: number
  /** Milliseconds until it may be tried again. */
  readonly ttl: number

  constructor(max: number, ttl: number) {
    super(`Tried more than ${max} times.`)
    this.name = 'LimitExceeded'
    this.max = max
    this.ttl = ttl
  }
}

const CAPACITY = 100_000

/**
 * Counters of this process. The least recently used are forgotten beyond 100,000 keys.
 *
 * @param clock milliseconds since the epoch
 */
export function memoryCounters(clock: () => number): Counters {
  const windows = new LRUCache<string, { current: number; end: number }>({ max: CAPACITY })

  const live = (key: string) => {
    const window = windows.get(key)
    return window !== undefined && window.end > clock() ? window : undefined
  }

  return {
    async hit(key, windowMs) {
      const now = clock()
      const window = live(key) ?? { current: 0, end: now + windowMs }
      window.current += 1
      windows.set(key, window)
      return { current: window.current, ttl: window.end - now }
    },
    async read(key) {
      const window = live(key)
      return window === undefined
        ? { current: 0, ttl: 0 }
        : { current: window.current, ttl: window.end - clock() }
    },
  }
}

/** A key that lost its expiry, say by a restored dump, gets a new one instead of staying full for good. */
const HIT = `
local current = redis.call('INCR', KEYS[1])
local ttl = redis.call('PTTL', KEYS[1])
if ttl < 0 then
  redis.call('PEXPIRE', KEYS[1], ARGV[1])
  ttl = tonumber(ARGV[1])
end
return {current, ttl}`

const READ = `return {tonumber(redis.call('GET', KEYS[1]) or 0), math.max(redis.call('PTTL', KEYS[1]), 0)}`

const PREFIX = 'animethemes-auth:'

/** How long an unreachable Redis is left alone, so that requests do not each wait for it. */
const RETRY_AFTER_MS = 1_000

/**
 * Counters in Redis, shared by all instances. While Redis does not answer, those of this process go on.
 *
 * @param clock milliseconds since the epoch
 * @param onChange hears when Redis stops answering (with the error) and when it answers again (with null)
 */
export function redisCounters(
  redis: Redis,
  clock: () => number,
  onChange: (error: unknown) => void,
): Counters {
  const fallback = memoryCounters(clock)
  let downSince: number | null = null

  const run = async (script: string, key: string, ...args: number[]): Promise<Count | null> => {
    if (downSince !== null && clock() - downSince < RETRY_AFTER_MS) return null
    try {
      const [current, ttl] = (await redis.eval(script, 1, PREFIX + key, ...args)) as [number, number]
      if (downSince !== null) onChange(null)
      downSince = null
      return { current, ttl }
    } catch (error) {
      if (downSince === null) onChange(error)
      downSince = clock()
      return null
    }
  }

  return {
    hit: async (key, windowMs) => (await run(HIT, key, windowMs)) ?? fallback.hit(key, windowMs),
    read: async key => (await run(READ, key)) ?? fallback.read(key),
  }
}
