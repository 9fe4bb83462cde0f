import { type Kysely, sql } from 'kysely'
import type { Schema } from './schema.ts'
import { allOf, expression, meets } from './select/conditions.ts'
import { bounded, type Found, MOST_INCLUDED, TooMuchIncluded } from './select/found.ts'
import { column, linkedTo, ownerColumn, pivotColumn, pivotJoin, type Sql } from './select/links.ts'
import { byRelevance, containsWords, orderBy } from './select/order.ts'
import { type Condition, type Include, KEY, type PagePlan, type RowsPlan } from './select/plan.ts'

/** A row as it comes from the database, with its key under {@link KEY}. */
type Row = Record<string, unknown>

/** The name under which a related row carries the key of the row that it was found for. */
const OWNER = '$owner'

/** The name under which a row carries a column of the table between. */
const pivotName = (name: string) => `$p$${name}`

/**
 * A page of a list: the list itself in one statement, and one more for each include. One row more than the page holds
 * tells whether there is another page.
 *
 * @throws {TooMuchIncluded}
 */
export async function selectPage(
  db: Kysely<Schema>,
  { rows: plan, scope, search, page }: PagePlan,
): Promise<{ found: Found[]; hasMore: boolean }> {
  const orders = search?.ranked
    ? sql`${byRelevance(search.column, search.text, 't')}, ${orderBy(plan.order, 't')}`
    : orderBy(plan.order, 't')
  // The keys of the page come first, from the index where one serves: only these rows are then read whole.
  const keys = sql`
    select ${column('t', plan.key)} from ${sql.table(plan.table)} as t
    where ${meets(scope, 't')}
      and ${allOf(plan.conditions, 't')}
      and ${search === null ? sql`true` : containsWords(search.column, search.text, 't')}
    order by ${orders}
    limit ${page.size + 1} offset ${offsetOf(page)}::bigint`
  const { rows } = await sql<Row>`
    select ${outputs(plan, 't')}
    from ${sql.table(plan.table)} as t
    where ${column('t', plan.key)} in (${keys})
    order by ${orders}`.execute(db)
  const found = await withIncludes(db, rows.slice(0, page.size), plan.includes)
  return { found: bounded(found), hasMore: rows.length > page.size }
}

/** Pages whose rows no database holds are empty, not errors. */
const offsetOf = ({ number, size }: PagePlan['page']) => {
  const offset = (BigInt(number) - 1n) * BigInt(size)
  return String(offset > 2n ** 62n ? 2n ** 62n : offset)
}

/**
 * The row with a key, if it is in a scope; null otherwise.
 *
 * @throws {TooMuchIncluded}
 */
export async function selectOne(
  db: Kysely<Schema>,
  plan: RowsPlan,
  scope: Condition,
  key: number,
): Promise<Found | null> {
  const { rows } = await sql<Row>`
    select ${outputs(plan, 't')} from ${sql.table(plan.table)} as t
    where ${column('t', plan.key)} = ${key}
      and ${meets(scope, 't')}
      and ${allOf(plan.conditions, 't')}`.execute(db)
  const [found] = bounded(await withIncludes(db, rows, plan.includes))
  return found ?? null
}

/**
 * What the row with a key includes, one statement for each include. The row's own values are known already.
 *
 * @throws {TooMuchIncluded}
 */
export async function selectIncludes(
  db: Kysely<Schema>,
  includes: readonly Include[],
  key: number,
  values: Readonly<Row>,
): Promise<Found> {
  const [found] = bounded(await withIncludes(db, [{ ...values, [KEY]: key }], includes))
  return found as Found
}

/** What each row carries, its key first. */
function outputs({ key, outputs }: RowsPlan, alias: string): Sql {
  return sql.join([
    sql`${column(alias, key)} as ${sql.ref(KEY)}`,
    ...outputs.map(({ name, value }) => sql`${expression(value, alias)} as ${sql.ref(name)}`),
  ])
}

async function withIncludes(
  db: Kysely<Schema>,
  rows: readonly Row[],
  includes: readonly Include[],
): Promise<Found[]> {
  const related = rows.map(() => new Map<string, Found | Found[] | null>())
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

/** The related rows of many owners at once, by owner. */
async function selectRelated(
  db: Kysely<Schema>,
  { link, rows: plan, pivot }: Include,
  owners: readonly unknown[],
): Promise<Map<unknown, Found[]>> {
  const byOwner = new Map<unknown, Found[]>()
  const keys = [...new Set(owners.filter(owner => owner !== null))]
  if (keys.length === 0) return byOwner
  const shown = pivot.map(({ name, column }) => sql`, ${pivotColumn(column)} as ${sql.ref(pivotName(name))}`)
  const { rows } = await sql<Row>`
    select ${outputs(plan, 't')}, ${ownerColumn(link, 't')} as ${sql.ref(OWNER)}
      ${sql.join(shown, sql``)}
    from ${sql.table(plan.table)} as t ${pivotJoin(link, 't')}
    where ${linkedTo(link, 't', sql`= any(${keys}::bigint[])`)}
      and ${allOf(plan.conditions, 't')}
    order by ${orderBy(plan.order, 't')}
    limit ${MOST_INCLUDED + 1}`.execute(db)
  if (rows.length > MOST_INCLUDED) throw new TooMuchIncluded()

  const once = withoutRepeats(rows)
  const found = await withIncludes(db, once, plan.includes)
  once.forEach((row, index) => {
    const one = found[index] as Found
    const other = pivot.length === 0 ? one : { ...one, pivot: pivotValues(pivot, row) }
    const siblings = byOwner.get(row[OWNER])
    if (siblings === undefined) byOwner.set(row[OWNER], [other])
    else siblings.push(other)
  })
  return byOwner
}

/** Each row once for each owner: a role may be given twice, under two class names that mean a user. */
function withoutRepeats(rows: readonly Row[]): Row[] {
  const seen = new Set<string>()
  return rows.filter(row => {
    const id = `${row[OWNER]} ${row[KEY]}`
    return !seen.has(id) && seen.add(id)
  })
}

const pivotValues = (pivot: Include['pivot'], row: Row) =>
  Object.fromEntries(pivot.map(({ name }) => [name, row[pivotName(name)]]))
