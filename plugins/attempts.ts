import type { FastifyRequest } from 'fastify'
import fp from 'fastify-plugin'
import { type Attempts, createAttempts } from '#src/accounts/attempts.ts'

declare module 'fastify' {
  interface FastifyInstance {
    attempts: Attempts
  }
  interface FastifyRequest {
    /** What is left of the limit that the request was counted for last; null when it was for none. */
    attemptsLeft: { max: number; remaining: number } | null
    /** Has the answer's headers tell how many attempts are left of a limit. */
    tellAttempts(limit: { max: number; remaining: number }): void
  }
}

/** Adds `app.attempts`, and tells callers in headers what is left. */
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
        onLimited: metrics.rateLimited,
        log,
      }),
    )
    app.decorateRequest('attemptsLeft', null)
    app.decorateRequest('tellAttempts', function (this: FastifyRequest, limit) {
      this.attemptsLeft = limit
    })
    app.addStep('onSend', {
      run({ attemptsLeft: left }, reply) {
        // A refusal tells of the limit that refused.
        if (left === null || reply.statusCode === 429) return
        reply.headers({ 'x-ratelimit-limit': left.max, 'x-ratelimit-remaining': left.remaining })
      },
    })
  },
  { name: 'attempts', dependencies: ['client-address', 'counters', 'database', 'metrics', 'steps'] },
)
