/**
 * Formats a UTC timestamp of the database, `2026-03-01 12:34:56[.123456]`, as AnimeThemes' JSON does: ISO 8601 with six
 * fractional digits and `Z`. Years before 0 and after 9999 have a sign and six digits (ECMA-262 §21.4.1.32.1).
 */
export function formatDate(timestamp: string): string {
  if (timestamp[YEAR_DIGITS] !== '-' || timestamp.endsWith(BEFORE_CHRIST)) return formatDistantDate(timestamp)
  const [seconds = '', fraction = ''] = timestamp.split('.')
  return `${seconds.replace(' ', 'T')}.${fraction.padEnd(6, '0')}Z`
}

const YEAR_DIGITS = 4
const BEFORE_CHRIST = ' BC'

/** PostgreSQL counts years before Christ from 1, so that 1 BC is the year 0. */
function formatDistantDate(timestamp: string): string {
  const isBeforeChrist = timestamp.endsWith(BEFORE_CHRIST)
  const [year = '', ...rest] = timestamp.replace(BEFORE_CHRIST, '').split('-')
  const astronomical = isBeforeChrist ? Number(year) - 1 : Number(year)
  const [seconds = '', fraction = ''] = rest.join('-').split('.')
  const sign = isBeforeChrist && astronomical > 0 ? '-' : '+'
  return `${sign}${String(astronomical).padStart(6, '0')}-${seconds.replace(' ', 'T')}.${fraction.padEnd(6, '0')}Z`
}
