import { randomBytes } from 'node:crypto'
import { sql } from 'kysely'
import t from 'tap'
import { hashPassword } from '#src/auth/password.ts'
import { sha256 } from '#src/auth/secret.ts'
import { mintSessionId, SessionId } from '#src/auth/session.ts'
import type { Database } from '#src/database/connect.ts'
import { writeSessionUses } from '#src/database/last-use.ts'
import { pruneSessions } from '#src/database/sessions.ts'
import { UNAUTHENTICATED, WRONG_CREDENTIALS } from '../../../fixtures/answers.ts'
import { aLoggedInUser, SPA, TestBrowser } from '../../../fixtures/browser.ts'
import { DAY, MINUTE, NOW, testClock } from '../../../fixtures/clock.ts'
import { changePassword } from '../../../fixtures/passwords.ts'
import { startUnlimited } from '../../../fixtures/server.ts'
import {
  aRememberedUser,
  isLoggedIn,
  REMEMBER_COOKIE,
  returningBrowser,
  SESSION_COOKIE,
  sessionRow,
  sessionsOf,
} from '../../../fixtures/sessions.ts'
import { aMember, PASSWORD, TEST_ROUNDS } from '../../../fixtures/users.ts'
import { get, send, startApp } from '../../../support/app.ts'
import { createDatabase, ENGINES, PRODUCTION_ENGINE } from '../../../support/databases.ts'

const countRows = async ({ kysely }: Database, table: 'sessions' | 'login_addresses') => {
  const { count } = await kysely
    .selectFrom(table)
    .select(({ fn }) => fn.countAll<number>().as('count'))
    .executeTakeFirstOrThrow()
  return Number(count)
}

