import type { ColumnOf, Relation, TableName } from './resource.ts'

/** A scope: which rows a list can contain, independently of filters. `Column` are the columns that the table must have. */
export type Scope<Column extends string = string> =
  | { is: 'where'; column: Column; comparison: '=' | '<' | '>'; value: number }
  | { is: 'belonging'; relation: Relation; ownerKey: number }
  | { is: 'any' | 'all'; of: readonly Scope<Column>[] }

/** A scope on a table. */
export type ScopeOf<Table extends TableName> = Scope<ColumnOf<Table>>

/** Rows whose column compares with a number. */
export const where = <const Column extends string>(
  column: Column,
  comparison: '=' | '<' | '>',
  value: number,
): Scope<Column> => ({ is: 'where', column, comparison, value })

/** Rows that belong to an owner by a relation. */
export const belongingTo = (relation: Relation, ownerKey: number): Scope<never> => ({
  is: 'belonging',
  relation,
  ownerKey,
})

/** Rows that are in any of several scopes. */
export const anyOf = <Column extends string>(...of: readonly Scope<Column>[]): Scope<Column> => ({
  is: 'any',
  of,
})

/** Rows that are in all of several scopes. */
export const allOf = <Column extends string>(...of: readonly Scope<Column>[]): Scope<Column> => ({
  is: 'all',
  of,
})
