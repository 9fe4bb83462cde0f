/**
 * What is to be selected, as plain data: which rows of which tables, what each of them carries, in what order, and which
 * rows are fetched for them. Whoever makes a plan vouches for its names of tables and columns, which become SQL as they are;
 * every other value becomes a parameter.
 */

/** A value of each row: its column, or something about the rows that are related to it. */
export type Expression =
  | { is: 'column'; column: string; asText: boolean }
  | { is: 'count' | 'exists'; related: RelatedRows }

/** The rows that are related to a row. */
export interface RelatedRows {
  table: string
  link: Link
  /** The column that identifies a row of the owner's table. */
  ownerKey: string
  conditions: readonly Condition[]
  /** What has to be so of each of them beside the conditions; null for nothing. */
  further: Condition | null
}

/** How the rows of a related table find those of their owners'. */
export type Link = {
  /** The column that identifies a row of the related table. */
  key: string
} & (
  | /** A column of the owner's table holds the related row's key. */
  { by: 'our column'; column: string } /** A column of the related table holds the owner's key. */
  | {
      by: 'their column'
      column: string
    } /** Two columns of the related table hold the owner's key and class name. */
  | { by: 'their morph'; column: string; type: LinkType } /** A table between holds both keys. */
  | {
      by: 'pivot'
      table: string
      ours: string
      theirs: string
      /** Which of its rows are about the owner's class; null when all are. */
      type: LinkType | null
      /** A column that is NULL in every row that counts; null when all count. */
      onlyNull: string | null
    }
)

/** A column with class names, and those that mean the owner's class. */
export interface LinkType {
  column: string
  names: readonly string[]
}

export type Operator = 'eq' | 'ne' | 'lt' | 'gt' | 'lte' | 'gte'

/** What values are compared as: parameters are cast to it. */
export type SqlType = 'text' | 'bigint' | 'double precision' | 'timestamp' | 'boolean'

/** The left side of a comparison. */
export interface Operand {
  value: Expression
  type: SqlType
  ignoresCase: boolean
}

/** What has to be so of a row. */
export type Condition =
  | { is: 'compared'; operand: Operand; operator: Operator; to: unknown }
  | { is: 'like'; operand: Operand; pattern: string; negated: boolean }
  | { is: 'listed'; operand: Operand; values: readonly string[]; negated: boolean }
  /** A column compared with a value of its own type. */
  | { is: 'column'; column: string; operator: Operator; to: string | number }
  | { is: 'null'; column: string }
  /** Whether rows are related to it: how many, compared with one. */
  | { is: 'related'; related: RelatedRows; operator: Operator }
  /** Whether it belongs to the row with a key. */
  | { is: 'owned'; link: Link; owner: number }
  /** Conditions from left to right in brackets; `and` binds tighter than `or`. The first one's connector is not looked at. */
  | { is: 'joined'; parts: readonly { connector: 'and' | 'or'; condition: Condition }[] }

/** A key that rows are sorted by. */
export type SortKey =
  | { by: 'random' }
  | {
      by: 'value'
      value: Expression
      /** How text is compared: by its bytes, or without regard to case; null for what is no text. */
      collation: 'bytes' | 'ignoring case' | null
      descending: boolean
      /** Whether there are NULLs, which are the least of all values as on MySQL. */
      nullable: boolean
    }

/** A value under a name, which becomes the name of a column of the result. */
export interface Output {
  name: string
  value: Expression
}

/** The name under which a row carries its key. */
export const KEY = '$key'

/** Rows of a table, and what is fetched for them. */
export interface RowsPlan {
  table: string
  /** The column that identifies a row. */
  key: string
  outputs: readonly Output[]
  /** All of them have to be so. */
  conditions: readonly Condition[]
  order: readonly SortKey[]
  includes: readonly Include[]
}

/** Related rows that are fetched for all rows at once. */
export interface Include {
  name: string
  /** Whether a row has several, or one or none. */
  many: boolean
  link: Link
  /** The name under which the owners carry the value that the link starts from. */
  from: string
  rows: RowsPlan
  /** Columns of the table between, by name. */
  pivot: readonly { name: string; column: string }[]
}

/** A page of a list. */
export interface PagePlan {
  rows: RowsPlan
  /** Which rows the list is made of, whatever else is asked for. */
  scope: Condition
  /** The text whose words a column has to contain; null for every row. */
  search: { column: string; text: string; ranked: boolean } | null
  /** Counted from 1. */
  page: { number: number; size: number }
}
