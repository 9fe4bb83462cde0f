import { sql } from 'kysely'
import t from 'tap'
import { PERMISSIONS, ROLES } from '#src/auth/permission.ts'
import { migrate, migrationCheck } from '#src/database/migrate.ts'
import { seedPermissions } from '#src/database/permissions.ts'
import { NOW } from '../fixtures/clock.ts'
import { createDatabase, ENGINES } from '../support/databases.ts'

/** Columns by table as Laravel creates them on PostgreSQL: type, and `!` for NOT NULL. */
const COLUMNS: Record<string, Record<string, string>> = {
  users: {
    id: 'bigint!',
    name: 'character varying(255)!',
    email: 'character varying(255)!',
    email_verified_at: 'timestamp(0) without time zone',
    password: 'character varying(255)!',
    two_factor_secret: 'text',
    two_factor_recovery_codes: 'text',
    two_factor_confirmed_at: 'timestamp(0) without time zone',
    remember_token: 'character varying(100)',
    created_at: 'timestamp without time zone!',
    updated_at: 'timestamp without time zone!',
    deleted_at: 'timestamp without time zone',
    name_key: 'text',
    name_skeleton: 'text',
    email_key: 'text',
  },
  personal_access_tokens: {
    id: 'bigint!',
    tokenable_type: 'character varying(255)!',
    tokenable_id: 'bigint!',
    name: 'text!',
    token: 'character varying(64)!',
    abilities: 'text',
    last_used_at: 'timestamp(0) without time zone',
    expires_at: 'timestamp(0) without time zone',
    created_at: 'timestamp without time zone',
    updated_at: 'timestamp without time zone',
    // Columns of this server, unknown to Laravel.
    last_used_ip: 'character varying(45)',
    last_used_agent: 'character varying(500)',
    allowed_ips: 'text',
    issued_by: 'bigint',
    inherited_issuers: 'bigint[]',
  },
  playlist_tracks: {
    track_id: 'bigint!',
    created_at: 'timestamp without time zone!',
    updated_at: 'timestamp without time zone!',
    hashid: 'character varying(255)',
    playlist_id: 'bigint!',
    entry_id: 'bigint',
    video_id: 'bigint',
    previous_id: 'bigint',
    next_id: 'bigint',
    position: 'integer!',
  },
  external_entries: {
    entry_id: 'bigint!',
    created_at: 'timestamp without time zone!',
    updated_at: 'timestamp without time zone!',
    score: 'double precision',
    status: 'integer!',
    is_favorite: 'boolean!',
    anime_id: 'bigint',
    profile_id: 'bigint!',
  },
  notifications: {
    id: 'uuid!',
    type: 'character varying(255)!',
    notifiable_type: 'character varying(255)!',
    notifiable_id: 'bigint!',
    data: 'text!',
    read_at: 'timestamp(0) without time zone',
    created_at: 'timestamp(0) without time zone',
    updated_at: 'timestamp(0) without time zone',
  },
}

