import t, { type Test } from 'tap'
import { TestBrowser } from '../../../../fixtures/browser.ts'
import { MINUTE } from '../../../../fixtures/clock.ts'
import { formsOf, PanelBrowser } from '../../../../fixtures/panel.ts'
import { authenticatedRoutes } from '../../../../fixtures/routes.ts'
import {
  answerChallenge,
  confirmSecondFactor,
  enableSecondFactor,
  FACTOR_PATH,
  totpCode,
} from '../../../../fixtures/second-factor.ts'
import { startUnlimited } from '../../../../fixtures/server.ts'
import { aMember, aUser, PASSWORD, type TestUser } from '../../../../fixtures/users.ts'
import { get, send, type TestApp } from '../../../../support/app.ts'
import {
  afterStatement,
  createDatabase,
  PRODUCTION_ENGINE,
  type TestDatabase,
} from '../../../../support/databases.ts'

const REQUIRED = {
  message:
    'Your account has to have a second factor. Log in with a browser, set one up, and confirm it with a code.',
}

/** The routes that are open before it is set up: the set-up itself, the user's own data and the logout. */
const OPEN = [
  'GET /api/me',
  'GET /api/user',
  'DELETE /api/me/token/current',
  'POST /logout',
  'POST /user/confirm-password',
  'GET /user/confirmed-password-status',
  'POST /user/two-factor-authentication',
  'DELETE /user/two-factor-authentication',
  'POST /user/confirmed-two-factor-authentication',
  'GET /user/two-factor-qr-code',
  'GET /user/two-factor-secret-key',
  'GET /user/two-factor-recovery-codes',
  'POST /user/two-factor-recovery-codes',
  'POST /email/verification-notification',
  'GET /email/verify/1/1',
]

const start = (t: Test, database: TestDatabase, required: string, environment: Record<string, string> = {}) =>
  startUnlimited(t, database, { REQUIRE_SECOND_FACTOR: required, ...environment })

/** Writes the columns of a second factor, as another program does. */
const setColumns = (
  { kysely }: TestDatabase,
  { id }: { id: number },
  columns: { two_factor_secret?: string | null; two_factor_confirmed_at?: string | null },
) => kysely.updateTable('users').set(columns).where('id', '=', id).execute()

const tokenStatus = async (app: TestApp, { token }: TestUser) =>
  (await get(app, '/api/me/token', token)).status

