import { once } from 'node:events'
import { type AddressInfo, createServer, connect as dial } from 'node:net'
import { sql } from 'kysely'
import pg from 'pg'
import t, { type Test } from 'tap'
import { migrate } from '#src/database/migrate.ts'
import { seedPermissions } from '#src/database/permissions.ts'
import { aLoggedInUser } from '../fixtures/browser.ts'
import { NOW } from '../fixtures/clock.ts'
import { aPlaylist } from '../fixtures/lists.ts'
import { aMember, aUser, PASSWORD } from '../fixtures/users.ts'
import { get, send, startApp, TEST_KEY } from '../support/app.ts'
import { createDatabase, createPostgresDatabase, ENGINES, onPostgres } from '../support/databases.ts'
import { run } from '../support/processes.ts'

const skip = ENGINES.includes('postgres') ? false : 'without PostgreSQL'

async function onServer(url: string, ...statements: string[]) {
  const client = new pg.Client(url)
  await client.connect()
  for (const statement of statements) await client.query(statement)
  await client.end()
}

/** Migrates a new database that was created with options. */
async function migratedWith(t: Test, options: string) {
  const database = onPostgres(await createPostgresDatabase(t, { empty: true, options }))
  t.teardown(() => database.close())
  await migrate(database.migrations)
  await seedPermissions(database.kysely, NOW)
  return database
}

/** Settings of a database under which statements or their results would mean something else. */
const OTHER_SETTINGS = {
  array_nulls: 'off',
  client_encoding: 'LATIN1',
  DateStyle: 'German, YMD',
  default_transaction_isolation: 'serializable',
  extra_float_digits: '-10',
  IntervalStyle: 'sql_standard',
  standard_conforming_strings: 'off',
  TimeZone: 'America/New_York',
}
const NAMES = Object.keys(OTHER_SETTINGS)

const RELIED_ON = {
  array_nulls: 'on',
  client_encoding: 'UTF8',
  DateStyle: 'ISO, MDY',
  default_transaction_isolation: 'read committed',
  extra_float_digits: '1',
  IntervalStyle: 'postgres',
  standard_conforming_strings: 'on',
  TimeZone: 'UTC',
}

/** A database with {@link OTHER_SETTINGS}. */
async function databaseWithOtherSettings(t: Test): Promise<string> {
  const url = await createPostgresDatabase(t, { empty: true })
  const name = new URL(url).pathname.slice(1)
  const statements = Object.entries(OTHER_SETTINGS).map(
    ([setting, value]) => `alter database ${name} set ${setting} = '${value}'`,
  )
  await onServer(url, ...statements)
  return url
}

t.test('a database with settings of its own', { skip }, async t => {
  const url = await databaseWithOtherSettings(t)
  const database = onPostgres(url)
  t.teardown(() => database.close())
  const { rows } = await sql<{ name: string; setting: string }>`
    select name, setting from pg_settings where name = any(${NAMES}) order by name`.execute(database.kysely)
  t.strictSame(Object.fromEntries(rows.map(({ name, setting }) => [name, setting])), RELIED_ON)

  await migrate(database.migrations)
  await seedPermissions(database.kysely, NOW)
  const app = await startApp(t, { database, environment: { IDENTITY_CACHE: 'on' } })
  const { browser, user } = await aLoggedInUser(app, database, { roles: ['Verified'], confirmed: true })
  const created = await browser.post('/api/me/token', {
    name: "名前 \\' 日本",
    expires_at: '2026-03-04T05:06:07Z',
  })
  t.equal(created.status, 201)
  t.match(created.json.token, { name: "名前 \\' 日本", expires_at: '2026-03-04T05:06:07.000000Z' })
  const token = created.json.plain_text_token
  t.match((await get(app, '/api/me', token)).json.user, { name: user.name })
  const { json } = await send(app, 'POST', '/api/playlist', {
    headers: { authorization: `Bearer ${token}` },
    payload: { name: 'Ω', visibility: 'Public' },
  })
  t.match(json.playlist, { name: 'Ω' })
  const { playlist } = (await get(app, `/api/playlist/${json.playlist.id}?fields[playlist]=created_at`)).json
  t.strictSame(playlist, { created_at: '2026-03-01T12:00:00.000000Z' })
})

