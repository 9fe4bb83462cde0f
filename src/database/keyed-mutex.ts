import { Slots } from '#src/runtime/slots.ts'
import type { Millis } from '#src/runtime/units.ts'
import { DatabaseBusy } from './unavailable.ts'

/** The default wait, and how many may wait for all keys together. */
const DEFAULTS = { waitMs: 5_000, maxWaiting: 1_000 }

/** How many may wait for one key of a mutex. */
const MAX_WAITING_PER_KEY = 100

/**
 * Makes a keyed semaphore of this process: callers that would wait for a database lock wait here instead, without
 * holding a connection.
 *
 * @param options.errorPrefix begins the error message
 * @param options.maxHeld how many may hold a key at once
 * @param options.maxWaiting how many may wait for a key
 * @param options.waitMs how long a caller waits
 * @returns a function that acquires a key and returns its release function; it rejects with {@link DatabaseBusy} when
 *   waiting takes too long or too many wait
 */
export function keyedSemaphore({
  errorPrefix,
  maxHeld,
  maxWaiting,
  waitMs = DEFAULTS.waitMs,
}: {
  errorPrefix: string
  maxHeld: number
  maxWaiting: number
  waitMs?: Millis
}): (key: number) => Promise<() => void> {
  const slots = new Slots(
    { holder: { slots: Number.POSITIVE_INFINITY, maxWaiting: DEFAULTS.maxWaiting, waitMs } },
    Number.POSITIVE_INFINITY,
    refusal => new DatabaseBusy(`${errorPrefix}, ${refusal}`),
  )
  return key => slots.take({ kind: 'holder', keyLimits: [{ key: String(key), maxHeld, maxWaiting }] })
}

/**
 * Makes a keyed mutex: calls with the same key run one after the other, in the order of the calls.
 *
 * @param waitMs how long a call waits
 * @returns a function that rejects with {@link DatabaseBusy} when waiting takes too long
 */
export function keyedMutex({ waitMs }: { waitMs?: Millis } = {}) {
  const take = keyedSemaphore({
    errorPrefix: 'the mutex was not acquired',
    maxHeld: 1,
    maxWaiting: MAX_WAITING_PER_KEY,
    ...(waitMs !== undefined && { waitMs }),
  })
  return async <T>(key: number, work: () => Promise<T>): Promise<T> => {
    const release = await take(key)
    try {
      return await work()
    } finally {
      release()
    }
  }
}
