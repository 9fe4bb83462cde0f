import { type Kysely, type RawBuilder, sql, type Transaction } from 'kysely'
import { canonicalEmail, emailKey, typedEmail } from '#src/auth/email.ts'
import { isAscii, nameKeys } from '#src/auth/name.ts'
import { millisToSeconds } from '#src/auth/time.ts'
import type { Schema } from './schema.ts'

/** Which of a new user's unique values somebody has already. */
export class UserExists extends Error {
  readonly field: 'name' | 'email'

  constructor(field: 'name' | 'email') {
    super(`The ${field} has already been taken.`)
    this.field = field
  }
}

/** What a violated unique index means; the error itself if it is another one. */
export function asTaken(error: unknown): unknown {
  const { constraint } = error as { constraint?: string }
  if (constraint === 'users_email_unique') return new UserExists('email')
  if (constraint === 'users_name_unique') return new UserExists('name')
  return error
}

/** The columns by which a user's name and e-mail address are compared with others. */
export function userKeys({ name, email }: { name: string; email: string }) {
  const { key, skeleton } = nameKeys(name)
  return { name_key: key, name_skeleton: skeleton, email_key: emailKey(email) }
}

/** Stores the keys of a user whose name or e-mail address was changed, unless they are others by now. */
export async function storeKeys(
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
 * Which users an e-mail address can mean, and which of them first: one whose address is that text, then one whose
 * address differs in case alone, then one of the canonical address, then one of the same key. Null for what is nobody's.
 */
export function emailMatches(text: string): { is: RawBuilder<boolean>; nearest: RawBuilder<unknown> } | null {
  // No text of PostgreSQL's has a NUL, and asking for one is an error.
  if (text.includes('\0')) return null
  const typed = typedEmail(text)
  // Not every database folds letters beyond ASCII.
  const forms = [text, typed, typed.toLowerCase(), canonicalEmail(text)]
  const folded = sql`array[${sql.join(forms.map(form => sql`lower(${form})`))}]::text[]`
  return {
    is: sql`(lower(email) = any(${folded}) or email_key = ${emailKey(text)})`,
    nearest: sql`array_position(${forms}::text[], email::text), array_position(${folded}, lower(email)), id`,
  }
}

/** What users want to be called; null for what they do not change. */
interface Wanted {
  name: string | null
  email: string | null
}

/**
 * Which of a user's unique values somebody else has, deleted users included, in whatever form, or which are reserved. Rows
 * without keys, which others wrote a moment ago, are compared without regard to case.
 *
 * @param except the user who may have them
 * @param now milliseconds since the epoch
 */
export async function takenFields(
  db: Kysely<Schema>,
  { name, email }: Wanted,
  except: number | null,
  now: number,
): Promise<Set<'name' | 'email'>> {
  const questions: RawBuilder<unknown>[] = []
  if (name !== null) {
    const { key, skeleton } = nameKeys(name)
    // Of two names in ASCII each is what it looks like: modern and modem are two names.
    const isSeen = isAscii(name) ? sql`octet_length(name) > char_length(name)` : sql`true`
    questions.push(sql`
      select 'name' as field from users
      where (lower(name) in (lower(${name}), ${key}) or name_key = ${key}
        or (name_skeleton = ${skeleton} and ${isSeen}))
        and id is distinct from ${except}::bigint`)
  }
  if (email !== null) {
    const isSame = sql`(lower(email) in (lower(${email}), ${emailKey(email)}) or email_key = ${emailKey(email)})`
    questions.push(
      sql`select 'email' as field from users where ${isSame} and id is distinct from ${except}::bigint`,
      sql`
        select 'email' as field from email_reverts
        where ${isSame} and user_id is distinct from ${except}::bigint
          and expires_at > ${millisToSeconds(now)}::timestamp`,
    )
  }
  if (questions.length === 0) return new Set()
  const { rows } = await sql<{ field: 'name' | 'email' }>`${sql.join(questions, sql` union all `)}`.execute(
    db,
  )
  return new Set(rows.map(({ field }) => field))
}

/**
 * Makes sure that a name and an e-mail address are nobody else's, until the transaction ends. Whoever wants one with an
 * equal key waits for the other's transaction at an advisory lock, and then sees what it wrote (READ COMMITTED). A
 * transaction calls this once: the locks of one call are taken in order, those of two are not.
 *
 * @param now milliseconds since the epoch
 * @throws {UserExists} when one is taken, in whatever form, or the address is reserved
 */
export async function claimNames(
  transaction: Transaction<Schema>,
  wanted: Wanted,
  userId: number | null,
  now: number,
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
  const taken = await takenFields(transaction, wanted, userId, now)
  for (const field of ['email', 'name'] as const) if (taken.has(field)) throw new UserExists(field)
}

const FILLED_AT_ONCE = 500

/** Users whose e-mail addresses are forms of one. */
export interface Collision {
  /** In the order in which they registered. */
  userIds: number[]
}

/**
 * Fills in keys of users and of addresses that can be reverted, where there are none: of rows from before there were keys,
 * and of those that others wrote or changed. It does so in batches, and leaves alone what another instance fills in.
 *
 * @returns how many users got keys, and which of them turned out to share an e-mail address with others
 */
export async function fillUserKeys(db: Kysely<Schema>): Promise<{ filled: number; collisions: Collision[] }> {
  const collisions = new Map<string, number[]>()
  let filled = 0
  for (;;) {
    const users = await db.transaction().execute(async transaction => {
      const { rows } = await sql<{ id: number; name: string; email: string }>`
        select id, name, email from users
        where name_key is null or name_skeleton is null or email_key is null
        order by id limit ${FILLED_AT_ONCE} for no key update skip locked`.execute(transaction)
      if (rows.length > 0) await storeFilled(transaction, rows)
      return rows
    })
    filled += users.length
    for (const { key, userIds } of await sharedAddresses(db, users)) collisions.set(key, userIds)
    if (users.length < FILLED_AT_ONCE) break
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

/** The keys of users' addresses that several users have, deleted ones included. */
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

/** A user with a name or an e-mail address that another one has in another form. */
export interface CollidingUser {
  field: 'email' | 'name'
  /** What is the same of all that have it. */
  key: string
  id: number
  name: string
  email: string
}

/** The users, deleted ones included, who share an e-mail address or a name in another form, those of each together. */
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
