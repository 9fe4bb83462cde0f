import type { FastifyRequest } from 'fastify'
import fp from 'fastify-plugin'
import { serviceUnavailable } from '#src/responses/errors.ts'
import { background } from '#src/runtime/background.ts'

declare module 'fastify' {
  interface FastifyRequest {
    /**
     * Has something done once the request is answered, one after the other: what must not be told by the time that an
     * answer takes. It is lost when the server is killed before.
     *
     * @param failure what is logged when it fails
     * @throws {HttpError} 503 when too much waits already
     */
    afterAnswer(work: () => Promise<unknown>, failure: string): void
  }
}

/** Requests that wait for their work to be done, after their answer. */
const WAITING = 1_000

/** Adds `request.afterAnswer()`. */
export default fp(
  async app => {
    const later = background(WAITING)
    const promised = new WeakMap<FastifyRequest, { work: () => Promise<unknown>; failure: string }>()

    app.decorateRequest('afterAnswer', function (this: FastifyRequest, work, failure) {
      if (later.isFull) throw serviceUnavailable()
      promised.set(this, { work, failure })
    })
    app.onRequestEnd(request => {
      const found = promised.get(request)
      if (found === undefined) return
      later.run(found.work).catch(error => request.log.error({ err: error }, found.failure))
    })
    app.addHook('onClose', later.close)
  },
  // The work needs both, and so they are closed after it: what is registered last is closed first.
  { name: 'after-answer', dependencies: ['database', 'mail', 'request-end'] },
)
