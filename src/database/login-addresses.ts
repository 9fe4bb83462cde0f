import { type Kysely, sql } from 'kysely'
import { millisToSeconds } from '#src/auth/time.ts'
import type { EpochMillis } from '#src/runtime/units.ts'
import { deleteInBatches } from './prune.ts'
import type { Schema } from './schema.ts'

/** Records that a user logged in from an address. */
export async function noteLogin(
  db: Kysely<Schema>,
  userId: number,
  address: string,
  now: EpochMillis,
): Promise<void> {
  const last_login_at = millisToSeconds(now)
  await db
    .insertInto('login_addresses')
    .values({ user_id: userId, address, last_login_at })
    .onConflict(conflict => conflict.columns(['user_id', 'address']).doUpdateSet({ last_login_at }))
    .execute()
}

/** Returns whether a user logged in from an address before. */
export async function hasLoggedInFrom(db: Kysely<Schema>, userId: number, address: string): Promise<boolean> {
  const row = await db
    .selectFrom('login_addresses')
    .select('user_id')
    .where('user_id', '=', userId)
    .where('address', '=', address)
    .executeTakeFirst()
  return row !== undefined
}

/** Deletes the addresses without a login since a time. */
export async function pruneLoginAddresses(db: Kysely<Schema>, before: EpochMillis): Promise<number> {
  return deleteInBatches(db, 'login_addresses', sql`last_login_at < ${millisToSeconds(before)}::timestamp`)
}
