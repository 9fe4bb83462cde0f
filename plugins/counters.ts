import fp from 'fastify-plugin'
import { attemptCounts } from '#src/database/attempt-counts.ts'
import type { AttemptCounts } from '#src/limits/attempt-counts.ts'
import { counterStore } from '#src/limits/counter-store.ts'
import type { Counters } from '#src/limits/counters.ts'
import { steadyClock } from '#src/runtime/steady-clock.ts'

declare module 'fastify' {
  interface FastifyInstance {
    /** The counters of a kind: for what may be forgotten when memory runs out. */
    countersOf(kind: string): Counters
    /** Those of request rates. */
    counters: Counters
    /** Counts what opens an account or reaches a person, in the database, where nothing is forgotten. */
    attemptCounts: AttemptCounts
  }
}

/** Adds what limits count with: in Redis if REDIS_URL is set and in memory otherwise, and in the database. */
export default fp(
  async app => {
    const { config, clock, monotonic, log, database } = app
    const store = counterStore({ redisUrl: config.redisUrl, monotonic, log })
    app.decorate('countersOf', store.of)
    app.decorate('counters', store.of('requests'))
    app.decorate('attemptCounts', attemptCounts(database.kysely, steadyClock(clock, monotonic)))
    app.addHook('onReady', store.open)
    app.addHook('onClose', async () => store.close())
  },
  { name: 'counters' },
)
