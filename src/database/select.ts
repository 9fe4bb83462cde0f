import { type Kysely, type RawBuilder, sql } from 'kysely'
import type { TokenLifetimes } from '#src/auth/identity.ts'
import type { Config } from '#src/config/config.ts'
import type { Condition, Order, Query } from '#src/query/query.ts'
import { type Found, shownFields } from '#src/query/render.ts'
import {
  type ComputeSettings,
  type Endpoint,
  type Field,
  type IncludeTree,
  type PivotFields,
  type Relation,
  type Resource,
  relationAt,
} from '#src/query/resource.ts'
import { escapeLike } from './like.ts'
import type { Schema } from './schema.ts'

type Sql = RawBuilder<unknown>

/** What every part of a selection needs to know. */
interface Selection {
  query: Query
  /** The class names that mean a user. */
  userTypes: readonly string[]
  settings: ComputeSettings
}

type SelectionConfig = Pick<Config, 'tokenableTypes' | 'videoUrl' | 'audioUrl' | 'imageUrl'> & TokenLifetimes

/** Makes of a query what the functions here select by. */
export const selecting =
  (config: SelectionConfig) =>
  (query: Query): Selection => ({
    query,
    userTypes: config.tokenableTypes,
    settings: {
      wikiUrls: { audio: config.audioUrl, image: config.imageUrl, video: config.videoUrl },
      tokenLifetimes: config,
    },
  })

/** A row as it comes from the database. */
interface SelectedRow {
  [column: string]: unknown
  /** Its key. */
  $key: unknown
  /** The key of the row that it was found for. */
  $owner: unknown
}

/** Which rows a selection is among, whatever else is asked for. */
export type Scope = (alias: string, selection: Selection) => Sql

/** What belongs to a row, by the row's key. */
export const belongingTo =
  (relation: Relation, ownerKey: number): Scope =>
  (alias, selection) =>
    linkedTo(relation, alias, sql`= ${ownerKey}`, selection)

/** The rows in which a column compares so with a number. */
export const where =
  (name: string, comparison: '=' | '<' | '>', value: number): Scope =>
  alias =>
    sql`${column(alias, name)} ${sql.raw(comparison)} ${value}`

/** The rows that are in any one of several scopes. */
export const anyOf =
  (...scopes: readonly Scope[]): Scope =>
  (alias, selection) =>
    sql`(${sql.join(
      scopes.map(scope => scope(alias, selection)),
      sql` or `,
    )})`

/** The rows that are in each one of several scopes. */
export const allOf =
  (...scopes: readonly Scope[]): Scope =>
  (alias, selection) =>
    sql`(${sql.join(
      scopes.map(scope => scope(alias, selection)),
      sql` and `,
    )})`

/**
 * A page of a list: the list itself in one statement, and one more for each included relation. One row more than the
 * page holds tells whether there is another page.
 */
export async function selectPage(
  db: Kysely<Schema>,
  endpoint: Endpoint,
  scope: Scope,
  selection: Selection,
): Promise<{ found: Found[]; hasMore: boolean }> {
  const { resource, order = [] } = endpoint
  const { query } = selection
  const { number, size } = query.page
  const orders =
    query.search === null || query.orders.has(resource.type)
      ? orderBy(resource, 't', order, selection)
      : sql`${relevance('t', query.search)}, ${orderBy(resource, 't', order, selection)}`
  // The keys of the page come first, from the index where one serves: only these rows are then read whole.
  const keys = sql`
    select ${column('t', resource.key)} from ${sql.table(resource.table)} as t
    where ${scope('t', selection)}
      and ${matches(resource, 't', selection, 'listed')}
      and ${query.search === null ? sql`true` : named('t', query.search)}
    order by ${orders}
    limit ${size + 1} offset ${offsetOf(number, size)}::bigint`
  const { rows } = await sql<SelectedRow>`
    select ${columns(resource, 't', query.includes, selection)}
    from ${sql.table(resource.table)} as t
    where ${column('t', resource.key)} in (${keys})
    order by ${orders}`.execute(db)
  const page = rows.slice(0, size)
  const found = await withIncludes(db, resource, page, query.includes, selection)
  return { found: bounded(found), hasMore: rows.length > size }
}

/** The most rows that an answer includes, each as often as it is shown. */
export const MOST_INCLUDED = 50_000

/** What an answer would include is more than {@link MOST_INCLUDED}. */
export class TooMuchIncluded extends Error {
  override readonly name = 'TooMuchIncluded'
}

