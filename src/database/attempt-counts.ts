import { type Kysely, sql } from 'kysely'
import { DAY_MS } from '#src/auth/time.ts'
import type { AttemptCounts, AttemptKeyLimit, TakenAttempt } from '#src/limits/attempt-counts.ts'
import type { EpochMillis, Millis } from '#src/runtime/units.ts'
import { deleteInBatches } from './prune.ts'
import type { Schema } from './schema.ts'

/** A window that ends later than this was stored by a process whose clock was wrong. */
const IMPOSSIBLE_MS: Millis = 2 * DAY_MS

/**
 * {@link AttemptCounts} in PostgreSQL, by the function `take_attempts`.
 *
 * @param now a clock that is never set back, since windows are stored: see `steadyClock`
 */
export function attemptCounts(db: Kysely<Schema>, now: () => EpochMillis): AttemptCounts {
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
        const bound = bounds[place - 1] as AttemptKeyLimit
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
    async isExhausted({ key, max }, windowMs) {
      const at = now()
      const row = await db
        .selectFrom('attempt_counts')
        .select('key')
        .where('key', '=', key)
        .where('attempts', '>=', max)
        .where('ends_at', '>', at)
        // A window that ends later is shortened by the next attempt.
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
