import type { AccountEvent, EventDetails, EventName } from '#src/auth/events.ts'
import { browserColumns } from '#src/database/browsers.ts'
import type { Schedule } from '#src/runtime/schedule.ts'
import { browserOf, type Origin } from './caller.ts'

/** A request by which something happens to an account. */
export interface EventSource extends Origin {
  readonly log: { info(fields: object, message: string): void }
}

/** What `record` is told of an event, beside its name; see `Recorder`. */
export type RecordedDetails = EventDetails & { userId: number | null; by?: number }

/** Is told of an event of an account, with the request that made it. It must not throw. */
export type EventListener<S extends EventSource> = (event: AccountEvent, source: S) => void

/** Records what happens to accounts: in the log at once, and in the database soon. `S` is what requests are here. */
export interface Events<S extends EventSource = EventSource> {
  /**
   * Records an event and returns at once. From where another user did something to an account is stored for staff alone.
   *
   * @param source the request that made it; an operator's command has no address, no log and no listeners
   * @param details whose account it is, null for nobody's; `by`, the id of whoever did it, if that is somebody else; and
   *   what else there is to know: never a secret
   */
  record(source: S | 'command line', event: EventName, details: RecordedDetails): void
  /** Has something done with each event that a request makes. */
  onRecorded(listener: EventListener<S>): void
  /** Begins to write what waits, unless the last write failed a moment ago: its next attempt takes everything along. */
  flush(): void
  /** Resolves when what was recorded is stored, as far as that is possible. */
  stored(): Promise<void>
  /** Stores what it can, and makes no further attempt. */
  close(): Promise<void>
}

interface EventsOptions {
  /** Stores events in one statement, in their order. */
  store(events: readonly AccountEvent[]): Promise<void>
  /** Told of an error of `store`, and of how many events wait. There will be another attempt. */
  onFailure(error: Error, waiting: number): void
  /** Milliseconds since the epoch. */
  clock(): number
  schedule: Schedule
}

/** How many wait while the database is away, are written at once, and for how long a failure is let rest. */
export const WAITING = 10_000
export const AT_ONCE = 500
export const RETRY_MS = 5_000

/**
 * Makes the {@link Events} of a process. Writing is apart from recording, so that no answer waits for it: all that happens
 * meanwhile is written in one statement.
 */
export function createEvents<S extends EventSource>({
  store,
  onFailure,
  clock,
  schedule,
}: EventsOptions): Events<S> {
  const waiting: AccountEvent[] = []
  const listeners: EventListener<S>[] = []
  let writing: Promise<void> | null = null
  let cancelRetry: (() => void) | null = null

  const enqueue = (event: AccountEvent) => {
    waiting.push(event)
    if (waiting.length > WAITING) waiting.shift()
  }

  const writeAll = async () => {
    while (waiting.length > 0) {
      const events = waiting.slice(0, AT_ONCE)
      await store(events)
      // Some may have been pushed out meanwhile.
      const left = waiting.findIndex(event => !events.includes(event))
      waiting.splice(0, left === -1 ? waiting.length : left)
    }
  }

  const write = (): Promise<void> => {
    writing ??= writeAll()
      .catch(error => {
        onFailure(error, waiting.length)
        cancelRetry ??= schedule(RETRY_MS, () => {
          cancelRetry = null
          void write()
        })
      })
      .finally(() => {
        writing = null
      })
    return writing
  }

  const stored = async () => {
    await writing
    await write()
  }

  return {
    record(source, event, { userId, ...details }) {
      if (source === 'command line') {
        if (userId !== null) enqueue({ userId, event, ...byOperator(details), at: clock() })
        return
      }
      source.log.info({ userId, ...details, address: source.clientAddress.ip }, event)
      if (userId === null) return
      const recorded = { userId, event, ...byRequest(source, details), at: clock() }
      enqueue(recorded)
      for (const listener of listeners) listener(recorded, source)
    },
    onRecorded(listener) {
      listeners.push(listener)
    },
    flush() {
      if (waiting.length > 0 && cancelRetry === null) void write()
    },
    stored,
    async close() {
      await stored()
      cancelRetry?.()
      cancelRetry = null
    },
  }
}

const byOperator = (details: EventDetails) => ({
  details: { ...details, by: 'command line' },
  address: null,
  userAgent: null,
  isByOther: false,
})

function byRequest(origin: Origin, details: EventDetails) {
  const browser = browserColumns(browserOf(origin))
  const isByOther = details.by !== undefined
  return { details, address: browser.ip_address, userAgent: browser.user_agent, isByOther }
}
