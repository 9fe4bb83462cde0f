import type { FastifyBaseLogger } from 'fastify'
import type { MonotonicMillis } from '#src/runtime/units.ts'
import { type Counters, memoryCounters, redisCounters } from './counters.ts'

/** Counters by kind, with separate keys. For counts that may be evicted when memory runs out. */
export interface CounterStore {
  of(kind: string): Counters
  /** Connects to Redis if configured, and logs if it does not respond. */
  open(): Promise<void>
  close(): void
}

/**
 * Makes the counters of a server: in Redis, shared by all instances, or in memory.
 *
 * @param needs.redisUrl REDIS_URL; null for memory
 */
export async function counterStore({
  redisUrl,
  monotonic,
  log,
}: {
  redisUrl: string | null
  monotonic: () => MonotonicMillis
  log: FastifyBaseLogger
}): Promise<CounterStore> {
  const cache = new Map<string, Counters>()
  const of = (make: (kind: string) => Counters) => (kind: string) => {
    const counters = cache.get(kind) ?? make(kind)
    cache.set(kind, counters)
    return counters
  }
  if (redisUrl === null) {
    return { of: of(() => memoryCounters(monotonic)), open: async () => {}, close() {} }
  }
  // Not loaded without REDIS_URL, since loading takes time at the start.
  const { Redis } = await import('ioredis')
  const redis = new Redis(redisUrl, {
    lazyConnect: true,
    maxRetriesPerRequest: 1,
    enableOfflineQueue: false,
    connectTimeout: 500,
    commandTimeout: 500,
  })
  // Without a listener the process would end. Failures are reported by the counters.
  redis.on('error', error => log.debug({ err: error }, 'redis connection'))
  const make = redisCounters(redis, monotonic, error => {
    if (error === null) log.info('redis responds again: request rates are shared by all instances')
    else {
      const { message } = error as Error
      log.warn(
        `REDIS_URL: redis does not respond (${message}), so request rates are counted by each process alone`,
      )
    }
  })
  return {
    of: of(make),
    async open() {
      await redis.connect().catch(error => log.debug({ err: error }, 'redis connection'))
      // One read, so that an unresponsive Redis is logged at startup.
      await make('start').read('start', 1)
    },
    close: () => redis.disconnect(),
  }
}
