import { type Kysely, sql, type Transaction } from 'kysely'
import {
  DEVICE_LIFETIME_MS,
  type DeviceFailure,
  type DeviceToken,
  type StoredDevice,
  type ValidatorDigest,
  validateDeviceToken,
} from '#src/auth/device.ts'
import type { PasswordStamp, Session, SessionDigest, SessionId } from '#src/auth/session.ts'
import { MINUTE_MS, millisToSeconds, millisToTimestamp, timestampToMillis } from '#src/auth/time.ts'
import type { EpochMillis } from '#src/runtime/units.ts'
import { lockUser } from './authority.ts'
import { type Browser, browserColumns } from './browsers.ts'
import { PASSWORD_STAMP } from './identity-columns.ts'
import { noteLogin } from './login-addresses.ts'
import { deleteInBatches } from './prune.ts'
import type { Schema } from './schema.ts'
import { endSessionsOfDevice, replaceSession } from './sessions.ts'

/** Remembers the browser in which a user logged in. */
export async function rememberDevice(
  db: Kysely<Schema>,
  {
    token,
    userId,
    password,
    browser,
    now,
  }: { token: DeviceToken; userId: number; password: PasswordStamp; browser: Browser; now: EpochMillis },
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

/** The outcome of recognizing a device by its token. */
export type RecognizedDevice =
  /** A new session of its user. From now on the next token is valid. */
  | { isRight: true; outcome: 'started'; userId: number; session: Session; expiresAt: EpochMillis }
  /** The session that a concurrent request started, unless that has ended. */
  | { isRight: true; outcome: 'joined'; sessionId: SessionId }
  /** No session: the device started too many, its user may not log in, or the browser has newer cookies. */
  | { isRight: true; outcome: 'none'; expiresAt: EpochMillis | null }
  | { isRight: false; failure: DeviceFailure; userId: number | null }

/** As many sessions per minute as a browser needs whose cookies get lost on the way, and too few to fill a table. */
const MAX_SESSIONS_PER_MINUTE = 20

/**
 * Recognizes a device by its token, rotates the token and starts a session, in one transaction under the user's lock.
 * Concurrent requests, on any instance, serialize here and share that session. A stolen or invalid device is forgotten,
 * and the sessions that it started end.
 *
 * @param use.next the token to rotate to
 * @param use.sessionIdOf derives the id of the session that starts with a rotation from the new validator
 * @param use.old the session of the request, if any
 * @param use.address recorded as the address of the login
 * @param use.mayLogIn whether the user may log in, read in the transaction
 * @param use.joinsOnly whether the browser may already have newer cookies: then no session starts and no device is
 *   forgotten
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
    now: EpochMillis
  },
): Promise<RecognizedDevice> {
  return db.transaction().execute(async transaction => {
    const stored = await findDevice(transaction, token.selector)
    const verdict = validateDeviceToken(token, stored, now)
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
    // If the response with the other token went to an attacker, so did its session.
    if (verdict === 'undelivered') await endSessionsOfDevice(transaction, { userId, selector })
    if (
      (await countSessionsOfDevice(transaction, { userId, selector, since: now - MINUTE_MS })) >=
      MAX_SESSIONS_PER_MINUTE
    ) {
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

/** Records that a browser has presented its current token: from then on the previous token indicates theft. */
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

/** Forgets a device and ends the sessions that it started. */
async function dropDevice(transaction: Transaction<Schema>, selector: string, userId: number) {
  await transaction.deleteFrom('remembered_devices').where('selector', '=', selector).execute()
  await endSessionsOfDevice(transaction, { userId, selector })
}

/** Counts the sessions that a device has started since a time. */
async function countSessionsOfDevice(
  transaction: Transaction<Schema>,
  { userId, selector, since }: { userId: number; selector: string; since: EpochMillis },
): Promise<number> {
  const { rows } = await sql<{ count: number }>`
    select count(*)::int as count from sessions
    where user_id = ${userId} and payload ~ ${`"device": ?"${selector}"`}
      and substring(payload from '"created_at": ?(\\d+)')::bigint * 1000 > ${since}`.execute(transaction)
  return rows[0]?.count ?? 0
}

/** Returns the id of the user whom a device logs in; null for an unknown device. */
export async function findDeviceOwner(db: Kysely<Schema>, selector: string): Promise<number | null> {
  const row = await db
    .selectFrom('remembered_devices')
    .select('user_id')
    .where('selector', '=', selector)
    .executeTakeFirst()
  return row?.user_id ?? null
}

/** Locks a device's user and then the device, in the same order as all other writers, and reads both. */
async function findDevice(transaction: Transaction<Schema>, selector: string): Promise<StoredDevice | null> {
  const owner = await findDeviceOwner(transaction, selector)
  if (owner === null) return null
  await lockUser(transaction, owner)
  // A separate statement: at READ COMMITTED only a later statement sees the row that this one waited for.
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
 * Forgets a device if the token is its current or previous one, valid for a login or not, and ends the sessions that it
 * started, except the one that the request replaces. The caller holds the user's lock, if the user is known.
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

/** Deletes expired devices. */
export async function pruneDevices(db: Kysely<Schema>, now: EpochMillis): Promise<number> {
  return deleteInBatches(db, 'remembered_devices', sql`expires_at < ${millisToSeconds(now)}::timestamp`)
}
