import type { Parameter } from '#src/input/querystring.ts'
import { MESSAGES } from '#src/responses/messages.ts'
import type { Condition } from '../query.ts'
import type { Field, Resource } from '../resource.ts'
import { parseValue, valueMessage } from '../values.ts'
import { readFieldFilter, type Suffix } from './filter-name.ts'
import { VALUE_LIMITS } from './limits.ts'
import { type Faults, lastSpoken, readText, spoken } from './parameter.ts'

const { rules } = MESSAGES

/**
 * Reads a filter for every type that it is about. What is a value for one of them need not be one for another:
 * it is a fault only if it is none for the endpoint's own type, or for any if that has no such field.
 */
export function readConditions(
  key: string,
  name: string,
  value: Parameter,
  about: readonly Resource[],
  faults: Faults,
  add: (type: string, condition: Condition) => void,
  own?: Resource,
) {
  const text = readText(key, value, faults)
  if (text === undefined) return
  const read = about.map(type => ({ type, outcome: readCondition(key, name, text, type) }))
  const judged = about.some(type => type === own) ? read.filter(({ type }) => type === own) : read
  const [first] = judged
  if (first !== undefined && judged.every(({ outcome }) => isFault(outcome))) {
    if (isFault(first.outcome)) faults.add(key, first.outcome.fault)
    return
  }
  for (const { type, outcome } of read) {
    if (outcome !== null && !isFault(outcome)) add(type.type, outcome)
  }
}

/** A condition, or null when it would leave nothing out, or what is wrong with its value. */
type Outcome = Condition | null | { fault: string }

const isFault = (outcome: Outcome): outcome is { fault: string } => outcome !== null && 'fault' in outcome

function readCondition(key: string, name: string, text: string, type: Resource): Outcome {
  const { base, suffix } = readFieldFilter(type, name) as { base: string; suffix: Suffix }
  const field = type.fields[base] as Field
  const { comparison, connector, negated } = suffix
  if (text.includes(',') || negated) return readListed(key, text, base, field, suffix)
  const value = parseValue(field, text)
  return value === undefined
    ? { fault: valueMessage(field.kind, spoken(key)) }
    : { is: 'compared', field: base, comparison: comparison ?? 'eq', value, connector }
}

/** A list is one of the values, or with `ne` none of them; no other comparison means anything with a list. */
function readListed(
  key: string,
  text: string,
  name: string,
  field: Field,
  { comparison, connector, negated }: Suffix,
): Outcome {
  if (field.aggregate !== undefined || (comparison !== null && comparison !== 'eq' && comparison !== 'ne')) {
    return { fault: rules.prohibited(spoken(key)) }
  }
  const items = text.split(',')
  if (items.length > VALUE_LIMITS.items) return { fault: rules.maxItems(spoken(key), VALUE_LIMITS.items) }
  if (new Set(items).size < items.length) return { fault: rules.duplicates }
  const values = items.map(item => (item === '' ? undefined : parseValue(field, item)))
  const present = values.filter(value => value !== undefined)
  if (present.length < values.length) {
    const last = lastSpoken(key)
    return { fault: items.includes('') ? rules.required(last) : valueMessage(field.kind, last) }
  }
  const members = field.kind === 'boolean' ? 2 : field.labels?.length
  if (members !== undefined && new Set(present).size === members) return null
  return { is: 'listed', field: name, values: present, negated: negated !== (comparison === 'ne'), connector }
}
