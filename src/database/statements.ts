import { type Kysely, sql } from 'kysely'

/** Makes a migration step that runs SQL statements in sequence. */
export function statements(...texts: string[]) {
  return async (db: Kysely<unknown>) => {
    for (const text of texts) await sql.raw(text).execute(db)
  }
}
