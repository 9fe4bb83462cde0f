import type { AccountEvent, EventDetails, EventName } from '#src/auth/events.ts'
import { browserColumns } from '#src/database/browsers.ts'
import type { Schedule } from '#src/runtime/schedule.ts'
import type { EpochMillis, Millis } from '#src/runtime/units.ts'
import { browserOf, type Origin } from './caller.ts'

/** A request that causes an event. */
export interface EventSource extends Origin {
  readonly log: { info(fields: object, message: string): void }
}

/** Details of an event: see {@link Recorder.record}. */
export type RecordedDetails = EventDetails & { userId: number | null; by?: number }

/** Receives each event with its request. It must not throw. */
export type EventListener<S extends EventSource> = (event: AccountEvent, source: S) => void

/** Records events of accounts: in the log immediately, in the database write-behind. `S` is the type of requests. */
export interface Events<S extends EventSource = EventSource> {
  /**
   * Records an event and returns immediately. The address of an event that another user caused is shown to staff
   * only.
   *
   * @param source the request; a command has no address, is not logged and has no listeners
   * @param details `userId` is the account's user, null if there is none; `by` is the id of the user who caused the
   *   event, if that is another user; further details must not contain a secret
   */
  record(source: S | 'command line', event: EventName, details: RecordedDetails): void
  /** Registers a listener for the events of requests. */
  onRecorded(listener: EventListener<S>): void
  /** Starts writing the queued events. While a retry is scheduled it does nothing: the retry writes them. */
  flush(): void
  /** Resolves when the queued events are stored, or when storing them failed. */
  drain(): Promise<void>
  /** Writes the queued events and cancels retries. */
  close(): Promise<void>
}

interface EventsOptions {
  /** Stores events in one statement, in their order. */
  store(events: readonly AccountEvent[]): Promise<void>
  /** Called for a failure of `store` with the number of queued events. A retry follows. */
  onFailure(error: Error, queued: number): void
  clock(): EpochMillis
  schedule: Schedule
}

/** The length of the queue: beyond it the oldest event is dropped. */
export const QUEUE_CAPACITY = 10_000
/** Events per statement. */
export const BATCH_SIZE = 500
/** The delay after a failed write. */
export const RETRY_MS: Millis = 5_000

/**
 * Creates the write-behind queue of events. No response waits for a write: events that arrive during a write are
 * batched into the next statement.
 */
export function createEvents<S extends EventSource>({
  store,
  onFailure,
  clock,
  schedule,
}: EventsOptions): Events<S> {
  const queue: AccountEvent[] = []
  const listeners: EventListener<S>[] = []
  let writing: Promise<void> | null = null
  let cancelRetry: (() => void) | null = null

  const enqueue = (event: AccountEvent) => {
    queue.push(event)
    if (queue.length > QUEUE_CAPACITY) queue.shift()
  }

  const writeAll = async () => {
    while (queue.length > 0) {
      const events = queue.slice(0, BATCH_SIZE)
      await store(events)
      // The queue may have dropped events during the write.
      const firstUnwritten = queue.findIndex(event => !events.includes(event))
      queue.splice(0, firstUnwritten === -1 ? queue.length : firstUnwritten)
    }
  }

  const write = (): Promise<void> => {
    writing ??= writeAll()
      .catch(error => {
        onFailure(error, queue.length)
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

  const drain = async () => {
    await writing
    await write()
  }

  return {
    record(source, event, { userId, ...details }) {
      if (source === 'command line') {
        if (userId !== null) enqueue({ userId, event, ...operatorColumns(details), at: clock() })
        return
      }
      source.log.info({ userId, ...details, address: source.clientAddress.ip }, event)
      if (userId === null) return
      const recorded = { userId, event, ...requestColumns(source, details), at: clock() }
      enqueue(recorded)
      for (const listener of listeners) listener(recorded, source)
    },
    onRecorded(listener) {
      listeners.push(listener)
    },
    flush() {
      if (queue.length > 0 && cancelRetry === null) void write()
    },
    drain,
    async close() {
      await drain()
      cancelRetry?.()
      cancelRetry = null
    },
  }
}

const operatorColumns = (details: EventDetails) => ({
  details: { ...details, by: 'command line' },
  address: null,
  userAgent: null,
  isByOther: false,
})

function requestColumns(origin: Origin, details: EventDetails) {
  const browser = browserColumns(browserOf(origin))
  const isByOther = details.by !== undefined
  return { details, address: browser.ip_address, userAgent: browser.user_agent, isByOther }
}
