import { type Kysely, sql } from 'kysely'
import type { PasswordHash } from '#src/auth/password.ts'
import { HOUR_MS, MINUTE_MS, millisToSeconds, timestampToMillis } from '#src/auth/time.ts'
import type { EpochMillis, Millis } from '#src/runtime/units.ts'
import { deleteInBatches } from './prune.ts'
import type { Schema } from './schema.ts'

/** How long a reset token is valid, and the minimum interval between two mails to an address. */
const RESET_TOKEN_MS: Millis = HOUR_MS
const RESEND_MS: Millis = MINUTE_MS

/**
 * Stores a reset token for an address, replacing an earlier one, unless that was sent within the last minute.
 *
 * @param reset.token the token's bcrypt hash
 * @returns whether it was stored
 */
export async function storeResetTokenIfDue(
  db: Kysely<Schema>,
  { email, token, now }: { email: string; token: PasswordHash; now: EpochMillis },
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

/** Stores a reset token for an address, whenever the last one was sent. */
export async function storeResetToken(
  db: Kysely<Schema>,
  { email, token, now }: { email: string; token: PasswordHash; now: EpochMillis },
): Promise<void> {
  const created_at = millisToSeconds(now)
  await db
    .insertInto('password_reset_tokens')
    .values({ email, token, created_at })
    .onConflict(conflict => conflict.column('email').doUpdateSet({ token, created_at }))
    .execute()
}

/** Returns the hash of an address's valid reset token; null when there is none. */
export async function findResetToken(
  db: Kysely<Schema>,
  email: string,
  now: EpochMillis,
): Promise<PasswordHash | null> {
  const row = await db
    .selectFrom('password_reset_tokens')
    .select(['token', 'created_at'])
    .where('email', '=', email)
    .executeTakeFirst()
  if (row === undefined || row.created_at === null) return null
  return now - timestampToMillis(row.created_at) <= RESET_TOKEN_MS ? (row.token as PasswordHash) : null
}

/** Consumes a reset token, by its hash. Of concurrent calls one succeeds. */
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

/** Deletes expired reset tokens. */
export async function pruneResetTokens(db: Kysely<Schema>, now: EpochMillis): Promise<number> {
  const cutoff = millisToSeconds(now - RESET_TOKEN_MS)
  return deleteInBatches(db, 'password_reset_tokens', sql`created_at < ${cutoff}::timestamp`)
}
