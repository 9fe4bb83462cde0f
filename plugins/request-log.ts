import fp from 'fastify-plugin'
import { pathOf } from '../src/http.ts'

/**
 * Writes one line for each request. The query string is left out of it: people put tokens there, and those
 * would work for whoever reads the log.
 */
export default fp(
  async app => {
    const isLocal = app.config.appEnv === 'local'
    app.addHook('onResponse', async (request, reply) => {
      request.log.info(
        {
          method: request.method,
          path: pathOf(request.url),
          status: reply.statusCode,
          ms: Math.round(reply.elapsedTime * 10) / 10,
          address: request.ip,
          ...(request.identity && { userId: request.identity.user.id }),
          ...(request.authenticationOutcome && { authentication: request.authenticationOutcome }),
          ...(isLocal && request.notStatefulBecause && { notStatefulBecause: request.notStatefulBecause }),
        },
        'request',
      )
    })
  },
  { name: 'request-log', dependencies: ['identify'] },
)
