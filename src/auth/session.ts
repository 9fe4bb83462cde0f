import { hash } from 'node:crypto'
import type { PasswordHash } from './password.ts'
import { equalSecrets, Secret, sha256 } from './secret.ts'
import { DAY_MS, MINUTE_MS } from './time.ts'

declare const digest: unique symbol
declare const stamp: unique symbol

/** The lowercase hex SHA-256 of a session's id: all of it that is stored. */
export type SessionDigest = string & { readonly [digest]: true }

/** What a session remembers of the password that it was opened with. */
export type PasswordStamp = string & { readonly [stamp]: true }

const ID_BYTES = 32

/** A session's id as its cookie has it: 256 random bits in base64url. */
export class SessionId extends Secret {
  #digest: SessionDigest | undefined
  #csrfToken: string | undefined

  /** The form in which the id is stored: the SHA-256 of its text. */
  digest(): SessionDigest {
    this.#digest ??= sha256(this.reveal()) as SessionDigest
    return this.#digest
  }

  /**
   * The token that proves that a page of ours sent a request. It follows from the id, so that it belongs to this
   * session alone and changes whenever the id does, and the id does not follow from it.
   */
  csrfToken(): string {
    this.#csrfToken ??= hash('sha256', `csrf-token:${this.reveal()}`, 'base64url')
    return this.#csrfToken
  }

  /** Whether a text is this session's CSRF token. */
  accepts(csrfToken: string): boolean {
    return equalSecrets(csrfToken, this.csrfToken())
  }
}

/**
 * A new session id.
 *
 * @param random returns that many random bytes
 */
export const mintSessionId = (random: (size: number) => Buffer): SessionId =>
  new SessionId(random(ID_BYTES).toString('base64url'))

/** Reads a session cookie's value; null when no session of ours can have it. */
export const parseSessionId = (value: string): SessionId | null =>
  /^[\w-]{42}[AEIMQUYcgkosw048]$/.test(value) ? new SessionId(value) : null

/**
 * What a password hash is remembered by. The hash has 128 random bits of its own, and so its digest tells
 * nobody more than the hash does.
 */
export const passwordStamp = (hash: PasswordHash | string): PasswordStamp => sha256(hash) as PasswordStamp

/** A session that is valid. Times are milliseconds since the epoch. */
export interface Session {
  id: SessionId
  /** Null while nobody has logged in. */
  userId: number | null
  createdAt: number
  /** When it was last used, as far as that is stored: up to a minute may be missing. */
  lastActivityAt: number
  /** When its user last entered the password to log in: for a remembered device, when that was first remembered. */
  enteredAt: number
  /** When its user last confirmed the password. */
  passwordConfirmedAt: number | null
  /** The selector of the remembered device that it belongs to; null for none. */
  device: string | null
  /** Whether a new token of the device came with it, which the browser has not shown yet. */
  isDeviceUnseen: boolean
  /** Whose second factor it waits for; null for nobody's. */
  challenge: Challenge | null
}

/** Somebody who entered the right password and still owes the second factor. It opens nothing. */
export interface Challenge {
  userId: number
  /** The stamp of the password that was entered. */
  password: PasswordStamp
  /** Whether the browser is to be remembered after that. */
  remember: boolean
  /** When the password was entered, in milliseconds since the epoch. */
  at: number
}

/** Milliseconds for which a second factor is waited for. */
const CHALLENGE_MS = 600_000

/** Whether a second factor is still waited for; `now` in milliseconds since the epoch. */
export const isPending = ({ at }: Challenge, now: number): boolean => now - at <= CHALLENGE_MS

/** What the column `payload` holds. Times are seconds since the epoch. */
export interface SessionPayload {
  created_at: number
  /** When another session took its place, and it ended. */
  replaced_at?: number
  /** When the password was entered to log in; `created_at` unless given. */
  entered_at?: number
  /** Absent while nobody has logged in. */
  password?: PasswordStamp
  password_confirmed_at?: number
  device?: string
  device_unseen?: true
  challenge?: { user_id: number; password: PasswordStamp; remember: boolean; at: number }
}

