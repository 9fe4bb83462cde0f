import type { Bytes } from '#src/runtime/units.ts'
import { hashPassword, type PasswordHash } from './password.ts'
import { Secret, sha256 } from './secret.ts'

const BYTES = 32

/** bcrypt's minimum: 256 random bits cannot be guessed, and bcrypt is what Laravel reads and writes. */
const ROUNDS = 4

/** The token of a password reset mail: 256 random bits in hex, as long as Laravel's. */
export class ResetToken extends Secret {
  /** The lowercase hex SHA-256, which identifies a pending registration. */
  digest(): string {
    return sha256(this.reveal())
  }
}

export const mintResetToken = (random: (size: Bytes) => Buffer): ResetToken =>
  new ResetToken(random(BYTES).toString('hex'))

/** Hashes a reset token for storage. */
export const hashResetToken = (token: ResetToken): Promise<PasswordHash> =>
  hashPassword(token.reveal(), ROUNDS)
