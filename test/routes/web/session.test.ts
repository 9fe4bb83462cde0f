import { createHash, randomBytes } from 'node:crypto'
import { hash as hashBcrypt } from '@node-rs/bcrypt'
import type { FastifyInstance } from 'fastify'
import { sql } from 'kysely'
import t, { type Test } from 'tap'
import { hashPassword, verifyPassword } from '#src/auth/password.ts'
import { mintSessionId, SessionId } from '#src/auth/session.ts'
import { writeActivity } from '#src/database/activity.ts'
import type { Database } from '#src/database/connect.ts'
import { pruneSessions } from '#src/database/sessions.ts'
import { UNAUTHENTICATED } from '../../fixtures/answers.ts'
import { SPA, TestBrowser } from '../../fixtures/browser.ts'
import { DAY, MINUTE, NOW, testClock } from '../../fixtures/clock.ts'
import { laravelAnswers, laravelRows, loadLaravelRows, parseCurl } from '../../fixtures/laravel.ts'
import { aNotification } from '../../fixtures/lists.ts'
import { aMember, aUser, TEST_ROUNDS } from '../../fixtures/users.ts'
import { type Answer, get, send, startApp } from '../../support/app.ts'
import { createDatabase, ENGINES, type TestDatabase } from '../../support/databases.ts'

const PASSWORD = 'correct horse battery staple'
const WRONG = {
  message: 'These credentials do not match our records.',
  errors: { email: ['These credentials do not match our records.'] },
}

const sha256 = (text: string) => createHash('sha256').update(text).digest('hex')

for (const engine of ENGINES) {
  t.test(`cookie sessions on ${engine}`, async t => {
    const database = await createDatabase(t, engine)
    t.teardown(() => database.close())
    await recorded(t, database)
    await loginAndOut(t, database)
    await lifetimes(t, database)
    await passwordBound(t, database)
    await confirmation(t, database)
    await strengthening(t, database)
    await waysIn(t, database)
    await cost(t, database)
  })
}

/** Routes of the API like Laravel's where the answers were recorded. */
const recordedRoutes = (app: FastifyInstance) => {
  app.post('/api/echo', { config: { isApi: true, access: { auth: 'required' } } }, async request => ({
    ok: true,
    input: request.body,
  }))
  const access = { auth: 'required', ability: 'write:token' } as const
  app.get('/api/orders', { config: { isApi: true, access } }, async () => ({ hello: 'world' }))
}

const row = (database: Database, cookie: string) =>
  database.kysely.selectFrom('sessions').selectAll().where('id', '=', sha256(cookie)).executeTakeFirst()

const count = async ({ kysely }: Database, table: 'sessions' | 'login_addresses') => {
  const { count } = await kysely
    .selectFrom(table)
    .select(({ fn }) => fn.countAll<number>().as('count'))
    .executeTakeFirstOrThrow()
  return Number(count)
}

async function recorded(t: Test, database: Database) {
  t.test('the recorded requests with cookies are answered as recorded', async t => {
    const app = await startApp(t, { database, routes: recordedRoutes })
    const users = new Map<string, { id: number; email: string }>()
    for (const name of ['user3', 'user4', 'user1']) {
      users.set(`${name}@example.com`, await aUser(database, { password: 'password' }))
    }
    const bearer = await aUser(database)
    const browser = new TestBrowser(app, {})
    // What differs on purpose: login says what Fortify says (D6, D21), and to who is logged in what AnimeThemes
    // says (D16). Whoever has a session has no current token to revoke, which is no error (D15). No request that is
    // refused gets a new session (D5b, D11): it could do nothing with it, since it gets no CSRF token. The cookie
    // that remembers a browser is not Laravel's, and has no digest in its name.
    const statuses = new Map([
      ['D6', 200],
      ['D15', 204],
      ['D16', 200],
      ['D21', 200],
    ])
    const withoutSession = new Set(['D5b', 'D11'])
    let seen = 0
    for (const { case: name, request, status, headers: recordedHeaders = [], json } of laravelAnswers) {
      const [id = ''] = name.split(' ')
      if (!/^D\d/.test(id) || typeof request === 'string') continue
      const { url, method, headers, payload, readsCookies, writesCookies } = parseCurl(request, text =>
        text
          .replace('{base}', 'http://127.0.0.1:8000')
          .replace(/^eyJ.*/, browser.cookies.get('XSRF-TOKEN') ?? '')
          .replace(/^Bearer .*/, `Bearer ${bearer.token}`)
          .replace('lab_session', 'animethemes_session'),
      )
      if (id === 'D22b') {
        const hash = await hashPassword('another', TEST_ROUNDS)
        await database.kysely
          .updateTable('users')
          .set({ password: hash })
          .where('id', '=', users.get('user4@example.com')?.id ?? 0)
          .execute()
      }
      const jar =
        readsCookies || writesCookies ? (writesCookies ? browser : browser.clone()) : new TestBrowser(app, {})
      const answer = await jar.bare(method, url.replace(/^\/api\/token$/, '/api/me/token/current'), {
        headers,
        ...(payload && {
          payload: payload.replace(/user\d@example\.com/, email => users.get(email)?.email ?? email),
        }),
      })
      t.equal(answer.status, statuses.get(id) ?? status, name)
      if (answer.status >= 400 || id === 'D14') t.strictSame(answer.json, json, `${name}: body`)
      const expected = withoutSession.has(id)
        ? []
        : recordedHeaders.filter(isCookie).map(([, line]) => described(line))
      t.strictSame(answer.setCookies.map(described), expected, `${name}: cookies`)
      seen += 1
    }
    t.equal(seen, 27)

    function isCookie([header]: [string, string]) {
      return header === 'Set-Cookie'
    }
    /** A cookie's name and attributes, without its value and the moment at which it ends. */
    function described(line: string) {
      const [pair = '', ...attributes] = line.split(/; ?/)
      return [
        pair.replace(/(_[0-9a-f]{40})?=.*/, '').replace('lab_session', 'animethemes_session'),
        ...attributes
          .map(attribute => attribute.toLowerCase())
          .filter(attribute => !attribute.startsWith('expires'))
          .sort(),
      ]
    }
  })

  t.test('a user and a password that Laravel wrote log in', async t => {
    await loadLaravelRows(database.kysely)
    for (const { row, password } of laravelRows.users) {
      const app = await startApp(t, { database })
      const browser = new TestBrowser(app)
      const answer = await browser.logIn({ email: String(row.email), password })
      const isDeleted = row.deleted_at !== null && row.deleted_at !== undefined
      const isTooLong = Buffer.byteLength(password) > 4096
      t.equal(answer.status, isDeleted || isTooLong ? 422 : 200, row.name)
      const me = await browser.get('/api/me')
      t.equal(me.json.user?.id ?? null, isDeleted ? null : row.id, `${row.name}: whose`)
    }
  })
}

