import rateLimit, { type FastifyRateLimitStore } from '@fastify/rate-limit'
import type { FastifyReply, FastifyRequest } from 'fastify'
import fp from 'fastify-plugin'
import { tooManyRequests } from '#src/answers/errors.ts'
import { BYPASS_API_RATE_LIMITER } from '#src/auth/permission.ts'
import { MINUTE_MS } from '#src/auth/time.ts'

const WINDOW_MS = MINUTE_MS

/**
 * Limits how often a caller uses the API and the login in a minute, as soon as it is known who calls: with the head of
 * a request, so that it counts whatever comes of it, a body that is too large or a missing CSRF token included.
 */
export default fp(
  async app => {
    const { config, counters, clock } = app

    /** What the limiter counts with: its own memory and Redis know neither our clock nor how to go on alone. */
    class Store implements FastifyRateLimitStore {
      incr(key: string, callback: (error: Error | null, result?: { current: number; ttl: number }) => void) {
        counters.hit(`api:${key}`, WINDOW_MS).then(
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
      timeWindow: WINDOW_MS,
      store: Store,
      keyGenerator: ({ identity, clientAddress }) =>
        identity === null ? `ip:${clientAddress.key}` : `user:${identity.user.id}`,
      max: ({ identity }) => (identity === null ? config.rateLimitAnonymous : config.rateLimitAuthenticated),
    })
    const count = app.createRateLimit()

    app.addHook('onRequest', (request, reply, done) => {
      if (isLimited(request)) limit(request, reply).then(() => done(), done)
      else done()
    })

    const isLimited = ({ isApi, isPanel, routeConfig, clientAddress, identity }: FastifyRequest) =>
      (isApi || isPanel || routeConfig.isWeb === true) &&
      !clientAddress.isLocal &&
      identity?.permissions.has(BYPASS_API_RATE_LIMITER) !== true

    const limit = async (request: FastifyRequest, reply: FastifyReply) => {
      const verdict = await count(request)
      // Nobody is on the limiter's own list: whoever is exempt has gone by.
      if (verdict.isAllowed) return
      if (verdict.isExceeded) {
        app.metrics.rateLimited('api')
        throw tooManyRequests(verdict, clock())
      }
      reply.headers({ 'x-ratelimit-limit': verdict.max, 'x-ratelimit-remaining': verdict.remaining })
    }
  },
  { name: 'rate-limit', dependencies: ['counters', 'identify', 'metrics'] },
)
