import fp from 'fastify-plugin'
import { Counter, Histogram, Registry } from 'prom-client'
import type { AuthenticationFailure } from '../src/auth/identity.ts'
import type { SessionFailure } from '../src/auth/session.ts'

/** How an attempt to find out who is calling ended. */
export type AuthenticationOutcome =
  | AuthenticationFailure
  | SessionFailure
  | 'authenticated'
  | 'anonymous'
  | 'throttled'
  | 'unavailable'

interface Metrics {
  registry: Registry
  authentication: Counter<'outcome'>
  rateLimited: Counter<'limit'>
}

declare module 'fastify' {
  interface FastifyInstance {
    metrics: Metrics
  }
}

/** Measures every request, and counts authentications and refusals. */
export default fp(
  async app => {
    const registry = new Registry()
    const duration = new Histogram({
      name: 'http_request_duration_seconds',
      help: 'Time from a request to its answer, by route.',
      labelNames: ['method', 'route', 'status'],
      buckets: [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10],
      registers: [registry],
    })
    app.decorate('metrics', {
      registry,
      authentication: new Counter({
        name: 'authentications_total',
        help: 'Attempts to find out who is calling, by outcome.',
        labelNames: ['outcome'],
        registers: [registry],
      }),
      rateLimited: new Counter({
        name: 'rate_limited_requests_total',
        help: 'Requests that were answered 429, by the limit that they met.',
        labelNames: ['limit'],
        registers: [registry],
      }),
    })
    app.addHook('onResponse', async (request, reply) => {
      duration.observe(
        {
          method: request.method,
          route: request.routeOptions.url ?? 'none',
          status: reply.statusCode,
        },
        reply.elapsedTime / 1000,
      )
    })
  },
  { name: 'metrics', dependencies: ['hosts'] },
)
