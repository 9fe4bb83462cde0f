import { type RawBuilder, sql } from 'kysely'
import type { Link, LinkType, RelatedRows } from './plan.ts'

/** A fragment of SQL. */
export type Sql = RawBuilder<unknown>

/** A column of the table with an alias. */
export const column = (alias: string, name: string) => sql.ref(`${alias}.${name}`)

/** The alias of the pivot table. */
const PIVOT = 'p'

/** A column of the pivot table. */
export const pivotColumn = (name: string) => column(PIVOT, name)

/** Joins the pivot table to the related rows; empty for other links. */
export const pivotJoin = (link: Link, alias: string): Sql =>
  link.by === 'pivot'
    ? sql`join ${sql.table(link.table)} as ${sql.raw(PIVOT)} on ${pivotColumn(link.theirs)} = ${column(alias, link.key)}`
    : sql``

/** The column that holds the owner's key for a related row. */
export function ownerColumn(link: Link, alias: string): Sql {
  switch (link.by) {
    case 'our column':
      return column(alias, link.key)
    case 'their column':
    case 'their morph':
      return column(alias, link.column)
    case 'pivot':
      return pivotColumn(link.ours)
  }
}

const isOfType = (alias: string, type: LinkType) =>
  sql`${column(alias, type.column)} = any(${type.names}::text[])`

const pivotRowCounts = (onlyNull: string | null) =>
  onlyNull === null ? sql`true` : sql`${pivotColumn(onlyNull)} is null`

/**
 * The condition that a related row belongs to the owners that `comparison` names. Requires {@link pivotJoin}, unless
 * the alias is that of the pivot.
 */
export function ownerCondition(link: Link, alias: string, comparison: Sql): Sql {
  const owned = sql`${ownerColumn(link, alias)} ${comparison}`
  if (link.by === 'their morph') return sql`(${owned} and ${isOfType(alias, link.type)})`
  if (link.by !== 'pivot') return owned
  const typed = link.type === null ? owned : sql`(${owned} and ${isOfType(PIVOT, link.type)})`
  return sql`${typed} and ${pivotRowCounts(link.onlyNull)}`
}

/** The condition that a related row belongs to the owner's row, under another alias of the same statement. */
export function correlationCondition(
  { link, ownerKey: key }: Pick<RelatedRows, 'link' | 'ownerKey'>,
  ownerAlias: string,
  alias: string,
): Sql {
  const ownerKey = column(ownerAlias, key)
  switch (link.by) {
    case 'our column':
      return sql`${column(alias, link.key)} = ${column(ownerAlias, link.column)}`
    case 'their column':
      return sql`${column(alias, link.column)} = ${ownerKey}`
    case 'their morph':
      return sql`${column(alias, link.column)} = ${ownerKey} and ${isOfType(alias, link.type)}`
    case 'pivot':
      return sql`exists (
        select from ${sql.table(link.table)} as ${sql.raw(PIVOT)}
        where ${pivotColumn(link.ours)} = ${ownerKey}
          and ${pivotColumn(link.theirs)} = ${column(alias, link.key)}
          and ${link.type === null ? sql`true` : isOfType(PIVOT, link.type)}
          and ${pivotRowCounts(link.onlyNull)})`
  }
}
