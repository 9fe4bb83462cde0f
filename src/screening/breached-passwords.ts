import { createHash } from 'node:crypto'
import type { Millis } from '#src/runtime/units.ts'

const PREFIX_LENGTH = 5
const TIMEOUT_MS: Millis = 2_000

/**
 * Queries a service with the interface of Pwned Passwords for a leaked password. It receives only the first five hex
 * digits of the SHA-1 (k-anonymity). Padding hides the number of matches from observers of the response size.
 *
 * @param url the base URL to which the digits are appended
 * @throws on an error status and after two seconds without a response
 */
export async function isBreached(url: string, password: string): Promise<boolean> {
  const digest = createHash('sha1').update(password).digest('hex').toUpperCase()
  const [prefix, suffix] = [digest.slice(0, PREFIX_LENGTH), digest.slice(PREFIX_LENGTH)]
  const response = await fetch(`${url.replace(/\/?$/, '/')}${prefix}`, {
    headers: { 'add-padding': 'true' },
    signal: AbortSignal.timeout(TIMEOUT_MS),
  })
  if (!response.ok) throw new Error(`The list of leaked passwords responded with ${response.status}.`)
  const lines = (await response.text()).split(/\r?\n/)
  // Padding lines have the count 0.
  return lines.some(line => line.toUpperCase().startsWith(`${suffix}:`) && !/:0*$/.test(line))
}
