import { COUNT_COMPARISONS, type Comparison, type Connector } from '../query.ts'
import { isFilterable, type Resource } from '../resource.ts'
import { COMPARISONS_OF } from '../values.ts'
import { ownField } from './rules.ts'

/** What the end of a filter's name says: `name-like-or` is like and or. */
export interface Suffix<C extends Comparison = Comparison> {
  comparison: C | null
  connector: Connector
  negated: boolean
}

/**
 * Reads a filter's name: a field, then perhaps a comparison, then perhaps how it is joined, in that order. Null
 * for a name that no field and no comparison make.
 */
function readFilterName<C extends Comparison>(
  name: string,
  comparisonsOf: (base: string) => readonly C[] | undefined,
  canNegate: boolean,
): { base: string; suffix: Suffix<C> } | null {
  const [base = '', ...rest] = name.split('-')
  const comparisons = comparisonsOf(base)
  if (comparisons === undefined) return null
  const comparison = comparisons.find(candidate => candidate === rest[0]) ?? null
  const [logical, ...beyond] = comparison === null ? rest : rest.slice(1)
  if (beyond.length > 0) return null
  switch (logical) {
    case undefined:
      return { base, suffix: { comparison, connector: 'and', negated: false } }
    case 'and':
    case 'or':
      return { base, suffix: { comparison, connector: logical, negated: false } }
    case 'not':
      return canNegate && comparison === null
        ? { base, suffix: { comparison, connector: 'and', negated: true } }
        : null
    default:
      return null
  }
}

/** Reads the name of a filter on a field of a resource; null when it is none. */
export const readFieldFilter = (resource: Resource, name: string) =>
  readFilterName(
    name,
    base => {
      const field = ownField(resource, base)
      return field && isFilterable(field) ? COMPARISONS_OF[field.kind] : undefined
    },
    true,
  )

/** Reads the name of a filter on how many rows are related; null when it is none. */
export const readHasFilter = (name: string) =>
  readFilterName(name, base => (base === 'has' ? COUNT_COMPARISONS : undefined), false)