/** @throws {TooMuchIncluded} when rows include too much, which few rows do that are shown in many places */
function bounded(found: Found[]): Found[] {
  const sizes = new Map<Found, number>()
  const sizeOf = (row: Found): number => {
    const known = sizes.get(row)
    if (known !== undefined) return known
    let size = 1
    for (const related of row.related.values()) {
      for (const other of related === null ? [] : [related].flat()) size += sizeOf(other)
    }
    sizes.set(row, size)
    return size
  }
  const included = found.reduce((sum, row) => sum + sizeOf(row) - 1, 0)
  if (included > MOST_INCLUDED) throw new TooMuchIncluded()
  return found
}

/** The row with a key, if it is in a scope; null otherwise. */
export async function selectOne(
  db: Kysely<Schema>,
  resource: Resource,
  scope: Scope,
  key: number,
  selection: Selection,
): Promise<Found | null> {
  const { includes } = selection.query
  const { rows } = await sql<SelectedRow>`
    select ${columns(resource, 't', includes, selection)} from ${sql.table(resource.table)} as t
    where ${column('t', resource.key)} = ${key}
      and ${scope('t', selection)}
      and ${matches(resource, 't', selection, 'listed')}`.execute(db)
  const [found] = bounded(await withIncludes(db, resource, rows, includes, selection))
  return found ?? null
}

const NOTHING: Found['related'] = new Map()

/** What a row includes, one statement for each relation. The row's fields are known already. */
export async function selectIncludes(
  db: Kysely<Schema>,
  resource: Resource,
  key: number,
  values: Readonly<Record<string, unknown>>,
  selection: Selection,
): Promise<Found> {
  if (selection.query.includes.size === 0) return { values, related: NOTHING }
  const row = { ...values, $key: key, $owner: null }
  const [found] = bounded(await withIncludes(db, resource, [row], selection.query.includes, selection))
  return found as Found
}

/** That a name has every word, whatever the case. */
const named = (alias: string, search: string) =>
  sql`(${sql.join(
    [...new Set(search.split(/\s+/))].map(
      word => sql`${column(alias, 'name')} ilike ${`%${escapeLike(word)}%`}`,
    ),
    sql` and `,
  )})`

/** What is called so, then what begins so, then what says little else. */
const relevance = (alias: string, search: string) => {
  const name = sql`lower(${column(alias, 'name')})`
  return sql`${name} = lower(${search}::text) desc,
    ${name} like lower(${`${escapeLike(search)}%`}::text) desc, length(${name})`
}

/** Pages whose rows no database holds are empty, not errors. */
const offsetOf = (number: number, size: number) => {
  const offset = (BigInt(number) - 1n) * BigInt(size)
  return String(offset > 2n ** 62n ? 2n ** 62n : offset)
}

async function withIncludes(
  db: Kysely<Schema>,
  resource: Resource,
  rows: readonly SelectedRow[],
  includes: IncludeTree,
  selection: Selection,
): Promise<Found[]> {
  const related = rows.map(() => new Map<string, Found | Found[] | null>())
  for (const [name, below] of includes) {
    const relation = relationAt(resource, [name])
    const link = linkColumn(relation)
    const owners = rows.map(row => row[link] ?? null)
    const byOwner = await selectRelated(db, relation, owners, below, selection)
    owners.forEach((owner, index) => {
      const found = byOwner.get(owner) ?? []
      related[index]?.set(name, relation.many ? found : (found[0] ?? null))
    })
  }
  return rows.map((row, index) => ({
    values: withComputed(resource, row, selection),
    related: related[index] ?? new Map(),
  }))
}

/** A row with the values that are made of its columns. */
function withComputed(resource: Resource, row: SelectedRow, { query, settings }: Selection): SelectedRow {
  const computed = shownFields(resource, query.fields).flatMap(([name, { computed }]) => {
    if (computed === undefined) return []
    const values = Object.fromEntries(computed.columns.map(name => [name, row[`$${name}`]]))
    return [[name, computed.value(values, settings)]]
  })
  return computed.length === 0 ? row : { ...row, ...Object.fromEntries(computed) }
}

