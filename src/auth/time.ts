/**
 * A `timestamp without time zone` in UTC as PostgreSQL prints it, `2026-03-01 12:34:56[.123456]`,
 * in milliseconds since the epoch. `infinity` and `-infinity` keep their meaning; anything that
 * cannot be read is NaN, which no comparison lets through.
 */
export function timestampToMillis(text: string): number {
  if (text === 'infinity') return Number.POSITIVE_INFINITY
  if (text === '-infinity') return Number.NEGATIVE_INFINITY
  return Date.parse(text.replace(' ', 'T') + 'Z')
}

/** Milliseconds since the epoch as a UTC timestamp that PostgreSQL reads: `2026-03-01 12:34:56.123`. */
export function millisToTimestamp(millis: number): string {
  return new Date(millis).toISOString().slice(0, -1).replace('T', ' ')
}

/** The same in whole seconds, for columns that hold no more: PostgreSQL would round up, Laravel cuts off. */
export const millisToSeconds = (millis: number): string =>
  millisToTimestamp(millis - (millis % 1000)).slice(0, 19)
