import type { Redis } from 'ioredis'
import type { Millis, MonotonicMillis } from '#src/runtime/units.ts'

/** The count of a key in its current window, and the time until the window ends. */
export interface Count {
  current: number
  ttl: Millis
}

/** Counters with fixed windows, which begin at the first hit of a key. */
export interface Counters {
  /** Counts once. @param windowMs the length of windows, always the same for one key */
  hit(key: string, windowMs: Millis): Promise<Count>
  /** Reads without counting. A key without a window has a count and a ttl of 0. */
  read(key: string, windowMs: Millis): Promise<Count>
}

/** A limit on attempts was exceeded. */
export class LimitExceeded extends Error {
  /** The limit. */
  readonly max: number
  /** Time until the next attempt is allowed. */
  readonly ttl: Millis

  constructor(max: number, ttl: Millis) {
    super(`Tried more than ${max} times.`)
    this.name = 'LimitExceeded'
    this.max = max
    this.ttl = ttl
  }
}

const CAPACITY = 100_000

/** Makes counters in memory. Beyond 100,000 keys the least recently used are evicted. */
export function memoryCounters(monotonic: () => MonotonicMillis): Counters {
  // In the order of their last use. An LRUCache would allocate all entries at once, 3 MB per kind.
  const windows = new Map<string, { current: number; end: MonotonicMillis }>()

  const findWindow = (key: string, now: MonotonicMillis) => {
    const window = windows.get(key)
    if (window === undefined) return undefined
    windows.delete(key)
    if (window.end <= now) return undefined
    windows.set(key, window)
    return window
  }

  return {
    async hit(key, windowMs) {
      const now = monotonic()
      const known = findWindow(key, now)
      const window = known ?? { current: 0, end: now + windowMs }
      window.current += 1
      if (known === undefined) {
        windows.set(key, window)
        if (windows.size > CAPACITY) windows.delete(windows.keys().next().value as string)
      }
      return { current: window.current, ttl: window.end - now }
    },
    async read(key) {
      const now = monotonic()
      const window = findWindow(key, now)
      return window === undefined
        ? { current: 0, ttl: 0 }
        : { current: window.current, ttl: window.end - now }
    },
  }
}

/**
 * Redis expires keys by its wall clock. A key that expires later than its window is long gets a new expiry: the clock
 * was set back, or the key lost its expiry, for example by a restored dump, and would stay exhausted forever.
 */
const RETURN_COUNT = `
local window = tonumber(ARGV[1])
local ttl = redis.call('PTTL', KEYS[1])
if ttl < 0 or ttl > window then
  redis.call('PEXPIRE', KEYS[1], window)
  ttl = window
end
return {current, ttl}`

const HIT = `
local current = redis.call('INCR', KEYS[1])
${RETURN_COUNT}`

const READ = `
local current = tonumber(redis.call('GET', KEYS[1]) or 0)
if current == 0 then
  return {0, 0}
end
${RETURN_COUNT}`

const PREFIX = 'animethemes-auth:'

/** How long an unreachable Redis is not retried, so that requests do not each wait for it. */
const RETRY_AFTER_MS: Millis = 1_000

/**
 * Makes counters in Redis, shared by all instances, with a key prefix per kind. While Redis does not respond, counters
 * of this process replace it.
 *
 * @param onChange receives the error when Redis stops responding, and null when it responds again
 */
export function redisCounters(
  redis: Redis,
  monotonic: () => MonotonicMillis,
  onChange: (error: unknown) => void,
): (kind: string) => Counters {
  let downSince: MonotonicMillis | null = null

  const run = async (script: string, key: string, windowMs: Millis): Promise<Count | null> => {
    if (downSince !== null && monotonic() - downSince < RETRY_AFTER_MS) return null
    try {
      const [current, ttl] = (await redis.eval(script, 1, PREFIX + key, windowMs)) as [number, number]
      if (downSince !== null) onChange(null)
      downSince = null
      return { current, ttl }
    } catch (error) {
      if (downSince === null) onChange(error)
      downSince = monotonic()
      return null
    }
  }

  return kind => {
    const fallback = memoryCounters(monotonic)
    const nameOf = (key: string) => `${kind}:${key}`
    return {
      hit: async (key, windowMs) => (await run(HIT, nameOf(key), windowMs)) ?? fallback.hit(key, windowMs),
      read: async (key, windowMs) => (await run(READ, nameOf(key), windowMs)) ?? fallback.read(key, windowMs),
    }
  }
}
