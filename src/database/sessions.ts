import { type Kysely, sql, type Transaction } from 'kysely'
import {
  type Challenge,
  type PasswordStamp,
  parseSessionPayload,
  readChallenge,
  type Session,
  type SessionDigest,
  type SessionId,
  type SessionPayload,
} from '#src/auth/session.ts'
import type { EpochMillis } from '#src/runtime/units.ts'
import { type Browser, browserColumns } from './browsers.ts'
import { deleteInBatches } from './prune.ts'
import type { Schema } from './schema.ts'

const seconds = (millis: EpochMillis) => Math.floor(millis / 1000)

/** The login of a session. */
export interface SessionLogin {
  userId: number
  /** The stamp of the password at the login. */
  password: PasswordStamp
  /** The selector of the remembered device; null for none. */
  device: string | null
  /** Whether a rotated device token is sent along, which the browser has not presented yet. */
  isDeviceUnseen?: boolean
  /** When the password was entered, if before the login. */
  enteredAt?: EpochMillis
}

/** A session to store. */
export interface NewSession {
  id: SessionId
  /** Null for a guest. */
  login: SessionLogin | null
  challenge: Challenge | null
  browser: Browser
  now: EpochMillis
  /** When the login began, kept when a session replaces another of the same login. */
  createdAt?: EpochMillis
  /** When the user confirmed the password. */
  passwordConfirmedAt?: EpochMillis | null
}

/**
 * Stores a session, which replaces the old one if there is one, in one statement. The old row is kept for its lifetime
 * as a replaced guest session: its browser already received the new cookie, and the response to an earlier request must
 * not set another.
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
 * Locks a session that waits for a second factor until the transaction ends. Returns null if it no longer waits:
 * another response to the challenge replaced it, or it ended.
 */
export async function lockChallenge(
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
  return payload ? readChallenge(payload) : null
}

/** Ends the sessions that a remembered device started, except one. */
export async function endSessionsOfDevice(
  db: Kysely<Schema>,
  { userId, selector, except = null }: { userId: number; selector: string; except?: SessionDigest | null },
): Promise<void> {
  await db
    .deleteFrom('sessions')
    .where('user_id', '=', userId)
    // With a space after PostgreSQL has rewritten it. Other payloads need not be JSON.
    .where(sql<boolean>`payload ~ ${`"device": ?"${selector}"`}`)
    .where(sql<boolean>`id is distinct from ${except}`)
    .execute()
}

/** Deletes the sessions without activity since a time. */
export async function pruneSessions(db: Kysely<Schema>, before: EpochMillis): Promise<number> {
  return deleteInBatches(db, 'sessions', sql`last_activity < ${seconds(before)}`)
}
