import { type Kysely, sql, type Transaction } from 'kysely'
import {
  DEVICE_LIFETIME_MS,
  type DeviceFailure,
  type DeviceToken,
  judgeDevice,
  type StoredDevice,
  type ValidatorDigest,
} from '#src/auth/device.ts'
import type { PasswordStamp, Session, SessionDigest, SessionId } from '#src/auth/session.ts'
import { MINUTE_MS, millisToSeconds, millisToTimestamp, timestampToMillis } from '#src/auth/time.ts'
import { lockUser } from './authority.ts'
import { type Browser, browserColumns } from './browsers.ts'
import { PASSWORD_STAMP } from './identity-columns.ts'
import { noteLogin } from './login-addresses.ts'
import { deleteInBatches } from './prune.ts'
import type { Schema } from './schema.ts'
import { endSessionsOfDevice, replaceSession } from './sessions.ts'

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

/** What a device's token leads to. */
export type RecognizedDevice =
  /** A new session of its user. The next token counts from now on. */
  | { isRight: true; outcome: 'started'; userId: number; session: Session; expiresAt: number }
  /** The session that a request sent at the same time has begun, unless that is over again. */
  | { isRight: true; outcome: 'joined'; sessionId: SessionId }
  /** None: the device has begun too many of them, its user may not log in, or the browser has newer cookies. */
  | { isRight: true; outcome: 'none'; expiresAt: number | null }
  | { isRight: false; failure: DeviceFailure; userId: number | null }

/** As many sessions a minute as a browser can need whose cookies are lost on the way, and too few to fill a table with. */
const SESSIONS_A_MINUTE = 20

/**
 * Recognises a device by its token, gives it the next one, and begins a session, in one transaction under its user's
 * lock. Requests that come at the same time, to whichever instance, wait here for each other and get that one session. A
 * device that was stolen, or is worth nothing, is forgotten, and the sessions that it began end.
 *
 * @param use.next the token that is to count from now on
 * @param use.sessionIdOf the id of the session that begins with a rotation to a validator
 * @param use.old the session that the request came with, if any
 * @param use.address under which the login is remembered
 * @param use.mayLogIn whether a user may log in, by what the transaction sees
 * @param use.joinsOnly whether the browser may have newer cookies than these: then nothing begins and nothing is forgotten
 * @param use.now milliseconds since the epoch
 */
export async function recognizeDevice(
  db: Kysely<Schema>,
  token: DeviceToken,
  {
    next,
    sessionIdOf,
    old,
    browser,
    address,
    mayLogIn,
    joinsOnly,
    now,
  }: {
    next: DeviceToken
    sessionIdOf(next: ValidatorDigest): SessionId
    old: SessionDigest | null
    browser: Browser
    address: string
    mayLogIn(transaction: Transaction<Schema>, userId: number): Promise<boolean>
    joinsOnly: boolean
    now: number
  },
): Promise<RecognizedDevice> {
  return db.transaction().execute(async transaction => {
    const stored = await findDevice(transaction, token.selector)
    const verdict = judgeDevice(token, stored, now)
    if (stored === null || (verdict !== 'current' && verdict !== 'parallel' && verdict !== 'undelivered')) {
      if (stored !== null && !joinsOnly) await dropDevice(transaction, token.selector, stored.userId)
      return { isRight: false, failure: verdict as DeviceFailure, userId: stored?.userId ?? null }
    }
    if (joinsOnly && verdict !== 'parallel') return { isRight: true, outcome: 'none', expiresAt: null }
    const { userId, password, expiresAt, createdAt } = stored
    if (!(await mayLogIn(transaction, userId))) return { isRight: true, outcome: 'none', expiresAt: null }
    if (verdict === 'parallel') {
      return { isRight: true, outcome: 'joined', sessionId: sessionIdOf(stored.validator) }
    }
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
    const { selector } = token
    // If the answer with the other token went to somebody else, so did its session.
    if (verdict === 'undelivered') await endSessionsOfDevice(transaction, { userId, selector })
    if ((await countBegun(transaction, { userId, selector, since: now - MINUTE_MS })) >= SESSIONS_A_MINUTE) {
      return { isRight: true, outcome: 'none', expiresAt }
    }
    await noteLogin(transaction, userId, address, now)
    const session = await replaceSession(transaction, old, {
      id: sessionIdOf(next.digest()),
      login: { userId, password, device: selector, isDeviceUnseen: true, enteredAt: createdAt },
      challenge: null,
      browser,
      now,
    })
    return { isRight: true, outcome: 'started', userId, session, expiresAt }
  })
}

