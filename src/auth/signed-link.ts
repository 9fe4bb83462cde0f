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
 * Whether a URL was signed by one of the keys and has not expired. The parameters that {@link signLink} writes must be
 * there once, and are all that counts: mail programs and networks add others to track who opens a link.
 *
 * @param url without the query
 * @param query without the question mark
 * @param keys the texts of the keys
 */
export function isSignedLink(url: string, query: string, now: EpochMillis, keys: readonly string[]): boolean {
  const { expires, signature } = readSignedLink(query)
  if (!/^\d{1,12}$/.test(expires) || !/^[0-9a-f]{64}$/.test(signature)) return false
  const link = `${url}?expires=${expires}`
  const isGenuine = keys.some(key => constantTimeEqual(computeSignature(link, key), signature))
  return isGenuine && Number(expires) * 1000 >= now
}

/** The parameters of a signed link, as they are written in its query. */
export const readSignedLink = (query: string): { expires: string; signature: string } => ({
  expires: parameterOf(query, 'expires'),
  signature: parameterOf(query, 'signature'),
})

/** The text of a parameter as it is written; empty for none, and for one that is given twice. */
function parameterOf(query: string, name: string): string {
  const values = query.split('&').filter(pair => pair.startsWith(`${name}=`))
  return values.length === 1 ? (values[0] as string).slice(name.length + 1) : ''
}

const computeSignature = (link: string, key: string) => createHmac('sha256', key).update(link).digest('hex')
