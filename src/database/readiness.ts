import { startDeadline } from '#src/runtime/deadline.ts'
import type { Millis, MonotonicMillis } from '#src/runtime/units.ts'
import { DatabaseBusy } from './unavailable.ts'

/** How long a result is cached: probes, and floods of them, share a statement. */
const CACHE_MS: Millis = 1_000

/** How long the database may take to respond. */
const LIMIT_MS: Millis = 1_500

/** The readiness of the database. */
export interface Readiness {
  /**
   * Returns whether requests can be served, from a cache of one second.
   *
   * @throws {DatabaseUnavailable} when the database does not respond in time
   */
  isReady(): Promise<boolean>
  /** Invalidates the cached result, after a connection was lost. */
  forget(): void
}

/**
 * Makes the readiness check.
 *
 * @param check queries the database
 * @param limitMs how long the database may take to respond
 */
export function readiness(
  check: () => Promise<boolean>,
  monotonic: () => MonotonicMillis,
  limitMs: Millis = LIMIT_MS,
): Readiness {
  let current: { since: MonotonicMillis; result: Promise<boolean>; isSettled: boolean } | null = null
  const probe = () => {
    const started = { since: monotonic(), result: within(limitMs, check()), isSettled: false }
    const settle = () => {
      started.isSettled = true
      started.since = monotonic()
    }
    started.result.then(settle, settle)
    return started
  }
  return {
    isReady() {
      if (current === null || (current.isSettled && monotonic() - current.since > CACHE_MS)) current = probe()
      return current.result
    },
    forget() {
      current = null
    },
  }
}

const within = <T>(ms: Millis, result: Promise<T>): Promise<T> =>
  new Promise((resolve, reject) => {
    const stop = startDeadline(ms, () => reject(new DatabaseBusy(`no response within ${ms} ms`)))
    result.then(resolve, reject).finally(stop)
  })
