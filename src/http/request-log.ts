import type { FastifyReply, FastifyRequest } from 'fastify'
import type { Config } from '#src/config/config.ts'
import type { Millis } from '#src/runtime/units.ts'
import { CLIENT_CLOSED_REQUEST, pathOf } from './request.ts'

/** Tolerance for the rounding error of the accumulated shares. */
const ROUNDING = 1e-6

/**
 * Creates the function that writes one log line per request: for all that failed, and for the share LOG_REQUESTS of the
 * others. Paths are logged without query string, since it may contain tokens.
 */
export function createRequestLog({ appEnv, logRequests }: Pick<Config, 'appEnv' | 'logRequests'>) {
  const isLocal = appEnv === 'local'
  // Accumulates the share instead of sampling randomly: every n-th request is logged.
  let accumulated = 0
  const isDue = (status: number) => {
    // Client disconnects are not errors, and clients can cause any number of them.
    if (status >= 400 && status !== CLIENT_CLOSED_REQUEST) return true
    accumulated += logRequests
    if (accumulated < 1 - ROUNDING) return false
    accumulated -= 1
    return true
  }
  return (request: FastifyRequest, _reply: FastifyReply, status: number, ms: Millis): void => {
    if (!isDue(status)) return
    const { identity, authenticationOutcome, notStatefulBecause, csrfHint } = request
    request.log.info(
      {
        method: request.method,
        path: pathOf(request.url),
        status,
        ms: Math.round(ms * 10) / 10,
        address: request.clientAddress.ip,
        ...(identity !== null && { userId: identity.user.id }),
        ...(authenticationOutcome !== null && { authentication: authenticationOutcome }),
        ...(status === 419 && csrfHint !== null && { hint: csrfHint }),
        ...(isLocal && notStatefulBecause !== null && { notStatefulBecause }),
      },
      'request',
    )
  }
}
