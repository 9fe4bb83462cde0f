import { type Kysely, type RawBuilder, sql } from 'kysely'
import type { Schema } from './schema.ts'

/** A field of exported rows. */
export interface ExportField {
  /** The column that it shows, or that it is computed from. */
  column: string
  /** The SQL expression of its value, over the row `t`. */
  expression: RawBuilder<unknown>
  decode(value: unknown): unknown
}

/** The user, or for nested rows the row that contains them. */
export interface ExportOwner {
  id: number
  /** The `model_type` values of users. */
  types: readonly string[]
}

/** Rows of one table in the export. */
export interface ExportSection {
  /** The key in the document. */
  name: string
  table: keyof Schema
  /** Whether there is at most one row, which is an object or null instead of an array. */
  isSingle?: true
  /** Which rows `t` belong to the owner. */
  where(owner: ExportOwner): RawBuilder<unknown>
  /** Columns that are unique among the owner's rows and never change, in the order of an index where rows are many. */
  keys: readonly string[]
  /** The first of the keys, if it may be NULL. Such rows come first, in the order of the other keys. */
  nullableKey?: string
  fields: Readonly<Record<string, ExportField>>
  /** Rows that each row contains. Their owner is the last key. */
  nested?: readonly ExportSection[]
}

/** The names of the values of columns that store numbers. */
export interface ExportLabels {
  playlistVisibility: readonly string[]
  profileVisibility: readonly string[]
  site: readonly string[]
  status: readonly string[]
}

/** An exported row. */
export interface ExportedRow {
  /** The value of the last key. */
  key: unknown
  fields: Record<string, unknown>
}

/** Runs statements on a connection that is held only until they are done. */
export type ReadExport = <T>(work: (db: Kysely<Schema>) => Promise<T>) => Promise<T>

/** The most rows per statement. */
export const EXPORT_PAGE = 250

const identity = (value: unknown) => value

const computed = (
  column: string,
  expression: RawBuilder<unknown>,
  decode: ExportField['decode'] = identity,
): ExportField => ({ column, expression, decode })

const columnOf = (column: string) => sql.ref(`t.${column}`)

const value = (column: string) => computed(column, columnOf(column))

/** The format of the API's dates. Infinite ones become NULL. */
const isoText = (timestamp: RawBuilder<unknown>) =>
  sql`to_char(${timestamp}, 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"')`

const date = (column: string) => computed(column, isoText(columnOf(column)))

/** Seconds since the epoch as a date. */
const epochDate = (column: string, seconds: RawBuilder<unknown>) =>
  computed(column, isoText(sql`to_timestamp(${seconds}) at time zone 'UTC'`))

/** JSON that is stored as text. Other programs may have stored something else, which remains text. */
const json = (column: string, text: RawBuilder<unknown> = columnOf(column)) =>
  computed(column, text, parseJson)

function parseJson(text: unknown): unknown {
  if (typeof text !== 'string') return text
  try {
    return JSON.parse(text)
  } catch {
    return text
  }
}

/** The details of an event, without the id of a member of staff who caused it. */
function withoutStaff(text: unknown): unknown {
  const details = parseJson(text)
  if (typeof details !== 'object' || details === null || !('by' in details)) return details
  const { by, ...others } = details
  return typeof by === 'number' ? others : details
}

const label = (column: string, labels: readonly string[]) =>
  computed(column, columnOf(column), stored => labels[Number(stored)] ?? stored)

const exists = (column: string) => computed(column, sql`${columnOf(column)} is not null`)

const ofUser: ExportSection['where'] = ({ id }) => sql`t.user_id = ${id}`

/** Rows that name their owner by class and id. */
const ofModel =
  (prefix: 'model' | 'tokenable' | 'notifiable'): ExportSection['where'] =>
  ({ id, types }) =>
    sql`${columnOf(`${prefix}_id`)} = ${id} and ${columnOf(`${prefix}_type`)} = any(${types}::text[])`

const CREATED = { created_at: date('created_at'), updated_at: date('updated_at') }

