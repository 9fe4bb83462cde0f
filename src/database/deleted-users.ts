import { type Kysely, sql } from 'kysely'
import { DAY_MS, millisToTimestamp } from '#src/auth/time.ts'
import type { EpochMillis, Millis } from '#src/runtime/units.ts'
import type { Schema } from './schema.ts'
import { emailMatches } from './user-keys.ts'

/**
 * Soft-deletes a user, as Laravel does: the row stays and all of the user's credentials stop working. Sessions,
 * remembered devices, external profiles and a pending e-mail change are deleted at once.
 */
export async function deleteUser(db: Kysely<Schema>, userId: number, now: EpochMillis): Promise<void> {
  await sql`
    with deleted as (
      update users set deleted_at = ${millisToTimestamp(now)}::timestamp
      where id = ${userId} and deleted_at is null returning id
    ), profiles as (
      delete from external_profiles where user_id = (select id from deleted)
    ), devices as (
      delete from remembered_devices where user_id = (select id from deleted)
    ), pending as (
      delete from pending_email_changes where user_id = (select id from deleted)
    )
    delete from sessions where user_id = (select id from deleted)`.execute(db)
}

/** How long a deleted user can be restored. */
export const RESTORABLE_MS: Millis = 30 * DAY_MS

/**
 * Restores a deleted user, found by e-mail address as `findUserByEmail` does. Rows that were deleted with the user stay
 * deleted.
 *
 * @returns the user's id; null if no deleted user matches
 */
export async function restoreUser(
  db: Kysely<Schema>,
  email: string,
  now: EpochMillis,
): Promise<number | null> {
  const matches = emailMatches(email)
  if (matches === null) return null
  const user = await db
    .updateTable('users')
    .set({ deleted_at: null, updated_at: millisToTimestamp(now) })
    .where('id', '=', users =>
      users
        .selectFrom('users')
        .select('id')
        .where(matches.is)
        .where('deleted_at', 'is not', null)
        .orderBy(matches.nearest)
        .limit(1),
    )
    .where('deleted_at', 'is not', null)
    .returning('id')
    .executeTakeFirst()
  return user?.id ?? null
}

/**
 * Purges the users that were soft-deleted before a time, with their tokens and grants.
 *
 * @param types the `model_type` values of users
 */
export async function pruneUsers(
  db: Kysely<Schema>,
  before: EpochMillis,
  types: readonly string[],
): Promise<number> {
  const ended = millisToTimestamp(before)
  let total = 0
  for (;;) {
    const deleted = await db.transaction().execute(async transaction => {
      // The lock prevents a concurrent restore. `skip locked` leaves rows to another instance's pruning.
      const { rows } = await sql<{ id: number }>`
        select id from users where deleted_at < ${ended}::timestamp
        limit ${PRUNE_BATCH} for update skip locked`.execute(transaction)
      const ids = rows.map(({ id }) => id)
      if (ids.length === 0) return 0
      for (const [table, type, key] of POLYMORPHIC_TABLES) {
        await sql`
          delete from ${sql.table(table)}
          where ${sql.ref(type)} = any(${types}::text[]) and ${sql.ref(key)} = any(${ids}::bigint[])`.execute(
          transaction,
        )
      }
      await transaction.deleteFrom('users').where('id', 'in', ids).execute()
      return ids.length
    })
    total += deleted
    if (deleted < PRUNE_BATCH) return total
  }
}

const PRUNE_BATCH = 500

/** Polymorphic tables (class name and id), which no foreign key cascades to. */
const POLYMORPHIC_TABLES = [
  ['personal_access_tokens', 'tokenable_type', 'tokenable_id'],
  ['model_has_roles', 'model_type', 'model_id'],
  ['model_has_permissions', 'model_type', 'model_id'],
  ['model_sanctions', 'model_type', 'model_id'],
  ['model_prohibitions', 'model_type', 'model_id'],
  ['notifications', 'notifiable_type', 'notifiable_id'],
] as const