async function loginAndOut(t: Test, database: TestDatabase) {
  t.test('csrf-cookie, login, a change, logout', async t => {
    const app = await startApp(t, { database })
    const user = await aUser(database, { password: PASSWORD, roles: ['Verified'] })
    const browser = new TestBrowser(app)

    const cookies = await browser.get('/sanctum/csrf-cookie')
    t.equal(cookies.status, 204)
    t.equal(cookies.text, '')
    const expires = 'Max-Age=7200; Path=/; Expires=Sun, 01 Mar 2026 14:00:00 GMT'
    t.strictSame(cookies.setCookies, [
      `XSRF-TOKEN=${browser.cookies.get('XSRF-TOKEN')}; ${expires}; SameSite=Lax`,
      `animethemes_session=${browser.sessionId}; ${expires}; HttpOnly; SameSite=Lax`,
    ])
    t.match(await row(database, browser.sessionId), {
      user_id: null,
      ip_address: '127.0.0.1',
      user_agent: 'lightMyRequest',
      last_activity: NOW / 1000,
    })
    const again = browser.sessionId
    await browser.get('/sanctum/csrf-cookie')
    t.equal(browser.sessionId, again, 'asking again keeps the session')

    const right = await browser.post('/login', {
      email: user.email.toUpperCase(),
      password: PASSWORD,
      remember: true,
    })
    t.equal(right.status, 200)
    t.strictSame(right.json, { two_factor: false })
    t.match(await row(database, browser.sessionId), { user_id: user.id })

    const me = await browser.get('/api/me')
    t.equal(me.json.user.id, user.id)
    const guest = await browser.post('/login', { email: user.email, password: PASSWORD })
    t.equal(guest.status, 200)
    t.strictSame(guest.json, { error: 'Already authenticated.' })

    const notification = await aNotification(database, user.id)
    const read = await browser.send('PUT', `/api/me/notification/${notification}/read`)
    t.equal(read.status, 200)
    t.strictSame(read.json, { message: 'Notification was marked as read.' })

    const logout = await browser.post('/logout')
    t.equal(logout.status, 204)
    t.equal(logout.text, '')
    t.strictSame((await browser.get('/api/me')).json, UNAUTHENTICATED)
    t.match(await row(database, browser.sessionId), { user_id: null }, 'it goes on as nobody')
    t.equal((await browser.post('/logout')).status, 401)
  })

  t.test('whatever is wrong with a login is told, and changes nothing', async t => {
    const app = await startApp(t, {
      database,
      environment: { LOGIN_RATE_LIMIT: '1000', RATE_LIMIT_ANONYMOUS: '1000' },
    })
    const user = await aUser(database, { password: PASSWORD })
    const browser = new TestBrowser(app)
    await browser.get('/sanctum/csrf-cookie')
    const id = browser.sessionId
    const required = (field: string) => [`The ${field} field is required.`]
    for (const [body, errors] of [
      [{}, { email: required('email'), password: required('password') }],
      [
        { email: '', password: '' },
        { email: required('email'), password: required('password') },
      ],
      [{ email: '  ', password: 'x' }, { email: required('email') }],
      [{ email: null, password: 'x' }, { email: required('email') }],
      [[], { email: required('email'), password: required('password') }],
      [
        { email: ['a'], password: { a: 1 } },
        { email: ['The email must be a string.'], password: ['The password must be a string.'] },
      ],
      [
        { email: 1, password: true },
        { email: ['The email must be a string.'], password: ['The password must be a string.'] },
      ],
      [
        { email: 1, password: false },
        { email: ['The email must be a string.'], password: ['The password must be a string.'] },
      ],
      [
        { email: 'x'.repeat(256), password: 'x' },
        { email: ['The email must not be greater than 255 characters.'] },
      ],
      [
        { email: user.email, password: 'x'.repeat(4097) },
        { password: ['The password must not be greater than 4096 characters.'] },
      ],
      [{ email: user.email, password: 'wrong' }, WRONG.errors],
      [{ email: user.email, password: ` ${PASSWORD}` }, WRONG.errors],
      [{ email: `${user.email}\0`, password: PASSWORD }, WRONG.errors],
      [{ email: 'nobody@example.org', password: PASSWORD }, WRONG.errors],
      [{ email: user.email, password: `${PASSWORD}\0` }, WRONG.errors],
      [{ email: '\ud800', password: PASSWORD }, WRONG.errors],
    ] as const) {
      const answer = await browser.post('/login', body)
      t.equal(answer.status, 422, JSON.stringify(body).slice(0, 80))
      t.strictSame(answer.json.errors, errors)
      const [first, ...more] = Object.values(errors).flat()
      t.equal(answer.json.message, more.length === 0 ? first : `${first} (and 1 more error)`)
    }
    t.equal(browser.sessionId, id)
    const spaced = await browser.post('/login', { email: ` ${user.email} `, password: PASSWORD })
    t.equal(spaced.status, 200, 'space around the e-mail address is not part of it')
  })

  t.test('a form logs in as well', async t => {
    const app = await startApp(t, { database })
    const user = await aUser(database, { password: ' p+ä%20 ' })
    const browser = new TestBrowser(app)
    await browser.get('/sanctum/csrf-cookie')
    const headers = { 'content-type': 'application/x-www-form-urlencoded' }
    const form = new URLSearchParams({
      email: user.email,
      password: ' p+ä%20 ',
      _token: browser.cookies.get('XSRF-TOKEN') ?? '',
    })
    const answer = await browser.bare('POST', '/login', { headers, payload: form.toString() })
    t.equal(answer.status, 200, answer.text)
    t.equal((await browser.get('/api/me')).json.user.id, user.id)

    const other = new TestBrowser(app)
    await other.get('/sanctum/csrf-cookie')
    const raw = await other.send('POST', '/login', {
      headers,
      payload: `email=${user.email}&password=+p%2Bä%2520+`,
    })
    t.equal(raw.status, 200, 'characters beyond ASCII may stand there as they are')
  })

  t.test('every stateful answer brings both cookies, whatever it says', async t => {
    const app = await startApp(t, { database, environment: { RATE_LIMIT_ANONYMOUS: '5' } })
    const browser = new TestBrowser(app)
    const names = ({ setCookies }: Answer) => setCookies.map(line => line.replace(/=.*/, ''))
    const both = ['XSRF-TOKEN', 'animethemes_session']
    for (const [method, url, status] of [
      ['GET', '/api/me', 401],
      ['HEAD', '/api/me', 401],
      ['GET', '/api/me?page[size]=1', 401],
      ['PUT', '/api/me/notification/readall', 401],
    ] as const) {
      const answer = await browser.send(method, url)
      t.equal(answer.status, status, url)
      t.strictSame(names(answer), both, `${method} ${url}`)
      t.match(answer.headers['cache-control'], 'no-store', "and is nobody else's")
    }
    const unproven = await browser.bare('PUT', '/api/me/notification/readall')
    t.equal(unproven.status, 419)
    t.strictSame(names(unproven), ['animethemes_session'], 'but the token to who had none')
    t.equal((await browser.get('/api/me')).status, 429)
    t.strictSame(names(await browser.get('/api/me')), both)
    t.strictSame(names(await new TestBrowser(app).get('/api/me')), [], 'but no new one to who asks too often')
    t.strictSame(names(await browser.get('/api/unknown')), [], 'nor anything where there is nothing')
    t.strictSame(names(await browser.get('/docs/')), [])
    const broken = (app: FastifyInstance) => {
      app.get('/api/broken', { config: { isApi: true, access: { auth: 'none' } } }, async () => {
        throw new Error('broken')
      })
    }
    const failing = await startApp(t, { database, routes: broken })
    const failed = await new TestBrowser(failing).get('/api/broken')
    t.equal(failed.status, 500)
    t.strictSame(names(failed), [], 'nor a new one to whom nobody could answer')
    const proxied = await startApp(t, { database, environment: { TRUSTED_PROXIES: '127.0.0.1' } })
    const odd = new TestBrowser(proxied)
    await odd.get('/sanctum/csrf-cookie', { headers: { 'x-forwarded-for': 'y'.repeat(60) } })
    t.ok(
      ((await row(database, odd.sessionId))?.ip_address ?? '').length <= 45,
      'what is no address fits as well',
    )
  })
}