const roles: ExportSection = {
  name: 'roles',
  table: 'model_has_roles',
  where: ofModel('model'),
  keys: ['role_id', 'model_type'],
  fields: {
    name: computed('role_id', sql`(select name from roles where id = t.role_id)`),
    permissions: json(
      'role_id',
      sql`(
        select coalesce(json_agg(p.name order by p.name), '[]')::text
        from role_has_permissions h join permissions p on p.id = h.permission_id
        where h.role_id = t.role_id
      )`,
    ),
  },
}

const permissions: ExportSection = {
  name: 'permissions',
  table: 'model_has_permissions',
  where: ofModel('model'),
  keys: ['permission_id', 'model_type'],
  fields: { name: computed('permission_id', sql`(select name from permissions where id = t.permission_id)`) },
}

/** Bans of the user, without the moderator, who is another person. */
const restrictions = (kind: 'prohibition' | 'sanction'): ExportSection => ({
  name: `${kind}s`,
  table: `model_${kind}s`,
  where: ofModel('model'),
  keys: [`${kind}_id`, 'model_type'],
  fields: {
    name: computed(
      `${kind}_id`,
      sql`(select name from ${sql.table(`${kind}s`)} where id = ${columnOf(`${kind}_id`)})`,
    ),
    reason: value('reason'),
    expires_at: date('expires_at'),
    ...CREATED,
  },
})

const playlists = ({ playlistVisibility }: ExportLabels): ExportSection => ({
  name: 'playlists',
  table: 'playlists',
  where: ofUser,
  keys: ['created_at', 'playlist_id'],
  fields: {
    id: value('hashid'),
    name: value('name'),
    description: value('description'),
    visibility: label('visibility', playlistVisibility),
    ...CREATED,
  },
  nested: [
    {
      name: 'tracks',
      table: 'playlist_tracks',
      where: ({ id }) => sql`t.playlist_id = ${id}`,
      // Positions change while they are read.
      keys: ['track_id'],
      fields: {
        id: value('hashid'),
        position: value('position'),
        entry_id: value('entry_id'),
        video_id: value('video_id'),
        ...CREATED,
      },
    },
  ],
})

const externalProfiles = ({ site, profileVisibility, status }: ExportLabels): ExportSection => ({
  name: 'external_profiles',
  table: 'external_profiles',
  where: ofUser,
  keys: ['profile_id'],
  fields: {
    id: value('profile_id'),
    name: value('name'),
    site: label('site', site),
    visibility: label('visibility', profileVisibility),
    external_user_id: value('external_user_id'),
    synced_at: date('synced_at'),
    ...CREATED,
  },
  nested: [
    {
      name: 'site_token',
      table: 'external_tokens',
      isSingle: true,
      where: ({ id }) => sql`t.profile_id = ${id}`,
      keys: ['token_id'],
      fields: CREATED,
    },
    {
      name: 'entries',
      table: 'external_entries',
      where: ({ id }) => sql`t.profile_id = ${id}`,
      keys: ['entry_id'],
      fields: {
        id: value('entry_id'),
        anime_id: value('anime_id'),
        score: value('score'),
        status: label('status', status),
        is_favorite: value('is_favorite'),
        ...CREATED,
      },
    },
  ],
})

const tokens: readonly ExportSection[] = [
  {
    name: 'tokens',
    table: 'personal_access_tokens',
    where: ofModel('tokenable'),
    keys: ['id'],
    fields: {
      id: value('id'),
      name: value('name'),
      abilities: json('abilities'),
      allowed_ips: json('allowed_ips'),
      issued_by: value('issued_by'),
      inherited_issuers: json('inherited_issuers', sql`array_to_json(t.inherited_issuers)::text`),
      last_used_at: date('last_used_at'),
      last_used_ip: value('last_used_ip'),
      last_used_agent: value('last_used_agent'),
      expires_at: date('expires_at'),
      ...CREATED,
    },
  },
  {
    name: 'token_reminders',
    table: 'token_reminders',
    where: ({ id, types }) => sql`t.token_id in (
      select id from personal_access_tokens
      where tokenable_id = ${id} and tokenable_type = any(${types}::text[])
    )`,
    keys: ['token_id', 'days'],
    fields: { token_id: value('token_id'), days: value('days') },
  },
]

