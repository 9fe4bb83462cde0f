import { type Kysely, sql } from 'kysely'
import type { Schema } from './schema.ts'

/**
 * By how many milliseconds a clock is ahead of the database server's; negative when it is behind. Half of the round
 * trip is taken for the way there.
 *
 * @param clock milliseconds since the epoch
 * @param monotonic milliseconds since a moment that does not change
 */
export async function clockSkew(
  db: Kysely<Schema>,
  clock: () => number,
  monotonic: () => number,
): Promise<number> {
  const start = monotonic()
  const { rows } = await sql<{ now: number }>`
    select (extract(epoch from clock_timestamp()) * 1000)::bigint as now`.execute(db)
  return clock() - (monotonic() - start) / 2 - Number(rows[0]?.now)
}
