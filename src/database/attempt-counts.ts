import { type Kysely, sql } from 'kysely'
import { DAY_MS } from '#src/auth/time.ts'
import type { AttemptCounts, Bound, TakenAttempt } from '#src/limits/attempt-counts.ts'
import { deleteInBatches } from './prune.ts'
import type { Schema } from './schema.ts'

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
