import type { FastifyReply, FastifyRequest } from 'fastify'
import { CLIENT_CLOSED_REQUEST } from './request.ts'
import type { Step } from './step.ts'

/** Called when a request has ended, with the status of its response or {@link CLIENT_CLOSED_REQUEST}. */
export type RequestEndListener = (request: FastifyRequest, reply: FastifyReply, status: number) => void

/** Calls listeners once for each request, when it has ended. */
export interface RequestEnds {
  /** Adds a listener. */
  add(act: RequestEndListener): void
  /** Detects a client disconnect. */
  watchStep: Step
  /** Marks that the handler is done and the response is being sent. */
  respondedStep: Step
  /** To be called when the response was sent. */
  sent(request: FastifyRequest, reply: FastifyReply): void
}

/**
 * Creates the {@link RequestEnds} of a server. Fastify does not call `onResponse` after a client disconnect: such requests
 * would be missing in logs and metrics, and keep the resources that the hook releases.
 */
export function createRequestEnds(): RequestEnds {
  const listeners: RequestEndListener[] = []
  const end: RequestEndListener = (request, reply, status) => {
    if (request.isEnded) return
    request.isEnded = true
    for (const act of listeners) act(request, reply, status)
  }
  return {
    add: act => listeners.push(act),
    watchStep: {
      run(request, reply) {
        reply.raw.once('close', () => {
          // While the handler runs, the request has not ended.
          if (request.isResponding) end(request, reply, CLIENT_CLOSED_REQUEST)
        })
      },
    },
    respondedStep: {
      run(request, reply) {
        request.isResponding = true
        if (reply.raw.destroyed) end(request, reply, CLIENT_CLOSED_REQUEST)
      },
    },
    sent: (request, reply) => end(request, reply, reply.statusCode),
  }
}