for (const engine of ENGINES) {
  t.test(`the lifetime of sessions and password confirmations on ${engine}`, async t => {
    const database = await createDatabase(t, engine)
    t.teardown(() => database.close())

    await t.test('a session is extended by use, and ends after two hours without', async t => {
      const clock = testClock()
      const app = await startApp(t, { database, clock })
      const user = await aMember(database)
      const browser = new TestBrowser(app)
      await browser.logIn(user)
      const lastActivity = async () => (await sessionRow(database, browser.sessionId))?.last_activity ?? 0

      clock.advance(30_000)
      await browser.get('/api/me')
      await app.lastUse.flush()
      t.equal(await lastActivity(), NOW / 1000, 'use within a minute is not stored')
      clock.advance(30_000)
      database.statements.length = 0
      await browser.get('/api/me', { headers: { 'user-agent': 'x'.repeat(600) } })
      t.notMatch(
        database.statements.join('\n'),
        /\b(update|insert|delete)\b/,
        'the request itself writes nothing',
      )
      await app.lastUse.flush()
      const stored = await sessionRow(database, browser.sessionId)
      t.equal(stored?.last_activity, NOW / 1000 + 60)
      t.equal(stored?.user_agent, 'x'.repeat(500))
      const late = { at: NOW + 30_000, address: '127.0.0.1', userAgent: 'x' }
      await writeSessionUses(database.kysely, [[new SessionId(browser.sessionId).digest(), late]], clock())
      t.equal(await lastActivity(), NOW / 1000 + 60, 'an earlier time does not overwrite a later one')

      clock.advance(119 * MINUTE)
      const me = await browser.get('/api/me')
      t.equal(me.status, 200)
      t.match(me.setCookies[1], 'Max-Age=7200; Path=/; Expires=Sun, 01 Mar 2026 16:00:00 GMT')
      await app.lastUse.flush()
      clock.advance(121 * MINUTE)
      const id = browser.sessionId
      t.strictSame((await browser.get('/api/me')).json, UNAUTHENTICATED)
      t.not(browser.sessionId, id, 'the browser has a new session')
    })

    await t.test('LAST_USED_INTERVAL applies to sessions, within a sixtieth of their lifetime', async t => {
      for (const [interval, lifetime, seconds] of [
        ['3600', '120', 120],
        ['10', '120', 10],
        ['60', '1', 1],
      ] as const) {
        const clock = testClock()
        const environment = { LAST_USED_INTERVAL: interval, SESSION_LIFETIME: lifetime }
        const app = await startApp(t, { database, clock, environment })
        const browser = new TestBrowser(app)
        await browser.logIn(await aMember(database))
        const storedAfter = async (ms: number) => {
          clock.advance(ms)
          t.equal((await browser.get('/api/me')).status, 200)
          await app.lastUse.flush()
          const row = await sessionRow(database, browser.sessionId)
          return (row?.last_activity ?? 0) - NOW / 1000
        }
        const name = `${interval} s, ${lifetime} min`
        t.equal(await storedAfter(seconds * 1000 - 1), 0, name)
        t.equal(await storedAfter(1), seconds, name)
        // Often enough that a session in use does not end.
        for (let n = 2; n < 70; n += 1) t.equal(await storedAfter(seconds * 1000), n * seconds, name)
      }
    })

    await t.test('an expired session is not listed', async t => {
      const clock = testClock()
      const environment = { SESSION_ABSOLUTE_LIFETIME: '60' }
      const app = await startApp(t, { database, clock, environment })
      const user = await aMember(database)
      const first = new TestBrowser(app)
      await first.logIn(user)
      clock.advance(30 * MINUTE)
      const second = new TestBrowser(app)
      await second.logIn(user)
      await first.get('/api/me')
      const listed = async () => (await second.get('/api/me/session')).json.sessions.length
      t.equal(await listed(), 2)
      clock.advance(30 * MINUTE)
      t.equal((await first.get('/api/me')).status, 401)
      t.equal(await listed(), 1)
    })

    await t.test('a session ends at its absolute lifetime', async t => {
      const clock = testClock()
      const app = await startApp(t, { database, clock, environment: { SESSION_ABSOLUTE_LIFETIME: '150' } })
      const user = await aMember(database)
      const browser = new TestBrowser(app)
      await browser.logIn(user)
      clock.advance(100 * MINUTE)
      const me = await browser.get('/api/me')
      t.match(me.setCookies[1], /Max-Age=3000; /, 'the cookie expires with the session')
      await app.lastUse.flush()
      clock.advance(10 * MINUTE)
      t.match((await browser.get('/api/me')).setCookies[1], /Max-Age=2400; /, 'each answer shortens it')
      clock.advance(40 * MINUTE - 1)
      t.equal((await browser.clone().get('/api/me')).status, 200)
      clock.advance(1)
      t.equal((await browser.clone().get('/api/me')).status, 401, 'the server ends the session itself')
    })

    await t.test(
      'pending activity is stored when the server stops, and restores no deleted session',
      async t => {
        const clock = testClock()
        const app = await startApp(t, { database, clock })
        const [first, second] = [new TestBrowser(app), new TestBrowser(app)]
        for (const browser of [first, second]) await browser.get('/sanctum/csrf-cookie')
        clock.advance(MINUTE)
        for (const browser of [first, second]) await browser.get('/api/me')
        await database.kysely.deleteFrom('sessions').where('id', '=', sha256(second.sessionId)).execute()
        await app.close()
        t.equal((await sessionRow(database, first.sessionId))?.last_activity, NOW / 1000 + 60)
        t.equal(await sessionRow(database, second.sessionId), undefined)
      },
    )

    await t.test('expired sessions are deleted in batches, and login addresses after 90 days', async t => {
      const clock = testClock(NOW + 365 * DAY)
      const app = await startApp(t, { database, clock })
      await sql`
    insert into sessions (id, payload, last_activity)
    select 'old-' || n, '{}', ${NOW / 1000} from generate_series(1, 12000) as n`.execute(database.kysely)
      const user = await aMember(database)
      await sql`
    insert into login_addresses (user_id, address, last_login_at)
    values (${user.id}, '192.0.2.1', '2026-03-01 12:00:00')`.execute(database.kysely)
      const browser = new TestBrowser(app)
      await browser.logIn(user)
      t.ok((await countRows(database, 'sessions')) > 12_000)
      t.ok((await countRows(database, 'login_addresses')) > 1)
      database.statements.length = 0
      await app.lastUse.prune()
      t.equal(database.statements.filter(text => /delete from "sessions"/.test(text)).length, 3)
      t.equal(
        await countRows(database, 'sessions'),
        2,
        'the current session stays, and the one that it has just replaced',
      )
      t.equal(await countRows(database, 'login_addresses'), 1)
      t.equal((await browser.get('/api/me')).status, 200)
      t.equal(await pruneSessions(database.kysely, clock() + MINUTE), 2)

      clock.advance(80 * DAY)
      await browser.logIn(user)
      clock.advance(20 * DAY)
      await app.lastUse.prune()
      t.equal(await countRows(database, 'login_addresses'), 1, 'the last login of an address counts')
    })

    await t.test('a deleted user is logged out at once', async t => {
      const app = await startApp(t, { database })
      const user = await aMember(database)
      const browser = new TestBrowser(app)
      await browser.logIn(user)
      await database.kysely
        .updateTable('users')
        .set({ deleted_at: '2026-02-28 00:00:00' })
        .where('id', '=', user.id)
        .execute()
      t.equal((await browser.clone().get('/api/me')).status, 401)
      t.equal((await browser.clone().post('/logout')).status, 419)
      t.strictSame((await browser.logIn(user)).json, WRONG_CREDENTIALS)
    })

    await t.test('a password change keeps its session, and ends the others at once', async t => {
      const app = await startApp(t, { database })
      const user = await aMember(database)
      const other = await aMember(database)
      const [first, second, third] = [new TestBrowser(app), new TestBrowser(app), new TestBrowser(app)]
      await first.logIn(user)
      await second.logIn(user)
      await third.logIn(other)
      t.equal((await second.get('/api/me')).status, 200)
      t.equal((await changePassword(first)).status, 200)
      t.equal((await first.get('/api/me')).status, 200)
      t.equal(await sessionRow(database, second.sessionId), undefined)
      t.strictSame((await second.get('/api/me')).json, UNAUTHENTICATED)
      t.equal((await third.get('/api/me')).status, 200)
      t.equal((await get(app, '/api/me', user.token)).status, 200, 'tokens stay valid')
    })

    await t.test('a password that changes in the database ends all sessions', async t => {
      const app = await startApp(t, { database })
      const user = await aMember(database)
      const browser = new TestBrowser(app)
      await browser.logIn(user)
      t.equal((await browser.get('/api/me')).status, 200)
      const password = await hashPassword(PASSWORD, TEST_ROUNDS)
      await database.kysely.updateTable('users').set({ password }).where('id', '=', user.id).execute()
      const id = browser.sessionId
      t.strictSame((await browser.clone().get('/api/me')).json, UNAUTHENTICATED)
      t.equal((await browser.clone().post('/logout')).status, 419, 'also on the routes of the website')
      await browser.get('/api/me')
      t.not(browser.sessionId, id)
    })

    await t.test(
      'a request with a session costs one statement, one with a malformed cookie none',
      async t => {
        const { statements } = database
        const app = await startApp(t, { database })
        const user = await aMember(database, { roles: ['Admin'] })
        const browser = new TestBrowser(app)
        await browser.logIn(user)
        const cost = async (request: () => Promise<unknown>) => {
          statements.length = 0
          await request()
          return statements.length
        }
        t.equal(await cost(() => browser.get('/api/me')), 1)
        t.equal(await cost(() => browser.get('/sanctum/csrf-cookie')), 1)
        t.equal(await cost(() => browser.bare('POST', '/logout')), 1, 'a refused change, too')
        const cookie = `animethemes_session=${browser.sessionId}`
        t.equal(await cost(() => get(app, '/api/me', undefined, { cookie })), 0, 'without a first-party page')
        for (const value of ['x', '', `${browser.sessionId}x`]) {
          const headers = {
            referer: `${SPA}/`,
            cookie: `animethemes_session=${value}`,
            'content-type': 'text/plain',
          }
          t.equal(await cost(() => send(app, 'POST', '/logout', { headers })), 0, value)
        }
        const unknown = mintSessionId(randomBytes).reveal()
        const headers = { referer: `${SPA}/`, cookie: `animethemes_session=${unknown}` }
        t.equal(await cost(() => send(app, 'POST', '/logout', { headers })), 1)
      },
    )

    await t.test('a password confirmation lasts three hours', async t => {
      const clock = testClock()
      const app = await startApp(t, { database, clock, environment: { SESSION_LIFETIME: '1000' } })
      const user = await aMember(database)
      const browser = new TestBrowser(app)
      const status = async (query = '') => {
        const { json, headers } = await browser.get(`/user/confirmed-password-status${query}`)
        return [json.confirmed, headers['x-retry-after']]
      }
      t.equal((await browser.get('/user/confirmed-password-status')).status, 401)
      await browser.logIn(user)
      t.strictSame(await status(), [false, undefined], 'a login is no confirmation')
      for (const body of [{ password: 'wrong' }, {}, { password: null }, { password: '' }]) {
        const answer = await browser.post('/user/confirm-password', body)
        t.equal(answer.status, 422)
        t.strictSame(answer.json.errors, { password: ['The provided password was incorrect.'] })
      }
      clock.advance(MINUTE)
      t.strictSame(await status(), [false, undefined])
      const answer = await browser.post('/user/confirm-password', { password: PASSWORD })
      t.equal(answer.status, 201)
      t.equal(answer.text, '""')
      t.match(answer.headers['content-type'], 'application/json')
      clock.advance(100_000)
      t.strictSame(await status(), [true, '100'])
      t.strictSame(await status('?seconds=100'), [false, undefined])
      t.strictSame(await status('?seconds=101'), [true, '100'])
      for (const seconds of ['x', '-1', '1.5', '99999999999', '']) {
        t.equal(
          (await browser.get(`/user/confirmed-password-status?seconds=${seconds}`)).status,
          422,
          seconds,
        )
      }
      clock.advance(10_800_000 - 100_000 - 1000)
      t.strictSame(await status(), [true, '10799'])
      clock.advance(1000)
      t.strictSame(await status(), [false, undefined])
      t.equal(
        (await get(app, '/user/confirmed-password-status', user.token)).status,
        401,
        'a token is refused',
      )
    })

    await t.test('a session has five confirmations a minute', async t => {
      const app = await startApp(t, { database })
      const user = await aMember(database)
      const browser = new TestBrowser(app)
      await browser.logIn(user)
      const statuses: number[] = []
      for (let n = 0; n < 6; n += 1) {
        statuses.push((await browser.post('/user/confirm-password', { password: `guess ${n}` })).status)
      }
      t.strictSame(statuses, [422, 422, 422, 422, 422, 429])
    })
  })
}

