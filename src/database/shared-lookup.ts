import type { Millis, MonotonicMillis } from '#src/runtime/units.ts'
import { DatabaseUnavailable } from './unavailable.ts'

/** A lookup was refused before it was run. */
export class LookupRefused extends Error {
  constructor(reason: string) {
    super(`A row was not looked up: ${reason}.`)
    this.name = 'LookupRefused'
  }
}

/** The caller's connection: lookups of destroyed connections are not run. */
export interface LookupCaller {
  readonly destroyed: boolean
}

export interface SharedLookupOptions {
  /** Concurrent statements. */
  concurrency?: number
  /** Keys per statement. */
  batchSize?: number
  /** Lookups that may wait. */
  maxWaiting?: number
  /** How long a lookup may wait. */
  waitMs?: Millis
  monotonic?: () => MonotonicMillis
}

/**
 * How many lookups are resolved per turn of the event loop. Each resumes a request, and hundreds at once would block
 * connections and health checks. The statement counts as running until all of its lookups are resolved; otherwise the
 * next ones would resume requests in the group turns.
 */
const RESOLVED_PER_TURN = 32

const nextTurn = () => new Promise(resolve => setImmediate(resolve))

/** Finds a row by its key; returns null when there is none. */
export type SharedLookup<Key, Row> = (key: Key, caller?: LookupCaller) => Promise<Row | null>

interface PendingLookup<Key, Row> {
  key: Key
  caller: LookupCaller | undefined
  since: MonotonicMillis
  resolve(row: Row | null): void
  reject(error: unknown): void
}

/**
 * Batches concurrent lookups into one statement. A lookup that arrives while statements are running waits for the next
 * one, so that what it reads is never older than the call. Lookups are resolved in order of arrival.
 *
 * @param read finds the rows of several keys; keys without a row are missing in the map
 * @param options four concurrent statements of 250 keys each, and 10,000 lookups that wait for at most six seconds, by
 *   default. Two have a connection, and two are ready when the next one is free.
 * @returns a function that rejects with {@link LookupRefused} when too many lookups wait, it waited too long or its
 *   caller disconnected; and with what `read` throws for this key alone: a key that makes a statement fail does not
 *   affect others
 */
export function sharedLookup<Key, Row>(
  read: (keys: readonly Key[]) => Promise<ReadonlyMap<Key, Row>>,
  {
    concurrency = 4,
    batchSize = 250,
    maxWaiting = 10_000,
    waitMs = 6_000,
    monotonic = () => performance.now(),
  }: SharedLookupOptions = {},
): SharedLookup<Key, Row> {
  let lookups: PendingLookup<Key, Row>[] = []
  let running = 0
  let isScheduled = false

  /** Takes the next batch of lookups, grouped by key. */
  const takeBatch = () => {
    const batch = new Map<Key, PendingLookup<Key, Row>[]>()
    const oldest = monotonic() - waitMs
    let index = 0
    for (; index < lookups.length; index++) {
      const lookup = lookups[index] as PendingLookup<Key, Row>
      if (lookup.caller?.destroyed === true) {
        lookup.reject(new LookupRefused('its caller disconnected'))
        continue
      }
      if (lookup.since < oldest) {
        lookup.reject(new LookupRefused('it waited too long'))
        continue
      }
      const group = batch.get(lookup.key)
      if (group !== undefined) group.push(lookup)
      else if (batch.size < batchSize) batch.set(lookup.key, [lookup])
      else break
    }
    lookups = index === lookups.length ? [] : lookups.slice(index)
    return batch
  }

  const resolveBatch = async (batch: ReadonlyMap<Key, PendingLookup<Key, Row>[]>): Promise<void> => {
    try {
      const rows = await read([...batch.keys()])
      let resolved = 0
      for (const [key, group] of batch) {
        if (resolved >= RESOLVED_PER_TURN) {
          resolved = 0
          await nextTurn()
        }
        const row = rows.get(key) ?? null
        for (const lookup of group) lookup.resolve(row)
        resolved += group.length
      }
    } catch (error) {
      await bisect(batch, error)
    }
  }

  /** Isolates the failing key by bisection: reads each half separately. */
  const bisect = async (batch: ReadonlyMap<Key, PendingLookup<Key, Row>[]>, error: unknown) => {
    if (batch.size === 1 || error instanceof DatabaseUnavailable) {
      for (const group of batch.values()) for (const lookup of group) lookup.reject(error)
      return
    }
    const entries = [...batch]
    const middle = entries.length >> 1
    await resolveBatch(new Map(entries.slice(0, middle)))
    await resolveBatch(new Map(entries.slice(middle)))
  }

  const run = () => {
    isScheduled = false
    while (lookups.length > 0 && running < concurrency) {
      const batch = takeBatch()
      if (batch.size === 0) return
      running += 1
      void resolveBatch(batch).then(() => {
        running -= 1
        schedule()
      })
    }
  }

  /** Lookups of the group turn of the event loop share a statement. */
  const schedule = () => {
    if (isScheduled || lookups.length === 0 || running >= concurrency) return
    isScheduled = true
    setImmediate(run)
  }

  return (key, caller) =>
    new Promise((resolve, reject) => {
      if (lookups.length >= maxWaiting) {
        reject(new LookupRefused('too many are waiting'))
        return
      }
      lookups.push({ key, caller, since: monotonic(), resolve, reject })
      schedule()
    })
}
