import { sql } from 'kysely'
import t from 'tap'
import {
  type Column,
  columnsOf,
  derivativesOf,
  EXPORT_PATH,
  SECTIONS,
  seedMarkers,
} from '../../../../fixtures/data-export.ts'
import { aToken, aUser } from '../../../../fixtures/users.ts'
import { get, startApp } from '../../../../support/app.ts'
import { createDatabase, ENGINES } from '../../../../support/databases.ts'

const SECRET = 'a secret, or derived from one'
const OWNER = 'says whose the row is'
const INTERNAL = 'points to another row of the same list, or is derived from an exported column'
const OTHER_PERSON = 'is about another person'

/** The columns of exported tables that are left out, and why. */
const EXCLUDED_COLUMNS: Readonly<Record<string, Readonly<Record<string, string>>>> = {
  users: {
    password: SECRET,
    remember_token: SECRET,
    deleted_at: 'is NULL for every user who can ask',
    name_key: INTERNAL,
    name_skeleton: INTERNAL,
    email_key: INTERNAL,
  },
  personal_access_tokens: { token: SECRET, tokenable_type: OWNER, tokenable_id: OWNER },
  model_has_roles: { model_type: OWNER, model_id: OWNER },
  model_has_permissions: { model_type: OWNER, model_id: OWNER },
  model_prohibitions: {
    model_type: OWNER,
    model_id: OWNER,
    moderator_type: OTHER_PERSON,
    moderator_id: OTHER_PERSON,
  },
  model_sanctions: {
    model_type: OWNER,
    model_id: OWNER,
    moderator_type: OTHER_PERSON,
    moderator_id: OTHER_PERSON,
  },
  playlists: { playlist_id: INTERNAL, user_id: OWNER, first_id: INTERNAL, last_id: INTERNAL },
  playlist_tracks: { track_id: INTERNAL, playlist_id: OWNER, previous_id: INTERNAL, next_id: INTERNAL },
  external_profiles: { user_id: OWNER },
  external_entries: { profile_id: OWNER },
  external_tokens: { token_id: INTERNAL, access_token: SECRET, refresh_token: SECRET, profile_id: OWNER },
  notifications: { notifiable_type: OWNER, notifiable_id: OWNER },
  features: { feature_id: INTERNAL, scope: OWNER },
  sessions: { id: SECRET, user_id: OWNER },
  account_events: { user_id: OWNER, actor_ip_address: OTHER_PERSON, actor_user_agent: OTHER_PERSON },
  password_reset_tokens: { email: OWNER, token: SECRET },
  remembered_devices: {
    selector: SECRET,
    user_id: OWNER,
    validator: SECRET,
    previous_validator: SECRET,
    password: SECRET,
  },
  second_factor_steps: { user_id: OWNER },
  recovery_code_times: { user_id: OWNER, session: SECRET },
  login_addresses: { user_id: OWNER },
  pending_email_changes: { user_id: OWNER },
  email_reverts: { id: INTERNAL, user_id: OWNER, email_key: INTERNAL, token: SECRET },
  changed_emails: { user_id: OWNER },
  known_logins: { user_id: OWNER },
  security_links: { token: SECRET, user_id: OWNER },
}

const WIKI = 'describes anime, not users'
const DEFINITION = 'defines what users can have; their own are exported by name'
const ANONYMOUS = 'has keys that are digests: nothing leads from a user to a row, except by trying'

/** The tables that are left out, and why. */
const EXCLUDED_TABLES: Readonly<Record<string, string>> = {
  token_successors: SECRET,
  // A stranger may have registered with the address of a user; the name is the stranger's.
  pending_registrations: OTHER_PERSON,
  form_submissions: ANONYMOUS,
  attempt_counts: ANONYMOUS,
  permissions: DEFINITION,
  roles: DEFINITION,
  role_has_permissions: DEFINITION,
  prohibitions: DEFINITION,
  sanctions: DEFINITION,
  sanction_prohibition: DEFINITION,
  permission_versions: 'counts changes of definitions',
  kysely_migration: 'is about the schema',
  kysely_migration_lock: 'is about the schema',
  anime: WIKI,
  anime_themes: WIKI,
  anime_theme_entries: WIKI,
  anime_theme_entry_video: WIKI,
  artists: WIKI,
  audios: WIKI,
  groups: WIKI,
  imageables: WIKI,
  images: WIKI,
  performances: WIKI,
  songs: WIKI,
  videos: WIKI,
}

const exportedTables = new Set<string>(SECTIONS.map(({ table }) => table))
const exportedColumns = new Set(
  SECTIONS.flatMap(({ table, fields }) => Object.values(fields).map(({ column }) => `${table}.${column}`)),
)

/** The tables and columns that are neither exported nor left out for a reason. */
const forgotten = (columns: readonly Column[]): string[] =>
  columns
    .filter(({ table, column }) =>
      exportedTables.has(table)
        ? !exportedColumns.has(`${table}.${column}`) && EXCLUDED_COLUMNS[table]?.[column] === undefined
        : EXCLUDED_TABLES[table] === undefined,
    )
    .map(({ table, column }) => `${table}.${column}`)

