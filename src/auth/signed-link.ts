import { createHash, createHmac } from 'node:crypto'
import type { EpochMillis, Millis } from '#src/runtime/units.ts'
import { constantTimeEqual } from './secret.ts'
import { HOUR_MS } from './time.ts'

/** How long a verification link is valid. */
export const VERIFICATION_MS: Millis = HOUR_MS

/** The hash that stands for an e-mail address in a link, as in Laravel. */
export const emailHash = (email: string): string => createHash('sha1').update(email).digest('hex')

/**
 * Signs a temporary URL as Laravel does: HMAC-SHA256 of the URL without the signature, with the text of the key.
 *
 * @param url without a query
 */
export function signLink(url: string, until: EpochMillis, key: string): string {
  const link = `${url}?expires=${Math.floor(until / 1000)}`
  return `${link}&signature=${computeSignature(link, key)}`
}

/**
 * Whether a URL was signed by one of the keys and has not expired. The query must be exactly what {@link signLink}
 * writes: parameters must not be added, moved or duplicated.
 *
 * @param url without the query
 * @param query without the question mark
 * @param keys the texts of the keys
 */
export function isSignedLink(url: string, query: string, now: EpochMillis, keys: readonly string[]): boolean {
  const [, expires, signature] = /^expires=(\d{1,12})&signature=([0-9a-f]{64})$/.exec(query) ?? []
  if (expires === undefined || signature === undefined) return false
  const link = `${url}?expires=${expires}`
  const isGenuine = keys.some(key => constantTimeEqual(computeSignature(link, key), signature))
  return isGenuine && Number(expires) * 1000 >= now
}

const computeSignature = (link: string, key: string) => createHmac('sha256', key).update(link).digest('hex')
