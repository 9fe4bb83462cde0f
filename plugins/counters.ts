import fp from 'fastify-plugin'
import { Redis } from 'ioredis'
import { attemptCounts } from '#src/database/attempt-counts.ts'
import type { AttemptCounts } from '#src/limits/attempt-counts.ts'
import { type Counters, memoryCounters, redisCounters } from '#src/limits/counters.ts'
import { steadyClock } from '#src/runtime/steady-clock.ts'

declare module 'fastify' {
  interface FastifyInstance {
    /**
     * The counters of a kind, whose keys never take the place of another kind's: for what may be forgotten when memory
     * runs out.
     */
    countersOf(kind: string): Counters
    /** Those of request rates. */
    counters: Counters
    /** Counts what opens an account or reaches a person, in the database, where nothing is forgotten. */
    attemptCounts: AttemptCounts
  }
}

/**
 * Adds what limits count with: `app.countersOf()` and `app.counters`, in Redis if REDIS_URL is set and in memory
 * otherwise, and `app.attemptCounts` in the database.
 */
export default fp(
  async app => {
    const { clock, monotonic } = app
    app.decorate('attemptCounts', attemptCounts(app.database.kysely, steadyClock(clock, monotonic)))
    const make = counterMaker()
    const made = new Map<string, Counters>()
    app.decorate('countersOf', kind => {
      const counters = made.get(kind) ?? make(kind)
      made.set(kind, counters)
      return counters
    })
    app.decorate('counters', app.countersOf('requests'))

    function counterMaker(): (kind: string) => Counters {
      const { redisUrl } = app.config
      if (redisUrl === null) return () => memoryCounters(monotonic)
      const redis = new Redis(redisUrl, {
        lazyConnect: true,
        maxRetriesPerRequest: 1,
        enableOfflineQueue: false,
        connectTimeout: 500,
        commandTimeout: 500,
      })
      // Without a listener the process would end; what matters of it is heard through the counters.
      redis.on('error', error => app.log.debug({ err: error }, 'redis connection'))
      app.addHook('onReady', async () => {
        await redis.connect().catch(error => app.log.debug({ err: error }, 'redis connection'))
        // Asked once, so that the log says at the start already that nobody answers.
        await make('start').read('start', 1)
      })
      app.addHook('onClose', async () => redis.disconnect())
      return redisCounters(redis, monotonic, error => {
        if (error === null) app.log.info('redis answers again: request rates are shared by all instances')
        else {
          const { message } = error as Error
          app.log.warn(
            `REDIS_URL: redis does not answer (${message}), so request rates are counted by each process alone`,
          )
        }
      })
    }
  },
  { name: 'counters', dependencies: ['errors'] },
)
