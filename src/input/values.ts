import { Type } from 'typebox'
import { HttpError } from '#src/responses/errors.ts'
import { MESSAGES } from '#src/responses/messages.ts'
import { truthOf } from './boolean.ts'
import { parseInteger } from './integer.ts'
import type { Parameters } from './querystring.ts'

/** A password that somebody enters. No hash was ever made of a longer one. */
export const EnteredPassword = Type.String({ maxLength: 4096, examples: ['demo-password'] })

/** A password that may be missing: what is said then comes with what else is wrong. */
export const OptionalPassword = Type.Optional(Type.Union([EnteredPassword, Type.Null()]))

/** What people type blindly, and what may begin or end with a space. */
const VERBATIM = new Set(['password', 'password_confirmation', 'current_password'])

/** What a value means, for a schema that knows one form of it. What cannot be read is returned as it is. */
type Reading = (value: unknown) => unknown

/** Reads the fields of a body that have more than one form, before its schema judges them. */
export const reading =
  (readings: Readonly<Record<string, Reading>>) =>
  async ({ body }: { body: unknown }): Promise<void> => {
    const input = body as Record<string, unknown>
    for (const [name, read] of Object.entries(readings)) {
      if (name in input) input[name] = read(input[name])
    }
  }

/** A number where a form can only have its digits. */
export const integerOf: Reading = value => {
  const integer = typeof value === 'string' ? parseInteger(value) : undefined
  return integer === undefined ? value : Number(integer)
}

/** A truth value where a form can only have a word for it. */
export const booleanOf: Reading = value => truthOf(value) ?? value

/** Nothing that means anything here is nested deeper. */
const MAX_DEPTH = 32

/**
 * A body as Laravel sees it: text without the white space around it, except for passwords, and null in the place
 * of empty text. What has no names for its values, such as a list, is no input at all. The objects have no
 * prototype.
 *
 * @throws {HttpError} 400 for values that are nested beyond reason
 */
export const normalizeInput = (body: unknown): Record<string, unknown> =>
  isNamed(body) ? normalizeObject(body, 0) : Object.create(null)

const isNamed = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value)

function normalizeObject(values: Record<string, unknown>, depth: number): Record<string, unknown> {
  const normalized: Record<string, unknown> = Object.create(null)
  for (const [name, value] of Object.entries(values)) {
    if (VERBATIM.has(name)) normalized[name] = value === '' ? null : value
    else normalized[name] = normalizeValue(value, depth)
  }
  return normalized
}

function normalizeValue(value: unknown, depth: number): unknown {
  if (depth > MAX_DEPTH) throw new HttpError(400, MESSAGES.badRequest)
  if (typeof value === 'string') return value.trim() || null
  if (Array.isArray(value)) return value.map(item => normalizeValue(item, depth + 1))
  return isNamed(value) ? normalizeObject(value, depth + 1) : value
}

/** A form in which what was numbered from nought on, as `names[]=a&names[]=b` is, is a list. */
export function withLists(values: Parameters): Record<string, unknown> {
  const result: Record<string, unknown> = Object.create(null)
  for (const [name, value] of Object.entries(values)) {
    if (typeof value !== 'object' || value === null) {
      result[name] = value
      continue
    }
    const inner = withLists(value as Parameters)
    const keys = Object.keys(inner)
    result[name] = keys.every((key, index) => key === String(index)) ? Object.values(inner) : inner
  }
  return result
}
