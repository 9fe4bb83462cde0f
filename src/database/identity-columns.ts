import type { Selectable } from 'kysely'
import { parseAllowedIps } from '#src/auth/address-list.ts'
import { type PasswordStamp, parseSessionPayload } from '#src/auth/session.ts'
import { timestampToMillis } from '#src/auth/time.ts'
import { parseAbilities, type TokenDigest } from '#src/auth/token.ts'
import type { Schema } from './schema.ts'

/*
 * The columns that identities consist of. The lookups' SQL, the parsers and types of their rows, and the columns that
 * triggers watch for the identity cache are derived from these declarations. A new column takes a migration that adds
 * it and calls `followIdentityColumns`, its line in schema.ts, its line here, and its use: the type `User` follows.
 */

type ColumnOf<Table extends keyof Schema> = keyof Schema[Table] & string

/** A value of a lookup's row. */
interface Selected<Value> {
  /** The SQL expression that is selected. */
  sql: string
  /** The columns that the expression reads. */
  reads: readonly string[]
  /** The column, if the value is one column's as stored. */
  column: string | null
  /** Parses the JSON value; null to use it unchanged. */
  parse: ((cell: never) => Value) | null
  /** Whether a change invalidates cached identities. */
  isFollowed: boolean
}

/** The values of a row by their names, in the order of their positions. */
type Columns = Readonly<Record<string, Selected<unknown>>>

/** The parsed row of some columns. */
export type RowOf<C extends Columns> = { [K in keyof C]: C[K] extends Selected<infer Value> ? Value : never }

/**
 * Declares columns of a table under the alias that lookups use. A column that the table does not have does not compile.
 */
function columnsOf<Table extends keyof Schema>(alias: string) {
  type Row = Selectable<Schema[Table]>
  const select = <Value>(
    sql: string,
    column: ColumnOf<Table>,
    parse: ((cell: never) => Value) | null,
  ): Selected<Value> => ({ sql, reads: [column], column, parse, isFollowed: true })
  return {
    /** A column with an optional parser. */
    column: <C extends ColumnOf<Table> & keyof Row, Value = Row[C]>(
      name: C,
      parse: ((cell: Row[C]) => Value) | null = null,
    ) => select<Value>(`${alias}.${name}`, name, parse),
    /** A timestamp, selected as text, with an optional parser. */
    timestamp: <C extends ColumnOf<Table> & keyof Row, Value = Row[C]>(
      name: C,
      parse: ((cell: Row[C]) => Value) | null = null,
    ) => select<Value>(`${alias}.${name}::text`, name, parse),
    /** An expression over columns. */
    expression: <Value>(sql: string, ...reads: ColumnOf<Table>[]): Selected<Value> => ({
      sql,
      reads,
      column: null,
      parse: null,
      isFollowed: true,
    }),
  }
}

/**
 * A value that changes with every use: it may be up to a minute old in the cache, since its changes are not watched.
 */
const notFollowed = <Value>(selected: Selected<Value>): Selected<Value> => ({
  ...selected,
  isFollowed: false,
})

const millis = (timestamp: string | null) => (timestamp === null ? null : timestampToMillis(timestamp))

const [t, s, u] = [
  columnsOf<'personal_access_tokens'>('t'),
  columnsOf<'sessions'>('s'),
  columnsOf<'users'>('u'),
]

/** The columns of a token `t`. */
export const TOKEN = {
  id: t.column('id'),
  name: t.column('name'),
  digest: t.column('token', token => token as TokenDigest),
  abilities: t.column('abilities', parseAbilities),
  expiresAt: t.timestamp('expires_at', millis),
  createdAt: t.timestamp('created_at', millis),
  lastUsedAt: notFollowed(t.timestamp('last_used_at', millis)),
  allowedIps: t.column('allowed_ips', parseAllowedIps),
}

/** The columns of a session `s`. */
export const SESSION = {
  userId: s.column('user_id'),
  payload: s.column('payload', parseSessionPayload),
  lastActivity: notFollowed(s.column('last_activity')),
}

/** The stamp of the password of user `u`: a hash, so that the password's hash is not selected. */
export const PASSWORD_STAMP = `encode(sha256(convert_to(u.password, 'UTF8')), 'hex')`

/** What a session's stamp is compared with, of user `u`; null without a user. */
export const SESSION_OWNER = { password: u.expression<PasswordStamp | null>(PASSWORD_STAMP, 'password') }