async function lifetimes(t: Test, database: TestDatabase) {
  t.test('a session slides on with use, and ends without', async t => {
    const clock = testClock()
    const app = await startApp(t, { database, clock })
    const user = await aUser(database, { password: PASSWORD })
    const browser = new TestBrowser(app)
    await browser.logIn({ email: user.email, password: PASSWORD })
    const lastActivity = async () => (await row(database, browser.sessionId))?.last_activity ?? 0

    clock.advance(30_000)
    await browser.get('/api/me')
    await app.activity.flush()
    t.equal(await lastActivity(), NOW / 1000, 'what is less than a minute is not written')
    clock.advance(30_000)
    database.statements.length = 0
    await browser.get('/api/me', { headers: { 'user-agent': 'x'.repeat(600) } })
    t.notMatch(
      database.statements.join('\n'),
      /\b(update|insert|delete)\b/,
      'and never by the request itself',
    )
    await app.activity.flush()
    const stored = await row(database, browser.sessionId)
    t.equal(stored?.last_activity, NOW / 1000 + 60)
    t.equal(stored?.user_agent, 'x'.repeat(500))
    const late = { at: NOW + 30_000, address: '127.0.0.1', userAgent: 'x' }
    await writeActivity(database.kysely, [[new SessionId(browser.sessionId).digest(), late]], clock())
    t.equal(await lastActivity(), NOW / 1000 + 60, 'a note that comes late turns nothing back')

    clock.advance(119 * MINUTE)
    const me = await browser.get('/api/me')
    t.equal(me.status, 200)
    t.match(me.setCookies[1], 'Max-Age=7200; Path=/; Expires=Sun, 01 Mar 2026 16:00:00 GMT')
    await app.activity.flush()
    clock.advance(121 * MINUTE)
    const id = browser.sessionId
    t.strictSame((await browser.get('/api/me')).json, UNAUTHENTICATED)
    t.not(browser.sessionId, id, 'and then there is a new one')
  })

  t.test('a session that is over is listed no more', async t => {
    const clock = testClock()
    const environment = { SESSION_ABSOLUTE_LIFETIME: '60' }
    const app = await startApp(t, { database, clock, environment })
    const user = await aUser(database, { password: PASSWORD })
    const first = new TestBrowser(app)
    await first.logIn({ email: user.email, password: PASSWORD })
    clock.advance(30 * MINUTE)
    const second = new TestBrowser(app)
    await second.logIn({ email: user.email, password: PASSWORD })
    await first.get('/api/me')
    const listed = async () => (await second.get('/api/me/session')).json.sessions.length
    t.equal(await listed(), 2)
    clock.advance(30 * MINUTE)
    t.equal((await first.get('/api/me')).status, 401)
    t.equal(await listed(), 1)
  })

  t.test('a session ends at its absolute lifetime', async t => {
    const clock = testClock()
    const app = await startApp(t, { database, clock, environment: { SESSION_ABSOLUTE_LIFETIME: '150' } })
    const user = await aUser(database, { password: PASSWORD })
    const browser = new TestBrowser(app)
    await browser.logIn({ email: user.email, password: PASSWORD })
    clock.advance(100 * MINUTE)
    const me = await browser.get('/api/me')
    t.match(me.setCookies[1], /Max-Age=3000; /, 'the cookie lasts no longer')
    await app.activity.flush()
    clock.advance(10 * MINUTE)
    t.match((await browser.get('/api/me')).setCookies[1], /Max-Age=2400; /, 'with each answer')
    clock.advance(40 * MINUTE - 1)
    t.equal((await browser.clone().get('/api/me')).status, 200)
    clock.advance(1)
    t.equal((await browser.clone().get('/api/me')).status, 401, 'whatever the browser keeps')
  })

  t.test('the notes of use are written when the server stops, and wake nothing that is over', async t => {
    const clock = testClock()
    const app = await startApp(t, { database, clock })
    const [first, second] = [new TestBrowser(app), new TestBrowser(app)]
    for (const browser of [first, second]) await browser.get('/sanctum/csrf-cookie')
    clock.advance(MINUTE)
    for (const browser of [first, second]) await browser.get('/api/me')
    await database.kysely.deleteFrom('sessions').where('id', '=', sha256(second.sessionId)).execute()
    await app.close()
    t.equal((await row(database, first.sessionId))?.last_activity, NOW / 1000 + 60)
    t.equal(await row(database, second.sessionId), undefined)
  })

  t.test('sessions that are over are deleted in batches, and addresses after 90 days', async t => {
    const clock = testClock(NOW + 365 * DAY)
    const app = await startApp(t, { database, clock })
    await sql`
      insert into sessions (id, payload, last_activity)
      select 'old-' || n, '{}', ${NOW / 1000} from generate_series(1, 12000) as n`.execute(database.kysely)
    const user = await aUser(database, { password: PASSWORD })
    const browser = new TestBrowser(app)
    await browser.logIn({ email: user.email, password: PASSWORD })
    t.ok((await count(database, 'sessions')) > 12_000)
    t.ok((await count(database, 'login_addresses')) > 1)
    database.statements.length = 0
    await app.activity.prune()
    t.equal(database.statements.filter(text => /delete from "sessions"/.test(text)).length, 3)
    t.equal(
      await count(database, 'sessions'),
      2,
      'the one in use stays, and the one that it replaced a moment ago',
    )
    t.equal(await count(database, 'login_addresses'), 1)
    t.equal((await browser.get('/api/me')).status, 200)
    t.equal(await pruneSessions(database.kysely, clock() + MINUTE), 2)

    clock.advance(80 * DAY)
    await browser.logIn({ email: user.email, password: PASSWORD })
    clock.advance(20 * DAY)
    await app.activity.prune()
    t.equal(await count(database, 'login_addresses'), 1, 'of addresses the last login counts')
  })

  t.test('a user who is deleted is nobody at once', async t => {
    const app = await startApp(t, { database })
    const user = await aUser(database, { password: PASSWORD })
    const browser = new TestBrowser(app)
    await browser.logIn({ email: user.email, password: PASSWORD })
    await database.kysely
      .updateTable('users')
      .set({ deleted_at: '2026-02-28 00:00:00' })
      .where('id', '=', user.id)
      .execute()
    t.equal((await browser.clone().get('/api/me')).status, 401)
    t.equal((await browser.clone().post('/logout')).status, 419)
    t.strictSame((await browser.logIn({ email: user.email, password: PASSWORD })).json, WRONG)
  })
}

