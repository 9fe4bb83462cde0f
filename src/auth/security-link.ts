import type { Bytes, Millis } from '#src/runtime/units.ts'
import { Secret, sha256 } from './secret.ts'
import { DAY_MS } from './time.ts'

declare const digest: unique symbol

/** The lowercase hex SHA-256 of a security link's token. Only the digest is stored. */
export type SecurityLinkDigest = string & { readonly [digest]: true }

const BYTES = 32

/** How long a security link is valid. */
export const SECURITY_LINK_MS: Millis = 7 * DAY_MS

/** The token of a security mail, by which its user ends all access to the account: 256 random bits in base64url. */
export class SecurityLinkToken extends Secret {
  digest(): SecurityLinkDigest {
    return sha256(this.reveal()) as SecurityLinkDigest
  }
}

export const mintSecurityLinkToken = (random: (size: Bytes) => Buffer): SecurityLinkToken =>
  new SecurityLinkToken(random(BYTES).toString('base64url'))

/** Parses a token; null for another format. */
export const parseSecurityLinkToken = (text: unknown): SecurityLinkToken | null =>
  typeof text === 'string' && /^[\w-]{43}$/.test(text) ? new SecurityLinkToken(text) : null
