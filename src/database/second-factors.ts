import { type Kysely, sql, type Transaction } from 'kysely'
import type { SessionDigest } from '#src/auth/session.ts'
import { millisToSeconds, millisToTimestamp, timestampToMillis } from '#src/auth/time.ts'
import type { EpochMillis } from '#src/runtime/units.ts'
import { endBrowsers } from './browsers.ts'
import type { Schema } from './schema.ts'
import { inTransaction } from './transaction.ts'

/** A user's stored second factor; the secrets are encrypted. */
export interface StoredSecondFactor {
  secret: string | null
  recoveryCodes: string | null
  /** Whether logins require it. */
  isConfirmed: boolean
  /** When it was confirmed by a code; a confirmation without a secret is ignored. */
  confirmedAt: string | null
  /** When the recovery codes were generated; null if unknown. */
  recoveryCodesMadeAt: EpochMillis | null
  /** The digest of the session that set it up; null if unknown, as for one set up in Laravel. */
  session: string | null
}

/** Returns the second factor of a user; null if the user does not exist or is deleted. */
export async function findSecondFactor(
  db: Kysely<Schema>,
  userId: number,
): Promise<StoredSecondFactor | null> {
  const row = await db
    .selectFrom('users')
    .leftJoin('recovery_code_times', 'recovery_code_times.user_id', 'users.id')
    .select([
      'two_factor_secret',
      'two_factor_recovery_codes',
      'two_factor_confirmed_at',
      'made_at',
      'session',
    ])
    .where('id', '=', userId)
    .where('deleted_at', 'is', null)
    .executeTakeFirst()
  if (row === undefined) return null
  return {
    secret: row.two_factor_secret,
    recoveryCodes: row.two_factor_recovery_codes,
    isConfirmed: row.two_factor_secret !== null && row.two_factor_confirmed_at !== null,
    confirmedAt: row.two_factor_confirmed_at,
    recoveryCodesMadeAt: row.made_at === null ? null : timestampToMillis(row.made_at),
    session: row.session,
  }
}

/**
 * Stores a new, unconfirmed second factor.
 *
 * @param session the session that set it up, the only one that can confirm it
 */
export async function storeSecondFactor(
  transaction: Transaction<Schema>,
  userId: number,
  {
    secret,
    recoveryCodes,
    session,
    now,
  }: { secret: string; recoveryCodes: string; session: SessionDigest; now: EpochMillis },
): Promise<void> {
  await transaction
    .updateTable('users')
    .set({
      two_factor_secret: secret,
      two_factor_recovery_codes: recoveryCodes,
      two_factor_confirmed_at: null,
      updated_at: millisToTimestamp(now),
    })
    .where('id', '=', userId)
    .execute()
  await deleteSteps(transaction, userId)
  await storeCodesMadeAt(transaction, userId, { made_at: millisToSeconds(now), session })
}

/**
 * Confirms a user's second factor, and ends all other sessions and remembered devices: they began without it.
 *
 * @param session the session to keep, with its device
 */
export async function confirmSecondFactor(
  transaction: Transaction<Schema>,
  userId: number,
  { session, now }: { session: SessionDigest; now: EpochMillis },
): Promise<void> {
  await transaction
    .updateTable('users')
    .set({ two_factor_confirmed_at: millisToSeconds(now), updated_at: millisToTimestamp(now) })
    .where('id', '=', userId)
    .execute()
  await endBrowsers(transaction, userId, { except: session })
}

/**
 * Removes a user's second factor.
 *
 * @returns whether there was one
 */
export async function removeSecondFactor(
  db: Kysely<Schema>,
  userId: number,
  now: EpochMillis,
): Promise<boolean> {
  return inTransaction(db, async transaction => {
    const removed = await transaction
      .updateTable('users')
      .set({
        two_factor_secret: null,
        two_factor_recovery_codes: null,
        two_factor_confirmed_at: null,
        updated_at: millisToTimestamp(now),
      })
      .where('id', '=', userId)
      .where(
        sql<boolean>`coalesce(two_factor_secret, two_factor_recovery_codes, two_factor_confirmed_at::text) is not null`,
      )
      .returning('id')
      .executeTakeFirst()
    await deleteSteps(transaction, userId)
    await transaction.deleteFrom('recovery_code_times').where('user_id', '=', userId).execute()
    return removed !== undefined
  })
}

const deleteSteps = (transaction: Transaction<Schema>, userId: number) =>
  transaction.deleteFrom('second_factor_steps').where('user_id', '=', userId).execute()

const storeCodesMadeAt = (
  transaction: Transaction<Schema>,
  userId: number,
  made: { made_at: string; session?: SessionDigest },
) =>
  transaction
    .insertInto('recovery_code_times')
    .values({ user_id: userId, ...made })
    .onConflict(conflict => conflict.column('user_id').doUpdateSet(made))
    .execute()

/** Transfers an unconfirmed second factor to the session that replaces the one that set it up. */
export async function transferSecondFactor(
  transaction: Transaction<Schema>,
  userId: number,
  { from, to }: { from: SessionDigest; to: SessionDigest },
): Promise<void> {
  await transaction
    .updateTable('recovery_code_times')
    .set({ session: to })
    .where('user_id', '=', userId)
    .where('session', '=', from)
    .execute()
}

/**
 * Consumes a TOTP time step: its code and earlier ones become invalid for the user.
 *
 * @returns whether the step was unused; of concurrent calls one succeeds
 */
export async function consumeStep(
  transaction: Transaction<Schema>,
  userId: number,
  step: number,
): Promise<boolean> {
  const used = await transaction
    .insertInto('second_factor_steps')
    .values({ user_id: userId, step })
    .onConflict(conflict =>
      conflict.column('user_id').doUpdateSet({ step }).where('second_factor_steps.step', '<', step),
    )
    .returning('step')
    .executeTakeFirst()
  return used !== undefined
}

/**
 * Stores a user's encrypted recovery codes.
 *
 * @param madeAt when all of them were generated; null when one used code was removed
 */
export async function storeRecoveryCodes(
  transaction: Transaction<Schema>,
  userId: number,
  codes: string,
  madeAt: EpochMillis | null,
): Promise<void> {
  await transaction
    .updateTable('users')
    .set({ two_factor_recovery_codes: codes })
    .where('id', '=', userId)
    .execute()
  if (madeAt !== null) await storeCodesMadeAt(transaction, userId, { made_at: millisToSeconds(madeAt) })
}