/** Milliseconds for which a login counts at most after its password was last entered, by remembered devices as well. */
export const LOGIN_LIFETIME_MS = 400 * DAY_MS

/** How long sessions live, in minutes. */
export interface SessionLifetimes {
  sessionLifetime: number
  sessionAbsoluteLifetime: number | null
}

/** Whose second factor a session waits for; null for nobody's. */
export function challengeOf({ challenge }: SessionPayload): Challenge | null {
  if (challenge === undefined) return null
  const { user_id, password, remember, at } = challenge
  return { userId: user_id, password, remember, at: at * 1000 }
}

/** Seconds for which a password that was entered counts as confirmed. */
export const PASSWORD_TIMEOUT_S = 10_800

/** Whole seconds since a session's user last entered the password; infinite for never. */
export const passwordAge = ({ passwordConfirmedAt }: Session, now: number): number =>
  passwordConfirmedAt === null ? Number.POSITIVE_INFINITY : Math.floor((now - passwordConfirmedAt) / 1000)

/** Whether a session's user has entered the password lately. */
export const hasConfirmedPassword = (session: Session, now: number): boolean =>
  passwordAge(session, now) <= PASSWORD_TIMEOUT_S

/** Since when sessions that go on were used, and after when they began; milliseconds since the epoch, as is `now`. */
export const liveSince = (now: number, { sessionLifetime, sessionAbsoluteLifetime }: SessionLifetimes) => ({
  used: now - sessionLifetime * MINUTE_MS,
  begun: sessionAbsoluteLifetime === null ? 0 : now - sessionAbsoluteLifetime * MINUTE_MS,
})

/** Milliseconds that a session may last from now on, if it is not used again. */
export function remainingMs(
  {
    createdAt,
    enteredAt,
    passwordConfirmedAt,
  }: Pick<Session, 'createdAt' | 'enteredAt' | 'passwordConfirmedAt'>,
  now: number,
  { sessionLifetime, sessionAbsoluteLifetime }: SessionLifetimes,
): number {
  const absolute =
    sessionAbsoluteLifetime === null
      ? Number.POSITIVE_INFINITY
      : createdAt + sessionAbsoluteLifetime * MINUTE_MS - now
  const sinceEntered = Math.max(enteredAt, passwordConfirmedAt ?? 0) + LOGIN_LIFETIME_MS - now
  return Math.min(sessionLifetime * MINUTE_MS, absolute, sinceEntered)
}

/** Reads a session's column `payload`; null for what is not ours, such as a session of Laravel's. */
export function parseSessionPayload(text: string): SessionPayload | null {
  try {
    const value: unknown = JSON.parse(text)
    if (typeof value !== 'object' || value === null) return null
    const { created_at, replaced_at, entered_at, password, password_confirmed_at, device, challenge } =
      value as Record<string, unknown>
    const isValid =
      typeof created_at === 'number' &&
      isOptional(replaced_at, 'number') &&
      isOptional(entered_at, 'number') &&
      isOptional(password, 'string') &&
      isOptional(password_confirmed_at, 'number') &&
      isOptional(device, 'string') &&
      (challenge === undefined || isChallenge(challenge))
    return isValid ? (value as SessionPayload) : null
  } catch {
    return null
  }
}

const isOptional = (value: unknown, type: 'string' | 'number') => value === undefined || typeof value === type

function isChallenge(value: unknown): boolean {
  if (typeof value !== 'object' || value === null) return false
  const { user_id, password, remember, at } = value as Record<string, unknown>
  return (
    typeof user_id === 'number' &&
    typeof password === 'string' &&
    typeof remember === 'boolean' &&
    typeof at === 'number'
  )
}
