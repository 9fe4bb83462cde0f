import fp from 'fastify-plugin'
import { createRequestTimeouts } from '#src/http/request-timeout.ts'

declare module 'fastify' {
  interface FastifyRequest {
    /** Whether the request has timed out: no step needs to delay its response. */
    isTimedOut: boolean
  }
}

/** Responds with 503 to requests that take longer than REQUEST_TIMEOUT. */
export default fp(
  async app => {
    const timeouts = createRequestTimeouts(app.config.requestTimeout * 1_000, app)
    app.decorateRequest('isTimedOut', false)
    app.addStep('onRequest', {
      run(_request, reply) {
        timeouts.begin(reply)
      },
    })
    app.onRequestEnd((_request, reply) => timeouts.end(reply))
    app.addHook('onClose', async () => timeouts.close())
  },
  { name: 'request-timeout', dependencies: ['request-end', 'steps'] },
)
