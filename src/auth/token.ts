import { crc32 } from 'node:zlib'
import type { Bytes } from '#src/runtime/units.ts'
import { ALL_ABILITIES } from './ability.ts'
import { randomAlphanumerics, Secret, sha256 } from './secret.ts'

declare const digest: unique symbol

/** The lowercase hex SHA-256 of a token's secret. Only the digest is stored. */
export type TokenDigest = string & { readonly [digest]: true }

/** A token as its owner receives it, `{id}|{secret}`. */
export class PlainToken extends Secret {
  constructor(id: number | string, secret: TokenSecret) {
    super(`${id}|${secret.reveal()}`)
  }
}

/** The secret of a token, after the `|`. */
export class TokenSecret extends Secret {
  /** SHA-256 of the whole secret, prefix and checksum included. */
  digest() {
    return sha256(this.reveal()) as TokenDigest
  }
}

const ENTROPY_LENGTH = 40

/**
 * Returns a new secret in Sanctum's format: the prefix, 40 random alphanumerics (238 bits) and their CRC-32 as eight
 * hex digits, by which scanners recognise leaked tokens. The server does not verify the checksum.
 */
export function mintSecret(prefix: string, random: (size: Bytes) => Buffer): TokenSecret {
  const entropy = randomAlphanumerics(ENTROPY_LENGTH, random)
  return new TokenSecret(`${prefix}${entropy}${crc32(entropy).toString(16).padStart(8, '0')}`)
}

/** The lookup key of a presented token. Without an id, the digest is the key. */
export interface TokenCredential {
  /** Decimal digits within the range of bigint; null for none. */
  id: string | null
  digest: TokenDigest
}

const MAX_BIGINT = '9223372036854775807'

/**
 * Parses a presented token, with or without its `{id}|`; null for malformed tokens.
 *
 * The id is one or more ASCII digits, leading zeros allowed, within the range of bigint. The rest after the first `|`
 * is the secret. It is neither empty nor `0`, which PHP treats as empty.
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
 * Parses an `Authorization` header: the scheme `Bearer` in any case (RFC 9110 §11.1), one space, one token. Null for
 * another scheme, and for empty, repeated, padded or comma-joined credentials.
 */
export function bearerCredential(authorization: string): TokenCredential | null {
  const presented = /^bearer ([^\s,]+)$/i.exec(authorization)?.[1]
  return presented === undefined ? null : parseToken(presented)
}

/** Credentials of a scheme, and a parameter of the ones before, such as Digest's (RFC 9110 §11.2). */
const CREDENTIALS = /^[\w!#$%&'*+.^`|~-]+ +\S/
const PARAMETER = /^[\w!#$%&'*+.^`|~-]+ *= *("[^"]*"|[^\s",]+)$/

/**
 * Returns the `Bearer` credentials alone of an `Authorization` header in which a proxy joined those of several schemes
 * with commas: `Basic …, Bearer …`. The header is returned unchanged if it has none, two, or anything else between the
 * commas.
 */
export function soleBearer(authorization: string): string {
  if (!authorization.includes(',')) return authorization
  let bearer: string | null = null
  let takesParameters = false
  for (const item of authorization.split(',').map(part => part.trim())) {
    const isBearer = /^bearer\b/i.test(item)
    if (isBearer && bearer !== null) return authorization
    if (isBearer) bearer = item
    else if (!CREDENTIALS.test(item) && !(takesParameters && PARAMETER.test(item))) return authorization
    takesParameters = !isBearer
  }
  return bearer ?? authorization
}

/** Parses the `abilities` column, a JSON array of strings. NULL and malformed content grant none. */
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
/** The content of the column in most rows. */
const ALL_JSON = JSON.stringify(ALL)
const NONE: readonly string[] = Object.freeze([])
