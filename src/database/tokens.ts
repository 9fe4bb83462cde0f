import { type Kysely, type RawBuilder, sql } from 'kysely'
import { parseAllowedIps } from '#src/auth/address-list.ts'
import { millisToSeconds, millisToTimestamp, timestampToMillis } from '#src/auth/time.ts'
import type { TokenDigest } from '#src/auth/token.ts'
import { deleteInBatches } from './prune.ts'
import type { Schema } from './schema.ts'
import { type Activity, browserColumns, latestUse } from './sessions.ts'
import {
  ISSUERS,
  issuerColumns,
  type Lineage,
  passChildrenTo,
  passChildrenUp,
  successorIssuers,
  withEnding,
} from './token-lineage.ts'
import { rememberAncestors, rememberSuccessor, reportedBy } from './token-successors.ts'
import { inTransaction } from './transaction.ts'
import { lockUser } from './users.ts'

/** A token to be stored. Times are milliseconds since the epoch. */
export interface NewToken {
  userId: number
  userType: string
  name: string
  digest: TokenDigest
  abilities: readonly string[]
  /** From where it may be used; everywhere unless given. */
  allowedIps?: readonly string[] | null
  expiresAt: number | null
  /** The ids of the tokens whose revocation ends it, first the one that issues it; none unless given. */
  issuers?: readonly number[]
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
      allowed_ips: token.allowedIps ? JSON.stringify(token.allowedIps) : null,
      expires_at: token.expiresAt === null ? null : millisToSeconds(token.expiresAt),
      ...issuerColumns(token.issuers ?? []),
      last_used_at: null,
      created_at: now,
      updated_at: now,
    })
    .returning('id')
    .executeTakeFirstOrThrow()
  return id
}

/** Whose tokens are meant. `types` are the class names that mean a user. */
export interface TokenOwner {
  userId: number
  types: readonly string[]
}

const ownedBy = ({ userId, types }: TokenOwner) =>
  sql<boolean>`(tokenable_id = ${userId}::bigint and tokenable_type = any(${types}::text[]))`

/** Which of a user's tokens are revoked: one, or all but one. */
export type RevokedTokens = { id: number } | { except: number | null }

/** A token that ended, or would end, with a revocation. */
export interface EndedToken {
  id: number
  name: string
}

/** Why no token was issued: the user has too many, or none with that id to replace. */
export type NotIssued = 'too many' | 'no such token'

/**
 * Runs a write of a user's tokens while the user's row is locked, in the caller's transaction or one of its own. Other
 * writes of these tokens wait, and their next statements see what was written (READ COMMITTED).
 */
const underUserLock = <T>(
  db: Kysely<Schema>,
  userId: number,
  write: (transaction: Kysely<Schema>) => Promise<T>,
): Promise<T> =>
  inTransaction(db, async transaction => {
    await lockUser(transaction, userId)
    return write(transaction)
  })

/** Whether a user has as many tokens as there may be. */
async function hasAll(db: Kysely<Schema>, owner: TokenOwner, most: number | null): Promise<boolean> {
  if (most === null) return false
  const { count } = await db
    .selectFrom('personal_access_tokens')
    .select(({ fn }) => fn.countAll<number>().as('count'))
    .where(ownedBy(owner))
    .executeTakeFirstOrThrow()
  return Number(count) >= most
}

/**
 * Issues a token, and returns its id.
 *
 * @param issuing.types the class names that mean a user
 * @param issuing.most how many tokens a user may have; null for any number
 */
export function issueToken(
  db: Kysely<Schema>,
  token: NewToken,
  { types, most }: { types: readonly string[]; most: number | null },
): Promise<number | 'too many'> {
  return underUserLock(db, token.userId, async transaction =>
    (await hasAll(transaction, { userId: token.userId, types }, most))
      ? 'too many'
      : insertToken(transaction, token),
  )
}

/** Gives a user's token another name, and says whether there is such a token; `now` in milliseconds. */
export async function renameToken(
  db: Kysely<Schema>,
  owner: TokenOwner,
  id: number,
  { name, now }: { name: string; now: number },
): Promise<boolean> {
  const renamed = await db
    .updateTable('personal_access_tokens')
    .set({ name, updated_at: millisToTimestamp(now) })
    .where('id', '=', id)
    .where(ownedBy(owner))
    .returning('id')
    .executeTakeFirst()
  return renamed !== undefined
}

/** What a successor takes over from a token. */
export interface Predecessor {
  name: string
  abilities: string | null
  allowedIps: readonly string[] | null
  /** Milliseconds since the epoch; null for no date of its own. */
  expiresAt: number | null
}

/** How a token is replaced. */
interface Replacement {
  /** Makes the new token of the old one, and may refuse by throwing. */
  successor: (old: Predecessor) => Omit<NewToken, 'issuers'>
  /** Until when the old one still counts, in milliseconds since the epoch; null for not at all. */
  graceUntil: number | null
  /** The id of the token that rotates; null for a session and for the command line. */
  rotatedBy: number | null
  /** How many tokens a user may have; null for any number. */
  most: number | null
}

