import { parseBoolean } from '#src/input/boolean.ts'
import { parseInteger } from '#src/input/integer.ts'
import { MESSAGES } from '#src/responses/messages.ts'
import { typeMessage } from '#src/responses/validation.ts'
import type { Comparison, Value } from './query.ts'
import type { Field, Kind } from './resource.ts'

const { rules } = MESSAGES

/** The comparisons that a kind of field understands. */
export const COMPARISONS_OF: Readonly<Record<Kind, readonly Comparison[]>> = {
  string: ['eq', 'ne', 'like', 'notlike'],
  integer: ['eq', 'ne', 'lt', 'gt', 'lte', 'gte'],
  float: ['eq', 'ne', 'lt', 'gt', 'lte', 'gte'],
  date: ['eq', 'ne', 'lt', 'gt', 'lte', 'gte'],
  enum: ['eq', 'ne'],
  boolean: ['eq', 'ne'],
  json: [],
}

/** The parts of a date from the year on, and what each is when it is missing. */
const DATE =
  /^(?<Y>\d{4})(?:-(?<m>\d\d)(?:-(?<d>\d\d)(?:T(?<H>\d\d)(?::(?<i>\d\d)(?::(?<s>\d\d)(?:\.(?<u>\d{6}))?)?)?)?)?)?$/

/**
 * A moment from the year down to the microsecond, in UTC; what is missing is the start of the period. Undefined
 * for anything else, days that no calendar has included.
 */
export function parseDate(text: string): string | undefined {
  const parts = DATE.exec(text)?.groups
  if (parts === undefined) return undefined
  const { Y = '', m = '01', d = '01', H = '00', i = '00', s = '00', u = '000000' } = parts
  const seconds = `${Y}-${m}-${d}T${H}:${i}:${s}`
  const moment = new Date(`${seconds}Z`)
  if (Y === '0000' || Number.isNaN(moment.getTime()) || moment.toISOString().slice(0, 19) !== seconds)
    return undefined
  return `${seconds.replace('T', ' ')}.${u}`
}

/** Reads one value of a field; undefined when it is none. */
export function parseValue(field: Field, text: string): Value | undefined {
  switch (field.kind) {
    case 'integer':
      return parseInteger(text)
    case 'float': {
      const value = /^[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?$/i.test(text) ? Number(text) : Number.NaN
      return Number.isFinite(value) ? value : undefined
    }
    case 'boolean':
      return parseBoolean(text.toLowerCase())
    case 'date':
      return parseDate(text)
    case 'enum': {
      const value = field.labels?.findIndex(label => label.toLowerCase() === text.toLowerCase()) ?? -1
      return value === -1 ? undefined : value
    }
    default:
      // PostgreSQL holds every character but this one.
      return text.includes('\0') ? undefined : text
  }
}

/** What is said of a value that is none. */
export function valueMessage(kind: Kind, name: string): string {
  switch (kind) {
    case 'integer':
    case 'boolean':
      return typeMessage(kind, name)
    case 'float':
      return typeMessage('number', name)
    case 'date':
      return rules.date(name)
    case 'enum':
      return rules.selected(name)
    default:
      return typeMessage('string', name)
  }
}
