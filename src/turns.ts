import { DatabaseBusy } from './database/unavailable.ts'
import { type SlotRequest, Slots } from './slots.ts'

/** How long one waits for its turn, in milliseconds, and how many may wait under all keys together. */
const WAITING = { waitMs: 5_000, waiting: 1_000 }

/** How many may wait under one key. */
const WAITING_FOR_KEY = 100

/**
 * Makes a mutex with keys: a function that runs what is done under the same key one after the other, in the order of
 * the calls. What would wait for a row's lock waits here instead, and keeps no connection busy.
 *
 * @param waitMs how long one waits for its turn, in milliseconds
 * @returns a function that rejects with {@link DatabaseBusy} when it takes too long
 */
export function keyedMutex({ waitMs = WAITING.waitMs }: { waitMs?: number } = {}) {
  const slots = new Slots(
    { turn: { slots: Number.POSITIVE_INFINITY, waiting: WAITING.waiting, waitMs } },
    Number.POSITIVE_INFINITY,
    refusal => new DatabaseBusy(`no turn, ${refusal}`),
  )
  return async <T>(key: number, work: () => Promise<T>): Promise<T> => {
    const request: SlotRequest<'turn'> = {
      kind: 'turn',
      bounds: [{ key: String(key), holding: 1, waiting: WAITING_FOR_KEY }],
    }
    const giveBack = await slots.take(request)
    try {
      return await work()
    } finally {
      giveBack()
    }
  }
}