/**
 * Puts another token in the place of one of a user's, and returns its id. The old one ends at once, or after a while
 * unless it does so by itself before; until then both count. The successor becomes the issuer of the old one's children,
 * and of the old one while that counts: what it still issues ends with the successor. A report of the old one ends the
 * successor as well.
 */
export function replaceToken(
  db: Kysely<Schema>,
  owner: TokenOwner,
  id: number,
  { successor, graceUntil, rotatedBy, most }: Replacement,
): Promise<number | NotIssued> {
  return underUserLock(db, owner.userId, async transaction => {
    if (graceUntil !== null && (await hasAll(transaction, owner, most))) return 'too many'
    const row = await transaction
      .selectFrom('personal_access_tokens')
      .select(['name', 'token', 'abilities', 'allowed_ips', 'expires_at', ISSUERS.as('issuers')])
      .where('id', '=', id)
      .where(ownedBy(owner))
      .forUpdate()
      .executeTakeFirst()
    if (row === undefined) return 'no such token'
    const { name, token: digest, abilities, allowed_ips, expires_at, issuers } = row
    const end = expires_at === null ? Number.POSITIVE_INFINITY : timestampToMillis(expires_at)
    const token = successor({
      name,
      abilities,
      allowedIps: parseAllowedIps(allowed_ips),
      expiresAt: end === Number.POSITIVE_INFINITY ? null : end,
    })
    const newId = await insertToken(transaction, {
      ...token,
      issuers: successorIssuers({ id, issuers }, rotatedBy),
    })
    await passChildrenTo(transaction, id, newId)
    await rememberSuccessor(transaction, { id, digest }, newId)
    if (graceUntil === null) {
      await transaction.deleteFrom('personal_access_tokens').where('id', '=', id).execute()
    } else {
      await transaction
        .updateTable('personal_access_tokens')
        .set({
          ...issuerColumns([newId]),
          ...(end > graceUntil && { expires_at: millisToSeconds(graceUntil) }),
        })
        .where('id', '=', id)
        .execute()
    }
    return newId
  })
}

/** The CTE `ending` of the tokens that end when some of a user's are revoked. */
const withEndingOf = (owner: TokenOwner, which: RevokedTokens) =>
  'id' in which
    ? withEnding(sql<boolean>`${ownedBy(owner)} and id = ${which.id}`, null)
    : withEnding(ownedBy(owner), which.except)

/** The tokens that would end if some of a user's were revoked: these and their descendants, by id. */
export async function tokensEndingWith(
  db: Kysely<Schema>,
  owner: TokenOwner,
  which: RevokedTokens,
): Promise<EndedToken[]> {
  const { rows } = await sql<EndedToken>`
    ${withEndingOf(owner, which)}
    select id, name from personal_access_tokens where id in (select id from ending) order by id`.execute(db)
  return rows
}

/** Deletes what a CTE `ending` names, and returns it by id. */
async function deleteEnding(db: Kysely<Schema>, ending: RawBuilder<unknown>): Promise<EndedToken[]> {
  const { rows } = await sql<EndedToken>`
    ${ending}
    delete from personal_access_tokens where id in (select id from ending) returning id, name`.execute(db)
  return rows.toSorted((one, other) => one.id - other.id)
}

/**
 * Revokes one of a user's tokens, or all but one, with their descendants, and returns those that ended. The one that is
 * kept no longer has an issuer, but a report of one that it descended from still ends it.
 */
