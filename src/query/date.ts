/**
 * Formats a UTC timestamp of the database, `2026-03-01 12:34:56[.123456]`, as AnimeThemes' JSON does: ISO 8601 with six
 * fractional digits and `Z`.
 */
export function formatDate(timestamp: string): string {
  const [seconds = '', fraction = ''] = timestamp.split('.')
  return `${seconds.replace(' ', 'T')}.${fraction.padEnd(6, '0')}Z`
}
