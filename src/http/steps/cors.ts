import type { FastifyRequest } from 'fastify'
import type { FirstParty } from '#src/auth/origin.ts'
import type { Step } from '../step.ts'

/** How long browsers may cache preflight responses, in seconds. */
const PREFLIGHT_MAX_AGE = '600'

const METHODS = 'GET, HEAD, POST, PUT, PATCH, DELETE'

const EXPOSED =
  'X-RateLimit-Limit, X-RateLimit-Remaining, X-RateLimit-Reset, Retry-After, X-Retry-After, X-Request-Id, X-Revoked-Tokens'

const PREFLIGHT_VARY = 'Origin, Access-Control-Request-Method, Access-Control-Request-Headers'

/** Whether a request is a CORS preflight (Fetch §3.2.2). */
const isPreflight = ({ method, headers }: FastifyRequest): boolean =>
  method === 'OPTIONS' &&
  headers.origin !== undefined &&
  headers['access-control-request-method'] !== undefined

/**
 * Sets the CORS headers (Fetch §3.2): first parties and CORS_ALLOWED_ORIGINS may read responses, both with cookies. `*`
 * allows other origins without cookies.
 *
 * @param allowedOrigins CORS_ALLOWED_ORIGINS
 */
export function corsStep(firstParty: FirstParty, allowedOrigins: readonly string[]): Step {
  const allowed = new Set(allowedOrigins)
  return {
    run(request, reply) {
      const { origin } = request.headers
      const isPreflightRequest = isPreflight(request)
      reply.header('vary', isPreflightRequest ? PREFLIGHT_VARY : 'Origin')
      if (origin === undefined) return
      const reader =
        allowed.has(origin) || firstParty.includes(origin, request.host ?? '')
          ? origin
          : allowed.has('*')
            ? '*'
            : null
      if (reader !== null) {
        reply.header('access-control-allow-origin', reader)
        if (reader !== '*') reply.header('access-control-allow-credentials', 'true')
        if (!isPreflightRequest) reply.header('access-control-expose-headers', EXPOSED)
      }
      if (isPreflightRequest && reader !== null) {
        reply.headers({
          'access-control-allow-methods': METHODS,
          'access-control-allow-headers': request.headers['access-control-request-headers'] ?? '',
          'access-control-max-age': PREFLIGHT_MAX_AGE,
        })
      }
    },
  }
}

/** Responds to preflights with 204 and the CORS headers. */
export const preflightStep: Step = {
  // No route has the method OPTIONS.
  appliesTo: route => route === null || route.methods.includes('OPTIONS'),
  run(request, reply) {
    if (!isPreflight(request)) return
    reply.code(204).send()
    return 'responded'
  },
}
