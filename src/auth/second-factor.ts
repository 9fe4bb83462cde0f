import { lazyPackage } from '#src/runtime/lazy-package.ts'
import type { Bytes, EpochMillis, Seconds } from '#src/runtime/units.ts'
import type { Principal } from './identity.ts'
import { isStaff } from './permission.ts'
import { constantTimeEqual, randomAlphanumerics } from './secret.ts'

const otpauth = lazyPackage<typeof import('otpauth')>('otpauth')
const uqr = lazyPackage<typeof import('uqr')>('uqr')

/** The period of a code (RFC 6238 §4.1), and the tolerated clock skew in periods. */
const PERIOD_S: Seconds = 30
const WINDOW = 1

/** 160 bits, as RFC 4226 §4 recommends. */
const SECRET_BYTES = 20

const RECOVERY_CODES = 8
const RECOVERY_HALF = 10

/** The size of the QR code in pixels, as in Laravel. */
const QR_SIZE = 192

/** Values of REQUIRE_SECOND_FACTOR. */
type Requirement = 'none' | 'staff' | 'all'

/** Whether REQUIRE_SECOND_FACTOR applies to a user. */
export const requiresSecondFactor = (
  { permissions }: Pick<Principal, 'permissions'>,
  required: Requirement,
): boolean => required === 'all' || (required === 'staff' && isStaff(permissions))

/** Whether a user must still confirm a required second factor. */
export const lacksRequiredSecondFactor = (
  principal: Pick<Principal, 'user' | 'permissions'>,
  required: Requirement,
): boolean => !principal.user.hasSecondFactor && requiresSecondFactor(principal, required)

/** Returns a new secret for an authenticator app, in base32. */
export const mintTotpSecret = (random: (size: Bytes) => Buffer): string =>
  new (otpauth().Secret)({ buffer: new Uint8Array(random(SECRET_BYTES)).buffer }).base32

/**
 * Verifies a code (RFC 6238 §4.2: SHA-1, six digits, 30 seconds) of the current time step or an adjacent one. Spaces
 * are ignored.
 *
 * @param secret base32
 * @returns the time step of the code; null for a wrong code
 */
export function totpStep(secret: string, code: string, now: EpochMillis): number | null {
  const digits = code.replace(/\s/g, '')
  if (!/^\d{6}$/.test(digits)) return null
  try {
    const delta = createTotp(secret).validate({ token: digits, timestamp: now, window: WINDOW })
    return delta === null ? null : Math.floor(now / 1000 / PERIOD_S) + delta
  } catch {
    // What is stored need not be base32.
    return null
  }
}

/** A secret for an authenticator app. */
export interface TotpQrCode {
  svg: string
  /** The `otpauth:` URI that the QR code encodes. */
  url: string
}

/** Renders the QR code for an authenticator app. */
export function totpQrCode(
  secret: string,
  { issuer, account }: { issuer: string; account: string },
): TotpQrCode {
  const url = createTotp(secret, { issuer, label: account }).toString()
  return { svg: uqr().renderSVG(url).replace('<svg ', `<svg width="${QR_SIZE}" height="${QR_SIZE}" `), url }
}

function createTotp(secret: string, names: { issuer?: string; label?: string } = {}) {
  const { Secret, TOTP } = otpauth()
  return new TOTP({ ...names, secret: Secret.fromBase32(secret), period: PERIOD_S })
}

/** Returns new recovery codes: each replaces a code of the authenticator app once. */
export const mintRecoveryCodes = (random: (size: Bytes) => Buffer): string[] =>
  Array.from({ length: RECOVERY_CODES }, () => mintRecoveryCode(random))

const mintRecoveryCode = (random: (size: Bytes) => Buffer) =>
  [1, 2].map(() => randomAlphanumerics(RECOVERY_HALF, random)).join('-')

/** Uses a recovery code up: it is replaced by a new one in the returned list. Null for a wrong code. */
export function consumeRecoveryCode(
  codes: readonly string[],
  code: string,
  random: (size: Bytes) => Buffer,
): string[] | null {
  const entered = withoutSeparators(code)
  // Compares with every code, so that the time does not reveal which one matched.
  const used = codes.map(candidate => constantTimeEqual(withoutSeparators(candidate), entered)).indexOf(true)
  return used === -1 ? null : codes.with(used, mintRecoveryCode(random))
}

/** A recovery code as people copy it, without spaces and line breaks, and without its dash, which programs replace. */
const withoutSeparators = (code: string): string =>
  code.slice(0, MAX_ENTERED_CODE).replace(/[\s\p{Dash_Punctuation}\u200b\ufeff]/gu, '')

/** Longer than a recovery code with any separators. */
const MAX_ENTERED_CODE = 200

/** Parses the decrypted list of recovery codes, a JSON array of strings; null for anything else. */
export function parseRecoveryCodes(json: string): string[] | null {
  try {
    const value: unknown = JSON.parse(json)
    return Array.isArray(value) && value.every(item => typeof item === 'string') ? value : null
  } catch {
    // The stored secret may not be base32.
    return null
  }
}
