import { crc32 } from 'node:zlib'
import { ALL_ABILITIES } from './ability.ts'
import { randomAlphanumerics, Secret, sha256 } from './secret.ts'

declare const digest: unique symbol

/** The lowercase hex SHA-256 of a token's secret: all of it that is stored. */
export type TokenDigest = string & { readonly [digest]: true }

/** A token as its owner holds it, `{id}|{secret}`. */
export class PlainToken extends Secret {
  constructor(id: number | string, secret: TokenSecret) {
    super(`${id}|${secret.reveal()}`)
  }
}

/** A token's secret, the part behind the `|`. */
export class TokenSecret extends Secret {
  /** The form in which the secret is stored: SHA-256 of all of it, prefix and checksum included. */
  digest() {
    return sha256(this.reveal()) as TokenDigest
  }
}

const ENTROPY_LENGTH = 40

/**
 * A new secret as Sanctum makes it: the prefix, 40 random alphanumerics (238 bits), and the CRC-32 of those
 * 40 as eight hex digits, by which scanners recognise a leaked token. Nobody checks it on the way in.
 *
 * @param random returns that many random bytes
 */
export function mintSecret(prefix: string, random: (size: number) => Buffer): TokenSecret {
  const entropy = randomAlphanumerics(ENTROPY_LENGTH, random)
  return new TokenSecret(`${prefix}${entropy}${crc32(entropy).toString(16).padStart(8, '0')}`)
}

/** What a presented token asks to be looked up by. Without an id, the digest itself is the key. */
export interface TokenCredential {
  /** Decimal digits within bigint's range, or null. */
  id: string | null
  digest: TokenDigest
}

const MAX_BIGINT = '9223372036854775807'

/**
 * Reads a presented token, with or without its `{id}|`; null when no token can look like that.
 *
 * The id is one or more ASCII digits, leading zeros allowed, up to bigint's end; what follows the first `|`
 * is the secret, neither empty nor `0`, which PHP takes for empty.
 */
export function parseToken(presented: string): TokenCredential | null {
  const pipe = presented.indexOf('|')
  const secret = pipe === -1 ? presented : presented.slice(pipe + 1)
  if (secret === '' || secret === '0') return null
  if (pipe === -1) return { id: null, digest: new TokenSecret(secret).digest() }
  const id = /^0*(\d{1,19})$/.exec(presented.slice(0, pipe))?.[1]
  if (id === undefined || (id.length === MAX_BIGINT.length && id > MAX_BIGINT)) return null
  return { id, digest: new TokenSecret(secret).digest() }
}

/**
 * The credential of an `Authorization` header: the scheme `Bearer` in any case (RFC 9110 §11.1), one space,
 * and one token. Null for another scheme, and for empty, doubled, padded or comma-joined credentials.
 */
export function bearerCredential(authorization: string): TokenCredential | null {
  const presented = /^bearer ([^\s,]+)$/i.exec(authorization)?.[1]
  return presented === undefined ? null : parseToken(presented)
}

/**
 * Reads the `abilities` column, a JSON array of strings. NULL, and whatever is not such an array, grants none.
 */
export function parseAbilities(json: string | null): readonly string[] {
  if (json === null) return NONE
  if (json === ALL_JSON) return ALL
  try {
    const value: unknown = JSON.parse(json)
    return Array.isArray(value) ? value.filter(item => typeof item === 'string') : NONE
  } catch {
    return NONE
  }
}

const ALL: readonly string[] = Object.freeze([ALL_ABILITIES])
/** What the column holds in most rows. */
const ALL_JSON = JSON.stringify(ALL)
const NONE: readonly string[] = Object.freeze([])
