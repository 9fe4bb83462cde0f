import { parseBoolean } from '#src/input/boolean.ts'
import { parseInteger } from '#src/input/integer.ts'
import { MESSAGES } from '#src/responses/messages.ts'
import { typeMessage } from '#src/responses/validation.ts'
import { parseDate } from './date.ts'
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
