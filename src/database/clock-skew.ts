import { type Kysely, sql } from 'kysely'
import type { EpochMillis, Millis, MonotonicMillis } from '#src/runtime/units.ts'
import type { Schema } from './schema.ts'

/**
 * Measures by how much a clock is ahead of the database server's; negative when it is behind. Assumes that half of the
 * round trip passes before the server reads its clock.
 */
export async function measureClockSkew(
  db: Kysely<Schema>,
  clock: () => EpochMillis,
  monotonic: () => MonotonicMillis,
): Promise<Millis> {
  const start = monotonic()
  const { rows } = await sql<{ now: number }>`
    select (extract(epoch from clock_timestamp()) * 1000)::bigint as now`.execute(db)
  return clock() - (monotonic() - start) / 2 - Number(rows[0]?.now)
}
