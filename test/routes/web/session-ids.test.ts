import type { FastifyInstance } from 'fastify'
import t, { type Test } from 'tap'
import { sha256 } from '#src/auth/secret.ts'
import { TestBrowser } from '../../fixtures/browser.ts'
import { DAY, MINUTE, testClock } from '../../fixtures/clock.ts'
import { UNLIMITED } from '../../fixtures/settings.ts'
import { aMember, aUser, PASSWORD } from '../../fixtures/users.ts'
import { get, startApp, type TestApp } from '../../support/app.ts'
import { createDatabase, PRODUCTION_ENGINE, type TestDatabase } from '../../support/databases.ts'

const REMEMBER = 'remember_web'
const SESSION = 'animethemes_session'

for (const engine of PRODUCTION_ENGINE) {
  t.test(`the ids of sessions on ${engine}`, async t => {
    const database = await createDatabase(t, engine)
    t.teardown(() => database.close())
    await ids(t, database)
    await devices(t, database)
    await lifetimes(t, database)
  })
}

t.test('over two instances', async t => {
  const database = await createDatabase(t, 'postgres')
  t.teardown(() => database.close())
  await overTwoInstances(t, database)
})

const start = (t: Test, database: TestDatabase, options = {}, environment = {}) =>
  startApp(t, { database, environment: { ...UNLIMITED, ...environment }, ...options })

async function loggedIn(app: TestApp, database: TestDatabase, remember = false) {
  const user = await aMember(database)
  const browser = new TestBrowser(app)
  await browser.get('/sanctum/csrf-cookie')
  await browser.post('/login', { ...user, remember })
  return { user, browser }
}

/** The browser on another day: its session's cookies are gone. */
function later(browser: TestBrowser, app?: TestApp) {
  const other = browser.clone(app)
  other.cookies.delete(SESSION)
  other.cookies.delete('XSRF-TOKEN')
  return other
}

const isIn = async (browser: TestBrowser) => (await browser.get('/api/me')).status === 200

const sessionsOf = ({ kysely }: TestDatabase, userId: number) =>
  kysely.selectFrom('sessions').select('id').where('user_id', '=', userId).execute()

async function loginsOf({ kysely }: TestDatabase, userId: number, apps: TestApp[]) {
  for (const app of apps) await app.events.stored()
  const logins = kysely
    .selectFrom('account_events')
    .select('details')
    .where('user_id', '=', userId)
    .where('event', '=', 'login')
  return (await logins.execute()).filter(({ details }) => details.includes('remembered device'))
}

