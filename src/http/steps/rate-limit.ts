import type { FastifyReply, FastifyRequest } from 'fastify'
import { BYPASS_API_RATE_LIMITER } from '#src/auth/permission.ts'
import { tooManyRequests } from '#src/responses/errors.ts'
import type { EpochMillis } from '#src/runtime/units.ts'
import type { Step, Verdict } from '../step.ts'

/** The result of `createRateLimit()` of @fastify/rate-limit. */
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
 * Limits the requests of a caller per minute (429). Runs right after authentication, in `onRequest`, so that refused
 * requests count as well: those with a body that is too large, or without a CSRF token.
 */
export function rateLimitStep({
  count,
  clock,
  metrics,
}: {
  count: Count
  clock: () => EpochMillis
  metrics: { countRateLimited(limit: 'api'): void }
}): Step {
  const limit = async (request: FastifyRequest, reply: FastifyReply): Promise<Verdict> => {
    const verdict = await count(request)
    // The plugin's allow list is empty: exempt callers do not reach it.
    if (verdict.isAllowed) return undefined
    if (verdict.isExceeded) {
      metrics.countRateLimited('api')
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
