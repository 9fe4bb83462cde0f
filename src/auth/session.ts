import { hash } from 'node:crypto'
import type { Bytes, EpochMillis, EpochSeconds, Millis, Seconds } from '#src/runtime/units.ts'
import type { PasswordHash } from './password.ts'
import { constantTimeEqual, Secret, sha256 } from './secret.ts'
import { DAY_MS, MINUTE_MS } from './time.ts'

declare const digest: unique symbol
declare const stamp: unique symbol

/** The lowercase hex SHA-256 of a session's id. Only the digest is stored. */
export type SessionDigest = string & { readonly [digest]: true }

/** A digest of the password hash that the session was opened with, to detect password changes. */
export type PasswordStamp = string & { readonly [stamp]: true }

const ID_BYTES = 32

/** The session id in the cookie: 256 random bits in base64url. */
export class SessionId extends Secret {
  #digest: SessionDigest | undefined
  #csrfToken: string | undefined

  /** The SHA-256 of the id's text. */
  digest(): SessionDigest {
    this.#digest ??= sha256(this.reveal()) as SessionDigest
    return this.#digest
  }

  /** The CSRF token, derived one-way from the id. It belongs to this session and changes with the id. */
  csrfToken(): string {
    this.#csrfToken ??= hash('sha256', `csrf-token:${this.reveal()}`, 'base64url')
    return this.#csrfToken
  }

  /** Whether text is this session's CSRF token. */
  accepts(csrfToken: string): boolean {
    return constantTimeEqual(csrfToken, this.csrfToken())
  }
}

export const mintSessionId = (random: (size: Bytes) => Buffer): SessionId =>
  new SessionId(random(ID_BYTES).toString('base64url'))

/** Parses a session cookie's value; null for another format. */
export const parseSessionId = (value: string): SessionId | null =>
  /^[\w-]{42}[AEIMQUYcgkosw048]$/.test(value) ? new SessionId(value) : null

/**
 * Returns the stamp of a password hash. The hash contains 128 random bits of salt, so its digest reveals nothing
 * more.
 */
export const passwordStamp = (hash: PasswordHash | string): PasswordStamp => sha256(hash) as PasswordStamp

/** A valid session. */
export interface Session {
  id: SessionId
  /** Null for a guest session. */
  userId: number | null
  createdAt: EpochMillis
  /** The stored last use. It lags by up to LAST_USED_INTERVAL. */
  lastActivityAt: EpochMillis
  /**
   * When its user last entered the password to log in. For a remembered device: when the device was first remembered.
   */
  enteredAt: EpochMillis
  /** When its user last confirmed the password. */
  passwordConfirmedAt: EpochMillis | null
  /** The selector of its remembered device; null for none. */
  device: string | null
  /** Whether it was stored with a new device token that the browser has not presented yet. */
  isDeviceUnseen: boolean
  /** Its pending second-factor challenge; null for none. */
  challenge: Challenge | null
}

/** A user who entered the right password and must still prove the second factor. It grants nothing. */
export interface Challenge {
  userId: number
  /** The stamp of the password that was entered. */
  password: PasswordStamp
  /** Whether to remember the device after the login. */
  remember: boolean
  /** When the password was entered. */
  at: EpochMillis
}

/** How long a challenge can be completed. */
const CHALLENGE_MS: Millis = 600_000

/** Whether a challenge can still be completed. */
export const isPending = ({ at }: Challenge, now: EpochMillis): boolean => now - at <= CHALLENGE_MS

/** The content of the column `payload`. */
export interface SessionPayload {
  created_at: EpochSeconds
  /** When another session replaced it, which ended it. */
  replaced_at?: EpochSeconds
  /** When the password was entered to log in; `created_at` by default. */
  entered_at?: EpochSeconds
  /** Absent in a guest session. */
  password?: PasswordStamp
  password_confirmed_at?: EpochSeconds
  device?: string
  device_unseen?: true
  challenge?: { user_id: number; password: PasswordStamp; remember: boolean; at: EpochSeconds }
}

/** The maximum age of a password entry, after which sessions and remembered devices end. */
export const LOGIN_LIFETIME_MS: Millis = 400 * DAY_MS

/** Lifetimes of sessions, in minutes. */
export interface SessionLifetimes {
  sessionLifetime: number
  sessionAbsoluteLifetime: number | null
}

/** Returns the pending challenge of a payload; null for none. */
export function readChallenge({ challenge }: SessionPayload): Challenge | null {
  if (challenge === undefined) return null
  const { user_id, password, remember, at } = challenge
  return { userId: user_id, password, remember, at: at * 1000 }
}

/** How long an entered password counts as confirmed. */
export const PASSWORD_TIMEOUT_S: Seconds = 10_800

/** Whole seconds since a session's user last confirmed the password; infinite for never. */
export const passwordAge = ({ passwordConfirmedAt }: Session, now: EpochMillis): Seconds =>
  passwordConfirmedAt === null ? Number.POSITIVE_INFINITY : Math.floor((now - passwordConfirmedAt) / 1000)

/** Whether a session's user has confirmed the password recently. */
export const hasConfirmedPassword = (session: Session, now: EpochMillis): boolean =>
  passwordAge(session, now) <= PASSWORD_TIMEOUT_S

/** The earliest last use and the earliest start of sessions that are still valid. */
export const liveThresholds = (
  now: EpochMillis,
  { sessionLifetime, sessionAbsoluteLifetime }: SessionLifetimes,
) => ({
  used: now - sessionLifetime * MINUTE_MS,
  begun: sessionAbsoluteLifetime === null ? 0 : now - sessionAbsoluteLifetime * MINUTE_MS,
})

/** The remaining lifetime of a session that is not used again. */
export function remainingMs(
  {
    createdAt,
    enteredAt,
    passwordConfirmedAt,
  }: Pick<Session, 'createdAt' | 'enteredAt' | 'passwordConfirmedAt'>,
  now: EpochMillis,
  { sessionLifetime, sessionAbsoluteLifetime }: SessionLifetimes,
): Millis {
  const absolute =
    sessionAbsoluteLifetime === null
      ? Number.POSITIVE_INFINITY
      : createdAt + sessionAbsoluteLifetime * MINUTE_MS - now
  const sinceEntered = Math.max(enteredAt, passwordConfirmedAt ?? 0) + LOGIN_LIFETIME_MS - now
  return Math.min(sessionLifetime * MINUTE_MS, absolute, sinceEntered)
}

/** Parses the column `payload`; null for other content, such as Laravel's. */
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
