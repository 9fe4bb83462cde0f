import { randomBytes } from 'node:crypto'
import { sql } from 'kysely'
import t, { type Test } from 'tap'
import { mintSecret, parseToken } from '#src/auth/token.ts'
import { databaseOver } from '#src/database/connect.ts'
import { statementNamer } from '#src/database/dialect.ts'
import { identities } from '#src/database/identities.ts'
import { permissionMaps } from '#src/database/permission-map.ts'
import { postgresConnections } from '#src/database/postgres.ts'
import { DAY, NOW } from '../fixtures/clock.ts'
import { UNLIMITED } from '../fixtures/settings.ts'
import { aToken, aUser, USER_TYPE } from '../fixtures/users.ts'
import { addRevocation, get, send, startApp, TEST_KEY, type TestApp } from '../support/app.ts'
import { createDatabase, createPostgresDatabase, ENGINES, type TestDatabase } from '../support/databases.ts'
import { run } from '../support/processes.ts'

const TYPES = [USER_TYPE, 'App\\Models\\User']

for (const engine of ENGINES) {
  t.test(`identities on ${engine}`, async t => {
    const database = await createDatabase(t, engine)
    t.teardown(() => database.close())
    await testLookups(t, database)
    await testFreshness(t, database)
    await testStatements(t, database)
  })
}

await t.test(
  'two hundred tokens that are revoked under load are refused at once by two instances',
  async t => {
    const url = await createPostgresDatabase(t)
    const open = () => {
      const database = databaseOver(
        Object.assign(
          postgresConnections(url, () => {}),
          { open: async () => {} },
        ),
      )
      t.teardown(() => database.close())
      return database
    }
    const [one, other, operator] = [open(), open(), open()]
    const environment = {
      ...UNLIMITED,
      RATE_LIMIT_ANONYMOUS: '1000000',
      RATE_LIMIT_AUTHENTICATED: '1000000',
      RATE_LIMIT_FAILED_AUTH: '1000000',
    }
    const instances = [
      await startApp(t, {
        database: one,
        environment: { ...environment, LOG_LEVEL: 'silent' },
        routes: scope => addRevocation(scope, one),
      }),
      await startApp(t, { database: other, environment: { ...environment, LOG_LEVEL: 'silent' } }),
    ]
    const user = await aUser(operator, { roles: ['Verified'] })

    let isOver = false
    let served = 0
    const load = Array.from({ length: 8 }, async (_, n) => {
      while (!isOver) {
        const { status } = await get(instances[n % 2] as TestApp, '/api/me', user.token)
        if (status === 200) served += 1
      }
    })

    type Revocation = (tokenId: number, userId: number) => Promise<unknown>
    const byRequest: Revocation = tokenId => send(instances[0] as TestApp, 'DELETE', `/tokens/${tokenId}`)
    const byCommand: Revocation = tokenId =>
      run({ DATABASE_URL: url, APP_KEY: TEST_KEY }, ['token', 'revoke', String(tokenId)])
    const revocations: Revocation[] = [
      byRequest,
      tokenId => sql`delete from personal_access_tokens where id = ${tokenId}`.execute(operator.kysely),
      tokenId =>
        sql`update personal_access_tokens set expires_at = '2026-01-01' where id = ${tokenId}`.execute(
          operator.kysely,
        ),
      tokenId =>
        sql`update personal_access_tokens set token = ${'0'.repeat(64 - String(tokenId).length) + tokenId} where id = ${tokenId}`.execute(
          operator.kysely,
        ),
      (_, userId) =>
        sql`update users set deleted_at = '2026-01-01' where id = ${userId}`.execute(operator.kysely),
    ]
    const accepted: number[] = []
    for (let round = 0; round < 200; round += 1) {
      // Starting a process is slow, so the command revokes only a few.
      const revoke = round % 50 === 0 ? byCommand : (revocations[round % revocations.length] as Revocation)
      const target =
        revoke === revocations.at(-1)
          ? await aUser(operator)
          : { id: user.id, ...(await aToken(operator, user.id)) }
      // Both instances have just accepted the token.
      const before = await Promise.all(instances.map(app => get(app, '/api/me', target.token)))
      if (!before.every(({ status }) => status === 200))
        t.fail(`round ${round}: the token was refused before`)
      await revoke(target.tokenId, target.id)
      const after = await Promise.all(instances.map(app => get(app, '/api/me', target.token)))
      if (!after.every(({ status }) => status === 401)) accepted.push(round)
    }
    isOver = true
    await Promise.all(load)
    t.strictSame(accepted, [], 'rounds in which a request after the commit was accepted')
    t.ok(served > 200, `${served} other requests were answered`)
  },
)

