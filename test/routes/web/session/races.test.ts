import type { FastifyInstance } from 'fastify'
import t, { type Test } from 'tap'
import { aLoggedInUser, TestBrowser } from '../../../fixtures/browser.ts'
import { MINUTE, testClock } from '../../../fixtures/clock.ts'
import {
  aRememberedUser,
  deviceLoginsOf,
  isLoggedIn,
  REMEMBER_COOKIE,
  returningBrowser,
  sessionsOf,
} from '../../../fixtures/sessions.ts'
import { UNLIMITED } from '../../../fixtures/settings.ts'
import { PASSWORD } from '../../../fixtures/users.ts'
import { get, startApp } from '../../../support/app.ts'
import { createDatabase, PRODUCTION_ENGINE, type TestDatabase } from '../../../support/databases.ts'

/** Two instances on one database, with one clock. */
async function startTwo(t: Test, database: TestDatabase) {
  const clock = testClock()
  const start = () => startApp(t, { database, clock, environment: UNLIMITED })
  return { clock, one: await start(), two: await start() }
}

for (const engine of PRODUCTION_ENGINE) {
  t.test(`overlapping requests of a session on ${engine}`, async t => {
    const database = await createDatabase(t, engine)
    t.teardown(() => database.close())

    await t.test('an answer with new session cookies waits for answers to the old session', async t => {
      const clock = testClock()
      const waits: number[] = []
      let meanwhile = async () => {}
      const app = await startApp(t, {
        database,
        environment: UNLIMITED,
        clock,
        async delay(ms: number) {
          waits.push(ms)
          clock.advance(ms)
          await meanwhile()
        },
      })
      const { user, browser } = await aLoggedInUser(app, database)
      let enter = () => {}
      let finish = () => {}
      const entered = new Promise<void>(resolve => {
        enter = resolve
      })
      const held = new Promise<void>(resolve => {
        finish = resolve
      })
      const slow = await startApp(t, {
        database,
        environment: UNLIMITED,
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
      const pending = browser.clone(slow).get('/held')
      await entered
      // The other instance answers while this one waits: it has to notice that its session has ended.
      meanwhile = async () => {
        clock.advance(1)
        finish()
        t.strictSame((await pending).setCookies, [])
      }
      waits.length = 0
      t.equal((await browser.post('/user/confirm-password', { password: PASSWORD })).status, 201)
      t.strictSame(waits, [20])
      meanwhile = async () => {}
      waits.length = 0
      t.equal((await browser.post('/logout')).status, 204)
      t.strictSame(waits, [20], 'a logout waits')
      waits.length = 0
      t.equal((await browser.post('/login', user)).status, 200)
      t.strictSame(waits, [20], 'a login waits')
      waits.length = 0
      await browser.get('/api/me')
      await get(app, '/sanctum/csrf-cookie')
      t.strictSame(waits, [], 'other requests do not wait')
    })
  })
}

// Only PostgreSQL interleaves the statements of two instances.
t.test('sessions on two instances', async t => {
  const database = await createDatabase(t, 'postgres')
  t.teardown(() => database.close())

  await t.test('a device that returns to both at once gets one session and one login', async t => {
    const { clock, one, two } = await startTwo(t, database)
    const { user, browser } = await aRememberedUser(t, one, database)
    let last = browser
    for (let round = 0; round < 100; round += 1) {
      clock.advance(2 * MINUTE)
      await database.kysely.deleteFrom('sessions').where('user_id', '=', user.id).execute()
      const browsers = [one, two, one, two, one, two].map(app => returningBrowser(last, app))
      const answers = await Promise.all(browsers.map(isLoggedIn))
      if (!answers.every(Boolean)) t.fail(`round ${round}: ${answers}`)
      if ((await sessionsOf(database, user.id)).length !== 1) t.fail(`round ${round}: several sessions`)
      const rotated = browsers.filter(
        each => each.cookies.get(REMEMBER_COOKIE) !== last.cookies.get(REMEMBER_COOKIE),
      )
      if (rotated.length !== 1) t.fail(`round ${round}: ${rotated.length} rotations`)
      last = rotated[0] as TestBrowser
    }
    t.equal((await deviceLoginsOf(database, user.id, [one, two])).length, 100)
  })

  await t.test('a device that is logged out at the same time begins no session', async t => {
    const { clock, one, two } = await startTwo(t, database)
    let survived = 0
    for (let round = 0; round < 100; round += 1) {
      clock.advance(2 * MINUTE)
      const { user, browser } = await aRememberedUser(t, one, database)
      const returning = [one, two, two].map(app => returningBrowser(browser, app))
      const [logout] = await Promise.all([browser.post('/logout'), ...returning.map(isLoggedIn)])
      if (logout.status !== 204) t.fail(logout.text)
      survived += (await sessionsOf(database, user.id)).length
      for (const each of returning) if (await isLoggedIn(each)) survived += 1
    }
    t.equal(survived, 0)
  })

  await t.test('of two browsers that end each other, one is kept', async t => {
    const { one, two } = await startTwo(t, database)
    for (let round = 0; round < 20; round += 1) {
      const { user, browser } = await aLoggedInUser(one, database)
      const other = new TestBrowser(two)
      await other.logIn(user)
      const answers = await Promise.all([browser, other].map(each => each.send('DELETE', '/api/me/session')))
      const [ended, refused] = answers.map(({ status }) => status).sort()
      t.equal(ended, 204)
      // Its session was gone under the lock, or already when its CSRF token was compared.
      t.ok(refused === 401 || refused === 419, `${refused}`)
      t.equal((await sessionsOf(database, user.id)).length, 1)
    }
  })

  await t.test('two concurrent password confirmations leave one session', async t => {
    const { one, two } = await startTwo(t, database)
    for (let round = 0; round < 20; round += 1) {
      const { user, browser } = await aLoggedInUser(one, database)
      const headers = { 'x-xsrf-token': browser.cookies.get('XSRF-TOKEN') ?? '' }
      const answers = await Promise.all(
        [one, two].map(app =>
          browser.clone(app).post('/user/confirm-password', { password: PASSWORD }, { headers }),
        ),
      )
      const [confirmed, refused] = answers.map(({ status }) => status).sort()
      t.equal(confirmed, 201)
      // Its session was replaced under the lock, or already when its CSRF token was compared.
      t.ok(refused === 401 || refused === 419, `${refused}`)
      t.equal((await sessionsOf(database, user.id)).length, 1)
    }
  })
})
