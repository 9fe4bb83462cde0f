import type { Parameter } from '#src/input/querystring.ts'
import { MESSAGES } from '#src/responses/messages.ts'
import type { Condition } from '../query.ts'
import type { Field, Resource } from '../resource.ts'
import { parseValue, valueMessage } from '../values.ts'
import { readFieldFilter, type Suffix } from './filter-name.ts'
import { VALUE_LIMITS } from './limits.ts'
import { displayName, lastDisplayName, type ParameterErrors, readText } from './parameter.ts'

const { rules } = MESSAGES

/**
 * Parses a filter for every type that it applies to. A value can be valid for one type and not for another: it is an
 * error only if it is invalid for the endpoint's own type, or for all types if that has no such field.
 */
export function readConditions(
  key: string,
  name: string,
  value: Parameter,
  candidates: readonly Resource[],
  errors: ParameterErrors,
  add: (type: string, condition: Condition) => void,
  own?: Resource,
) {
  const text = readText(key, value, errors)
  if (text === undefined) return
  const read = candidates.map(type => ({ type, outcome: readCondition(key, name, text, type) }))
  const relevant = candidates.some(type => type === own) ? read.filter(({ type }) => type === own) : read
  const [first] = relevant
  if (first !== undefined && relevant.every(({ outcome }) => isError(outcome))) {
    if (isError(first.outcome)) errors.add(key, first.outcome.error)
    return
  }
  for (const { type, outcome } of read) {
    if (outcome !== null && !isError(outcome)) add(type.type, outcome)
  }
}

/** A condition; null when it excludes nothing; or the error of its value. */
type Outcome = Condition | null | { error: string }

const isError = (outcome: Outcome): outcome is { error: string } => outcome !== null && 'error' in outcome

function readCondition(key: string, name: string, text: string, type: Resource): Outcome {
  const { base, suffix } = readFieldFilter(type, name) as { base: string; suffix: Suffix }
  const field = type.fields[base] as Field
  const { comparison, connector, negated } = suffix
  if (text.includes(',') || negated) return readListed(key, text, base, field, suffix)
  const value = parseValue(field, text)
  return value === undefined
    ? { error: valueMessage(field.kind, displayName(key)) }
    : { is: 'compared', field: base, comparison: comparison ?? 'eq', value, connector }
}

/** Parses a list: one of the values, or with `ne` none of them. Other comparisons are not allowed with a list. */
function readListed(
  key: string,
  text: string,
  name: string,
  field: Field,
  { comparison, connector, negated }: Suffix,
): Outcome {
  if (field.aggregate !== undefined || (comparison !== null && comparison !== 'eq' && comparison !== 'ne')) {
    return { error: rules.prohibited(displayName(key)) }
  }
  const items = text.split(',')
  if (items.length > VALUE_LIMITS.items)
    return { error: rules.maxItems(displayName(key), VALUE_LIMITS.items) }
  if (new Set(items).size < items.length) return { error: rules.duplicates }
  const values = items.map(item => (item === '' ? undefined : parseValue(field, item)))
  const present = values.filter(value => value !== undefined)
  if (present.length < values.length) {
    const last = lastDisplayName(key)
    return { error: items.includes('') ? rules.required(last) : valueMessage(field.kind, last) }
  }
  const members = field.kind === 'boolean' ? 2 : field.labels?.length
  if (members !== undefined && new Set(present).size === members) return null
  return { is: 'listed', field: name, values: present, negated: negated !== (comparison === 'ne'), connector }
}
