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
  /** Counts an attempt to find out who is calling. */
  authentication(outcome: AuthenticationOutcome): void
  /** Counts a request that was answered 429. */
  rateLimited(limit: 'api' | 'failed_auth' | 'login'): void
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
    const authentications = new Counter({
      name: 'authentications_total',
      help: 'Attempts to find out who is calling, by outcome.',
      labelNames: ['outcome'],
      registers: [registry],
    })
    const refusals = new Counter({
      name: 'rate_limited_requests_total',
      help: 'Requests that were answered 429, by the limit that they met.',
      labelNames: ['limit'],
      registers: [registry],
    })
    const authenticationsBy = remembered((outcome: string) => authentications.labels(outcome))
    const refusalsBy = remembered((limit: string) => refusals.labels(limit))
    const durationsBy = remembered((key: string) => duration.labels(...(key.split(' ') as [string])))

    app.decorate('metrics', {
      registry,
      authentication: outcome => authenticationsBy(outcome).inc(),
      rateLimited: limit => refusalsBy(limit).inc(),
    })
    app.addHook('onResponse', (request, reply, done) => {
      const route = request.routeConfig.url ?? 'none'
      durationsBy(`${request.method} ${route} ${reply.statusCode}`).observe(reply.elapsedTime / 1000)
      done()
    })
  },
  { name: 'metrics', dependencies: ['hosts'] },
)

/** A metric's child for each label, found by one look-up: by its labels it takes several. */
function remembered<Child>(childOf: (key: string) => Child) {
  const children = new Map<string, Child>()
  return (key: string): Child => {
    let child = children.get(key)
    if (child === undefined) {
      child = childOf(key)
      children.set(key, child)
    }
    return child
  }
}
