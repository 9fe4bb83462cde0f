import type { SortKey } from '#src/database/select/plan.ts'
import type { Order } from '../query.ts'
import type { Endpoint, Field, Resource } from '../resource.ts'
import { plainColumn, planField } from './conditions.ts'
import type { PlanContext } from './links.ts'

/**
 * Plans the order of a resource's rows: the endpoint's order, then the query's, then the key. The key makes the order
 * total, so that pages neither repeat nor drop rows.
 */
export function planOrder(
  resource: Resource,
  base: NonNullable<Endpoint['order']>,
  context: PlanContext,
): SortKey[] {
  const byColumn = (column: string, descending: boolean): SortKey => ({
    by: 'value',
    value: plainColumn(column),
    collation: null,
    descending,
    nullable: false,
  })
  const requested = context.query.orders.get(resource.type) ?? []
  return [
    ...base.map(({ column, descending }) => byColumn(column, descending)),
    ...requested.map(order => planSort(resource, order, context)),
    byColumn(resource.key, base[0]?.descending ?? false),
  ]
}

function planSort(resource: Resource, { field: name, descending }: Order, context: PlanContext): SortKey {
  if (name === null) return { by: 'random' }
  const field = resource.fields[name] as Field
  return {
    by: 'value',
    value: planField(resource, name, field, context),
    collation: field.kind !== 'string' ? null : field.caseSensitive ? 'bytes' : 'ignoring case',
    descending,
    nullable: field.nullable ?? false,
  }
}
