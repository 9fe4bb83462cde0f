import { type Kysely, sql, type Transaction } from 'kysely'
import { parseAllowedIps } from '../auth/address-list.ts'
import type { SessionDigest } from '../auth/session.ts'
import { millisToSeconds, millisToTimestamp, timestampToMillis } from '../auth/time.ts'
import type { TokenDigest } from '../auth/token.ts'
import { deleteInBatches } from './prune.ts'
import type { Schema } from './schema.ts'
import { type Activity, browserColumns } from './sessions.ts'
import { withinTransaction } from './transaction.ts'
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

/** What a request was allowed by: it must still be there when the request comes to something. */
export type Authority = { tokenId: number } | { session: SessionDigest }

/** Why no token was issued: its authority is gone, there are too many, or there is none to replace. */
export type NotIssued = 'no authority' | 'too many' | 'no such token'

/** On what conditions a token is issued. */
interface Issuing {
  /** Null for the command line. */
  authority: Authority | null
  /** How many tokens a user may have; null for any number. */
  most: number | null
}

/** Why a token may not be issued; null when it may. */
async function refusal(
  transaction: Transaction<Schema>,
  owner: TokenOwner,
  { authority, most }: Issuing,
): Promise<NotIssued | null> {
  if (authority !== null) {
    // Whoever ends it meanwhile waits until the token is there to be revoked as well.
    const rows =
      'session' in authority
        ? await transaction
            .selectFrom('sessions')
            .select('id')
            .where('id', '=', authority.session)
            .where('user_id', '=', owner.userId)
            .forShare()
            .execute()
        : await transaction
            .selectFrom('personal_access_tokens')
            .select('id')
            .where('id', '=', authority.tokenId)
            .forShare()
            .execute()
    if (rows.length === 0) return 'no authority'
  }
  if (most === null) return null
  const { count } = await transaction
    .selectFrom('personal_access_tokens')
    .select(({ fn }) => fn.countAll<number>().as('count'))
    .where(ownedBy(owner))
    .executeTakeFirstOrThrow()
  return Number(count) >= most ? 'too many' : null
}

/**
 * Issues a token, and returns its id. Whoever asks at the same time, and whoever revokes, waits: so nobody gets more
 * than there may be, and nothing that was revoked gives birth to anything.
 *
 * @param types the class names that mean a user
 */
export async function issueToken(
  db: Kysely<Schema>,
  token: NewToken,
  types: readonly string[],
  issuing: Issuing,
): Promise<number | NotIssued> {
  return db.transaction().execute(async transaction => {
    await lockUser(transaction, token.userId)
    const reason = await refusal(transaction, { userId: token.userId, types }, issuing)
    return reason ?? insertToken(transaction, token)
  })
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

/**
 * Puts another token in the place of one of a user's, and returns its id. The old one ends at once, or after a while
 * unless it does so by itself before; until then both count.
 *
 * @param replacing.successor makes the new token of the old one, and may refuse by throwing
 * @param replacing.graceUntil until when the old one still counts, in milliseconds since the epoch; null for not at all
 */
export async function replaceToken(
  db: Kysely<Schema>,
  owner: TokenOwner,
  id: number,
  {
    successor,
    graceUntil,
    ...issuing
  }: { successor: (old: Predecessor) => NewToken; graceUntil: number | null } & Issuing,
): Promise<number | NotIssued> {
  return db.transaction().execute(async transaction => {
    await lockUser(transaction, owner.userId)
    const most = graceUntil === null ? null : issuing.most
    const reason = await refusal(transaction, owner, { authority: issuing.authority, most })
    if (reason !== null) return reason
    const row = await transaction
      .selectFrom('personal_access_tokens')
      .select(['name', 'abilities', 'allowed_ips', 'expires_at'])
      .where('id', '=', id)
      .where(ownedBy(owner))
      .forUpdate()
      .executeTakeFirst()
    if (row === undefined) return 'no such token'
    const { name, abilities, allowed_ips, expires_at } = row
    const end = expires_at === null ? Number.POSITIVE_INFINITY : timestampToMillis(expires_at)
    const newId = await insertToken(
      transaction,
      successor({
        name,
        abilities,
        allowedIps: parseAllowedIps(allowed_ips),
        expiresAt: end === Number.POSITIVE_INFINITY ? null : end,
      }),
    )
    if (graceUntil === null) {
      await transaction.deleteFrom('personal_access_tokens').where('id', '=', id).execute()
    } else if (end > graceUntil) {
      await transaction
        .updateTable('personal_access_tokens')
        .set({ expires_at: millisToSeconds(graceUntil) })
        .where('id', '=', id)
        .execute()
    }
    return newId
  })
}

/** Deletes one of a user's tokens, or all but one, and returns how many there were. */
export async function deleteOwnTokens(
  db: Kysely<Schema>,
  owner: TokenOwner,
  which: { id: number } | { except: number | null },
): Promise<number> {
  return withinTransaction(db, async transaction => {
    await lockUser(transaction, owner.userId)
    const { numDeletedRows } = await transaction
      .deleteFrom('personal_access_tokens')
      .where(ownedBy(owner))
      .where(
        'id' in which
          ? sql<boolean>`id = ${which.id}`
          : sql<boolean>`id is distinct from ${which.except}::bigint`,
      )
      .executeTakeFirstOrThrow()
    return Number(numDeletedRows)
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

/** Deletes a token, whosever it is, and returns how many there were. */
export async function deleteToken(db: Kysely<Schema>, id: string): Promise<number> {
  const { numDeletedRows } = await db
    .deleteFrom('personal_access_tokens')
    .where('id', '=', sql<number>`${id}::bigint`)
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
 * Writes when and from where tokens were last used, in one statement that never turns a date back. A row that somebody
 * holds is left out, so that this waits for nobody and no deadlock can include it: the request that holds it notes its
 * own use when it ends.
 */
export async function writeLastUsed(
  db: Kysely<Schema>,
  uses: readonly (readonly [id: number, use: Activity])[],
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
    set last_used_at = greatest(t.last_used_at, used.at),
      last_used_ip = case when used.at < t.last_used_at then t.last_used_ip else used.ip_address end,
      last_used_agent = case when used.at < t.last_used_at then t.last_used_agent else used.user_agent end
    from used join locked using (id)
    where t.id = used.id`.execute(db)
}
