import { Secret, sha256 } from './secret.ts'
import { DAY_MS } from './time.ts'

declare const digest: unique symbol

/** The lowercase hex SHA-256 of a security link's token: all of it that is stored. */
export type SecurityLinkDigest = string & { readonly [digest]: true }

const BYTES = 32

/** Milliseconds for which a user can say that something was not the user's doing. */
export const SECURITY_LINK_MS = 7 * DAY_MS

/** What a mail about an account brings along, for its user to end all that may be somebody else's: 256 random bits. */
export class SecurityLinkToken extends Secret {
  /** The form in which the token is stored. */
  digest(): SecurityLinkDigest {
    return sha256(this.reveal()) as SecurityLinkDigest
  }
}

/**
 * A new token for a security link.
 *
 * @param random returns that many random bytes
 */
export const mintSecurityLinkToken = (random: (size: number) => Buffer): SecurityLinkToken =>
  new SecurityLinkToken(random(BYTES).toString('base64url'))

/** Reads a token as a link or a form has it; null when it cannot be ours. */
export const parseSecurityLinkToken = (text: unknown): SecurityLinkToken | null =>
  typeof text === 'string' && /^[\w-]{43}$/.test(text) ? new SecurityLinkToken(text) : null
