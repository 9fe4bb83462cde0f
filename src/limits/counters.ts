import type { Redis } from 'ioredis'

/** How often a key was counted in its present window, and the milliseconds that the window still lasts. */
export interface Count {
  current: number
  ttl: number
}

/** Counters with fixed windows, each of which begins at the first hit of its key. */
export interface Counters {
  /** Counts once. @param windowMs how long windows are, always the same for one key */
  hit(key: string, windowMs: number): Promise<Count>
  /** Looks without counting. A key without a window has a count and a ttl of 0. */
  read(key: string, windowMs: number): Promise<Count>
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
 * @param monotonic milliseconds since a moment that does not change
 */
export function memoryCounters(monotonic: () => number): Counters {
  // In the order of their last use. An LRUCache would allocate room for all of them at once, 3 MB for each kind.
  const windows = new Map<string, { current: number; end: number }>()

  const live = (key: string, now: number) => {
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
      const known = live(key, now)
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
      const window = live(key, now)
      return window === undefined
        ? { current: 0, ttl: 0 }
        : { current: window.current, ttl: window.end - now }
    },
  }
}

/**
 * Redis expires keys by its wall clock. A key that expires later than its window is long gets a new expiry: that clock was
 * set back, or the key lost its expiry, say by a restored dump, and would stay full for good.
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

/** How long an unreachable Redis is left alone, so that requests do not each wait for it. */
const RETRY_AFTER_MS = 1_000

/**
 * Makes counters in Redis, shared by all instances, each of a kind of their own. While Redis does not answer, those of
 * this process go on.
 *
 * @param monotonic milliseconds since a moment that does not change
 * @param onChange hears when Redis stops answering (with the error) and when it answers again (with null)
 */
export function redisCounters(
  redis: Redis,
  monotonic: () => number,
  onChange: (error: unknown) => void,
): (kind: string) => Counters {
  let downSince: number | null = null

  const run = async (script: string, key: string, windowMs: number): Promise<Count | null> => {
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
