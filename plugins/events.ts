import type { FastifyRequest } from 'fastify'
import fp from 'fastify-plugin'
import type { AccountEvent, EventDetails, EventName } from '../src/auth/events.ts'
import { insertEvents } from '../src/database/events.ts'

declare module 'fastify' {
  interface FastifyInstance {
    events: {
      /** Resolves when what was recorded is stored, as far as that is possible. */
      stored(): Promise<void>
    }
  }
  interface FastifyRequest {
    /**
     * Records what happened to an account, and from where: in the log at once, and in the database soon.
     *
     * @param details whose account it is, null for nobody's, and what else there is to know: never a secret
     */
    record(event: EventName, details: EventDetails & { userId: number | null }): void
  }
}

/** How many wait while the database is away. */
const WAITING = 10_000

/** Adds `request.record()`. No answer waits for what it writes: all that happens meanwhile is written together. */
export default fp(
  async app => {
    const { clock, log } = app
    const { kysely } = app.database
    let waiting: AccountEvent[] = []
    let writing: Promise<void> | null = null

    const write = async () => {
      while (waiting.length > 0) {
        const events = waiting
        waiting = []
        try {
          await insertEvents(kysely, events)
        } catch (error) {
          log.warn({ err: error, events: events.length }, 'events could not be stored yet')
          waiting = [...events, ...waiting].slice(0, WAITING)
          return
        }
      }
    }
    const start = () => {
      writing ??= write().finally(() => {
        writing = null
      })
      return writing
    }

    app.decorate('events', { stored: async () => start() })
    app.decorateRequest('record', function (this: FastifyRequest, event, { userId, ...details }) {
      this.log.info({ userId, ...details, address: this.ip }, event)
      if (userId === null) return
      const userAgent = this.headers['user-agent'] ?? null
      waiting.push({ userId, event, details, address: this.ip, userAgent, at: clock() })
      if (waiting.length > WAITING) waiting.shift()
      void start()
    })
    app.addHook('onClose', () => app.events.stored())
  },
  { name: 'events', dependencies: ['database'] },
)
