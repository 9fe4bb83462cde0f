import type { Condition, Expression, Operand, RelatedRows, SqlType } from '#src/database/select/plan.ts'
import type { Condition as Asked, CountComparison } from '../query.ts'
import { type Field, type Kind, type Resource, relationAt } from '../resource.ts'
import { linkOf, type Planning } from './links.ts'

/** The column of a field. */
export const columnOf = (name: string, { column }: Field) => column ?? name

/** A column as it is. */
export const plainColumn = (column: string): Expression => ({ is: 'column', column, asText: false })

/** A field's value: its column, or what is counted for it. */
export function planField(resource: Resource, name: string, field: Field, planning: Planning): Expression {
  const { aggregate, castToText = false } = field
  return aggregate === undefined
    ? { is: 'column', column: columnOf(name, field), asText: castToText }
    : { is: aggregate.of, related: planRelated(resource, aggregate.relation, planning) }
}

/** The rows that are related to one of a resource, within the query's conditions on them. */
function planRelated(
  resource: Resource,
  name: string,
  planning: Planning,
  further: Condition | null = null,
): RelatedRows {
  const relation = relationAt(resource, [name])
  const other = relation.resource()
  return {
    table: other.table,
    link: linkOf(relation, planning),
    ownerKey: resource.key,
    conditions: planConditions(other, 'related', planning),
    further,
  }
}

/** What has to be related is asked of the rows that are listed, and not of those that are related to them. */
export type Place = 'listed' | 'related'

/** That a row exists for the API and meets the query's conditions on its type. */
export function planConditions(resource: Resource, place: Place, planning: Planning): Condition[] {
  const { except, onlyNull } = resource
  const asked = (planning.query.conditions.get(resource.type) ?? []).filter(
    ({ is }) => is !== 'related' || place === 'listed',
  )
  const isAggregate = (condition: Asked) =>
    condition.is !== 'related' && resource.fields[condition.field]?.aggregate !== undefined
  // What is counted is compared after the rest, as HAVING is after WHERE.
  const groups = [asked.filter(condition => !isAggregate(condition)), asked.filter(isAggregate)]
  return [
    ...(except ? [{ is: 'column', operator: 'ne', column: except.column, to: except.value } as const] : []),
    ...(onlyNull ? [{ is: 'null', column: onlyNull } as const] : []),
    ...groups
      .filter(group => group.length > 0)
      .map(group => ({
        is: 'joined' as const,
        parts: group.map(one => ({
          connector: one.connector,
          condition: planCondition(resource, one, planning),
        })),
      })),
  ]
}

function planCondition(resource: Resource, condition: Asked, planning: Planning): Condition {
  if (condition.is === 'related') {
    return planHas(resource, condition.path, condition.comparison, planning)
  }
  const field = resource.fields[condition.field] as Field
  const operand: Operand = {
    value: planField(resource, condition.field, field, planning),
    type: SQL_TYPES[field.kind],
    ignoresCase: field.kind === 'string' && !field.caseSensitive,
  }
  if (condition.is === 'listed') {
    const { values, negated } = condition
    return { is: 'listed', operand, values: values.map(String), negated }
  }
  const { comparison, value } = condition
  return comparison === 'like' || comparison === 'notlike'
    ? { is: 'like', operand, pattern: String(value), negated: comparison === 'notlike' }
    : { is: 'compared', operand, operator: comparison, to: value }
}

const SQL_TYPES: Readonly<Record<Kind, SqlType>> = {
  string: 'text',
  integer: 'bigint',
  enum: 'bigint',
  float: 'double precision',
  date: 'timestamp',
  boolean: 'boolean',
  json: 'text',
}

/** That as many rows are related as the comparison with one says, counted at the end of the path. */
function planHas(
  resource: Resource,
  path: readonly string[],
  comparison: CountComparison,
  planning: Planning,
): Condition {
  const [name = '', ...rest] = path
  if (rest.length === 0) {
    return { is: 'related', related: planRelated(resource, name, planning), operator: comparison }
  }
  const isNone = comparison === 'lt'
  const other = relationAt(resource, [name]).resource()
  const below = planHas(other, rest, isNone ? 'gte' : comparison, planning)
  return {
    is: 'related',
    related: planRelated(resource, name, planning, below),
    operator: isNone ? 'lt' : 'gte',
  }
}
