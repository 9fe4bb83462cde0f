import fp from 'fastify-plugin'
import { CLIENT_CLOSED_REQUEST, pathOf } from '#src/http/http.ts'

/** What adding up shares may be off. */
const ROUNDING = 1e-6

/**
 * Writes one line for each request that LOG_REQUESTS asks for. The query string is left out of it: people put
 * tokens there, and those would work for whoever reads the log.
 */
export default fp(
  async app => {
    const { appEnv, logRequests } = app.config
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

    app.onRequestEnd((request, reply, status) => {
      if (isDue(status)) {
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
    })
  },
  { name: 'request-log', dependencies: ['client-address', 'identify', 'request-end'] },
)
