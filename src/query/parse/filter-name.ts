import { COUNT_COMPARISONS, type Comparison, type Connector } from '../query.ts'
import { isFilterable, type Resource } from '../resource.ts'
import { COMPARISONS_BY_KIND } from '../values.ts'
import { findField } from './rules.ts'

/** The suffix of a filter name: `name-like-or` means the comparison `like`, joined by `or`. */
export interface Suffix<C extends Comparison = Comparison> {
  comparison: C | null
  connector: Connector
  negated: boolean
}

/**
 * Parses a filter name: a field, an optional comparison and an optional connector, in that order. Returns null for an
 * invalid name.
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

/** Parses the name of a filter on a field of a resource; returns null for an invalid name. */
export const readFieldFilter = (resource: Resource, name: string) =>
  readFilterName(
    name,
    base => {
      const field = findField(resource, base)
      return field && isFilterable(field) ? COMPARISONS_BY_KIND[field.kind] : undefined
    },
    true,
  )

/** Parses the name of a `has` filter; returns null for an invalid name. */
export const readHasFilter = (name: string) =>
  readFilterName(name, base => (base === 'has' ? COUNT_COMPARISONS : undefined), false)
