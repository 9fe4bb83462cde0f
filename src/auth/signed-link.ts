import { createHash, createHmac } from 'node:crypto'
import { equalSecrets } from './secret.ts'
import { HOUR_MS } from './time.ts'

/** Milliseconds for which a link to verify an e-mail address counts. */
export const VERIFICATION_MS = HOUR_MS

/** What stands in the place of an e-mail address in a link. */
export const emailHash = (email: string): string => createHash('sha1').update(email).digest('hex')

/**
 * An address that counts until a moment, signed as Laravel signs its temporary URLs: HMAC-SHA256 of the whole of it
 * but the signature, with the key's text as configured.
 *
 * @param url the whole address, without a query
 * @param until milliseconds since the epoch
 */
export function signLink(url: string, until: number, key: string): string {
  const link = `${url}?expires=${Math.floor(until / 1000)}`
  return `${link}&signature=${signatureOf(link, key)}`
}

/**
 * Whether an address was signed by one of the keys and still counts. The query must be exactly what
 * {@link signLink} writes: nothing may be added, moved or doubled.
 *
 * @param url the whole address, without the query
 * @param query what stands behind the question mark
 * @param now milliseconds since the epoch
 * @param keys the texts of the keys
 */
export function isSignedLink(url: string, query: string, now: number, keys: readonly string[]): boolean {
  const [, expires, signature] = /^expires=(\d{1,12})&signature=([0-9a-f]{64})$/.exec(query) ?? []
  if (expires === undefined || signature === undefined) return false
  const link = `${url}?expires=${expires}`
  const isGenuine = keys.some(key => equalSecrets(signatureOf(link, key), signature))
  return isGenuine && Number(expires) * 1000 >= now
}

const signatureOf = (link: string, key: string) => createHmac('sha256', key).update(link).digest('hex')
