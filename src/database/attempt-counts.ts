import { type Kysely, sql } from 'kysely'
import { DAY_MS } from '#src/auth/time.ts'
import { deleteInBatches } from './prune.ts'
import type { Schema } from './schema.ts'

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

/** A window that ends so much later than now was stored by a clock that was wrong. */
const IMPOSSIBLE_MS = DAY_MS

/**
 * {@link AttemptCounts} in a database.
 *
 * @param now milliseconds since the epoch, by a clock that nobody sets: that of the process that stores a window
 */
export function attemptCounts(db: Kysely<Schema>, now: () => number): AttemptCounts {
  return {
    async take(stages, windowMs) {
      const bounds = stages.flatMap(stage => stage.toSorted((a, b) => (a.key < b.key ? -1 : 1)))
      const at = now()
      const { rows } = await sql<{ place: number; taken: number | null; until: number }>`
        select * from take_attempts(
          ${bounds.map(({ key }) => key)}::text[], ${bounds.map(({ max }) => max)}::bigint[],
          ${windowMs}::bigint, ${at}::bigint
        )`.execute(db)
      const taken: TakenAttempt[] = []
      for (const { place, taken: attempts, until: endsAt } of rows) {
        const bound = bounds[place - 1] as Bound
        if (attempts === null) return { refusal: { ...bound, ttl: endsAt - at } }
        taken.push({ ...bound, attempts, endsAt })
      }
      return { taken }
    },
    async giveBack({ key, endsAt }) {
      await db
        .updateTable('attempt_counts')
        .set(({ eb }) => ({ attempts: eb('attempts', '-', 1) }))
        .where('key', '=', key)
        .where('ends_at', '=', endsAt)
        .where('attempts', '>', 0)
        .execute()
    },
    async isUsedUp({ key, max }, windowMs) {
      const at = now()
      const row = await db
        .selectFrom('attempt_counts')
        .select('key')
        .where('key', '=', key)
        .where('attempts', '>=', max)
        .where('ends_at', '>', at)
        // One that ends later is cut when somebody takes an attempt.
        .where('ends_at', '<=', at + windowMs)
        .executeTakeFirst()
      return row !== undefined
    },
    async prune() {
      const at = now()
      await deleteInBatches(db, 'attempt_counts', sql`ends_at <= ${at} or ends_at > ${at + IMPOSSIBLE_MS}`)
    },
  }
}
