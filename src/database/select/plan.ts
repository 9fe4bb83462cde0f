/**
 * A query as plain data: tables and rows, outputs, order and includes. The author of a plan vouches for its table and
 * column names, which are inserted into SQL as identifiers; every other value becomes a parameter.
 */

/**
 * The place of a number in a statement that is compiled once for many numbers, such as the id of the user whose rows are
 * listed.
 */
export class Placeholder {
  readonly index: number

  constructor(index: number) {
    this.index = index
  }
}

/** A value of a row: a column, or the count or existence of related rows. */
export type Expression =
  | { is: 'column'; column: string; asText: boolean }
  | { is: 'count' | 'exists'; related: RelatedRows }

/** The rows related to a row. */
export interface RelatedRows {
  table: string
  link: Link
  /** The key column of the owner's table. */
  ownerKey: string
  conditions: readonly Condition[]
  /** A further condition on the related rows; null for none. */
  filter: Condition | null
}

/** How related rows reference their owners. */
export type Link = {
  /** The key column of the related table. */
  key: string
} & (
  | /** A column of the owner's table holds the related row's key. */
  { by: 'our column'; column: string } /** A column of the related table holds the owner's key. */
  | {
      by: 'their column'
      column: string
    } /** Two columns of the related table hold the owner's key and class name (a polymorphic relation). */
  | { by: 'their morph'; column: string; type: LinkType } /** A pivot table holds both keys. */
  | {
      by: 'pivot'
      table: string
      ours: string
      theirs: string
      /** The class names of its rows that reference the owner; null when all do. */
      type: LinkType | null
      /** A column that must be NULL for a row to count; null when all rows count. */
      onlyNull: string | null
    }
)

/** The class name column of a polymorphic relation, and the names of the owner's class. */
export interface LinkType {
  column: string
  names: readonly string[]
}

export type Operator = 'eq' | 'ne' | 'lt' | 'gt' | 'lte' | 'gte'

/** The type to which parameters of a comparison are cast. */
export type SqlType = 'text' | 'bigint' | 'double precision' | 'timestamp' | 'boolean'

/** The left side of a comparison. */
export interface Operand {
  value: Expression
  type: SqlType
  ignoresCase: boolean
}

/** A condition on a row. */
export type Condition =
  | { is: 'compared'; operand: Operand; operator: Operator; to: unknown }
  | { is: 'like'; operand: Operand; pattern: string; negated: boolean }
  | { is: 'listed'; operand: Operand; values: readonly string[]; negated: boolean }
  /** A column compared with a value of its own type. */
  | { is: 'column'; column: string; operator: Operator; to: string | number | Placeholder }
  | { is: 'null'; column: string }
  /** Compares the number of related rows with one. */
  | { is: 'related'; related: RelatedRows; operator: Operator }
  /** The row belongs to the owner with a key. */
  | { is: 'owned'; link: Link; owner: number | Placeholder }
  /** Conditions in parentheses; `and` binds tighter than `or`. The connector of the first one is ignored. */
  | { is: 'joined'; parts: readonly { connector: 'and' | 'or'; condition: Condition }[] }

/** A sort key. */
export type SortKey =
  | { by: 'random' }
  | {
      by: 'value'
      value: Expression
      /** The collation of text; null for other types. */
      collation: 'bytes' | 'ignoring case' | null
      descending: boolean
      /** Whether the value can be NULL, which sorts lowest, as on MySQL. */
      nullable: boolean
    }

/** A named value, which becomes a column of the result. */
export interface Output {
  name: string
  value: Expression
}

/** The result column that holds a row's key. */
export const KEY = '$key'

/** Rows of a table with their includes. */
export interface RowsPlan {
  table: string
  /** The key column. */
  key: string
  outputs: readonly Output[]
  /** Conjunction of conditions. */
  conditions: readonly Condition[]
  order: readonly SortKey[]
  includes: readonly Include[]
}

/** An include: related rows that are fetched for all rows at once. */
export interface Include {
  name: string
  /** Whether the relation is to many. */
  many: boolean
  link: Link
  /** The output of the owners that holds the value that the link starts from. */
  from: string
  rows: RowsPlan
  /** Columns of the pivot table, by name. */
  pivot: readonly { name: string; column: string }[]
}

/** A page of a list. */
export interface PagePlan {
  rows: RowsPlan
  /** The rows that the list can contain, independently of filters. */
  scope: Condition
  /** A search text whose words a column has to contain; null for no search. */
  search: { column: string; text: string; ranked: boolean } | null
  /** One-based. */
  page: { number: number; size: number }
}