for (const engine of PRODUCTION_ENGINE) {
  t.test(`REQUIRE_SECOND_FACTOR on ${engine}`, async t => {
    const database = await createDatabase(t, engine)
    t.teardown(() => database.close())

    await t.test('REQUIRE_SECOND_FACTOR names the users who need one: none, staff or all', async t => {
      const member = await aMember(database, { roles: ['Verified'] })
      const viewer = await aMember(database, { permissions: ['view filament'] })
      const above = await aMember(database, { permissions: ['bypass authorization'] })
      for (const [required, statuses] of [
        ['none', [200, 200, 200]],
        ['staff', [200, 403, 403]],
        ['all', [403, 403, 403]],
      ] as const) {
        const app = await start(t, database, required)
        const found = [
          await tokenStatus(app, member),
          await tokenStatus(app, viewer),
          await tokenStatus(app, above),
        ]
        t.strictSame(found, statuses, required)
      }
    })

    await t.test('a token without it can only show its user and revoke itself', async t => {
      const app = await start(t, database, 'staff')
      const user = await aMember(database, { roles: ['Admin'] })
      const headers = { authorization: `Bearer ${user.token}` }
      const routes = (await authenticatedRoutes(app)).filter(([, path]) => path.startsWith('/api/'))
      t.ok(routes.length > 30)
      for (const [method, path] of routes) {
        if (OPEN.includes(`${method} ${path}`)) continue
        const { status, json } = await send(app, method, path, { headers })
        t.equal(status, 403, `${method} ${path}`)
        t.strictSame(json, REQUIRED)
      }
      t.equal((await get(app, '/api/me', user.token)).json.user.id, user.id)
      for (const include of ['playlists', 'roles']) {
        t.strictSame((await get(app, `/api/me?include=${include}`, user.token)).json, REQUIRED, include)
      }
    })

    await t.test('a token without it can revoke itself', async t => {
      const app = await start(t, database, 'all')
      const user = await aMember(database)
      const headers = { authorization: `Bearer ${user.token}` }
      t.equal((await send(app, 'DELETE', '/api/me/token/current', { headers })).status, 204)
      t.equal((await get(app, '/api/me', user.token)).status, 401)
    })

    await t.test('a session without it can only set it up, verify its address and log out', async t => {
      const app = await start(t, database, 'all')
      const user = await aMember(database)
      const browser = new TestBrowser(app)
      t.equal((await browser.logIn(user)).status, 200)
      const closed: string[] = []
      for (const [method, path] of await authenticatedRoutes(app)) {
        if (`${method} ${path}` === 'POST /logout') continue
        const { json } = await browser.send(method, path, method === 'GET' ? {} : { payload: {} })
        if (json?.message === REQUIRED.message) closed.push(`${method} ${path}`)
      }
      const routes = (await authenticatedRoutes(app)).map(([method, path]) => `${method} ${path}`)
      t.strictSame(
        routes.filter(route => !closed.includes(route)).sort(),
        [...OPEN].sort(),
        'no other routes are open',
      )
      t.equal((await browser.post('/logout')).status, 204)
    })

    for (const identityCache of ['off', 'on']) {
      await t.test(
        `a confirmed second factor opens all routes, and disabling it closes them (cache ${identityCache})`,
        async t => {
          const app = await start(t, database, 'staff', { IDENTITY_CACHE: identityCache })
          const user = await aMember(database, { roles: ['Admin'] })
          const browser = new TestBrowser(app)
          await browser.logIn(user)
          t.equal((await browser.get('/api/me')).status, 200)
          t.equal((await browser.get('/api/me/token')).status, 403)
          t.equal((await browser.post('/user/confirm-password', { password: PASSWORD })).status, 201)
          const { secret } = await enableSecondFactor(t, browser)
          t.equal((await browser.get('/api/me/token')).status, 403, 'not before it is confirmed')
          t.equal((await confirmSecondFactor(browser, totpCode(secret, app))).status, 200)
          t.equal((await browser.get('/api/me/token')).status, 200)
          t.equal(await tokenStatus(app, user), 200)

          app.clock.advance(MINUTE)
          const again = new TestBrowser(app)
          t.strictSame((await again.logIn(user)).json, { two_factor: true })
          t.equal((await again.get('/api/me')).status, 401)
          await answerChallenge(again, { code: totpCode(secret, app) })
          t.equal((await again.get('/api/me/token')).status, 200)

          app.clock.advance(MINUTE)
          const payload = { code: totpCode(secret, app) }
          t.equal((await browser.send('DELETE', FACTOR_PATH, { payload })).status, 200)
          t.equal((await browser.get('/api/me/token')).status, 403, 'not after it is disabled')
          t.equal(await tokenStatus(app, user), 403)
        },
      )

      await t.test(
        `a second factor consists of a secret and its confirmation (cache ${identityCache})`,
        async t => {
          const app = await start(t, database, 'all', { IDENTITY_CACHE: identityCache })
          const user = await aMember(database)
          t.equal(await tokenStatus(app, user), 403)
          /** The cache forgets changes of other programs after a minute. */
          const setRow = async (columns: Parameters<typeof setColumns>[2]) => {
            await setColumns(database, user, columns)
            app.clock.advance(identityCache === 'on' ? MINUTE : 0)
          }
          await setRow({ two_factor_confirmed_at: '2026-03-01 12:00:00' })
          t.equal(await tokenStatus(app, user), 403, 'a confirmation without a secret')
          await setRow({ two_factor_secret: 'x' })
          t.equal(await tokenStatus(app, user), 200)
          await setRow({ two_factor_secret: null })
          t.equal(await tokenStatus(app, user), 403)
          await setRow({ two_factor_secret: 'x', two_factor_confirmed_at: null })
          t.equal(await tokenStatus(app, user), 403, 'a secret without a confirmation')
        },
      )
    }

    await t.test('the pages of the panel redirect to its set-up', async t => {
      const app = await start(t, database, 'staff')
      const user = await aMember(database, { roles: ['Admin'] })
      const browser = new PanelBrowser(app)
      const login = await browser.bare('GET', '/admin/login')
      const entered = await browser.sendForm(login, '/admin/login', {
        email: user.email,
        password: PASSWORD,
      })
      t.equal(entered.status, 303)
      for (const path of [
        ...['', '/devices', '/activity', '/password', '/users', `/users/${user.id}`, '/roles', '/roles/1'],
        ...[`/tokens/${user.tokenId}`, '/login', '/two-factor'],
      ]) {
        const { status, headers } = await browser.bare('GET', `/admin${path}`)
        t.equal(status, 303, path)
        t.equal(headers.location, '/admin/second-factor')
      }
      const [token] = [...browser.cookies].filter(([name]) => name === 'XSRF-TOKEN').map(([, value]) => value)
      for (const path of [
        '/admin/tokens',
        '/admin/password',
        '/admin/devices/end-others',
        '/admin/roles/1',
      ]) {
        const answer = await browser.post(path, { _token: token ?? '', current_password: PASSWORD })
        t.equal(answer.status, 403, path)
        t.match(answer.text, REQUIRED.message)
        t.ok(formsOf(answer).some(({ action }) => action === '/admin/logout'))
      }
      t.equal((await browser.bare('GET', '/admin/nothing')).status, 404)
      t.equal((await browser.post('/admin/logout', { _token: token ?? '' })).status, 303)
      t.match((await browser.bare('GET', '/admin')).headers.location, '/admin/login')
    })

    await t.test('a form requires it again under the lock of its write', async t => {
      const app = await start(t, database, 'staff')
      const user = await aMember(database, { roles: ['Admin'] })
      const subject = await aUser(database)
      const browser = new PanelBrowser(app)
      await browser.logIn(user)
      await setColumns(database, user, { two_factor_secret: 'x', two_factor_confirmed_at: '2026-03-01' })
      const path = `/admin/users/${subject.id}`
      const page = await browser.open(path)
      const came = afterStatement(t, database, /^with "replaced"/, other =>
        other.query('update users set two_factor_secret = null where id = $1', [user.id]),
      )
      const fields = { 'roles[]': ['Encoder'], current_password: PASSWORD, confirmed: '1' }
      const { status, text } = await browser.sendForm(page, `${path}/roles`, fields)
      t.equal(came(), true)
      t.equal(status, 403)
      t.match(text, REQUIRED.message)
    })
  })
}
