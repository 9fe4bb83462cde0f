import { type Kysely, sql } from 'kysely'
import type { Schema } from './schema.ts'
import { allConditionsSql, conditionSql, expressionSql } from './select/conditions.ts'
import { type FoundRow, MAX_INCLUDED, requireIncludeLimit, TooManyIncluded } from './select/found.ts'
import { column, ownerColumn, ownerCondition, pivotColumn, pivotJoin, type Sql } from './select/links.ts'
import { containsWords, orderBy, relevanceOrder } from './select/order.ts'
import { type Condition, type Include, KEY, type PagePlan, type RowsPlan } from './select/plan.ts'

/** A row of a result, with its key under {@link KEY}. */
type Row = Record<string, unknown>

/** The column of a related row that holds the key of its owner. */
const OWNER = '$owner'

/** The result column of a pivot column. */
const pivotName = (name: string) => `$p$${name}`

/**
 * Selects a page of a list: one statement for the list, and one per include. Fetches one extra row to know whether
 * there is another page.
 *
 * @throws {TooManyIncluded}
 */
export async function selectPage(
  db: Kysely<Schema>,
  { rows: plan, scope, search, page }: PagePlan,
): Promise<{ found: FoundRow[]; hasMore: boolean }> {
  const orders = search?.ranked
    ? sql`${relevanceOrder(search.column, search.text, 't')}, ${orderBy(plan.order, 't')}`
    : orderBy(plan.order, 't')
  // First the keys of the page, from an index where possible: only these rows are then read entirely.
  const keys = sql`
    select ${column('t', plan.key)} from ${sql.table(plan.table)} as t
    where ${conditionSql(scope, 't')}
      and ${allConditionsSql(plan.conditions, 't')}
      and ${search === null ? sql`true` : containsWords(search.column, search.text, 't')}
    order by ${orders}
    limit ${page.size + 1} offset ${offsetOf(page)}::bigint`
  const { rows } = await sql<Row>`
    select ${outputs(plan, 't')}
    from ${sql.table(plan.table)} as t
    where ${column('t', plan.key)} in (${keys})
    order by ${orders}`.execute(db)
  const found = await withIncludes(db, rows.slice(0, page.size), plan.includes)
  return { found: requireIncludeLimit(found), hasMore: rows.length > page.size }
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
  db: Kysely<Schema>,
  plan: RowsPlan,
  scope: Condition,
  key: number,
): Promise<FoundRow | null> {
  const { rows } = await sql<Row>`
    select ${outputs(plan, 't')} from ${sql.table(plan.table)} as t
    where ${column('t', plan.key)} = ${key}
      and ${conditionSql(scope, 't')}
      and ${allConditionsSql(plan.conditions, 't')}`.execute(db)
  const [found] = requireIncludeLimit(await withIncludes(db, rows, plan.includes))
  return found ?? null
}

/**
 * Selects the includes of a row whose own values are known, one statement per include.
 *
 * @throws {TooManyIncluded}
 */
export async function selectIncludes(
  db: Kysely<Schema>,
  includes: readonly Include[],
  key: number,
  values: Readonly<Row>,
): Promise<FoundRow> {
  const [found] = requireIncludeLimit(await withIncludes(db, [{ ...values, [KEY]: key }], includes))
  return found as FoundRow
}

/** The select list of a plan, the key first. */
function outputs({ key, outputs }: RowsPlan, alias: string): Sql {
  return sql.join([
    sql`${column(alias, key)} as ${sql.ref(KEY)}`,
    ...outputs.map(({ name, value }) => sql`${expressionSql(value, alias)} as ${sql.ref(name)}`),
  ])
}

async function withIncludes(
  db: Kysely<Schema>,
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
  db: Kysely<Schema>,
  { link, rows: plan, pivot }: Include,
  owners: readonly unknown[],
): Promise<Map<unknown, FoundRow[]>> {
  const byOwner = new Map<unknown, FoundRow[]>()
  const keys = [...new Set(owners.filter(owner => owner !== null))]
  if (keys.length === 0) return byOwner
  const pivotOutputs = pivot.map(
    ({ name, column }) => sql`, ${pivotColumn(column)} as ${sql.ref(pivotName(name))}`,
  )
  const { rows } = await sql<Row>`
    select ${outputs(plan, 't')}, ${ownerColumn(link, 't')} as ${sql.ref(OWNER)}
      ${sql.join(pivotOutputs, sql``)}
    from ${sql.table(plan.table)} as t ${pivotJoin(link, 't')}
    where ${ownerCondition(link, 't', sql`= any(${keys}::bigint[])`)}
      and ${allConditionsSql(plan.conditions, 't')}
    order by ${orderBy(plan.order, 't')}
    limit ${MAX_INCLUDED + 1}`.execute(db)
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
