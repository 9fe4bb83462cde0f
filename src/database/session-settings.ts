import { type Kysely, sql } from 'kysely'
import type { Schema } from './schema.ts'

/**
 * The settings that statements and the parsing of their results rely on. They are stated for every session, because the
 * database, the role or the URL may have others: with `DateStyle = German`, for example, no date would be understood. The
 * embedded database has these always, since PGlite ignores what is stored for databases and roles.
 */
const RELIED_ON = {
  DateStyle: 'ISO, MDY',
  TimeZone: 'UTC',
  standard_conforming_strings: 'on',
  IntervalStyle: 'postgres',
  array_nulls: 'on',
  default_transaction_isolation: 'read committed',
  extra_float_digits: '1',
} as const

/** Those that PgBouncer keeps for each of its clients in every version; it refuses clients that state others. */
const { DateStyle, TimeZone, standard_conforming_strings } = RELIED_ON

/** Startup parameters of a connection: `client_encoding` is added by node-postgres. */
export type StartupParameters = Readonly<Record<string, string>>

/** The startup parameters of a connection to PostgreSQL itself. */
export const DIRECT_PARAMETERS: StartupParameters = RELIED_ON

/** The startup parameters of a connection to a pooler that refuses the others. */
export const POOLER_PARAMETERS: StartupParameters = { DateStyle, TimeZone, standard_conforming_strings }

/**
 * Finds the settings that are not as they should be, because a pooler refused to state them.
 *
 * @returns assignments for the database or the role, such as `array_nulls = on`
 */
export async function findOtherSettings(db: Kysely<Schema>): Promise<string[]> {
  const { rows } = await sql<{ name: string; setting: string }>`
    select name, setting from pg_settings where name = any(${Object.keys(RELIED_ON)}::text[])`.execute(db)
  const actual = new Map(rows.map(({ name, setting }) => [name, setting]))
  return Object.entries(RELIED_ON)
    .filter(([name, value]) => actual.get(name) !== value)
    .map(([name, value]) => `${name} = '${value}'`)
}

/** Returns whether a pooler refused a connection because of a startup parameter. */
export const refusesParameter = (error: unknown): boolean =>
  error instanceof Error && /unsupported startup parameter/i.test(error.message)
