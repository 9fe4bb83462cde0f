import { type Kysely, sql } from 'kysely'
import { millisToSeconds, millisToTimestamp } from '../auth/time.ts'
import type { TokenDigest } from '../auth/token.ts'
import { deleteInBatches } from './prune.ts'
import type { Schema } from './schema.ts'

/** A token to be stored. Times are milliseconds since the epoch. */
export interface NewToken {
  userId: number
  userType: string
  name: string
  digest: TokenDigest
  abilities: readonly string[]
  expiresAt: number | null
  now: number
}

/** Stores a token and returns its id. */
export async function insertToken(db: Kysely<Schema>, token: NewToken): Promise<number> {
  const now = millisToTimestamp(token.now)
  const { id } = await db
    .insertInto('personal_access_tokens')
    .values({
      tokenable_type: token.userType,
      tokenable_id: token.userId,
      name: token.name,
      token: token.digest,
      abilities: JSON.stringify(token.abilities),
      expires_at: token.expiresAt === null ? null : millisToSeconds(token.expiresAt),
      last_used_at: null,
      created_at: now,
      updated_at: now,
    })
    .returning('id')
    .executeTakeFirstOrThrow()
  return id
}

/** A user's tokens, oldest first, without their digests. */
export function listTokens(db: Kysely<Schema>, userId: number, userTypes: readonly string[]) {
  return db
    .selectFrom('personal_access_tokens')
    .select(['id', 'name', 'abilities', 'last_used_at', 'expires_at', 'created_at'])
    .where('tokenable_id', '=', userId)
    .where('tokenable_type', 'in', userTypes)
    .orderBy('id')
    .execute()
}

/** Deletes one token, or all of a user's, and returns how many there were. */
export async function deleteTokens(
  db: Kysely<Schema>,
  which: { id: string } | { userId: number; userTypes: readonly string[] },
): Promise<number> {
  const { numDeletedRows } = await db
    .deleteFrom('personal_access_tokens')
    .$if('id' in which, query => query.where('id', '=', sql<number>`${(which as { id: string }).id}::bigint`))
    .$if('userId' in which, query => {
      const { userId, userTypes } = which as { userId: number; userTypes: readonly string[] }
      return query.where('tokenable_id', '=', userId).where('tokenable_type', 'in', userTypes)
    })
    .executeTakeFirstOrThrow()
  return Number(numDeletedRows)
}

/**
 * Deletes the tokens that ended before a moment.
 *
 * @param ended tokens whose own expiry lies before it are deleted; milliseconds since the epoch
 * @param created tokens created before it are deleted too; null when tokens live on without limit
 */
export async function pruneTokens(db: Kysely<Schema>, ended: number, created: number | null): Promise<void> {
  const before = (column: 'expires_at' | 'created_at', moment: number) =>
    deleteInBatches(
      db,
      'personal_access_tokens',
      sql`${sql.ref(column)} < ${millisToTimestamp(moment)}::timestamp`,
    )
  await before('expires_at', ended)
  if (created !== null) await before('created_at', created)
}

/**
 * Writes when tokens were last used, in one statement that locks rows in ascending order of id and never
 * turns a date back.
 *
 * @param uses pairs of token id and milliseconds since the epoch
 */
export async function writeLastUsed(
  db: Kysely<Schema>,
  uses: readonly (readonly [id: number, at: number])[],
): Promise<void> {
  const ids = uses.map(([id]) => id)
  const moments = uses.map(([, at]) => millisToSeconds(at))
  await sql`
    with used as (select * from unnest(${ids}::bigint[], ${moments}::timestamp[]) as used (id, at)),
    locked as (
      select id from personal_access_tokens where id = any(${ids}::bigint[]) order by id for update
    )
    update personal_access_tokens as t
    set last_used_at = greatest(t.last_used_at, used.at)
    from used join locked using (id)
    where t.id = used.id`.execute(db)
}
