import { type Kysely, sql, type Transaction } from 'kysely'
import { emailKey } from '#src/auth/email.ts'
import type { PasswordHash } from '#src/auth/password.ts'
import { REVERT_MS, type RevertDigest } from '#src/auth/revert-token.ts'
import { DAY_MS, millisToSeconds, millisToTimestamp } from '#src/auth/time.ts'
import { noteEmailChange } from './changed-emails.ts'
import { storeResetToken } from './password-resets.ts'
import { changePassword } from './passwords.ts'
import { deleteInBatches } from './prune.ts'
import type { Schema } from './schema.ts'
import { removeSecondFactor } from './second-factors.ts'
import { inTransaction } from './transaction.ts'
import { asTaken, claimNames, storeKeys } from './user-keys.ts'
import type { Account } from './users.ts'

/** Milliseconds for which an address waits for its confirmation. Its links last an hour each. */
const PENDING_MS = 7 * DAY_MS

/**
 * Keeps an address that becomes a user's once its mail's link is opened, in the place of one that waits already. Whether
 * there was a second factor is what the first wish found: a later one cannot make a thief's second factor the owner's.
 *
 * @param change.hadSecondFactor whether the user has a confirmed second factor
 * @param change.now milliseconds since the epoch
 */
export async function keepPendingEmail(
  transaction: Transaction<Schema>,
  userId: number,
  { email, hadSecondFactor, now }: { email: string; hadSecondFactor: boolean; now: number },
): Promise<void> {
  const pending = { email, requested_at: millisToSeconds(now) }
  await transaction
    .insertInto('pending_email_changes')
    .values({ user_id: userId, had_second_factor: hadSecondFactor, ...pending })
    .onConflict(conflict => conflict.column('user_id').doUpdateSet(pending))
    .execute()
}

/** Drops the address that waits for a user's confirmation, if there is one. */
export async function dropPendingEmail(db: Kysely<Schema>, userId: number): Promise<void> {
  await db.deleteFrom('pending_email_changes').where('user_id', '=', userId).execute()
}

/** The address that waits for a user's confirmation; null for none. `now` in milliseconds since the epoch. */
export async function findPendingEmail(
  db: Kysely<Schema>,
  userId: number,
  now: number,
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
 * Makes the address that waits for a user's confirmation the user's own. The old one can be brought back for seven days,
 * and nobody else gets it meanwhile. An address that could be brought back by its mail is brought back by this as well:
 * then all changes since are over, and none of the addresses since can take it away again. The caller holds the user's
 * lock.
 *
 * @param change.email the address that was confirmed
 * @param change.token the digest of the token that brings the old one back
 * @param change.now milliseconds since the epoch
 * @returns the user as it was before, and whether the old address can be brought back; null if the new one does not wait
 *   any more
 * @throws {UserExists} when the address is another user's by now, or reserved for one
 */
export async function confirmPendingEmail(
  transaction: Transaction<Schema>,
  userId: number,
  { email, token, now }: { email: string; token: RevertDigest; now: number },
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
  const wayBack = await transaction
    .selectFrom('email_reverts')
    .select('id')
    .where('user_id', '=', userId)
    .where('expires_at', '>', at)
    .where(sql<boolean>`(lower(email) = lower(${email}) or email_key = ${key})`)
    .orderBy('id')
    .limit(1)
    .executeTakeFirst()
  if (wayBack !== undefined) await dropReverts(transaction, userId, wayBack.id)
  const canRevert = wayBack === undefined && emailKey(before.email) !== key
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
  await claimNames(transaction, { name: null, email }, userId, now)
  await setEmail(transaction, before, { email, now })
  await transaction.deleteFrom('password_reset_tokens').where('email', 'in', [before.email, email]).execute()
  return { before, canRevert }
}

/** Forgets a change of a user's address and all that came after it: those addresses must not bring themselves back. */
const dropReverts = (transaction: Transaction<Schema>, userId: number, from: number) =>
  transaction.deleteFrom('email_reverts').where('user_id', '=', userId).where('id', '>=', from).execute()

/** Gives a user a verified address. @throws {UserExists} when it is another user's */
async function setEmail(
  transaction: Transaction<Schema>,
  { id: userId, name }: Pick<Account, 'id' | 'name'>,
  { email, now }: { email: string; now: number },
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
    throw asTaken(error)
  }
  await storeKeys(transaction, { id: userId, name, email })
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
 * The change that a token reverts; null when there is none any more. An account that was deleted after the change, perhaps
 * by a thief, comes back with its address; one that was deleted before stays deleted.
 */
export async function findEmailRevert(
  db: Kysely<Schema>,
  token: RevertDigest,
  now: number,
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
 * Brings a user's old address back, as verified, and takes away all that may be in a thief's hands since: sessions,
 * remembered devices, the password, later changes of the address with their ways back, a second factor where there was
 * none when the change was asked for, and tokens if that is wanted. A reset token for the old address is stored.
 *
 * @param revert.resetToken its hash
 * @param revert.revokeTokens the class names that mean a user, to revoke tokens; null to leave them alone
 * @param revert.now milliseconds since the epoch
 * @returns whose it was; null when the token counts no more
 * @throws {UserExists} when the address is another user's, which only writers past this server can make it
 */
export async function revertEmail(
  db: Kysely<Schema>,
  token: RevertDigest,
  {
    resetToken,
    revokeTokens,
    now,
  }: { resetToken: PasswordHash; revokeTokens: readonly string[] | null; now: number },
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
    await dropReverts(transaction, userId, id)
    await dropPendingEmail(transaction, userId)
    // Links of mails to the addresses since are a thief's.
    await transaction.deleteFrom('security_links').where('user_id', '=', userId).execute()
    await setEmail(transaction, { id: userId, name: found.name }, { email, now })
    await changePassword(transaction, userId, UNUSABLE, { keep: null, revokeTokens, now })
    if (!had_second_factor) await removeSecondFactor(transaction, userId, now)
    await storeResetToken(transaction, { email, token: resetToken, now })
    return { ...found, email }
  })
}

/** What no password has as its hash. */
const UNUSABLE = '!' as PasswordHash

/** Deletes the changes that can neither be confirmed nor reverted any more; `now` in milliseconds since the epoch. */
export async function pruneEmailChanges(db: Kysely<Schema>, now: number): Promise<void> {
  const ended = millisToSeconds(now - PENDING_MS)
  await deleteInBatches(db, 'pending_email_changes', sql`requested_at < ${ended}::timestamp`)
  await deleteInBatches(db, 'email_reverts', sql`expires_at < ${millisToSeconds(now)}::timestamp`)
}