/** A number of the payload of a session. Other programs' payloads need not be JSON. */
const fromPayload = (name: string) =>
  epochDate('payload', sql`substring(t.payload from ${sql.lit(`"${name}": ?(\\d{1,11})`)})::bigint`)

const browsers: readonly ExportSection[] = [
  {
    name: 'sessions',
    table: 'sessions',
    where: ofUser,
    keys: ['id'],
    fields: {
      ip_address: value('ip_address'),
      user_agent: value('user_agent'),
      created_at: fromPayload('created_at'),
      password_confirmed_at: fromPayload('password_confirmed_at'),
      is_remembered: computed('payload', sql`t.payload ~ '"device": ?"'`),
      last_active_at: epochDate('last_activity', sql`t.last_activity`),
    },
  },
  {
    name: 'remembered_devices',
    table: 'remembered_devices',
    where: ofUser,
    keys: ['selector'],
    fields: {
      ip_address: value('ip_address'),
      user_agent: value('user_agent'),
      created_at: date('created_at'),
      last_used_at: date('last_used_at'),
      rotated_at: date('rotated_at'),
      is_delivered: value('is_delivered'),
      expires_at: date('expires_at'),
    },
  },
  {
    name: 'known_logins',
    table: 'known_logins',
    where: ofUser,
    keys: ['kind', 'value'],
    fields: {
      kind: value('kind'),
      value: value('value'),
      first_seen_at: date('first_seen_at'),
      last_seen_at: date('last_seen_at'),
    },
  },
  {
    name: 'login_addresses',
    table: 'login_addresses',
    where: ofUser,
    keys: ['address'],
    fields: { address: value('address'), last_login_at: date('last_login_at') },
  },
]

const account: readonly ExportSection[] = [
  {
    name: 'account',
    table: 'users',
    isSingle: true,
    where: ({ id }) => sql`t.id = ${id}`,
    keys: ['id'],
    fields: {
      id: value('id'),
      name: value('name'),
      email: value('email'),
      email_verified_at: date('email_verified_at'),
      has_two_factor_secret: exists('two_factor_secret'),
      has_recovery_codes: exists('two_factor_recovery_codes'),
      two_factor_confirmed_at: date('two_factor_confirmed_at'),
      ...CREATED,
    },
  },
  {
    name: 'pending_email_change',
    table: 'pending_email_changes',
    isSingle: true,
    where: ofUser,
    keys: ['user_id'],
    fields: {
      email: value('email'),
      requested_at: date('requested_at'),
      had_second_factor: value('had_second_factor'),
    },
  },
  {
    name: 'email_change',
    table: 'changed_emails',
    isSingle: true,
    where: ofUser,
    keys: ['user_id'],
    fields: { changed_at: date('changed_at') },
  },
  {
    name: 'email_reverts',
    table: 'email_reverts',
    where: ofUser,
    keys: ['id'],
    fields: {
      email: value('email'),
      had_second_factor: value('had_second_factor'),
      changed_at: date('changed_at'),
      expires_at: date('expires_at'),
    },
  },
  {
    name: 'password_reset',
    table: 'password_reset_tokens',
    isSingle: true,
    where: ({ id }) => sql`t.email = (select email from users where id = ${id})`,
    keys: ['email'],
    fields: { requested_at: date('created_at') },
  },
  {
    name: 'recovery_codes',
    table: 'recovery_code_times',
    isSingle: true,
    where: ofUser,
    keys: ['user_id'],
    fields: { created_at: date('made_at') },
  },
  {
    name: 'last_two_factor_code',
    table: 'second_factor_steps',
    isSingle: true,
    where: ofUser,
    keys: ['user_id'],
    // RFC 6238: a step lasts 30 seconds.
    fields: { used_at: epochDate('step', sql`t.step * 30`) },
  },
]

