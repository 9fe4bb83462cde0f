import type { FastifyRequest } from 'fastify'
import fp from 'fastify-plugin'
import { type Attempts, createAttempts } from '#src/accounts/attempts.ts'

declare module 'fastify' {
  interface FastifyInstance {
    attempts: Attempts
  }
  interface FastifyRequest {
    /** The remaining attempts of the last limit that counted the request; null if none did. */
    remainingAttempts: { max: number; remaining: number } | null
    /** Sets the headers of the response to the remaining attempts of a limit. */
    reportRemainingAttempts(limit: { max: number; remaining: number }): void
  }
}

/** Adds `app.attempts`, and reports remaining attempts in response headers. */
export default fp(
  async app => {
    const { config, clock, monotonic, attemptCounts, metrics, log } = app
    app.decorate(
      'attempts',
      createAttempts({
        config,
        clock,
        monotonic,
        kysely: app.database.logins,
        attemptCounts,
        guessCounters: app.countersOf('failed-auth'),
        onLimited: metrics.countRateLimited,
        log,
      }),
    )
    app.decorateRequest('reportRemainingAttempts', function (this: FastifyRequest, limit) {
      this.remainingAttempts = limit
    })
    app.addStep('onSend', {
      run({ remainingAttempts: limit }, reply) {
        // The error already has the headers of the limit that refused.
        if (limit === null || reply.statusCode === 429) return
        reply.headers({ 'x-ratelimit-limit': limit.max, 'x-ratelimit-remaining': limit.remaining })
      },
    })
  },
  { name: 'attempts', dependencies: ['client-address', 'counters', 'database', 'metrics', 'steps'] },
)
