import { readdirSync } from 'node:fs'
import { type Kysely, type Migration, Migrator, sql } from 'kysely'
import type { Database } from './connect.ts'
import { requireUtf8 } from './encoding.ts'
import type { Schema } from './schema.ts'
import { ensureUniqueNames, type NameColumn } from './unique-names.ts'

const FOLDER = new URL('./migrations/', import.meta.url)

/** Every file of the folder is a migration, named by the file. @throws {Error} for a name without a number */
const NAMES = readdirSync(FOLDER)
  .filter(file => file.endsWith('.js'))
  .map(file => {
    const name = file.slice(0, -'.js'.length)
    if (!/^\d{4}_\w+$/.test(name)) throw new Error(`${name}: migrations are called 0001_name.`)
    return name
  })
  .sort()

const LATEST = NAMES.at(-1)

/** @throws {Error} unless the file exports exactly one migration */
async function loadMigration(name: string): Promise<[name: string, migration: Migration]> {
  const [migration, ...others] = Object.values<Migration>(await import(new URL(`${name}.js`, FOLDER).href))
  if (migration === undefined || others.length > 0) throw new Error(`${name} has to export one migration.`)
  return [name, migration]
}

const getMigrations = async () => Object.fromEntries(await Promise.all(NAMES.map(loadMigration)))

/** The result of {@link migrate}. */
export interface Migrated {
  /** The names of the migrations that ran. */
  names: string[]
  /** Columns of users that cannot be unique because several users have the same value except for case. */
  ambiguous: readonly NameColumn[]
}

/**
 * Brings the schema up to date. Runs in one transaction under an advisory lock, so that instances may call it
 * concurrently. Then advances identity sequences past rows that were imported with their ids, and makes names and
 * addresses unique where existing ones allow it.
 *
 * @throws {UnsupportedEncoding} for a database that is not in UTF-8
 * @throws the database's error; nothing is changed then
 */
export async function migrate(db: Kysely<Schema>): Promise<Migrated> {
  await requireUtf8(db)
  const names = (await isUpToDate(db)) ? [] : await runMigrations(db)
  await alignIdentities(db)
  const ambiguous = await ensureUniqueNames(db)
  return { names, ambiguous }
}

/** Whether exactly the migrations of this version have run, in their order. Most starts need not load them then. */
async function isUpToDate(db: Kysely<Schema>): Promise<boolean> {
  const { rows: found } = await sql<{ exists: boolean }>`
    select to_regclass('kysely_migration') is not null as exists`.execute(db)
  if (!found[0]?.exists) return false
  const { rows } = await sql<{ name: string }>`
    select name from kysely_migration order by timestamp, name`.execute(db)
  return rows.length === NAMES.length && rows.every(({ name }, index) => name === NAMES[index])
}

/** Runs what has not run, and returns the names. */
async function runMigrations(db: Kysely<Schema>): Promise<string[]> {
  const migrator = new Migrator({ db, provider: { getMigrations } })
  const { error, results = [] } = await migrator.migrateToLatest()
  if (error) throw error
  return results.map(result => result.migrationName)
}

/** Makes the function that checks whether the latest migration of this version has run, in a database that takes writes. */
export function migrationCheck(database: Pick<Database, 'prepare'>): () => Promise<boolean> {
  const select = database.prepare<{ current: boolean }>(
    'migrated',
    `select exists (select from kysely_migration where name = $1)
      and not pg_is_in_recovery() and current_setting('transaction_read_only') = 'off' as current`,
  )
  return async () => {
    const [row] = await select([LATEST])
    return row?.current === true
  }
}

/** Rows imported from Laravel keep their ids without advancing the sequence: the next insert would collide. */
async function alignIdentities(db: Kysely<Schema>) {
  const { rows } = await sql<{ table_name: string; column_name: string; sequence: string }>`
    select table_name, column_name, pg_get_serial_sequence(quote_ident(table_name), column_name) as sequence
    from information_schema.columns
    where table_schema = current_schema() and is_identity = 'YES'
    order by table_name`.execute(db)
  for (const { table_name, column_name, sequence } of rows) {
    await sql`
      select setval(${sequence}, highest)
      from (select max(${sql.ref(column_name)}) as highest from ${sql.table(table_name)}) as brought
      where highest > (select last_value from ${sql.raw(sequence)})`.execute(db)
  }
}
