import type { FastifyRequest } from 'fastify'
import fp from 'fastify-plugin'
import { type FirstParty, firstParty } from '#src/auth/origin.ts'

declare module 'fastify' {
  interface FastifyInstance {
    /** Which origins are pages of ours. */
    firstParty: FirstParty
  }
}

/** Seconds for which a browser may remember the answer to a preflight. */
const PREFLIGHT_MAX_AGE = '600'

const METHODS = 'GET, HEAD, POST, PUT, PATCH, DELETE'

const EXPOSED =
  'X-RateLimit-Limit, X-RateLimit-Remaining, X-RateLimit-Reset, Retry-After, X-Retry-After, X-Request-Id, X-Revoked-Tokens'

const PREFLIGHT_VARY = 'Origin, Access-Control-Request-Method, Access-Control-Request-Headers'

/** Whether a browser asks whether a page of another origin may send a request (Fetch §3.2.2). */
export const isPreflight = ({ method, headers }: FastifyRequest): boolean =>
  method === 'OPTIONS' &&
  headers.origin !== undefined &&
  headers['access-control-request-method'] !== undefined

/**
 * Says which pages of other origins may read answers (CORS, Fetch §3.2): first parties and CORS_ALLOWED_ORIGINS,
 * both with cookies. A preflight is answered by plugins/preflight.ts.
 */
export default fp(
  async app => {
    const { corsAllowedOrigins, statefulDomains, appUrl } = app.config
    const ours = firstParty(statefulDomains, appUrl)
    app.decorate('firstParty', ours)
    const allowed = new Set(corsAllowedOrigins)

    app.addHook('onRequest', (request, reply, done) => {
      const { origin } = request.headers
      const isAsking = isPreflight(request)
      reply.header('vary', isAsking ? PREFLIGHT_VARY : 'Origin')
      if (origin === undefined) return done()

      const reader =
        allowed.has(origin) || ours.includes(origin, request.host ?? '')
          ? origin
          : allowed.has('*')
            ? '*'
            : null
      if (reader !== null) {
        reply.header('access-control-allow-origin', reader)
        if (reader !== '*') reply.header('access-control-allow-credentials', 'true')
        if (!isAsking) reply.header('access-control-expose-headers', EXPOSED)
      }
      if (isAsking && reader !== null) {
        reply.headers({
          'access-control-allow-methods': METHODS,
          'access-control-allow-headers': request.headers['access-control-request-headers'] ?? '',
          'access-control-max-age': PREFLIGHT_MAX_AGE,
        })
      }
      done()
    })
  },
  { name: 'cors', dependencies: ['hosts'] },
)
