import { deadline } from '#src/runtime/deadline.ts'
import { DatabaseBusy } from './unavailable.ts'

/** How long an answer is remembered, in milliseconds: probes and floods of them share a statement. */
const MEMORY_MS = 1_000

/** How long the database may take to answer, in milliseconds. */
const LIMIT_MS = 1_500

/** Whether requests can be served. */
export interface Readiness {
  /**
   * Asks, or remembers an answer of the last second.
   *
   * @throws {DatabaseUnavailable} when the database does not answer in time
   */
  isReady(): Promise<boolean>
  /** Forgets what was answered, since a connection was lost: the next one asks anew. */
  forget(): void
}

/**
 * @param check asks the database
 * @param monotonic milliseconds since a moment that does not change
 * @param limitMs how long the database may take to answer, in milliseconds
 */
export function readiness(
  check: () => Promise<boolean>,
  monotonic: () => number,
  limitMs: number = LIMIT_MS,
): Readiness {
  let current: { since: number; answer: Promise<boolean>; isSettled: boolean } | null = null
  const ask = () => {
    const asked = { since: monotonic(), answer: within(limitMs, check()), isSettled: false }
    const settle = () => {
      asked.isSettled = true
      asked.since = monotonic()
    }
    asked.answer.then(settle, settle)
    return asked
  }
  return {
    isReady() {
      if (current === null || (current.isSettled && monotonic() - current.since > MEMORY_MS)) current = ask()
      return current.answer
    },
    forget() {
      current = null
    },
  }
}

const within = <T>(ms: number, answer: Promise<T>): Promise<T> =>
  new Promise((resolve, reject) => {
    const stop = deadline(ms, () => reject(new DatabaseBusy(`no answer within ${ms} ms`)))
    answer.then(resolve, reject).finally(stop)
  })
