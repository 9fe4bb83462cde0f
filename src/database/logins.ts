import type { Kysely, Transaction } from 'kysely'
import type { DeviceToken } from '#src/auth/device.ts'
import type { PasswordHash } from '#src/auth/password.ts'
import { type Challenge, passwordStamp, type Session, type SessionDigest } from '#src/auth/session.ts'
import { lockUsers } from './authority.ts'
import { findDeviceOwner, forgetDevice, rememberDevice } from './devices.ts'
import { noteLogin } from './login-addresses.ts'
import type { Schema } from './schema.ts'
import { handSecondFactorOn } from './second-factors.ts'
import { type NewSession, replaceSession } from './sessions.ts'
import { type Credentials, findCredentialsById } from './users.ts'

/** What the browser of a login has, and what it gets. */
export interface LoginBrowser {
  /** The session in whose place the new one comes; null for none. */
  old: SessionDigest | null
  fresh: Pick<NewSession, 'id' | 'browser' | 'now'>
  /** The address under which the login is remembered. */
  address: string
  /** The token of the device that the browser is remembered as until now; null if it is none. */
  presented: DeviceToken | null
}

/**
 * Runs what a login comes to in one transaction under its user's lock, with the user's credentials as they are then:
 * what was verified before may not hold any more, since the password was changed, a second factor was confirmed or the
 * account was deleted meanwhile.
 *
 * @param work gets null for credentials when the user is deleted
 */
export async function underLoginLock<T>(
  db: Kysely<Schema>,
  { userId, presented }: { userId: number; presented: DeviceToken | null },
  work: (transaction: Transaction<Schema>, credentials: Credentials | null) => Promise<T>,
): Promise<T> {
  // The browser may be remembered for somebody else, whose device it is until this login.
  const deviceOwner = presented && (await findDeviceOwner(db, presented.selector))
  return db.transaction().execute(async transaction => {
    await lockUsers(transaction, deviceOwner === null ? [userId] : [userId, deviceOwner])
    return work(transaction, await findCredentialsById(transaction, userId))
  })
}

/**
 * Stores a login: a new session in the place of the browser's old one, and with `device` that the browser is remembered.
 * Whatever it was remembered as before is forgotten.
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

/** Stores a session that waits for a second factor, in the place of the browser's old one. */
export const storeChallenge = (
  transaction: Transaction<Schema>,
  { old, fresh }: LoginBrowser,
  challenge: Omit<Challenge, 'at'>,
): Promise<Session> =>
  replaceSession(transaction, old, { ...fresh, login: null, challenge: { ...challenge, at: fresh.now } })

/** Stores that the password of a session's user was just confirmed: the same login goes on under another id. */
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
  await handSecondFactorOn(transaction, userId, { from: old, to: fresh.id.digest() })
  return replaceSession(transaction, old, confirmed)
}

/** Ends a session and forgets its browser; a session of no user takes its place. */
export async function storeLogout(
  db: Kysely<Schema>,
  userId: number,
  { old, fresh, presented }: LoginBrowser,
): Promise<Session> {
  return underLoginLock(db, { userId, presented }, async transaction => {
    if (presented !== null) await forgetDevice(transaction, presented, { except: old })
    return replaceSession(transaction, old, { ...fresh, login: null, challenge: null })
  })
}
