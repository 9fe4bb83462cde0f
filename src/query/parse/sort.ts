import type { Parameter } from '#src/input/querystring.ts'
import { MESSAGES } from '#src/responses/messages.ts'
import type { Order, Query } from '../query.ts'
import { isSortable, type Resource } from '../resource.ts'
import { type Faults, prohibit, readByType, readList, spoken } from './parameter.ts'
import { ownField, type Rules } from './rules.ts'

const { rules } = MESSAGES

/** Reads the order of the rows of each type. */
export function readSort(
  { endpoint, types, paths }: Rules,
  value: Parameter | undefined,
  faults: Faults,
): Query['orders'] {
  const orders = new Map<string, Order[]>()
  if (value === undefined) return orders
  const { resource, kind, isSequence = false } = endpoint
  if (isSequence || (kind === 'show' && paths.length === 0)) {
    prohibit('sort', value, faults)
    return orders
  }
  const sortable = (type: Resource, name: string) => {
    const field = ownField(type, name)
    return field !== undefined && isSortable(field)
  }
  if (kind === 'index' && (typeof value === 'string' || value === null)) {
    // A sort without a type orders every type that has a sort of that name.
    for (const order of readOrders('sort', value, name => sortable(resource, name), faults)) {
      for (const [type, other] of types) {
        if (type !== resource.type && (order.field === null || !sortable(other, order.field))) continue
        orders.set(type, [...(orders.get(type) ?? []), order])
      }
    }
    return orders
  }
  const isAllowed = (name: string) => types.has(name) && (kind === 'index' || name !== resource.type)
  for (const [name, text] of readByType('sort', value, isAllowed, faults)) {
    const type = types.get(name)
    if (type)
      orders.set(
        name,
        readOrders(`sort.${name}`, text, field => sortable(type, field), faults),
      )
  }
  return orders
}

function readOrders(
  key: string,
  value: Parameter,
  isSortable: (name: string) => boolean,
  faults: Faults,
): Order[] {
  const accepts = (item: string) => item === 'random' || isSortable(item.replace(/^-/, ''))
  const items = readList(key, value, accepts, faults) ?? []
  if (items.length > 1 && items.includes('random')) faults.add(key, rules.randomAlone(spoken(key)))
  const names = items.map(item => item.replace(/^-/, ''))
  if (new Set(names).size < names.length) faults.add(key, rules.duplicateSort(spoken(key)))
  return items.map((item, index) => ({
    field: item === 'random' ? null : (names[index] ?? ''),
    descending: item.startsWith('-'),
  }))
}
