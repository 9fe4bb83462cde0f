import { hash } from 'node:crypto'

const MAX_LENGTH = 500

/**
 * Returns a key for a B-tree index, or the SHA-256 of a long one: index rows are limited to 2,704 bytes, and a
 * character has four bytes at most in UTF-8. Characters that PostgreSQL cannot store (NUL, lone surrogates) become
 * U+FFFD.
 */
export function indexKey(key: string): string {
  const whole = key.replace(/[\0\p{Cs}]/gu, '\ufffd')
  return whole.length <= MAX_LENGTH ? whole : `sha256:${hash('sha256', whole, 'hex')}`
}
