import { type Kysely, sql } from 'kysely'
import type { Schema } from './schema.ts'

/** The database cannot store all characters. The message names it and the remedy. */
export class UnsupportedEncoding extends Error {
  override readonly name = 'UnsupportedEncoding'

  constructor(database: string, encoding: string) {
    super(
      `The database ${database} stores text in ${encoding}: expected UTF8, because names have characters of all scripts. ` +
        `Make a new one (create database … encoding 'UTF8' template template0), and copy the data with pg_dump and pg_restore.`,
    )
  }
}

/** @throws {UnsupportedEncoding} unless the database stores text in UTF-8 */
export async function requireUtf8(db: Kysely<Schema>): Promise<void> {
  const { rows } = await sql<{ name: string; encoding: string }>`
    select current_database() as name, current_setting('server_encoding') as encoding`.execute(db)
  for (const { name, encoding } of rows) {
    if (encoding !== 'UTF8') throw new UnsupportedEncoding(name, encoding)
  }
}
