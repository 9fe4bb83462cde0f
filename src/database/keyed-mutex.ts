import { Slots } from '#src/runtime/slots.ts'
import { DatabaseBusy } from './unavailable.ts'

/** How long one waits for its turn, in milliseconds, and how many may wait under all keys together. */
const WAITING = { waitMs: 5_000, waiting: 1_000 }

/** How many may wait under one key of a mutex. */
const WAITING_FOR_KEY = 100

/**
 * Makes a semaphore with keys, in this process: what would wait in the database waits here instead, and keeps no
 * connection busy.
 *
 * @param options.what names what is bounded, in the error
 * @param options.holding how many may hold the same key at once
 * @param options.waiting how many may wait for the same key
 * @param options.waitMs how long one waits, in milliseconds
 * @returns a function that takes a key and returns what gives it back; it rejects with {@link DatabaseBusy} when that
 *   takes too long, or too many wait
 */
export function keyedSemaphore({
  what,
  holding,
  waiting,
  waitMs = WAITING.waitMs,
}: {
  what: string
  holding: number
  waiting: number
  waitMs?: number
}): (key: number) => Promise<() => void> {
  const slots = new Slots(
    { turn: { slots: Number.POSITIVE_INFINITY, waiting: WAITING.waiting, waitMs } },
    Number.POSITIVE_INFINITY,
    refusal => new DatabaseBusy(`${what}, ${refusal}`),
  )
  return key => slots.take({ kind: 'turn', bounds: [{ key: String(key), holding, waiting }] })
}

/**
 * Makes a mutex with keys: a function that runs what is done under the same key one after the other, in the order of
 * the calls.
 *
 * @param waitMs how long one waits for its turn, in milliseconds
 * @returns a function that rejects with {@link DatabaseBusy} when it takes too long
 */
export function keyedMutex({ waitMs }: { waitMs?: number } = {}) {
  const take = keyedSemaphore({
    what: 'no turn',
    holding: 1,
    waiting: WAITING_FOR_KEY,
    ...(waitMs !== undefined && { waitMs }),
  })
  return async <T>(key: number, work: () => Promise<T>): Promise<T> => {
    const giveBack = await take(key)
    try {
      return await work()
    } finally {
      giveBack()
    }
  }
}
