import type { FastifyReply, FastifyRequest } from 'fastify'
import type { Config } from '#src/config/config.ts'
import { CLIENT_CLOSED_REQUEST, pathOf } from './request.ts'

/** What adding up shares may be off. */
const ROUNDING = 1e-6

/**
 * Makes the function that writes one line for each request that LOG_REQUESTS asks for: all that failed, and a share of the
 * others. The query string is left out: people put tokens there, and those would work for whoever reads the log.
 */
export function requestLog({ appEnv, logRequests }: Pick<Config, 'appEnv' | 'logRequests'>) {
  const isLocal = appEnv === 'local'
  // Every so many requests one is written, which takes no dice.
  let debt = 0
  const isDue = (status: number) => {
    // Clients that hang up are no errors, and as many as they like.
    if (status >= 400 && status !== CLIENT_CLOSED_REQUEST) return true
    debt += logRequests
    if (debt < 1 - ROUNDING) return false
    debt -= 1
    return true
  }
  return (request: FastifyRequest, reply: FastifyReply, status: number): void => {
    if (!isDue(status)) return
    const { identity, authenticationOutcome, notStatefulBecause } = request
    request.log.info(
      {
        method: request.method,
        path: pathOf(request.url),
        status,
        ms: Math.round(reply.elapsedTime * 10) / 10,
        address: request.clientAddress.ip,
        ...(identity !== null && { userId: identity.user.id }),
        ...(authenticationOutcome !== null && { authentication: authenticationOutcome }),
        ...(isLocal && notStatefulBecause !== null && { notStatefulBecause }),
      },
      'request',
    )
  }
}
