import type { Kysely } from 'kysely'
import { millisToTimestamp } from '#src/auth/time.ts'
import type { EpochMillis } from '#src/runtime/units.ts'
import { lockUser } from './authority.ts'
import type { Schema } from './schema.ts'

/** The columns of an external profile that its access rules need. */
export interface ExternalProfileRow {
  id: number
  name: string
  /** Null for an unclaimed profile, or one whose user was deleted. */
  userId: number | null
  /** A value of EXTERNAL_PROFILE_VISIBILITY. */
  visibility: number
}

/** Finds an external profile by id; returns null when there is none. */
export async function findExternalProfile(
  db: Kysely<Schema>,
  id: number,
): Promise<ExternalProfileRow | null> {
  const row = await db
    .selectFrom('external_profiles')
    .select(['profile_id as id', 'name', 'user_id as userId', 'visibility'])
    .where('profile_id', '=', id)
    .executeTakeFirst()
  return row ?? null
}

/** Returns whether an external profile has an entry with an id. */
export async function hasExternalEntry(db: Kysely<Schema>, profileId: number, id: number): Promise<boolean> {
  const row = await db
    .selectFrom('external_entries')
    .select('entry_id')
    .where('profile_id', '=', profileId)
    .where('entry_id', '=', id)
    .executeTakeFirst()
  return row !== undefined
}

/** Counts a user's external profiles. */
export async function countExternalProfiles(db: Kysely<Schema>, userId: number): Promise<number> {
  const { count } = await db
    .selectFrom('external_profiles')
    .select(({ fn }) => fn.countAll<number>().as('count'))
    .where('user_id', '=', userId)
    .executeTakeFirstOrThrow()
  return Number(count)
}

/**
 * Stores an external profile and returns its id. Locks the user's row until commit, so that concurrent inserts
 * serialize and the limit is exact.
 *
 * @param max how many profiles the user may have; null for no limit
 */
export async function insertExternalProfile(
  db: Kysely<Schema>,
  {
    userId,
    now,
    ...values
  }: { userId: number; name: string; site: number; visibility: number; now: EpochMillis },
  max: number | null,
): Promise<number | 'too many' | 'no such user'> {
  return db.transaction().execute(async transaction => {
    if (!(await lockUser(transaction, userId))) return 'no such user'
    if (max !== null && (await countExternalProfiles(transaction, userId)) >= max) return 'too many'
    const at = millisToTimestamp(now)
    const { id } = await transaction
      .insertInto('external_profiles')
      .values({ ...values, user_id: userId, created_at: at, updated_at: at })
      .returning('profile_id as id')
      .executeTakeFirstOrThrow()
    return id
  })
}

/** Changes the visibility of an external profile. */
export async function updateExternalProfile(
  db: Kysely<Schema>,
  id: number,
  visibility: number,
  now: EpochMillis,
): Promise<void> {
  await db
    .updateTable('external_profiles')
    .set({ visibility, updated_at: millisToTimestamp(now) })
    .where('profile_id', '=', id)
    .where('visibility', '<>', visibility)
    .execute()
}

/** Deletes an external profile with its entries. Returns whether it existed. */
export async function deleteExternalProfile(db: Kysely<Schema>, id: number): Promise<boolean> {
  const { numDeletedRows } = await db
    .deleteFrom('external_profiles')
    .where('profile_id', '=', id)
    .executeTakeFirstOrThrow()
  return numDeletedRows > 0n
}
