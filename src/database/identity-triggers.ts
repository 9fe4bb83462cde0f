import { type Kysely, sql } from 'kysely'
import { IDENTITY_TABLES } from './identity-columns.ts'

/**
 * A migration step that recreates a table's trigger so that it watches all declared identity columns, for migrations
 * that add such a column. A declared column that the table does not have yet belongs to a later migration, which calls
 * this again, so an empty database can be migrated through both.
 */
export const followIdentityColumns = (table: string) => async (db: Kysely<unknown>) => {
  const declared = IDENTITY_TABLES.get(table)
  if (declared === undefined) throw new Error(`${table} is no table of identities.`)
  const { rows } = await sql<{ name: string }>`
    select column_name as name from information_schema.columns
    where table_schema = current_schema() and table_name = ${table}`.execute(db)
  const existing = new Set(rows.map(({ name }) => name))
  const columns = declared.followed.filter(column => existing.has(column))
  const values = (row: string) => columns.map(column => `${row}.${column}`).join(', ')
  await sql.raw(`drop trigger if exists ${table}_identities_update on ${table}`).execute(db)
  await sql
    .raw(
      `create trigger ${table}_identities_update after update of ${columns.join(', ')} on ${table}
        for each row when ((${values('old')}) is distinct from (${values('new')}))
        execute function notify_${table}_change()`,
    )
    .execute(db)
}
