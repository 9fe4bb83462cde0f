import t, { type Test } from 'tap'
import { ensureBan, lift, type RestrictionKind, restrict } from '#src/database/restrictions.ts'
import { TestBrowser } from '../../fixtures/browser.ts'
import { DAY, MINUTE, NOW } from '../../fixtures/clock.ts'
import { formsOf, PanelBrowser, textOf } from '../../fixtures/panel.ts'
import { knowingRoutes } from '../../fixtures/routes.ts'
import { totpCode } from '../../fixtures/second-factor.ts'
import { UNLIMITED } from '../../fixtures/settings.ts'
import { aUser, PASSWORD, USER_TYPE } from '../../fixtures/users.ts'
import { get, send, startApp, type TestApp } from '../../support/app.ts'
import { createDatabase, PRODUCTION_ENGINE, type TestDatabase } from '../../support/databases.ts'

const UNTIL = Date.UTC(2026, 2, 8)
const SPAM = 'Your account is banned until 2026-03-08: spam.'
const FOR_GOOD = 'Your account is banned without an end.'
const PROHIBITED =
  'You have been banned from performing this action. Please check your email for more details.'

const start = (t: Test, database: TestDatabase, environment: Record<string, string> = {}) =>
  startApp(t, { database, environment: { ...UNLIMITED, ...environment } })

const addMember = async (
  database: TestDatabase,
  options: { roles?: string[]; permissions?: string[] } = {},
) => ({
  ...(await aUser(database, { password: PASSWORD, ...options })),
  password: PASSWORD,
})

const holderOf = (userId: number) => ({ userId, types: [USER_TYPE] as const })

/** Bans a user as a moderator does: from everything, unless something else is named. */
async function ban(
  { kysely }: TestDatabase,
  userId: number,
  {
    reason = 'spam',
    until = UNTIL,
    by,
  }: {
    reason?: string | null
    until?: number | null
    by?: { kind: RestrictionKind; id: number }
  } = {},
) {
  const which = by ?? { kind: 'sanction' as const, id: await ensureBan(kysely, NOW) }
  await restrict(kysely, holderOf(userId), which, { reason, expiresAt: until, moderatorId: userId, now: NOW })
  return which
}

const prohibition = async ({ kysely }: TestDatabase, name: string) => ({
  kind: 'prohibition' as const,
  id: (
    await kysely.selectFrom('prohibitions').select('id').where('name', '=', name).executeTakeFirstOrThrow()
  ).id,
})

/** A sanction of everything but what is named, under a name of its own. */
async function addSanction({ kysely }: TestDatabase, name: string, except: string[] = []) {
  const { id } = await kysely
    .insertInto('sanctions')
    .values({ name })
    .returning('id')
    .executeTakeFirstOrThrow()
  await kysely
    .insertInto('sanction_prohibition')
    .columns(['sanction_id', 'prohibition_id'])
    .expression(expression =>
      expression
        .selectFrom('prohibitions')
        .select(({ val, ref }) => [val(id).as('sanction_id'), ref('id').as('prohibition_id')])
        .$if(except.length > 0, query => query.where('name', 'not in', except)),
    )
    .execute()
  return { kind: 'sanction' as const, id }
}

/** Adds a second factor, and returns its secret. */
async function addSecondFactor(app: TestApp, browser: TestBrowser): Promise<string> {
  await browser.post('/user/confirm-password', { password: PASSWORD })
  await browser.post('/user/two-factor-authentication')
  const { secretKey } = (await browser.get('/user/two-factor-secret-key')).json
  await browser.post('/user/confirmed-two-factor-authentication', { code: totpCode(secretKey, app) })
  app.clock.advance(MINUTE)
  return secretKey
}

const OPEN = ['GET /api/me', 'POST /logout', 'DELETE /api/me/token/current']

for (const engine of PRODUCTION_ENGINE) {
  t.test(`users who are banned from everything on ${engine}`, async t => {
    const database = await createDatabase(t, engine)
    t.teardown(() => database.close())
    await loggingIn(t, database)
    await reaching(t, database)
    await meaning(t, database)
    await includes(t, database)
  })
}

