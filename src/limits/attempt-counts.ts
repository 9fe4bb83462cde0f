/** How often something may happen in a window under one key. */
export interface Bound {
  key: string
  max: number
}

/** An attempt that was counted. */
export interface TakenAttempt extends Bound {
  /** How many there are in the window, with this one. */
  attempts: number
  /** When the window ends, in milliseconds since the epoch: with the key it names the window. */
  endsAt: number
}

/** Why an attempt is refused: the bound that is used up, and the milliseconds until its window ends. */
export interface Refusal extends Bound {
  ttl: number
}

/**
 * Counts of attempts in the database: exact over any number of instances, kept over restarts, and no key takes the
 * place of another. Windows are fixed, and begin with the first attempt. All methods throw {DatabaseUnavailable} when
 * the database does not answer.
 */
export interface AttemptCounts {
  /**
   * Counts an attempt under all keys, or under none if one of them is used up, in one statement. Refused attempts
   * neither extend a window nor raise a count.
   *
   * @param stages keys of a later stage get no row unless those before have room. Rows are locked by stage, and in a
   *   stage in the order of their keys: kinds of keys that come in different stages come in the same order in all calls,
   *   so that no two of these deadlock.
   * @param windowMs how long windows are, in milliseconds; always the same for one key, and an hour at most
   */
  take(
    stages: readonly (readonly Bound[])[],
    windowMs: number,
  ): Promise<{ taken: TakenAttempt[] } | { refusal: Refusal }>
  /** Takes an attempt back, unless its window is over. */
  giveBack(attempt: TakenAttempt): Promise<void>
  /** Whether a bound is used up, without counting. */
  isUsedUp(bound: Bound, windowMs: number): Promise<boolean>
  /** Deletes the rows whose windows are over. */
  prune(): Promise<void>
}
