import t, { type Test } from 'tap'
import {
  addRestriction,
  ensureFullBan,
  liftRestriction,
  type RestrictionKind,
} from '#src/database/restrictions.ts'
import { BANNED } from '../../fixtures/answers.ts'
import { openBrowser, TestBrowser } from '../../fixtures/browser.ts'
import { DAY, MINUTE, NOW } from '../../fixtures/clock.ts'
import { formsOf, PanelBrowser, textOf } from '../../fixtures/panel.ts'
import { aRegistration } from '../../fixtures/registration.ts'
import { authenticatedRoutes } from '../../fixtures/routes.ts'
import { answerChallenge, aUserWithSecondFactor, totpCode } from '../../fixtures/second-factor.ts'
import { startUnlimited } from '../../fixtures/server.ts'
import { isLoggedIn, logInRemembered, sessionsOf } from '../../fixtures/sessions.ts'
import { aMember, PASSWORD, USER_TYPE } from '../../fixtures/users.ts'
import { get, send, type TestApp } from '../../support/app.ts'
import { createDatabase, PRODUCTION_ENGINE, type TestDatabase } from '../../support/databases.ts'

const UNTIL = Date.UTC(2026, 2, 8)
const SPAM = 'Your account is banned until 2026-03-08: spam.'
const FOR_GOOD = 'Your account is banned without an end.'

const holderOf = (userId: number) => ({ userId, types: [USER_TYPE] as const })

/** Bans a user from everything, unless another prohibition or sanction is given. */
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
  const which = by ?? { kind: 'sanction' as const, id: await ensureFullBan(kysely, NOW) }
  await addRestriction(kysely, holderOf(userId), which, {
    reason,
    expiresAt: until,
    moderatorId: userId,
    now: NOW,
  })
  return which
}

const findProhibition = async ({ kysely }: TestDatabase, name: string) => ({
  kind: 'prohibition' as const,
  id: (
    await kysely.selectFrom('prohibitions').select('id').where('name', '=', name).executeTakeFirstOrThrow()
  ).id,
})

/** Adds a sanction of all prohibitions except some. */
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

/** The routes that are open to a banned user. */
const OPEN = ['GET /api/me', 'GET /api/user', 'POST /logout', 'DELETE /api/me/token/current']

for (const engine of PRODUCTION_ENGINE) {
  t.test(`a ban from everything on ${engine}`, async t => {
    const database = await createDatabase(t, engine)
    t.teardown(() => database.close())
    await login(t, database)
    await access(t, database)
    await definition(t, database)
    await includes(t, database)
  })
}

