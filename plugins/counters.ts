import fp from 'fastify-plugin'
import { attemptCounts } from '#src/database/attempt-counts.ts'
import type { AttemptCounts } from '#src/limits/attempt-counts.ts'
import { counterStore } from '#src/limits/counter-store.ts'
import type { Counters } from '#src/limits/counters.ts'
import { steadyClock } from '#src/runtime/steady-clock.ts'

declare module 'fastify' {
  interface FastifyInstance {
    /** Returns the counters of a kind. They may be lost when memory runs out. */
    countersOf(kind: string): Counters
    /** The counters of request rates. */
    counters: Counters
    /** Durable counters in the database, for attempts on accounts and for mails. */
    attemptCounts: AttemptCounts
  }
}

/** Adds the counters of limits: in Redis, or in memory without REDIS_URL, and durable ones in the database. */
export default fp(
  async app => {
    const { config, clock, monotonic, log, database } = app
    const store = await counterStore({ redisUrl: config.redisUrl, monotonic, log })
    app.decorate('countersOf', store.of)
    app.decorate('counters', store.of('requests'))
    app.decorate('attemptCounts', attemptCounts(database.kysely, steadyClock(clock, monotonic)))
    app.addHook('onReady', store.open)
    app.addHook('onClose', async () => store.close())
  },
  { name: 'counters' },
)
