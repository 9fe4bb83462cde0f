import { hash } from 'node:crypto'

const MAX_LENGTH = 500

/**
 * A key by which rows are found, or the SHA-256 of a long one: PostgreSQL's B-trees take 2,704 bytes, and a character of
 * UTF-8 has four at most. What PostgreSQL keeps in no text, a NUL or half a surrogate pair, becomes U+FFFD.
 */
export function indexKey(key: string): string {
  const whole = key.replace(/[\0\p{Cs}]/gu, '\ufffd')
  return whole.length <= MAX_LENGTH ? whole : `sha256:${hash('sha256', whole, 'hex')}`
}
