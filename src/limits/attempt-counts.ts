import type { EpochMillis, Millis } from '#src/runtime/units.ts'

/** A limit on the attempts under one key in a window. */
export interface AttemptKeyLimit {
  key: string
  max: number
}

/** A counted attempt. */
export interface TakenAttempt extends AttemptKeyLimit {
  /** The count in the window, including this one. */
  attempts: number
  /** The end of the window; with the key it identifies the window. */
  endsAt: EpochMillis
}

/** A refused attempt: the exhausted limit, and the time until its window ends. */
export interface AttemptRefusal extends AttemptKeyLimit {
  ttl: Millis
}

/**
 * Counts of attempts in the database: exact over all instances, kept across restarts, and never evicted. Windows are
 * fixed, and begin with the first attempt. All methods throw {@link DatabaseUnavailable} when the database does not
 * respond.
 */
export interface AttemptCounts {
  /**
   * Counts an attempt under all keys, or under none if one of them is exhausted, in one statement. Refused attempts
   * neither extend a window nor raise a count.
   *
   * @param stages keys of a later stage get no row unless the earlier ones have room. Rows are locked by stage, and
   *   within a stage in the order of their keys: kinds of keys in different stages have the same order in all calls, so
   *   calls do not deadlock.
   * @param windowMs the length of windows: always the same for one key, and at most a day
   */
  take(
    stages: readonly (readonly AttemptKeyLimit[])[],
    windowMs: Millis,
  ): Promise<{ taken: TakenAttempt[] } | { refusal: AttemptRefusal }>
  /** Takes an attempt back, unless its window has ended. */
  giveBack(attempt: TakenAttempt): Promise<void>
  /** Returns whether a limit is exhausted, without counting. */
  isExhausted(limit: AttemptKeyLimit, windowMs: Millis): Promise<boolean>
  /** Deletes the rows of ended windows. */
  prune(): Promise<void>
}
