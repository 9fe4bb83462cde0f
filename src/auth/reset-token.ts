import { hashPassword, type PasswordHash } from './password.ts'
import { Secret, sha256 } from './secret.ts'

const BYTES = 32

/** bcrypt's least: with 256 random bits there is nothing to guess, and bcrypt is what Laravel reads and writes. */
const ROUNDS = 4

/** What a mail brings to whoever forgot a password: 256 random bits in hex, as many as Laravel's. */
export class ResetToken extends Secret {
  /** The lowercase hex SHA-256 of the token, by which a registration that waits for it is stored and found. */
  digest(): string {
    return sha256(this.reveal())
  }
}

/**
 * A new reset token.
 *
 * @param random returns that many random bytes
 */
export const mintResetToken = (random: (size: number) => Buffer): ResetToken =>
  new ResetToken(random(BYTES).toString('hex'))

/** The form in which a reset token is stored. */
export const hashResetToken = (token: ResetToken): Promise<PasswordHash> =>
  hashPassword(token.reveal(), ROUNDS)
