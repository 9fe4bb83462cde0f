import { type Kysely, sql } from 'kysely'
import { DAY_MS, millisToTimestamp } from '#src/auth/time.ts'
import type { Schema } from './schema.ts'
import { emailMatches } from './user-keys.ts'

/**
 * Deletes a user, as Laravel does with what may come back: the row stays, and nothing of it opens anything any more.
 * Sessions, remembered devices and external profiles go at once.
 *
 * @param now milliseconds since the epoch
 */
export async function deleteUser(db: Kysely<Schema>, userId: number, now: number): Promise<void> {
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

/** How long a user that was deleted can be brought back, in milliseconds. */
export const DELETED_MS = 30 * DAY_MS

/**
 * Brings a deleted user back, found by e-mail address as `findUserByEmail` finds. What was deleted with the user
 * stays deleted.
 *
 * @param now milliseconds since the epoch
 * @returns the user's id; null if no such user was deleted
 */
export async function restoreUser(db: Kysely<Schema>, email: string, now: number): Promise<number | null> {
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
 * Deletes the users that were deleted before a moment for good, with their tokens and with what they have been given.
 *
 * @param before milliseconds since the epoch
 * @param types the class names that mean a user
 */
export async function pruneUsers(
  db: Kysely<Schema>,
  before: number,
  types: readonly string[],
): Promise<number> {
  const ended = millisToTimestamp(before)
  let total = 0
  for (;;) {
    const deleted = await db.transaction().execute(async transaction => {
      // Locked, so that nobody is brought back meanwhile, and left to whoever is at it already.
      const { rows } = await sql<{ id: number }>`
        select id from users where deleted_at < ${ended}::timestamp
        limit ${PRUNED_AT_ONCE} for update skip locked`.execute(transaction)
      const ids = rows.map(({ id }) => id)
      if (ids.length === 0) return 0
      for (const [table, type, key] of HOLDINGS) {
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
    if (deleted < PRUNED_AT_ONCE) return total
  }
}

const PRUNED_AT_ONCE = 500

/** What belongs to users by a class name and an id, which no foreign key follows. */
const HOLDINGS = [
  ['personal_access_tokens', 'tokenable_type', 'tokenable_id'],
  ['model_has_roles', 'model_type', 'model_id'],
  ['model_has_permissions', 'model_type', 'model_id'],
  ['model_sanctions', 'model_type', 'model_id'],
  ['model_prohibitions', 'model_type', 'model_id'],
  ['notifications', 'notifiable_type', 'notifiable_id'],
] as const
