import { createHmac } from 'node:crypto'
import type { Bytes, EpochMillis, Millis } from '#src/runtime/units.ts'
import { constantTimeEqual, Secret, sha256 } from './secret.ts'
import { LOGIN_LIFETIME_MS, type PasswordStamp, SessionId } from './session.ts'
import { MINUTE_MS } from './time.ts'

declare const validatorDigest: unique symbol

/** The lowercase hex SHA-256 of a device's validator. Only the digest is stored. */
export type ValidatorDigest = string & { readonly [validatorDigest]: true }

const SELECTOR_BYTES = 16
const VALIDATOR_BYTES = 32

/** How long a device is remembered after the login: the maximum age that browsers allow for cookies. */
export const DEVICE_LIFETIME_MS: Millis = LOGIN_LIFETIME_MS

/** How long after a rotation the previous validator is accepted as a concurrent request's. */
const GRACE_MS: Millis = MINUTE_MS

/** The value of the device cookie: a selector, which finds the row, and a validator, which proves possession. */
export class DeviceToken extends Secret {
  readonly selector: string
  readonly #validator: string

  constructor(selector: string, validator: string) {
    super(`${selector}.${validator}`)
    this.selector = selector
    this.#validator = validator
  }

  digest(): ValidatorDigest {
    return sha256(this.#validator) as ValidatorDigest
  }
}

/**
 * Creates a token with a new validator.
 *
 * @param selector the selector of a known device; a new one by default
 */
export const mintDeviceToken = (
  random: (size: Bytes) => Buffer,
  selector: string = random(SELECTOR_BYTES).toString('base64url'),
): DeviceToken => new DeviceToken(selector, random(VALIDATOR_BYTES).toString('base64url'))

/**
 * Derives the id of the session that a device starts with a rotation of its token, as HMAC-SHA-256. It depends on the
 * presented token, so that concurrent requests to any instance derive the same session; on the next token, so that
 * each rotation has its own session; and on a server key, so that neither the browser nor a thief of an old cookie
 * can compute it.
 *
 * @param key the text of APP_KEY
 * @param next the digest of the validator that replaces the presented one
 */
export const deviceSessionId = (key: string, presented: DeviceToken, next: ValidatorDigest): SessionId =>
  new SessionId(
    createHmac('sha256', key).update(`device session:${presented.reveal()}:${next}`).digest('base64url'),
  )

/** Parses a cookie's value; null for another format, such as Laravel's. */
export function parseDeviceToken(value: string): DeviceToken | null {
  const [, selector, validator] = /^([\w-]{22})\.([\w-]{43})$/.exec(value) ?? []
  return selector === undefined || validator === undefined ? null : new DeviceToken(selector, validator)
}

/** A stored device. The user may be deleted. */
export interface StoredDevice {
  userId: number
  validator: ValidatorDigest
  /** The validator before the last rotation; null for none. */
  previous: ValidatorDigest | null
  createdAt: number
  rotatedAt: number
  /** Whether the browser has presented the current validator. */
  isDelivered: boolean
  expiresAt: number
  /** The stamp of the password that the user logged in with. */
  password: PasswordStamp
  /** The stamp of the user's current password; null for a deleted user. */
  ownerPassword: PasswordStamp | null
}

/** Why a device was refused, for the log and a metric. Clients never see it. */
export type DeviceFailure =
  | 'device_malformed'
  | 'device_unknown'
  | 'device_expired'
  | 'device_no_owner'
  | 'device_password_changed'
  | 'device_stolen'

/**
 * Validates a device's token against the row of its selector.
 *
 * - `current`: the validator matches, and is to be rotated.
 * - `parallel`: a concurrent request rotated it a moment ago.
 * - `undelivered`: it was rotated, but the new one never reached the browser. Its holder, if any, must not use it.
 * - `device_stolen`: any other validator of a known device. It was used before, so two parties hold the token.
 */
export function validateDeviceToken(
  token: DeviceToken,
  stored: StoredDevice | null,
  now: EpochMillis,
): 'current' | 'parallel' | 'undelivered' | DeviceFailure {
  if (stored === null) return 'device_unknown'
  if (!(stored.expiresAt > now)) return 'device_expired'
  if (stored.ownerPassword === null) return 'device_no_owner'
  if (!constantTimeEqual(stored.password, stored.ownerPassword)) return 'device_password_changed'
  const digest = token.digest()
  if (constantTimeEqual(stored.validator, digest)) return 'current'
  const isPrevious = stored.previous !== null && constantTimeEqual(stored.previous, digest)
  if (isPrevious && now - stored.rotatedAt <= GRACE_MS) return 'parallel'
  return isPrevious && !stored.isDelivered ? 'undelivered' : 'device_stolen'
}