async function ids(t: Test, database: TestDatabase) {
  await t.test('change when the password is confirmed', async t => {
    const app = await start(t, database)
    const { user, browser } = await loggedIn(app, database)
    const thief = browser.clone()
    const before = browser.sessionId
    t.equal((await browser.post('/user/confirm-password', { password: PASSWORD })).status, 201)
    t.not(browser.sessionId, before)
    t.equal((await browser.get('/user/confirmed-password-status')).json.confirmed, true)
    t.equal((await thief.get('/api/me')).status, 401, 'and who has stolen the old one has nothing')
    t.equal((await sessionsOf(database, user.id)).length, 1)
    t.equal((await browser.send('PUT', '/api/me/notification/readall')).status, 403, 'its token goes on')
  })

  await t.test('keep when the session began, and its device', async t => {
    const app = await start(t, database, {}, { SESSION_ABSOLUTE_LIFETIME: '300', SESSION_LIFETIME: '1000' })
    const { browser } = await loggedIn(app, database, true)
    app.clock.advance(200 * MINUTE)
    await browser.post('/user/confirm-password', { password: PASSWORD })
    const { sessions } = (await browser.get('/api/me/session')).json
    t.match(sessions, [{ is_current: true, is_remembered: true }])
    app.clock.advance(99 * MINUTE)
    t.ok(await isIn(browser))
    browser.cookies.delete(REMEMBER)
    app.clock.advance(MINUTE)
    t.notOk(await isIn(browser))
  })

  await t.test('are known for a minute after they were replaced, whatever is pruned', async t => {
    const app = await start(t, database)
    const { browser } = await loggedIn(app, database)
    const before = browser.clone()
    await browser.post('/logout')
    for (let n = 0; n < 3; n += 1) {
      await app.activity.prune()
      t.strictSame((await before.clone().get('/api/me')).setCookies, [], 'no answer brings other cookies')
      app.clock.advance(20_000)
    }
    app.clock.advance(1_000)
    t.equal((await before.clone().get('/api/me')).setCookies.length, 2, 'and then it begins anew')
    app.clock.advance(121 * MINUTE)
    await app.activity.prune()
    const row = database.kysely.selectFrom('sessions').select('id').where('id', '=', sha256(before.sessionId))
    t.strictSame(await row.execute(), [], 'it is deleted in time')
  })

  await t.test(
    'an answer with new cookies waits for those that were under way with the old ones',
    async t => {
      const clock = testClock()
      const waits: number[] = []
      let meanwhile = async () => {}
      const app = await start(t, database, {
        clock,
        async delay(ms: number) {
          waits.push(ms)
          clock.advance(ms)
          await meanwhile()
        },
      })
      const { user, browser } = await loggedIn(app, database)
      let enter = () => {}
      let finish = () => {}
      const entered = new Promise<void>(resolve => {
        enter = resolve
      })
      const held = new Promise<void>(resolve => {
        finish = resolve
      })
      const slow = await start(t, database, {
        clock,
        routes: (instance: FastifyInstance) =>
          instance.get(
            '/held',
            { config: { access: { auth: 'optional', via: 'session' }, isWeb: true } },
            async () => {
              enter()
              await held
              return {}
            },
          ),
      })
      const under = browser.clone(slow).get('/held')
      await entered
      // The other instance answers while this one waits: it has to notice that its session is over.
      meanwhile = async () => {
        clock.advance(1)
        finish()
        t.strictSame((await under).setCookies, [])
      }
      waits.length = 0
      t.equal((await browser.post('/user/confirm-password', { password: PASSWORD })).status, 201)
      t.strictSame(waits, [20])
      meanwhile = async () => {}
      for (const [path, status] of [['/logout', 204]] as const) {
        waits.length = 0
        t.equal((await browser.post(path)).status, status)
        t.strictSame(waits, [20], path)
      }
      waits.length = 0
      t.equal((await browser.post('/login', user)).status, 200)
      t.strictSame(waits, [20], 'a login too')
      waits.length = 0
      await browser.get('/api/me')
      await get(app, '/sanctum/csrf-cookie')
      t.strictSame(waits, [], 'and nothing else')
    },
  )
}

