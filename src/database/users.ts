import { type Kysely, sql } from 'kysely'
import type { User } from '../auth/identity.ts'
import type { PasswordHash } from '../auth/password.ts'
import { millisToSeconds, millisToTimestamp } from '../auth/time.ts'
import type { Schema } from './schema.ts'

/** A user who is not deleted, found by e-mail address without regard to case; null if there is none. */
export async function findUserByEmail(
  db: Kysely<Schema>,
  email: string,
): Promise<{ id: number; name: string; email: string } | null> {
  const row = await db
    .selectFrom('users')
    .select(['id', 'name', 'email'])
    .where(sql`lower(email)`, '=', sql`lower(${email})`)
    .where('deleted_at', 'is', null)
    .executeTakeFirst()
  return row ?? null
}

/** A known user's columns, for what shows them: nobody who is deleted is known. */
export const userValues = (user: User) => ({
  created_at: user.createdAt,
  updated_at: user.updatedAt,
  deleted_at: null,
  id: user.id,
  name: user.name,
  email: user.email,
  email_verified_at: user.emailVerifiedAt,
  two_factor_confirmed_at: user.twoFactorConfirmedAt,
})

/** Which of a new user's unique values somebody has already; null when both are free. */
export class UserExists extends Error {
  readonly field: 'name' | 'email'

  constructor(field: 'name' | 'email') {
    super(`The ${field} has already been taken.`)
    this.field = field
  }
}

/**
 * Stores a user and returns the id.
 *
 * @param user.now milliseconds since the epoch
 * @throws {UserExists} when name or e-mail address are taken, in whatever case
 */
export async function insertUser(
  db: Kysely<Schema>,
  user: { name: string; email: string; password: PasswordHash; verified: boolean; now: number },
): Promise<number> {
  const now = millisToTimestamp(user.now)
  try {
    const { id } = await db
      .insertInto('users')
      .values({
        name: user.name,
        email: user.email,
        password: user.password,
        email_verified_at: user.verified ? millisToSeconds(user.now) : null,
        created_at: now,
        updated_at: now,
      })
      .returning('id')
      .executeTakeFirstOrThrow()
    return id
  } catch (error) {
    const { constraint } = error as { constraint?: string }
    if (constraint === 'users_email_unique') throw new UserExists('email')
    if (constraint === 'users_name_unique') throw new UserExists('name')
    throw error
  }
}
