import { type Kysely, type RawBuilder, sql, type Transaction } from 'kysely'
import { canonicalizeEmail, emailKey, trimEmail } from '#src/auth/email.ts'
import { isAscii, nameKeys } from '#src/auth/name.ts'
import { millisToSeconds } from '#src/auth/time.ts'
import type { EpochMillis } from '#src/runtime/units.ts'
import { foldAscii } from './fold-case.ts'
import type { Schema } from './schema.ts'

/** A unique value of a new user is taken. */
export class UserExists extends Error {
  readonly field: 'name' | 'email'

  constructor(field: 'name' | 'email') {
    super(`The ${field} has already been taken.`)
    this.field = field
  }
}

/** Converts a unique violation of `users` to {@link UserExists}; returns other errors unchanged. */
export function toUserExists(error: unknown): unknown {
  const { constraint } = error as { constraint?: string }
  if (constraint === 'users_email_unique') return new UserExists('email')
  if (constraint === 'users_name_unique') return new UserExists('name')
  return error
}

/** The columns by which names and e-mail addresses are compared. */
export function userKeys({ name, email }: { name: string; email: string }) {
  const { key, skeleton } = nameKeys(name)
  return { name_key: key, name_skeleton: skeleton, email_key: emailKey(email) }
}

/** Stores the keys of a user whose name or address was changed, unless they have been changed again. */
export async function storeUserKeys(
  transaction: Transaction<Schema>,
  { id, name, email }: { id: number; name: string; email: string },
): Promise<void> {
  await transaction
    .updateTable('users')
    .set(userKeys({ name, email }))
    .where('id', '=', id)
    .where('name', '=', name)
    .where('email', '=', email)
    .execute()
}

/**
 * The conditions that match users by e-mail address, and their order: exact text first, then a different case, then the
 * canonical address, then the key. Null for text that no address can have.
 */
export function emailMatches(text: string): { is: RawBuilder<boolean>; nearest: RawBuilder<unknown> } | null {
  // No text of PostgreSQL's has a NUL, and asking for one is an error.
  if (text.includes('\0')) return null
  const typed = trimEmail(text)
  // The index folds ASCII letters.
  const forms = [text, typed, typed.toLowerCase(), canonicalizeEmail(text)]
  const lowered = sql`array[${sql.join(forms.map(form => foldAscii(sql`${form}::text`)))}]::text[]`
  return {
    is: sql`(${foldAscii(sql`email`)} = any(${lowered}) or email_key = ${emailKey(text)})`,
    nearest: sql`array_position(${forms}::text[], email::text), array_position(${lowered}, ${foldAscii(sql`email`)}), id`,
  }
}

/** The name and e-mail address that a user requests; null for unchanged ones. */
interface WantedNames {
  name: string | null
  email: string | null
}

/**
 * Finds the requested values that another user has in any form, deleted users included, or that are reserved. Rows
 * without keys, freshly written by other applications, are compared case-insensitively.
 *
 * @param except the user who may have them
 */
export async function findTakenFields(
  db: Kysely<Schema>,
  { name, email }: WantedNames,
  except: number | null,
  now: EpochMillis,
): Promise<Set<'name' | 'email'>> {
  const queries: RawBuilder<unknown>[] = []
  if (name !== null) {
    const { key, skeleton } = nameKeys(name)
    // Skeletons are not compared between two ASCII names: modern and modem differ.
    const mayLookAlike = isAscii(name) ? sql`octet_length(name) > char_length(name)` : sql`true`
    queries.push(sql`
      select 'name' as field from users
      where (${foldAscii(sql`name`)} in (${foldAscii(sql`${name}::text`)}, ${key}) or name_key = ${key}
        or (name_skeleton = ${skeleton} and ${mayLookAlike}))
        and id is distinct from ${except}::bigint`)
  }
  if (email !== null) {
    const isSame = sql`(${foldAscii(sql`email`)} in (${foldAscii(sql`${email}::text`)}, ${emailKey(email)}) or email_key = ${emailKey(email)})`
    queries.push(
      sql`select 'email' as field from users where ${isSame} and id is distinct from ${except}::bigint`,
      sql`
        select 'email' as field from email_reverts
        where ${isSame} and user_id is distinct from ${except}::bigint
          and expires_at > ${millisToSeconds(now)}::timestamp`,
    )
  }
  if (queries.length === 0) return new Set()
  const { rows } = await sql<{ field: 'name' | 'email' }>`${sql.join(queries, sql` union all `)}`.execute(db)
  return new Set(rows.map(({ field }) => field))
}

/**
 * Reserves a name and an e-mail address until the transaction ends. Concurrent calls with an equal key wait at an
 * advisory lock, and then see what was written (READ COMMITTED). Call it once per transaction: the locks of one call
 * are taken in order, those of two are not.
 *
 * @throws {UserExists} when one is taken in any form, or the address is reserved
 */