async function testLookups(t: Test, database: TestDatabase) {
  await t.test('each token returns its own identity, with or without an id', async t => {
    const { token } = identities(database, TYPES, () => NOW)
    const users = await Promise.all([
      aUser(database, { permissions: ['view playlist'] }),
      aUser(database, { roles: ['Verified', 'Patron'] }),
      aUser(database),
    ])
    const secretOf = (text: string) => text.split('|')[1] as string
    const credentials = users.flatMap(user => [parseToken(user.token), parseToken(secretOf(user.token))])
    const missing = parseToken(`4711|${mintSecret('', randomBytes).reveal()}`)
    database.statements.length = 0
    const stored = await Promise.all(
      [...credentials, missing].map(credential => credential && token(credential)),
    )
    t.equal(database.statements.length, 3, 'one statement for ids, one for digests, one for permissions')
    t.strictSame(
      stored.map(one => one?.owner?.user.id ?? null),
      [...users.flatMap(({ id }) => [id, id]), null],
    )
    t.strictSame([...(stored[0]?.owner?.permissions ?? [])], ['view playlist'])
    t.ok(stored[2]?.owner?.permissions.has('bypass feature flags'), 'a permission by a role')
    t.equal(stored[4]?.owner?.permissions.size, 0)
    const names = database.queries.slice(-3).map(({ name }) => name)
    t.strictSame(
      names.sort(),
      ['permission_map', 'tokens_by_digest', 'tokens_by_id'],
      'each is a prepared statement',
    )
  })

  await t.test('special characters and infinite times are read as stored', async t => {
    const { token } = identities(database, TYPES, () => NOW)
    const user = await aUser(database)
    const name = `"quoted", [brackets] {braces} \\ back\u2028slash \u{1F600} ${'x'.repeat(200)}`
    await database.kysely.updateTable('users').set({ name }).where('id', '=', user.id).execute()
    const { tokenId, token: text } = await aToken(database, user.id, { expiresAt: NOW + DAY })
    await database.kysely
      .updateTable('personal_access_tokens')
      .set({ name: 'a\ttab,comma', expires_at: 'infinity', created_at: '2026-01-02 03:04:05.123456' })
      .where('id', '=', tokenId)
      .execute()
    const stored = await token(parseToken(text) as NonNullable<ReturnType<typeof parseToken>>)
    t.match(stored, {
      id: tokenId,
      name: 'a\ttab,comma',
      expiresAt: Number.POSITIVE_INFINITY,
      createdAt: Date.UTC(2026, 0, 2, 3, 4, 5, 123),
      owner: { user: { name, emailVerifiedAt: '2026-03-01 12:00:00', twoFactorConfirmedAt: null } },
    })
  })
}

async function testFreshness(t: Test, database: TestDatabase) {
  const { kysely } = database

  await t.test('a change of roles or permissions applies to the next request', async t => {
    const app = await startApp(t, { database })
    const { token } = await aUser(database, { roles: ['Verified'] })
    const status = async () => (await get(app, '/api/me/playlist', token)).status
    const changes = [
      [
        `delete from role_has_permissions where permission_id = (select id from permissions where name = 'view playlist')`,
        403,
      ],
      [
        `insert into role_has_permissions (role_id, permission_id)
          select r.id, p.id from roles r, permissions p where r.name = 'Verified' and p.name = 'view playlist'`,
        200,
      ],
      [`update permissions set name = 'view playlists' where name = 'view playlist'`, 403],
      [`update permissions set name = 'view playlist' where name = 'view playlists'`, 200],
      [`update roles set guard_name = 'other' where name = 'Verified'`, 403],
      [`update roles set guard_name = 'web' where name = 'Verified'`, 200],
    ] as const
    t.equal(await status(), 200)
    for (const [statement, expected] of changes) {
      await sql.raw(statement).execute(kysely)
      t.equal(await status(), expected, statement)
    }
  })

  await t.test('prohibitions by sanctions apply to the next request', async t => {
    const app = await startApp(t, { database })
    const { id, token } = await aUser(database, { roles: ['Verified'] })
    const status = async () => (await get(app, '/api/me/playlist', token)).status
    await sql`insert into sanctions (name) values ('no lists')`.execute(kysely)
    await sql`
      insert into model_sanctions (model_type, model_id, sanction_id)
      select ${USER_TYPE}, ${id}, id from sanctions where name = 'no lists'`.execute(kysely)
    t.equal(await status(), 200, 'a sanction without prohibitions')
    await sql`
      insert into sanction_prohibition (sanction_id, prohibition_id)
      select s.id, p.id from sanctions s, prohibitions p where s.name = 'no lists' and p.name = 'view playlist'`.execute(
      kysely,
    )
    t.equal(await status(), 403)
    await sql`delete from sanctions where name = 'no lists'`.execute(kysely)
    t.equal(await status(), 200)
  })

  await t.test('the permission version counts committed changes only, and each concurrent one', async t => {
    const version = async () =>
      Number(
        (await kysely.selectFrom('permission_versions').select('version').executeTakeFirstOrThrow()).version,
      )
    const before = await version()
    await kysely
      .transaction()
      .execute(async transaction => {
        await sql`update roles set color = '#000000' where name = 'Verified'`.execute(transaction)
        throw new Error('no')
      })
      .catch(() => {})
    t.equal(await version(), before)
    await Promise.all(
      Array.from({ length: 5 }, (_, n) =>
        sql`update roles set priority = ${n} where name = 'Verified'`.execute(kysely),
      ),
    )
    t.equal(await version(), before + 5)
  })

  await t.test('a permission map is loaded once per version', async t => {
    const mapOf = permissionMaps(database)
    const { version } = await kysely
      .selectFrom('permission_versions')
      .select('version')
      .executeTakeFirstOrThrow()
    database.statements.length = 0
    const maps = await Promise.all([mapOf(version), mapOf(version), mapOf(version)])
    t.equal(database.statements.length, 1)
    t.equal(maps[0], maps[1])
    t.equal(await mapOf(version), maps[0])
    await sql`update roles set priority = 0 where name = 'Verified'`.execute(kysely)
    t.equal((await mapOf(version + 1)).version, version + 1)
    t.equal((await mapOf(version)).version, version + 1, 'an older version is not loaded')
  })
}

