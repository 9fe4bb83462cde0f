import { type Kysely, sql } from 'kysely'
import type { PasswordHash } from '../auth/password.ts'
import { HOUR_MS, millisToSeconds } from '../auth/time.ts'
import { noteLogin } from './login-addresses.ts'
import { storeResetToken, takeResetToken } from './password-resets.ts'
import { grantDefaultRoles, type Holder } from './permissions.ts'
import { deleteInBatches } from './prune.ts'
import type { Schema } from './schema.ts'
import { UserExists } from './user-keys.ts'
import { insertUser } from './users.ts'

/** Milliseconds for which a registration waits for its mail's link, as long as that counts. */
const PENDING_MS = HOUR_MS

/**
 * Keeps a registration until the link of its mail is opened, in the place of an earlier one with the same address.
 *
 * @param registration.token the bcrypt hash of the link's reset token
 * @param registration.now milliseconds since the epoch
 */
export async function keepRegistration(
  db: Kysely<Schema>,
  { email, name, token, now }: { email: string; name: string; token: PasswordHash; now: number },
): Promise<void> {
  const pending = { name, requested_at: millisToSeconds(now) }
  await db.transaction().execute(async transaction => {
    await transaction
      .insertInto('pending_registrations')
      .values({ email, ...pending })
      .onConflict(conflict => conflict.column('email').doUpdateSet(pending))
      .execute()
    await storeResetToken(transaction, { email, token, now })
  })
}

/** The name that a registration asks for; null when none waits. `now` in milliseconds since the epoch. */
export async function findRegisteredName(
  db: Kysely<Schema>,
  email: string,
  now: number,
): Promise<string | null> {
  const pending = await db
    .selectFrom('pending_registrations')
    .select('name')
    .where('email', '=', email)
    .where('requested_at', '>', millisToSeconds(now - PENDING_MS))
    .executeTakeFirst()
  return pending?.name ?? null
}

/**
 * Makes the account of a registration whose link was opened, verified and with the default roles.
 *
 * @param registration.token the hash of the token that was verified
 * @param registration.nameElse what the user is called if somebody else got the name meanwhile
 * @param registration.types the class names that mean a user
 * @param registration.address from which it is done: it counts as one that the user logged in from
 * @param registration.now milliseconds since the epoch
 * @returns the user's id; null when nothing waits, or the token is used up
 * @throws {UserExists} when somebody else got the address meanwhile, which only the command line and Laravel can give
 */
export async function completeRegistration(
  db: Kysely<Schema>,
  registration: {
    email: string
    token: PasswordHash
    hash: PasswordHash
    nameElse: (name: string) => string
    types: Holder['types']
    address: string
    now: number
  },
): Promise<number | null> {
  const { email, token, hash, nameElse, types, address, now } = registration
  const complete = (nameOf: (name: string) => string) =>
    db.transaction().execute(async transaction => {
      if (!(await takeResetToken(transaction, email, token))) return null
      const pending = await transaction
        .deleteFrom('pending_registrations')
        .where('email', '=', email)
        .where('requested_at', '>', millisToSeconds(now - PENDING_MS))
        .returning('name')
        .executeTakeFirst()
      if (pending === undefined) return null
      const name = nameOf(pending.name)
      const userId = await insertUser(transaction, { name, email, password: hash, verified: true, now })
      await grantDefaultRoles(transaction, { userId, types })
      await noteLogin(transaction, userId, address, now)
      return userId
    })
  return complete(name => name).catch(error => {
    if (error instanceof UserExists && error.field === 'name') return complete(nameElse)
    throw error
  })
}

/** Deletes the registrations that can be completed no longer; `now` in milliseconds since the epoch. */
export async function pruneRegistrations(db: Kysely<Schema>, now: number): Promise<number> {
  const ended = millisToSeconds(now - PENDING_MS)
  return deleteInBatches(db, 'pending_registrations', sql`requested_at < ${ended}::timestamp`)
}
