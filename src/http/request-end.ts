import type { FastifyReply, FastifyRequest } from 'fastify'
import { CLIENT_CLOSED_REQUEST } from './request.ts'
import type { Step } from './step.ts'

/** What is done when a request is over. Its status is what the client got, or {@link CLIENT_CLOSED_REQUEST}. */
export type OnRequestEnd = (request: FastifyRequest, reply: FastifyReply, status: number) => void

/** Tells once for each request that it is over. */
export interface RequestEnds {
  /** Adds what is done then. */
  add(act: OnRequestEnd): void
  /** Watches the connection of a request. */
  watchStep: Step
  /** Notes that the answer is decided. */
  answeredStep: Step
  /** To be called when the answer was sent. */
  sent(request: FastifyRequest, reply: FastifyReply): void
}

/**
 * Makes the {@link RequestEnds} of a server. Fastify's hook `onResponse` is never called when the client hangs up before the
 * answer, so whoever does that would appear in no log and no metrics, and keep whatever the hook gives back.
 */
export function requestEnds(): RequestEnds {
  const acts: OnRequestEnd[] = []
  const end: OnRequestEnd = (request, reply, status) => {
    if (request.isOver) return
    request.isOver = true
    for (const act of acts) act(request, reply, status)
  }
  return {
    add: act => acts.push(act),
    watchStep: {
      run(request, reply) {
        reply.raw.once('close', () => {
          // While its handler still works, the request is not over.
          if (request.isAnswered) end(request, reply, CLIENT_CLOSED_REQUEST)
        })
      },
    },
    answeredStep: {
      run(request, reply) {
        request.isAnswered = true
        if (reply.raw.destroyed) end(request, reply, CLIENT_CLOSED_REQUEST)
      },
    },
    sent: (request, reply) => end(request, reply, reply.statusCode),
  }
}
