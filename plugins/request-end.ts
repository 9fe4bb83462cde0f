import fp from 'fastify-plugin'
import { type OnRequestEnd, requestEnds } from '#src/http/request-end.ts'

declare module 'fastify' {
  interface FastifyInstance {
    /**
     * Has something done once for each request that has a reply, after its answer was sent, or its client has hung up
     * and there is nothing more to do for it.
     */
    onRequestEnd(act: OnRequestEnd): void
  }
  interface FastifyRequest {
    /** Whether the answer is decided, and on its way. */
    isAnswered: boolean
    /** Whether the answer was sent, or there is nobody left to send it to. */
    isOver: boolean
  }
}

/** Adds `app.onRequestEnd()`. */
export default fp(
  async app => {
    const { add, watchStep, answeredStep, sent } = requestEnds()
    app.decorate('onRequestEnd', add)
    app.decorateRequest('isAnswered', false)
    app.decorateRequest('isOver', false)
    app.addStep('onRequest', watchStep)
    app.addStep('onSend', answeredStep)
    app.addHook('onResponse', (request, reply, done) => {
      sent(request, reply)
      done()
    })
  },
  { name: 'request-end', dependencies: ['steps'] },
)