/** The rows of a relation for many owners at once, by owner. */
async function selectRelated(
  db: Kysely<Schema>,
  relation: Relation,
  owners: readonly unknown[],
  includes: IncludeTree,
  selection: Selection,
): Promise<Map<unknown, Found[]>> {
  const byOwner = new Map<unknown, Found[]>()
  const keys = [...new Set(owners.filter(owner => owner !== null))]
  if (keys.length === 0) return byOwner
  const resource = relation.resource()
  const { join } = relation
  const pivot =
    join.by === 'pivot'
      ? sql`join ${sql.table(join.table)} as p on ${column('p', join.theirs)} = ${column('t', resource.key)}`
      : sql``
  const shows = join.by === 'pivot' ? join.shows : undefined
  const shown = Object.entries(shows?.fields ?? {}).map(
    ([name, field]) => sql`, ${column('p', field.column ?? name)} as ${sql.ref(`$p$${name}`)}`,
  )
  const { rows } = await sql<SelectedRow>`
    select ${columns(resource, 't', includes, selection)}, ${ownerColumn(relation, 't')} as "$owner"
      ${sql.join(shown, sql``)}
    from ${sql.table(resource.table)} as t ${pivot}
    where ${linkedTo(relation, 't', sql`= any(${keys}::bigint[])`, selection)}
      and ${matches(resource, 't', selection)}
    order by ${orderBy(resource, 't', [], selection)}
    limit ${MOST_INCLUDED + 1}`.execute(db)
  if (rows.length > MOST_INCLUDED) throw new TooMuchIncluded()

  const seen = new Set<string>()
  // A role may be given twice, under two class names that mean a user.
  const once = rows.filter(({ $owner, $key }) => {
    const id = `${$owner} ${$key}`
    return !seen.has(id) && seen.add(id)
  })
  const found = await withIncludes(db, resource, once, includes, selection)
  once.forEach((row, index) => {
    const one = found[index] as Found
    const pivot = shows && { shows, values: pivotValues(shows, row) }
    const siblings = byOwner.get(row.$owner)
    if (siblings === undefined) byOwner.set(row.$owner, [pivot ? { ...one, pivot } : one])
    else siblings.push(pivot ? { ...one, pivot } : one)
  })
  return byOwner
}

const pivotValues = ({ fields }: PivotFields, row: SelectedRow) =>
  Object.fromEntries(Object.keys(fields).map(name => [name, row[`$p$${name}`]]))

const column = (alias: string, name: string) => sql.ref(`${alias}.${name}`)

/** Under which name a row carries what its relation starts from. */
const linkColumn = ({ join }: Relation) => (join.by === 'our column' ? `$${join.column}` : '$key')

/** Everything that rendering a row and finding what it includes needs. */
function columns(resource: Resource, alias: string, includes: IncludeTree, selection: Selection): Sql {
  const shown = shownFields(resource, selection.query.fields)
  const needed = new Set(shown.flatMap(([, { computed }]) => computed?.columns ?? []))
  for (const name of includes.keys()) {
    const { join } = relationAt(resource, [name])
    if (join.by === 'our column') needed.add(join.column)
  }
  return sql.join([
    sql`${column(alias, resource.key)} as "$key"`,
    ...[...needed].map(name => sql`${column(alias, name)} as ${sql.ref(`$${name}`)}`),
    ...shown
      .filter(([, { computed }]) => computed === undefined)
      .map(
        ([name, field]) => sql`${fieldValue(resource, name, field, alias, selection)} as ${sql.ref(name)}`,
      ),
  ])
}

/** A field's value: its column, or what is counted for it. */
function fieldValue(
  resource: Resource,
  name: string,
  field: Field,
  alias: string,
  selection: Selection,
): Sql {
  if (field.aggregate === undefined) {
    const plain = column(alias, field.column ?? name)
    return field.castToText ? sql`${plain}::text` : plain
  }
  const rows = relatedRows(resource, field.aggregate.relation, alias, selection)
  return field.aggregate.of === 'count' ? sql`(select count(*) ${rows})` : existsFor(rows)
}

/**
 * That there are rows, looked for once for each row of the list. With `offset 0` PostgreSQL leaves the subquery as it is.
 * Otherwise it makes joins of all of them together, for which it may choose a plan that takes minutes, where this takes
 * time in proportion to the rows.
 */
const existsFor = (rows: Sql) => sql`exists (select ${rows} offset 0)`