async function testStatements(t: Test, database: TestDatabase) {
  await t.test('each route makes a known number of queries', async t => {
    const app = await startApp(t, { database })
    const { token } = await aUser(database, { roles: ['Verified'] })
    await get(app, '/api/me', token)
    const countQueries = async (url: string, method: 'GET' | 'PUT' = 'GET') => {
      database.queries.length = 0
      const { statusCode } = await app.inject({ method, url, headers: { authorization: `Bearer ${token}` } })
      t.equal(statusCode, 200, url)
      const [identity, ...others] = database.queries
      t.equal(identity?.name, 'tokens_by_id', `${url}: the token is read by a prepared statement`)
      return others.length
    }
    t.equal(await countQueries('/api/me'), 0)
    t.equal(await countQueries('/api/me?include=playlists'), 1)
    t.equal(await countQueries('/api/me?include=playlists,roles.permissions'), 3)
    for (const list of ['playlist', 'externalprofile', 'notification'])
      t.equal(await countQueries(`/api/me/${list}`), 1, list)
    t.equal(
      await countQueries('/api/me/playlist?include=tracks.next,user'),
      1,
      'an include without rows makes no query',
    )
    t.equal(await countQueries('/api/me/notification/readall', 'PUT'), 1)
  })

  await t.test('a repeated list query is prepared', async t => {
    const app = await startApp(t, { database })
    const { token } = await aUser(database, { roles: ['Verified'] })
    const names: (string | undefined)[] = []
    for (const size of [15, 15, 15, 20, 15, 30]) {
      t.equal(
        (await get(app, `/api/me/externalprofile?filter[name]=mine&page[size]=${size}`, token)).status,
        200,
      )
      names.push(database.queries.at(-1)?.name)
    }
    t.strictSame(names.slice(-3).map(Boolean), [false, true, true], 'from the fifth time on')
    t.equal(names.at(-1), names.at(-2), 'for all parameters')
  })

  await t.test('at most fifty statements are prepared', async t => {
    const nameOf = statementNamer()
    const repeat = (text: string) => Array.from({ length: 6 }, () => nameOf(text)).at(-1)
    const names = Array.from({ length: 60 }, (_, n) => repeat(`select ${n}`))
    t.equal(new Set(names.slice(0, 50)).size, 50)
    t.strictSame(names.slice(50), Array(10).fill(undefined))
    t.equal(nameOf('select 0'), names[0])
  })

  await t.test('two hundred concurrent requests share a few queries', async t => {
    const app = await startApp(t, { database })
    const users = await Promise.all(Array.from({ length: 20 }, () => aUser(database)))
    database.queries.length = 0
    const answers = await Promise.all(
      Array.from({ length: 200 }, (_, n) => get(app, '/api/me', users[n % 20]?.token)),
    )
    t.strictSame(
      answers.map(({ json }) => json.user.id),
      Array.from({ length: 200 }, (_, n) => users[n % 20]?.id),
      'each gets its own user',
    )
    t.ok(database.queries.length <= 20, `${database.queries.length} statements`)
  })
}
