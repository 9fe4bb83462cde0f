import type { Parameter } from '#src/input/querystring.ts'
import { MESSAGES } from '#src/responses/messages.ts'
import type { Condition, Query } from '../query.ts'
import type { Resource } from '../resource.ts'
import { readConditions } from './condition.ts'
import { readFieldFilter, readHasFilter } from './filter-name.ts'
import { VALUE_LIMITS } from './limits.ts'
import { displayName, type ParameterErrors, readByType, readList, rejectParameter } from './parameter.ts'
import type { Rules } from './rules.ts'

/** Parses the conditions on the rows of each type. */
export function readFilter(
  rules: Rules,
  value: Parameter | undefined,
  errors: ParameterErrors,
): Query['conditions'] {
  const conditions = new Map<string, Condition[]>()
  if (value === undefined) return conditions
  const { endpoint, types, paths } = rules
  const { resource, kind, isSequence = false } = endpoint
  const isIndex = kind === 'index'
  if (isSequence) {
    rejectParameter('filter', value, errors)
    return conditions
  }

  /** The types that a filter without a type can apply to. */
  const candidates = [...types.values()].filter(type => isIndex || type !== resource)
  const add = (type: string, condition: Condition) =>
    conditions.set(type, [...(conditions.get(type) ?? []), condition])

  const isHas = (name: string) => isIndex && paths.length > 0 && readHasFilter(name) !== null
  const isType = (name: string) => types.has(name) && (isIndex || name !== resource.type)
  const isAllowed = (name: string) =>
    isType(name) || isHas(name) || candidates.some(type => readFieldFilter(type, name) !== null)

  for (const [name, parameter] of readByType('filter', value, isAllowed, errors)) {
    const key = `filter.${name}`
    if (isType(name)) {
      const type = types.get(name) as Resource
      const isOwn = type === resource
      const isAllowedInType = (inner: string) =>
        (isOwn && isHas(inner)) || readFieldFilter(type, inner) !== null
      for (const [inner, text] of readByType(key, parameter, isAllowedInType, errors)) {
        const innerKey = `${key}.${inner}`
        if (isOwn && isHas(inner))
          readHas(innerKey, inner, text, paths, errors, condition => add(name, condition))
        else readConditions(innerKey, inner, text, [type], errors, add)
      }
    } else if (isHas(name)) {
      readHas(key, name, parameter, paths, errors, condition => add(resource.type, condition))
    } else {
      const applicable = candidates.filter(type => readFieldFilter(type, name) !== null)
      readConditions(key, name, parameter, applicable, errors, add, resource)
    }
  }
  const related = (conditions.get(resource.type) ?? []).filter(({ is }) => is === 'related')
  if (related.length > VALUE_LIMITS.relations) {
    errors.add('filter.has', MESSAGES.rules.maxItems('filter.has', VALUE_LIMITS.relations))
  }
  return conditions
}

function readHas(
  key: string,
  name: string,
  value: Parameter,
  paths: readonly string[],
  errors: ParameterErrors,
  add: (condition: Condition) => void,
) {
  const suffix = readHasFilter(name)?.suffix
  const items = readList(key, value, path => paths.includes(path), errors, displayName(key))
  if (suffix === undefined || items === undefined) return
  for (const path of items) {
    add({
      is: 'related',
      path: path.split('.'),
      comparison: suffix.comparison ?? 'gte',
      connector: suffix.connector,
    })
  }
}
