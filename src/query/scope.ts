import type { ColumnOf, Relation, TableName } from './resource.ts'

/** Which rows a list is made of, whatever else is asked for. `Column` is the columns that a table needs to have for it. */
export type Scope<Column extends string = string> =
  | { is: 'where'; column: Column; comparison: '=' | '<' | '>'; value: number }
  | { is: 'belonging'; relation: Relation; ownerKey: number }
  | { is: 'any' | 'all'; of: readonly Scope<Column>[] }

/** A scope among the rows of a table. */
export type ScopeOf<Table extends TableName> = Scope<ColumnOf<Table>>

/** The rows in which a column compares so with a number. */
export const where = <const Column extends string>(
  column: Column,
  comparison: '=' | '<' | '>',
  value: number,
): Scope<Column> => ({ is: 'where', column, comparison, value })

/** What belongs to a row under a relation, by the row's key. */
export const belongingTo = (relation: Relation, ownerKey: number): Scope<never> => ({
  is: 'belonging',
  relation,
  ownerKey,
})

/** The rows that are in any one of several scopes. */
export const anyOf = <Column extends string>(...of: readonly Scope<Column>[]): Scope<Column> => ({
  is: 'any',
  of,
})

/** The rows that are in each one of several scopes. */
export const allOf = <Column extends string>(...of: readonly Scope<Column>[]): Scope<Column> => ({
  is: 'all',
  of,
})
