import type { FastifyBaseLogger } from 'fastify'
import { Redis } from 'ioredis'
import { type Counters, memoryCounters, redisCounters } from './counters.ts'

/** Counters by kind, whose keys never take the place of another kind's: for what may be forgotten when memory runs out. */
export interface CounterStore {
  of(kind: string): Counters
  /** Connects to Redis, if there is one; logs that nobody answers. */
  open(): Promise<void>
  close(): void
}

/**
 * Makes the counters of a server: in Redis, shared by all instances, or in memory.
 *
 * @param needs.redisUrl REDIS_URL; null for memory
 * @param needs.monotonic milliseconds since a moment that does not change
 */
export function counterStore({
  redisUrl,
  monotonic,
  log,
}: {
  redisUrl: string | null
  monotonic: () => number
  log: FastifyBaseLogger
}): CounterStore {
  const made = new Map<string, Counters>()
  const of = (make: (kind: string) => Counters) => (kind: string) => {
    const counters = made.get(kind) ?? make(kind)
    made.set(kind, counters)
    return counters
  }
  if (redisUrl === null) {
    return { of: of(() => memoryCounters(monotonic)), open: async () => {}, close() {} }
  }
  const redis = new Redis(redisUrl, {
    lazyConnect: true,
    maxRetriesPerRequest: 1,
    enableOfflineQueue: false,
    connectTimeout: 500,
    commandTimeout: 500,
  })
  // Without a listener the process would end; what matters of it is heard through the counters.
  redis.on('error', error => log.debug({ err: error }, 'redis connection'))
  const make = redisCounters(redis, monotonic, error => {
    if (error === null) log.info('redis answers again: request rates are shared by all instances')
    else {
      const { message } = error as Error
      log.warn(
        `REDIS_URL: redis does not answer (${message}), so request rates are counted by each process alone`,
      )
    }
  })
  return {
    of: of(make),
    async open() {
      await redis.connect().catch(error => log.debug({ err: error }, 'redis connection'))
      // Asked once, so that the log says at the start already that nobody answers.
      await make('start').read('start', 1)
    },
    close: () => redis.disconnect(),
  }
}
