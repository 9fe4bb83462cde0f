import { type Kysely, sql } from 'kysely'

/** A migration step that runs SQL statements one after the other. */
export function statements(...texts: string[]) {
  return async (db: Kysely<unknown>) => {
    for (const text of texts) await sql.raw(text).execute(db)
  }
}
