import { type Kysely, sql, type Transaction } from 'kysely'
import type { PasswordHash } from '#src/auth/password.ts'
import { constantTimeEqual } from '#src/auth/secret.ts'
import { emailHash } from '#src/auth/signed-link.ts'
import { millisToSeconds, millisToTimestamp } from '#src/auth/time.ts'
import type { EpochMillis } from '#src/runtime/units.ts'
import { noteEmailChange } from './changed-emails.ts'
import { grantDefaultRoles, type Holder } from './permissions.ts'
import type { Schema } from './schema.ts'
import { inTransaction } from './transaction.ts'
import { emailMatches, reserveNames, storeUserKeys, toUserExists, userKeys } from './user-keys.ts'

/** A user as mails and the command line need one. */
export interface Account {
  id: number
  name: string
  email: string
}

/** A recipient of mail. */
export interface Addressee extends Account {
  /** Whether the user has verified the address. */
  isVerified: boolean
}

/**
 * Finds the recipient of a mail to a user; null for a deleted user.
 *
 * @param options.evenIfDeleted whether to include a soft-deleted user
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
 * Finds a user who is not deleted by e-mail address: an exact match, else case-insensitive, else by its key. Null if
 * there is none.
 */
export async function findUserByEmail(db: Kysely<Schema>, email: string): Promise<Account | null> {
  const row = await findRowByEmail(db, email)
  return row === null ? null : { id: row.id, name: row.name, email: row.email }
}

/** What a login is verified against. */
export interface Credentials {
  userId: number
  password: PasswordHash
  /** Whether a second factor is required too. */
  hasSecondFactor: boolean
}

/** Returns the credentials of a user, found as {@link findUserByEmail} does; null if there is none. */
export async function findCredentials(db: Kysely<Schema>, email: string): Promise<Credentials | null> {
  const row = await findRowByEmail(db, email)
  return row === null ? null : toCredentials(row)
}

/** Returns the credentials of a user by id; null if there is none or the user is deleted. */
export async function findCredentialsById(db: Kysely<Schema>, userId: number): Promise<Credentials | null> {
  const row = await accounts(db).where('id', '=', userId).executeTakeFirst()
  return row === undefined ? null : toCredentials(row)
}

const accounts = (db: Kysely<Schema>) =>
  db
    .selectFrom('users')
    .select(['id', 'name', 'email', 'password', 'two_factor_confirmed_at'])
    .select(sql<boolean>`two_factor_secret is not null`.as('has_secret'))
    .where('deleted_at', 'is', null)

async function findRowByEmail(db: Kysely<Schema>, email: string) {
  const matches = emailMatches(email)
  if (matches === null) return null
  const row = await accounts(db).where(matches.is).orderBy(matches.nearest).limit(1).executeTakeFirst()
  return row ?? null
}

const toCredentials = (row: {
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
 * Stores a user and returns the id.
 *
 * @throws {UserExists} when name or e-mail address are taken in any form, or the address is reserved
 */
export async function insertUser(
  db: Kysely<Schema>,
  user: { name: string; email: string; password: PasswordHash; verified: boolean; now: EpochMillis },
): Promise<number> {
  const now = millisToTimestamp(user.now)
  return inTransaction(db, async transaction => {
    await reserveNames(transaction, user, null, user.now)
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
        throw toUserExists(error)
      })
    return id
  })
}

/**
 * Changes a user's name or e-mail address. A new address has to be verified again, and invalidates reset tokens of the
 * old one.
 *
 * @returns the user before the change
 * @throws {UserExists} when name or e-mail address are taken in any form, or the address is reserved
 */
export async function updateProfile(
  transaction: Transaction<Schema>,
  userId: number,
  { name, email }: { name: string | null; email: string | null },
  now: EpochMillis,
): Promise<Account> {
  await reserveNames(transaction, { name, email }, userId, now)
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
      throw toUserExists(error)
    })
  const before = rows[0] as Account
  if (name !== null || email !== null) {
    await storeUserKeys(transaction, { id: userId, name: name ?? before.name, email: email ?? before.email })
  }
  if (email !== null) await noteEmailChange(transaction, userId, now)
  return before
}

/**
 * Marks a user's e-mail address as verified, unless it was changed meanwhile, and grants the default roles.
 *
 * @param user.types the `model_type` values of users
 * @returns whether it was unverified before
 */
export async function verifyEmail(
  db: Kysely<Schema>,
  { userId, email, types }: { userId: number; email: string; types: Holder['types'] },
  now: EpochMillis,
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

/** Marks the user's address as verified if it has a hash, as {@link emailHash} computes it. Returns whether it is new. */
export async function verifyEmailByHash(
  transaction: Transaction<Schema>,
  { userId, hash, types }: { userId: number; hash: string; types: Holder['types'] },
  now: EpochMillis,
): Promise<boolean> {
  const user = await transaction
    .selectFrom('users')
    .select('email')
    .where('id', '=', userId)
    .executeTakeFirst()
  if (user === undefined || !constantTimeEqual(hash, emailHash(user.email))) return false
  return verifyEmail(transaction, { userId, email: user.email, types }, now)
}
