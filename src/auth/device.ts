import { createHmac } from 'node:crypto'
import { equalSecrets, Secret, sha256 } from './secret.ts'
import { LOGIN_LIFETIME_MS, type PasswordStamp, SessionId } from './session.ts'
import { MINUTE_MS } from './time.ts'

declare const validatorDigest: unique symbol

/** The lowercase hex SHA-256 of a device's validator: all of it that is stored. */
export type ValidatorDigest = string & { readonly [validatorDigest]: true }

const SELECTOR_BYTES = 16
const VALIDATOR_BYTES = 32

/** Milliseconds for which a device is remembered, from the login on: as long as browsers keep a cookie. */
export const DEVICE_LIFETIME_MS = LOGIN_LIFETIME_MS

/** Milliseconds in which requests with the validator before the present one count as sent at the same time. */
const GRACE_MS = MINUTE_MS

/** What a remembered browser keeps: a selector, by which its row is found, and a validator, which proves it. */
export class DeviceToken extends Secret {
  readonly selector: string
  readonly #validator: string

  constructor(selector: string, validator: string) {
    super(`${selector}.${validator}`)
    this.selector = selector
    this.#validator = validator
  }

  /** The form in which the validator is stored. */
  digest(): ValidatorDigest {
    return sha256(this.#validator) as ValidatorDigest
  }
}

/**
 * A token for a device, with a new validator.
 *
 * @param random returns that many random bytes
 * @param selector the device's; a new device without one
 */
export const mintDeviceToken = (
  random: (size: number) => Buffer,
  selector: string = random(SELECTOR_BYTES).toString('base64url'),
): DeviceToken => new DeviceToken(selector, random(VALIDATOR_BYTES).toString('base64url'))

/**
 * The id of the session that a device begins with one rotation of its token. It follows from what the browser presents,
 * so that requests sent at the same time, to whichever instance, arrive at the same session; from the token that takes
 * its place, so that each rotation has another one; and from a key of the server's (HMAC-SHA-256), so that neither the
 * browser nor a thief of an old cookie can compute it.
 *
 * @param key the text of APP_KEY
 * @param next the digest of the validator that takes the place of the one presented
 */
export const deviceSessionId = (key: string, presented: DeviceToken, next: ValidatorDigest): SessionId =>
  new SessionId(
    createHmac('sha256', key).update(`device session:${presented.reveal()}:${next}`).digest('base64url'),
  )

/** Reads a cookie's value; null when it cannot be ours, as Laravel's is not. */
export function parseDeviceToken(value: string): DeviceToken | null {
  const [, selector, validator] = /^([\w-]{22})\.([\w-]{43})$/.exec(value) ?? []
  return selector === undefined || validator === undefined ? null : new DeviceToken(selector, validator)
}

/** A remembered device, with its user unless that one is deleted. Times are milliseconds since the epoch. */
export interface StoredDevice {
  userId: number
  validator: ValidatorDigest
  /** The validator before this one; null for none. */
  previous: ValidatorDigest | null
  createdAt: number
  rotatedAt: number
  /** Whether the browser has shown that it got this one. */
  isDelivered: boolean
  expiresAt: number
  /** The stamp of the password with which its user logged in. */
  password: PasswordStamp
  /** The stamp of the user's password of today; null when there is no such user any more. */
  ownerPassword: PasswordStamp | null
}

/** Why a device opened nothing. It goes to the log and to a metric, and never to the client. */
export type DeviceFailure =
  | 'device_malformed'
  | 'device_unknown'
  | 'device_expired'
  | 'device_no_owner'
  | 'device_password_changed'
  | 'device_stolen'

/**
 * Decides what a device's token is worth, given the row that its selector led to: `current` is to be replaced by a
 * new one; `parallel` was replaced a moment ago by a request sent at the same time; `undelivered` was replaced by one
 * that never reached the browser, and whoever holds that one is not to have it. Any other validator of a known device
 * was used before: two hold it, and one of them stole it.
 *
 * @param now milliseconds since the epoch
 */
export function judgeDevice(
  token: DeviceToken,
  stored: StoredDevice | null,
  now: number,
): 'current' | 'parallel' | 'undelivered' | DeviceFailure {
  if (stored === null) return 'device_unknown'
  if (!(stored.expiresAt > now)) return 'device_expired'
  if (stored.ownerPassword === null) return 'device_no_owner'
  if (!equalSecrets(stored.password, stored.ownerPassword)) return 'device_password_changed'
  const digest = token.digest()
  if (equalSecrets(stored.validator, digest)) return 'current'
  const isPrevious = stored.previous !== null && equalSecrets(stored.previous, digest)
  if (isPrevious && now - stored.rotatedAt <= GRACE_MS) return 'parallel'
  return isPrevious && !stored.isDelivered ? 'undelivered' : 'device_stolen'
}
