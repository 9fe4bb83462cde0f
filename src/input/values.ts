import { Type } from 'typebox'
import { HttpError } from '#src/responses/errors.ts'
import { MESSAGES } from '#src/responses/messages.ts'
import { toBoolean } from './boolean.ts'
import { parseInteger } from './integer.ts'
import type { Parameters } from './querystring.ts'

/** An entered password. No stored hash is of a longer one. */
export const EnteredPassword = Type.String({ maxLength: 4096, examples: ['demo-password'] })

/** An optional password. */
export const OptionalPassword = Type.Optional(Type.Union([EnteredPassword, Type.Null()]))

/** Passwords are not trimmed: they may begin or end with a space, and are typed without being seen. */
const VERBATIM = new Set(['password', 'password_confirmation', 'current_password'])

/** Converts a value to the form that the schema expects. Other values are returned unchanged. */
type Conversion = (value: unknown) => unknown

/** Creates a hook that converts fields of the body before validation. */
export const convertFields =
  (conversions: Readonly<Record<string, Conversion>>) =>
  async ({ body }: { body: unknown }): Promise<void> => {
    const input = body as Record<string, unknown>
    for (const [name, read] of Object.entries(conversions)) {
      if (name in input) input[name] = read(input[name])
    }
  }

/** Converts digits, as forms send numbers, to a number. */
export const toInteger: Conversion = value => {
  const integer = typeof value === 'string' ? parseInteger(value) : undefined
  return integer === undefined ? value : Number(integer)
}

/** Converts a boolean word, as forms send booleans. */
export const toBooleanValue: Conversion = value => toBoolean(value) ?? value

/** The maximum nesting, beyond all legitimate bodies. */
const MAX_DEPTH = 32

/**
 * Normalizes a body as Laravel does: text is trimmed, except for passwords, and empty text becomes null. A body
 * without names, such as a list, becomes empty. The objects have no prototype (prototype pollution).
 *
 * @throws {HttpError} 400 for excessive nesting
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

/** Whether a normalized value is missing: null, or a list or an object without any other value. */
export const isBlank = (value: unknown): boolean =>
  value === undefined || value === null || (typeof value === 'object' && Object.values(value).every(isBlank))

/** Converts objects with consecutive indexes from 0, as from `names[]=a&names[]=b`, to arrays. */
export function arraysFromIndexes(values: Parameters): Record<string, unknown> {
  const result: Record<string, unknown> = Object.create(null)
  for (const [name, value] of Object.entries(values)) {
    if (typeof value !== 'object' || value === null) {
      result[name] = value
      continue
    }
    const inner = arraysFromIndexes(value as Parameters)
    const keys = Object.keys(inner)
    result[name] = keys.every((key, index) => key === String(index)) ? Object.values(inner) : inner
  }
  return result
}
