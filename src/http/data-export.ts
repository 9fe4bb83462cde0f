import { Readable } from 'node:stream'
import type { FastifyReply } from 'fastify'
import { millisToIso } from '#src/auth/time.ts'
import type { EpochMillis } from '#src/runtime/units.ts'

/** Sets the headers of an export: a file to save, named after the day. */
export const exportHeaders = (reply: FastifyReply, now: EpochMillis): FastifyReply =>
  reply
    .type('application/json; charset=utf-8')
    .header(
      'content-disposition',
      `attachment; filename="animethemes-export-${millisToIso(now).slice(0, 10)}.json"`,
    )

/**
 * Makes a stream of parts of text. It asks for a part when the client has read the one before, not ahead, so that nothing
 * that was authorized before a slow client's pause is sent after it, except what is in buffers already. An error cuts
 * the response off.
 */
export const streamOf = (parts: AsyncGenerator<string>): Readable =>
  new Readable({
    highWaterMark: 0,
    read() {
      parts.next().then(
        ({ done, value }) => this.push(done ? null : value),
        error => this.destroy(error),
      )
    },
    destroy(error, done) {
      done(error)
      parts.return(undefined).catch(() => {})
    },
  })

/** Makes the signal that aborts when the client disconnects. Unlike `request.signal` also for requests with a body. */
export function disconnectSignal({ raw }: FastifyReply): () => AbortSignal {
  let controller: AbortController | undefined
  return () => {
    if (raw.destroyed) return AbortSignal.abort()
    if (controller === undefined) {
      const created = new AbortController()
      raw.once('close', () => created.abort())
      controller = created
    }
    return controller.signal
  }
}
