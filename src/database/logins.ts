import type { Kysely, Transaction } from 'kysely'
import type { DeviceToken } from '#src/auth/device.ts'
import type { PasswordHash } from '#src/auth/password.ts'
import { type Challenge, passwordStamp, type Session, type SessionDigest } from '#src/auth/session.ts'
import { lockUsers } from './authority.ts'
import { findDeviceOwner, forgetDevice, rememberDevice } from './devices.ts'
import { noteLogin } from './login-addresses.ts'
import type { Schema } from './schema.ts'
import { transferSecondFactor } from './second-factors.ts'
import { type NewSession, replaceSession } from './sessions.ts'
import { type Credentials, findCredentialsById } from './users.ts'

/** The session and device of a login's browser, and its new session. */
export interface LoginBrowser {
  /** The session that the new one replaces; null for none. */
  old: SessionDigest | null
  fresh: Pick<NewSession, 'id' | 'browser' | 'now'>
  /** The address that the login is recorded with. */
  address: string
  /** The device token that the browser presented; null for none. */
  presented: DeviceToken | null
}

/**
 * Runs the outcome of a login in one transaction under the user's lock, with the user's current credentials: the
 * password may have been changed, a second factor confirmed or the account deleted since they were verified.
 *
 * @param work gets null credentials when the user is deleted
 */
export async function withLoginLock<T>(
  db: Kysely<Schema>,
  { userId, presented }: { userId: number; presented: DeviceToken | null },
  work: (transaction: Transaction<Schema>, credentials: Credentials | null) => Promise<T>,
): Promise<T> {
  // The browser may be remembered for another user.
  const deviceOwner = presented && (await findDeviceOwner(db, presented.selector))
  return db.transaction().execute(async transaction => {
    await lockUsers(transaction, deviceOwner === null ? [userId] : [userId, deviceOwner])
    return work(transaction, await findCredentialsById(transaction, userId))
  })
}

/**
 * Stores a login: a new session that replaces the browser's old one and, with `device`, a remembered device. The device
 * that the browser presented is forgotten.
 */
export async function storeLogin(
  transaction: Transaction<Schema>,
  { userId, password }: { userId: number; password: PasswordHash },
  { old, fresh, address, presented }: LoginBrowser,
  device: DeviceToken | null,
): Promise<Session> {
  const stamp = passwordStamp(password)
  await noteLogin(transaction, userId, address, fresh.now)
  if (presented !== null) await forgetDevice(transaction, presented, { except: old })
  if (device !== null) {
    const { browser, now } = fresh
    await rememberDevice(transaction, { token: device, userId, password: stamp, browser, now })
  }
  const login = { userId, password: stamp, device: device?.selector ?? null }
  return replaceSession(transaction, old, { ...fresh, login, challenge: null })
}

/** Stores a session that waits for a second factor; it replaces the browser's old one. */
export const storeChallenge = (
  transaction: Transaction<Schema>,
  { old, fresh }: LoginBrowser,
  challenge: Omit<Challenge, 'at'>,
): Promise<Session> =>
  replaceSession(transaction, old, { ...fresh, login: null, challenge: { ...challenge, at: fresh.now } })

/** Records that a session's user has just confirmed the password: the same login continues under a new session id. */
export async function confirmSession(
  transaction: Transaction<Schema>,
  session: Session,
  { userId, password }: Credentials,
  fresh: LoginBrowser['fresh'],
): Promise<Session> {
  const { device, isDeviceUnseen, enteredAt, createdAt } = session
  const login = { userId, password: passwordStamp(password), device, isDeviceUnseen, enteredAt }
  const confirmed = { ...fresh, login, challenge: null, createdAt, passwordConfirmedAt: fresh.now }
  const old = session.id.digest()
  await transferSecondFactor(transaction, userId, { from: old, to: fresh.id.digest() })
  return replaceSession(transaction, old, confirmed)
}

/** Ends a session and forgets its device; a guest session replaces it. */
export async function storeLogout(
  db: Kysely<Schema>,
  userId: number,
  { old, fresh, presented }: LoginBrowser,
): Promise<Session> {
  return withLoginLock(db, { userId, presented }, async transaction => {
    if (presented !== null) await forgetDevice(transaction, presented, { except: old })
    return replaceSession(transaction, old, { ...fresh, login: null, challenge: null })
  })
}
