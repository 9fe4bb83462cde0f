import { type Kysely, sql, type Transaction } from 'kysely'
import type { SessionDigest } from '#src/auth/session.ts'
import { millisToSeconds, millisToTimestamp, timestampToMillis } from '#src/auth/time.ts'
import { endBrowsers } from './browsers.ts'
import type { Schema } from './schema.ts'
import { inTransaction } from './transaction.ts'

/** What is stored of a user's second factor; the secrets are encrypted. */
export interface StoredSecondFactor {
  secret: string | null
  recoveryCodes: string | null
  /** Whether it is asked for. */
  isConfirmed: boolean
  /** When a code confirmed it; a confirmation without a secret is none. */
  confirmedAt: string | null
  /** When the recovery codes were made, in milliseconds since the epoch; null if that is not known. */
  recoveryCodesMadeAt: number | null
  /** The digest of the session that made it; null if that is not known, as of one that Laravel made. */
  session: string | null
}

/** The second factor of a user who is not deleted; null if there is no such user. */
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
 * Stores a new second factor, which has to be confirmed before it is asked for.
 *
 * @param session the session that made it, and that alone can confirm it
 * @param now milliseconds since the epoch
 */
export async function storeSecondFactor(
  transaction: Transaction<Schema>,
  userId: number,
  {
    secret,
    recoveryCodes,
    session,
    now,
  }: { secret: string; recoveryCodes: string; session: SessionDigest; now: number },
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
  await forgetSteps(transaction, userId)
  await noteCodesMade(transaction, userId, { made_at: millisToSeconds(now), session })
}

/**
 * Counts a user's second factor as confirmed from now on, and ends all other sessions and remembered devices of the
 * user: they began without it.
 *
 * @param session the session at hand, which goes on with its device
 * @param now milliseconds since the epoch
 */
export async function confirmSecondFactor(
  transaction: Transaction<Schema>,
  userId: number,
  { session, now }: { session: SessionDigest; now: number },
): Promise<void> {
  await transaction
    .updateTable('users')
    .set({ two_factor_confirmed_at: millisToSeconds(now), updated_at: millisToTimestamp(now) })
    .where('id', '=', userId)
    .execute()
  await endBrowsers(transaction, userId, { except: session })
}

/**
 * Takes a user's second factor away.
 *
 * @param now milliseconds since the epoch
 * @returns whether there was one
 */
export async function removeSecondFactor(db: Kysely<Schema>, userId: number, now: number): Promise<boolean> {
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
    await forgetSteps(transaction, userId)
    await transaction.deleteFrom('recovery_code_times').where('user_id', '=', userId).execute()
    return removed !== undefined
  })
}

const forgetSteps = (transaction: Transaction<Schema>, userId: number) =>
  transaction.deleteFrom('second_factor_steps').where('user_id', '=', userId).execute()

const noteCodesMade = (
  transaction: Transaction<Schema>,
  userId: number,
  made: { made_at: string; session?: SessionDigest },
) =>
  transaction
    .insertInto('recovery_code_times')
    .values({ user_id: userId, ...made })
    .onConflict(conflict => conflict.column('user_id').doUpdateSet(made))
    .execute()

/** Gives a second factor that a session made to the session that takes its place. */
export async function handSecondFactorOn(
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
 * Uses up a time step of a user's: its code and those before it count no more.
 *
 * @returns whether it was still to be used; of several who try at once one succeeds
 */
export async function useStep(
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
 * Stores a user's recovery codes, encrypted.
 *
 * @param madeAt when all of them were made, in milliseconds since the epoch; null when one that was used gives way
 */
export async function storeRecoveryCodes(
  transaction: Transaction<Schema>,
  userId: number,
  codes: string,
  madeAt: number | null,
): Promise<void> {
  await transaction
    .updateTable('users')
    .set({ two_factor_recovery_codes: codes })
    .where('id', '=', userId)
    .execute()
  if (madeAt !== null) await noteCodesMade(transaction, userId, { made_at: millisToSeconds(madeAt) })
}