t.test('a pooler that refuses startup parameters', { skip }, async t => {
  const target = new URL(await createPostgresDatabase(t))
  const refused: string[] = []
  const pooler = createServer(near => {
    const far = dial(Number(target.port), target.hostname)
    near.on('error', () => far.destroy())
    far.on('error', () => near.destroy())
    near.once('data', startup => {
      // PgBouncer 1.18 keeps these for its clients, and refuses all others.
      const names = startup
        .subarray(8)
        .toString()
        .split('\0')
        .filter((_, index) => index % 2 === 0)
      const unknown = names.find(
        name =>
          !/^(|user|database|application_name|client_encoding|DateStyle|TimeZone|standard_conforming_strings)$/.test(
            name,
          ),
      )
      if (unknown === undefined) {
        far.write(startup)
        near.pipe(far).pipe(near)
        return
      }
      refused.push(unknown)
      const fields = `SFATAL\0VFATAL\0C08P01\0Munsupported startup parameter: ${unknown}\0\0`
      const head = Buffer.from('E\0\0\0\0')
      head.writeInt32BE(fields.length + 4, 1)
      near.end(Buffer.concat([head, Buffer.from(fields)]))
      far.destroy()
    })
  }).listen(0, '127.0.0.1')
  await once(pooler, 'listening')
  const url = new URL(target)
  url.port = String((pooler.address() as AddressInfo).port)
  const database = onPostgres(url.href)
  t.teardown(async () => {
    await database.close()
    pooler.close()
  })
  const both = await Promise.all([1, 2].map(() => database.source.acquire()))
  for (const session of both) {
    t.strictSame((await session.query(`select current_setting('TimeZone') as zone`, [])).rows, [
      { zone: 'UTC' },
    ])
    await session.release()
  }
  const before = refused.length
  t.ok(before > 0 && before <= 2, 'some parameters are refused at first')
  const more = await Promise.all([1, 2, 3].map(() => database.source.acquire()))
  for (const session of more) await session.release()
  t.equal(refused.length, before, 'and are not sent again')
})

const DOCTOR = ['doctor', '--origin', 'http://localhost:3000']

t.test('a database that is not in UTF-8 is refused', { skip }, async t => {
  for (const encoding of ['LATIN1', 'SQL_ASCII']) {
    const url = await createPostgresDatabase(t, {
      empty: true,
      options: `encoding '${encoding}' lc_collate 'C' lc_ctype 'C' locale_provider libc template template0`,
    })
    const environment = {
      DATABASE_URL: url,
      APP_KEY: TEST_KEY,
      APP_ENV: 'local',
      PORT: '0',
      LOG_LEVEL: 'fatal',
    }
    for (const args of encoding === 'LATIN1' ? [['migrate'], ['serve'], DOCTOR] : [['migrate']]) {
      const { code, err } = await run(environment, args)
      t.equal(code, 1, `${args[0]} on ${encoding}`)
      t.match(
        err,
        new RegExp(
          `^error: The database animethemes_auth_test_\\w+ stores text in ${encoding}: expected UTF8`,
        ),
      )
    }
    const client = new pg.Client(url)
    await client.connect()
    t.strictSame((await client.query("select tablename from pg_tables where schemaname = 'public'")).rows, [])
    await client.end()
  }
})

const TURKISH = `locale_provider icu icu_locale 'tr-TR' template template0 encoding 'UTF8'`

t.test('a Turkish database', { skip }, async t => {
  const database = await migratedWith(t, TURKISH)
  const { kysely } = database
  t.strictSame(
    (await sql`select lower('INFO') as lower`.execute(kysely)).rows,
    [{ lower: 'ınfo' }],
    'its own lower case',
  )
  const app = await startApp(t, { database })
  const user = await aMember(database)
  await kysely
    .updateTable('users')
    .set({ name: 'INFO', email: 'INFO@example.org' })
    .where('id', '=', user.id)
    .execute()
  const logIn = (email: string) =>
    send(app, 'POST', '/login', {
      headers: { origin: 'http://localhost:8000', 'sec-fetch-site': 'same-origin', host: 'localhost:8000' },
      payload: { email, password: PASSWORD },
    })
  t.equal((await logIn('info@example.org')).status, 200, 'an address in lower case, before its key is stored')
  await t.rejects(
    kysely
      .updateTable('users')
      .set({ name: 'info' })
      .where('id', '=', (await aUser(database)).id)
      .execute(),
    { code: '23505', constraint: 'users_name_unique' },
  )
})

