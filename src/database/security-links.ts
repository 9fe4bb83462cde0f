import { type Kysely, sql } from 'kysely'
import type { PasswordHash } from '#src/auth/password.ts'
import { SECURITY_LINK_MS, type SecurityLinkDigest } from '#src/auth/security-link.ts'
import { millisToSeconds } from '#src/auth/time.ts'
import type { EpochMillis } from '#src/runtime/units.ts'
import { lockUser } from './authority.ts'
import { endBrowsers } from './browsers.ts'
import { storeResetToken } from './password-resets.ts'
import { deleteInBatches } from './prune.ts'
import type { Schema } from './schema.ts'
import { deleteOwnTokens, type EndedToken } from './token-endings.ts'
import { inTransaction } from './transaction.ts'

/**
 * Stores the link of a security mail, by which a user reports an event that was not the user's own.
 *
 * @param link.happenedAt when the event happened
 */
export async function storeSecurityLink(
  db: Kysely<Schema>,
  {
    token,
    userId,
    happenedAt,
    now,
  }: { token: SecurityLinkDigest; userId: number; happenedAt: EpochMillis; now: EpochMillis },
): Promise<void> {
  await sql`
    insert into security_links (token, user_id, happened_at, expires_at)
    select ${token}, id, ${millisToSeconds(happenedAt)}::timestamp, ${millisToSeconds(now + SECURITY_LINK_MS)}::timestamp
    from users where id = ${userId} and deleted_at is null`.execute(db)
}

/** The account of a security link. */
export interface SecurityLink {
  userId: number
  name: string
}

/** Finds a link by its token; returns null when it is invalid. */
export async function findSecurityLink(
  db: Kysely<Schema>,
  token: SecurityLinkDigest,
  now: EpochMillis,
): Promise<SecurityLink | null> {
  const row = await db
    .selectFrom('security_links')
    .innerJoin('users', 'users.id', 'security_links.user_id')
    .select(['users.id', 'users.name'])
    .where('security_links.token', '=', token)
    .where('security_links.expires_at', '>', millisToSeconds(now))
    .where('users.deleted_at', 'is', null)
    .executeTakeFirst()
  return row === undefined ? null : { userId: row.id, name: row.name }
}

/** A secured account. */
export interface SecuredAccount {
  userId: number
  name: string
  /** Where to send a reset link; null for an unverified address. */
  email: string | null
  tokens: EndedToken[]
}

/**
 * Secures the account of a link, under the user's lock: ends all sessions and remembered devices, and optionally
 * tokens; stores a reset token if the address is verified; deletes all of the user's security links. Browsers and
 * networks first seen since the earliest reported event are forgotten, so that their next login is reported as new.
 *
 * @param secure.revokeTokens the `tokenable_type` values of users, to revoke tokens; null to keep them
 * @param secure.resetToken the hash of the reset token
 * @returns null when the link is invalid
 */
export async function secureAccount(
  db: Kysely<Schema>,
  token: SecurityLinkDigest,
  {
    revokeTokens,
    resetToken,
    now,
  }: { revokeTokens: readonly string[] | null; resetToken: PasswordHash; now: EpochMillis },
): Promise<SecuredAccount | null> {
  const found = await findSecurityLink(db, token, now)
  if (found === null) return null
  return inTransaction(db, async transaction => {
    const { userId } = found
    if (!(await lockUser(transaction, userId))) return null
    const { rows: links } = await sql<{ token: string; happened_at: string }>`
      delete from security_links where user_id = ${userId} returning token, happened_at::text`.execute(
      transaction,
    )
    const used = links.find(link => link.token === token)
    if (used === undefined) return null
    // An attacker logs in first, and the user most likely opens the link of the last mail.
    const [earliest = used.happened_at] = links.map(link => link.happened_at).sort()
    await endBrowsers(transaction, userId, { except: null })
    const tokens =
      revokeTokens === null
        ? []
        : await deleteOwnTokens(transaction, { userId, types: revokeTokens }, { except: null })
    await transaction
      .deleteFrom('known_logins')
      .where('user_id', '=', userId)
      .where('first_seen_at', '>=', earliest)
      .execute()
    const user = await transaction
      .selectFrom('users')
      .select(['name', 'email', 'email_verified_at'])
      .where('id', '=', userId)
      .executeTakeFirstOrThrow()
    const email = user.email_verified_at === null ? null : user.email
    if (email !== null) await storeResetToken(transaction, { email, token: resetToken, now })
    return { userId, name: user.name, email, tokens }
  })
}

/** Deletes expired links. */
export async function pruneSecurityLinks(db: Kysely<Schema>, now: EpochMillis): Promise<number> {
  return deleteInBatches(db, 'security_links', sql`expires_at <= ${millisToSeconds(now)}::timestamp`)
}
