import { type Kysely, sql } from 'kysely'
import type { PasswordHash } from '#src/auth/password.ts'
import { HOUR_MS, millisToSeconds } from '#src/auth/time.ts'
import { noteLogin } from './login-addresses.ts'
import { grantDefaultRoles, type Holder } from './permissions.ts'
import { deleteInBatches } from './prune.ts'
import type { Schema } from './schema.ts'
import { UserExists } from './user-keys.ts'
import { insertUser } from './users.ts'

/** Milliseconds for which a registration waits for its mail's link to be opened. */
const PENDING_MS = HOUR_MS

/** What a registration is found by: its address, and the SHA-256 of its link's token. */
interface RegistrationKey {
  email: string
  digest: string
}

/**
 * Keeps a registration until the link of its mail is opened. Several with one address wait side by side: a stranger who
 * registers with it takes nothing from its owner.
 *
 * @param registration.now milliseconds since the epoch
 */
export async function keepRegistration(
  db: Kysely<Schema>,
  { email, digest, name, now }: RegistrationKey & { name: string; now: number },
): Promise<void> {
  const requested_at = millisToSeconds(now)
  await db.insertInto('pending_registrations').values({ token: digest, email, name, requested_at }).execute()
}

/** The name that a registration asks for; null when it does not wait. `now` in milliseconds since the epoch. */
export async function findRegistration(
  db: Kysely<Schema>,
  { email, digest }: RegistrationKey,
  now: number,
): Promise<{ name: string } | null> {
  const pending = await db
    .selectFrom('pending_registrations')
    .select('name')
    .where('token', '=', digest)
    .where('email', '=', email)
    .where('requested_at', '>', millisToSeconds(now - PENDING_MS))
    .executeTakeFirst()
  return pending ?? null
}

/**
 * Makes the account of a registration whose link was opened, verified and with the default roles. Others with the same
 * address wait no more.
 *
 * @param registration.nameElse what the user is called if somebody else got the name meanwhile
 * @param registration.types the class names that mean a user
 * @param registration.address from which it is done: it counts as one that the user logged in from
 * @param registration.now milliseconds since the epoch
 * @returns the user's id; null when the registration does not wait any more
 * @throws {UserExists} when somebody else got the address meanwhile, which only the command line and Laravel can give
 */
export async function completeRegistration(
  db: Kysely<Schema>,
  registration: RegistrationKey & {
    hash: PasswordHash
    nameElse: (name: string) => string
    types: Holder['types']
    address: string
    now: number
  },
): Promise<number | null> {
  const { email, digest, hash, nameElse, types, address, now } = registration
  const complete = (nameOf: (name: string) => string) =>
    db.transaction().execute(async transaction => {
      const waiting = await transaction
        .deleteFrom('pending_registrations')
        .where('email', '=', email)
        .where('requested_at', '>', millisToSeconds(now - PENDING_MS))
        .returning(['token', 'name'])
        .execute()
      const pending = waiting.find(({ token }) => token === digest)
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
