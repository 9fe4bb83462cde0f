import fp from 'fastify-plugin'
import { requestTimeouts } from '#src/http/request-timeout.ts'

declare module 'fastify' {
  interface FastifyRequest {
    /** Whether it was answered 503 since it took too long: nothing else is to be waited for. */
    isGivenUp: boolean
  }
}

/** Answers requests 503 that are not answered within REQUEST_TIMEOUT. */
export default fp(
  async app => {
    const timeouts = requestTimeouts(app.config.requestTimeout * 1_000, app)
    app.decorateRequest('isGivenUp', false)
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
