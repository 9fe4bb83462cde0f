import { verify as verifyArgon } from '@node-rs/argon2'
import { hash as hashBcrypt, verify as verifyBcrypt } from '@node-rs/bcrypt'

declare const passwordHash: unique symbol

/** A password hash in the form that PHP's password_hash writes. */
export type PasswordHash = string & { readonly [passwordHash]: true }

/** bcrypt reads no further: what lies behind would protect nothing. */
const MAX_PASSWORD_BYTES = 72

/** Why a password cannot be anybody's new one; null when it can. */
export function passwordFault(password: string): string | null {
  if (password === '') return 'must not be empty'
  if (password.includes('\0')) return 'must not contain a NUL character'
  if (Buffer.byteLength(password) > MAX_PASSWORD_BYTES)
    return `must not be longer than ${MAX_PASSWORD_BYTES} bytes`
  return null
}

/**
 * Hashes a new password with bcrypt, in the `$2y$` form that PHP recognises, off the event loop.
 *
 * @param rounds bcrypt's cost, the binary logarithm of the work
 * @throws {RangeError} for a password that {@link passwordFault} rejects
 */
export async function hashPassword(password: string, rounds: number): Promise<PasswordHash> {
  const fault = passwordFault(password)
  if (fault !== null) throw new RangeError(`The password ${fault}.`)
  return (await hashBcrypt(password, { cost: rounds, version: '2y' })) as PasswordHash
}

/**
 * Whether a password belongs to a hash that Laravel or we wrote: bcrypt (`$2y$`, `$2a$`, `$2b$`), argon2i or
 * argon2id. bcrypt compares the first 72 bytes, as PHP does. Whatever cannot be read matches nothing.
 */
export async function verifyPassword(password: string, hash: string): Promise<boolean> {
  // PHP stops at a NUL, and so "secret\0anything" would open what "secret" opens.
  if (password.includes('\0')) return false
  try {
    if (/^\$2[aby]\$/.test(hash)) return await verifyBcrypt(password, hash)
    if (/^\$argon2(i|id)\$/.test(hash)) return await verifyArgon(hash, password)
  } catch {
    return false
  }
  return false
}
