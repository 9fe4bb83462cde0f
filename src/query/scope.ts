import { Placeholder } from '#src/database/select/plan.ts'
import type { ColumnOf, Relation, TableName } from './resource.ts'

/** A scope: which rows a list can contain, independently of filters. `Column` are the columns that the table must have. */
export type Scope<Column extends string = string, Value = number> =
  | { is: 'where'; column: Column; comparison: '=' | '<' | '>'; value: Value }
  | { is: 'belonging'; relation: Relation; ownerKey: Value }
  | { is: 'any' | 'all'; of: readonly Scope<Column, Value>[] }

/** A scope with placeholders for its numbers. */
export type ScopeTemplate = Scope<string, Placeholder>

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

/** Returns the numbers of a scope, in the order of the placeholders of {@link scopeTemplate}. */
export function scopeValues(scope: Scope): number[] {
  switch (scope.is) {
    case 'where':
      return [scope.value]
    case 'belonging':
      return [scope.ownerKey]
    default:
      return scope.of.flatMap(scopeValues)
  }
}

/** Replaces the numbers of a scope by placeholders. */
export function scopeTemplate(scope: Scope, next = { index: 0 }): ScopeTemplate {
  switch (scope.is) {
    case 'where':
      return { ...scope, value: new Placeholder(next.index++) }
    case 'belonging':
      return { ...scope, ownerKey: new Placeholder(next.index++) }
    default:
      return { ...scope, of: scope.of.map(one => scopeTemplate(one, next)) }
  }
}

/** Returns whether a scope differs from a template in nothing but the placeholders. */
export function fitsTemplate(scope: Scope, template: ScopeTemplate): boolean {
  switch (scope.is) {
    case 'where':
      return (
        template.is === 'where' &&
        template.column === scope.column &&
        template.comparison === scope.comparison
      )
    case 'belonging':
      return template.is === 'belonging' && template.relation === scope.relation
    default:
      return (
        template.is === scope.is &&
        template.of.length === scope.of.length &&
        scope.of.every((one, index) => fitsTemplate(one, template.of[index] as ScopeTemplate))
      )
  }
}
