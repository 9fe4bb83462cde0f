/** Milliseconds of a minute, of an hour and of a day. */
export const MINUTE_MS = 60_000
export const HOUR_MS = 60 * MINUTE_MS
export const DAY_MS = 24 * HOUR_MS

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

/** A moment in ISO 8601, in UTC and whole seconds; `millis` since the epoch. */
export const millisToIso = (millis: number): string => `${new Date(millis).toISOString().slice(0, 19)}Z`

const FIRST_YEAR = Date.parse('0001-01-01T00:00Z')
const YEAR_10000 = Date.parse('+010000-01-01T00:00Z')

/**
 * A moment in ISO 8601, in milliseconds since the epoch; NaN for anything else. A date alone is its midnight, and
 * without an offset it is UTC.
 */
export function isoToMillis(text: string): number {
  const [, date, time = 'T00:00', offset = 'Z'] =
    /^(\d{4}-\d\d-\d\d)(T\d\d:\d\d(?::\d\d(?:\.\d{1,9})?)?)?(Z|[+-]\d\d:\d\d)?$/.exec(text) ?? []
  // Some days that no month has would be those of the next.
  const midnight = Date.parse(`${date}T00:00Z`)
  if (Number.isNaN(midnight) || !new Date(midnight).toISOString().startsWith(`${date}T`)) return Number.NaN
  const moment = Date.parse(`${date}${time}${offset}`)
  // The others are written in other ways, or not at all.
  return moment >= FIRST_YEAR && moment < YEAR_10000 ? moment : Number.NaN
}
