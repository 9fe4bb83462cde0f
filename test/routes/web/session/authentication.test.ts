import { randomBytes } from 'node:crypto'
import type { FastifyInstance } from 'fastify'
import t from 'tap'
import { mintSessionId } from '#src/auth/session.ts'
import { ALREADY_AUTHENTICATED } from '../../../fixtures/answers.ts'
import { SPA, TestBrowser } from '../../../fixtures/browser.ts'
import { MINUTE, testClock } from '../../../fixtures/clock.ts'
import { sessionRow } from '../../../fixtures/sessions.ts'
import { aMember, aUser, PASSWORD } from '../../../fixtures/users.ts'
import { type Answer, get, startApp } from '../../../support/app.ts'
import { createDatabase, ENGINES } from '../../../support/databases.ts'

/** Routes that accept a session or a token alone. */
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

for (const engine of ENGINES) {
  t.test(`sessions and tokens on ${engine}`, async t => {
    const database = await createDatabase(t, engine)
    t.teardown(() => database.close())

    await t.test('a session takes precedence over a token, unless the route is for tokens', async t => {
      const app = await startApp(t, { database, routes })
      const [one, other] = [await aMember(database), await aUser(database)]
      const browser = new TestBrowser(app)
      await browser.logIn(one)
      const authorization = `Bearer ${other.token}`
      for (const token of [authorization, 'Bearer 1|garbage', 'Bearer |', 'Basic x']) {
        t.equal(
          (await browser.get('/api/me', { headers: { authorization: token } })).json.user.id,
          one.id,
          token,
        )
      }
      const guest = new TestBrowser(app)
      t.equal(
        (await guest.get('/api/me', { headers: { authorization } })).json.user.id,
        other.id,
        'the session of a guest leaves the identity to the token',
      )

      t.strictSame((await browser.get('/api/by-session', { headers: { authorization } })).json, {
        via: 'session',
        id: one.id,
      })
      t.equal((await guest.get('/api/by-session', { headers: { authorization } })).status, 401)
      t.equal((await get(app, '/api/by-session', other.token)).status, 401)
      t.strictSame((await browser.get('/api/by-token', { headers: { authorization } })).json, {
        via: 'token',
        id: other.id,
      })
      t.equal((await browser.get('/api/by-token')).status, 401)
      const posted = await browser.bare('POST', '/api/by-token', { headers: { authorization } })
      t.strictSame(posted.json, { via: 'token', id: other.id }, 'a route for tokens needs no CSRF token')
      t.strictSame(posted.setCookies, [])
    })

    await t.test('routes for guests return 200 to a user who is logged in, and change nothing', async t => {
      const app = await startApp(t, { database, routes })
      const user = await aMember(database)
      const browser = new TestBrowser(app)
      await browser.logIn(user)
      const id = browser.sessionId
      const storedRows = async () => [
        await database.kysely.selectFrom('sessions').select('id').orderBy('id').execute(),
        await database.kysely.selectFrom('users').select(['id', 'password']).orderBy('id').execute(),
        await database.kysely.selectFrom('password_reset_tokens').selectAll().execute(),
      ]
      const before = await storedRows()
      const token = browser.cookies.get('XSRF-TOKEN') ?? ''
      const body = {
        name: 'another-name',
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
          ['Sec-Fetch-Site alone', { headers: { 'sec-fetch-site': 'same-origin' } }],
        ] as const) {
          const answer = await browser.bare('POST', path, request)
          t.equal(answer.status, 200, `${path} with ${how}`)
          t.strictSame(answer.json, ALREADY_AUTHENTICATED)
        }
      }
      t.equal(browser.sessionId, id)
      t.equal((await browser.get('/api/me')).json.user.id, user.id)
      t.strictSame(await storedRows(), before)
      t.strictSame(app.mailbox.mails, [])
      t.equal(app.logged.filter(({ msg }) => msg === 'login').length, 1)
      t.equal(app.logged.filter(({ level }) => Number(level) >= 40).length, 0, 'no warning is logged')
    })

    await t.test('a token cannot log out or confirm a password', async t => {
      const app = await startApp(t, { database })
      const [user, holder] = [await aMember(database), await aMember(database)]
      const token = { headers: { authorization: `Bearer ${holder.token}` } }
      const browser = new TestBrowser(app)
      await browser.get('/sanctum/csrf-cookie')
      t.equal((await browser.post('/user/confirm-password', { password: PASSWORD }, token)).status, 401)
      t.equal((await browser.post('/logout', undefined, token)).status, 401)
      const login = await browser.post('/login', { email: user.email, password: PASSWORD }, token)
      t.strictSame(login.json, { two_factor: false }, 'the holder of a token is a guest to the login')
    })

    await t.test('without Referer and Origin, Sec-Fetch-Site: same-origin marks a first party', async t => {
      const app = await startApp(t, {
        database,
        environment: { SANCTUM_STATEFUL_DOMAINS: 'localhost:3000,__SANCTUM_CURRENT_REQUEST_HOST__' },
      })
      const user = await aMember(database)
      const browser = new TestBrowser(app)
      await browser.logIn(user)
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
      t.equal(
        await status({ referer: 'http://evil.test/', ...forwarded }),
        401,
        'X-Forwarded-Host of an untrusted client is ignored',
      )
    })

    await t.test('the log has the outcome of a session cookie', async t => {
      const clock = testClock()
      const app = await startApp(t, { database, clock })
      const user = await aMember(database)
      const [browser, other] = [new TestBrowser(app), new TestBrowser(app)]
      await browser.logIn(user)
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

    await t.test(
      'a request of no first party is authenticated by token only, and the log says why',
      async t => {
        const app = await startApp(t, {
          database,
          environment: { SANCTUM_STATEFUL_DOMAINS: 'localhost:3000' },
        })
        const user = await aMember(database, { roles: ['Verified'] })
        const browser = new TestBrowser(app)
        await browser.logIn(user)
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
          t.equal((await browser.bare('PUT', '/api/me/notification/readall')).status, 401, 'it is not 419')
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
        t.notOk('notStatefulBecause' in (line ?? {}), 'production does not log the reason')
      },
    )

    await t.test('AUTH_PATH moves the login, but not /sanctum/csrf-cookie', async t => {
      const app = await startApp(t, { database, environment: { AUTH_PATH: '/auth', API_PATH: '/' } })
      const user = await aMember(database)
      const browser = new TestBrowser(app)
      await browser.get('/sanctum/csrf-cookie')
      t.equal((await browser.post('/login', user)).status, 404)
      t.equal((await browser.post('/auth/login', { email: user.email, password: PASSWORD })).status, 200)
      t.equal((await browser.get('/me')).status, 200)
      t.equal((await browser.get('/auth/user/confirmed-password-status')).status, 200)
      t.equal((await browser.post('/auth/logout')).status, 204)
    })

    await t.test('rate limits and their exemptions apply to sessions by user', async t => {
      const app = await startApp(t, { database, environment: { RATE_LIMIT_AUTHENTICATED: '3' } })
      const user = await aMember(database)
      const holder = await aMember(database, { permissions: ['bypass api rate limiter'] })
      const browser = new TestBrowser(app)
      await browser.logIn(user)
      t.equal((await browser.get('/api/me')).headers['x-ratelimit-remaining'], '2')
      t.equal(
        (await get(app, '/api/me', user.token)).headers['x-ratelimit-remaining'],
        '1',
        'session and token share the limit',
      )
      t.equal((await browser.get('/api/me')).status, 200)
      t.equal((await browser.get('/api/me')).status, 429)
      const free = new TestBrowser(app)
      await free.logIn(holder)
      for (let n = 0; n < 5; n += 1) t.equal((await free.get('/api/me')).status, 200)
      t.notOk('x-ratelimit-limit' in (await free.get('/api/me')).headers)
    })

    await t.test('every answer to a first party sets both cookies', async t => {
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
        t.match(answer.headers['cache-control'], 'no-store', 'it is not cached')
      }
      const unproven = await browser.bare('PUT', '/api/me/notification/readall')
      t.equal(unproven.status, 419)
      t.strictSame(names(unproven), ['animethemes_session'], 'a request without a valid CSRF token gets none')
      t.equal((await browser.get('/api/me')).status, 429)
      t.strictSame(names(await browser.get('/api/me')), both)
      t.strictSame(
        names(await new TestBrowser(app).get('/api/me')),
        [],
        'a new browser gets none over the rate limit',
      )
      t.strictSame(names(await browser.get('/api/unknown')), [], 'an unknown path sets none')
      t.strictSame(names(await browser.get('/docs/')), [])
      const broken = (app: FastifyInstance) => {
        app.get('/api/broken', { config: { isApi: true, access: { auth: 'none' } } }, async () => {
          throw new Error('broken')
        })
      }
      const failing = await startApp(t, { database, routes: broken })
      const failed = await new TestBrowser(failing).get('/api/broken')
      t.equal(failed.status, 500)
      t.strictSame(names(failed), [], 'an error sets none')
      const proxied = await startApp(t, { database, environment: { TRUSTED_PROXIES: '127.0.0.1' } })
      const odd = new TestBrowser(proxied)
      await odd.get('/sanctum/csrf-cookie', { headers: { 'x-forwarded-for': 'y'.repeat(60) } })
      t.ok(
        ((await sessionRow(database, odd.sessionId))?.ip_address ?? '').length <= 45,
        'an oversized address is truncated',
      )
    })
  })
}
