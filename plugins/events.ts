import type { FastifyRequest } from 'fastify'
import fp from 'fastify-plugin'
import type { AccountEvent, EventDetails, EventName } from '#src/auth/events.ts'
import { browserColumns } from '#src/database/browsers.ts'
import { insertEvents } from '#src/database/events.ts'
import { browserOf } from '#src/http/http.ts'

/** Hears of an event of an account, with the request that made it. It must not throw. */
type OnRecorded = (event: AccountEvent, request: FastifyRequest) => void

declare module 'fastify' {
  interface FastifyInstance {
    events: {
      /** Resolves when what was recorded is stored, as far as that is possible. */
      stored(): Promise<void>
      /** Has something done with each event of an account when it is recorded. */
      onRecorded(act: OnRecorded): void
    }
  }
  interface FastifyRequest {
    /**
     * Records what happened to an account, and from where: in the log at once, and in the database soon. From where
     * another user did something to it is for those who run the place alone.
     *
     * @param details whose account it is, null for nobody's; `by`, the id of whoever did it, if that is somebody
     *   else; and what else there is to know: never a secret
     */
    record(event: EventName, details: EventDetails & { userId: number | null; by?: number }): void
  }
}

/** How many wait while the database is away, are written at once, and for how long a failure is let rest. */
const WAITING = 10_000
const AT_ONCE = 500
const RETRY_MS = 5_000

/** Adds `request.record()`. No answer waits for what it writes: all that happens meanwhile is written together. */
export default fp(
  async app => {
    const { clock, log } = app
    const { kysely } = app.database
    const waiting: AccountEvent[] = []
    const listeners: OnRecorded[] = []
    let writing: Promise<void> | null = null
    let retry: NodeJS.Timeout | null = null

    const write = async () => {
      while (waiting.length > 0) {
        const events = waiting.slice(0, AT_ONCE)
        await insertEvents(kysely, events)
        // Some may have been pushed out meanwhile.
        const left = waiting.findIndex(event => !events.includes(event))
        waiting.splice(0, left === -1 ? waiting.length : left)
      }
    }
    const start = (): Promise<void> => {
      writing ??= write()
        .catch(error => {
          if (!app.noteOutage(error)) {
            log.warn({ err: error, events: waiting.length }, 'events could not be stored yet')
          }
          retry ??= setTimeout(() => {
            retry = null
            void start()
          }, RETRY_MS).unref()
        })
        .finally(() => {
          writing = null
        })
      return writing
    }

    app.decorate('events', {
      async stored() {
        await writing
        await start()
      },
      onRecorded(act) {
        listeners.push(act)
      },
    })
    app.decorateRequest('record', function (this: FastifyRequest, event, { userId, ...details }) {
      this.log.info({ userId, ...details, address: this.clientAddress.ip }, event)
      if (userId === null) return
      const { ip_address: address, user_agent: userAgent } = browserColumns(browserOf(this))
      const isByOther = details.by !== undefined
      const recorded = { userId, event, details, address, userAgent, isByOther, at: clock() }
      waiting.push(recorded)
      if (waiting.length > WAITING) waiting.shift()
      for (const act of listeners) act(recorded, this)
    })
    // After the answer, so that it takes the same time whether there is something to store or not. What comes after a
    // failure waits for the next try.
    app.onRequestEnd(() => {
      if (waiting.length > 0 && retry === null) void start()
    })
    app.addHook('onClose', () => {
      if (retry !== null) clearTimeout(retry)
    })
    app.addHook('onClose', () => app.events.stored())
  },
  { name: 'events', dependencies: ['database', 'request-end'] },
)