async function loggingIn(t: Test, database: TestDatabase) {
  const isLoggedIn = async (browser: TestBrowser) => (await browser.get('/api/me')).status === 200

  await t.test('do not log in, and are told why and until when', async t => {
    const app = await start(t, database)
    for (const [given, message] of [
      [{}, SPAM],
      [{ reason: null }, 'Your account is banned until 2026-03-08.'],
      [{ until: null }, 'Your account is banned without an end: spam.'],
      [{ until: null, reason: null }, FOR_GOOD],
      [
        { until: UNTIL + 90 * MINUTE, reason: 'Why!' },
        'Your account is banned until 2026-03-08 01:30 UTC: Why!',
      ],
    ] as const) {
      const user = await addMember(database)
      await ban(database, user.id, given)
      const browser = new TestBrowser(app)
      const answer = await browser.logIn(user)
      t.equal(answer.status, 422)
      t.strictSame(answer.json, { message, errors: { email: [message] } })
      t.notOk(await isLoggedIn(browser))
      const remembered = await browser.post('/login', { ...user, remember: true })
      t.equal(remembered.status, 422)
      t.notOk(browser.cookies.has('remember_web'), 'nor is the browser remembered')
      const sessions = await database.kysely
        .selectFrom('sessions')
        .select('id')
        .where('user_id', '=', user.id)
        .execute()
      t.strictSame(sessions, [])
    }
  })

  await t.test('are not told apart by who does not know the password', async t => {
    const app = await start(t, database)
    const user = await addMember(database)
    await ban(database, user.id)
    const answer = await new TestBrowser(app).logIn({ ...user, password: 'wrong' })
    t.equal(answer.status, 422)
    t.strictSame(answer.json.errors, { email: ['These credentials do not match our records.'] })
  })

  await t.test('nor by who does not have the second factor', async t => {
    const app = await start(t, database)
    const user = await addMember(database)
    const first = new TestBrowser(app)
    await first.logIn(user)
    const secret = await addSecondFactor(app, first)
    await ban(database, user.id)
    const browser = new TestBrowser(app)
    t.strictSame((await browser.logIn(user)).json, { two_factor: true })
    const wrong = await browser.post('/two-factor-challenge', { code: '000000' })
    t.strictSame(Object.keys(wrong.json.errors), ['code'])
    const right = await browser.post('/two-factor-challenge', { code: totpCode(secret, app) })
    t.equal(right.status, 422)
    t.strictSame(right.json.errors, { email: [SPAM] })
    t.notOk(await isLoggedIn(browser))

    app.clock.advance(MINUTE)
    const panel = new PanelBrowser(app)
    const page = await panel.logIn(user)
    const answer = await panel.submit(page, '/admin/two-factor', { code: totpCode(secret, app) })
    t.equal(answer.status, 422)
    t.match(textOf(answer), SPAM)
  })

  await t.test('do not log in to the panel', async t => {
    const app = await start(t, database)
    const user = await addMember(database, { roles: ['Admin'] })
    await ban(database, user.id)
    const browser = new PanelBrowser(app)
    const answer = await browser.logIn(user)
    t.equal(answer.status, 422)
    t.match(textOf(answer), SPAM)
    t.equal((await browser.bare('GET', '/admin')).status, 303)
  })

  await t.test('are not logged in by a remembered browser, until the ban ends', async t => {
    const app = await start(t, database)
    const user = await addMember(database)
    const browser = new TestBrowser(app)
    await browser.get('/sanctum/csrf-cookie')
    await browser.post('/login', { email: user.email, password: PASSWORD, remember: true })
    await ban(database, user.id)
    await database.kysely.deleteFrom('sessions').where('user_id', '=', user.id).execute()
    for (let round = 0; round < 3; round += 1) {
      t.equal((await browser.get('/api/me')).status, 401)
      app.clock.advance(2 * MINUTE)
    }
    const sessions = await database.kysely
      .selectFrom('sessions')
      .select('id')
      .where('user_id', '=', user.id)
      .execute()
    t.strictSame(sessions, [])
    app.clock.advance(8 * DAY)
    t.equal((await browser.get('/api/me')).status, 200)
  })

  await t.test('take nobody else along: others register and log in', async t => {
    const app = await start(t, database)
    await ban(database, (await addMember(database)).id)
    t.equal((await new TestBrowser(app).logIn(await addMember(database))).status, 200)
    const browser = new TestBrowser(app)
    await browser.get('/sanctum/csrf-cookie')
    const entered = { name: 'newcomer', email: 'newcomer@example.org', terms: true }
    const passwords = { password: PASSWORD, password_confirmation: PASSWORD }
    t.equal((await browser.post('/register', { ...entered, ...passwords })).status, 201)
  })
}

