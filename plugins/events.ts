import type { FastifyRequest } from 'fastify'
import fp from 'fastify-plugin'
import type { Recorder } from '#src/accounts/caller.ts'
import { createEvents, type Events } from '#src/accounts/events.ts'
import { insertEvents } from '#src/database/events.ts'

declare module 'fastify' {
  interface FastifyInstance {
    events: Events<FastifyRequest>
  }
  interface FastifyRequest extends Recorder {}
}

/** Adds `app.events` and `request.record()`. */
export default fp(
  async app => {
    const { clock, schedule, log } = app
    const events = createEvents<FastifyRequest>({
      store: events => insertEvents(app.database.kysely, events),
      onFailure(error, waiting) {
        if (!app.noteOutage(error))
          log.warn({ err: error, events: waiting }, 'events could not be stored, and will be retried')
      },
      clock,
      schedule,
    })
    app.decorate('events', events)
    app.decorateRequest('record', function (this: FastifyRequest, event, details) {
      events.record(this, event, details)
    })
    // After the response, so that its duration does not reveal whether an event was recorded.
    app.onRequestEnd(() => events.flush())
    app.addHook('onClose', () => events.close())
  },
  { name: 'events', dependencies: ['database', 'request-end'] },
)