export async function reserveNames(
  transaction: Transaction<Schema>,
  wanted: WantedNames,
  userId: number | null,
  now: EpochMillis,
): Promise<void> {
  const { name, email } = wanted
  const keys = [
    ...(name === null ? [] : Object.entries(nameKeys(name)).map(([kind, key]) => `${kind} ${key}`)),
    ...(email === null ? [] : [`email ${emailKey(email)}`]),
  ]
  if (keys.length === 0) return
  await sql`
    select pg_advisory_xact_lock(lock) from (
      select distinct hashtextextended(key, 0) as lock from unnest(${keys}::text[]) as wanted (key) order by 1
    ) as locks`.execute(transaction)
  const taken = await findTakenFields(transaction, wanted, userId, now)
  for (const field of ['email', 'name'] as const) if (taken.has(field)) throw new UserExists(field)
}

const FILL_BATCH = 500

/** Users with equivalent e-mail addresses. */
export interface Collision {
  /** In order of registration. */
  userIds: number[]
}

/**
 * Fills in missing keys of users and of revertible addresses: of rows older than the columns, and of those that other
 * applications wrote. Works in batches, and skips rows that another instance has locked.
 *
 * @returns how many users got keys, and which of them share an e-mail address with others
 */
export async function fillUserKeys(db: Kysely<Schema>): Promise<{ filled: number; collisions: Collision[] }> {
  const collisions = new Map<string, number[]>()
  let filled = 0
  for (;;) {
    const users = await db.transaction().execute(async transaction => {
      const { rows } = await sql<{ id: number; name: string; email: string }>`
        select id, name, email from users
        where name_key is null or name_skeleton is null or email_key is null
        order by id limit ${FILL_BATCH} for no key update skip locked`.execute(transaction)
      if (rows.length > 0) await storeFilled(transaction, rows)
      return rows
    })
    filled += users.length
    for (const { key, userIds } of await sharedAddresses(db, users)) collisions.set(key, userIds)
    if (users.length < FILL_BATCH) break
  }
  await fillRevertKeys(db)
  return { filled, collisions: [...collisions.values()].map(userIds => ({ userIds })) }
}

async function storeFilled(
  transaction: Transaction<Schema>,
  rows: readonly { id: number; name: string; email: string }[],
): Promise<void> {
  const keys = rows.map(userKeys)
  await sql`
    update users set name_key = filled.name_key, name_skeleton = filled.skeleton, email_key = filled.email_key
    from unnest(
      ${rows.map(({ id }) => id)}::bigint[], ${keys.map(({ name_key }) => name_key)}::text[],
      ${keys.map(({ name_skeleton }) => name_skeleton)}::text[], ${keys.map(({ email_key }) => email_key)}::text[]
    ) as filled (id, name_key, skeleton, email_key)
    where users.id = filled.id`.execute(transaction)
}

/** Finds the keys that several users' addresses share, deleted users included. */
async function sharedAddresses(db: Kysely<Schema>, users: readonly { email: string }[]) {
  if (users.length === 0) return []
  const { rows } = await sql<{ key: string; userIds: number[] }>`
    select email_key as key, json_agg(id order by id) as "userIds" from users
    where email_key = any(${users.map(({ email }) => emailKey(email))}::text[])
    group by email_key having count(*) > 1`.execute(db)
  return rows
}

async function fillRevertKeys(db: Kysely<Schema>): Promise<void> {
  const { rows } = await sql<{ id: number; email: string }>`
    select id, email from email_reverts where email_key is null`.execute(db)
  if (rows.length === 0) return
  await sql`
    update email_reverts set email_key = filled.key
    from unnest(${rows.map(({ id }) => id)}::bigint[], ${rows.map(({ email }) => emailKey(email))}::text[])
      as filled (id, key)
    where email_reverts.id = filled.id`.execute(db)
}

/** A user whose name or e-mail address is equivalent to another user's. */
export interface CollidingUser {
  field: 'email' | 'name'
  /** The key that they share. */
  key: string
  id: number
  name: string
  email: string
}

/**
 * Lists the users, deleted ones included, whose e-mail address or name is equivalent to another user's, grouped by key.
 */
export async function findCollisions(db: Kysely<Schema>): Promise<CollidingUser[]> {
  const { rows } = await sql<CollidingUser>`
    with shared as (
      select 'email' as field, email_key as key, array_agg(id) as ids from users
      where email_key is not null group by email_key having count(*) > 1
      union all
      select 'name', name_key, array_agg(id) from users
      where name_key is not null group by name_key having count(*) > 1
      union all
      select 'name', name_skeleton, array_agg(id) from users
      where name_skeleton is not null group by name_skeleton
      having count(distinct name_key) > 1 and bool_or(octet_length(name) > char_length(name))
    )
    select shared.field, shared.key, u.id, u.name, u.email
    from shared join users u on u.id = any(shared.ids)
    order by shared.field, shared.key, u.id`.execute(db)
  return rows
}
