import rateLimit, { type FastifyRateLimitStore } from '@fastify/rate-limit'
import fp from 'fastify-plugin'
import { MINUTE_MS } from '#src/auth/time.ts'
import { rateLimitStep } from '#src/http/steps/rate-limit.ts'

/** Limits how often a caller uses the API, the login and the panel in a minute. */
export default fp(
  async app => {
    const { config, counters, clock, metrics } = app

    /** What the limiter counts with: its own memory and Redis know neither our clock nor how to go on alone. */
    class Store implements FastifyRateLimitStore {
      incr(key: string, callback: (error: Error | null, result?: { current: number; ttl: number }) => void) {
        counters.hit(`api:${key}`, MINUTE_MS).then(
          count => callback(null, count),
          error => callback(error),
        )
      }
      child() {
        return this
      }
    }

    await app.register(rateLimit, {
      global: false,
      timeWindow: MINUTE_MS,
      store: Store,
      keyGenerator: ({ identity, clientAddress }) =>
        identity === null ? `ip:${clientAddress.key}` : `user:${identity.user.id}`,
      max: ({ identity }) => (identity === null ? config.rateLimitAnonymous : config.rateLimitAuthenticated),
    })
    app.addStep('onRequest', rateLimitStep({ count: app.createRateLimit(), clock, metrics }))
  },
  {
    name: 'rate-limit',
    dependencies: ['area', 'client-address', 'counters', 'identify', 'metrics', 'steps'],
  },
)
