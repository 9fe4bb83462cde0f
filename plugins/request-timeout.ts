import fp from 'fastify-plugin'
import type { OngoingRequest } from '#src/http/ongoing-requests.ts'
import { createRequestTimeouts } from '#src/http/request-timeout.ts'

declare module 'fastify' {
  interface FastifyRequest {
    /** Whether the request has timed out: no step needs to delay its response. */
    isTimedOut: boolean
    /** The entry of the request among those in progress. */
    ongoing: OngoingRequest<FastifyReply> | null
  }
}

/** Responds with 503 to requests that take longer than REQUEST_TIMEOUT. */
export default fp(
  async app => {
    const timeouts = createRequestTimeouts(app.config.requestTimeout * 1_000, app)
    app.addStep('onRequest', {
      run(request, reply) {
        request.ongoing = timeouts.begin(reply, request.startedAt)
      },
    })
    app.onRequestEnd(({ ongoing }) => {
      if (ongoing !== null) timeouts.end(ongoing)
    })
    app.addHook('onClose', async () => timeouts.close())
  },
  { name: 'request-timeout', dependencies: ['request-end', 'steps'] },
)
