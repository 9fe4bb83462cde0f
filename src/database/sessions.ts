import { type Kysely, sql, type Transaction } from 'kysely'
import {
  type Challenge,
  challengeOf,
  type PasswordStamp,
  parseSessionPayload,
  type Session,
  type SessionDigest,
  type SessionId,
  type SessionPayload,
} from '#src/auth/session.ts'
import { type Browser, browserColumns } from './browsers.ts'
import { deleteInBatches } from './prune.ts'
import type { Schema } from './schema.ts'

const seconds = (millis: number) => Math.floor(millis / 1000)

/** Who logged in. */
export interface SessionLogin {
  userId: number
  /** The stamp of the password that the login was made with. */
  password: PasswordStamp
  /** The selector of the device, if it is remembered. */
  device: string | null
  /** Whether a new token of the device comes along. */
  isDeviceUnseen?: boolean
  /** When the password was entered, if that was before the login; milliseconds since the epoch. */
  enteredAt?: number
}

/** A session to be stored. Times are milliseconds since the epoch. */
export interface NewSession {
  id: SessionId
  /** Null for nobody. */
  login: SessionLogin | null
  challenge: Challenge | null
  browser: Browser
  now: number
  /** What a session of the same login hands on to the one that takes its place: when it began; milliseconds. */
  createdAt?: number
  /** When the user has confirmed the password; milliseconds since the epoch. */
  passwordConfirmedAt?: number | null
}

/**
 * Stores a session in the place of another one, if there is one, in one statement. The row of that one stays for its
 * lifetime as a replaced session of no user: its browser already received the new cookie, and an answer to a request
 * that it sent before must not bring another one.
 */
export async function replaceSession(
  db: Kysely<Schema>,
  old: SessionDigest | null,
  { id, login, challenge, browser, now, createdAt = now, passwordConfirmedAt = null }: NewSession,
): Promise<Session> {
  const at = seconds(now)
  const began = seconds(createdAt)
  const entered = seconds(login?.enteredAt ?? createdAt)
  const payload: SessionPayload = {
    created_at: began,
    ...(entered !== began && { entered_at: entered }),
    ...(login && { password: login.password }),
    ...(passwordConfirmedAt !== null && { password_confirmed_at: seconds(passwordConfirmedAt) }),
    ...(login?.device && { device: login.device }),
    ...(login?.isDeviceUnseen && { device_unseen: true as const }),
    ...(challenge && {
      challenge: {
        user_id: challenge.userId,
        password: challenge.password,
        remember: challenge.remember,
        at: seconds(challenge.at),
      },
    }),
  }
  const replaced: SessionPayload = { created_at: at, replaced_at: at }
  await db
    .with('replaced', query =>
      query
        .updateTable('sessions')
        .set({
          user_id: null,
          ip_address: null,
          user_agent: null,
          payload: JSON.stringify(replaced),
          last_activity: at,
        })
        .where('id', '=', old ?? ''),
    )
    .insertInto('sessions')
    .values({
      id: id.digest(),
      user_id: login?.userId ?? null,
      ...browserColumns(browser),
      payload: JSON.stringify(payload),
      last_activity: at,
    })
    .execute()
  return {
    id,
    userId: login?.userId ?? null,
    createdAt: began * 1000,
    lastActivityAt: at * 1000,
    enteredAt: entered * 1000,
    passwordConfirmedAt: passwordConfirmedAt === null ? null : seconds(passwordConfirmedAt) * 1000,
    device: login?.device ?? null,
    isDeviceUnseen: login?.isDeviceUnseen ?? false,
    challenge,
  }
}

/**
 * Locks a session that waits for a second factor until the transaction ends; null if it does not wait any more: another
 * answer to the challenge took its place, or it was ended.
 */
export async function takeChallenge(
  transaction: Transaction<Schema>,
  id: SessionDigest,
): Promise<Challenge | null> {
  const row = await transaction
    .selectFrom('sessions')
    .select('payload')
    .where('id', '=', id)
    .forUpdate()
    .executeTakeFirst()
  const payload = row && parseSessionPayload(row.payload)
  return payload ? challengeOf(payload) : null
}

/** Ends the sessions that a user's remembered device began, but for one if that is named. */
export async function endSessionsOfDevice(
  db: Kysely<Schema>,
  { userId, selector, except = null }: { userId: number; selector: string; except?: SessionDigest | null },
): Promise<void> {
  await db
    .deleteFrom('sessions')
    .where('user_id', '=', userId)
    // With a space once PostgreSQL has written it. Other payloads need not be JSON.
    .where(sql<boolean>`payload ~ ${`"device": ?"${selector}"`}`)
    .where(sql<boolean>`id is distinct from ${except}`)
    .execute()
}

/** Deletes the sessions that nobody has used since a moment, in milliseconds since the epoch. */
export async function pruneSessions(db: Kysely<Schema>, before: number): Promise<number> {
  return deleteInBatches(db, 'sessions', sql`last_activity < ${seconds(before)}`)
}