const activity: readonly ExportSection[] = [
  {
    name: 'notifications',
    table: 'notifications',
    where: ofModel('notifiable'),
    keys: ['created_at', 'id'],
    nullableKey: 'created_at',
    fields: {
      id: computed('id', sql`t.id::text`),
      type: value('type'),
      data: json('data'),
      read_at: date('read_at'),
      ...CREATED,
    },
  },
  {
    name: 'activities',
    table: 'account_events',
    where: ofUser,
    keys: ['created_at', 'id'],
    fields: {
      id: value('id'),
      event: value('event'),
      details: computed('details', columnOf('details'), withoutStaff),
      ip_address: value('ip_address'),
      user_agent: value('user_agent'),
      created_at: date('created_at'),
    },
  },
  {
    name: 'security_links',
    table: 'security_links',
    where: ofUser,
    keys: ['token'],
    fields: { happened_at: date('happened_at'), expires_at: date('expires_at') },
  },
  {
    name: 'features',
    table: 'features',
    // As Laravel Pennant names a user.
    where: ({ id, types }) => sql`t.scope = any(${types.map(type => `${type}|${id}`)}::text[])`,
    keys: ['feature_id'],
    fields: { name: value('name'), value: json('value'), ...CREATED },
  },
]

/** Everything that is stored about a user, in the order of the export. Secrets and what is derived from them are absent. */
export const exportSections = (labels: ExportLabels): readonly ExportSection[] => [
  ...account,
  roles,
  permissions,
  restrictions('prohibition'),
  restrictions('sanction'),
  playlists(labels),
  externalProfiles(labels),
  ...tokens,
  ...browsers,
  ...activity,
]

/**
 * Reads the rows of a section in pages. A row that exists and belongs to the owner all the time is returned once; each
 * page sees what is committed when it is read.
 *
 * @param read called once per page
 */
export async function* readSection(
  read: ReadExport,
  section: ExportSection,
  owner: ExportOwner,
): AsyncGenerator<ExportedRow[]> {
  const { keys, nullableKey, isSingle } = section
  const orders =
    nullableKey === undefined
      ? [{ keys, condition: sql`true` }]
      : [
          {
            keys: keys.filter(key => key !== nullableKey),
            condition: sql`${columnOf(nullableKey)} is null`,
          },
          { keys, condition: sql`${columnOf(nullableKey)} is not null` },
        ]
  const limit = isSingle ? 1 : EXPORT_PAGE
  for (const { keys, condition } of orders) {
    let after: unknown[] | null = null
    for (;;) {
      const rows: Record<string, unknown>[] = await read(db =>
        selectPage(db, section, {
          keys,
          condition: sql`${section.where(owner)} and ${condition}`,
          after,
          limit,
        }),
      )
      if (rows.length > 0) yield rows.map(row => toExportedRow(section, row, keys.length))
      const last = rows.at(-1)
      if (isSingle || last === undefined || rows.length < limit) break
      after = keys.map((_key, index) => last[`key_${index}`])
    }
  }
}

interface Page {
  keys: readonly string[]
  condition: RawBuilder<unknown>
  /** The keys of the last row of the page before. */
  after: readonly unknown[] | null
  limit: number
}

async function selectPage(
  db: Kysely<Schema>,
  { table, fields }: ExportSection,
  { keys, condition, after, limit }: Page,
): Promise<Record<string, unknown>[]> {
  const columns = [
    ...Object.values(fields).map(
      ({ expression }, index) => sql`${expression} as ${sql.ref(`field_${index}`)}`,
    ),
    ...keys.map((key, index) => sql`${columnOf(key)} as ${sql.ref(`key_${index}`)}`),
  ]
  const order = sql.join(keys.map(columnOf))
  const { rows } = await sql<Record<string, unknown>>`
    select ${sql.join(columns)} from ${sql.table(table)} as t
    where ${condition} and ${after === null ? sql`true` : sql`(${order}) > (${sql.join(after)})`}
    order by ${order} limit ${limit}`.execute(db)
  return rows
}

const toExportedRow = (
  { fields }: ExportSection,
  row: Record<string, unknown>,
  keyCount: number,
): ExportedRow => ({
  key: row[`key_${keyCount - 1}`],
  fields: Object.fromEntries(
    Object.entries(fields).map(([name, { decode }], index) => [name, decode(row[`field_${index}`] ?? null)]),
  ),
})
