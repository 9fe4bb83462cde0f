import { setTimeout as delay } from 'node:timers/promises'
import pLimit from 'p-limit'
import type { Millis } from './units.ts'

/** How long shutdown waits for queued work. */
const CLOSE_MS: Millis = 3_000

/** A sequential queue of work that no response waits for. Queued work is lost when the process is killed. */
export interface BackgroundQueue {
  /** Whether the queue is full. */
  readonly isFull: boolean
  /** Queues work; rejects when it fails. */
  run<T>(work: () => Promise<T>): Promise<T>
  /** Waits a few seconds for queued work, and drops the rest. */
  close(): Promise<void>
}

/** @param maxWaiting how many may wait; the caller checks {@link BackgroundQueue.isFull} */
export function backgroundQueue(maxWaiting: number): BackgroundQueue {
  const limit = pLimit(1)
  return {
    get isFull() {
      return limit.pendingCount >= maxWaiting
    },
    run: work => limit(work),
    async close() {
      // This entry is the last of the queue.
      await Promise.race([limit(async () => {}), delay(CLOSE_MS, undefined, { ref: false })])
      limit.clearQueue()
    },
  }
}
