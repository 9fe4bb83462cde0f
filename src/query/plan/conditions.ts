import type { Condition, Expression, Operand, RelatedRows, SqlType } from '#src/database/select/plan.ts'
import type { CountComparison, Condition as QueryCondition } from '../query.ts'
import { type Field, type Kind, type Resource, relationAt } from '../resource.ts'
import { type PlanContext, planLink } from './links.ts'

/** Returns the column of a field. */
export const columnOf = (name: string, { column }: Field) => column ?? name

/** Returns the expression of a column. */
export const plainColumn = (column: string, asText = false): Expression => ({ is: 'column', column, asText })

/** Plans the value of a field: its column or aggregate. */
export function planField(resource: Resource, name: string, field: Field, context: PlanContext): Expression {
  const { aggregate, castToText = false } = field
  return aggregate === undefined
    ? { is: 'column', column: columnOf(name, field), asText: castToText }
    : { is: aggregate.of, related: planRelated(resource, aggregate.relation, context) }
}

/** Plans the rows related to a row, with the query's conditions on them. */
function planRelated(
  resource: Resource,
  name: string,
  context: PlanContext,
  filter: Condition | null = null,
): RelatedRows {
  const relation = relationAt(resource, [name])
  const other = relation.resource()
  return {
    table: other.table,
    link: planLink(relation, context),
    ownerKey: resource.key,
    conditions: planConditions(other, 'related', context),
    filter,
  }
}

/** The role of rows: `has` applies to listed rows, not to related ones. */
export type RowRole = 'listed' | 'related'

/** Plans the conditions of a resource and of the query on its rows. */
export function planConditions(resource: Resource, role: RowRole, context: PlanContext): Condition[] {
  const { except, onlyNull } = resource
  const requested = (context.query.conditions.get(resource.type) ?? []).filter(
    ({ is }) => is !== 'related' || role === 'listed',
  )
  const isAggregate = (condition: QueryCondition) =>
    condition.is !== 'related' && resource.fields[condition.field]?.aggregate !== undefined
  // Conditions on aggregates come after the others, as HAVING does after WHERE.
  const groups = [requested.filter(condition => !isAggregate(condition)), requested.filter(isAggregate)]
  return [
    ...(except ? [{ is: 'column', operator: 'ne', column: except.column, to: except.value } as const] : []),
    ...(onlyNull ? [{ is: 'null', column: onlyNull } as const] : []),
    ...groups
      .filter(group => group.length > 0)
      .map(group => ({
        is: 'joined' as const,
        parts: group.map(one => ({
          connector: one.connector,
          condition: planCondition(resource, one, context),
        })),
      })),
  ]
}

function planCondition(resource: Resource, condition: QueryCondition, context: PlanContext): Condition {
  if (condition.is === 'related') {
    return planHas(resource, condition.path, condition.comparison, context)
  }
  const field = resource.fields[condition.field] as Field
  const operand: Operand = {
    value: planField(resource, condition.field, field, context),
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

/** Plans `has`: compares the number of related rows with one, counted at the end of the path. */
function planHas(
  resource: Resource,
  path: readonly string[],
  comparison: CountComparison,
  context: PlanContext,
): Condition {
  const [name = '', ...rest] = path
  if (rest.length === 0) {
    return { is: 'related', related: planRelated(resource, name, context), operator: comparison }
  }
  const isNone = comparison === 'lt'
  const other = relationAt(resource, [name]).resource()
  const nested = planHas(other, rest, isNone ? 'gte' : comparison, context)
  return {
    is: 'related',
    related: planRelated(resource, name, context, nested),
    operator: isNone ? 'lt' : 'gte',
  }
}
