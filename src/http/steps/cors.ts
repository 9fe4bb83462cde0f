import type { FastifyRequest } from 'fastify'
import type { CorsHeaders } from '../cors-headers.ts'
import type { Step } from '../step.ts'

/** How long browsers may cache preflight responses, in seconds. */
const PREFLIGHT_MAX_AGE = '600'

const METHODS = 'GET, HEAD, POST, PUT, PATCH, DELETE'

const PREFLIGHT_VARY = 'Origin, Access-Control-Request-Method, Access-Control-Request-Headers'

/** Whether a request is a CORS preflight (Fetch §3.2.2). */
const isPreflight = ({ method, headers }: FastifyRequest): boolean =>
  method === 'OPTIONS' &&
  headers.origin !== undefined &&
  headers['access-control-request-method'] !== undefined

/** Sends the CORS headers of every response, and those of responses to preflights. */
export const corsStep = (corsHeaders: CorsHeaders): Step => ({
  run(request, reply) {
    const { origin } = request.headers
    const isPreflightRequest = isPreflight(request)
    if (isPreflightRequest) reply.header('vary', PREFLIGHT_VARY)
    if (origin === undefined) return
    const { 'access-control-expose-headers': exposed, ...reading } = corsHeaders(origin, request.host ?? '')
    if (exposed === undefined) return
    reply.headers(reading)
    if (!isPreflightRequest) {
      reply.header('access-control-expose-headers', exposed)
      return
    }
    reply.headers({
      'access-control-allow-methods': METHODS,
      'access-control-allow-headers': request.headers['access-control-request-headers'] ?? '',
      'access-control-max-age': PREFLIGHT_MAX_AGE,
    })
  },
})

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
