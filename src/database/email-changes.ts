import { type Kysely, sql, type Transaction } from 'kysely'
import { emailKey } from '#src/auth/email.ts'
import type { PasswordHash } from '#src/auth/password.ts'
import { REVERT_MS, type RevertDigest } from '#src/auth/revert-token.ts'
import { DAY_MS, millisToSeconds, millisToTimestamp } from '#src/auth/time.ts'
import type { EpochMillis, Millis } from '#src/runtime/units.ts'
import { noteEmailChange } from './changed-emails.ts'
import { foldAscii } from './fold-case.ts'
import { storeResetToken } from './password-resets.ts'
import { changePassword } from './passwords.ts'
import { deleteInBatches } from './prune.ts'
import type { Schema } from './schema.ts'
import { removeSecondFactor } from './second-factors.ts'
import { inTransaction } from './transaction.ts'
import { reserveNames, storeUserKeys, toUserExists } from './user-keys.ts'
import type { Account } from './users.ts'

/** How long a new address waits for confirmation. Its links expire after an hour each. */
const PENDING_MS: Millis = 7 * DAY_MS

/**
 * Stores an address that becomes the user's once the link in its mail is opened, replacing an earlier pending one.
 * `hadSecondFactor` is kept from the first request: a later one cannot turn an attacker's second factor into the
 * owner's.
 *
 * @param change.hadSecondFactor whether the user has a confirmed second factor
 */
export async function storePendingEmail(
  transaction: Transaction<Schema>,
  userId: number,
  { email, hadSecondFactor, now }: { email: string; hadSecondFactor: boolean; now: EpochMillis },
): Promise<void> {
  const pending = { email, requested_at: millisToSeconds(now) }
  await transaction
    .insertInto('pending_email_changes')
    .values({ user_id: userId, had_second_factor: hadSecondFactor, ...pending })
    .onConflict(conflict => conflict.column('user_id').doUpdateSet(pending))
    .execute()
}

/** Deletes the address that waits for a user's confirmation, if there is one. */
export async function deletePendingEmail(db: Kysely<Schema>, userId: number): Promise<void> {
  await db.deleteFrom('pending_email_changes').where('user_id', '=', userId).execute()
}

/** Returns the address that waits for a user's confirmation; null if there is none. */
export async function findPendingEmail(
  db: Kysely<Schema>,
  userId: number,
  now: EpochMillis,
): Promise<string | null> {
  const row = await db
    .selectFrom('pending_email_changes')
    .select('email')
    .where('user_id', '=', userId)
    .where('requested_at', '>', millisToSeconds(now - PENDING_MS))
    .executeTakeFirst()
  return row?.email ?? null
}

/**
 * Makes the pending address the user's own. The old address can be restored for seven days and is reserved until then.
 *
 * If the confirmed address could itself be restored by a revert mail, this restores it: all later changes and their
 * revert tokens are dropped, so none of the later addresses can take it away again. The caller holds the user's lock.
 *
 * @param change.email the confirmed address
 * @param change.token the digest of the token that reverts the change
 * @returns the user before the change, and whether it can be reverted; null if the address is not pending
 * @throws {UserExists} when the address is another user's, or reserved for one
 */
export async function confirmPendingEmail(
  transaction: Transaction<Schema>,
  userId: number,
  { email, token, now }: { email: string; token: RevertDigest; now: EpochMillis },
): Promise<{ before: Account; canRevert: boolean } | null> {
  const at = millisToSeconds(now)
  const key = emailKey(email)
  const pending = await transaction
    .deleteFrom('pending_email_changes')
    .where('user_id', '=', userId)
    .where('email', '=', email)
    .where('requested_at', '>', millisToSeconds(now - PENDING_MS))
    .returning('had_second_factor')
    .executeTakeFirst()
  if (pending === undefined) return null
  const before = await transaction
    .selectFrom('users')
    .select(['id', 'name', 'email'])
    .where('id', '=', userId)
    .executeTakeFirstOrThrow()
  const revertible = await transaction
    .selectFrom('email_reverts')
    .select('id')
    .where('user_id', '=', userId)
    .where('expires_at', '>', at)
    .where(sql<boolean>`(${foldAscii(sql`email`)} = ${foldAscii(sql`${email}::text`)} or email_key = ${key})`)
    .orderBy('id')
    .limit(1)
    .executeTakeFirst()
  if (revertible !== undefined) await deleteReverts(transaction, userId, revertible.id)
  const canRevert = revertible === undefined && emailKey(before.email) !== key
  if (canRevert) {
    await transaction
      .insertInto('email_reverts')
      .values({
        user_id: userId,
        email: before.email,
        email_key: emailKey(before.email),
        token,
        had_second_factor: pending.had_second_factor,
        changed_at: at,
        expires_at: millisToSeconds(now + REVERT_MS),
      })
      .execute()
  }
  await reserveNames(transaction, { name: null, email }, userId, now)
  await setEmail(transaction, before, { email, now })
  await transaction.deleteFrom('password_reset_tokens').where('email', 'in', [before.email, email]).execute()
  return { before, canRevert }
}

