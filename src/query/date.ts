/**
 * Formats a UTC timestamp of the database, `2026-03-01 12:34:56[.123456]` or with a `T` as in PostgreSQL's JSON, as AnimeThemes' JSON does: ISO 8601 with six
 * fractional digits and `Z`. Years before 0 and after 9999 have a sign and six digits (ECMA-262 §21.4.1.32.1).
 */
export function formatDate(timestamp: string): string {
  if (timestamp[YEAR_DIGITS] !== '-' || timestamp.endsWith(BEFORE_CHRIST)) return formatDistantDate(timestamp)
  const text = timestamp[DATE_LENGTH] === ' ' ? timestamp.replace(' ', 'T') : timestamp
  return `${text.length === SECONDS_LENGTH ? `${text}.` : text}${MISSING_DIGITS[text.length] ?? ''}Z`
}

const DATE_LENGTH = '2026-03-01'.length
const SECONDS_LENGTH = '2026-03-01T12:34:56'.length

/** The zeros that complete a fraction of a second, by the length of the timestamp. */
const MISSING_DIGITS: Readonly<Record<number, string>> = Object.fromEntries(
  Array.from({ length: 6 }, (_, digits) => [
    SECONDS_LENGTH + (digits === 0 ? 0 : digits + 1),
    '0'.repeat(6 - digits),
  ]),
)

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

/** The formats of the reference: the parts of a date from the year on. */
const PARTIAL_DATE =
  /^(?<Y>\d{4})(?:-(?<m>\d\d)(?:-(?<d>\d\d)(?:T(?<H>\d\d)(?::(?<i>\d\d)(?::(?<s>\d\d)(?:\.(?<u>\d{6}))?)?)?)?)?)?$/

/**
 * A date as responses show it, as {@link formatDate} does or as the database does, or as JavaScript writes it, with fewer
 * fractional digits. The `+` of a distant year may be
 * missing: in a query string it is a space unless the client encodes it.
 */
const SHOWN_DATE =
  /^(?<Y>\d{4}|[+-]?\d{6})-(?<m>\d\d)-(?<d>\d\d)[T ](?<H>\d\d):(?<i>\d\d):(?<s>\d\d)(?:\.(?<u>\d{6}|\d{1,5}(?=Z)))?Z?$/

/** PostgreSQL's first timestamp is in November 4714 BC, its last one in December of this year. */
const LAST_YEAR = 294_276
const FIRST_YEAR = -4713
const FIRST_DAY = '11-24'

/** The calendar repeats after so many years. */
const CALENDAR_CYCLE = 400

/**
 * Parses a UTC time to the database's format: from the year to the microsecond, where missing parts are the start of the
 * period, or as responses show it. Returns undefined for anything else, including dates that do not exist or that
 * PostgreSQL cannot store.
 */
export function parseDate(text: string): string | undefined {
  const parts = (PARTIAL_DATE.exec(text) ?? SHOWN_DATE.exec(text))?.groups
  if (parts === undefined) return undefined
  const { Y = '', m = '01', d = '01', H = '00', i = '00', s = '00', u = '' } = parts
  const year = Number(Y)
  const rest = `${m}-${d}T${H}:${i}:${s}`
  if (Y === '0000' || year > LAST_YEAR || year < FIRST_YEAR) return undefined
  if (year === FIRST_YEAR && rest < FIRST_DAY) return undefined
  // A year of the same calendar: JavaScript's dates end before PostgreSQL's.
  const sameCalendar = `${2000 + (((year % CALENDAR_CYCLE) + CALENDAR_CYCLE) % CALENDAR_CYCLE)}-${rest}`
  const moment = new Date(`${sameCalendar}Z`)
  if (Number.isNaN(moment.getTime()) || moment.toISOString().slice(0, 19) !== sameCalendar) return undefined
  const [counted, era] = year > 0 ? [year, ''] : [1 - year, BEFORE_CHRIST]
  return `${String(counted).padStart(4, '0')}-${rest.replace('T', ' ')}.${u.padEnd(6, '0')}${era}`
}
