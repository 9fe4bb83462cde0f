import { type Include, KEY, type Output, type PagePlan, type RowsPlan } from '#src/database/select/plan.ts'
import { columnOf, plainColumn, planConditions, planField, type RowRole } from './plan/conditions.ts'
import { type PlanContext, planLink, planScope } from './plan/links.ts'
import { planOrder } from './plan/order.ts'
import { selectedFields } from './render.ts'
import { type Endpoint, type IncludeTree, type Resource, relationAt } from './resource.ts'
import type { Scope, ScopeTemplate } from './scope.ts'

/** Plans a page of an endpoint's list within a scope. */
export function planPage(endpoint: Endpoint, scope: ScopeTemplate, context: PlanContext): PagePlan {
  const { resource, order = [] } = endpoint
  const { search, page, orders } = context.query
  return {
    rows: planRows(resource, context.query.includes, 'listed', context, order),
    scope: planScope(scope, context),
    search: search === null ? null : { column: NAME, text: search, ranked: !orders.has(resource.type) },
    page,
  }
}

/** The column that is searched. */
const NAME = 'name'

/** Plans one row of a resource within a scope. */
export const planOne = (resource: Resource, scope: Scope, context: PlanContext) => ({
  rows: planRows(resource, context.query.includes, 'listed', context),
  scope: planScope(scope, context),
})

/** Plans the includes of rows of a resource. */
export const planIncludes = (resource: Resource, includes: IncludeTree, context: PlanContext): Include[] =>
  [...includes].map(([name, nested]) => {
    const relation = relationAt(resource, [name])
    const { join, many } = relation
    const shows = join.by === 'pivot' ? Object.entries(join.shows?.fields ?? {}) : []
    return {
      name,
      many,
      link: planLink(relation, context),
      from: join.by === 'our column' ? inputName(join.column) : KEY,
      rows: planRows(relation.resource(), nested, 'related', context),
      pivot: shows.map(([name, field]) => ({ name, column: columnOf(name, field) })),
    }
  })

/** The output name of a column that is not shown itself: an input of a computed field, or the key of an include. */
export const inputName = (column: string): string => `$${column}`

function planRows(
  resource: Resource,
  includes: IncludeTree,
  role: RowRole,
  context: PlanContext,
  order: Endpoint['order'] = [],
): RowsPlan {
  return {
    table: resource.table,
    key: resource.key,
    outputs: planOutputs(resource, includes, context),
    conditions: planConditions(resource, role, context),
    order: planOrder(resource, order, context),
    includes: planIncludes(resource, includes, context),
  }
}

/** Plans all outputs that rendering a row and finding its includes need, except its key. */
function planOutputs(resource: Resource, includes: IncludeTree, context: PlanContext): Output[] {
  const shown = selectedFields(resource, context.query.fields)
  const inputs = new Set(shown.flatMap(([, { computed }]) => computed?.columns ?? []))
  for (const name of includes.keys()) {
    const { join } = relationAt(resource, [name])
    if (join.by === 'our column') inputs.add(join.column)
  }
  return [
    ...[...inputs].map(column => ({
      name: inputName(column),
      value: plainColumn(column, isDate(resource, column)),
    })),
    ...shown
      .filter(([, { computed }]) => computed === undefined)
      .map(([name, field]) => {
        const value = planField(resource, name, field, context)
        // JSON has another format for dates than text.
        return { name, value: field.isRawText && value.is === 'column' ? { ...value, asText: true } : value }
      }),
  ]
}

/** Returns whether a column holds dates, which computed fields take in the format of text. */
const isDate = ({ fields }: Resource, column: string): boolean =>
  Object.entries(fields).some(([name, field]) => field.kind === 'date' && columnOf(name, field) === column)
