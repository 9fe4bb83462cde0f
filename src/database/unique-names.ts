import { type Kysely, sql } from 'kysely'
import { foldAscii } from './fold-case.ts'
import type { Schema } from './schema.ts'

/** A column of users whose values are unique, ignoring the case of ASCII letters. */
export type NameColumn = 'name' | 'email'

const COLUMNS: readonly NameColumn[] = ['name', 'email']

/** The names of a column's indexes: of the unique one, and of the other that stands in for it. */
const indexesOf = (column: NameColumn) => ({
  unique: `users_${column}_unique`,
  plain: `users_${column}_index`,
})

/**
 * Replaces the plain indexes on names and e-mail addresses of users by unique ones, unless values collide. Databases have
 * such users if their locale took I and i for different letters, as Turkish ones do.
 *
 * @returns the columns with collisions
 */
export async function ensureUniqueNames(db: Kysely<Schema>): Promise<NameColumn[]> {
  const ambiguous: NameColumn[] = []
  for (const column of await findNotUnique(db)) {
    if (!(await makeUnique(db, column))) ambiguous.push(column)
  }
  return ambiguous
}

async function findNotUnique(db: Kysely<Schema>): Promise<NameColumn[]> {
  const names = COLUMNS.map(column => indexesOf(column).unique)
  const { rows } = await sql<{ name: string }>`
    select name from unnest(${names}::text[]) as name where to_regclass(quote_ident(name)) is not null`.execute(
    db,
  )
  const existing = new Set(rows.map(({ name }) => name))
  return COLUMNS.filter(column => !existing.has(indexesOf(column).unique))
}

/** Returns whether the column is unique now. */
async function makeUnique(db: Kysely<Schema>, column: NameColumn): Promise<boolean> {
  const { unique, plain } = indexesOf(column)
  const folded = foldAscii(sql.ref(column))
  return db.transaction().execute(async transaction => {
    // No user is added meanwhile, and one instance does it.
    await sql`lock table users in share row exclusive mode`.execute(transaction)
    const { rows } = await sql`
      select from users group by ${folded} having count(*) > 1 limit 1`.execute(transaction)
    if (rows.length > 0) return false
    await sql`create unique index if not exists ${sql.ref(unique)} on users (${folded})`.execute(transaction)
    await sql`drop index if exists ${sql.ref(plain)}`.execute(transaction)
    return true
  })
}

/** Tells the operator about a column with collisions. */
export const ambiguityWarning = (column: NameColumn): string =>
  `several users have the same ${column === 'name' ? 'name' : 'e-mail address'} except for case, so the database does not keep it unique: rename all but one of those that "user collisions" lists, then run "migrate"`
