import { unprocessable } from '#src/responses/errors.ts'
import { MESSAGES } from '#src/responses/messages.ts'
import type { Condition, Order, Query } from './query.ts'
import { type Endpoint, type IncludeTree, type Resource, relationAt } from './resource.ts'

/**
 * The cost model of a query. One unit is a millisecond of PostgreSQL with 100,000 playlists of four tracks each (`node
 * dist/bench/floods/costs.js`), in the worst case, when all rows are scanned.
 */
const WEIGHTS = {
  /** `has` as an existence check, per relation of the path. */
  exists: 30,
  /** `has` as a count: for the last relation of the path, and for each before it. */
  count: 100,
  countBelow: 150,
  /** A condition on a column, and each value of its list. */
  condition: 20,
  value: 0.1,
  /** A condition on a column of related rows. */
  relatedCondition: 2,
  /**
   * The same within `has`, per relation of the path up to them: if no related row matches, all of them are scanned for
   * every row of the list.
   */
  conditionInHas: 250,
  /** A condition on an aggregate, or an order by one. */
  aggregate: 100,
  order: 30,
  search: 100,
  word: 10,
  /** A skipped row before the page. */
  skipped: 0.0002,
  /** An included relation, and each of its rows. */
  include: 1,
  row: 0.01,
} as const

/** The maximum cost of skipped rows: no list is longer. */
const MAX_SKIP_COST = 20

/** The assumed number of rows of a to-many relation. */
const FANOUT = 10

/** The maximum of rows assumed for one relation: a response with more is refused. */
const MAX_RELATED_ROWS = 50_000

/** The share of a table that is scanned for a list of one user's or one owner's rows. */
const OWN_SHARE = 0.05

/** The cost from which a query is heavy: heavy queries do not occupy all list connections. */
const HEAVY_COST = 300

/** The maximum cost of a query, by kind of caller. */
export const MAX_COST = { guest: 1_500, user: 3_000 } as const

/** The parts of a query that have a cost, by parameter name as in errors. */
export type CostPart = 'filter.has' | 'filter' | 'include' | 'sort' | 'q' | 'page.number'

/** The cost of a query, in total and by part. */
export interface Cost {
  total: number
  parts: Readonly<Record<CostPart, number>>
}

/** Estimates the cost of a query before it runs. */
export function estimateCost(endpoint: Endpoint, query: Query): Cost {
  const { resource, kind, listsAllUsers = false } = endpoint
  // A single row is found by its key.
  const scanned = kind === 'show' ? 0 : listsAllUsers ? 1 : OWN_SHARE
  const own = query.conditions.get(resource.type) ?? []
  const related = [...query.conditions]
    .filter(([type]) => type !== resource.type)
    .reduce((sum, [, conditions]) => sum + conditions.length * WEIGHTS.relatedCondition, 0)
  const { number, size } = query.page
  const conditionsOn: ConditionsOn = ({ type }) =>
    (query.conditions.get(type) ?? []).filter(({ is }) => is !== 'related').length
  const parts = {
    'filter.has': scanned * sum(own, condition => hasCost(resource, condition, conditionsOn)),
    filter: scanned * (sum(own, condition => conditionCost(resource, condition, conditionsOn)) + related),
    sort:
      scanned * sum(query.orders.get(resource.type) ?? [], order => orderCost(resource, order, conditionsOn)),
    q:
      query.search === null
        ? 0
        : scanned * (WEIGHTS.search + WEIGHTS.word * query.search.split(/\s+/).length),
    include: includeCost(resource, query.includes, kind === 'show' ? 1 : size),
    'page.number': scanned * Math.min(MAX_SKIP_COST, (number - 1) * size * WEIGHTS.skipped),
  }
  return { total: sum(Object.values(parts), part => part), parts }
}

/** Returns whether a query is heavy: heavy queries do not occupy all list connections. */
export const isHeavy = ({ total }: Cost): boolean => total > HEAVY_COST

/**
 * Refuses a query that costs too much.
 *
 * @throws {HttpError} 422 that names the most expensive part and the remedy
 */
export function requireAffordable(cost: Cost, caller: keyof typeof MAX_COST): void {
  const max = MAX_COST[caller]
  if (cost.total <= max) return
  const [part] = (Object.entries(cost.parts) as [CostPart, number][]).reduce((one, other) =>
    other[1] > one[1] ? other : one,
  )
  throw unprocessable({ [part]: [MESSAGES.tooCostly(Math.ceil(cost.total), max, part)] })
}

const sum = <T>(items: readonly T[], costOfOne: (item: T) => number) =>
  items.reduce((total, item) => total + costOfOne(item), 0)

/** Counts a query's conditions on the columns of a resource. */
type ConditionsOn = (resource: Resource) => number

function hasCost(resource: Resource, condition: Condition, conditionsOn: ConditionsOn): number {
  if (condition.is !== 'related') return 0
  const { path, comparison } = condition
  let filtered = 0
  let at = resource
  path.forEach((name, index) => {
    at = relationAt(at, [name]).resource()
    filtered += WEIGHTS.conditionInHas * (index + 1) * conditionsOn(at)
  })
  if (comparison === 'gte' || comparison === 'lt') return WEIGHTS.exists * path.length + filtered
  return WEIGHTS.count + WEIGHTS.countBelow * (path.length - 1) + filtered
}

/** The cost of an aggregate per row, including conditions on the aggregated rows. */
function aggregateCost(resource: Resource, name: string, conditionsOn: ConditionsOn): number {
  const aggregate = resource.fields[name]?.aggregate
  if (aggregate === undefined) return 0
  return WEIGHTS.aggregate * (1 + conditionsOn(relationAt(resource, [aggregate.relation]).resource()))
}

function conditionCost(resource: Resource, condition: Condition, conditionsOn: ConditionsOn): number {
  if (condition.is === 'related') return 0
  const plain = WEIGHTS.condition + (condition.is === 'listed' ? condition.values.length * WEIGHTS.value : 0)
  return aggregateCost(resource, condition.field, conditionsOn) || plain
}

const orderCost = (resource: Resource, { field }: Order, conditionsOn: ConditionsOn) =>
  (field === null ? 0 : aggregateCost(resource, field, conditionsOn)) || WEIGHTS.order

/** The cost of including relations of a number of rows. */
function includeCost(resource: Resource, includes: IncludeTree, rows: number): number {
  return sum([...includes], ([name, nested]) => {
    const relation = relationAt(resource, [name])
    const found = Math.min(MAX_RELATED_ROWS, rows * (relation.many ? FANOUT : 1))
    return WEIGHTS.include + WEIGHTS.row * found + includeCost(relation.resource(), nested, found)
  })
}