/** Deletes a change and all later ones, so that their addresses cannot restore themselves. */
const deleteReverts = (transaction: Transaction<Schema>, userId: number, from: number) =>
  transaction.deleteFrom('email_reverts').where('user_id', '=', userId).where('id', '>=', from).execute()

/** Sets a user's address as verified. @throws {UserExists} when it is another user's */
async function setEmail(
  transaction: Transaction<Schema>,
  { id: userId, name }: Pick<Account, 'id' | 'name'>,
  { email, now }: { email: string; now: EpochMillis },
): Promise<void> {
  try {
    await transaction
      .updateTable('users')
      .set({
        email,
        email_verified_at: millisToSeconds(now),
        deleted_at: null,
        updated_at: millisToTimestamp(now),
      })
      .where('id', '=', userId)
      .execute()
  } catch (error) {
    throw toUserExists(error)
  }
  await storeUserKeys(transaction, { id: userId, name, email })
  await noteEmailChange(transaction, userId, now)
}

/** A change of an e-mail address that can be reverted. */
export interface EmailRevert {
  userId: number
  name: string
  /** The address before the change. */
  email: string
}

/**
 * Returns the change that a token reverts; null for an invalid token. An account that was deleted after the change,
 * perhaps by an attacker, is restored with its address; one that was deleted before stays deleted.
 */
export async function findEmailRevert(
  db: Kysely<Schema>,
  token: RevertDigest,
  now: EpochMillis,
): Promise<EmailRevert | null> {
  const row = await db
    .selectFrom('email_reverts')
    .innerJoin('users', 'users.id', 'email_reverts.user_id')
    .select(['users.id', 'users.name', 'email_reverts.email'])
    .where('email_reverts.token', '=', token)
    .where('email_reverts.expires_at', '>', millisToSeconds(now))
    .where(sql<boolean>`(users.deleted_at is null or users.deleted_at >= email_reverts.changed_at)`)
    .executeTakeFirst()
  return row === undefined ? null : { userId: row.id, name: row.name, email: row.email }
}

/**
 * Restores a user's old address as verified, and removes what an attacker may control: sessions, remembered devices,
 * the password, later address changes with their revert tokens, a second factor unless one existed when the change was
 * requested, and optionally tokens. Stores a reset token for the old address.
 *
 * @param revert.resetToken the hash of the reset token
 * @param revert.revokeTokens the `tokenable_type` values of users, to revoke tokens; null to keep them
 * @returns the reverted change; null when the token is invalid
 * @throws {UserExists} when the address is another user's, which only writers other than this server can cause
 */
export async function revertEmail(
  db: Kysely<Schema>,
  token: RevertDigest,
  {
    resetToken,
    revokeTokens,
    now,
  }: { resetToken: PasswordHash; revokeTokens: readonly string[] | null; now: EpochMillis },
): Promise<EmailRevert | null> {
  const found = await findEmailRevert(db, token, now)
  if (found === null) return null
  return inTransaction(db, async transaction => {
    const { userId } = found
    await sql`select id from users where id = ${userId} for no key update`.execute(transaction)
    const reverted = await transaction
      .deleteFrom('email_reverts')
      .where('token', '=', token)
      .returning(['id', 'email', 'had_second_factor'])
      .executeTakeFirst()
    if (reverted === undefined) return null
    const { id, email, had_second_factor } = reverted
    await deleteReverts(transaction, userId, id)
    await deletePendingEmail(transaction, userId)
    // An attacker has the links that were mailed to the later addresses.
    await transaction.deleteFrom('security_links').where('user_id', '=', userId).execute()
    await setEmail(transaction, { id: userId, name: found.name }, { email, now })
    await changePassword(transaction, userId, UNUSABLE, { keep: null, revokeTokens, now })
    if (!had_second_factor) await removeSecondFactor(transaction, userId, now)
    await storeResetToken(transaction, { email, token: resetToken, now })
    return { ...found, email }
  })
}

/** A hash that no password matches. */
const UNUSABLE = '!' as PasswordHash

/** Deletes expired pending changes and expired reverts. */
export async function pruneEmailChanges(db: Kysely<Schema>, now: EpochMillis): Promise<void> {
  const cutoff = millisToSeconds(now - PENDING_MS)
  await deleteInBatches(db, 'pending_email_changes', sql`requested_at < ${cutoff}::timestamp`)
  await deleteInBatches(db, 'email_reverts', sql`expires_at < ${millisToSeconds(now)}::timestamp`)
}
