import { Secret, sha256 } from './secret.ts'
import { DAY_MS } from './time.ts'

declare const digest: unique symbol

/** The lowercase hex SHA-256 of a revert token: all of it that is stored. */
export type RevertDigest = string & { readonly [digest]: true }

const BYTES = 32

/** Milliseconds for which the change of an e-mail address can be reverted, and the old address stays reserved. */
export const REVERT_MS = 7 * DAY_MS

/** What a mail brings to the address that an account had before: 256 random bits in base64url. */
export class RevertToken extends Secret {
  /** The form in which the token is stored. */
  digest(): RevertDigest {
    return sha256(this.reveal()) as RevertDigest
  }
}

/**
 * A new revert token.
 *
 * @param random returns that many random bytes
 */
export const mintRevertToken = (random: (size: number) => Buffer): RevertToken =>
  new RevertToken(random(BYTES).toString('base64url'))

/** Reads a token as a link or a form has it; null when it cannot be ours. */
export const parseRevertToken = (text: unknown): RevertToken | null =>
  typeof text === 'string' && /^[\w-]{43}$/.test(text) ? new RevertToken(text) : null
