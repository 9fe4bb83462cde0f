import { once } from 'node:events'
import { type IncomingMessage, request } from 'node:http'
import type { AddressInfo } from 'node:net'
import t, { type Test } from 'tap'
import { HEARTBEAT_LIMIT_MS } from '#src/auth/identity-cache.ts'
import { TestBrowser } from '../fixtures/browser.ts'
import { DAY, HOUR, MINUTE, NOW, testClock } from '../fixtures/clock.ts'
import { aMember, aToken, aUser, PASSWORD } from '../fixtures/users.ts'
import { get, startApp } from '../support/app.ts'
import { createDatabase, PRODUCTION_ENGINE, type TestDatabase } from '../support/databases.ts'

for (const engine of PRODUCTION_ENGINE) {
  t.test(`changes of the system clock on ${engine}`, async t => {
    const database = await createDatabase(t, engine)
    t.teardown(() => database.close())
    await testDurations(t, database)
    await testRecordedTimes(t, database)
  })
}

/** A system clock that tests set, and a monotonic one. */
const makeClocks = () => ({ clock: testClock(), monotonic: testClock(1) })

async function testDurations(t: Test, database: TestDatabase) {
  await t.test('a response that took long checks again whether its session has ended', async t => {
    const { clock, monotonic } = makeClocks()
    let enter = () => {}
    let finish = () => {}
    const entered = new Promise<void>(resolve => {
      enter = resolve
    })
    const held = new Promise<void>(resolve => {
      finish = resolve
    })
    const first = await startApp(t, { database, clock })
    const other = await startApp(t, {
      database,
      clock,
      monotonic,
      routes: app => {
        const config = { access: { auth: 'optional', via: 'session' }, isWeb: true } as const
        app.get('/set', { config }, async () => {
          clock.advance(HOUR)
          return {}
        })
        app.get('/held', { config }, async () => {
          enter()
          await held
          return {}
        })
      },
    })
    const browser = new TestBrowser(first)
    const { email } = await aMember(database)
    await browser.logIn({ email, password: PASSWORD })
    database.queries.length = 0
    t.equal((await browser.clone(other).get('/set')).setCookies.length, 2)
    t.equal(
      database.queries.filter(({ name }) => name === 'sessions_by_id').length,
      1,
      'a fast response checks once',
    )
    clock.advance(-HOUR)

    const answer = browser.clone(other).get('/held')
    await entered
    await browser.post('/logout')
    clock.advance(-HOUR)
    monotonic.advance(21)
    finish()
    t.strictSame((await answer).setCookies, [])
  })

  await t.test('a late body makes the token be checked again', async t => {
    const { clock, monotonic } = makeClocks()
    const app = await startApp(t, { database, clock, monotonic })
    const { id } = await aUser(database, { roles: ['Verified'] })
    await app.listen({ host: '127.0.0.1', port: 0 })
    const { port } = app.server.address() as AddressInfo
    const body = '{"name":"late","visibility":0}'
    const sendLateBody = async (set: number) => {
      const { token, tokenId } = await aToken(database, id)
      const sent = request({
        port,
        path: '/api/playlist',
        method: 'POST',
        headers: {
          authorization: `Bearer ${token}`,
          'content-type': 'application/json',
          'content-length': body.length,
        },
      })
      const answered = once(sent, 'response')
      database.queries.length = 0
      sent.flushHeaders()
      while (!database.queries.some(({ name }) => name === 'tokens_by_id')) await new Promise(setImmediate)
      await database.kysely.deleteFrom('personal_access_tokens').where('id', '=', tokenId).execute()
      clock.advance(set)
      monotonic.advance(51)
      sent.end(body)
      const [response] = (await answered) as [IncomingMessage]
      response.resume()
      return response.statusCode
    }
    t.equal(await sendLateBody(-HOUR), 401)
    t.equal(await sendLateBody(HOUR), 401)
  })

  await t.test('the use of an expired token is logged once an hour of monotonic time', async t => {
    const { clock, monotonic } = makeClocks()
    const app = await startApp(t, { database, clock, monotonic })
    const { id } = await aUser(database)
    const { token } = await aToken(database, id, { expiresAt: NOW - DAY })
    const recorded = () => app.logged.filter(({ msg }) => msg === 'expired token used').length
    await get(app, '/api/me', token)
    t.equal(recorded(), 1)
    clock.advance(2 * HOUR)
    await get(app, '/api/me', token)
    t.equal(recorded(), 1)
    clock.advance(-2 * HOUR)
    monotonic.advance(HOUR + 1)
    await get(app, '/api/me', token)
    t.equal(recorded(), 2)
  })

  await t.test('the identity cache follows the monotonic clock', async t => {
    const { clock, monotonic } = makeClocks()
    const app = await startApp(t, { database, clock, monotonic, environment: { IDENTITY_CACHE: 'on' } })
    const { token } = await aUser(database)
    const isFollowing = () => app.logged.some(({ msg }) => msg === 'the identity cache is on')
    while (!isFollowing()) await new Promise(setImmediate)
    await get(app, '/api/me', token)
    for (const set of [-HOUR, 2 * HOUR]) {
      clock.advance(set)
      database.queries.length = 0
      t.equal((await get(app, '/api/me', token)).status, 200)
      t.strictSame(
        database.queries.filter(({ name }) => name === 'tokens_by_id'),
        [],
        `set by ${set} ms`,
      )
    }
    monotonic.advance(HEARTBEAT_LIMIT_MS + 1)
    await get(app, '/api/me', token)
    t.equal(
      database.queries.filter(({ name }) => name === 'tokens_by_id').length,
      1,
      'the cache ends when a heartbeat is late',
    )
  })
}

