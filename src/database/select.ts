import { type RawBuilder, sql } from 'kysely'
import { allConditionsSql, conditionSql, expressionSql } from './select/conditions.ts'
import {
  type FoundRow,
  MAX_INCLUDED,
  requireIncludeLimit,
  TooManyIncluded,
  withoutIncludes,
} from './select/found.ts'
import { column, ownerColumn, ownerCondition, pivotColumn, pivotJoin, type Sql } from './select/links.ts'
import { containsWords, orderBy, relevanceOrder } from './select/order.ts'
import {
  type Condition,
  type Include,
  KEY,
  type PagePlan,
  Placeholder,
  type RowsPlan,
} from './select/plan.ts'
import { compileSql, type StatementRunner } from './statement-runner.ts'

/** A row of a result, with its key under {@link KEY}. */
type Row = Record<string, unknown>

/** The column of a related row that holds the key of its owner. */
const OWNER = '$owner'

/** The result column of a pivot column. */
const pivotName = (name: string) => `$p$${name}`

/** Runs a statement that is compiled for this execution only. */
const run = async <Result>(db: StatementRunner, fragment: RawBuilder<Result>): Promise<Result[]> =>
  (await db.executeQuery(compileSql(fragment))).rows

/** Rows of a page, and whether there is another page. */
export interface FoundPage {
  found: FoundRow[]
  hasMore: boolean
}

/**
 * Compiles the statement of a page, for repeated execution. The returned function selects the page with the numbers of the
 * scope's placeholders: one statement for the list, and one per include. It fetches one extra row to know whether there
 * is another page, and throws {@link TooManyIncluded}. Rows have their key only if includes need it.
 */
export function preparePage(
  plan: PagePlan,
): (db: StatementRunner, scopeValues: readonly number[]) => Promise<FoundPage> {
  const { includes } = plan.rows
  const { size } = plan.page
  const compiled = compileSql(
    sql<{ page: Row[] | null }>`select json_agg(p) as page from (${pageRows(plan)}) as p`,
  )
  return async (db, scopeValues) => {
    const parameters = compiled.parameters.map(value =>
      value instanceof Placeholder ? scopeValues[value.index] : value,
    )
    const result = await db.executeQuery<{ page: Row[] | null }>({ ...compiled, parameters })
    const rows = result.rows[0]?.page ?? []
    const hasMore = rows.length > size
    if (hasMore) rows.length = size
    if (includes.length === 0) return { found: rows.map(withoutIncludes), hasMore }
    return { found: requireIncludeLimit(await withIncludes(db, rows, includes)), hasMore }
  }
}

/** The rows of a page. They are aggregated to one JSON value, which is parsed faster than rows and columns. */
function pageRows({ rows: plan, scope, search, page }: PagePlan): Sql {
  const orders = search?.ranked
    ? sql`${relevanceOrder(search.column, search.text, 't')}, ${orderBy(plan.order, 't')}`
    : orderBy(plan.order, 't')
  const columns =
    plan.includes.length === 0 && plan.outputs.length > 0 ? shownOutputs(plan, 't') : outputs(plan, 't')
  const listed = sql`
    from ${sql.table(plan.table)} as t
    where ${conditionSql(scope, 't')}
      and ${allConditionsSql(plan.conditions, 't')}
      and ${search === null ? sql`true` : containsWords(search.column, search.text, 't')}
    order by ${orders}
    limit ${page.size + 1}`
  // The first page skips no rows. An aggregate may be computed before the limit applies.
  if (page.number === 1 && plan.outputs.every(({ value }) => value.is === 'column')) {
    return sql`select ${columns} ${listed}`
  }
  // First the keys of the page, from an index where possible: only these rows are then read entirely.
  return sql`
    select ${columns} from ${sql.table(plan.table)} as t
    where ${column('t', plan.key)} in (select ${column('t', plan.key)} ${listed} offset ${offsetOf(page)}::bigint)
    order by ${orders}`
}

/** Returns the row offset, clamped: pages beyond bigint are empty, not errors. */
const offsetOf = ({ number, size }: PagePlan['page']) => {
  const offset = (BigInt(number) - 1n) * BigInt(size)
  return String(offset > 2n ** 62n ? 2n ** 62n : offset)
}

/**
 * Selects the row with a key within a scope; null if there is none.
 *
 * @throws {TooManyIncluded}
 */
