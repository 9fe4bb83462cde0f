import type { Parameter } from '#src/input/querystring.ts'
import { MESSAGES } from '#src/responses/messages.ts'
import type { Order, Query } from '../query.ts'
import { isSortable, type Resource } from '../resource.ts'
import { displayName, type ParameterErrors, readByType, readList, rejectParameter } from './parameter.ts'
import { findField, type Rules } from './rules.ts'

const { rules } = MESSAGES

/** Parses the order of the rows of each type. */
export function readSort(
  { endpoint, types, paths }: Rules,
  value: Parameter | undefined,
  errors: ParameterErrors,
): Query['orders'] {
  const orders = new Map<string, Order[]>()
  if (value === undefined) return orders
  const { resource, kind, isSequence = false } = endpoint
  if (isSequence || (kind === 'show' && paths.length === 0)) {
    rejectParameter('sort', value, errors)
    return orders
  }
  const sortable = (type: Resource, name: string) => {
    const field = findField(type, name)
    return field !== undefined && isSortable(field)
  }
  if (kind === 'index' && (typeof value === 'string' || value === null)) {
    // A sort without a type applies to every type that has a sort field of that name.
    for (const order of readOrders('sort', value, name => sortable(resource, name), errors)) {
      for (const [type, other] of types) {
        if (type !== resource.type && (order.field === null || !sortable(other, order.field))) continue
        orders.set(type, [...(orders.get(type) ?? []), order])
      }
    }
    return orders
  }
  const isAllowed = (name: string) => types.has(name) && (kind === 'index' || name !== resource.type)
  for (const [name, text] of readByType('sort', value, isAllowed, errors)) {
    const type = types.get(name)
    if (type)
      orders.set(
        name,
        readOrders(`sort.${name}`, text, field => sortable(type, field), errors),
      )
  }
  return orders
}

function readOrders(
  key: string,
  value: Parameter,
  isSortable: (name: string) => boolean,
  errors: ParameterErrors,
): Order[] {
  const accepts = (item: string) => item === 'random' || isSortable(item.replace(/^-/, ''))
  const items = readList(key, value, accepts, errors) ?? []
  if (items.length > 1 && items.includes('random')) errors.add(key, rules.randomAlone(displayName(key)))
  const names = items.map(item => item.replace(/^-/, ''))
  if (new Set(names).size < names.length) errors.add(key, rules.duplicateSort(displayName(key)))
  return items.map((item, index) => ({
    field: item === 'random' ? null : (names[index] ?? ''),
    descending: item.startsWith('-'),
  }))
}
