import { type Kysely, sql } from 'kysely'
import type { PasswordHash } from '#src/auth/password.ts'
import { HOUR_MS, millisToSeconds } from '#src/auth/time.ts'
import type { EpochMillis, Millis } from '#src/runtime/units.ts'
import { noteLogin } from './login-addresses.ts'
import { grantDefaultRoles, type Holder } from './permissions.ts'
import { deleteInBatches } from './prune.ts'
import type { Schema } from './schema.ts'
import { UserExists } from './user-keys.ts'
import { insertUser } from './users.ts'

/** How long a registration waits for the link in its mail to be opened. */
const PENDING_MS: Millis = HOUR_MS

/** The key of a pending registration: its address, and the SHA-256 of its link's token. */
interface RegistrationKey {
  email: string
  digest: string
}

/**
 * Stores a registration until the link in its mail is opened. Several registrations with one address can be pending: an
 * attacker's does not block the owner's.
 */
export async function storePendingRegistration(
  db: Kysely<Schema>,
  { email, digest, name, now }: RegistrationKey & { name: string; now: EpochMillis },
): Promise<void> {
  const requested_at = millisToSeconds(now)
  await db.insertInto('pending_registrations').values({ token: digest, email, name, requested_at }).execute()
}

/** Returns the requested name of a pending registration; null when there is none. */
export async function findRegistration(
  db: Kysely<Schema>,
  { email, digest }: RegistrationKey,
  now: EpochMillis,
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
 * Creates the verified account of a pending registration, with the default roles. Other pending registrations with the
 * address are deleted.
 *
 * @param registration.alternativeName derives the name to use if the requested one was taken meanwhile
 * @param registration.types the `model_type` values of users
 * @param registration.address recorded as an address of the user's logins
 * @returns the user's id; null when the registration is not pending
 * @throws {UserExists} when the address was taken meanwhile, which only the command line and Laravel can cause
 */
export async function completeRegistration(
  db: Kysely<Schema>,
  registration: RegistrationKey & {
    hash: PasswordHash
    alternativeName: (name: string) => string
    types: Holder['types']
    address: string
    now: EpochMillis
  },
): Promise<number | null> {
  const { email, digest, hash, alternativeName, types, address, now } = registration
  const complete = (toName: (name: string) => string) =>
    db.transaction().execute(async transaction => {
      const waiting = await transaction
        .deleteFrom('pending_registrations')
        .where('email', '=', email)
        .where('requested_at', '>', millisToSeconds(now - PENDING_MS))
        .returning(['token', 'name'])
        .execute()
      const pending = waiting.find(({ token }) => token === digest)
      if (pending === undefined) return null
      const name = toName(pending.name)
      const userId = await insertUser(transaction, { name, email, password: hash, verified: true, now })
      await grantDefaultRoles(transaction, { userId, types })
      await noteLogin(transaction, userId, address, now)
      return userId
    })
  return complete(name => name).catch(error => {
    if (error instanceof UserExists && error.field === 'name') return complete(alternativeName)
    throw error
  })
}

/** Deletes expired registrations. */
export async function pruneRegistrations(db: Kysely<Schema>, now: EpochMillis): Promise<number> {
  const cutoff = millisToSeconds(now - PENDING_MS)
  return deleteInBatches(db, 'pending_registrations', sql`requested_at < ${cutoff}::timestamp`)
}
