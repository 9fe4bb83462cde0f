import type { IncludeTree } from './resource.ts'

/** The comparisons that counts of related rows understand. */
export const COUNT_COMPARISONS = ['eq', 'ne', 'lt', 'gt', 'lte', 'gte'] as const
export type CountComparison = (typeof COUNT_COMPARISONS)[number]
export type Comparison = CountComparison | 'like' | 'notlike'

export type Connector = 'and' | 'or'

/** A value as the database compares it: integers as decimal text, since JavaScript's end before bigint's. */
export type Value = string | number | boolean

/** A condition on the rows of one type. */
export type Condition =
  | { is: 'compared'; field: string; comparison: Comparison; value: Value; connector: Connector }
  | { is: 'listed'; field: string; values: readonly Value[]; negated: boolean; connector: Connector }
  | { is: 'related'; path: readonly string[]; comparison: CountComparison; connector: Connector }

/** An order of the rows of one type; null is a random one. */
export interface Order {
  field: string | null
  descending: boolean
}

/** What a client asks for, understood. */
export interface Query {
  /** By type; a type that is not here shows its default fields. */
  fields: ReadonlyMap<string, readonly string[]>
  includes: IncludeTree
  /** By type, in the order given: they are joined from left to right. */
  conditions: ReadonlyMap<string, readonly Condition[]>
  /** By type, most important first. */
  orders: ReadonlyMap<string, readonly Order[]>
  page: { number: number; size: number }
  /** The words that a name must have; null when nothing is searched for. */
  search: string | null
}
