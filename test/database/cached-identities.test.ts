import { setImmediate as immediate } from 'node:timers/promises'
import { sql } from 'kysely'
import t, { type Test } from 'tap'
import { HEARTBEAT_LIMIT_MS } from '#src/auth/identity-cache.ts'
import type { PasswordHash } from '#src/auth/password.ts'
import { SessionId } from '#src/auth/session.ts'
import { type Database, databaseOver } from '#src/database/connect.ts'
import { changePassword } from '#src/database/passwords.ts'
import { postgresConnections } from '#src/database/postgres.ts'
import { deleteToken } from '#src/database/token-endings.ts'
import { TestBrowser } from '../fixtures/browser.ts'
import { MINUTE, NOW } from '../fixtures/clock.ts'
import { UNLIMITED } from '../fixtures/settings.ts'
import { aMember, aToken, aUser, USER_TYPE } from '../fixtures/users.ts'
import { addRevocation, get, send, startApp, TEST_KEY, type TestApp } from '../support/app.ts'
import { createDatabase, createPostgresDatabase, ENGINES, type TestDatabase } from '../support/databases.ts'
import { run } from '../support/processes.ts'
import { tcpProxy } from '../support/tcp-proxy.ts'

const CACHED = {
  ...UNLIMITED,
  IDENTITY_CACHE: 'on',
  RATE_LIMIT_AUTHENTICATED: '1000000',
  RATE_LIMIT_ANONYMOUS: '1000000',
  RATE_LIMIT_FAILED_AUTH: '1000000',
}

const FOLLOWING = 'the identity cache is on'
const INTERRUPTED = 'the identity cache is off: changes in the database cannot be followed'

/** Waits until a message was logged a number of times. */
async function untilLogged({ logged }: TestApp, message: string, times = 1) {
  while (logged.filter(({ msg }) => msg === message).length < times) await immediate()
}

/** Waits until a token is refused: notifications of changes arrive between requests. */
async function untilRefused(app: TestApp, token: string) {
  while ((await get(app, '/api/me', token)).status === 200) await immediate()
}

/** Waits until a token is answered from the cache: notifications of earlier changes may still clear it. */
async function untilCached(app: TestApp, database: TestDatabase, token: string) {
  do {
    await immediate()
    database.statements.length = 0
    await get(app, '/api/me', token)
  } while (database.statements.length > 0)
}

/** Starts a server that caches identities and follows their changes. */
async function startWithCache(t: Test, database: Database, environment: Record<string, string> = {}) {
  const app = await startApp(t, {
    database,
    environment: { ...CACHED, ...environment },
    routes: scope => addRevocation(scope, database),
  })
  await untilLogged(app, FOLLOWING)
  return app
}

