import { parseBoolean } from '#src/input/boolean.ts'
import { parseInteger } from '#src/input/integer.ts'
import { MESSAGES } from '#src/responses/messages.ts'
import { typeMessage } from '#src/responses/validation.ts'
import type { Comparison, Value } from './query.ts'
import type { Field, Kind } from './resource.ts'

const { rules } = MESSAGES

/** The comparisons that each kind of field supports. */
export const COMPARISONS_BY_KIND: Readonly<Record<Kind, readonly Comparison[]>> = {
  string: ['eq', 'ne', 'like', 'notlike'],
  integer: ['eq', 'ne', 'lt', 'gt', 'lte', 'gte'],
  float: ['eq', 'ne', 'lt', 'gt', 'lte', 'gte'],
  date: ['eq', 'ne', 'lt', 'gt', 'lte', 'gte'],
  enum: ['eq', 'ne'],
  boolean: ['eq', 'ne'],
  json: [],
}

/** The parts of a date from the year on. */
const DATE =
  /^(?<Y>\d{4})(?:-(?<m>\d\d)(?:-(?<d>\d\d)(?:T(?<H>\d\d)(?::(?<i>\d\d)(?::(?<s>\d\d)(?:\.(?<u>\d{6}))?)?)?)?)?)?$/

/**
 * Parses a UTC time, from the year to the microsecond; missing parts are the start of the period. Returns undefined for
 * anything else, including dates that do not exist.
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

/** Parses a value of a field; returns undefined for an invalid one. */
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
      // PostgreSQL text can hold every character except NUL.
      return text.includes('\0') ? undefined : text
  }
}

/** Returns the error message of an invalid value. */
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
