import type { EpochMillis, Millis } from '#src/runtime/units.ts'
export const MINUTE_MS: Millis = 60_000
export const HOUR_MS: Millis = 60 * MINUTE_MS
export const DAY_MS: Millis = 24 * HOUR_MS

/**
 * Parses a `timestamp without time zone` in UTC as PostgreSQL prints it: `2026-03-01 12:34:56[.123456]`. `infinity`
 * and `-infinity` become infinite. Other text becomes NaN, which fails all comparisons.
 */
export function timestampToMillis(text: string): EpochMillis {
  const millis = parseTimestamp(text)
  if (!Number.isNaN(millis)) return millis
  if (text === 'infinity') return Number.POSITIVE_INFINITY
  if (text === '-infinity') return Number.NEGATIVE_INFINITY
  return Date.parse(text.replace(' ', 'T') + 'Z')
}

/** Parses a timestamp of the years 100 to 9999, a tenth as long as `Date.parse()` does; NaN for other text. */
function parseTimestamp(text: string): EpochMillis {
  const { length } = text
  const hasFraction = length > 20 && length <= 26 && text[19] === '.'
  const isTimestamp =
    (length === 19 || hasFraction) &&
    text[4] === '-' &&
    text[7] === '-' &&
    text[10] === ' ' &&
    text[13] === ':' &&
    text[16] === ':'
  if (!isTimestamp) return Number.NaN
  const year = parseDigits(text, 0, 4)
  const [month, day] = [parseDigits(text, 5, 7), parseDigits(text, 8, 10)]
  const [hour, minute] = [parseDigits(text, 11, 13), parseDigits(text, 14, 16)]
  const second = parseDigits(text, 17, 19)
  // Date.UTC() takes smaller years as those of the 20th century, and larger values as those of the next unit.
  const isInRange =
    year >= 100 &&
    month >= 1 &&
    month <= 12 &&
    day >= 1 &&
    day <= 31 &&
    hour < 24 &&
    minute < 60 &&
    second < 60
  if (!isInRange) return Number.NaN
  const fraction = hasFraction ? parseDigits(text, 20, length) / 10 ** (length - 20) : 0
  return Date.UTC(year, month - 1, day, hour, minute, second, Math.floor(fraction * 1000))
}

/** Parses the digits between two positions; NaN if there is anything else. */
function parseDigits(text: string, from: number, to: number): number {
  let value = 0
  for (let index = from; index < to; index += 1) {
    const digit = text.charCodeAt(index) - 48
    if (digit < 0 || digit > 9) return Number.NaN
    value = value * 10 + digit
  }
  return value
}

/** Formats a UTC timestamp for PostgreSQL: `2026-03-01 12:34:56.123`. */
export function millisToTimestamp(millis: EpochMillis): string {
  return new Date(millis).toISOString().slice(0, -1).replace('T', ' ')
}

/**
 * Like {@link millisToTimestamp}, truncated to seconds for columns of that precision: PostgreSQL would round, Laravel
 * truncates.
 */
export const millisToSeconds = (millis: EpochMillis): string =>
  millisToTimestamp(millis - (millis % 1000)).slice(0, 19)

/** Formats a time in ISO 8601, in UTC and whole seconds. */
export const millisToIso = (millis: EpochMillis): string => `${new Date(millis).toISOString().slice(0, 19)}Z`

const FIRST_YEAR = Date.parse('0001-01-01T00:00Z')
const YEAR_10000 = Date.parse('+010000-01-01T00:00Z')

/** Parses a time in ISO 8601; NaN for other text. A date alone is its midnight; without an offset it is UTC. */
export function isoToMillis(text: string): EpochMillis {
  const [, date, time = 'T00:00', offset = 'Z'] =
    /^(\d{4}-\d\d-\d\d)(T\d\d:\d\d(?::\d\d(?:\.\d{1,9})?)?)?(Z|[+-]\d\d:\d\d)?$/.exec(text) ?? []
  // Date.parse accepts days such as February 30 and moves them to the next month.
  const midnight = Date.parse(`${date}T00:00Z`)
  if (Number.isNaN(midnight) || !new Date(midnight).toISOString().startsWith(`${date}T`)) return Number.NaN
  const moment = Date.parse(`${date}${time}${offset}`)
  // PostgreSQL and ISO 8601 write years outside of this range differently.
  return moment >= FIRST_YEAR && moment < YEAR_10000 ? moment : Number.NaN
}
