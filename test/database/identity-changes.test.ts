import { setImmediate as immediate } from 'node:timers/promises'
import { sql } from 'kysely'
import t, { type Test } from 'tap'
import { HEARTBEAT_LIMIT_MS } from '#src/auth/identity-cache.ts'
import type { PasswordHash } from '#src/auth/password.ts'
import { type SessionDigest, SessionId } from '#src/auth/session.ts'
import { writeActivity, writeLastUsed } from '#src/database/activity.ts'
import { type Database, databaseOver } from '#src/database/connect.ts'
import { changePassword } from '#src/database/passwords.ts'
import { postgresSource } from '#src/database/postgres.ts'
import { deleteToken } from '#src/database/token-endings.ts'
import { TestBrowser } from '../fixtures/browser.ts'
import { MINUTE, NOW } from '../fixtures/clock.ts'
import { aToken, aUser, USER_TYPE } from '../fixtures/users.ts'
import { addRevocation, get, send, startApp, TEST_KEY, type TestApp } from '../support/app.ts'
import { createDatabase, createPostgresDatabase, ENGINES, type TestDatabase } from '../support/databases.ts'
import { run } from '../support/processes.ts'
import { tcpProxy } from '../support/tcp-proxy.ts'

const CACHED = {
  IDENTITY_CACHE: 'on',
  RATE_LIMIT_AUTHENTICATED: '1000000',
  RATE_LIMIT_ANONYMOUS: '1000000',
  RATE_LIMIT_FAILED_AUTH: '1000000',
}

const FOLLOWING = 'identities are remembered'
const INTERRUPTED = 'identities are not remembered, since changes of them cannot be followed'

/** Until something was logged, so many times. */
async function untilLogged({ logged }: TestApp, message: string, times = 1) {
  while (logged.filter(({ msg }) => msg === message).length < times) await immediate()
}

/** Until a token is refused: a server hears of changes between its requests. */
async function untilRefused(app: TestApp, token: string) {
  while ((await get(app, '/api/me', token)).status === 200) await immediate()
}

/** Until a token is known without asking: what was changed before may have been heard of only now. */
async function untilRemembered(app: TestApp, database: TestDatabase, token: string) {
  do {
    await immediate()
    database.statements.length = 0
    await get(app, '/api/me', token)
  } while (database.statements.length > 0)
}

/** A server that remembers, on a database of which it is told. */
async function startCached(t: Test, database: Database, environment: Record<string, string> = {}) {
  const app = await startApp(t, {
    database,
    environment: { ...CACHED, ...environment },
    routes: scope => addRevocation(scope, database),
  })
  await untilLogged(app, FOLLOWING)
  return app
}

for (const engine of ENGINES) {
  t.test(`on ${engine}`, async t => {
    const create = async () => {
      const database = await createDatabase(t, engine)
      t.teardown(() => database.close())
      return database
    }
    await messages(t, await create())
    const database = await create()
    await remembered(t, database)
    await revoked(t, database)
    await sessions(t, database)
  })
}

