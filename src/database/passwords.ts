import { type Kysely, sql, type Transaction } from 'kysely'
import type { PasswordHash } from '#src/auth/password.ts'
import { passwordStamp, type SessionDigest, type SessionPayload } from '#src/auth/session.ts'
import { millisToTimestamp } from '#src/auth/time.ts'
import type { EpochMillis } from '#src/runtime/units.ts'
import { lockUser } from './authority.ts'
import { hasChangedEmail } from './changed-emails.ts'
import { noteLogin } from './login-addresses.ts'
import { takeResetToken } from './password-resets.ts'
import type { Schema } from './schema.ts'
import { removeSecondFactor } from './second-factors.ts'
import { inTransaction } from './transaction.ts'
import type { Account } from './users.ts'

/**
 * Stores another hash of the same password, unless the password was changed meanwhile. The user's sessions and
 * remembered devices stay valid.
 *
 * @returns whether it was stored
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
 * Sets a user's password. All sessions and remembered devices end at once, except the named session and its device.
 * Reset links and a pending e-mail change become invalid.
 *
 * @param keep the session in which the password was changed; null for none
 * @param revokeTokens the `tokenable_type` values of users, to revoke the user's tokens too; null to keep them
 */
export async function changePassword(
  db: Kysely<Schema>,
  userId: number,
  hash: PasswordHash,
  change: { keep: SessionDigest | null; revokeTokens: readonly string[] | null; now: EpochMillis },
): Promise<void> {
  await inTransaction(db, async transaction => {
    // Waits for tokens and sessions that are being issued, so that they are seen and revoked too.
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
 * Resets a user's password by a mailed token, under the user's lock. An account whose address was never verified may
 * have been created by an attacker before its owner came (pre-hijacking): then all of its credentials end, and also its
 * second factor unless the address was changed since.
 *
 * @param reset.token the hash of the verified token
 * @param reset.revokeTokens whether to revoke the tokens of a verified account too
 * @param reset.types the `tokenable_type` values of users
 * @param reset.address recorded as an address of the user's logins
 * @returns whether tokens were revoked; null when the token is used up or the address is no longer the account's
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
    now: EpochMillis
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
    // A changed address may be an attacker's: a mail to it does not remove a second factor.
    if (!isVerified && !(await hasChangedEmail(transaction, id))) {
      await removeSecondFactor(transaction, id, now)
    }
    // A user who was locked out by others' wrong guesses can log in from this address again.
    await noteLogin(transaction, id, address, now)
    return { revokedTokens }
  })
}