for (const engine of PRODUCTION_ENGINE) {
  t.test(`session ids and password confirmations on ${engine}`, async t => {
    const database = await createDatabase(t, engine)
    t.teardown(() => database.close())

    await t.test('a password confirmation keeps the start of the session and its device', async t => {
      const app = await startUnlimited(t, database, {
        SESSION_ABSOLUTE_LIFETIME: '300',
        SESSION_LIFETIME: '1000',
      })
      const { browser } = await aRememberedUser(t, app, database)
      app.clock.advance(200 * MINUTE)
      await browser.post('/user/confirm-password', { password: PASSWORD })
      const { sessions } = (await browser.get('/api/me/session')).json
      t.match(sessions, [{ is_current: true, is_remembered: true }])
      app.clock.advance(99 * MINUTE)
      t.ok(await isLoggedIn(browser))
      browser.cookies.delete(REMEMBER_COOKIE)
      app.clock.advance(MINUTE)
      t.notOk(await isLoggedIn(browser))
    })

    await t.test('a replaced session id is known for a minute, in spite of pruning', async t => {
      const app = await startUnlimited(t, database)
      const { browser } = await aLoggedInUser(app, database)
      const before = browser.clone()
      await browser.post('/logout')
      for (let n = 0; n < 3; n += 1) {
        await app.lastUse.prune()
        t.strictSame((await before.clone().get('/api/me')).setCookies, [], 'no answer sets cookies')
        app.clock.advance(20_000)
      }
      app.clock.advance(1_000)
      t.equal((await before.clone().get('/api/me')).setCookies.length, 2, 'a new session begins')
      app.clock.advance(121 * MINUTE)
      await app.lastUse.prune()
      const row = database.kysely
        .selectFrom('sessions')
        .select('id')
        .where('id', '=', sha256(before.sessionId))
      t.strictSame(await row.execute(), [], 'the row is deleted')
    })

    await t.test('a session ends after 30 days by default', async t => {
      const app = await startUnlimited(t, database, { SESSION_LIFETIME: '100000' })
      const { browser } = await aLoggedInUser(app, database)
      app.clock.advance(30 * DAY - 1)
      t.ok(await isLoggedIn(browser))
      app.clock.advance(1)
      t.notOk(await isLoggedIn(browser))
    })

    await t.test('a session of a device ends 400 days after the password was entered', async t => {
      const app = await startUnlimited(t, database, {
        SESSION_LIFETIME: '100000',
        SESSION_ABSOLUTE_LIFETIME: 'null',
      })
      const { browser } = await aRememberedUser(t, app, database)
      app.clock.advance(399 * DAY)
      const returned = returningBrowser(browser)
      const answer = await returned.get('/api/me')
      t.equal(answer.status, 200)
      const [maxAge] = answer.setCookies
        .filter(line => line.startsWith(SESSION_COOKIE))
        .map(line => /Max-Age=(\d+)/.exec(line)?.[1])
      t.equal(maxAge, String(DAY / 1000), 'its cookie ends with it')
      app.clock.advance(DAY - 2_000)
      t.ok(await isLoggedIn(returned))
      t.equal((await returned.get('/api/me/session')).json.sessions.length, 1)
      app.clock.advance(2_000)
      t.notOk(await isLoggedIn(returned))
    })

    await t.test('a password confirmation extends a session beyond the 400 days of its device', async t => {
      const app = await startUnlimited(t, database, {
        SESSION_LIFETIME: '100000',
        SESSION_ABSOLUTE_LIFETIME: 'null',
      })
      const { browser } = await aRememberedUser(t, app, database)
      app.clock.advance(399 * DAY)
      const returned = returningBrowser(browser)
      t.ok(await isLoggedIn(returned))
      await returned.post('/user/confirm-password', { password: PASSWORD })
      returned.cookies.delete(REMEMBER_COOKIE)
      app.clock.advance(2 * DAY)
      t.ok(await isLoggedIn(returned))
    })

    await t.test('the session id changes with the confirmation', async t => {
      const app = await startUnlimited(t, database)
      const { user, browser } = await aLoggedInUser(app, database)
      const copy = browser.clone()
      const before = browser.sessionId
      t.equal((await browser.post('/user/confirm-password', { password: PASSWORD })).status, 201)
      t.not(browser.sessionId, before)
      t.equal((await browser.get('/user/confirmed-password-status')).json.confirmed, true)
      t.equal((await copy.get('/api/me')).status, 401, 'the previous id is invalid')
      t.equal((await sessionsOf(database, user.id)).length, 1)
      t.equal(
        (await browser.send('PUT', '/api/me/notification/readall')).status,
        403,
        'the CSRF token of the new session is valid',
      )
    })
  })
}