async function messages(t: Test, database: TestDatabase) {
  const { kysely } = database

  await t.test('whose identity changed is told, whoever changes it', async t => {
    const heard: string[] = []
    const listener = await database.listen('identity_changes', {
      message: payload => heard.push(payload),
      lost: error => t.fail(error.message),
    })
    /** What a statement has told, in order. */
    const told = async (statement: string) => {
      await sql.raw(statement).execute(kysely)
      await listener.roundTrip()
      return heard.splice(0).sort()
    }
    const [one, two] = [await aUser(database), await aUser(database)]
    const { tokenId } = await aToken(database, one.id)
    await listener.roundTrip()
    heard.length = 0
    const session = (id: string, user: number | null) =>
      `insert into sessions (id, user_id, payload, last_activity) values ('${id}', ${user}, '{}', 0)`

    const ofOne = [String(one.id)]
    const cases: [statement: string, expected: string[]][] = [
      [`update personal_access_tokens set last_used_at = now(), updated_at = now()`, []],
      [`update personal_access_tokens set name = name`, []],
      [`update personal_access_tokens set name = 'other' where id = ${tokenId}`, ofOne],
      [`update personal_access_tokens set expires_at = now() where id = ${tokenId}`, ofOne],
      [`update personal_access_tokens set abilities = '[]' where id = ${tokenId}`, ofOne],
      [`update personal_access_tokens set token = 'x' where id = ${tokenId}`, ofOne],
      [
        `update personal_access_tokens set tokenable_id = ${two.id} where id = ${tokenId}`,
        [String(one.id), String(two.id)].sort(),
      ],
      [`delete from personal_access_tokens where id = ${tokenId}`, [String(two.id)]],
      [`delete from personal_access_tokens where id = ${tokenId}`, []],

      [session('s1', one.id), []],
      [session('s2', null), []],
      [`update sessions set last_activity = 5, ip_address = '::1', user_agent = 'curl'`, []],
      [`update sessions set payload = '{"a":1}'`, ofOne],
      [`update sessions set user_id = ${one.id} where id = 's2'`, ofOne],
      [`delete from sessions`, ofOne],

      [`update users set remember_token = 'x', two_factor_recovery_codes = 'y'`, []],
      ...[
        ...["name = 'other'", "email = 'other@example.org'", 'email_verified_at = null', "password = 'x'"],
        ...[
          "two_factor_secret = 'y'",
          'two_factor_confirmed_at = now()',
          'updated_at = now()',
          'deleted_at = now()',
          'deleted_at = null',
        ],
      ].map((change): [string, string[]] => [`update users set ${change} where id = ${one.id}`, ofOne]),

      [
        `insert into model_has_roles (role_id, model_type, model_id)
          select id, '${USER_TYPE}', ${one.id} from roles where name in ('Verified', 'Patron')`,
        ofOne,
      ],
      [`update model_has_roles set model_type = 'other' where model_id = ${one.id}`, ofOne],
      [`delete from model_has_roles where model_id = ${one.id}`, ofOne],
      [
        `insert into model_has_permissions (permission_id, model_type, model_id)
          select id, '${USER_TYPE}', ${one.id} from permissions where name = 'view playlist'`,
        ofOne,
      ],
      [`delete from model_has_permissions where model_id = ${one.id}`, ofOne],
      [
        `insert into model_prohibitions (prohibition_id, model_type, model_id)
          select id, '${USER_TYPE}', ${one.id} from prohibitions where name = 'view playlist'`,
        ofOne,
      ],
      [`update model_prohibitions set reason = 'x' where model_id = ${one.id}`, ofOne],
      [`update model_prohibitions set expires_at = now() where model_id = ${one.id}`, ofOne],
      [`delete from model_prohibitions where model_id = ${one.id}`, ofOne],
      [`insert into sanctions (name) values ('none')`, ['*']],
      [
        `insert into model_sanctions (sanction_id, model_type, model_id)
          select id, '${USER_TYPE}', ${one.id} from sanctions`,
        ofOne,
      ],
      [`delete from sanctions`, ['*', ...ofOne]],
      [`update permissions set name = name || ' ' where name = 'view playlist'`, ['*']],
      [`update permissions set name = trim(name) where name = 'view playlist '`, ['*']],
      [
        `delete from role_has_permissions where permission_id = (select id from permissions where name = 'view playlist')`,
        ['*'],
      ],
      [`truncate model_has_permissions`, ['*']],
      [`truncate personal_access_tokens`, ['*']],
      [`delete from users where id = ${one.id}`, ofOne],
      [`insert into users (name, email, password) values ('new', 'new@example.org', '!')`, []],
    ]
    for (const [statement, expected] of cases) t.strictSame(await told(statement), expected, statement)

    await kysely
      .transaction()
      .execute(async transaction => {
        await sql`update users set name = 'third' where id = ${two.id}`.execute(transaction)
        throw new Error('no')
      })
      .catch(() => {})
    await listener.roundTrip()
    t.strictSame(heard, [], 'what is not committed is not told')
    await listener.close()
  })

  await t.test('what is noted of use is not told', async t => {
    const heard: string[] = []
    const listener = await database.listen('identity_changes', {
      message: payload => heard.push(payload),
      lost: error => t.fail(error.message),
    })
    const { id, tokenId } = await aUser(database)
    await sql`insert into sessions (id, user_id, payload, last_activity) values ('s3', ${id}, '{}', 1)`.execute(
      kysely,
    )
    await writeLastUsed(kysely, [[tokenId, { at: NOW, address: '::1', userAgent: 'curl' }]], NOW)
    await writeActivity(
      kysely,
      [['s3' as SessionDigest, { at: NOW, address: '::1', userAgent: 'curl' }]],
      NOW,
    )
    await listener.roundTrip()
    t.strictSame(heard, [])
    t.match(await kysely.selectFrom('sessions').select('last_activity').where('id', '=', 's3').execute(), [
      { last_activity: NOW / 1000 },
    ])
    await listener.close()
  })

  await t.test('many at once are told together', async t => {
    const heard: string[] = []
    const listener = await database.listen('identity_changes', {
      message: payload => heard.push(payload),
      lost: error => t.fail(error.message),
    })
    const addTokens = (count: number) =>
      sql`
        insert into personal_access_tokens (tokenable_type, tokenable_id, name, token)
        select ${USER_TYPE}, 1000000 + n, 'bulk', 'bulk' || n from generate_series(1, ${count}::int) as n`.execute(
        kysely,
      )
    const told = async (statement: string) => {
      await sql.raw(statement).execute(kysely)
      await listener.roundTrip()
      return heard.splice(0)
    }
    await addTokens(700)
    const updated = await told(`update personal_access_tokens set name = 'bulk!' where name = 'bulk'`)
    t.equal(updated.length, 101, 'row by row')
    t.equal(updated.at(-1), '*', 'until it is simpler to say that it is anybody')
    const again = await told(`update personal_access_tokens set name = 'bulk' where token = 'bulk1'`)
    t.strictSame(again, ['1000001'], 'in the next transaction it counts anew')
    const deleted = await told(`delete from personal_access_tokens where name like 'bulk%'`)
    t.equal(deleted.length, 3)
    t.equal(new Set(deleted.flatMap(payload => payload.split(','))).size, 700)
    await addTokens(10_001)
    t.strictSame(await told(`delete from personal_access_tokens where name = 'bulk'`), ['*'])
    await listener.close()
  })
}

