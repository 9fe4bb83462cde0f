import type { Parameter } from '#src/input/querystring.ts'
import { unprocessable } from '#src/responses/errors.ts'
import { MESSAGES } from '#src/responses/messages.ts'
import { VALUE_LIMITS } from './limits.ts'

const { rules } = MESSAGES

/** What is wrong, by dotted name, in the order in which it was found. */
export class Faults {
  readonly #errors: Record<string, string[]> = Object.create(null)

  add(key: string, message: string) {
    this.#errors[key] ??= []
    this.#errors[key].push(message)
  }

  throwIfAny() {
    if (Object.keys(this.#errors).length > 0) throw unprocessable(this.#errors)
  }
}

/** A name as it stands in a sentence. */
export const spoken = (key: string) => key.replaceAll('_', ' ')

/** The last part of a dotted name as it stands in a sentence. */
export const lastSpoken = (key: string) => spoken(key.slice(key.lastIndexOf('.') + 1))

/** Finds fault with a parameter that an endpoint does not take, unless it is empty. */
export function prohibit(key: string, value: Parameter | undefined, faults: Faults) {
  if (value !== undefined && value !== null) faults.add(key, rules.prohibited(key))
}

/** Text that is there, and not too long. */
export function readText(
  key: string,
  value: Parameter,
  faults: Faults,
  most: number = VALUE_LIMITS.characters,
): string | undefined {
  if (value === null) faults.add(key, rules.required(spoken(key)))
  else if (typeof value !== 'string') faults.add(key, rules.string(spoken(key)))
  else if (value.length > most) faults.add(key, rules.maxString(spoken(key), most))
  else return value
  return undefined
}

/** A comma-separated list without duplicates, every item of which is accepted. */
export function readList(
  key: string,
  value: Parameter,
  accepts: (item: string) => boolean,
  faults: Faults,
  name: string = lastSpoken(key),
): string[] | undefined {
  const text = readText(key, value, faults)
  if (text === undefined) return undefined
  const items = text.split(',')
  if (items.length > VALUE_LIMITS.items) faults.add(key, rules.maxItems(spoken(key), VALUE_LIMITS.items))
  else if (new Set(items).size < items.length) faults.add(key, rules.duplicates)
  else if (!items.every(accepts)) faults.add(key, rules.selected(name))
  else return items
  return undefined
}

/** Parameters by type, all of which the endpoint has. */
export function readByType(
  key: string,
  value: Parameter,
  isAllowed: (name: string) => boolean,
  faults: Faults,
): [string, Parameter][] {
  const entries = typeof value === 'object' && value !== null ? Object.entries(value) : []
  if (entries.length > 0 && entries.every(([name]) => isAllowed(name))) return entries
  faults.add(key, rules.array(spoken(key)))
  return []
}
