import { sql } from 'kysely'
import { escapeLike } from '../like.ts'
import { expression } from './conditions.ts'
import { column, type Sql } from './links.ts'
import type { SortKey } from './plan.ts'

/** What the rows under an alias are sorted by, most important first. */
export const orderBy = (keys: readonly SortKey[], alias: string): Sql =>
  sql.join(keys.map(key => sortKey(key, alias)))

function sortKey(key: SortKey, alias: string): Sql {
  if (key.by === 'random') return sql`random()`
  const { descending, nullable, collation } = key
  const value = expression(key.value, alias)
  const sorted =
    collation === null
      ? value
      : collation === 'bytes'
        ? // What is told apart by case has its order from its bytes, whatever the language of the database.
          sql`${value} collate "C"`
        : sql`lower(${value})`
  const nulls = nullable ? (descending ? sql` nulls last` : sql` nulls first`) : sql``
  return sql`${sorted} ${descending ? sql`desc` : sql`asc`}${nulls}`
}

/** That a column contains every word, whatever the case. */
export const containsWords = (name: string, text: string, alias: string): Sql =>
  sql`(${sql.join(
    [...new Set(text.split(/\s+/))].map(word => sql`${column(alias, name)} ilike ${`%${escapeLike(word)}%`}`),
    sql` and `,
  )})`

/** What is called so, then what begins so, then what says little else. */
export const byRelevance = (name: string, text: string, alias: string): Sql => {
  const value = sql`lower(${column(alias, name)})`
  return sql`${value} = lower(${text}::text) desc,
    ${value} like lower(${`${escapeLike(text)}%`}::text) desc, length(${value})`
}