/** `from … where …` for what is related to the row under an alias, within the request's filters on it. */
function relatedRows(
  parent: Resource,
  name: string,
  parentAlias: string,
  selection: Selection,
  further: Sql = sql`true`,
): Sql {
  const alias = childOf(parentAlias)
  const relation = relationAt(parent, [name])
  const resource = relation.resource()
  return sql`from ${sql.table(resource.table)} as ${sql.ref(alias)}
    where ${correlated(relation, parent, parentAlias, alias, selection)}
      and ${matches(resource, alias, selection)} and ${further}`
}

/** The alias of what is related to the row under another. */
const childOf = (alias: string) => `${alias}r`

/** The column that holds the key of the row that a related row belongs to. */
function ownerColumn({ join, resource }: Relation, alias: string): Sql {
  switch (join.by) {
    case 'our column':
      return column(alias, resource().key)
    case 'their column':
      return column(alias, join.column)
    case 'their morph':
      return column(alias, join.id)
    case 'pivot':
      return column('p', join.ours)
  }
}

/** That a related row belongs to the owner or owners that `comparison` names. */
function linkedTo(relation: Relation, alias: string, comparison: Sql, { userTypes }: Selection): Sql {
  const { join } = relation
  const link = sql`${ownerColumn(relation, alias)} ${comparison}`
  const isOurs = (type: Sql, types = userTypes) => sql`(${link} and ${type} = any(${types}::text[]))`
  if (join.by === 'their morph') return isOurs(column(alias, join.type))
  if (join.by !== 'pivot') return link
  const counts = join.onlyNull === undefined ? sql`true` : sql`${column('p', join.onlyNull)} is null`
  return sql`${join.type === undefined ? link : isOurs(column('p', join.type), join.types)} and ${counts}`
}

/** That a related row belongs to the row under another alias. */
function correlated(
  { join, resource }: Relation,
  parent: Resource,
  parentAlias: string,
  alias: string,
  { userTypes }: Selection,
): Sql {
  const parentKey = column(parentAlias, parent.key)
  const isOurs = (type: Sql, types = userTypes) => sql`${type} = any(${types}::text[])`
  switch (join.by) {
    case 'our column':
      return sql`${column(alias, resource().key)} = ${column(parentAlias, join.column)}`
    case 'their column':
      return sql`${column(alias, join.column)} = ${parentKey}`
    case 'their morph':
      return sql`${column(alias, join.id)} = ${parentKey} and ${isOurs(column(alias, join.type))}`
    case 'pivot':
      return sql`exists (
        select from ${sql.table(join.table)} as p
        where ${column('p', join.ours)} = ${parentKey}
          and ${column('p', join.theirs)} = ${column(alias, resource().key)}
          and ${join.type === undefined ? sql`true` : isOurs(column('p', join.type), join.types)}
          and ${join.onlyNull === undefined ? sql`true` : sql`${column('p', join.onlyNull)} is null`})`
  }
}

/**
 * That a row exists for the API and meets the request's conditions. Conditions stand in brackets of their own:
 * an `or` among them cannot reach around what decides whose rows these are. What has to be related is asked of the
 * rows that are listed, and not of those that are related to them.
 */
function matches(
  resource: Resource,
  alias: string,
  selection: Selection,
  place: 'listed' | 'related' = 'related',
): Sql {
  const { except, onlyNull } = resource
  const conditions = (selection.query.conditions.get(resource.type) ?? []).filter(
    ({ is }) => is !== 'related' || place === 'listed',
  )
  const isAggregate = (condition: Condition) =>
    condition.is !== 'related' && resource.fields[condition.field]?.aggregate !== undefined
  const parts = [
    ...(except ? [sql`${column(alias, except.column)} <> ${except.value}`] : []),
    ...(onlyNull ? [sql`${column(alias, onlyNull)} is null`] : []),
    // What is counted is compared after the rest, as HAVING is after WHERE.
    ...[conditions.filter(condition => !isAggregate(condition)), conditions.filter(isAggregate)]
      .filter(group => group.length > 0)
      .map(group =>
        joined(group.map(condition => [condition, meets(resource, alias, condition, selection)])),
      ),
  ]
  return parts.length === 0 ? sql`true` : sql.join(parts, sql` and `)
}

/** Conditions from left to right; `and` binds tighter than `or`. */
function joined(conditions: [Condition, Sql][]): Sql {
  const parts = conditions.map(([{ connector }, test], index) =>
    index === 0 ? test : connector === 'or' ? sql` or ${test}` : sql` and ${test}`,
  )
  return sql`(${sql.join(parts, sql``)})`
}