for (const engine of ENGINES) {
  t.test(`cached identities on ${engine}`, async t => {
    const database = await createDatabase(t, engine)
    t.teardown(() => database.close())
    const { kysely } = database

    await t.test('a cached token needs no query', async t => {
      const app = await startWithCache(t, database)
      const { id, token } = await aUser(database, { roles: ['Verified'] })
      await untilCached(app, database, token)
      t.equal((await get(app, '/api/me', token)).json.user.id, id)
      t.equal((await get(app, '/api/me', token.split('|')[1])).json.user.id, id, 'with or without its id')
      t.equal(database.statements.length, 0)
      t.equal((await get(app, '/api/me/playlist', token)).status, 200)
      t.equal(database.statements.length, 1, 'only the query of the list')
      const text = (await get(app, '/metrics')).text
      t.match(text, /identity_cache_following 1\n/)
      t.match(text, /identity_cache_entries{kind="token"} 1\n/)
      t.match(text, /identity_cache_lookups_total{result="hit"} 4\n/)
    })

    await t.test('a cached session ends at its absolute lifetime', async t => {
      const app = await startWithCache(t, database, { SESSION_ABSOLUTE_LIFETIME: '1' })
      const user = await aMember(database)
      const browser = new TestBrowser(app)
      await browser.logIn(user)
      app.clock.advance(MINUTE - 1000)
      do {
        await immediate()
        database.statements.length = 0
        await browser.get('/api/me')
      } while (database.statements.length > 0)
      app.clock.advance(999)
      t.equal((await browser.clone().get('/api/me')).status, 200)
      t.strictSame(database.statements, [], 'no query')
      app.clock.advance(1)
      t.equal((await browser.clone().get('/api/me')).status, 401)
    })

    await t.test('a cached token is not accepted with another id or secret', async t => {
      const app = await startWithCache(t, database)
      const [one, two] = [await aUser(database), await aUser(database)]
      const [id, secret] = one.token.split('|') as [string, string]
      for (const { token } of [one, two]) await untilCached(app, database, token)
      t.equal((await get(app, '/api/me', `${two.tokenId}|${secret}`)).status, 401)
      t.equal((await get(app, '/api/me', `${id}|${secret}x`)).status, 401)
      t.equal((await get(app, '/api/me', `00${id}|${secret}`)).json.user.id, one.id)
    })

    await t.test('a wrong secret is refused before and after the right one is cached', async t => {
      const app = await startWithCache(t, database)
      const { token, tokenId } = await aUser(database)
      const invalid = `${tokenId}|${'x'.repeat(48)}`
      t.equal((await get(app, '/api/me', invalid)).status, 401)
      t.equal((await get(app, '/api/me', invalid)).status, 401)
      t.equal((await get(app, '/api/me', token)).status, 200)
      t.equal((await get(app, '/api/me', invalid)).status, 401)
    })

    await t.test('a cached token expires on time', async t => {
      const app = await startWithCache(t, database, { SANCTUM_EXPIRATION: '1' })
      const user = await aUser(database)
      const [dated, undated] = [
        await aToken(database, user.id, { expiresAt: NOW + 1500 }),
        await aToken(database, user.id, { createdAt: NOW }),
      ]
      const status = async ({ token }: { token: string }) => (await get(app, '/api/me', token)).status
      await untilCached(app, database, dated.token)
      app.clock.advance(1000)
      await untilCached(app, database, dated.token)
      app.clock.advance(501)
      t.equal(await status(dated), 401, 'its own expiry')
      t.equal(await status(undated), 200)
      app.clock.advance(MINUTE - 1501)
      t.equal(await status(undated), 401, 'the global expiration')
    })

    await t.test('a prohibition of a cached identity expires on time', async t => {
      const app = await startWithCache(t, database)
      const { id, token } = await aUser(database, { roles: ['Verified'] })
      await sql`
        insert into model_prohibitions (model_type, model_id, prohibition_id, expires_at)
        select ${USER_TYPE}, ${id}, id, timestamp '2026-03-01 12:00:01' from prohibitions where name = 'view playlist'`.execute(
        database.kysely,
      )
      const status = async () => (await get(app, '/api/me/playlist', token)).status
      await untilCached(app, database, token)
      t.equal(await status(), 403)
      app.clock.advance(1000)
      t.equal(await status(), 200)
    })

    await t.test('a change by another process ends a cached token once it is notified', async t => {
      const app = await startWithCache(t, database)
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
          'of another owner type',
          ({ tokenId }) =>
            sql`update personal_access_tokens set tokenable_type = 'other' where id = ${tokenId}`.execute(
              kysely,
            ),
        ],
        [
          'of a deleted user',
          ({ id }) => sql`update users set deleted_at = now() where id = ${id}`.execute(kysely),
        ],
      ]
      for (const [name, change] of changes) {
        const user = await aUser(database)
        await untilCached(app, database, user.token)
        await change(user)
        await untilRefused(app, user.token)
        t.equal((await get(app, '/api/me', user.token)).status, 401, name)
      }
    })

    await t.test('a token revoked by a request is refused before its response is sent', async t => {
      const app = await startWithCache(t, database)
      const user = await aUser(database)
      for (let round = 0; round < 100; round += 1) {
        const { tokenId, token } = await aToken(database, user.id)
        const before = await Promise.all([get(app, '/api/me', token), get(app, '/api/me', token)])
        if (before.some(({ status }) => status !== 200))
          t.fail(`round ${round}: the token was refused before`)
        const [{ status }] = await Promise.all([
          send(app, 'DELETE', `/tokens/${tokenId}`),
          get(app, '/api/me', token),
        ])
        t.equal(status, 204)
        t.equal((await get(app, '/api/me', token)).status, 401)
      }
    })

    await t.test('a cached session follows confirmations, logouts and password changes', async t => {
      const app = await startWithCache(t, database)
      const user = await aMember(database)
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
      t.equal(await isConfirmed(), true, 'after the confirmation')

      const stolen = browser.clone()
      t.equal((await stolen.get('/api/me')).status, 200)
      t.equal((await browser.post('/logout')).status, 204)
      t.equal((await stolen.get('/api/me')).status, 401, 'after the logout')

      await browser.logIn(user)
      const other = new TestBrowser(app)
      await other.logIn(user)
      for (const client of [browser, other]) t.equal((await client.get('/api/me')).status, 200)
      const keep = new SessionId(browser.sessionId).digest()
      await changePassword(kysely, user.id, 'x' as PasswordHash, { keep, revokeTokens: null, now: NOW })
      while ((await other.get('/api/me')).status === 200) await immediate()
      t.equal((await other.get('/api/me')).status, 401, 'after the password was changed elsewhere')
      t.equal((await browser.get('/api/me')).status, 200, 'the session that changed the password')
    })

    await t.test('the last activity of a cached session is stored once a minute', async t => {
      const app = await startWithCache(t, database)
      const user = await aMember(database)
      const browser = new TestBrowser(app)
      await browser.logIn(user)
      const digest = new SessionId(browser.sessionId).digest()
      const readLastActivity = async () => {
        await app.lastUse.flush()
        const row = await kysely
          .selectFrom('sessions')
          .select('last_activity')
          .where('id', '=', digest)
          .executeTakeFirstOrThrow()
        return row.last_activity - NOW / 1000
      }
      const stored: number[] = []
      for (let second = 0; second <= 130; second += 10) {
        t.equal((await browser.get('/api/me')).status, 200)
        stored.push(await readLastActivity())
        app.clock.advance(10_000)
      }
      t.strictSame([...new Set(stored)], [0, 60, 120])
    })
  })
}

