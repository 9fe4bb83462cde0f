import type { FastifyReply, FastifyRequest } from 'fastify'
import type { Millis, MonotonicMillis } from '#src/runtime/units.ts'
import { CLIENT_CLOSED_REQUEST } from './request.ts'
import { type AppResponse, isAppResponse } from './response.ts'
import type { Step } from './step.ts'

/**
 * Called when a request has ended, with the status of its response or {@link CLIENT_CLOSED_REQUEST}, and the time that it
 * took.
 */
export type RequestEndListener = (
  request: FastifyRequest,
  reply: FastifyReply,
  status: number,
  ms: Millis,
) => void

/** Calls listeners once for each request, when it has ended. */
export interface RequestEnds {
  /** Adds a listener. */
  add(act: RequestEndListener): void
  /** To be called when a response was written. */
  written(response: AppResponse): void
  /** To be called when the connection of a response is closed, or after it was written. */
  closed(response: AppResponse): void
  /** Begins to watch for the end of a request. */
  watchStep: Step
  /** Marks that the handler is done and the response is being sent. */
  respondedStep: Step
}

/**
 * Creates the {@link RequestEnds} of a server. Fastify does not call `onResponse` after a client disconnect: such requests
 * would be missing in logs and metrics, and keep the resources that listeners release.
 */
export function createRequestEnds(monotonic: () => MonotonicMillis): RequestEnds {
  const listeners: RequestEndListener[] = []
  const end = (request: FastifyRequest, reply: FastifyReply, status: number) => {
    if (request.isEnded) return
    request.isEnded = true
    const ms = monotonic() - request.startedAt
    for (const act of listeners) {
      try {
        act(request, reply, status, ms)
      } catch (error) {
        // The others must still release what the request holds.
        request.log.error({ err: error }, 'the end of a request failed')
      }
    }
  }
  const written = (reply: FastifyReply) => end(reply.request, reply, reply.statusCode)
  const closed = (reply: FastifyReply) => {
    // While the handler runs, the request has not ended.
    if (reply.request.isResponding) end(reply.request, reply, CLIENT_CLOSED_REQUEST)
  }
  return {
    add: act => listeners.push(act),
    written({ reply }) {
      if (reply !== null) written(reply)
    },
    closed({ reply }) {
      if (reply !== null) closed(reply)
    },
    watchStep: {
      run(request, reply) {
        const { raw } = reply
        if (isAppResponse(raw)) {
          raw.reply = reply
          request.startedAt = raw.startedAt
        } else {
          request.startedAt = monotonic()
          raw.once('finish', () => written(reply)).once('close', () => closed(reply))
        }
      },
    },
    respondedStep: {
      run(request, reply) {
        request.isResponding = true
        if (reply.raw.destroyed) end(request, reply, CLIENT_CLOSED_REQUEST)
      },
    },
  }
}
