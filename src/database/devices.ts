import { type Kysely, sql } from 'kysely'
import {
  DEVICE_LIFETIME_MS,
  type DeviceFailure,
  type DeviceToken,
  judgeDevice,
  type StoredDevice,
  type ValidatorDigest,
} from '../auth/device.ts'
import type { PasswordStamp, SessionDigest } from '../auth/session.ts'
import { millisToSeconds, millisToTimestamp, timestampToMillis } from '../auth/time.ts'
import { PASSWORD_STAMP } from './identities.ts'
import { deleteInBatches } from './prune.ts'
import type { Schema } from './schema.ts'
import { type Browser, browserColumns } from './sessions.ts'

/**
 * Remembers the browser in which a user has logged in.
 *
 * @param device.now milliseconds since the epoch
 */
export async function rememberDevice(
  db: Kysely<Schema>,
  {
    token,
    userId,
    password,
    browser,
    now,
  }: { token: DeviceToken; userId: number; password: PasswordStamp; browser: Browser; now: number },
): Promise<void> {
  await db
    .insertInto('remembered_devices')
    .values({
      selector: token.selector,
      user_id: userId,
      validator: token.digest(),
      previous_validator: null,
      rotated_at: millisToTimestamp(now),
      is_delivered: false,
      password,
      ...browserColumns(browser),
      created_at: millisToSeconds(now),
      last_used_at: millisToSeconds(now),
      expires_at: millisToSeconds(now + DEVICE_LIFETIME_MS),
    })
    .execute()
}

/** Whom a device logs in, and what becomes of its cookie. */
export interface RecognizedDevice {
  isRight: true
  userId: number
  password: PasswordStamp
  /** Whether the new token counts from now on; otherwise another request has brought one along a moment ago. */
  isRotated: boolean
  /** Milliseconds since the epoch. */
  expiresAt: number
}

/**
 * Recognises a device by its token, and gives it the next one. Requests that come at the same time wait here for each
 * other. One that was stolen, or is worth nothing, is forgotten, and the sessions that began with it end.
 *
 * @param use.next the token that is to count from now on
 * @param use.now milliseconds since the epoch
 * @returns whose it is, or why it opens nothing; then with whose it was, as far as that is known
 */
export async function recognizeDevice(
  db: Kysely<Schema>,
  token: DeviceToken,
  { next, browser, now }: { next: DeviceToken; browser: Browser; now: number },
): Promise<RecognizedDevice | { isRight: false; failure: DeviceFailure; userId: number | null }> {
  return db.transaction().execute(async transaction => {
    const stored = await findDevice(transaction, token.selector)
    const verdict = judgeDevice(token, stored, now)
    if (stored === null || (verdict !== 'current' && verdict !== 'parallel' && verdict !== 'undelivered')) {
      if (stored !== null) {
        await transaction.deleteFrom('remembered_devices').where('selector', '=', token.selector).execute()
        await endSessions(transaction, token.selector, stored.userId)
      }
      return { isRight: false, failure: verdict as DeviceFailure, userId: stored?.userId ?? null }
    }
    const isRotated = verdict !== 'parallel'
    if (isRotated) {
      await transaction
        .updateTable('remembered_devices')
        .set({
          validator: next.digest(),
          previous_validator: token.digest(),
          rotated_at: millisToTimestamp(now),
          is_delivered: false,
          last_used_at: millisToSeconds(now),
          ...browserColumns(browser),
        })
        .where('selector', '=', token.selector)
        .execute()
    }
    // If the answer with the other token went to somebody else, so did its session.
    if (verdict === 'undelivered') await endSessions(transaction, token.selector, stored.userId)
    const { userId, password, expiresAt } = stored
    return { isRight: true, userId, password, isRotated, expiresAt }
  })
}

/** Stores that a browser has shown the token that it was given: whoever comes with the one before has stolen it. */
export async function acknowledgeDevice(
  db: Kysely<Schema>,
  token: DeviceToken,
  session: SessionDigest,
): Promise<void> {
  await sql`
    with delivered as (
      update remembered_devices set is_delivered = true
      where selector = ${token.selector} and validator = ${token.digest()} returning selector
    )
    update sessions set payload = (payload::jsonb - 'device_unseen')::text
    where id = ${session} and exists (select from delivered)`.execute(db)
}

async function findDevice(db: Kysely<Schema>, selector: string): Promise<StoredDevice | null> {
  // By a statement of its own: who had to wait would see the row of now beside the user of before.
  await db
    .selectFrom('remembered_devices')
    .select('selector')
    .where('selector', '=', selector)
    .forUpdate()
    .execute()
  const { rows } = await sql<{
    user_id: number
    validator: ValidatorDigest
    previous_validator: ValidatorDigest | null
    rotated_at: string
    is_delivered: boolean
    expires_at: string
    password: PasswordStamp
    owner_password: PasswordStamp | null
  }>`
    select d.user_id, d.validator, d.previous_validator, d.rotated_at, d.is_delivered, d.expires_at, d.password,
      ${sql.raw(PASSWORD_STAMP)} as owner_password
    from remembered_devices d left join users u on u.id = d.user_id and u.deleted_at is null
    where d.selector = ${selector}`.execute(db)
  const [row] = rows
  if (row === undefined) return null
  return {
    userId: row.user_id,
    validator: row.validator,
    previous: row.previous_validator,
    rotatedAt: timestampToMillis(row.rotated_at),
    isDelivered: row.is_delivered,
    expiresAt: timestampToMillis(row.expires_at),
    password: row.password,
    ownerPassword: row.owner_password,
  }
}

async function endSessions(db: Kysely<Schema>, selector: string, userId: number) {
  await db
    .deleteFrom('sessions')
    .where('user_id', '=', userId)
    // With a space once PostgreSQL has written it. Other payloads need not be JSON.
    .where(sql<boolean>`payload ~ ${`"device": ?"${selector}"`}`)
    .execute()
}

/** Forgets a device that proves itself, whatever else it may be worth. */
export async function forgetDevice(db: Kysely<Schema>, token: DeviceToken): Promise<void> {
  const digest = token.digest()
  await db
    .deleteFrom('remembered_devices')
    .where('selector', '=', token.selector)
    .where(({ or, eb }) => or([eb('validator', '=', digest), eb('previous_validator', '=', digest)]))
    .execute()
}

/** Forgets the devices that are remembered no longer; `now` in milliseconds since the epoch. */
export async function pruneDevices(db: Kysely<Schema>, now: number): Promise<number> {
  return deleteInBatches(db, 'remembered_devices', sql`expires_at < ${millisToSeconds(now)}::timestamp`)
}
