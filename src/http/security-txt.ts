import { DAY_MS } from '#src/auth/time.ts'
import type { Config } from '#src/config/config.ts'

/** Where `security.txt` is (RFC 9116, section 3). */
export const SECURITY_TXT_PATH = '/.well-known/security.txt'

/** How long a copy of it may be used: less than a year (RFC 9116, section 2.5.5). */
const VALID_DAYS = 180

/**
 * Whom to tell of security faults, as RFC 9116 writes it; null unless SECURITY_CONTACT says whom.
 *
 * @param now milliseconds since the epoch; the text is the same for the whole of a UTC day
 */
export function securityTxt(
  { securityContact, appUrl }: Pick<Config, 'securityContact' | 'appUrl'>,
  now: number,
): string | null {
  if (securityContact.length === 0) return null
  const expires = (Math.floor(now / DAY_MS) + VALID_DAYS) * DAY_MS
  return [
    ...securityContact.map(contact => `Contact: ${contact}`),
    `Expires: ${new Date(expires).toISOString()}`,
    'Preferred-Languages: en',
    `Canonical: ${appUrl.origin}${SECURITY_TXT_PATH}`,
    '',
  ].join('\n')
}
