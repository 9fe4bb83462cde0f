import { type Kysely, sql } from 'kysely'
import { millisToSeconds, millisToTimestamp } from '../auth/time.ts'
import type { Schema } from './schema.ts'

/** What is stored of a user's second factor; the secrets are encrypted. */
export interface StoredSecondFactor {
  secret: string | null
  recoveryCodes: string | null
}

/** The second factor of a user who is not deleted; null if there is no such user. */
export async function findSecondFactor(
  db: Kysely<Schema>,
  userId: number,
): Promise<StoredSecondFactor | null> {
  const row = await db
    .selectFrom('users')
    .select(['two_factor_secret', 'two_factor_recovery_codes'])
    .where('id', '=', userId)
    .where('deleted_at', 'is', null)
    .executeTakeFirst()
  if (row === undefined) return null
  return { secret: row.two_factor_secret, recoveryCodes: row.two_factor_recovery_codes }
}

/**
 * Stores a new second factor, which has to be confirmed before anybody is asked for it.
 *
 * @param factor.isForced whether it takes the place of one that is there
 * @param factor.now milliseconds since the epoch
 * @returns whether it is stored
 */
export async function storeSecondFactor(
  db: Kysely<Schema>,
  userId: number,
  factor: { secret: string; recoveryCodes: string; isForced: boolean; now: number },
): Promise<boolean> {
  const { rows } = await sql`
    with stored as (
      update users set
        two_factor_secret = ${factor.secret}, two_factor_recovery_codes = ${factor.recoveryCodes},
        two_factor_confirmed_at = null, updated_at = ${millisToTimestamp(factor.now)}::timestamp
      where id = ${userId} and (two_factor_secret is null or ${factor.isForced})
      returning id
    ), steps as (
      delete from second_factor_steps where user_id = (select id from stored)
    )
    select id from stored`.execute(db)
  return rows.length > 0
}

/**
 * Counts a user's second factor as confirmed from now on. Devices that were remembered without it are forgotten, but
 * for the one at hand.
 *
 * @param secret the encrypted secret whose code was right
 * @param now milliseconds since the epoch
 * @returns whether that is still the user's secret
 */
export async function confirmSecondFactor(
  db: Kysely<Schema>,
  userId: number,
  { secret, device, now }: { secret: string; device: string | null; now: number },
): Promise<boolean> {
  const { rows } = await sql`
    with confirmed as (
      update users set
        two_factor_confirmed_at = ${millisToSeconds(now)}::timestamp,
        updated_at = ${millisToTimestamp(now)}::timestamp
      where id = ${userId} and two_factor_secret = ${secret}
      returning id
    ), forgotten as (
      delete from remembered_devices
      where user_id = (select id from confirmed) and selector is distinct from ${device}
    )
    select id from confirmed`.execute(db)
  return rows.length > 0
}

/**
 * Takes a user's second factor away.
 *
 * @param now milliseconds since the epoch
 * @returns whether there was one
 */
export async function removeSecondFactor(db: Kysely<Schema>, userId: number, now: number): Promise<boolean> {
  const { rows } = await sql`
    with removed as (
      update users set
        two_factor_secret = null, two_factor_recovery_codes = null, two_factor_confirmed_at = null,
        updated_at = ${millisToTimestamp(now)}::timestamp
      where id = ${userId}
        and coalesce(two_factor_secret, two_factor_recovery_codes, two_factor_confirmed_at::text) is not null
      returning id
    ), steps as (
      delete from second_factor_steps where user_id = (select id from removed)
    )
    select id from removed`.execute(db)
  return rows.length > 0
}

/**
 * Uses up a time step of a user's: its code and those before it count no more.
 *
 * @returns whether it was still to be used; of several who try at once one succeeds
 */
export async function useStep(db: Kysely<Schema>, userId: number, step: number): Promise<boolean> {
  const used = await db
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
 * Stores a user's recovery codes, unless they are others by now.
 *
 * @param codes encrypted, before and after
 * @returns whether they are stored; of several who try at once one succeeds
 */
export async function replaceRecoveryCodes(
  db: Kysely<Schema>,
  userId: number,
  { from, to }: { from: string | null; to: string },
): Promise<boolean> {
  const replaced = await db
    .updateTable('users')
    .set({ two_factor_recovery_codes: to })
    .where('id', '=', userId)
    .where('two_factor_recovery_codes', 'is not distinct from', from)
    .returning('id')
    .executeTakeFirst()
  return replaced !== undefined
}
