import fp from 'fastify-plugin'
import { createRequestEnds, type RequestEndListener } from '#src/http/request-end.ts'

declare module 'fastify' {
  interface FastifyInstance {
    /**
     * Calls a listener once for each request: after its response was sent, or after a client disconnect, when its handler
     * is done.
     */
    onRequestEnd(listener: RequestEndListener): void
  }
  interface FastifyRequest {
    /** Whether the handler is done and the response is being sent. */
    isResponding: boolean
    /** Whether the response was sent, or the client has disconnected. */
    isEnded: boolean
  }
}

/** Adds `app.onRequestEnd()`. */
export default fp(
  async app => {
    const { add, watchStep, respondedStep, sent } = createRequestEnds()
    app.decorate('onRequestEnd', add)
    app.decorateRequest('isResponding', false)
    app.decorateRequest('isEnded', false)
    app.addStep('onRequest', watchStep)
    app.addStep('onSend', respondedStep)
    app.addHook('onResponse', (request, reply, done) => {
      sent(request, reply)
      done()
    })
  },
  { name: 'request-end', dependencies: ['steps'] },
)