async function passwordBound(t: Test, database: TestDatabase) {
  t.test('16 a password change keeps the session that made it, and ends the others at once', async t => {
    const app = await startApp(t, { database })
    const user = await aUser(database, { password: PASSWORD })
    const stranger = await aUser(database, { password: PASSWORD })
    const [first, second, third] = [new TestBrowser(app), new TestBrowser(app), new TestBrowser(app)]
    await first.logIn({ email: user.email, password: PASSWORD })
    await second.logIn({ email: user.email, password: PASSWORD })
    await third.logIn({ email: stranger.email, password: PASSWORD })
    t.equal((await second.get('/api/me')).status, 200)
    const changed = await first.send('PUT', '/user/password', {
      payload: { current_password: PASSWORD, password: 'A new 1!', password_confirmation: 'A new 1!' },
    })
    t.equal(changed.status, 200)
    t.equal((await first.get('/api/me')).status, 200)
    t.equal(await row(database, second.sessionId), undefined)
    t.strictSame((await second.get('/api/me')).json, UNAUTHENTICATED)
    t.equal((await third.get('/api/me')).status, 200)
    t.equal((await get(app, '/api/me', user.token)).status, 200, 'tokens go on')
  })

  t.test('17, 18 a password that changes in the database ends all of them', async t => {
    const app = await startApp(t, { database })
    const user = await aUser(database, { password: PASSWORD })
    const browser = new TestBrowser(app)
    await browser.logIn({ email: user.email, password: PASSWORD })
    t.equal((await browser.get('/api/me')).status, 200)
    const password = await hashPassword(PASSWORD, TEST_ROUNDS)
    await database.kysely.updateTable('users').set({ password }).where('id', '=', user.id).execute()
    const id = browser.sessionId
    t.strictSame((await browser.clone().get('/api/me')).json, UNAUTHENTICATED)
    t.equal((await browser.clone().post('/logout')).status, 419, 'for the login routes, too')
    await browser.get('/api/me')
    t.not(browser.sessionId, id)
  })

  t.test('19 one browser, one user after the other', async t => {
    const app = await startApp(t, { database })
    const [a, b] = [
      await aUser(database, { password: PASSWORD }),
      await aUser(database, { password: 'other' }),
    ]
    const browser = new TestBrowser(app)
    await browser.logIn({ email: a.email, password: PASSWORD })
    await browser.get('/api/me')
    await browser.post('/logout')
    await browser.post('/login', { email: b.email, password: 'other' })
    t.equal((await browser.get('/api/me')).json.user.id, b.id)
  })

  t.test('a hash with less work is replaced at login, upwards alone, and ends no session', async t => {
    const strong = await startApp(t, { database, environment: { HASH_ROUNDS: '6' } })
    const weak = await startApp(t, { database, environment: { HASH_ROUNDS: '4' } })
    const user = await aUser(database, { password: PASSWORD })
    const stored = async () =>
      (
        await database.kysely
          .selectFrom('users')
          .select(['password', 'updated_at'])
          .where('id', '=', user.id)
          .executeTakeFirstOrThrow()
      ).password
    const first = new TestBrowser(weak)
    await first.logIn({ email: user.email, password: PASSWORD })
    t.match(await stored(), /^\$2y\$04\$/)
    const second = new TestBrowser(strong)
    t.equal((await second.logIn({ email: user.email, password: 'wrong' })).status, 422)
    t.match(await stored(), /^\$2y\$04\$/, 'not for a wrong password')
    await second.post('/login', { email: user.email, password: PASSWORD })
    t.match(await stored(), /^\$2y\$06\$/)
    t.equal(await verifyPassword(PASSWORD, await stored()), true)
    t.equal((await second.get('/api/me')).status, 200)
    t.equal((await first.get('/api/me')).status, 200, 'the password is the same')
    const third = new TestBrowser(weak)
    await third.logIn({ email: user.email, password: PASSWORD })
    t.match(await stored(), /^\$2y\$06\$/)
  })
}

