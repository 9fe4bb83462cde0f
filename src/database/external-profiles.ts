import type { Kysely } from 'kysely'
import { millisToTimestamp } from '#src/auth/time.ts'
import { lockUser } from './authority.ts'
import type { Schema } from './schema.ts'

/** An external profile, as far as it matters who may do what with it. */
export interface ExternalProfileRow {
  id: number
  name: string
  /** Null for one that nobody has claimed, or whose user is gone. */
  userId: number | null
  /** What EXTERNAL_PROFILE_VISIBILITY calls it. */
  visibility: number
}

/** The external profile with an id; null when there is none. */
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

/** Whether an external profile has an entry with an id. */
export async function hasExternalEntry(db: Kysely<Schema>, profileId: number, id: number): Promise<boolean> {
  const row = await db
    .selectFrom('external_entries')
    .select('entry_id')
    .where('profile_id', '=', profileId)
    .where('entry_id', '=', id)
    .executeTakeFirst()
  return row !== undefined
}

/** How many external profiles a user has. */
export async function countExternalProfiles(db: Kysely<Schema>, userId: number): Promise<number> {
  const { count } = await db
    .selectFrom('external_profiles')
    .select(({ fn }) => fn.countAll<number>().as('count'))
    .where('user_id', '=', userId)
    .executeTakeFirstOrThrow()
  return Number(count)
}

/**
 * Stores an external profile and returns its id. Whoever adds one for the same user meanwhile waits: nobody gets
 * more than there may be.
 *
 * @param profile.now milliseconds since the epoch
 * @param most how many the user may have; null for any number
 */
export async function insertExternalProfile(
  db: Kysely<Schema>,
  { userId, now, ...values }: { userId: number; name: string; site: number; visibility: number; now: number },
  most: number | null,
): Promise<number | 'too many' | 'no such user'> {
  return db.transaction().execute(async transaction => {
    if (!(await lockUser(transaction, userId))) return 'no such user'
    if (most !== null && (await countExternalProfiles(transaction, userId)) >= most) return 'too many'
    const at = millisToTimestamp(now)
    const { id } = await transaction
      .insertInto('external_profiles')
      .values({ ...values, user_id: userId, created_at: at, updated_at: at })
      .returning('profile_id as id')
      .executeTakeFirstOrThrow()
    return id
  })
}

/** Shows an external profile to others, or hides it; `now` in milliseconds since the epoch. */
export async function updateExternalProfile(
  db: Kysely<Schema>,
  id: number,
  visibility: number,
  now: number,
): Promise<void> {
  await db
    .updateTable('external_profiles')
    .set({ visibility, updated_at: millisToTimestamp(now) })
    .where('profile_id', '=', id)
    .where('visibility', '<>', visibility)
    .execute()
}

/** Deletes an external profile with its entries, and says whether it was there. */
export async function deleteExternalProfile(db: Kysely<Schema>, id: number): Promise<boolean> {
  const { numDeletedRows } = await db
    .deleteFrom('external_profiles')
    .where('profile_id', '=', id)
    .executeTakeFirstOrThrow()
  return numDeletedRows > 0n
}