async function reaching(t: Test, database: TestDatabase) {
  await t.test('reach nothing with a token but their own data and its end', async t => {
    const app = await start(t, database)
    const user = await addMember(database, { roles: ['Admin'] })
    await ban(database, user.id)
    const headers = { authorization: `Bearer ${user.token}` }
    const routes = (await knowingRoutes(app)).filter(([, path]) => path.startsWith('/api/'))
    t.ok(routes.length > 30, `${routes.length} routes`)
    for (const [method, path] of routes) {
      if (OPEN.includes(`${method} ${path}`)) continue
      const { status, json } = await send(app, method, path, { headers })
      t.equal(status, 403, `${method} ${path}`)
      t.strictSame(json, { message: SPAM })
    }
    t.equal((await get(app, '/api/me', user.token)).json.user.id, user.id)
    t.equal((await send(app, 'DELETE', '/api/me/token/current', { headers })).status, 204)
    t.equal((await get(app, '/api/me', user.token)).status, 401)
    t.equal(
      (await get(app, '/api/playlist')).status,
      200,
      'what is for everybody is for nobody in particular',
    )
  })

  await t.test('reach nothing in a session but their own data and its end', async t => {
    const app = await start(t, database)
    const user = await addMember(database, { roles: ['Admin'] })
    const browser = new TestBrowser(app)
    await browser.logIn(user)
    await browser.post('/user/confirm-password', { password: PASSWORD })
    await ban(database, user.id)
    for (const [method, path] of await knowingRoutes(app)) {
      if (OPEN.includes(`${method} ${path}`)) continue
      const { status, json } = await browser.send(method, path, method === 'GET' ? {} : { payload: {} })
      t.equal(status, 403, `${method} ${path}`)
      t.strictSame(json, { message: SPAM })
    }
    t.equal((await browser.get('/api/me')).json.user.id, user.id)
    t.equal((await browser.post('/logout')).status, 204)
    t.equal((await browser.get('/api/me')).status, 401)
  })

  await t.test('reach no page of the panel, and can log out there', async t => {
    const app = await start(t, database)
    const user = await addMember(database, { roles: ['Admin'] })
    const browser = new PanelBrowser(app)
    await browser.logIn(user)
    const tokens = await browser.open('/admin')
    await ban(database, user.id)
    for (const path of [
      ...['', '/devices', '/activity', '/password', '/users', `/users/${user.id}`, '/roles', '/roles/1'],
      ...[`/tokens/${user.tokenId}`, '/login', '/two-factor'],
    ]) {
      const page = await browser.bare('GET', `/admin${path}`)
      t.equal(page.status, 403, path)
      t.match(textOf(page), SPAM)
      t.notMatch(page.text, '/admin/users', 'no section is offered')
      t.strictSame(
        formsOf(page).map(({ action }) => action),
        ['/admin/logout'],
      )
    }
    const fields = { name: 'x', scope: 'all', current_password: PASSWORD }
    t.equal((await browser.sendForm(tokens, '/admin/tokens', fields)).status, 403)
    t.equal((await browser.sendForm(tokens, '/admin/logout')).status, 303)
    t.equal((await browser.bare('GET', '/admin')).status, 303)
  })

  for (const identityCache of ['off', 'on']) {
    await t.test(
      `are free at the end of the ban, and when it is lifted (cache ${identityCache})`,
      async t => {
        const app = await start(t, database, { IDENTITY_CACHE: identityCache })
        const user = await addMember(database, { roles: ['Verified'] })
        const statusOf = async () => (await get(app, '/api/me/playlist', user.token)).status
        /** What others change in the database is told to the cache a moment later. */
        const becomes = async (status: number) => {
          while (identityCache === 'on' && (await statusOf()) !== status) await new Promise(setImmediate)
          t.equal(await statusOf(), status)
        }
        await becomes(200)
        const which = await ban(database, user.id)
        await becomes(403)
        await lift(database.kysely, holderOf(user.id), which)
        await becomes(200)
        await ban(database, user.id, { until: NOW + MINUTE })
        await becomes(403)
        app.clock.advance(MINUTE)
        t.equal(await statusOf(), 200)
      },
    )
  }
}