/** Stores that a browser has shown the token that it was given: whoever comes with the one before has stolen it. */
export async function acknowledgeDevice(
  db: Kysely<Schema>,
  token: DeviceToken,
  { userId, session }: { userId: number; session: SessionDigest },
): Promise<void> {
  await db.transaction().execute(async transaction => {
    await lockUser(transaction, userId)
    await sql`
      with delivered as (
        update remembered_devices set is_delivered = true
        where selector = ${token.selector} and validator = ${token.digest()} returning selector
      )
      update sessions set payload = (payload::jsonb - 'device_unseen')::text
      where id = ${session} and exists (select from delivered)`.execute(transaction)
  })
}

/** Forgets a device and ends the sessions that it began. */
async function dropDevice(transaction: Transaction<Schema>, selector: string, userId: number) {
  await transaction.deleteFrom('remembered_devices').where('selector', '=', selector).execute()
  await endSessionsOfDevice(transaction, { userId, selector })
}

/** How many sessions a device has begun since a moment, in milliseconds since the epoch. */
async function countBegun(
  transaction: Transaction<Schema>,
  { userId, selector, since }: { userId: number; selector: string; since: number },
): Promise<number> {
  const { rows } = await sql<{ count: number }>`
    select count(*)::int as count from sessions
    where user_id = ${userId} and payload ~ ${`"device": ?"${selector}"`}
      and substring(payload from '"created_at": ?(\\d+)')::bigint * 1000 > ${since}`.execute(transaction)
  return rows[0]?.count ?? 0
}

/** The id of the user whom a device logs in; null for a device that there is not. */
export async function findDeviceOwner(db: Kysely<Schema>, selector: string): Promise<number | null> {
  const row = await db
    .selectFrom('remembered_devices')
    .select('user_id')
    .where('selector', '=', selector)
    .executeTakeFirst()
  return row?.user_id ?? null
}

/** Locks a device and its user, in the order of all who change either, and reads both. */
async function findDevice(transaction: Transaction<Schema>, selector: string): Promise<StoredDevice | null> {
  const owner = await findDeviceOwner(transaction, selector)
  if (owner === null) return null
  await lockUser(transaction, owner)
  // By a statement of its own: READ COMMITTED shows what was waited for only to the next one.
  await transaction
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
    created_at: string
    is_delivered: boolean
    expires_at: string
    password: PasswordStamp
    owner_password: PasswordStamp | null
  }>`
    select d.user_id, d.validator, d.previous_validator, d.rotated_at, d.created_at, d.is_delivered, d.expires_at, d.password,
      ${sql.raw(PASSWORD_STAMP)} as owner_password
    from remembered_devices d left join users u on u.id = d.user_id and u.deleted_at is null
    where d.selector = ${selector}`.execute(transaction)
  const [row] = rows
  if (row === undefined) return null
  return {
    userId: row.user_id,
    validator: row.validator,
    previous: row.previous_validator,
    createdAt: timestampToMillis(row.created_at),
    rotatedAt: timestampToMillis(row.rotated_at),
    isDelivered: row.is_delivered,
    expiresAt: timestampToMillis(row.expires_at),
    password: row.password,
    ownerPassword: row.owner_password,
  }
}

/**
 * Forgets a device that proves itself, whatever else it may be worth, and ends the sessions that it began, but for one
 * that its own request replaces. The caller holds the lock of its user, if it knows one.
 */
export async function forgetDevice(
  transaction: Transaction<Schema>,
  token: DeviceToken,
  { except }: { except: SessionDigest | null },
): Promise<void> {
  const digest = token.digest()
  const forgotten = await transaction
    .deleteFrom('remembered_devices')
    .where('selector', '=', token.selector)
    .where(({ or, eb }) => or([eb('validator', '=', digest), eb('previous_validator', '=', digest)]))
    .returning('user_id')
    .executeTakeFirst()
  if (forgotten === undefined) return
  await endSessionsOfDevice(transaction, { userId: forgotten.user_id, selector: token.selector, except })
}

/** Forgets the devices that are remembered no longer; `now` in milliseconds since the epoch. */
export async function pruneDevices(db: Kysely<Schema>, now: number): Promise<number> {
  return deleteInBatches(db, 'remembered_devices', sql`expires_at < ${millisToSeconds(now)}::timestamp`)
}
