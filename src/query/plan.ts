import { type Include, KEY, type Output, type PagePlan, type RowsPlan } from '#src/database/select/plan.ts'
import { columnOf, type Place, plainColumn, planConditions, planField } from './plan/conditions.ts'
import { linkOf, type Planning, planScope } from './plan/links.ts'
import { planOrder } from './plan/order.ts'
import { shownFields } from './render.ts'
import { type Endpoint, type IncludeTree, type Resource, relationAt } from './resource.ts'
import type { Scope } from './scope.ts'

/** Plans a page of an endpoint's list: of the rows in a scope, as a query asks for them. */
export function planPage(endpoint: Endpoint, scope: Scope, planning: Planning): PagePlan {
  const { resource, order = [] } = endpoint
  const { search, page, orders } = planning.query
  return {
    rows: planRows(resource, planning.query.includes, 'listed', planning, order),
    scope: planScope(scope, planning),
    search: search === null ? null : { column: NAME, text: search, ranked: !orders.has(resource.type) },
    page,
  }
}

/** The column that searches are about. */
const NAME = 'name'

/** Plans one row of a resource, if it is in a scope. */
export const planOne = (resource: Resource, scope: Scope, planning: Planning) => ({
  rows: planRows(resource, planning.query.includes, 'listed', planning),
  scope: planScope(scope, planning),
})

/** Plans what is included in rows of a resource. */
export const planIncludes = (resource: Resource, includes: IncludeTree, planning: Planning): Include[] =>
  [...includes].map(([name, below]) => {
    const relation = relationAt(resource, [name])
    const { join, many } = relation
    const shows = join.by === 'pivot' ? Object.entries(join.shows?.fields ?? {}) : []
    return {
      name,
      many,
      link: linkOf(relation, planning),
      from: join.by === 'our column' ? inputName(join.column) : KEY,
      rows: planRows(relation.resource(), below, 'related', planning),
      pivot: shows.map(([name, field]) => ({ name, column: columnOf(name, field) })),
    }
  })

/** The name under which a row carries a column that is not shown itself: for a computed field, or to find an include. */
export const inputName = (column: string): string => `$${column}`

function planRows(
  resource: Resource,
  includes: IncludeTree,
  place: Place,
  planning: Planning,
  order: Endpoint['order'] = [],
): RowsPlan {
  return {
    table: resource.table,
    key: resource.key,
    outputs: planOutputs(resource, includes, planning),
    conditions: planConditions(resource, place, planning),
    order: planOrder(resource, order, planning),
    includes: planIncludes(resource, includes, planning),
  }
}

/** Everything that rendering a row and finding what it includes needs, beside its key. */
function planOutputs(resource: Resource, includes: IncludeTree, planning: Planning): Output[] {
  const shown = shownFields(resource, planning.query.fields)
  const inputs = new Set(shown.flatMap(([, { computed }]) => computed?.columns ?? []))
  for (const name of includes.keys()) {
    const { join } = relationAt(resource, [name])
    if (join.by === 'our column') inputs.add(join.column)
  }
  return [
    ...[...inputs].map(column => ({ name: inputName(column), value: plainColumn(column) })),
    ...shown
      .filter(([, { computed }]) => computed === undefined)
      .map(([name, field]) => ({ name, value: planField(resource, name, field, planning) })),
  ]
}