const OPERATORS = {
  eq: sql`=`,
  ne: sql`<>`,
  lt: sql`<`,
  gt: sql`>`,
  lte: sql`<=`,
  gte: sql`>=`,
} as const

function meets(resource: Resource, alias: string, condition: Condition, selection: Selection): Sql {
  if (condition.is === 'related') {
    return isRelated(resource, alias, condition.path, condition.comparison, selection)
  }
  const field = resource.fields[condition.field] as Field
  const value = fieldValue(resource, condition.field, field, alias, selection)
  const isText = field.kind === 'string'
  const left = isText && !field.caseSensitive ? sql`lower(${value})` : value
  const right = (placeholder: Sql) =>
    isText && !field.caseSensitive ? sql`lower(${placeholder})` : placeholder

  if (condition.is === 'listed') {
    // As one parameter, however many they are.
    const list = sql`${condition.values.map(String)}::text[]::${TYPES[field.kind]}[]`
    const values = sql`select ${right(sql`item`)} from unnest(${list}) as item`
    return condition.negated ? sql`${left} not in (${values})` : sql`${left} in (${values})`
  }
  const { comparison } = condition
  if (comparison === 'like' || comparison === 'notlike') {
    const pattern = sql`${patternOf(String(condition.value))}::text`
    return comparison === 'like'
      ? sql`${left} like ${right(pattern)}`
      : sql`${left} not like ${right(pattern)}`
  }
  return sql`${left} ${OPERATORS[comparison]} ${right(typed(field, condition.value))}`
}

const TYPES = {
  string: sql`text`,
  integer: sql`bigint`,
  enum: sql`bigint`,
  float: sql`double precision`,
  date: sql`timestamp`,
  boolean: sql`boolean`,
  json: sql`text`,
} as const

const typed = (field: Field, value: unknown) => sql`${value}::${TYPES[field.kind]}`

/** PostgreSQL refuses a pattern that ends in the middle of an escape, which MySQL takes for a backslash. */
const patternOf = (text: string) => (/(?:^|[^\\])(?:\\\\)*\\$/.test(text) ? `${text}\\` : text)

/** That as many rows are related as the comparison with one says, counted at the end of the path. */
function isRelated(
  resource: Resource,
  alias: string,
  path: readonly string[],
  comparison: Exclude<Condition, { is: 'listed' }>['comparison'],
  selection: Selection,
): Sql {
  const [name = '', ...rest] = path
  const isNone = comparison === 'lt'
  if (rest.length > 0) {
    const below = isRelated(
      relationAt(resource, [name]).resource(),
      childOf(alias),
      rest,
      isNone ? 'gte' : comparison,
      selection,
    )
    const exists = existsFor(relatedRows(resource, name, alias, selection, below))
    return isNone ? sql`not ${exists}` : exists
  }
  const rows = relatedRows(resource, name, alias, selection)
  if (comparison === 'gte') return existsFor(rows)
  if (comparison === 'lt') return sql`not ${existsFor(rows)}`
  return sql`(select count(*) ${rows}) ${OPERATORS[comparison as keyof typeof OPERATORS]} 1`
}

/**
 * The order of a resource's rows: what always comes first, then what is asked for, then the key, so that no two
 * rows are equal and pages neither repeat nor drop any. As on MySQL, NULL is the least of all values.
 */
function orderBy(
  resource: Resource,
  alias: string,
  base: NonNullable<Endpoint['order']>,
  selection: Selection,
): Sql {
  const direction = (descending: boolean) => (descending ? sql`desc` : sql`asc`)
  const asked = (selection.query.orders.get(resource.type) ?? []).map(
    ({ field: name, descending }: Order) => {
      if (name === null) return sql`random()`
      const field = resource.fields[name] as Field
      const value = fieldValue(resource, name, field, alias, selection)
      // What is told apart by case has its order from its bytes, whatever the language of the database.
      const text = field.caseSensitive ? sql`${value} collate "C"` : sql`lower(${value})`
      const key = field.kind === 'string' ? text : value
      const nulls = field.nullable ? (descending ? sql` nulls last` : sql` nulls first`) : sql``
      return sql`${key} ${direction(descending)}${nulls}`
    },
  )
  const first = base.map(
    ({ field, descending }) =>
      sql`${column(alias, resource.fields[field]?.column ?? field)} ${direction(descending)}`,
  )
  return sql.join([
    ...first,
    ...asked,
    sql`${column(alias, resource.key)} ${direction(base[0]?.descending ?? false)}`,
  ])
}
