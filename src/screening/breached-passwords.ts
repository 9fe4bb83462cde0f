import { createHash } from 'node:crypto'

const PREFIX_LENGTH = 5
const TIMEOUT_MS = 2_000

/**
 * Asks a service with the interface of Pwned Passwords whether a password is in its list of leaked ones. Of the
 * password's SHA-1 it learns the first five hex digits (k-anonymity), and by padding not even how many it has with those.
 *
 * @param url what the digits are put behind
 * @throws when there is no answer within two seconds
 */
export async function isBreached(url: string, password: string): Promise<boolean> {
  const digest = createHash('sha1').update(password).digest('hex').toUpperCase()
  const [prefix, suffix] = [digest.slice(0, PREFIX_LENGTH), digest.slice(PREFIX_LENGTH)]
  const response = await fetch(`${url.replace(/\/?$/, '/')}${prefix}`, {
    headers: { 'add-padding': 'true' },
    signal: AbortSignal.timeout(TIMEOUT_MS),
  })
  if (!response.ok) throw new Error(`The list of leaked passwords answered ${response.status}.`)
  const lines = (await response.text()).split(/\r?\n/)
  // Padding has a count of nought.
  return lines.some(line => line.toUpperCase().startsWith(`${suffix}:`) && !/:0*$/.test(line))
}