export async function selectOne(
  db: StatementRunner,
  plan: RowsPlan,
  scope: Condition,
  key: number,
): Promise<FoundRow | null> {
  const rows = await run(
    db,
    sql<Row>`
    select ${outputs(plan, 't')} from ${sql.table(plan.table)} as t
    where ${column('t', plan.key)} = ${key}
      and ${conditionSql(scope, 't')}
      and ${allConditionsSql(plan.conditions, 't')}`,
  )
  const [found] = requireIncludeLimit(await withIncludes(db, rows, plan.includes))
  return found ?? null
}

/**
 * Selects the includes of a row whose own values are known, one statement per include.
 *
 * @throws {TooManyIncluded}
 */
export async function selectIncludes(
  db: StatementRunner,
  includes: readonly Include[],
  key: number,
  values: Readonly<Row>,
): Promise<FoundRow> {
  const [found] = requireIncludeLimit(await withIncludes(db, [{ ...values, [KEY]: key }], includes))
  return found as FoundRow
}

/** The select list of a plan, the key first. */
function outputs(plan: RowsPlan, alias: string): Sql {
  const key = sql`${column(alias, plan.key)} as ${sql.ref(KEY)}`
  return plan.outputs.length === 0 ? key : sql`${key}, ${shownOutputs(plan, alias)}`
}

/** The select list of a plan without the key. */
const shownOutputs = ({ outputs }: RowsPlan, alias: string): Sql =>
  sql.join(outputs.map(({ name, value }) => sql`${expressionSql(value, alias)} as ${sql.ref(name)}`))

async function withIncludes(
  db: StatementRunner,
  rows: readonly Row[],
  includes: readonly Include[],
): Promise<FoundRow[]> {
  const related = rows.map(() => new Map<string, FoundRow | FoundRow[] | null>())
  for (const include of includes) {
    const owners = rows.map(row => row[include.from] ?? null)
    const byOwner = await selectRelated(db, include, owners)
    owners.forEach((owner, index) => {
      const found = byOwner.get(owner) ?? []
      related[index]?.set(include.name, include.many ? found : (found[0] ?? null))
    })
  }
  return rows.map((values, index) => ({ values, related: related[index] ?? new Map() }))
}

/** Selects the related rows of many owners in one statement, grouped by owner. */
async function selectRelated(
  db: StatementRunner,
  { link, rows: plan, pivot }: Include,
  owners: readonly unknown[],
): Promise<Map<unknown, FoundRow[]>> {
  const byOwner = new Map<unknown, FoundRow[]>()
  const keys = [...new Set(owners.filter(owner => owner !== null))]
  if (keys.length === 0) return byOwner
  const pivotOutputs = pivot.map(
    ({ name, column }) => sql`, ${pivotColumn(column)} as ${sql.ref(pivotName(name))}`,
  )
  const rows = await run(
    db,
    sql<Row>`
    select ${outputs(plan, 't')}, ${ownerColumn(link, 't')} as ${sql.ref(OWNER)}
      ${sql.join(pivotOutputs, sql``)}
    from ${sql.table(plan.table)} as t ${pivotJoin(link, 't')}
    where ${ownerCondition(link, 't', sql`= any(${keys}::bigint[])`)}
      and ${allConditionsSql(plan.conditions, 't')}
    order by ${orderBy(plan.order, 't')}
    limit ${MAX_INCLUDED + 1}`,
  )
  if (rows.length > MAX_INCLUDED) throw new TooManyIncluded()

  const unique = deduplicate(rows)
  const found = await withIncludes(db, unique, plan.includes)
  unique.forEach((row, index) => {
    const one = found[index] as FoundRow
    const withPivot = pivot.length === 0 ? one : { ...one, pivot: pivotValues(pivot, row) }
    const siblings = byOwner.get(row[OWNER])
    if (siblings === undefined) byOwner.set(row[OWNER], [withPivot])
    else siblings.push(withPivot)
  })
  return byOwner
}

/** Removes duplicates per owner: a role may be granted under two `model_type` values of users. */
function deduplicate(rows: readonly Row[]): Row[] {
  const seen = new Set<string>()
  return rows.filter(row => {
    const id = `${row[OWNER]} ${row[KEY]}`
    return !seen.has(id) && seen.add(id)
  })
}

const pivotValues = (pivot: Include['pivot'], row: Row) =>
  Object.fromEntries(pivot.map(({ name }) => [name, row[pivotName(name)]]))
