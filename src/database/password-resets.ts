import { type Kysely, sql } from 'kysely'
import type { PasswordHash } from '#src/auth/password.ts'
import { HOUR_MS, MINUTE_MS, millisToSeconds, timestampToMillis } from '#src/auth/time.ts'
import { deleteInBatches } from './prune.ts'
import type { Schema } from './schema.ts'

/** Milliseconds for which a reset token counts, and until another one is sent to the same address. */
const RESET_TOKEN_MS = HOUR_MS
const RESEND_MS = MINUTE_MS

/**
 * Keeps a reset token for an address in the place of the one before.
 *
 * @param reset.token the token's bcrypt hash
 * @param reset.now milliseconds since the epoch
 * @returns whether it is kept: not within a minute of the one before
 */
export async function keepResetToken(
  db: Kysely<Schema>,
  { email, token, now }: { email: string; token: PasswordHash; now: number },
): Promise<boolean> {
  const created_at = millisToSeconds(now)
  const kept = await db
    .insertInto('password_reset_tokens')
    .values({ email, token, created_at })
    .onConflict(conflict =>
      conflict
        .column('email')
        .doUpdateSet({ token, created_at })
        .where(
          sql<boolean>`coalesce(password_reset_tokens.created_at <= ${millisToSeconds(now - RESEND_MS)}::timestamp, true)`,
        ),
    )
    .returning('email')
    .executeTakeFirst()
  return kept !== undefined
}

/** Stores a reset token for an address, however lately another one was sent; `now` in milliseconds since the epoch. */
export async function storeResetToken(
  db: Kysely<Schema>,
  { email, token, now }: { email: string; token: PasswordHash; now: number },
): Promise<void> {
  const created_at = millisToSeconds(now)
  await db
    .insertInto('password_reset_tokens')
    .values({ email, token, created_at })
    .onConflict(conflict => conflict.column('email').doUpdateSet({ token, created_at }))
    .execute()
}

/** The hash of an address's reset token; null when there is none that still counts. */
export async function findResetToken(
  db: Kysely<Schema>,
  email: string,
  now: number,
): Promise<PasswordHash | null> {
  const row = await db
    .selectFrom('password_reset_tokens')
    .select(['token', 'created_at'])
    .where('email', '=', email)
    .executeTakeFirst()
  if (row === undefined || row.created_at === null) return null
  return now - timestampToMillis(row.created_at) <= RESET_TOKEN_MS ? (row.token as PasswordHash) : null
}

/** Takes a reset token away, by its hash. Of several who try at once one succeeds. */
export async function takeResetToken(
  db: Kysely<Schema>,
  email: string,
  token: PasswordHash,
): Promise<boolean> {
  const taken = await db
    .deleteFrom('password_reset_tokens')
    .where('email', '=', email)
    .where('token', '=', token)
    .returning('email')
    .executeTakeFirst()
  return taken !== undefined
}

/** Deletes the reset tokens that count no longer; `now` in milliseconds since the epoch. */
export async function pruneResetTokens(db: Kysely<Schema>, now: number): Promise<number> {
  const ended = millisToSeconds(now - RESET_TOKEN_MS)
  return deleteInBatches(db, 'password_reset_tokens', sql`created_at < ${ended}::timestamp`)
}