async function devices(t: Test, database: TestDatabase) {
  await t.test('requests that come back at once get one session and one login', async t => {
    const app = await start(t, database)
    const { user, browser } = await loggedIn(app, database, true)
    await database.kysely.deleteFrom('sessions').where('user_id', '=', user.id).execute()
    const browsers = Array.from({ length: 8 }, () => later(browser))
    t.ok((await Promise.all(browsers.map(isIn))).every(Boolean))
    t.equal((await sessionsOf(database, user.id)).length, 1)
    t.equal(new Set(browsers.map(one => one.sessionId)).size, 1, 'all of them have its cookie')
    t.equal((await loginsOf(database, user.id, [app])).length, 1)
    for (const one of browsers) t.ok(await isIn(one))
    t.equal((await browsers[0]?.send('PUT', '/api/me/notification/readall'))?.status, 403)
  })

  await t.test('the id follows from nothing that a browser or a thief has', async t => {
    const app = await start(t, database)
    const other = await start(
      t,
      database,
      {},
      {
        APP_KEY: `base64:${Buffer.from('fedcba98765432100123456789abcdef').toString('base64')}`,
      },
    )
    const { user, browser } = await loggedIn(app, database, true)
    await database.kysely.deleteFrom('sessions').where('user_id', '=', user.id).execute()
    const first = later(browser)
    t.ok(await isIn(first))
    const elsewhere = later(browser, other)
    t.notOk(await isIn(elsewhere), 'with another key it leads nowhere')
    t.equal((await sessionsOf(database, user.id)).length, 1)
  })

  await t.test('one that was ended is not begun again by a request that was under way', async t => {
    const app = await start(t, database)
    const { user, browser } = await loggedIn(app, database, true)
    const [first, second] = [later(browser), later(browser)]
    t.ok(await isIn(first))
    t.equal((await first.post('/logout')).status, 204)
    t.notOk(await isIn(second))
    t.strictSame(await sessionsOf(database, user.id), [])
  })

  await t.test('logging a device out ends every session that it began', async t => {
    const app = await start(t, database)
    const { user, browser } = await loggedIn(app, database, true)
    const elsewhere = new TestBrowser(app)
    await elsewhere.logIn(user)
    /** Sessions of several rotations, as a browser has that lost its cookies. */
    const begun: TestBrowser[] = [browser]
    for (let n = 0; n < 3; n += 1) {
      const one = later(begun.at(-1) as TestBrowser)
      t.ok(await isIn(one))
      begun.push(one)
    }
    t.equal((await begun.at(-1)?.post('/logout'))?.status, 204)
    for (const one of begun) t.notOk(await isIn(one))
    t.ok(await isIn(elsewhere), 'and no other')

    const again = await loggedIn(app, database, true)
    const second = later(again.browser)
    t.ok(await isIn(second))
    const owner = new TestBrowser(app)
    await owner.logIn(again.user)
    const { sessions } = (await owner.get('/api/me/session')).json
    const named = sessions.find((one: { is_remembered: boolean }) => one.is_remembered)
    t.equal((await owner.send('DELETE', `/api/me/session/${named.id}`)).status, 204)
    for (const one of [again.browser, second]) t.notOk(await isIn(one))
    t.notOk(await isIn(later(second)))
    t.ok(await isIn(owner))
  })

  await t.test('a device that logs somebody else in ends with its sessions', async t => {
    const app = await start(t, database)
    const { user, browser } = await loggedIn(app, database, true)
    const copy = later(browser)
    t.ok(await isIn(copy))
    const shared = later(copy)
    await shared.get('/sanctum/csrf-cookie')
    await shared.post('/logout')
    const other = await aUser(database, { password: PASSWORD })
    t.equal((await shared.post('/login', { email: other.email, password: PASSWORD })).status, 200)
    for (const one of [browser, copy]) t.notOk(await isIn(one))
    t.strictSame(await sessionsOf(database, user.id), [])
  })
}

async function lifetimes(t: Test, database: TestDatabase) {
  await t.test('a session ends after 30 days unless told otherwise', async t => {
    const app = await start(t, database, {}, { SESSION_LIFETIME: '100000' })
    const { browser } = await loggedIn(app, database)
    app.clock.advance(30 * DAY - 1)
    t.ok(await isIn(browser))
    app.clock.advance(1)
    t.notOk(await isIn(browser))
  })

  await t.test('no session of a device outlives the 400 days since the password was entered', async t => {
    const app = await start(
      t,
      database,
      {},
      { SESSION_LIFETIME: '100000', SESSION_ABSOLUTE_LIFETIME: 'null' },
    )
    const { browser } = await loggedIn(app, database, true)
    app.clock.advance(399 * DAY)
    const returned = later(browser)
    const answer = await returned.get('/api/me')
    t.equal(answer.status, 200)
    const [maxAge] = answer.setCookies
      .filter(line => line.startsWith(SESSION))
      .map(line => /Max-Age=(\d+)/.exec(line)?.[1])
    t.equal(maxAge, String(DAY / 1000), 'nor does its cookie')
    app.clock.advance(DAY - 2_000)
    t.ok(await isIn(returned))
    t.equal((await returned.get('/api/me/session')).json.sessions.length, 1)
    app.clock.advance(2_000)
    t.notOk(await isIn(returned))
  })

  await t.test('unless the password was confirmed since', async t => {
    const app = await start(
      t,
      database,
      {},
      { SESSION_LIFETIME: '100000', SESSION_ABSOLUTE_LIFETIME: 'null' },
    )
    const { browser } = await loggedIn(app, database, true)
    app.clock.advance(399 * DAY)
    const returned = later(browser)
    t.ok(await isIn(returned))
    await returned.post('/user/confirm-password', { password: PASSWORD })
    returned.cookies.delete(REMEMBER)
    app.clock.advance(2 * DAY)
    t.ok(await isIn(returned))
  })
}

