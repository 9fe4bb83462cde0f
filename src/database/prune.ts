import { type Kysely, type RawBuilder, sql } from 'kysely'
import type { Schema } from './schema.ts'

const BATCH = 5_000

/**
 * Deletes rows in batches, so that locks are few and short. Skips rows that another process has locked.
 *
 * @param condition which rows to delete
 * @returns how many rows were deleted
 */
export async function deleteInBatches(
  db: Kysely<Schema>,
  table: keyof Schema,
  condition: RawBuilder<unknown>,
): Promise<number> {
  let total = 0
  for (;;) {
    const { numAffectedRows } = await sql`
      delete from ${sql.table(table)} where ctid = any(array(
        select ctid from ${sql.table(table)} where ${condition} limit ${BATCH} for update skip locked
      ))`.execute(db)
    const deleted = Number(numAffectedRows ?? 0)
    total += deleted
    if (deleted < BATCH) return total
  }
}
