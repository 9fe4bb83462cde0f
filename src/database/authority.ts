import { type Kysely, sql, type Transaction } from 'kysely'
import type { SessionDigest } from '#src/auth/session.ts'
import type { Schema } from './schema.ts'

/** Whose rows a write that gives or takes power touches, and what allows it. */
export interface AuthorityLock {
  /** Who asks. */
  userId: number
  /** The credential by which that is known: its row stays what it is until the transaction ends. */
  credential: { session: SessionDigest } | { tokenId: number }
  /** Somebody else to whom something is done; null for nobody. */
  subjectId?: number | null
  /** Whether the write changes what roles mean. */
  changesRoles?: boolean
  /** The class names that mean a user. */
  types: readonly string[]
}

/**
 * Locks all that a caller's authority follows from until the transaction ends, so that whoever takes it away waits for
 * this write, and is seen by the next one: the users' rows in ascending order of id (two transactions about the same
 * two users cannot deadlock), their sessions or the token, and what the caller has been given. READ COMMITTED gives each
 * later statement a new snapshot, and so what is read after this is what holds at commit.
 */
export async function lockAuthority(
  transaction: Transaction<Schema>,
  { userId, credential, subjectId = null, changesRoles = false, types }: AuthorityLock,
): Promise<void> {
  const userIds = subjectId === null ? [userId] : [userId, subjectId]
  await lockUsers(transaction, userIds)
  if ('session' in credential) {
    await sql`
      select id from sessions where user_id = any(${userIds}::bigint[]) order by id for share`.execute(
      transaction,
    )
  } else {
    await sql`
      select id from personal_access_tokens where id = ${credential.tokenId} for share`.execute(transaction)
  }
  const given = (table: string) => sql`
    select 1 from ${sql.table(table)}
    where model_id = ${userId}::bigint and model_type = any(${types}::text[]) for share`
  // What is inserted meanwhile is kept out by the user's lock, which all writers of grants and bans take.
  await sql`
    with version as (
        select 1 from permission_versions ${changesRoles ? sql`for update` : sql`for share`}
      ), roles as (${given('model_has_roles')}), permissions as (${given('model_has_permissions')}),
      sanctions as (${given('model_sanctions')}), prohibitions as (${given('model_prohibitions')})
    select (select count(*) from version) + (select count(*) from roles) + (select count(*) from permissions)
      + (select count(*) from sanctions) + (select count(*) from prohibitions) as locked`.execute(transaction)
}

/**
 * Locks users' rows until the transaction ends, in ascending order of id: all who give something to these users or take
 * something away wait for each other. Rows that point at them can still be inserted (FOR NO KEY UPDATE).
 *
 * @returns the ids of those who exist and are not deleted
 */
export async function lockUsers(db: Kysely<Schema>, ids: readonly number[]): Promise<Set<number>> {
  const { rows } = await sql<{ id: number }>`
    select id from users where id = any(${ids}::bigint[]) and deleted_at is null
    order by id for no key update`.execute(db)
  return new Set(rows.map(({ id }) => id))
}

/** Locks one user as {@link lockUsers} does; false when there is no such user any more. */
export const lockUser = async (transaction: Kysely<Schema>, id: number): Promise<boolean> =>
  (await lockUsers(transaction, [id])).has(id)
