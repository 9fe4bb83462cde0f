import type { FastifyReply, FastifyRequest } from 'fastify'
import { BYPASS_API_RATE_LIMITER } from '#src/auth/permission.ts'
import { tooManyRequests } from '#src/responses/errors.ts'
import type { Step, Verdict } from '../step.ts'

/** What @fastify/rate-limit says of a request. */
type Count = (request: FastifyRequest) => Promise<
  | { isAllowed: true; key: string }
  | {
      isAllowed: false
      key: string
      max: number
      timeWindow: number
      remaining: number
      ttl: number
      ttlInSeconds: number
      isExceeded: boolean
      isBanned: boolean
    }
>

/**
 * Limits how often a caller uses the API, the login and the panel in a minute, as soon as it is known who calls (429):
 * with the head of a request, so that it counts whatever comes of it, a body that is too large or a missing CSRF token
 * included.
 *
 * @param needs.clock milliseconds since the epoch
 */
export function rateLimitStep({
  count,
  clock,
  metrics,
}: {
  count: Count
  clock: () => number
  metrics: { rateLimited(limit: 'api'): void }
}): Step {
  const limit = async (request: FastifyRequest, reply: FastifyReply): Promise<Verdict> => {
    const verdict = await count(request)
    // Nobody is on the limiter's own list: whoever is exempt has gone by.
    if (verdict.isAllowed) return undefined
    if (verdict.isExceeded) {
      metrics.rateLimited('api')
      throw tooManyRequests(verdict, clock())
    }
    reply.headers({ 'x-ratelimit-limit': verdict.max, 'x-ratelimit-remaining': verdict.remaining })
    return undefined
  }
  return {
    appliesTo: route => route === null || route.config.isApi === true || route.config.isWeb === true,
    run: (request, reply) => (isLimited(request) ? limit(request, reply) : undefined),
  }
}

const isLimited = ({ isApi, isPanel, routeConfig, clientAddress, identity }: FastifyRequest) =>
  (isApi || isPanel || routeConfig.isWeb === true) &&
  !clientAddress.isLocal &&
  identity?.permissions.has(BYPASS_API_RATE_LIMITER) !== true