/** Times far in the future, written by a wrong clock, are corrected at the next use; small differences between clocks are not. */
async function testRecordedTimes(t: Test, database: TestDatabase) {
  const stored = (ms: number) => new Date(NOW + ms).toISOString().slice(0, 19).replace('T', ' ')

  await t.test('the last use of a token in the future is corrected', async t => {
    const app = await startApp(t, { database, environment: { LAST_USED_INTERVAL: '0' } })
    const { token, tokenId } = await aUser(database)
    const tokens = database.kysely.updateTable('personal_access_tokens').where('id', '=', tokenId)
    const lastUsed = async () =>
      await database.kysely
        .selectFrom('personal_access_tokens')
        .select(['last_used_at', 'last_used_agent'])
        .where('id', '=', tokenId)
        .executeTakeFirstOrThrow()
    const use = async (agent: string) => {
      await get(app, '/api/me', token, { 'user-agent': agent })
      await app.lastUse.flush()
    }
    for (const [ms, isCorrected] of [
      [HOUR, true],
      [5 * MINUTE + 1000, true],
      [5 * MINUTE, false],
      [1000, false],
    ] as const) {
      await tokens.set({ last_used_at: stored(ms), last_used_agent: 'before' }).execute()
      await use('now')
      const [at, agent] = isCorrected ? [0, 'now'] : [ms, 'before']
      t.strictSame(await lastUsed(), { last_used_at: stored(at), last_used_agent: agent }, `${ms} ms ahead`)
    }
    await tokens.set({ last_used_at: 'infinity' }).execute()
    await use('now')
    t.match(await lastUsed(), { last_used_at: stored(0) })

    app.clock.advance(-HOUR)
    await use('set back')
    t.strictSame(await lastUsed(), { last_used_at: stored(-HOUR), last_used_agent: 'set back' })
  })

  await t.test('of several unwritten uses the last one counts, not the one with the latest time', async t => {
    const app = await startApp(t, { database, environment: { LAST_USED_INTERVAL: '0' } })
    const { token, tokenId } = await aUser(database)
    app.clock.advance(HOUR)
    await get(app, '/api/me', token)
    app.clock.advance(-HOUR)
    await get(app, '/api/me', token)
    await app.lastUse.flush()
    t.match(
      await database.kysely
        .selectFrom('personal_access_tokens')
        .selectAll()
        .where('id', '=', tokenId)
        .execute(),
      [{ last_used_at: stored(0) }],
    )
  })

  await t.test('the last activity of a session in the future is corrected', async t => {
    const { clock, monotonic } = makeClocks()
    const app = await startApp(t, { database, clock, monotonic })
    const { id, email } = await aMember(database)
    const browser = new TestBrowser(app)
    await browser.logIn({ email, password: PASSWORD })
    const sessions = database.kysely.updateTable('sessions').where('user_id', '=', id)
    const lastActivity = async () =>
      (
        await database.kysely
          .selectFrom('sessions')
          .select('last_activity')
          .where('user_id', '=', id)
          .executeTakeFirstOrThrow()
      ).last_activity -
      NOW / 1000
    const use = async () => {
      monotonic.advance(MINUTE)
      await browser.get('/api/me')
      await app.lastUse.flush()
    }
    for (const [seconds, expected] of [
      [3600, 0],
      [301, 0],
      [300, 300],
      [1, 1],
    ] as const) {
      await sessions.set({ last_activity: NOW / 1000 + seconds }).execute()
      await use()
      t.equal(await lastActivity(), expected, `${seconds} s ahead`)
    }
    clock.advance(-HOUR)
    await use()
    t.equal(await lastActivity(), -3600)
    // It is written at most once a minute of monotonic time.
    clock.advance(HOUR)
    await browser.get('/api/me')
    await app.lastUse.flush()
    t.equal(await lastActivity(), -3600)
    await use()
    t.equal(await lastActivity(), 0)
  })

  await t.test('the last use of a remembered device in the future is corrected', async t => {
    const app = await startApp(t, { database })
    const { id, email } = await aMember(database)
    const browser = new TestBrowser(app)
    await browser.get('/sanctum/csrf-cookie')
    await browser.post('/login', { email, password: PASSWORD, remember: true })
    await database.kysely
      .updateTable('remembered_devices')
      .set({ last_used_at: stored(HOUR) })
      .where('user_id', '=', id)
      .execute()
    for (const name of browser.cookies.keys()) if (/session/.test(name)) browser.cookies.delete(name)
    t.equal((await browser.get('/api/me')).status, 200)
    t.match(
      await database.kysely.selectFrom('remembered_devices').selectAll().where('user_id', '=', id).execute(),
      [{ last_used_at: stored(0) }],
    )
  })
}
