import { type RawBuilder, sql } from 'kysely'
import type { Link, LinkType, RelatedRows } from './plan.ts'

/** A piece of a statement. */
export type Sql = RawBuilder<unknown>

/** A column of the table under an alias. */
export const column = (alias: string, name: string) => sql.ref(`${alias}.${name}`)

/** The alias of the table between, where there is one. */
const PIVOT = 'p'

/** A column of the table between. */
export const pivotColumn = (name: string) => column(PIVOT, name)

/** Joins the table between two others to that of the related rows; nothing for other links. */
export const pivotJoin = (link: Link, alias: string): Sql =>
  link.by === 'pivot'
    ? sql`join ${sql.table(link.table)} as ${sql.raw(PIVOT)} on ${pivotColumn(link.theirs)} = ${column(alias, link.key)}`
    : sql``

/** The column that holds the key of the row that a related row belongs to. */
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

const isCounted = (onlyNull: string | null) =>
  onlyNull === null ? sql`true` : sql`${pivotColumn(onlyNull)} is null`

/**
 * That a related row belongs to the owner or owners that `comparison` names. The table between has to be joined with
 * {@link pivotJoin}, unless its columns are those of the related rows.
 */
export function linkedTo(link: Link, alias: string, comparison: Sql): Sql {
  const owned = sql`${ownerColumn(link, alias)} ${comparison}`
  if (link.by === 'their morph') return sql`(${owned} and ${isOfType(alias, link.type)})`
  if (link.by !== 'pivot') return owned
  const typed = link.type === null ? owned : sql`(${owned} and ${isOfType(PIVOT, link.type)})`
  return sql`${typed} and ${isCounted(link.onlyNull)}`
}

/** That a related row belongs to the owner's row under another alias of the same statement. */
export function correlated(
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
          and ${isCounted(link.onlyNull)})`
  }
}
