import { unprocessable } from '#src/responses/errors.ts'
import { MESSAGES } from '#src/responses/messages.ts'
import type { Condition, Order, Query } from './query.ts'
import { type Endpoint, type IncludeTree, type Resource, relationAt } from './resource.ts'

/**
 * What each part of a question costs. One unit is a millisecond of PostgreSQL with 100,000 playlists of four tracks
 * each (`node dist/bench/floods/costs.js`), when nothing is found before all rows were looked at.
 */
const WEIGHTS = {
  /** `has` that looks for a row, for each relation of the path. */
  exists: 30,
  /** `has` that counts rows, for the last relation of the path, and for each before it. */
  counted: 100,
  countedBelow: 150,
  /** A condition on a column, and each value of its list. */
  condition: 20,
  value: 0.1,
  /** A condition on a column of what is related. */
  relatedCondition: 2,
  /**
   * The same where `has` asks for such rows, for each relation of the path up to them: when none meets it, all of them
   * are looked at, for every row of the list.
   */
  conditionInHas: 250,
  /** A condition on what is counted for each row, and an order by it. */
  aggregate: 100,
  order: 30,
  search: 100,
  word: 10,
  /** A row that comes before the page. */
  skipped: 0.0002,
  /** A relation that is included, and each row of it. */
  include: 1,
  row: 0.01,
} as const

/** The most that skipping rows counts: no list is longer. */
const MOST_SKIPPED = 20

/** How many rows a relation to many is taken to have. */
const FANOUT = 10

/** The most rows that one relation is taken to have: an answer with more of them is refused. */
const MOST_ROWS = 50_000

/** How much of the rows of its table is looked at for a list that belongs to one user, or to one row. */
const OWN_SHARE = 0.05

/** From what on a question is heavy: such ones do not occupy all connections for lists. */
const HEAVY = 300

/** The most that a question may cost, by who asks. */
export const MOST_COST = { guest: 1_500, user: 3_000 } as const

/** The parts of a question that cost something, as its parameters are named in errors. */
export type CostPart = 'filter.has' | 'filter' | 'include' | 'sort' | 'q' | 'page.number'

/** What a question costs, in all and by its parts. */
export interface Cost {
  total: number
  parts: Readonly<Record<CostPart, number>>
}

/** What a question costs, as far as it can be told before the database is asked. */
export function costOf(endpoint: Endpoint, query: Query): Cost {
  const { resource, kind, isForAll = false } = endpoint
  // One row is found by its key.
  const scanned = kind === 'show' ? 0 : isForAll ? 1 : OWN_SHARE
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
    'page.number': scanned * Math.min(MOST_SKIPPED, (number - 1) * size * WEIGHTS.skipped),
  }
  return { total: sum(Object.values(parts), part => part), parts }
}

/** Whether a question is one of those that do not occupy all connections for lists. */
export const isHeavy = ({ total }: Cost): boolean => total > HEAVY

/**
 * Refuses a question that costs too much.
 *
 * @throws {HttpError} 422 that names the part that costs most, and what to do
 */
export function requireAffordable(cost: Cost, asker: keyof typeof MOST_COST): void {
  const most = MOST_COST[asker]
  if (cost.total <= most) return
  const [part] = (Object.entries(cost.parts) as [CostPart, number][]).reduce((one, other) =>
    other[1] > one[1] ? other : one,
  )
  throw unprocessable({ [part]: [MESSAGES.tooCostly(Math.ceil(cost.total), most, part)] })
}

const sum = <T>(items: readonly T[], costOfOne: (item: T) => number) =>
  items.reduce((total, item) => total + costOfOne(item), 0)

/** How many conditions a query has on the columns of a resource, wherever rows of it are looked for. */
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
  return WEIGHTS.counted + WEIGHTS.countedBelow * (path.length - 1) + filtered
}

/** What is counted for each row, among those that meet the conditions on what is counted. */
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

/** What it costs to include relations of so many rows. */
function includeCost(resource: Resource, includes: IncludeTree, rows: number): number {
  return sum([...includes], ([name, below]) => {
    const relation = relationAt(resource, [name])
    const found = Math.min(MOST_ROWS, rows * (relation.many ? FANOUT : 1))
    return WEIGHTS.include + WEIGHTS.row * found + includeCost(relation.resource(), below, found)
  })
}