async function remembered(t: Test, database: TestDatabase) {
  await t.test('who is calling is asked once', async t => {
    const app = await startCached(t, database)
    const { id, token } = await aUser(database, { roles: ['Verified'] })
    await untilRemembered(app, database, token)
    t.equal((await get(app, '/api/me', token)).json.user.id, id)
    t.equal((await get(app, '/api/me', token.split('|')[1])).json.user.id, id, 'with or without its id')
    t.equal(database.statements.length, 0)
    t.equal((await get(app, '/api/me/playlist', token)).status, 200)
    t.equal(database.statements.length, 1, 'the list alone')
    const text = (await get(app, '/metrics')).text
    t.match(text, /identity_cache_following 1\n/)
    t.match(text, /identity_cache_entries{kind="token"} 1\n/)
    t.match(text, /identity_cache_lookups_total{result="hit"} 4\n/)
  })

  await t.test('a session that is remembered ends when it would', async t => {
    const app = await startCached(t, database, { SESSION_ABSOLUTE_LIFETIME: '1' })
    const user = await aUser(database, { password: 'password' })
    const browser = new TestBrowser(app)
    await browser.logIn({ email: user.email, password: 'password' })
    app.clock.advance(MINUTE - 1000)
    do {
      await immediate()
      database.statements.length = 0
      await browser.get('/api/me')
    } while (database.statements.length > 0)
    app.clock.advance(999)
    t.equal((await browser.clone().get('/api/me')).status, 200)
    t.strictSame(database.statements, [], 'without being asked for')
    app.clock.advance(1)
    t.equal((await browser.clone().get('/api/me')).status, 401)
  })

  await t.test('another id or another secret is not the same', async t => {
    const app = await startCached(t, database)
    const [one, two] = [await aUser(database), await aUser(database)]
    const [id, secret] = one.token.split('|') as [string, string]
    for (const { token } of [one, two]) await untilRemembered(app, database, token)
    t.equal((await get(app, '/api/me', `${two.tokenId}|${secret}`)).status, 401)
    t.equal((await get(app, '/api/me', `${id}|${secret}x`)).status, 401)
    t.equal((await get(app, '/api/me', `00${id}|${secret}`)).json.user.id, one.id)
  })

  await t.test('a wrong secret before makes nothing right', async t => {
    const app = await startCached(t, database)
    const { token, tokenId } = await aUser(database)
    const wrong = `${tokenId}|${'x'.repeat(48)}`
    t.equal((await get(app, '/api/me', wrong)).status, 401)
    t.equal((await get(app, '/api/me', wrong)).status, 401)
    t.equal((await get(app, '/api/me', token)).status, 200)
    t.equal((await get(app, '/api/me', wrong)).status, 401)
  })

  await t.test('an expiry counts at once', async t => {
    const app = await startCached(t, database, { SANCTUM_EXPIRATION: '1' })
    const user = await aUser(database)
    const [dated, young] = [
      await aToken(database, user.id, { expiresAt: NOW + 1500 }),
      await aToken(database, user.id, { createdAt: NOW }),
    ]
    const status = async ({ token }: { token: string }) => (await get(app, '/api/me', token)).status
    await untilRemembered(app, database, dated.token)
    app.clock.advance(1000)
    await untilRemembered(app, database, dated.token)
    app.clock.advance(501)
    t.equal(await status(dated), 401, 'its own')
    t.equal(await status(young), 200)
    app.clock.advance(MINUTE - 1501)
    t.equal(await status(young), 401, 'that of all')
  })

  await t.test('and so does the end of a prohibition', async t => {
    const app = await startCached(t, database)
    const { id, token } = await aUser(database, { roles: ['Verified'] })
    await sql`
      insert into model_prohibitions (model_type, model_id, prohibition_id, expires_at)
      select ${USER_TYPE}, ${id}, id, timestamp '2026-03-01 12:00:01' from prohibitions where name = 'view playlist'`.execute(
      database.kysely,
    )
    const status = async () => (await get(app, '/api/me/playlist', token)).status
    await untilRemembered(app, database, token)
    t.equal(await status(), 403)
    app.clock.advance(1000)
    t.equal(await status(), 200)
  })
}

