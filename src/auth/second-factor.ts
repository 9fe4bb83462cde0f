import { Secret as OneTimeSecret, TOTP } from 'otpauth'
import { renderSVG } from 'uqr'
import type { Known } from './identity.ts'
import { isStaff } from './permission.ts'
import { equalSecrets, randomAlphanumerics } from './secret.ts'

/** Seconds for which a code counts (RFC 6238 §4.1), and how many steps a clock may be off. */
const PERIOD_S = 30
const WINDOW = 1

/** 160 bits, as RFC 4226 §4 recommends. */
const SECRET_BYTES = 20

const RECOVERY_CODES = 8
const RECOVERY_HALF = 10

/** How large the QR code is shown, in pixels, as Laravel has it. */
const QR_SIZE = 192

/** Of whom REQUIRE_SECOND_FACTOR wants a second factor. */
type Required = 'none' | 'staff' | 'all'

/** Whether a user has to have a second factor, by REQUIRE_SECOND_FACTOR. */
export const requiresSecondFactor = (
  { permissions }: Pick<Known, 'permissions'>,
  required: Required,
): boolean => required === 'all' || (required === 'staff' && isStaff(permissions))

/** Whether a user has to have one, and has not yet confirmed it. */
export const owesSecondFactor = (known: Pick<Known, 'user' | 'permissions'>, required: Required): boolean =>
  !known.user.hasSecondFactor && requiresSecondFactor(known, required)

/**
 * A new secret for an authenticator app, in base32.
 *
 * @param random returns that many random bytes
 */
export const mintTotpSecret = (random: (size: number) => Buffer): string =>
  new OneTimeSecret({ buffer: new Uint8Array(random(SECRET_BYTES)).buffer }).base32

/**
 * The time step that a code belongs to (RFC 6238 §4.2: SHA-1, six digits, thirty seconds), if that is the present
 * one or the one before or after it; null for a wrong code. Spaces in the code do not matter.
 *
 * @param secret base32
 * @param now milliseconds since the epoch
 */
export function totpStep(secret: string, code: string, now: number): number | null {
  const digits = code.replace(/\s/g, '')
  if (!/^\d{6}$/.test(digits)) return null
  try {
    const delta = totp(secret).validate({ token: digits, timestamp: now, window: WINDOW })
    return delta === null ? null : Math.floor(now / 1000 / PERIOD_S) + delta
  } catch {
    // What is stored need not be base32.
    return null
  }
}

/** A secret as authenticator apps take it. */
export interface TotpQrCode {
  /** The QR code. */
  svg: string
  /** The URI that is in it. */
  url: string
}

/** The QR code from which an authenticator app reads a secret, and the URI that is in it. */
export function totpQrCode(
  secret: string,
  { issuer, account }: { issuer: string; account: string },
): TotpQrCode {
  const url = totp(secret, { issuer, label: account }).toString()
  return { svg: renderSVG(url).replace('<svg ', `<svg width="${QR_SIZE}" height="${QR_SIZE}" `), url }
}

const totp = (secret: string, names: { issuer?: string; label?: string } = {}) =>
  new TOTP({ ...names, secret: OneTimeSecret.fromBase32(secret), period: PERIOD_S })

/**
 * Codes that stand in for an authenticator app that is lost, once each.
 *
 * @param random returns that many random bytes
 */
export const mintRecoveryCodes = (random: (size: number) => Buffer): string[] =>
  Array.from({ length: RECOVERY_CODES }, () => mintRecoveryCode(random))

const mintRecoveryCode = (random: (size: number) => Buffer) =>
  [1, 2].map(() => randomAlphanumerics(RECOVERY_HALF, random)).join('-')

/**
 * The codes that are left when one is used: it gives way to a fresh one. Null when it is none of them.
 *
 * @param random returns that many random bytes
 */
export function spendRecoveryCode(
  codes: readonly string[],
  code: string,
  random: (size: number) => Buffer,
): string[] | null {
  // Each is compared, so that the time does not tell which it was.
  const used = codes.map(candidate => equalSecrets(candidate, code.trim())).indexOf(true)
  return used === -1 ? null : codes.with(used, mintRecoveryCode(random))
}

/** Reads the list of recovery codes as it is encrypted: a JSON array of texts. Null for anything else. */
export function parseRecoveryCodes(json: string): string[] | null {
  try {
    const value: unknown = JSON.parse(json)
    return Array.isArray(value) && value.every(item => typeof item === 'string') ? value : null
  } catch {
    return null
  }
}
