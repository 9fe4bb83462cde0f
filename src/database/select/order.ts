import { sql } from 'kysely'
import { foldCase } from '../fold-case.ts'
import { escapeLike } from '../like.ts'
import { expressionSql } from './conditions.ts'
import { column, type Sql } from './links.ts'
import type { SortKey } from './plan.ts'

/** The sort keys of the rows with an alias, most important first. */
export const orderBy = (keys: readonly SortKey[], alias: string): Sql =>
  sql.join(keys.map(key => sortKey(key, alias)))

function sortKey(key: SortKey, alias: string): Sql {
  if (key.by === 'random') return sql`random()`
  const { descending, nullable, collation } = key
  const value = expressionSql(key.value, alias)
  const sorted =
    collation === null
      ? value
      : collation === 'bytes'
        ? // Case-sensitive values are ordered by bytes, independently of the locale of the database.
          sql`${value} collate "C"`
        : foldCase(value)
  const nulls = nullable ? (descending ? sql` nulls last` : sql` nulls first`) : sql``
  return sql`${sorted} ${descending ? sql`desc` : sql`asc`}${nulls}`
}

/** The condition that a column contains every word, case-insensitively. */
export const containsWords = (name: string, text: string, alias: string): Sql =>
  sql`(${sql.join(
    [...new Set(text.split(/\s+/))].map(
      word => sql`${foldCase(column(alias, name))} like ${foldCase(sql`${`%${escapeLike(word)}%`}::text`)}`,
    ),
    sql` and `,
  )})`

/** Orders exact matches first, then prefix matches, then by length. */
export const relevanceOrder = (name: string, text: string, alias: string): Sql => {
  const value = foldCase(column(alias, name))
  return sql`${value} = ${foldCase(sql`${text}::text`)} desc,
    ${value} like ${foldCase(sql`${`${escapeLike(text)}%`}::text`)} desc, length(${value})`
}
