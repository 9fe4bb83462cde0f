import { type Kysely, sql } from 'kysely'
import type { PasswordHash } from '#src/auth/password.ts'
import { SECURITY_LINK_MS, type SecurityLinkDigest } from '#src/auth/security-link.ts'
import { millisToSeconds } from '#src/auth/time.ts'
import { lockUser } from './authority.ts'
import { endBrowsers } from './browsers.ts'
import { storeResetToken } from './password-resets.ts'
import { deleteInBatches } from './prune.ts'
import type { Schema } from './schema.ts'
import { deleteOwnTokens, type EndedToken } from './token-endings.ts'
import { inTransaction } from './transaction.ts'

/**
 * Stores the link of a mail by which a user says that something was not the user's doing.
 *
 * @param link.happenedAt when it was that the mail tells of, in milliseconds since the epoch, as is `now`
 */
export async function storeSecurityLink(
  db: Kysely<Schema>,
  {
    token,
    userId,
    happenedAt,
    now,
  }: { token: SecurityLinkDigest; userId: number; happenedAt: number; now: number },
): Promise<void> {
  await sql`
    insert into security_links (token, user_id, happened_at, expires_at)
    select ${token}, id, ${millisToSeconds(happenedAt)}::timestamp, ${millisToSeconds(now + SECURITY_LINK_MS)}::timestamp
    from users where id = ${userId} and deleted_at is null`.execute(db)
}

/** Whose account a link is about. */
export interface SecurityLink {
  userId: number
  name: string
}

/** The link with a token; null when it counts no more. `now` in milliseconds since the epoch. */
export async function findSecurityLink(
  db: Kysely<Schema>,
  token: SecurityLinkDigest,
  now: number,
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

/** What became of an account that its user secured. */
export interface SecuredAccount {
  userId: number
  name: string
  /** Where a link to a new password is sent; null for an address that was never verified. */
  email: string | null
  tokens: EndedToken[]
}

/**
 * Ends all sessions and remembered devices of a link's user, and tokens if that is wanted, under the user's lock, and
 * stores a reset token for the user's address if that is verified. All links of the user are used up then. Browsers and
 * networks that were seen since what the first of them tells of are forgotten, so that they are new when they come again.
 *
 * @param secure.revokeTokens the class names that mean a user, to revoke tokens; null to leave them alone
 * @param secure.resetToken its hash
 * @param secure.now milliseconds since the epoch
 * @returns null when the link counts no more
 */
export async function secureAccount(
  db: Kysely<Schema>,
  token: SecurityLinkDigest,
  {
    revokeTokens,
    resetToken,
    now,
  }: { revokeTokens: readonly string[] | null; resetToken: PasswordHash; now: number },
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
    // A thief logs in before doing anything else, and the link of the last mail is the likeliest to be opened.
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

/** Deletes the links that count no more; `now` in milliseconds since the epoch. */
export async function pruneSecurityLinks(db: Kysely<Schema>, now: number): Promise<number> {
  return deleteInBatches(db, 'security_links', sql`expires_at <= ${millisToSeconds(now)}::timestamp`)
}
