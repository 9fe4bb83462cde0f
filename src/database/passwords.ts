import { type Kysely, sql, type Transaction } from 'kysely'
import type { PasswordHash } from '#src/auth/password.ts'
import { passwordStamp, type SessionDigest, type SessionPayload } from '#src/auth/session.ts'
import { millisToTimestamp } from '#src/auth/time.ts'
import { lockUser } from './authority.ts'
import { hasChangedEmail } from './changed-emails.ts'
import { noteLogin } from './login-addresses.ts'
import { takeResetToken } from './password-resets.ts'
import type { Schema } from './schema.ts'
import { removeSecondFactor } from './second-factors.ts'
import { inTransaction } from './transaction.ts'
import type { Account } from './users.ts'

/**
 * Stores another hash of the password that a user has, unless the password was changed meanwhile. The user's
 * sessions and remembered devices go on.
 *
 * @returns whether it is stored
 */
export async function rehashPassword(
  db: Kysely<Schema>,
  userId: number,
  { from, to }: { from: PasswordHash; to: PasswordHash },
): Promise<boolean> {
  const { rows } = await sql`
    with rehashed as (
      update users set password = ${to} where id = ${userId} and password = ${from} returning id
    ), going_on as (
      update sessions set payload = replace(payload, ${passwordStamp(from)}, ${passwordStamp(to)})
      where user_id = (select id from rehashed)
    ), remembered as (
      update remembered_devices set password = ${passwordStamp(to)}
      where user_id = (select id from rehashed) and password = ${passwordStamp(from)}
    )
    select id from rehashed`.execute(db)
  return rows.length > 0
}

/**
 * Gives a user a new password. All sessions and remembered devices of the user end at once, but for the session that is
 * named and its device; links to a new password that were sent before open nothing any more, and an e-mail address that
 * waits for its confirmation waits no more.
 *
 * @param keep the session in which the password was changed; null for none
 * @param revokeTokens the class names that mean a user, to revoke the user's tokens as well; null to leave them alone
 * @param now milliseconds since the epoch
 */
export async function changePassword(
  db: Kysely<Schema>,
  userId: number,
  hash: PasswordHash,
  change: { keep: SessionDigest | null; revokeTokens: readonly string[] | null; now: number },
): Promise<void> {
  await inTransaction(db, async transaction => {
    // What is issued at this moment is waited for, and then seen.
    await lockUser(transaction, userId)
    await replacePassword(transaction, userId, hash, change)
  })
}

async function replacePassword(
  transaction: Transaction<Schema>,
  userId: number,
  hash: PasswordHash,
  { keep, revokeTokens, now }: Parameters<typeof changePassword>[3],
): Promise<void> {
  const stamp = JSON.stringify({ password: passwordStamp(hash) } satisfies Partial<SessionPayload>)
  await sql`
    with changed as (
      update users set password = ${hash}, updated_at = ${millisToTimestamp(now)}::timestamp
      where id = ${userId} returning id, email
    ), links as (
      delete from password_reset_tokens where email in (select email from changed)
    ), pending as (
      delete from pending_email_changes where user_id = (select id from changed)
    ), kept as (
      update sessions set payload = (payload::jsonb || ${stamp}::jsonb)::text
      where id = ${keep} and user_id = (select id from changed)
      returning payload::jsonb ->> 'device' as device
    ), remembered as (
      update remembered_devices set password = ${passwordStamp(hash)}
      where user_id = (select id from changed) and selector = (select device from kept)
    ), forgotten as (
      delete from remembered_devices
      where user_id = (select id from changed) and selector is distinct from (select device from kept)
    ), revoked as (
      delete from personal_access_tokens
      where tokenable_id = (select id from changed) and tokenable_type = any(${revokeTokens ?? []}::text[])
    )
    delete from sessions
    where user_id = (select id from changed) and id is distinct from ${keep}`.execute(transaction)
}

/**
 * Gives a user a new password in exchange for the token of a mail, under the user's lock. An account whose address was
 * never verified may have been made by somebody else who knew the address before its owner came (pre-hijacking): then
 * everything that opens it ends, its second factor as well unless the address was changed since.
 *
 * @param reset.token the hash of the token that was verified
 * @param reset.revokeTokens the class names that mean a user; null to leave tokens of a verified account alone
 * @param reset.address from which it is done: it counts as one that the user logged in from
 * @param reset.now milliseconds since the epoch
 * @returns whether it is done, and whether tokens were revoked; null when the token is used up, or the account another's
 */
export async function resetPassword(
  db: Kysely<Schema>,
  { id, email }: Pick<Account, 'id' | 'email'>,
  {
    token,
    hash,
    revokeTokens,
    types,
    address,
    now,
  }: {
    token: PasswordHash
    hash: PasswordHash
    revokeTokens: boolean
    types: readonly string[]
    address: string
    now: number
  },
): Promise<{ revokedTokens: boolean } | null> {
  return db.transaction().execute(async transaction => {
    await lockUser(transaction, id)
    const user = await transaction
      .selectFrom('users')
      .select(['email', 'email_verified_at'])
      .where('id', '=', id)
      .where('deleted_at', 'is', null)
      .executeTakeFirst()
    if (user?.email !== email || !(await takeResetToken(transaction, email, token))) return null
    const isVerified = user.email_verified_at !== null
    const revokedTokens = revokeTokens || !isVerified
    await changePassword(transaction, id, hash, {
      keep: null,
      revokeTokens: revokedTokens ? types : null,
      now,
    })
    // An address that was changed may be a thief's: a mail to it takes no second factor away.
    if (!isVerified && !(await hasChangedEmail(transaction, id))) {
      await removeSecondFactor(transaction, id, now)
    }
    // A user who was kept out by wrong guesses of others has shown to be the user.
    await noteLogin(transaction, id, address, now)
    return { revokedTokens }
  })
}
