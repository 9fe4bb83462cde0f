import type { Parameter } from '#src/input/querystring.ts'
import { unprocessable } from '#src/responses/errors.ts'
import { MESSAGES } from '#src/responses/messages.ts'
import { VALUE_LIMITS } from './limits.ts'

const { rules } = MESSAGES

/** Errors by the parameter's dotted name, in order of detection. */
export class ParameterErrors {
  readonly #errors: Record<string, string[]> = Object.create(null)

  add(key: string, message: string) {
    this.#errors[key] ??= []
    this.#errors[key].push(message)
  }

  throwIfAny() {
    if (Object.keys(this.#errors).length > 0) throw unprocessable(this.#errors)
  }
}

/** Returns a parameter name as error messages show it. */
export const displayName = (key: string) => key.replaceAll('_', ' ')

/** Returns the last part of a dotted name as error messages show it. */
export const lastDisplayName = (key: string) => displayName(key.slice(key.lastIndexOf('.') + 1))

/** Adds an error for a parameter that the endpoint does not accept, unless it is empty. */
export function rejectParameter(key: string, value: Parameter | undefined, errors: ParameterErrors) {
  if (value !== undefined && value !== null) errors.add(key, rules.prohibited(key))
}

/** Parses required text of limited length. */
export function readText(
  key: string,
  value: Parameter,
  errors: ParameterErrors,
  max: number = VALUE_LIMITS.characters,
): string | undefined {
  if (value === null) errors.add(key, rules.required(displayName(key)))
  else if (typeof value !== 'string') errors.add(key, rules.string(displayName(key)))
  else if (value.length > max) errors.add(key, rules.maxString(displayName(key), max))
  else return value
  return undefined
}

/** Parses a comma-separated list of accepted items without duplicates. */
export function readList(
  key: string,
  value: Parameter,
  accepts: (item: string) => boolean,
  errors: ParameterErrors,
  name: string = lastDisplayName(key),
): string[] | undefined {
  const text = readText(key, value, errors)
  if (text === undefined) return undefined
  const items = text.split(',')
  if (items.length > VALUE_LIMITS.items) errors.add(key, rules.maxItems(displayName(key), VALUE_LIMITS.items))
  else if (new Set(items).size < items.length) errors.add(key, rules.duplicates)
  else if (!items.every(accepts)) errors.add(key, rules.selected(name))
  else return items
  return undefined
}

/** Parses parameters by type, all of which the endpoint must have. */
export function readByType(
  key: string,
  value: Parameter,
  isAllowed: (name: string) => boolean,
  errors: ParameterErrors,
): [string, Parameter][] {
  const entries = typeof value === 'object' && value !== null ? Object.entries(value) : []
  if (entries.length > 0 && entries.every(([name]) => isAllowed(name))) return entries
  errors.add(key, rules.array(displayName(key)))
  return []
}
