import { type Kysely, sql, type Transaction } from 'kysely'
import type { PasswordHash } from '#src/auth/password.ts'
import { passwordStamp, type SessionDigest, type SessionPayload } from '#src/auth/session.ts'
import { DAY_MS, millisToSeconds, millisToTimestamp } from '#src/auth/time.ts'
import { lockUsers } from './authority.ts'
import { hasChangedEmail, noteEmailChange } from './email-changes.ts'
import { noteLogin } from './login-addresses.ts'
import { takeResetToken } from './password-resets.ts'
import { grantDefaultRoles, type Holder } from './permissions.ts'
import type { Schema } from './schema.ts'
import { removeSecondFactor } from './second-factors.ts'
import { inTransaction } from './transaction.ts'
import { asTaken, claimNames, emailMatches, storeKeys, userKeys } from './user-keys.ts'

/** A user, as far as mail and the command line need to know. */
export interface Account {
  id: number
  name: string
  email: string
}

/** A user to whom a mail may go. */
export interface Addressee extends Account {
  /** Whether somebody has shown that the address is the user's. */
  isVerified: boolean
}

/**
 * The user with an id, to be told of something; null for a user who is deleted.
 *
 * @param options.evenIfDeleted whether one who is deleted, and not for good yet, is meant as well
 */
export async function findAddressee(
  db: Kysely<Schema>,
  userId: number,
  { evenIfDeleted }: { evenIfDeleted: boolean },
): Promise<Addressee | null> {
  const { rows } = await sql<Addressee>`
    select id, name, email, email_verified_at is not null as "isVerified" from users
    where id = ${userId} and (${evenIfDeleted}::boolean or deleted_at is null)`.execute(db)
  return rows[0] ?? null
}

/**
 * A user who is not deleted, found by e-mail address in whatever form: the one whose address it is as it is given, else
 * without regard to case, else by its key. Null if there is none.
 */
export async function findUserByEmail(db: Kysely<Schema>, email: string): Promise<Account | null> {
  const row = await byEmail(db, email)
  return row === null ? null : { id: row.id, name: row.name, email: row.email }
}

/** What a login is checked against. */
export interface Credentials {
  userId: number
  password: PasswordHash
  /** Whether a second factor is asked for as well. */
  hasSecondFactor: boolean
}

/** The credentials of a user who is not deleted, found as {@link findUserByEmail} finds; null if there is none. */
export async function findCredentials(db: Kysely<Schema>, email: string): Promise<Credentials | null> {
  const row = await byEmail(db, email)
  return row === null ? null : credentialsOf(row)
}

/** The credentials of a user who is not deleted; null if there is none. */
export async function findCredentialsById(db: Kysely<Schema>, userId: number): Promise<Credentials | null> {
  const row = await accounts(db).where('id', '=', userId).executeTakeFirst()
  return row === undefined ? null : credentialsOf(row)
}

const accounts = (db: Kysely<Schema>) =>
  db
    .selectFrom('users')
    .select(['id', 'name', 'email', 'password', 'two_factor_confirmed_at'])
    .select(sql<boolean>`two_factor_secret is not null`.as('has_secret'))
    .where('deleted_at', 'is', null)

async function byEmail(db: Kysely<Schema>, email: string) {
  const matches = emailMatches(email)
  if (matches === null) return null
  const row = await accounts(db).where(matches.is).orderBy(matches.nearest).limit(1).executeTakeFirst()
  return row ?? null
}

const credentialsOf = (row: {
  id: number
  password: string
  two_factor_confirmed_at: string | null
  has_secret: boolean
}): Credentials => ({
  userId: row.id,
  password: row.password as PasswordHash,
  hasSecondFactor: row.has_secret && row.two_factor_confirmed_at !== null,
})

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
 * Brings a deleted user back, found by e-mail address as {@link findUserByEmail} finds. What was deleted with the user
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

/**
 * Stores a user and returns the id.
 *
 * @param user.now milliseconds since the epoch
 * @throws {UserExists} when name or e-mail address are taken, in whatever form, or the address is reserved
 */
export async function insertUser(
  db: Kysely<Schema>,
  user: { name: string; email: string; password: PasswordHash; verified: boolean; now: number },
): Promise<number> {
  const now = millisToTimestamp(user.now)
  return inTransaction(db, async transaction => {
    await claimNames(transaction, user, null, user.now)
    const { id } = await transaction
      .insertInto('users')
      .values({
        name: user.name,
        email: user.email,
        ...userKeys(user),
        password: user.password,
        email_verified_at: user.verified ? millisToSeconds(user.now) : null,
        created_at: now,
        updated_at: now,
      })
      .returning('id')
      .executeTakeFirstOrThrow()
      .catch(error => {
        throw asTaken(error)
      })
    return id
  })
}

/**
 * Changes what a user is called. Another e-mail address has to be verified anew, and a reset that was asked for
 * under the old one is off.
 *
 * @param now milliseconds since the epoch
 * @returns the user before the change
 * @throws {UserExists} when name or e-mail address are taken, in whatever form, or the address is reserved
 */
export async function updateProfile(
  transaction: Transaction<Schema>,
  userId: number,
  { name, email }: { name: string | null; email: string | null },
  now: number,
): Promise<Account> {
  await claimNames(transaction, { name, email }, userId, now)
  const { rows } = await sql<Account>`
    with before as (select id, name, email from users where id = ${userId} for update),
    off as (
      delete from password_reset_tokens
      where email = (select email from before) and email is distinct from coalesce(${email}, email)
    ), changed as (
      update users as u set
        name = coalesce(${name}, u.name),
        email = coalesce(${email}, u.email),
        email_verified_at =
          case when u.email is distinct from coalesce(${email}, u.email) then null else u.email_verified_at end,
        updated_at = ${millisToTimestamp(now)}::timestamp
      from before where u.id = before.id
    )
    select id, name, email from before`
    .execute(transaction)
    .catch(error => {
      throw asTaken(error)
    })
  const before = rows[0] as Account
  if (name !== null || email !== null) {
    await storeKeys(transaction, { id: userId, name: name ?? before.name, email: email ?? before.email })
  }
  if (email !== null) await noteEmailChange(transaction, userId, now)
  return before
}

/**
 * Counts a user's e-mail address as verified, unless it was changed meanwhile, which gives the default roles.
 *
 * @param user.types the class names that mean a user
 * @param now milliseconds since the epoch
 * @returns whether it was not verified before
 */
export async function verifyEmail(
  db: Kysely<Schema>,
  { userId, email, types }: { userId: number; email: string; types: Holder['types'] },
  now: number,
): Promise<boolean> {
  return inTransaction(db, async transaction => {
    const verified = await transaction
      .updateTable('users')
      .set({ email_verified_at: millisToSeconds(now), updated_at: millisToTimestamp(now) })
      .where('id', '=', userId)
      .where('email', '=', email)
      .where('email_verified_at', 'is', null)
      .where('deleted_at', 'is', null)
      .returning('id')
      .executeTakeFirst()
    if (verified === undefined) return false
    await grantDefaultRoles(transaction, { userId, types })
    return true
  })
}

/** Locks one user as {@link lockUsers} does; false when there is no such user any more. */
export const lockUser = async (transaction: Kysely<Schema>, id: number): Promise<boolean> =>
  (await lockUsers(transaction, [id])).has(id)
