import type { Kysely } from 'kysely'
import { parseAllowedIps } from '#src/auth/address-list.ts'
import { millisToSeconds, millisToTimestamp, timestampToMillis } from '#src/auth/time.ts'
import type { TokenDigest } from '#src/auth/token.ts'
import type { EpochMillis } from '#src/runtime/units.ts'
import type { Schema } from './schema.ts'
import { ISSUERS, issuerColumns, passChildrenTo, successorIssuers } from './token-lineage.ts'
import { ownedBy, type TokenOwner, withUserLock } from './token-owner.ts'
import { rememberSuccessor } from './token-successors.ts'

/** A token to store. */
export interface NewToken {
  userId: number
  userType: string
  name: string
  digest: TokenDigest
  abilities: readonly string[]
  /** Allowed addresses and ranges; all by default. */
  allowedIps?: readonly string[] | null
  expiresAt: EpochMillis | null
  /** The ids of its issuers, the direct one first; none by default. */
  issuers?: readonly number[]
  now: EpochMillis
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

/** Why no token was issued: the user has too many, or no token with the id to replace. */
export type NotIssued = 'too many' | 'no such token'

/** Returns whether a user has the maximum of tokens. */
async function hasMaxTokens(db: Kysely<Schema>, owner: TokenOwner, max: number | null): Promise<boolean> {
  if (max === null) return false
  const { count } = await db
    .selectFrom('personal_access_tokens')
    .select(({ fn }) => fn.countAll<number>().as('count'))
    .where(ownedBy(owner))
    .executeTakeFirstOrThrow()
  return Number(count) >= max
}

/**
 * Issues a token and returns its id. Locks the user's row, so that the limit is exact.
 *
 * @param issuing.types the `tokenable_type` values of users
 * @param issuing.max how many tokens a user may have; null for no limit
 */
export function issueToken(
  db: Kysely<Schema>,
  token: NewToken,
  { types, max }: { types: readonly string[]; max: number | null },
): Promise<number | 'too many'> {
  return withUserLock(db, token.userId, async transaction =>
    (await hasMaxTokens(transaction, { userId: token.userId, types }, max))
      ? 'too many'
      : insertToken(transaction, token),
  )
}

/** Renames a user's token. Returns whether the token exists. */
export async function renameToken(
  db: Kysely<Schema>,
  owner: TokenOwner,
  id: number,
  { name, now }: { name: string; now: EpochMillis },
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

/** What a successor inherits from a token. */
export interface Predecessor {
  name: string
  abilities: string | null
  allowedIps: readonly string[] | null
  /** Null for no expiry of its own. */
  expiresAt: EpochMillis | null
}

/** How a token is replaced (rotated). */
interface Replacement {
  /** Derives the new token from the old one; may throw to refuse. */
  successor: (old: Predecessor) => Omit<NewToken, 'issuers'>
  /** Until when the old token stays valid; null to revoke it at once. */
  graceUntil: EpochMillis | null
  /** The id of the token that rotates; null for a session and for the command line. */
  rotatedBy: number | null
  /** How many tokens a user may have; null for no limit. */
  max: number | null
}

/**
 * Replaces one of a user's tokens and returns the new id. The old token ends at once, or after the grace period unless
 * it expires earlier; until then both are valid. The successor becomes the issuer of the old token's children, and of
 * the old token during the grace period: what it still issues ends with the successor. A leak report of the old token
 * ends the successor too.
 */
export function replaceToken(
  db: Kysely<Schema>,
  owner: TokenOwner,
  id: number,
  { successor, graceUntil, rotatedBy, max }: Replacement,
): Promise<number | NotIssued> {
  return withUserLock(db, owner.userId, async transaction => {
    if (graceUntil !== null && (await hasMaxTokens(transaction, owner, max))) return 'too many'
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

/** Lists a user's tokens, oldest first, without digests; or one of them. */
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

/** Finds a user's token by id; null when no user has such a token. */
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