async function revoked(t: Test, database: TestDatabase) {
  const { kysely } = database

  await t.test('what is changed elsewhere counts as soon as it is told', async t => {
    const app = await startCached(t, database)
    const changes: [name: string, change: (user: { id: number; tokenId: number }) => Promise<unknown>][] = [
      [
        'deleted',
        ({ tokenId }) => sql`delete from personal_access_tokens where id = ${tokenId}`.execute(kysely),
      ],
      [
        'expired',
        ({ tokenId }) =>
          sql`update personal_access_tokens set expires_at = '2026-01-01' where id = ${tokenId}`.execute(
            kysely,
          ),
      ],
      [
        'of somebody else',
        ({ tokenId }) =>
          sql`update personal_access_tokens set tokenable_type = 'other' where id = ${tokenId}`.execute(
            kysely,
          ),
      ],
      ['of nobody', ({ id }) => sql`update users set deleted_at = now() where id = ${id}`.execute(kysely)],
    ]
    for (const [name, change] of changes) {
      const user = await aUser(database)
      await untilRemembered(app, database, user.token)
      await change(user)
      await untilRefused(app, user.token)
      t.equal((await get(app, '/api/me', user.token)).status, 401, name)
    }
  })

  await t.test('what a request itself revokes is dead before it is answered', async t => {
    const app = await startCached(t, database)
    const user = await aUser(database)
    for (let round = 0; round < 100; round += 1) {
      const { tokenId, token } = await aToken(database, user.id)
      const before = await Promise.all([get(app, '/api/me', token), get(app, '/api/me', token)])
      if (before.some(({ status }) => status !== 200)) t.fail(`round ${round}: it did not work before`)
      const [{ status }] = await Promise.all([
        send(app, 'DELETE', `/tokens/${tokenId}`),
        get(app, '/api/me', token),
      ])
      t.equal(status, 204)
      t.equal((await get(app, '/api/me', token)).status, 401)
    }
  })
}

