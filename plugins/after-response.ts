import type { FastifyRequest } from 'fastify'
import fp from 'fastify-plugin'
import { serviceUnavailable } from '#src/responses/errors.ts'
import { backgroundQueue } from '#src/runtime/background-queue.ts'

declare module 'fastify' {
  interface FastifyRequest {
    /**
     * Runs work after the response, one after the other. For work whose duration would reveal a secret (timing attack).
     * It is lost if the process is killed before.
     *
     * @param failure the log message for errors of the work
     * @throws {HttpError} 503 if the queue is full
     */
    afterResponse(work: () => Promise<unknown>, failure: string): void
  }
}

/** The capacity of the queue. */
const MAX_WAITING = 1_000

/** Adds `request.afterResponse()`. */
export default fp(
  async app => {
    const queue = backgroundQueue(MAX_WAITING)
    const scheduled = new WeakMap<FastifyRequest, { work: () => Promise<unknown>; failure: string }>()

    app.decorateRequest('afterResponse', function (this: FastifyRequest, work, failure) {
      if (queue.isFull) throw serviceUnavailable()
      scheduled.set(this, { work, failure })
    })
    app.onRequestEnd(request => {
      const found = scheduled.get(request)
      if (found === undefined) return
      queue.run(found.work).catch(error => request.log.error({ err: error }, found.failure))
    })
    app.addHook('onClose', queue.close)
  },
  // The work needs database and mail. Plugins are closed in reverse order of registration, so both are closed after it.
  { name: 'after-response', dependencies: ['database', 'mail', 'request-end'] },
)
