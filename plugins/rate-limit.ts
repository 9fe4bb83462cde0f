import rateLimit, { type FastifyRateLimitStore } from '@fastify/rate-limit'
import fp from 'fastify-plugin'
import { MINUTE_MS } from '#src/auth/time.ts'
import { rateLimitStep } from '#src/http/steps/rate-limit.ts'

/** Limits the requests of a caller per minute. */
export default fp(
  async app => {
    const { config, counters, clock, metrics } = app

    /** Replaces the plugin's stores, which support neither an injected clock nor a fallback without Redis. */
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