async function login(t: Test, database: TestDatabase) {
  await t.test('a banned user cannot log in, and gets the reason and the end of the ban', async t => {
    const app = await startUnlimited(t, database)
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
      const user = await aMember(database)
      await ban(database, user.id, given)
      const browser = new TestBrowser(app)
      const answer = await browser.logIn(user)
      t.equal(answer.status, 422)
      t.strictSame(answer.json, { message, errors: { email: [message] } })
      t.notOk(await isLoggedIn(browser))
      const remembered = await browser.post('/login', { ...user, remember: true })
      t.equal(remembered.status, 422)
      t.notOk(browser.cookies.has('remember_web'), 'the device is not remembered')
      t.strictSame(await sessionsOf(database, user.id), [])
    }
  })

  await t.test('a wrong password does not reveal the ban', async t => {
    const app = await startUnlimited(t, database)
    const user = await aMember(database)
    await ban(database, user.id)
    const answer = await new TestBrowser(app).logIn({ ...user, password: 'wrong' })
    t.equal(answer.status, 422)
    t.strictSame(answer.json.errors, { email: ['These credentials do not match our records.'] })
  })

  await t.test('a wrong code of the second factor does not reveal the ban', async t => {
    const app = await startUnlimited(t, database)
    const { user, secret } = await aUserWithSecondFactor(t, app, database)
    await ban(database, user.id)
    const browser = new TestBrowser(app)
    t.strictSame((await browser.logIn(user)).json, { two_factor: true })
    const wrong = await answerChallenge(browser, { code: '000000' })
    t.strictSame(Object.keys(wrong.json.errors), ['code'])
    const right = await answerChallenge(browser, { code: totpCode(secret, app) })
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

  await t.test('a banned user cannot log in to the panel', async t => {
    const app = await startUnlimited(t, database)
    const user = await aMember(database, { roles: ['Admin'] })
    await ban(database, user.id)
    const browser = new PanelBrowser(app)
    const answer = await browser.logIn(user)
    t.equal(answer.status, 422)
    t.match(textOf(answer), SPAM)
    t.equal((await browser.bare('GET', '/admin')).status, 303)
  })

  await t.test('a remembered device does not log a banned user in before the ban ends', async t => {
    const app = await startUnlimited(t, database)
    const user = await aMember(database)
    const browser = await logInRemembered(t, app, user)
    await ban(database, user.id)
    await database.kysely.deleteFrom('sessions').where('user_id', '=', user.id).execute()
    for (let round = 0; round < 3; round += 1) {
      t.equal((await browser.get('/api/me')).status, 401)
      app.clock.advance(2 * MINUTE)
    }
    t.strictSame(await sessionsOf(database, user.id), [])
    app.clock.advance(8 * DAY)
    t.equal((await browser.get('/api/me')).status, 200)
  })

  await t.test('other users can register and log in', async t => {
    const app = await startUnlimited(t, database)
    await ban(database, (await aMember(database)).id)
    t.equal((await new TestBrowser(app).logIn(await aMember(database))).status, 200)
    t.equal((await (await openBrowser(app)).post('/register', aRegistration())).status, 201)
  })
}

async function access(t: Test, database: TestDatabase) {
  await t.test('a token of a banned user can only show the user and revoke itself', async t => {
    const app = await startUnlimited(t, database)
    const user = await aMember(database, { roles: ['Admin'] })
    await ban(database, user.id)
    const headers = { authorization: `Bearer ${user.token}` }
    const routes = (await authenticatedRoutes(app)).filter(([, path]) => path.startsWith('/api/'))
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
    t.equal((await get(app, '/api/playlist')).status, 200, 'public routes are open without a token')
  })

  await t.test('a session of a banned user can only show the user and log out', async t => {
    const app = await startUnlimited(t, database)
    const user = await aMember(database, { roles: ['Admin'] })
    const browser = new TestBrowser(app)
    await browser.logIn(user)
    await browser.post('/user/confirm-password', { password: PASSWORD })
    await ban(database, user.id)
    for (const [method, path] of await authenticatedRoutes(app)) {
      if (OPEN.includes(`${method} ${path}`)) continue
      const { status, json } = await browser.send(method, path, method === 'GET' ? {} : { payload: {} })
      t.equal(status, 403, `${method} ${path}`)
      t.strictSame(json, { message: SPAM })
    }
    t.equal((await browser.get('/api/me')).json.user.id, user.id)
    t.equal((await browser.post('/logout')).status, 204)
    t.equal((await browser.get('/api/me')).status, 401)
  })

  await t.test('a banned user gets no page of the panel, but can log out', async t => {
    const app = await startUnlimited(t, database)
    const user = await aMember(database, { roles: ['Admin'] })
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
      t.notMatch(page.text, '/admin/users', 'no section is linked')
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
    await t.test(`a ban ends at its end and when it is lifted (cache ${identityCache})`, async t => {
      const app = await startUnlimited(t, database, { IDENTITY_CACHE: identityCache })
      const user = await aMember(database, { roles: ['Verified'] })
      const statusOf = async () => (await get(app, '/api/me/playlist', user.token)).status
      /** The cache is notified of changes in the database a moment later. */
      const becomes = async (status: number) => {
        while (identityCache === 'on' && (await statusOf()) !== status) await new Promise(setImmediate)
        t.equal(await statusOf(), status)
      }
      await becomes(200)
      const which = await ban(database, user.id)
      await becomes(403)
      await liftRestriction(database.kysely, holderOf(user.id), which)
      await becomes(200)
      await ban(database, user.id, { until: NOW + MINUTE })
      await becomes(403)
      app.clock.advance(MINUTE)
      t.equal(await statusOf(), 200)
    })
  }
}

async function definition(t: Test, database: TestDatabase) {
  const messageFor = async (app: TestApp, { token }: { token: string }) => {
    const { status, json } = await get(app, '/api/me/token', token)
    return status === 200 ? null : json.message
  }

  await t.test('prohibitions that together leave no permission are a ban from everything', async t => {
    const app = await startUnlimited(t, database)
    const user = await aMember(database, { roles: ['Verified'] })
    await ban(database, user.id, {
      by: await addSanction(database, 'all but two', ['view pulse', 'view dump']),
    })
    t.equal(await messageFor(app, user), null)
    await ban(database, user.id, { by: await findProhibition(database, 'view pulse'), reason: 'more' })
    t.equal(await messageFor(app, user), null)
    await ban(database, user.id, {
      by: await findProhibition(database, 'view dump'),
      reason: 'last',
      until: UNTIL - DAY,
    })
    t.equal(await messageFor(app, user), 'Your account is banned until 2026-03-07: last.')
    app.clock.advance(UNTIL - DAY - NOW)
    t.equal(await messageFor(app, user), null, 'it ends with the first prohibition')
  })

  await t.test('of several bans from everything the last to end is named', async t => {
    const app = await startUnlimited(t, database)
    const user = await aMember(database)
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

  await t.test('a new permission does not end a ban', async t => {
    const app = await startUnlimited(t, database)
    const user = await aMember(database)
    await ban(database, user.id)
    await database.kysely
      .insertInto('permissions')
      .values({ name: 'view novelty', guard_name: 'web' })
      .execute()
    t.equal(await messageFor(app, user), SPAM)
    await database.kysely.deleteFrom('permissions').where('name', '=', 'view novelty').execute()
  })

  await t.test('a user who may bypass authorization is not banned', async t => {
    const app = await startUnlimited(t, database)
    const user = await aMember(database, { permissions: ['bypass authorization'] })
    await ban(database, user.id)
    t.equal(await messageFor(app, user), null)
    t.equal((await new TestBrowser(app).logIn(user)).status, 200)
  })
}

async function includes(t: Test, database: TestDatabase) {
  await t.test('GET /me of a banned user includes nothing', async t => {
    const app = await startUnlimited(t, database)
    const user = await aMember(database, { roles: ['Admin'] })
    await ban(database, user.id)
    for (const include of ['playlists', 'externalprofiles', 'notifications', 'roles', 'permissions']) {
      const { status, json } = await get(app, `/api/me?include=${include}`, user.token)
      t.equal(status, 403, include)
      t.strictSame(json, { message: SPAM })
    }
  })

  await t.test('GET /me of a user with one prohibition refuses only what it is about', async t => {
    const app = await startUnlimited(t, database)
    for (const [include, permission] of [
      ['playlists', 'view playlist'],
      ['externalprofiles', 'view external profile'],
      ['notifications', 'view notification'],
    ] as const) {
      const user = await aMember(database)
      t.equal(
        (await get(app, `/api/me?include=${include}`, user.token)).status,
        200,
        'a missing permission does not matter',
      )
      await ban(database, user.id, { by: await findProhibition(database, permission) })
      const refused = await get(app, `/api/me?include=roles,${include}`, user.token)
      t.equal(refused.status, 403)
      t.strictSame(refused.json, BANNED)
      t.equal((await get(app, '/api/me?include=roles', user.token)).status, 200)
      t.equal((await get(app, '/api/me', user.token)).status, 200)
    }
    const above = await aMember(database, { permissions: ['bypass authorization'] })
    await ban(database, above.id, { by: await findProhibition(database, 'view playlist') })
    t.equal((await get(app, '/api/me?include=playlists', above.token)).status, 200)
  })
}
