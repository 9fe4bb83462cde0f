import type { FastifyReply, FastifyRequest } from 'fastify'
import fp from 'fastify-plugin'
import { CLIENT_CLOSED_REQUEST } from '#src/http/request.ts'

/** What is done when a request is over. Its status is what the client got, or {@link CLIENT_CLOSED_REQUEST}. */
type OnRequestEnd = (request: FastifyRequest, reply: FastifyReply, status: number) => void

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

/**
 * Adds `app.onRequestEnd()`. Fastify's hook `onResponse` is never called when the client hangs up before the answer,
 * so whoever does that would appear in no log and no metrics, and keep whatever the hook gives back.
 */
export default fp(
  async app => {
    const acts: OnRequestEnd[] = []
    const end = (request: FastifyRequest, reply: FastifyReply, status: number) => {
      if (request.isOver) return
      request.isOver = true
      for (const act of acts) act(request, reply, status)
    }
    app.decorate('onRequestEnd', act => {
      acts.push(act)
    })
    app.decorateRequest('isAnswered', false)
    app.decorateRequest('isOver', false)

    app.addStep('onRequest', {
      run(request, reply) {
        reply.raw.once('close', () => {
          // While its handler still works, the request is not over.
          if (request.isAnswered) end(request, reply, CLIENT_CLOSED_REQUEST)
        })
      },
    })
    app.addStep('onSend', {
      run(request, reply) {
        request.isAnswered = true
        if (reply.raw.destroyed) end(request, reply, CLIENT_CLOSED_REQUEST)
      },
    })
    app.addHook('onResponse', (request, reply, done) => {
      end(request, reply, reply.statusCode)
      done()
    })
  },
  { name: 'request-end', dependencies: ['steps'] },
)