async function strengthening(t: Test, database: Database) {
  t.test('a long password with such a hash opens it all the same, and the hash stays', async t => {
    const app = await startApp(t, { database, environment: { HASH_ROUNDS: '5' } })
    const user = await aUser(database)
    const long = 'x'.repeat(80)
    const password = await hashBcrypt(long, { cost: 4, version: '2y' })
    await database.kysely.updateTable('users').set({ password }).where('id', '=', user.id).execute()
    t.equal((await new TestBrowser(app).logIn({ email: user.email, password: long })).status, 200)
  })

  t.test('of several who log in with a weak hash at the same time, all are in', async t => {
    const app = await startApp(t, { database, environment: { LOGIN_RATE_LIMIT: '1000', HASH_ROUNDS: '5' } })
    const user = await aMember(database)
    const browsers = Array.from({ length: 5 }, () => new TestBrowser(app))
    const answers = await Promise.all(browsers.map(browser => browser.logIn(user)))
    t.strictSame(
      answers.map(({ status }) => status),
      [200, 200, 200, 200, 200],
    )
    for (const browser of browsers) t.equal((await browser.get('/api/me')).status, 200)
  })
}

async function confirmation(t: Test, database: Database) {
  t.test('13 the password is confirmed for a while', async t => {
    const clock = testClock()
    const app = await startApp(t, { database, clock, environment: { SESSION_LIFETIME: '1000' } })
    const user = await aUser(database, { password: PASSWORD })
    const browser = new TestBrowser(app)
    const status = async (query = '') => {
      const { json, headers } = await browser.get(`/user/confirmed-password-status${query}`)
      return [json.confirmed, headers['x-retry-after']]
    }
    t.equal((await browser.get('/user/confirmed-password-status')).status, 401)
    await browser.logIn({ email: user.email, password: PASSWORD })
    t.strictSame(await status(), [false, undefined], 'logging in is not confirming')
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
      t.equal((await browser.get(`/user/confirmed-password-status?seconds=${seconds}`)).status, 422, seconds)
    }
    clock.advance(10_800_000 - 100_000 - 1000)
    t.strictSame(await status(), [true, '10799'])
    clock.advance(1000)
    t.strictSame(await status(), [false, undefined])
    t.equal(
      (await get(app, '/user/confirmed-password-status', user.token)).status,
      401,
      'a token has no password',
    )
  })

  t.test('confirming is limited', async t => {
    const app = await startApp(t, { database })
    const user = await aUser(database, { password: PASSWORD })
    const browser = new TestBrowser(app)
    await browser.logIn({ email: user.email, password: PASSWORD })
    const statuses: number[] = []
    for (let n = 0; n < 6; n += 1) {
      statuses.push((await browser.post('/user/confirm-password', { password: `guess ${n}` })).status)
    }
    t.strictSame(statuses, [422, 422, 422, 422, 422, 429])
  })
}

