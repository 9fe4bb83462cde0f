import type { Bytes, Millis } from '#src/runtime/units.ts'
import { Secret, sha256 } from './secret.ts'
import { DAY_MS } from './time.ts'

declare const digest: unique symbol

/** The lowercase hex SHA-256 of a revert token. Only the digest is stored. */
export type RevertDigest = string & { readonly [digest]: true }

const BYTES = 32

/** How long a change of an e-mail address can be reverted, and the old address stays reserved. */
export const REVERT_MS: Millis = 7 * DAY_MS

/** The token mailed to an account's previous address: 256 random bits in base64url. */
export class RevertToken extends Secret {
  digest(): RevertDigest {
    return sha256(this.reveal()) as RevertDigest
  }
}

export const mintRevertToken = (random: (size: Bytes) => Buffer): RevertToken =>
  new RevertToken(random(BYTES).toString('base64url'))

/** Parses a token; null for another format. */
export const parseRevertToken = (text: unknown): RevertToken | null =>
  typeof text === 'string' && /^[\w-]{43}$/.test(text) ? new RevertToken(text) : null
