import type { IncludeTree } from './resource.ts'

/** The comparisons of counts of related rows. */
export const COUNT_COMPARISONS = ['eq', 'ne', 'lt', 'gt', 'lte', 'gte'] as const
export type CountComparison = (typeof COUNT_COMPARISONS)[number]
export type Comparison = CountComparison | 'like' | 'notlike'

export type Connector = 'and' | 'or'

/** A value for comparison: integers as decimal text, since bigint exceeds JavaScript's safe integers. */
export type Value = string | number | boolean

/** A condition on the rows of one type. */
export type Condition =
  | { is: 'compared'; field: string; comparison: Comparison; value: Value; connector: Connector }
  | { is: 'listed'; field: string; values: readonly Value[]; negated: boolean; connector: Connector }
  | { is: 'related'; path: readonly string[]; comparison: CountComparison; connector: Connector }

/** A sort key of the rows of one type; `field` is null for a random order. */
export interface Order {
  field: string | null
  descending: boolean
}

/** A parsed query string. */
export interface Query {
  /** By type; absent types show their default fields. */
  fields: ReadonlyMap<string, readonly string[]>
  includes: IncludeTree
  /** By type, in the order given: they are connected from left to right. */
  conditions: ReadonlyMap<string, readonly Condition[]>
  /** By type, most important first. */
  orders: ReadonlyMap<string, readonly Order[]>
  page: { number: number; size: number }
  /** The search text; null for no search. */
  search: string | null
}
