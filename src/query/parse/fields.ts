import type { Parameter } from '#src/input/querystring.ts'
import type { Query } from '../query.ts'
import { includeTree } from '../resource.ts'
import { type ParameterErrors, readByType, readList, rejectParameter } from './parameter.ts'
import type { Rules } from './rules.ts'

/** Parses the fields to show, by type. */
export function readFields(
  { types }: Rules,
  value: Parameter | undefined,
  errors: ParameterErrors,
): Query['fields'] {
  const fields = new Map<string, string[]>()
  if (value === undefined) return fields
  for (const [type, names] of readByType('fields', value, name => types.has(name), errors)) {
    const known = types.get(type)?.fields ?? {}
    const items = readList(`fields.${type}`, names, name => Object.hasOwn(known, name), errors)
    if (items) fields.set(type, items)
  }
  return fields
}

/** Parses the relations to include. */
export function readInclude(
  { endpoint, paths }: Rules,
  value: Parameter | undefined,
  errors: ParameterErrors,
): Query['includes'] {
  if (value === undefined) return new Map()
  if (paths.length === 0) {
    rejectParameter('include', value, errors)
    return new Map()
  }
  return includeTree(
    endpoint.resource,
    readList('include', value, path => paths.includes(path), errors) ?? [],
  )
}
