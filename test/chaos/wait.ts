import { setTimeout as delay } from 'node:timers/promises'

const POLL_MS = 20

/** The default limit of a wait in milliseconds. */
export const WAIT_MS = 30_000

/**
 * Polls until a condition holds.
 *
 * @throws {Error} naming the condition if it does not hold in time
 */
export async function until(
  what: string,
  holds: () => boolean | Promise<boolean>,
  ms = WAIT_MS,
  pollMs = POLL_MS,
): Promise<void> {
  const from = performance.now()
  while (!(await holds())) {
    if (performance.now() - from > ms) throw new Error(`waited ${ms} ms in vain for: ${what}`)
    await delay(pollMs)
  }
}