async function meaning(t: Test, database: TestDatabase) {
  const messageFor = async (app: TestApp, { token }: { token: string }) => {
    const { status, json } = await get(app, '/api/me/token', token)
    return status === 200 ? null : json.message
  }

  await t.test('are those whose bans leave no permission', async t => {
    const app = await start(t, database)
    const user = await addMember(database, { roles: ['Verified'] })
    await ban(database, user.id, {
      by: await addSanction(database, 'all but two', ['view pulse', 'view dump']),
    })
    t.equal(await messageFor(app, user), null)
    await ban(database, user.id, { by: await prohibition(database, 'view pulse'), reason: 'more' })
    t.equal(await messageFor(app, user), null)
    await ban(database, user.id, {
      by: await prohibition(database, 'view dump'),
      reason: 'last',
      until: UNTIL - DAY,
    })
    t.equal(await messageFor(app, user), 'Your account is banned until 2026-03-07: last.')
    app.clock.advance(UNTIL - DAY - NOW)
    t.equal(await messageFor(app, user), null, 'and it is over with the first of them')
  })

  await t.test('are told the last end, if several bans are from everything', async t => {
    const app = await start(t, database)
    const user = await addMember(database)
    await ban(database, user.id)
    await ban(database, user.id, {
      by: await addSanction(database, 'whole'),
      reason: 'worse',
      until: UNTIL + DAY,
    })
    t.equal(await messageFor(app, user), 'Your account is banned until 2026-03-09: worse.')
    app.clock.advance(UNTIL - NOW)
    t.equal(await messageFor(app, user), 'Your account is banned until 2026-03-09: worse.')
    app.clock.advance(DAY)
    t.equal(await messageFor(app, user), null)
  })

  await t.test('stay banned when there are more permissions than before', async t => {
    const app = await start(t, database)
    const user = await addMember(database)
    await ban(database, user.id)
    await database.kysely
      .insertInto('permissions')
      .values({ name: 'view novelty', guard_name: 'web' })
      .execute()
    t.equal(await messageFor(app, user), SPAM)
    await database.kysely.deleteFrom('permissions').where('name', '=', 'view novelty').execute()
  })

  await t.test('are not those who may bypass authorization', async t => {
    const app = await start(t, database)
    const user = await addMember(database, { permissions: ['bypass authorization'] })
    await ban(database, user.id)
    t.equal(await messageFor(app, user), null)
    t.equal((await new TestBrowser(app).logIn(user)).status, 200)
  })
}

async function includes(t: Test, database: TestDatabase) {
  await t.test('see nothing included in their own data', async t => {
    const app = await start(t, database)
    const user = await addMember(database, { roles: ['Admin'] })
    await ban(database, user.id)
    for (const include of ['playlists', 'externalprofiles', 'notifications', 'roles', 'permissions']) {
      const { status, json } = await get(app, `/api/me?include=${include}`, user.token)
      t.equal(status, 403, include)
      t.strictSame(json, { message: SPAM })
    }
  })

  await t.test('differ from those who are banned from one thing, which is not included', async t => {
    const app = await start(t, database)
    for (const [include, permission] of [
      ['playlists', 'view playlist'],
      ['externalprofiles', 'view external profile'],
      ['notifications', 'view notification'],
    ] as const) {
      const user = await addMember(database)
      t.equal((await get(app, `/api/me?include=${include}`, user.token)).status, 200, 'missing is no matter')
      await ban(database, user.id, { by: await prohibition(database, permission) })
      const refused = await get(app, `/api/me?include=roles,${include}`, user.token)
      t.equal(refused.status, 403)
      t.strictSame(refused.json, { message: PROHIBITED })
      t.equal((await get(app, '/api/me?include=roles', user.token)).status, 200)
      t.equal((await get(app, '/api/me', user.token)).status, 200)
    }
    const above = await addMember(database, { permissions: ['bypass authorization'] })
    await ban(database, above.id, { by: await prohibition(database, 'view playlist') })
    t.equal((await get(app, '/api/me?include=playlists', above.token)).status, 200)
  })
}