export function deleteOwnTokens(
  db: Kysely<Schema>,
  owner: TokenOwner,
  which: RevokedTokens,
): Promise<EndedToken[]> {
  return underUserLock(db, owner.userId, async transaction => {
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

/** A user's tokens, oldest first, without their digests; or one of them alone. */
export function listTokens(db: Kysely<Schema>, { userId, types }: TokenOwner, id: number | null = null) {
  return db
    .selectFrom('personal_access_tokens')
    .select([
      'id',
      'name',
      'abilities',
      'allowed_ips',
      'last_used_at',
      'last_used_ip',
      'last_used_agent',
      'expires_at',
      'created_at',
    ])
    .where('tokenable_id', '=', userId)
    .where('tokenable_type', 'in', types)
    .$if(id !== null, query => query.where('id', '=', id))
    .orderBy('id')
    .execute()
}

/** Whose a token is; null when there is no such token of a user's. */
export async function findToken(
  db: Kysely<Schema>,
  id: number,
  types: readonly string[],
): Promise<{ id: number; userId: number } | null> {
  const row = await db
    .selectFrom('personal_access_tokens')
    .select(['id', 'tokenable_id'])
    .where('id', '=', id)
    .where('tokenable_type', 'in', types)
    .executeTakeFirst()
  return row === undefined ? null : { id: row.id, userId: row.tokenable_id }
}

/** Revokes a token of whatever owner with its descendants, and returns those that ended. */
export async function deleteToken(db: Kysely<Schema>, id: string): Promise<EndedToken[]> {
  const isMeant = sql<boolean>`id = ${id}::bigint`
  const token = await db
    .selectFrom('personal_access_tokens')
    .select('tokenable_id')
    .where(isMeant)
    .executeTakeFirst()
  if (token === undefined) return []
  return underUserLock(db, token.tokenable_id, transaction =>
    deleteEnding(transaction, withEnding(isMeant, null)),
  )
}

/** A token that a report of a secret ends. */
export interface ReportedToken {
  id: number
  ownerId: number
  /** Whether the owner is a user. */
  isUsers: boolean
}

/** The token with a digest, or else the one that a report of it ends; null when there is neither. */
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

/** Revokes what a report of a secret ends of its owner's tokens, with their descendants, and returns those that ended. */
export const deleteReportedTokens = (
  db: Kysely<Schema>,
  ownerId: number,
  digest: TokenDigest,
): Promise<EndedToken[]> =>
  underUserLock(db, ownerId, transaction => {
    const isMeant = sql<boolean>`tokenable_id = ${ownerId}::bigint and ${reportedBy(digest)}`
    return deleteEnding(transaction, withEnding(isMeant, null))
  })

/**
 * Deletes the tokens that ended before a moment. Their children live on, under the nearest ancestor that remains.
 *
 * @param ended tokens whose own expiry lies before it are deleted; milliseconds since the epoch
 * @param created tokens created before it are deleted too; null when tokens live on without limit
 */
export async function pruneTokens(db: Kysely<Schema>, ended: number, created: number | null): Promise<void> {
  const prune = async (column: 'expires_at' | 'created_at', moment: number) => {
    const isOver = sql<boolean>`${sql.ref(column)} < ${millisToTimestamp(moment)}::timestamp`
    while ((await pruneBatch(db, isOver)) > 0);
  }
  await prune('expires_at', ended)
  if (created !== null) await prune('created_at', created)
  await deleteInBatches(
    db,
    'token_successors',
    sql`not exists (select from personal_access_tokens t where t.id = token_id)`,
  )
}

/** How many users are locked, and how many tokens are deleted, in one transaction of a pruning. */
const PRUNED_AT_ONCE = { users: 500, tokens: 5_000 }

/**
 * Deletes some of the tokens that meet a condition, and returns how many. Users and tokens that are locked are left for
 * the next time: it never waits for a lock while it holds others. Issuing and rotating hold the user's lock, so that
 * no token can get an issuer that is being deleted.
 */
function pruneBatch(db: Kysely<Schema>, isOver: RawBuilder<boolean>): Promise<number> {
  return db.transaction().execute(async transaction => {
    const { rows: users } = await sql<{ id: number }>`
      select id from users where id in (select tokenable_id from personal_access_tokens where ${isOver})
      limit ${PRUNED_AT_ONCE.users} for no key update skip locked`.execute(transaction)
    const { rows: pruned } = await sql<Lineage>`
      with pruned as (
        select id from personal_access_tokens as token
        where ${isOver} and (
          tokenable_id = any(${users.map(({ id }) => id)}::bigint[])
          or not exists (select from users where users.id = token.tokenable_id)
        )
        limit ${PRUNED_AT_ONCE.tokens} for update of token skip locked
      )
      delete from personal_access_tokens where id in (select id from pruned)
      returning id, ${ISSUERS} as issuers`.execute(transaction)
    if (pruned.length > 0) await passChildrenUp(transaction, pruned)
    return pruned.length
  })
}

/**
 * Writes when and from where tokens were last used, in one statement that turns no date back, but for one that lies in
 * the future. A row that somebody holds is left out, so that this waits for nobody and no deadlock can include it: the
 * request that holds it notes its own use when it ends.
 *
 * @param now milliseconds since the epoch
 */
export async function writeLastUsed(
  db: Kysely<Schema>,
  uses: readonly (readonly [id: number, use: Activity])[],
  now: number,
): Promise<void> {
  const ids = uses.map(([id]) => id)
  const moments = uses.map(([, { at }]) => millisToSeconds(at))
  const programs = uses.map(([, use]) => browserColumns(use))
  await sql`
    with used as (
      select * from unnest(
        ${ids}::bigint[], ${moments}::timestamp[],
        ${programs.map(({ ip_address }) => ip_address)}::text[],
        ${programs.map(({ user_agent }) => user_agent)}::text[]
      ) as used (id, at, ip_address, user_agent)
    ),
    locked as (
      select id from personal_access_tokens where id = any(${ids}::bigint[]) for update skip locked
    )
    update personal_access_tokens as t
    set last_used_at = used.at, last_used_ip = used.ip_address, last_used_agent = used.user_agent
    from used join locked using (id)
    where t.id = used.id and (
      t.last_used_at is null or t.last_used_at <= used.at
      or t.last_used_at > ${millisToSeconds(latestUse(now))}::timestamp
    )`.execute(db)
}