async function waysIn(t: Test, database: Database) {
  const routes = (app: FastifyInstance) => {
    for (const via of ['session', 'token'] as const) {
      for (const method of ['GET', 'POST'] as const) {
        app.route({
          method,
          url: `/api/by-${via}`,
          config: { isApi: true, access: { auth: 'required', via } },
          handler: async ({ identity }) => ({ via: identity?.via, id: identity?.user.id }),
        })
      }
    }
  }

  t.test('a session comes before a token, unless the route is for one of them', async t => {
    const app = await startApp(t, { database, routes })
    const [one, other] = [await aUser(database, { password: PASSWORD }), await aUser(database)]
    const browser = new TestBrowser(app)
    await browser.logIn({ email: one.email, password: PASSWORD })
    const authorization = `Bearer ${other.token}`
    for (const token of [authorization, 'Bearer 1|garbage', 'Bearer |', 'Basic x']) {
      t.equal(
        (await browser.get('/api/me', { headers: { authorization: token } })).json.user.id,
        one.id,
        token,
      )
    }
    const nobody = new TestBrowser(app)
    t.equal(
      (await nobody.get('/api/me', { headers: { authorization } })).json.user.id,
      other.id,
      'a session of nobody leaves it to the token',
    )

    t.strictSame((await browser.get('/api/by-session', { headers: { authorization } })).json, {
      via: 'session',
      id: one.id,
    })
    t.equal((await nobody.get('/api/by-session', { headers: { authorization } })).status, 401)
    t.equal((await get(app, '/api/by-session', other.token)).status, 401)
    t.strictSame((await browser.get('/api/by-token', { headers: { authorization } })).json, {
      via: 'token',
      id: other.id,
    })
    t.equal((await browser.get('/api/by-token')).status, 401)
    const posted = await browser.bare('POST', '/api/by-token', { headers: { authorization } })
    t.strictSame(
      posted.json,
      { via: 'token', id: other.id },
      'where cookies mean nothing, no CSRF token is needed',
    )
    t.strictSame(posted.setCookies, [])
  })

  t.test('whoever is logged in is told so, and nothing else is done', async t => {
    const app = await startApp(t, { database, routes })
    const user = await aUser(database, { password: PASSWORD })
    const browser = new TestBrowser(app)
    await browser.logIn({ email: user.email, password: PASSWORD })
    const id = browser.sessionId
    const everything = async () => [
      await database.kysely.selectFrom('sessions').select('id').orderBy('id').execute(),
      await database.kysely.selectFrom('users').select(['id', 'password']).orderBy('id').execute(),
      await database.kysely.selectFrom('password_reset_tokens').selectAll().execute(),
    ]
    const before = await everything()
    const token = browser.cookies.get('XSRF-TOKEN') ?? ''
    const body = {
      name: 'somebody-else',
      email: user.email,
      password: PASSWORD,
      password_confirmation: PASSWORD,
      terms: true,
      token: 'x',
      code: '123456',
    }
    for (const path of [
      '/login',
      '/register',
      '/forgot-password',
      '/reset-password',
      '/two-factor-challenge',
    ]) {
      for (const [how, request] of [
        ['a header and a body', { headers: { 'x-xsrf-token': token }, payload: body }],
        ['a header alone', { headers: { 'x-xsrf-token': token } }],
        ['a body alone', { payload: { ...body, _token: token } }],
        ['the word of the browser', { headers: { 'sec-fetch-site': 'same-origin' } }],
      ] as const) {
        const answer = await browser.bare('POST', path, request)
        t.equal(answer.status, 200, `${path} with ${how}`)
        t.strictSame(answer.json, { error: 'Already authenticated.' })
      }
    }
    t.equal(browser.sessionId, id)
    t.equal((await browser.get('/api/me')).json.user.id, user.id)
    t.strictSame(await everything(), before)
    t.strictSame(app.mailbox.mails, [])
    t.equal(app.logged.filter(({ msg }) => msg === 'login').length, 1)
    t.equal(app.logged.filter(({ level }) => Number(level) >= 40).length, 0, 'and nothing was answered twice')
  })

  t.test('a token logs nobody in or out, nor does it confirm a password', async t => {
    const app = await startApp(t, { database })
    const [user, holder] = [
      await aUser(database, { password: PASSWORD }),
      await aUser(database, { password: PASSWORD }),
    ]
    const token = { headers: { authorization: `Bearer ${holder.token}` } }
    const browser = new TestBrowser(app)
    await browser.get('/sanctum/csrf-cookie')
    t.equal((await browser.post('/user/confirm-password', { password: PASSWORD }, token)).status, 401)
    t.equal((await browser.post('/logout', undefined, token)).status, 401)
    const login = await browser.post('/login', { email: user.email, password: PASSWORD }, token)
    t.strictSame(login.json, { two_factor: false }, 'its holder is a guest')
  })

  t.test(
    'a page that keeps its address to itself is one of ours by the word of the browser alone',
    async t => {
      const app = await startApp(t, {
        database,
        environment: { SANCTUM_STATEFUL_DOMAINS: 'localhost:3000,__SANCTUM_CURRENT_REQUEST_HOST__' },
      })
      const user = await aUser(database, { password: PASSWORD })
      const browser = new TestBrowser(app)
      await browser.logIn({ email: user.email, password: PASSWORD })
      const status = async (page: Record<string, string>) => {
        const probe = browser.clone()
        probe.page = page
        return (await probe.get('/api/me')).status
      }
      t.equal(await status({ 'sec-fetch-site': 'same-origin' }), 200)
      for (const site of ['same-site', 'cross-site', 'none']) {
        t.equal(await status({ 'sec-fetch-site': site }), 401, site)
      }
      t.equal(await status({ referer: 'http://a.test/', host: 'A.test' }), 200)
      const forwarded = { host: 'a.test', 'x-forwarded-host': 'evil.test' }
      t.equal(await status({ referer: 'http://evil.test/', ...forwarded }), 401, 'no header chooses the host')
    },
  )

  t.test('what became of a session stands in the log', async t => {
    const clock = testClock()
    const app = await startApp(t, { database, clock })
    const user = await aUser(database, { password: PASSWORD })
    const [browser, other] = [new TestBrowser(app), new TestBrowser(app)]
    await browser.logIn({ email: user.email, password: PASSWORD })
    await other.get('/sanctum/csrf-cookie')
    app.logged.length = 0
    const ask = (...ids: string[]) => {
      const cookie = ids.map(id => `animethemes_session=${id}`).join('; ')
      return get(app, '/api/me', undefined, { referer: `${SPA}/`, cookie })
    }
    await ask(browser.sessionId)
    await ask('x')
    await ask(browser.sessionId, other.sessionId)
    await ask(mintSessionId(randomBytes).reveal())
    await ask(other.sessionId)
    await ask()
    clock.advance(121 * MINUTE)
    await ask(browser.sessionId)
    t.strictSame(
      app.logged.filter(({ msg }) => msg === 'request').map(({ authentication }) => authentication),
      [
        'authenticated',
        'session_malformed',
        'session_ambiguous',
        'session_unknown',
        'anonymous',
        'anonymous',
        'session_expired',
      ],
    )
  })

  t.test('what is not from a page of ours has tokens alone, and the log says why', async t => {
    const app = await startApp(t, { database, environment: { SANCTUM_STATEFUL_DOMAINS: 'localhost:3000' } })
    const user = await aUser(database, { password: PASSWORD, roles: ['Verified'] })
    const browser = new TestBrowser(app)
    await browser.logIn({ email: user.email, password: PASSWORD })
    for (const [page, reason] of [
      [{}, /neither a Referer nor an Origin/],
      [{ origin: 'http://evil.test' }, /Origin http:\/\/evil\.test is neither/],
      [{ referer: 'http://localhost:3001/' }, /Referer http:\/\/localhost:3001 is neither/],
    ] as const) {
      browser.page = page
      app.logged.length = 0
      const answer = await browser.get('/api/me')
      t.equal(answer.status, 401)
      t.strictSame(answer.setCookies, [])
      t.equal((await browser.bare('PUT', '/api/me/notification/readall')).status, 401, 'and not 419')
      const bearer = { headers: { authorization: `Bearer ${user.token}` } }
      t.equal((await browser.bare('PUT', '/api/me/notification/readall', bearer)).status, 200)
      t.match(
        app.logged.find(({ msg }) => msg === 'request'),
        { notStatefulBecause: reason },
      )
    }
    browser.page = { origin: SPA }
    t.equal((await browser.get('/api/me')).status, 200)
    const production = await startApp(t, {
      database,
      environment: {
        APP_ENV: 'production',
        APP_URL: 'http://localhost',
        HASH_ROUNDS: '10',
        APP_KEY: `base64:${randomBytes(32).toString('base64')}`,
      },
    })
    await get(production, '/api/me', undefined, { origin: 'http://evil.test', host: 'localhost' })
    const line = production.logged.find(({ msg }) => msg === 'request')
    t.match(line, { status: 401 })
    t.notOk('notStatefulBecause' in (line ?? {}), 'in production that would be noise')
  })

  t.test('AUTH_PATH moves the login, and not the cookie', async t => {
    const app = await startApp(t, { database, environment: { AUTH_PATH: '/auth', API_PATH: '/' } })
    const user = await aUser(database, { password: PASSWORD })
    const browser = new TestBrowser(app)
    await browser.get('/sanctum/csrf-cookie')
    t.equal((await browser.post('/login', { email: user.email, password: PASSWORD })).status, 404)
    t.equal((await browser.post('/auth/login', { email: user.email, password: PASSWORD })).status, 200)
    t.equal((await browser.get('/me')).status, 200)
    t.equal((await browser.get('/auth/user/confirmed-password-status')).status, 200)
    t.equal((await browser.post('/auth/logout')).status, 204)
  })

  t.test('whoever logged in is limited as a user, and exempt as one', async t => {
    const app = await startApp(t, { database, environment: { RATE_LIMIT_AUTHENTICATED: '3' } })
    const user = await aUser(database, { password: PASSWORD })
    const holder = await aUser(database, { password: PASSWORD, permissions: ['bypass api rate limiter'] })
    const browser = new TestBrowser(app)
    await browser.logIn({ email: user.email, password: PASSWORD })
    t.equal((await browser.get('/api/me')).headers['x-ratelimit-remaining'], '2')
    t.equal((await get(app, '/api/me', user.token)).headers['x-ratelimit-remaining'], '1', 'one caller')
    t.equal((await browser.get('/api/me')).status, 200)
    t.equal((await browser.get('/api/me')).status, 429)
    const free = new TestBrowser(app)
    await free.logIn({ email: holder.email, password: PASSWORD })
    for (let n = 0; n < 5; n += 1) t.equal((await free.get('/api/me')).status, 200)
    t.notOk('x-ratelimit-limit' in (await free.get('/api/me')).headers)
  })
}

async function cost(t: Test, database: TestDatabase) {
  t.test('a session costs one statement, and nothing for what cannot be one', async t => {
    const { statements } = database
    const app = await startApp(t, { database })
    const user = await aUser(database, { password: PASSWORD, roles: ['Admin'] })
    const browser = new TestBrowser(app)
    await browser.logIn({ email: user.email, password: PASSWORD })
    const cost = async (request: () => Promise<unknown>) => {
      statements.length = 0
      await request()
      return statements.length
    }
    t.equal(await cost(() => browser.get('/api/me')), 1)
    t.equal(await cost(() => browser.get('/sanctum/csrf-cookie')), 1)
    t.equal(await cost(() => browser.bare('POST', '/logout')), 1, 'and a refused change no more')
    const cookie = `animethemes_session=${browser.sessionId}`
    t.equal(await cost(() => get(app, '/api/me', undefined, { cookie })), 0, 'from no page of ours')
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
  })
}