async function overTwoInstances(t: Test, database: TestDatabase) {
  const clock = testClock()
  const [one, two] = [await start(t, database, { clock }), await start(t, database, { clock })]

  await t.test('a browser that returns to both at once gets one session and one login', async t => {
    const { user, browser } = await loggedIn(one, database, true)
    let last = browser
    for (let round = 0; round < 100; round += 1) {
      clock.advance(2 * MINUTE)
      await database.kysely.deleteFrom('sessions').where('user_id', '=', user.id).execute()
      const browsers = [one, two, one, two, one, two].map(app => later(last, app))
      const answers = await Promise.all(browsers.map(isIn))
      if (!answers.every(Boolean)) t.fail(`round ${round}: ${answers}`)
      if ((await sessionsOf(database, user.id)).length !== 1) t.fail(`round ${round}: several sessions`)
      const rotated = browsers.filter(each => each.cookies.get(REMEMBER) !== last.cookies.get(REMEMBER))
      if (rotated.length !== 1) t.fail(`round ${round}: ${rotated.length} rotations`)
      last = rotated[0] as TestBrowser
    }
    t.equal((await loginsOf(database, user.id, [one, two])).length, 100)
  })

  await t.test('nothing begins by a device that is logged out at the same time', async t => {
    let survived = 0
    for (let round = 0; round < 100; round += 1) {
      clock.advance(2 * MINUTE)
      const { user, browser } = await loggedIn(one, database, true)
      const returning = [one, two, two].map(app => later(browser, app))
      const [logout] = await Promise.all([browser.post('/logout'), ...returning.map(isIn)])
      if (logout.status !== 204) t.fail(logout.text)
      survived += (await sessionsOf(database, user.id)).length
      for (const each of returning) if (await isIn(each)) survived += 1
    }
    t.equal(survived, 0)
  })

  await t.test('of two browsers that log each other out, one stays', async t => {
    for (let round = 0; round < 20; round += 1) {
      const { user, browser } = await loggedIn(one, database)
      const other = new TestBrowser(two)
      await other.logIn(user)
      const answers = await Promise.all([browser, other].map(each => each.send('DELETE', '/api/me/session')))
      const [ended, refused] = answers.map(({ status }) => status).sort()
      t.equal(ended, 204)
      // Its session was gone under lock, or already when its CSRF token was compared.
      t.ok(refused === 401 || refused === 419, `${refused}`)
      t.equal((await sessionsOf(database, user.id)).length, 1)
    }
  })

  await t.test('of two confirmations at once one session comes out', async t => {
    for (let round = 0; round < 20; round += 1) {
      const { user, browser } = await loggedIn(one, database)
      const headers = { 'x-xsrf-token': browser.cookies.get('XSRF-TOKEN') ?? '' }
      const answers = await Promise.all(
        [one, two].map(app =>
          browser.clone(app).post('/user/confirm-password', { password: PASSWORD }, { headers }),
        ),
      )
      const [confirmed, refused] = answers.map(({ status }) => status).sort()
      t.equal(confirmed, 201)
      // Its session was replaced under lock, or already when its CSRF token was compared.
      t.ok(refused === 401 || refused === 419, `${refused}`)
      t.equal((await sessionsOf(database, user.id)).length, 1)
    }
  })
}
