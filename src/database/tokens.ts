import type { Kysely } from 'kysely'
import { parseAllowedIps } from '#src/auth/address-list.ts'
import { millisToSeconds, millisToTimestamp, timestampToMillis } from '#src/auth/time.ts'
import type { TokenDigest } from '#src/auth/token.ts'
import type { Schema } from './schema.ts'
import { ISSUERS, issuerColumns, passChildrenTo, successorIssuers } from './token-lineage.ts'
import { ownedBy, type TokenOwner, underUserLock } from './token-owner.ts'
import { rememberSuccessor } from './token-successors.ts'

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

/** Why no token was issued: the user has too many, or none with that id to replace. */
export type NotIssued = 'too many' | 'no such token'

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