t.test('users of a Turkish database who differ by I and i alone', { skip }, async t => {
  const database = await migratedWith(t, TURKISH)
  const { kysely } = database
  // As this server's earlier versions left the database.
  await sql.raw('drop index users_email_unique, users_name_unique, email_reverts_email_index').execute(kysely)
  await sql
    .raw('drop index if exists playlists_name_trigrams_index, external_profiles_name_trigrams_index')
    .execute(kysely)
  await sql.raw('drop function fold_case, count_entry_tracks').execute(kysely)
  await sql.raw('drop function count_tracks_of_changed, count_tracks_of_moved cascade').execute(kysely)
  await sql.raw(`delete from kysely_migration where name >= '0018'`).execute(kysely)
  await sql.raw('create unique index users_email_unique on users (lower(email))').execute(kysely)
  await sql.raw('create unique index users_name_unique on users (lower(name))').execute(kysely)
  await sql.raw('create index email_reverts_email_index on email_reverts (lower(email))').execute(kysely)
  const users = [await aMember(database), await aMember(database)]
  const rename = (index: number, name: string) =>
    kysely
      .updateTable('users')
      .set({ name, email: `${name}@example.org` })
      .where('id', '=', users[index]!.id)
      .execute()
  await rename(0, 'INFO')
  await rename(1, 'info')

  t.strictSame(await migrate(database.migrations), {
    names: ['0018_case_folding', '0019_entry_track_counts', '0020_function_paths', '0021_room_for_last_uses'],
    ambiguous: ['name', 'email'],
  })
  const app = await startApp(t, { database })
  for (const [index, email] of ['INFO@example.org', 'info@example.org'].entries()) {
    const { status, headers } = await send(app, 'POST', '/login', {
      headers: { origin: 'http://localhost:8000', 'sec-fetch-site': 'same-origin', host: 'localhost:8000' },
      payload: { email, password: PASSWORD },
    })
    t.equal(status, 200, `${email} logs in`)
    const cookie = String(
      [headers['set-cookie']].flat().find(text => text?.startsWith('animethemes_session=')),
    )
    const me = await get(app, '/api/me', undefined, {
      cookie: cookie.split(';')[0]!,
      host: 'localhost:8000',
      origin: 'http://localhost:8000',
    })
    t.equal(me.json.user?.id, users[index]!.id, 'as the user whose address it is exactly')
  }
  t.strictSame((await migrate(database.migrations)).ambiguous, ['name', 'email'], 'until they are renamed')
  await rename(1, 'other')
  const runs = await Promise.all([1, 2, 3].map(() => migrate(database.migrations)))
  t.strictSame(
    runs.map(({ ambiguous }) => ambiguous),
    [[], [], []],
  )
  await t.rejects(rename(1, 'Info'), { code: '23505' }, 'then they are unique')
})

for (const engine of ENGINES) {
  t.test(`case of letters beyond ASCII on ${engine}`, async t => {
    const database = await createDatabase(t, engine)
    t.teardown(() => database.close())
    const app = await startApp(t, { database })
    const owner = await aUser(database)
    for (const name of ['ÉCLAIR Ω', 'éclair ω', 'Ellipse', 'Ж', 'ж', 'z'])
      await aPlaylist(database, owner.id, { name })
    const names = async (query: string) => {
      const { status, json } = await get(app, `/api/playlist?${query}`)
      return status === 200 ? json.playlists.map(({ name }: { name: string }) => name) : json
    }
    const both = ['ÉCLAIR Ω', 'éclair ω']
    t.strictSame(await names('filter[name]=Éclair Ω'), both)
    t.strictSame(await names('filter[name]=ЖЖ,Ж'), ['Ж', 'ж'], 'in lists')
    t.strictSame(await names('filter[name-ne]=éCLAIR Ω&filter[name-ne]=Ж'.split('&')[0]!), [
      'Ellipse',
      'Ж',
      'ж',
      'z',
    ])
    t.strictSame(await names('filter[name-like]=%25CLAIR ω'), both)
    t.strictSame(await names('q=ÉCLAIR ω'), ['ÉCLAIR Ω', 'éclair ω'])
    await aPlaylist(database, owner.id, { name: 'Σίσυφος' })
    t.strictSame(await names('q=ΣΊΣΥΦΟΣ'), ['Σίσυφος'], 'the final sigma')
    t.strictSame((await names('sort=name')).filter((name: string) => /[жω]/iu.test(name)).length, 4)
    const sorted = await names('sort=name,-id')
    t.strictSame(
      sorted.filter((name: string) => /ж/iu.test(name)),
      ['ж', 'Ж'],
      'equal but for case: the next key decides',
    )
  })
}
