import { DAY_MS } from '#src/auth/time.ts'
import type { Config } from '#src/config/config.ts'
import type { EpochMillis } from '#src/runtime/units.ts'

/** The path of `security.txt` (RFC 9116 §3). */
export const SECURITY_TXT_PATH = '/.well-known/security.txt'

/** The validity of `security.txt`: less than a year (RFC 9116 §2.5.5). */
const VALID_DAYS = 180

/**
 * Returns `security.txt` (RFC 9116); null unless SECURITY_CONTACT is set.
 *
 * @param now the text is the same for a whole UTC day
 */
export function renderSecurityTxt(
  { securityContact, appUrl }: Pick<Config, 'securityContact' | 'appUrl'>,
  now: EpochMillis,
): string | null {
  if (securityContact.length === 0) return null
  const expires = (Math.floor(now / DAY_MS) + VALID_DAYS) * DAY_MS
  return [
    ...securityContact.map(contact => `Contact: ${contact}`),
    `Expires: ${new Date(expires).toISOString()}`,
    'Preferred-Languages: en',
    // At the root of the host (RFC 8615), whatever the path of APP_URL is.
    `Canonical: ${appUrl.origin}${SECURITY_TXT_PATH}`,
    '',
  ].join('\n')
}