t.test('cached identities on two servers', async t => {
  const url = await createPostgresDatabase(t)
  const open = (listenUrl = url) => {
    const database = databaseOver({
      ...postgresConnections(url, () => {}, { listenUrl }),
      open: async () => {},
    })
    t.teardown(() => database.close())
    return database
  }
  const operator = open()

  await t.test('two hundred tokens that are revoked under load are refused by both servers', async t => {
    const user = await aUser(operator)
    const apps = [
      await startWithCache(t, open(), { LOG_LEVEL: 'info' }),
      await startWithCache(t, open(), { LOG_LEVEL: 'info' }),
    ]
    const status = async (index: number, token: string) =>
      (await get(apps[index] as TestApp, '/api/me', token)).status
    let isOver = false
    const load = Array.from({ length: 2 }, async (_, n) => {
      while (!isOver) {
        await status(n, user.token)
        await immediate()
      }
    })
    const failures: string[] = []
    for (let round = 0; round < 200; round += 1) {
      const { tokenId, token } = await aToken(operator, user.id)
      for (const index of [0, 1]) {
        for (const time of ['first', 'second'])
          if ((await status(index, token)) !== 200) failures.push(`${round}: ${time} at ${index}`)
      }
      const here = round % 2
      if (round % 50 === 0) {
        // By the command line, in another process.
        await run({ DATABASE_URL: url, APP_KEY: TEST_KEY }, ['token', 'revoke', String(tokenId)])
        await untilRefused(apps[here] as TestApp, token)
      } else {
        const { status: answered } = await send(apps[here] as TestApp, 'DELETE', `/tokens/${tokenId}`)
        if (answered !== 204) failures.push(`${round}: not revoked`)
        if ((await status(here, token)) !== 401) failures.push(`${round}: accepted where it was revoked`)
      }
      await untilRefused(apps[1 - here] as TestApp, token)
      for (const index of [0, 1])
        if ((await status(index, token)) !== 401) failures.push(`${round}: accepted again at ${index}`)
    }
    isOver = true
    await Promise.all(load)
    t.strictSame(failures, [])
    for (const app of apps) {
      const { text } = await get(app, '/metrics')
      t.match(text, /identity_cache_lookups_total{result="hit"} \d{3,}\n/, 'most requests hit the cache')
    }
  })

  await t.test('a server whose listener is disconnected reconnects and follows changes again', async t => {
    const proxy = await tcpProxy(t, url)
    const app = await startWithCache(t, open(proxy.url))
    const { id, token } = await aUser(operator)
    t.equal((await get(app, '/api/me', token)).status, 200)
    proxy.cut()
    await untilLogged(app, INTERRUPTED)
    await untilLogged(app, FOLLOWING, 2)
    const { tokenId, token: another } = await aToken(operator, id)
    t.equal((await get(app, '/api/me', another)).status, 200)
    await deleteToken(operator.kysely, String(tokenId))
    await untilRefused(app, another)
    t.equal((await get(app, '/api/me', another)).status, 401, 'a change after the reconnection')
  })

  await t.test('a server whose listener hangs stops using the cache when a heartbeat is late', async t => {
    const user = await aUser(operator)
    const proxy = await tcpProxy(t, url)
    const app = await startWithCache(t, open(proxy.url))
    const tokens = await Promise.all(Array.from({ length: 20 }, () => aToken(operator, user.id)))
    const statuses = () =>
      Promise.all(tokens.map(async ({ token }) => (await get(app, '/api/me', token)).status))
    const all = (status: number) => tokens.map(() => status)
    t.strictSame(await statuses(), all(200))
    // Once more, after all notifications have arrived.
    await operator.kysely.selectFrom('users').select('id').execute()
    t.strictSame(await statuses(), all(200))
    proxy.block()
    await sql`delete from personal_access_tokens where id = any(${tokens.map(({ tokenId }) => tokenId)}::bigint[])`.execute(
      operator.kysely,
    )
    t.strictSame(await statuses(), all(200), 'the change is not noticed yet')
    app.clock.advance(HEARTBEAT_LIMIT_MS + 1)
    t.strictSame(await statuses(), all(401), 'without a heartbeat the database is queried')
    proxy.cut()
  })

  await t.test('a server whose pooler drops notifications does not cache', async t => {
    const user = await aUser(operator)
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

  await t.test('a server whose listener cannot connect does not cache', async t => {
    const user = await aUser(operator)
    const app = await startApp(t, { database: open('postgres://127.0.0.1:1/none'), environment: CACHED })
    await untilLogged(app, INTERRUPTED)
    t.equal((await get(app, '/api/me', user.token)).status, 200)
  })
})
