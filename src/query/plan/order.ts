import type { SortKey } from '#src/database/select/plan.ts'
import type { Order } from '../query.ts'
import type { Endpoint, Field, Resource } from '../resource.ts'
import { plainColumn, planField } from './conditions.ts'
import type { Planning } from './links.ts'

/**
 * The order of a resource's rows: what always comes first, then what is asked for, then the key, so that no two rows are
 * equal and pages neither repeat nor drop any.
 */
export function planOrder(
  resource: Resource,
  base: NonNullable<Endpoint['order']>,
  planning: Planning,
): SortKey[] {
  const byColumn = (column: string, descending: boolean): SortKey => ({
    by: 'value',
    value: plainColumn(column),
    collation: null,
    descending,
    nullable: false,
  })
  const asked = planning.query.orders.get(resource.type) ?? []
  return [
    ...base.map(({ column, descending }) => byColumn(column, descending)),
    ...asked.map(order => planSort(resource, order, planning)),
    byColumn(resource.key, base[0]?.descending ?? false),
  ]
}

function planSort(resource: Resource, { field: name, descending }: Order, planning: Planning): SortKey {
  if (name === null) return { by: 'random' }
  const field = resource.fields[name] as Field
  return {
    by: 'value',
    value: planField(resource, name, field, planning),
    collation: field.kind !== 'string' ? null : field.caseSensitive ? 'bytes' : 'ignoring case',
    descending,
    nullable: field.nullable ?? false,
  }
}