async function sessions(t: Test, database: TestDatabase) {
  const { kysely } = database

  await t.test('a session', async t => {
    const app = await startCached(t, database, { LOGIN_RATE_LIMIT: '1000' })
    const user = { ...(await aUser(database, { password: 'correct horse' })), password: 'correct horse' }
    const browser = new TestBrowser(app)
    await browser.logIn(user)
    do {
      await immediate()
      database.statements.length = 0
      t.equal((await browser.get('/api/me')).json.user.id, user.id)
    } while (database.statements.length > 0)

    const isConfirmed = async () => (await browser.get('/user/confirmed-password-status')).json.confirmed
    t.equal(await isConfirmed(), false)
    await browser.post('/user/confirm-password', { password: user.password })
    t.equal(await isConfirmed(), true, 'is current')

    const stolen = browser.clone()
    t.equal((await stolen.get('/api/me')).status, 200)
    t.equal((await browser.post('/logout')).status, 204)
    t.equal((await stolen.get('/api/me')).status, 401, 'ends')

    await browser.logIn(user)
    const other = new TestBrowser(app)
    await other.logIn(user)
    for (const one of [browser, other]) t.equal((await one.get('/api/me')).status, 200)
    const keep = new SessionId(browser.sessionId).digest()
    await changePassword(kysely, user.id, 'x' as PasswordHash, { keep, revokeTokens: null, now: NOW })
    while ((await other.get('/api/me')).status === 200) await immediate()
    t.equal((await other.get('/api/me')).status, 401, 'when the password is changed elsewhere')
    t.equal((await browser.get('/api/me')).status, 200, 'unless it is the one in which it was')
  })

  await t.test('the use of a session is noted once a minute', async t => {
    const app = await startCached(t, database)
    const user = { ...(await aUser(database, { password: 'correct horse' })), password: 'correct horse' }
    const browser = new TestBrowser(app)
    await browser.logIn(user)
    const digest = new SessionId(browser.sessionId).digest()
    const noted = async () => {
      await app.activity.flush()
      const row = await kysely
        .selectFrom('sessions')
        .select('last_activity')
        .where('id', '=', digest)
        .executeTakeFirstOrThrow()
      return row.last_activity - NOW / 1000
    }
    const seen: number[] = []
    for (let second = 0; second <= 130; second += 10) {
      t.equal((await browser.get('/api/me')).status, 200)
      seen.push(await noted())
      app.clock.advance(10_000)
    }
    t.strictSame([...new Set(seen)], [0, 60, 120])
  })
}

