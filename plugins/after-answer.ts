import { setTimeout as delay } from 'node:timers/promises'
import type { FastifyRequest } from 'fastify'
import fp from 'fastify-plugin'
import pLimit from 'p-limit'
import { serviceUnavailable } from '../src/api/errors.ts'

declare module 'fastify' {
  interface FastifyRequest {
    /**
     * Has something done once the request is answered, one after the other: what must not be told by the time that an
     * answer takes. It is lost when the server is killed before.
     *
     * @param failure what is logged when it fails
     * @throws {HttpError} 503 when too much of the kind waits already
     */
    afterAnswer(work: () => Promise<unknown>, failure: string): void
  }
}

/** Requests that wait for their work to be done, after their answer. */
const WAITING = 1_000

/** How long the end of the server waits for that, in milliseconds. */
const CLOSE_MS = 3_000

/** Adds `request.afterAnswer()`. */
export default fp(
  async app => {
    const inTurn = pLimit(1)
    const promised = new WeakMap<FastifyRequest, { work: () => Promise<unknown>; failure: string }>()

    app.decorateRequest('afterAnswer', function (this: FastifyRequest, work, failure) {
      if (inTurn.pendingCount >= WAITING) throw serviceUnavailable()
      promised.set(this, { work, failure })
    })
    app.onRequestEnd(request => {
      const found = promised.get(request)
      if (found === undefined) return
      inTurn(found.work).catch(error => request.log.error({ err: error }, found.failure))
    })
    app.addHook('onClose', async () => {
      // What is done by then is done: the last in the queue is this.
      await Promise.race([inTurn(async () => {}), delay(CLOSE_MS, undefined, { ref: false })])
      inTurn.clearQueue()
    })
  },
  // The work needs both, and so they are closed after it: what is registered last is closed first.
  { name: 'after-answer', dependencies: ['database', 'mail', 'request-end'] },
)