/** The columns of a user `u`. */
export const USER = {
  id: u.column('id'),
  name: u.column('name'),
  email: u.column('email'),
  emailVerifiedAt: u.timestamp('email_verified_at'),
  twoFactorConfirmedAt: u.timestamp('two_factor_confirmed_at'),
  hasSecondFactor: u.expression<boolean>(
    'u.two_factor_secret is not null and u.two_factor_confirmed_at is not null',
    'two_factor_secret',
    'two_factor_confirmed_at',
  ),
  createdAt: u.timestamp('created_at'),
  updatedAt: u.timestamp('updated_at'),
}

declare module '#src/auth/identity.ts' {
  // Every column above is a field of users; a field that is declared twice has to agree.
  interface User extends RowOf<typeof USER> {}
}

/** A polymorphic table of what users hold. */
interface Holding {
  table: string
  /** The column of the role, permission, sanction or prohibition. */
  id: string
  /** Whether its rows have an expiry and a reason. */
  isRestraint: boolean
}

const holding = <
  Table extends 'model_has_roles' | 'model_has_permissions' | 'model_sanctions' | 'model_prohibitions',
>(
  table: Table,
  id: ColumnOf<Table>,
  isRestraint: boolean,
): Holding => ({ table, id, isRestraint })

/** The tables of what users hold, by the name of the lookups' column. */
export const HOLDINGS = {
  roles: holding('model_has_roles', 'role_id', false),
  permissions: holding('model_has_permissions', 'permission_id', false),
  sanctions: holding('model_sanctions', 'sanction_id', true),
  prohibitions: holding('model_prohibitions', 'prohibition_id', true),
}

/** The table columns that some values read. */
const readBy = (columns: Columns, isFollowed: boolean) =>
  Object.values(columns)
    .filter(selected => selected.isFollowed === isFollowed)
    .flatMap(({ reads }) => reads)

/** The columns of a table that identities consist of. */
interface IdentityTable {
  /** Columns whose changes a trigger publishes. */
  followed: readonly string[]
  notFollowed: readonly string[]
}

/** @param conditions columns that lookups read without selecting them */
const identityTable = <Table extends keyof Schema>(
  columns: readonly Columns[],
  ...conditions: ColumnOf<Table>[]
): IdentityTable => ({
  followed: [...new Set([...conditions, ...columns.flatMap(declared => readBy(declared, true))])],
  notFollowed: [...new Set(columns.flatMap(declared => readBy(declared, false)))],
})

/** All tables that identities consist of, except those that define roles and permissions. */
export const IDENTITY_TABLES: ReadonlyMap<string, IdentityTable> = new Map([
  [
    'personal_access_tokens',
    identityTable<'personal_access_tokens'>([TOKEN], 'tokenable_type', 'tokenable_id'),
  ],
  ['sessions', identityTable<'sessions'>([SESSION], 'id')],
  ['users', identityTable<'users'>([USER, SESSION_OWNER], 'deleted_at')],
  ...Object.values(HOLDINGS).map(({ table, id, isRestraint }): [string, IdentityTable] => {
    const followed = ['model_type', 'model_id', id, ...(isRestraint ? ['expires_at', 'reason'] : [])]
    return [table, { followed, notFollowed: [] }]
  }),
])

/** The SQL expressions of columns. */
export const expressionsOf = (columns: Columns): string[] => Object.values(columns).map(({ sql }) => sql)

/** The number of columns. */
export const widthOf = (columns: Columns): number => Object.keys(columns).length

/** Makes the parser of rows whose values begin at an index of an array. It runs on every request. */
export function rowParser<C extends Columns>(
  columns: C,
  first: number,
): (cells: readonly unknown[]) => RowOf<C> {
  const parts = Object.entries(columns).map(([name, { parse }], index) => ({
    name,
    parse,
    at: first + index,
  }))
  return cells => {
    const row: Record<string, unknown> = {}
    for (const { name, parse, at } of parts)
      row[name] = parse === null ? cells[at] : parse(cells[at] as never)
    return row as RowOf<C>
  }
}

const USER_COLUMNS = Object.entries(USER).flatMap(([name, { column }]) =>
  column === null ? [] : [{ name: name as keyof typeof USER, column }],
)

/** Returns a user's columns by name, for resources. Identified users are never deleted. */
export function userValues(user: RowOf<typeof USER>): Readonly<Record<string, unknown>> {
  const values: Record<string, unknown> = { deleted_at: null }
  for (const { name, column } of USER_COLUMNS) values[column] = user[name]
  return values
}