t.test('two servers', async t => {
  const url = await createPostgresDatabase(t)
  const open = (listenUrl = url) => {
    const database = databaseOver({ ...postgresSource(url, () => {}, { listenUrl }), open: async () => {} })
    t.teardown(() => database.close())
    return database
  }
  const operator = open()
  const user = await aUser(operator)

  await t.test('two hundred tokens revoked under load', async t => {
    const apps = [
      await startCached(t, open(), { LOG_LEVEL: 'info' }),
      await startCached(t, open(), { LOG_LEVEL: 'info' }),
    ]
    const status = async (index: number, token: string) =>
      (await get(apps[index] as TestApp, '/api/me', token)).status
    let isOver = false
    const load = Array.from({ length: 8 }, async (_, n) => {
      while (!isOver) {
        await status(n % 2, user.token)
        await immediate()
      }
    })
    const wrong: string[] = []
    for (let round = 0; round < 200; round += 1) {
      const { tokenId, token } = await aToken(operator, user.id)
      for (const index of [0, 1]) {
        for (const time of ['first', 'second'])
          if ((await status(index, token)) !== 200) wrong.push(`${round}: ${time} at ${index}`)
      }
      const here = round % 2
      if (round % 50 === 0) {
        // By the command, in another process.
        await run({ DATABASE_URL: url, APP_KEY: TEST_KEY }, ['token', 'revoke', String(tokenId)])
        await untilRefused(apps[here] as TestApp, token)
      } else {
        const { status: answered } = await send(apps[here] as TestApp, 'DELETE', `/tokens/${tokenId}`)
        if (answered !== 204) wrong.push(`${round}: not revoked`)
        if ((await status(here, token)) !== 401) wrong.push(`${round}: alive where it was revoked`)
      }
      await untilRefused(apps[1 - here] as TestApp, token)
      for (const index of [0, 1])
        if ((await status(index, token)) !== 401) wrong.push(`${round}: back at ${index}`)
    }
    isOver = true
    await Promise.all(load)
    t.strictSame(wrong, [])
    for (const app of apps) {
      const { text } = await get(app, '/metrics')
      t.match(text, /identity_cache_lookups_total{result="hit"} \d{3,}\n/, 'while most were remembered')
    }
  })

  await t.test('one whose connection is cut', async t => {
    const way = await tcpProxy(t, url)
    const app = await startCached(t, open(way.url))
    const { token } = await aUser(operator)
    t.equal((await get(app, '/api/me', token)).status, 200)
    way.cut()
    await untilLogged(app, INTERRUPTED)
    await untilLogged(app, FOLLOWING, 2)
    const { tokenId, token: another } = await aToken(operator, user.id)
    t.equal((await get(app, '/api/me', another)).status, 200)
    await deleteToken(operator.kysely, String(tokenId))
    await untilRefused(app, another)
    t.equal((await get(app, '/api/me', another)).status, 401, 'goes on with another')
  })

  await t.test('one whose connection is dead, and nobody says so', async t => {
    const way = await tcpProxy(t, url)
    const app = await startCached(t, open(way.url))
    const tokens = await Promise.all(Array.from({ length: 20 }, () => aToken(operator, user.id)))
    const statuses = () =>
      Promise.all(tokens.map(async ({ token }) => (await get(app, '/api/me', token)).status))
    const all = (status: number) => tokens.map(() => status)
    t.strictSame(await statuses(), all(200))
    // Once more, now that all changes have been heard of.
    await operator.kysely.selectFrom('users').select('id').execute()
    t.strictSame(await statuses(), all(200))
    way.block()
    await sql`delete from personal_access_tokens where id = any(${tokens.map(({ tokenId }) => tokenId)}::bigint[])`.execute(
      operator.kysely,
    )
    t.strictSame(await statuses(), all(200), 'it cannot know')
    app.clock.advance(HEARTBEAT_LIMIT_MS + 1)
    t.strictSame(await statuses(), all(401), 'once a heartbeat is late, it asks')
    way.cut()
  })

  await t.test('one behind a pooler that keeps notifications to itself', async t => {
    const database = open()
    const app = await startApp(t, {
      database: {
        ...database,
        listen: (channel, events) => database.listen(channel, { ...events, message() {} }),
      },
      environment: CACHED,
    })
    await untilLogged(app, INTERRUPTED)
    t.match(app.logged.find(({ msg }) => msg === INTERRUPTED)?.err, { message: /DATABASE_LISTEN_URL/ })
    t.equal((await get(app, '/api/me', user.token)).status, 200)
    t.match((await get(app, '/metrics')).text, /identity_cache_lookups_total{result="hit"} 0\n/)
  })

  await t.test('one whose listener cannot connect', async t => {
    const app = await startApp(t, { database: open('postgres://127.0.0.1:1/none'), environment: CACHED })
    await untilLogged(app, INTERRUPTED)
    t.equal((await get(app, '/api/me', user.token)).status, 200)
  })
})
