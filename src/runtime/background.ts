import { setTimeout as delay } from 'node:timers/promises'
import pLimit from 'p-limit'

/** How long the end of the server waits for work in the background, in milliseconds. */
const CLOSE_MS = 3_000

/** Work for which no answer waits, done one after the other. It is lost when the process is killed before. */
export interface Background {
  /** Whether as much waits as may. */
  readonly isFull: boolean
  /** Has something done once all before is; rejects when it fails. */
  run<T>(work: () => Promise<T>): Promise<T>
  /** Gives what waits a few seconds, and drops the rest. */
  close(): Promise<void>
}

/** @param most how many may wait; the caller asks before */
export function background(most: number): Background {
  const inTurn = pLimit(1)
  return {
    get isFull() {
      return inTurn.pendingCount >= most
    },
    run: work => inTurn(work),
    async close() {
      // The last in the queue is this: what was asked for before is done by then.
      await Promise.race([inTurn(async () => {}), delay(CLOSE_MS, undefined, { ref: false })])
      inTurn.clearQueue()
    },
  }
}
