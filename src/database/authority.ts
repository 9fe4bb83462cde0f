import { type Kysely, sql, type Transaction } from 'kysely'
import type { SessionDigest } from '#src/auth/session.ts'
import type { Schema } from './schema.ts'

/** What a write that grants or revokes permissions has to lock. */
export interface AuthorityLock {
  /** The caller. */
  userId: number
  /** The caller's credential, whose row is locked until the transaction ends. */
  credential: { session: SessionDigest } | { tokenId: number }
  /** The user on whom the action acts; null when there is none. */
  targetUserId?: number | null
  /** Whether the write changes the permissions of roles. */
  changesRoles?: boolean
  /** The `model_type` values of users. */
  types: readonly string[]
}

/**
 * Locks every row that a caller's authority depends on until the transaction ends: the users' rows in ascending order
 * of id (so that two transactions about the same two users cannot deadlock), their sessions or the token, and the
 * caller's grants. A concurrent revocation waits for this write, and the next write sees it.
 *
 * At READ COMMITTED each later statement has a new snapshot, so what is read after this call holds at commit.
 */
export async function lockAuthority(
  transaction: Transaction<Schema>,
  { userId, credential, targetUserId = null, changesRoles = false, types }: AuthorityLock,
): Promise<void> {
  const userIds = targetUserId === null ? [userId] : [userId, targetUserId]
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
  // Concurrent inserts wait for the user's row lock, which every writer of grants and bans takes.
  await sql`
    with version as (
        select 1 from permission_versions ${changesRoles ? sql`for update` : sql`for share`}
      ), roles as (${given('model_has_roles')}), permissions as (${given('model_has_permissions')}),
      sanctions as (${given('model_sanctions')}), prohibitions as (${given('model_prohibitions')})
    select (select count(*) from version) + (select count(*) from roles) + (select count(*) from permissions)
      + (select count(*) from sanctions) + (select count(*) from prohibitions) as locked`.execute(transaction)
}

/**
 * Locks users' rows until the transaction ends, in ascending order of id, so that writes that grant or revoke
 * serialize. `FOR NO KEY UPDATE` still admits inserts of rows that reference the users.
 *
 * @returns the ids of the users that exist and are not deleted
 */
export async function lockUsers(db: Kysely<Schema>, ids: readonly number[]): Promise<Set<number>> {
  const { rows } = await sql<{ id: number }>`
    select id from users where id = any(${ids}::bigint[]) and deleted_at is null
    order by id for no key update`.execute(db)
  return new Set(rows.map(({ id }) => id))
}

/** Locks one user as {@link lockUsers} does; returns false when the user does not exist or is deleted. */
export const lockUser = async (transaction: Kysely<Schema>, id: number): Promise<boolean> =>
  (await lockUsers(transaction, [id])).has(id)