for (const engine of ENGINES) {
  t.test(`migrations on ${engine}`, async t => {
    const { migrations: kysely, prepare, close } = await createDatabase(t, engine, { empty: true })
    t.teardown(close)

    t.test('concurrent instances migrate once', async t => {
      const runs = await Promise.all([migrate(kysely), migrate(kysely), migrate(kysely)])
      t.strictSame(runs.flatMap(({ names }) => names).sort(), [
        '0001_users',
        '0002_permissions',
        '0003_lists',
        '0004_notifications',
        '0005_sessions',
        '0006_permission_versions',
        '0007_identity_changes',
        '0008_deleted_users',
        '0009_accounts',
        '0010_tokens_and_events',
        '0011_wiki',
        '0012_public_lists',
        '0013_account_security',
        '0014_attempt_counts',
        '0015_names_and_emails',
        '0016_security_mails',
        '0017_pending_registrations',
        '0018_case_folding',
        '0019_entry_track_counts',
        '0020_function_paths',
        '0021_room_for_last_uses',
      ])
      t.equal(await migrationCheck({ prepare })(), true)
    })

    t.test('tables have the columns of Laravel', async t => {
      for (const [table, columns] of Object.entries(COLUMNS)) {
        const { rows } = await sql<{ name: string; type: string }>`
          select attname as name, format_type(atttypid, atttypmod) || case when attnotnull then '!' else '' end as type
          from pg_attribute
          where attrelid = ${table}::regclass and attnum > 0
          order by attnum`.execute(kysely)
        const actual = Object.fromEntries(
          // timestamp is short for timestamp(6).
          rows.map(({ name, type }) => [name, type.replace('timestamp(6)', 'timestamp')]),
        )
        t.strictSame(actual, columns, table)
      }
    })

    t.test('triggers work with an empty search path, as pg_dump sets it', async t => {
      const { rows } = await sql`
        select distinct p.proname from pg_trigger t join pg_proc p on p.oid = t.tgfoid
        where not t.tgisinternal and p.pronamespace = current_schema()::regnamespace
          and not coalesce(array_to_string(p.proconfig, ','), '') like 'search_path=%'`.execute(kysely)
      t.strictSame(rows, [], 'a migration that adds a trigger function has to set its search_path')
      await kysely.transaction().execute(async transaction => {
        const run = (text: string) => sql.raw(text).execute(transaction)
        await run(`set local search_path = ''`)
        await run(
          `insert into public.users (id, name, email, password) values (900, 'copied', 'copied@example.org', '!')`,
        )
        await run(`update public.users set name = 'Copied' where id = 900`)
        await run(`insert into public.roles (id, name, guard_name) values (900, 'copied', 'web')`)
        await run(`insert into public.permissions (id, name, guard_name) values (900, 'copied', 'web')`)
        await run(`insert into public.role_has_permissions (role_id, permission_id) values (900, 900)`)
        await run(
          `insert into public.model_has_roles (role_id, model_type, model_id) values (900, 'User', 900)`,
        )
        await run(
          `insert into public.model_has_permissions (permission_id, model_type, model_id) values (900, 'User', 900)`,
        )
        await run(
          `insert into public.personal_access_tokens (tokenable_type, tokenable_id, name, token) values ('User', 900, 'a', 'b')`,
        )
        await run(
          `insert into public.playlists (playlist_id, name, visibility, user_id) values (900, 'a', 0, 900)`,
        )
        await run(`insert into public.anime_theme_entries (entry_id) values (900)`)
        await run(`insert into public.playlist_tracks (playlist_id, entry_id, position) values (900, 900, 1)`)
        const counted =
          await sql`select tracks_count from public.anime_theme_entries where entry_id = 900`.execute(
            transaction,
          )
        t.strictSame(counted.rows, [{ tracks_count: 1 }])
        await run('delete from public.users where id = 900')
        await run('delete from public.playlists where playlist_id = 900')
        await run('delete from public.roles where id = 900; delete from public.permissions where id = 900')
        await run('delete from public.anime_theme_entries where entry_id = 900')
      })
    })

    t.test('every foreign key has an index', async t => {
      const { rows } = await sql<{ key: string }>`
        select c.conrelid::regclass || '.' || a.attname as key
        from pg_constraint c
        join pg_attribute a on a.attrelid = c.conrelid and a.attnum = c.conkey[1]
        where c.contype = 'f' and not exists (
          select from pg_index i where i.indrelid = c.conrelid and i.indkey[0] = c.conkey[1]
        )`.execute(kysely)
      t.strictSame(rows, [])
    })

    t.test('names have trigram indexes if pg_trgm is available', async t => {
      const { rows } = await sql<{ available: boolean; indexes: string[] }>`
        select
          exists (select from pg_available_extensions where name = 'pg_trgm') as available,
          array(
            select indexname::text from pg_indexes where indexdef like '%gin_trgm_ops%' order by indexname
          ) as indexes`.execute(kysely)
      const [{ available, indexes } = { available: null, indexes: [] }] = rows
      t.strictSame(
        indexes,
        available ? ['external_profiles_name_trigrams_index', 'playlists_name_trigrams_index'] : [],
      )
    })

    t.test('names and addresses are unique, ignoring case', async t => {
      const add = (name: string, email: string) =>
        kysely.insertInto('users').values({ name, email, password: '!' }).execute()
      await add('Alice', 'Alice@Example.org')
      await t.rejects(add('bob', 'alice@example.ORG'), { code: '23505', constraint: 'users_email_unique' })
      await t.rejects(add('aLICE', 'bob@example.org'), { code: '23505', constraint: 'users_name_unique' })
      await add('bob', 'bob@example.org')
    })

    t.test('rows are imported with their ids, and sequences continue', async t => {
      await kysely
        .insertInto('users')
        .values({ id: 500_000, name: 'moved', email: 'moved@example.org', password: '!' })
        .execute()
      t.strictSame(await migrate(kysely), { names: [], ambiguous: [] })
      const next = await kysely
        .insertInto('users')
        .values({ name: 'new', email: 'new@example.org', password: '!' })
        .returning('id')
        .executeTakeFirstOrThrow()
      t.equal(next.id, 500_001)
      await migrate(kysely)
      const further = await kysely
        .insertInto('users')
        .values({ name: 'newer', email: 'newer@example.org', password: '!' })
        .returning('id')
        .executeTakeFirstOrThrow()
      t.equal(further.id, 500_002, 'sequences do not go back')
    })

    t.test('values have one format', async t => {
      const row = await kysely
        .insertInto('users')
        .values({
          name: 'x',
          email: 'x@example.org',
          password: '!',
          created_at: '2026-03-01 12:34:56.123456',
          email_verified_at: '2026-03-01 12:34:56',
        })
        .returning(['id', 'created_at', 'email_verified_at', 'deleted_at'])
        .executeTakeFirstOrThrow()
      t.match(row, {
        id: Number,
        created_at: '2026-03-01 12:34:56.123456',
        email_verified_at: '2026-03-01 12:34:56',
        deleted_at: null,
      })
    })

    t.test('seeding roles and permissions is idempotent', async t => {
      await seedPermissions(kysely, NOW)
      const read = async () => ({
        permissions: await kysely
          .selectFrom('permissions')
          .select(['name', 'guard_name'])
          .orderBy('id')
          .execute(),
        roles: await kysely
          .selectFrom('roles')
          .select(['id', 'name', 'color', 'priority', 'default'])
          .orderBy('priority', 'desc')
          .execute(),
        links: await kysely
          .selectFrom('role_has_permissions')
          .innerJoin('roles', 'roles.id', 'role_id')
          .innerJoin('permissions', 'permissions.id', 'permission_id')
          .select(['roles.name as role', 'permissions.name as permission'])
          .execute(),
        prohibitions: await kysely.selectFrom('prohibitions').select('name').orderBy('id').execute(),
      })
      const seeded = await read()
      t.strictSame(
        seeded.permissions,
        PERMISSIONS.map(name => ({ name, guard_name: 'web' })),
      )
      t.strictSame(
        seeded.prohibitions.map(({ name }) => name),
        PERMISSIONS,
      )
      t.match(
        seeded.roles,
        ROLES.map(({ name, color, priority, default: isDefault }) => ({
          name,
          color,
          priority,
          default: isDefault,
        })),
      )
      for (const { name, permissions } of ROLES) {
        t.strictSame(
          new Set(seeded.links.filter(({ role }) => role === name).map(({ permission }) => permission)),
          new Set(permissions),
          name,
        )
      }
      await kysely.updateTable('roles').set({ color: '#000000' }).where('name', '=', 'Patron').execute()
      await seedPermissions(kysely, NOW)
      const again = await read()
      t.equal(again.links.length, seeded.links.length)
      t.equal(again.roles.find(({ name }) => name === 'Patron')?.color, '#000000', 'changed roles are kept')
    })
  })
}
