import type { Parameter } from '#src/input/querystring.ts'
import type { Query } from '../query.ts'
import { includeTree } from '../resource.ts'
import { type Faults, prohibit, readByType, readList } from './parameter.ts'
import type { Rules } from './rules.ts'

/** Reads which fields of which types are shown. */
export function readFields({ types }: Rules, value: Parameter | undefined, faults: Faults): Query['fields'] {
  const fields = new Map<string, string[]>()
  if (value === undefined) return fields
  for (const [type, names] of readByType('fields', value, name => types.has(name), faults)) {
    const known = types.get(type)?.fields ?? {}
    const items = readList(`fields.${type}`, names, name => Object.hasOwn(known, name), faults)
    if (items) fields.set(type, items)
  }
  return fields
}

/** Reads which relations are included. */
export function readInclude(
  { endpoint, paths }: Rules,
  value: Parameter | undefined,
  faults: Faults,
): Query['includes'] {
  if (value === undefined) return new Map()
  if (paths.length === 0) {
    prohibit('include', value, faults)
    return new Map()
  }
  return includeTree(
    endpoint.resource,
    readList('include', value, path => paths.includes(path), faults) ?? [],
  )
}
