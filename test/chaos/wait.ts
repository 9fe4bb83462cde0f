import { setTimeout as delay } from 'node:timers/promises'

const POLL_MS = 20

/** How long anything may take that is waited for, in milliseconds, unless told otherwise. */
export const WAIT_MS = 30_000

/**
 * Polls until a condition holds.
 *
 * @throws {Error} naming what was waited for when it does not hold in time
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