/** The tables that refer to users: by foreign keys, over any number of tables, or by the name of a column. */
async function findTablesAboutUsers({ kysely }: Parameters<typeof columnsOf>[0]): Promise<string[]> {
  const { rows } = await sql<{ table: string }>`
    with recursive links as (
      select conrelid::regclass::text as source, confrelid::regclass::text as target
      from pg_constraint where contype = 'f'
    ), about as (
      select 'users' as name
      union
      select source from links join about on about.name = links.target
    )
    select name as table from about
    union
    select table_name from information_schema.columns
    where table_schema = 'public'
      and column_name ~ '^(user|model|tokenable|notifiable|moderator|actor|owner|author|token)_id$|^email$|^(created|issued)_by$'`.execute(
    kysely,
  )
  return rows.map(({ table }) => table)
}

for (const engine of ENGINES) {
  t.test(`the tables of the export on ${engine}`, async t => {
    const database = await createDatabase(t, engine)
    t.teardown(() => database.close())

    await t.test('every table and column is exported, or left out for a reason', async t => {
      t.strictSame(forgotten(await columnsOf(database)), [])
    })

    await t.test('a new table or column is noticed', async t => {
      const columns = await columnsOf(database)
      const added = [
        { table: 'favourites', column: 'user_id', type: 'bigint', isGenerated: false },
        { table: 'users', column: 'locale', type: 'text', isGenerated: false },
      ]
      t.strictSame(forgotten([...columns, ...added]), ['favourites.user_id', 'users.locale'])
    })

    await t.test('what is left out exists, and is not exported as well', async t => {
      const all = await columnsOf(database)
      const known = new Set(all.flatMap(({ table, column }) => [table, `${table}.${column}`]))
      const excluded = Object.entries(EXCLUDED_COLUMNS).flatMap(([table, columns]) =>
        Object.keys(columns).map(column => `${table}.${column}`),
      )
      t.strictSame(
        [...excluded, ...Object.keys(EXCLUDED_TABLES)].filter(name => !known.has(name)),
        [],
      )
      t.strictSame(
        [
          ...excluded.filter(name => exportedColumns.has(name)),
          ...Object.keys(EXCLUDED_TABLES).filter(name => exportedTables.has(name)),
        ],
        [],
      )
    })

    await t.test('of the tables that refer to users few are left out', async t => {
      const about = await findTablesAboutUsers(database)
      t.ok(about.length >= 20, `${about}`)
      t.strictSame(about.filter(table => !exportedTables.has(table)).sort(), [
        'pending_registrations',
        'token_successors',
      ])
    })

    await t.test('the export has every exported text, no secret, and nothing of another user', async t => {
      const app = await startApp(t, { database })
      const [user, other] = [await aUser(database), await aUser(database)]
      const tables = [...exportedTables, 'token_successors', 'pending_registrations']
      const markers = await seedMarkers(database, user, tables)
      const foreign = await seedMarkers(database, other, tables)
      // A user whose password is no hash has tokens all the same.
      const { token } = await aToken(database, user.id)
      const { status, text } = await get(app, EXPORT_PATH, token)
      t.equal(status, 200)

      const secrets = markers.filter(({ table, column }) =>
        exportedTables.has(table) ? isSecret(table, column) : true,
      )
      for (const { table, column, text: marker } of markers) {
        if (secrets.some(one => one.text === marker)) continue
        const expected = table === 'known_logins' && column === 'kind' ? marker.slice(0, 10) : marker
        t.ok(text.includes(expected), `${table}.${column} is exported`)
      }
      const names = new Set(secrets.map(({ table, column }) => `${table}.${column}`))
      for (const name of [
        ...['users.password', 'users.remember_token', 'users.two_factor_secret'],
        ...[
          'users.two_factor_recovery_codes',
          'personal_access_tokens.token',
          'sessions.id',
          'sessions.payload',
        ],
        ...['remembered_devices.selector', 'remembered_devices.validator', 'remembered_devices.password'],
        ...['remembered_devices.previous_validator', 'external_tokens.access_token'],
        ...['external_tokens.refresh_token', 'password_reset_tokens.token', 'email_reverts.token'],
        ...['recovery_code_times.session', 'security_links.token', 'token_successors.digest'],
        ...['pending_registrations.token', 'pending_registrations.name'],
        ...['account_events.actor_ip_address', 'account_events.actor_user_agent'],
      ]) {
        t.ok(names.has(name), `${name} was seeded`)
      }
      for (const { table, column, text: secret } of secrets) {
        t.strictSame(
          derivativesOf(secret).filter(one => text.includes(one)),
          [],
          `${table}.${column} is not exported`,
        )
      }
      for (const { table, column, text: marker } of foreign) {
        t.notOk(text.includes(marker.slice(0, 10)), `${table}.${column} of another user is not exported`)
      }
      t.notOk(text.includes(other.email) || text.includes(other.name))
    })
  })
}

/** Of exported columns only these show something that is computed from a secret: whether it exists, or dates beside it. */
const COMPUTED = ['users.two_factor_secret', 'users.two_factor_recovery_codes', 'sessions.payload']

const isSecret = (table: string, column: string): boolean =>
  EXCLUDED_COLUMNS[table]?.[column] !== undefined || COMPUTED.includes(`${table}.${column}`)
