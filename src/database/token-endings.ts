import { type Kysely, type RawBuilder, sql } from 'kysely'
import type { TokenDigest } from '#src/auth/token.ts'
import type { Schema } from './schema.ts'
import { issuerColumns, withEnding } from './token-lineage.ts'
import { ownedBy, type TokenOwner, withUserLock } from './token-owner.ts'
import { rememberAncestors, reportedBy } from './token-successors.ts'

/** Which of a user's tokens are revoked: one, or all but one. */
export type RevokedTokens = { id: number } | { except: number | null }

/** A token that a revocation ended or would end. */
export interface EndedToken {
  id: number
  name: string
}

/** The CTE `ending` of the tokens that a revocation of some of a user's tokens ends. */
const withEndingOf = (owner: TokenOwner, which: RevokedTokens) =>
  'id' in which
    ? withEnding(sql<boolean>`${ownedBy(owner)} and id = ${which.id}`, null)
    : withEnding(ownedBy(owner), which.except)

/** Lists the tokens that a revocation would end, including descendants, by id. */
export async function findTokensEndingWith(
  db: Kysely<Schema>,
  owner: TokenOwner,
  which: RevokedTokens,
): Promise<EndedToken[]> {
  const { rows } = await sql<EndedToken>`
    ${withEndingOf(owner, which)}
    select id, name from personal_access_tokens where id in (select id from ending) order by id`.execute(db)
  return rows
}

/** Deletes the tokens of the CTE `ending`, and returns them by id. */
async function deleteEnding(db: Kysely<Schema>, ending: RawBuilder<unknown>): Promise<EndedToken[]> {
  const { rows } = await sql<EndedToken>`
    ${ending}
    delete from personal_access_tokens where id in (select id from ending) returning id, name`.execute(db)
  return rows.toSorted((one, other) => one.id - other.id)
}

/**
 * Revokes one of a user's tokens, or all but one, with their descendants, and returns those that ended. The kept token
 * loses its issuer, but a leak report of one of its ancestors still ends it.
 */
export function deleteOwnTokens(
  db: Kysely<Schema>,
  owner: TokenOwner,
  which: RevokedTokens,
): Promise<EndedToken[]> {
  return withUserLock(db, owner.userId, async transaction => {
    const kept = 'except' in which ? which.except : null
    if (kept !== null) await rememberAncestors(transaction, ownedBy(owner), kept)
    const ended = await deleteEnding(transaction, withEndingOf(owner, which))
    if (kept !== null) {
      await transaction
        .updateTable('personal_access_tokens')
        .set(issuerColumns([]))
        .where('id', '=', kept)
        .where(ownedBy(owner))
        .execute()
    }
    return ended
  })
}

/** Revokes a token of any owner with its descendants, and returns those that ended. */
export async function deleteToken(db: Kysely<Schema>, id: string): Promise<EndedToken[]> {
  const matches = sql<boolean>`id = ${id}::bigint`
  const token = await db
    .selectFrom('personal_access_tokens')
    .select('tokenable_id')
    .where(matches)
    .executeTakeFirst()
  if (token === undefined) return []
  return withUserLock(db, token.tokenable_id, transaction =>
    deleteEnding(transaction, withEnding(matches, null)),
  )
}

/** A token that a leak report of a secret ends. */
export interface ReportedToken {
  id: number
  ownerId: number
  /** Whether the owner is a user. */
  isUsers: boolean
}

/** Finds the token with a digest, or else the successor that a leak report of it ends; null when there is neither. */
export async function findReportedToken(
  db: Kysely<Schema>,
  digest: TokenDigest,
  types: readonly string[],
): Promise<ReportedToken | null> {
  const row = await db
    .selectFrom('personal_access_tokens')
    .select(['id', 'tokenable_id', 'tokenable_type'])
    .where(reportedBy(digest))
    .orderBy(sql`token = ${digest}`, 'desc')
    .limit(1)
    .executeTakeFirst()
  if (row === undefined) return null
  return { id: row.id, ownerId: row.tokenable_id, isUsers: types.includes(row.tokenable_type) }
}

/**
 * Revokes the tokens of an owner that a leak report of a secret ends, with their descendants, and returns those that
 * ended.
 */
export const deleteReportedTokens = (
  db: Kysely<Schema>,
  ownerId: number,
  digest: TokenDigest,
): Promise<EndedToken[]> =>
  withUserLock(db, ownerId, transaction => {
    const matches = sql<boolean>`tokenable_id = ${ownerId}::bigint and ${reportedBy(digest)}`
    return deleteEnding(transaction, withEnding(matches, null))
  })
