import fp from 'fastify-plugin'
import type { RequestEndListener, RequestEnds } from '#src/http/request-end.ts'
import type { MonotonicMillis } from '#src/runtime/units.ts'

declare module 'fastify' {
  interface FastifyInstance {
    requestEnds: RequestEnds
    /**
     * Calls a listener once for each request: after its response was sent, or after a client disconnect, when its handler
     * is done.
     */
    onRequestEnd(listener: RequestEndListener): void
  }
  interface FastifyRequest {
    /** When the head of the request had arrived. */
    startedAt: MonotonicMillis
    /** Whether the handler is done and the response is being sent. */
    isResponding: boolean
    /** Whether the response was sent, or the client has disconnected. */
    isEnded: boolean
  }
}

/** Adds `app.onRequestEnd()`. */
export default fp(
  async app => {
    const { add, watchStep, respondedStep } = app.requestEnds
    app.decorate('onRequestEnd', add)
    app.addStep('onRequest', watchStep)
    app.addStep('onSend', respondedStep)
  },
  { name: 'request-end', dependencies: ['steps'] },
)
