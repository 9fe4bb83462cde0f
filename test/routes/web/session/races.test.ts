import type { FastifyInstance } from 'fastify'
import t from 'tap'
import { hashPassword } from '#src/auth/password.ts'
import { passwordStamp, SessionId } from '#src/auth/session.ts'
import { sessionUserId, startWithUser } from '../../../fixtures/attacks.ts'
import { aLoggedInUser, TestBrowser } from '../../../fixtures/browser.ts'
import { MINUTE, testClock } from '../../../fixtures/clock.ts'
import { startTwoInstances } from '../../../fixtures/server.ts'
import {
  aRememberedUser,
  deviceLoginsOf,
  isLoggedIn,
  REMEMBER_COOKIE,
  returningBrowser,
  sessionRow,
  sessionsOf,
} from '../../../fixtures/sessions.ts'
import { UNLIMITED } from '../../../fixtures/settings.ts'
import { aMember, aToken, PASSWORD, TEST_ROUNDS } from '../../../fixtures/users.ts'
import { get, send, startApp } from '../../../support/app.ts'
import { beforeStatement, createDatabase } from '../../../support/databases.ts'

const database = await createDatabase(t, 'postgres')
t.teardown(() => database.close())

t.test('a password that is replaced while a login rehashes it is refused', async t => {
  const app = await startApp(t, { database, environment: { HASH_ROUNDS: '5' } })
  const user = await aMember(database)
  const browser = new TestBrowser(app)
  await browser.get('/sanctum/csrf-cookie')
  const another = await hashPassword('Another-1', 5)
  const replaced = beforeStatement(t, database, /with rehashed as/, other =>
    other.query('update users set password = $1 where id = $2', [another, user.id]),
  )
  const answer = await browser.post('/login', user)
  t.equal(replaced(), true)
  t.equal(answer.status, 422)
  t.equal(await sessionUserId(browser), null)
})

t.test('a session or a token is locked while it issues a token', async t => {
  const { app, browser, user } = await startWithUser(t, database)
  await browser.post('/user/confirm-password', { password: PASSWORD })
  const parent = await aToken(database, user.id)
  const bearer = { headers: { authorization: `Bearer ${parent.token}` }, payload: { name: 'x' } }
  for (const [table, id, issue] of [
    [
      'sessions',
      new SessionId(browser.sessionId).digest(),
      () => browser.post('/api/me/token', { name: 'x' }),
    ],
    ['personal_access_tokens', parent.tokenId, () => send(app, 'POST', '/api/me/token', bearer)],
  ] as const) {
    const ends: unknown[] = []
    const came = beforeStatement(t, database, /^insert into "personal_access_tokens"/, async other => {
      const ending = other.query(`select from ${table} where id = $1 for update nowait`, [id])
      ends.push(
        await ending.then(
          () => 'at once',
          ({ cause }) => cause.code,
        ),
      )
    })
    t.equal((await issue()).status, 201, table)
    t.equal(came(), true)
    t.strictSame(ends, ['55P03'], 'a lock is not available')
  }
})

t.test('a remembered device logs in while a password change is committed', async t => {
  const { app, browser, user } = await startWithUser(t, database)
  await browser.post('/logout')
  await browser.post('/login', { ...user, remember: true })
  const returning = returningBrowser(browser)
  const hash = await hashPassword('Another-1', TEST_ROUNDS)
  const holder = await database.source.acquire()
  t.teardown(() => holder.release())
  await holder.query('begin', [])
  await holder.query('update users set password = $1 where id = $2', [hash, user.id])
  await holder.query('update remembered_devices set password = $1 where user_id = $2', [
    passwordStamp(hash),
    user.id,
  ])
  const answer = returning.get('/api/me')
  const isWaiting = async () => {
    const { rows } = await holder.query('select count(*)::int as n from pg_locks where not granted', [])
    return Number(rows[0]?.n) > 0
  }
  while (!(await isWaiting())) await new Promise(setImmediate)
  await holder.query('commit', [])
  t.equal((await answer).json.user?.id, user.id)
  t.ok(app.logged.every(({ msg }) => msg !== 'device stolen'))
})

t.test('a request that is answered after the logout does not restore the session', async t => {
  let answer = () => {}
  const reached = new Promise<void>(resolve => {
    answer = resolve
  })
  let goOn = () => {}
  const held = new Promise<void>(resolve => {
    goOn = resolve
  })
  const routes = (app: FastifyInstance) => {
    app.get('/api/slow', { config: { isApi: true, access: { auth: 'required' } } }, async () => {
      answer()
      await held
      return {}
    })
  }
  const clock = testClock()
  const { app, browser } = await startWithUser(t, database, { routes, clock })
  const before = browser.clone()
  clock.advance(2 * MINUTE)
  const slow = before.get('/api/slow')
  await reached
  await browser.post('/logout')
  goOn()
  const late = await slow
  t.equal(late.status, 200, 'the pending request is answered as the user')
  t.strictSame(late.setCookies, [], 'it does not overwrite the new cookies')
  await app.lastUse.flush()
  t.equal(await sessionUserId(before), null)
  t.match(await sessionRow(database, before.sessionId), {
    user_id: null,
    ip_address: null,
    payload: /replaced_at/,
  })
})

t.test(
  'a request that overlaps a login or a logout does not overwrite its cookies, on either server',
  async t => {
    const clock = testClock()
    const gates = new Map<string, () => void>()
    let arrive = () => {}
    const routes = (app: FastifyInstance) => {
      app.get<{ Querystring: { name: string } }>(
        '/api/slow',
        { config: { isApi: true, access: { auth: 'optional' } } },
        async ({ query }) => {
          await new Promise<void>(resolve => {
            gates.set(query.name, resolve)
            arrive()
          })
          return {}
        },
      )
    }
    const one = await startApp(t, { database, clock, environment: UNLIMITED })
    const other = await startApp(t, { database, clock, environment: UNLIMITED, routes })
    const user = await aMember(database)
    /** Sends a request to the other server, and returns a function that lets it be answered. */
    const begin = async (browser: TestBrowser, name: string) => {
      const arrived = new Promise<void>(resolve => {
        arrive = resolve
      })
      const answer = browser.clone(other).get(`/api/slow?name=${name}`)
      await arrived
      return () => {
        gates.get(name)?.()
        return answer
      }
    }

    const browser = new TestBrowser(one)
    await browser.get('/sanctum/csrf-cookie')
    const before = browser.clone()
    const duringLogin = await begin(browser, 'login')
    await browser.post('/login', user)
    for (const app of [one, other]) {
      const overlapping = await before.clone(app).get('/api/me')
      t.equal(overlapping.status, 401)
      t.strictSame(
        overlapping.setCookies,
        [],
        'a request sent before the answer of the login sets no guest session',
      )
      t.strictSame((await before.clone(app).get('/admin/login')).setCookies, [], 'a page sets none')
    }
    clock.advance(101)
    t.strictSame((await duringLogin()).setCookies, [], 'an answer long after sets none')

    const quick = await begin(browser, 'quick')
    clock.advance(100)
    t.equal((await quick()).setCookies.length, 2, 'a request that overlaps neither sets its cookies')
    const long = await begin(browser, 'long')
    clock.advance(MINUTE / 3)
    t.equal((await long()).setCookies.length, 2, 'a slow one does, too')

    const stale = browser.clone()
    const duringLogout = await begin(browser, 'logout')
    await browser.post('/logout')
    clock.advance(101)
    t.strictSame((await duringLogout()).setCookies, [])
    t.equal(await sessionUserId(stale), null)

    const renewed = await stale.clone(other).get('/sanctum/csrf-cookie')
    t.equal(renewed.setCookies.length, 2, '/sanctum/csrf-cookie begins a new session at once')
    t.strictSame((await stale.clone(other).get('/api/me')).setCookies, [])
    clock.advance(MINUTE)
    t.equal(
      (await stale.clone(other).get('/api/me')).setCookies.length,
      2,
      'other routes begin one after a minute',
    )
  },
)

t.test('an answer with new session cookies waits for answers to the old session', async t => {
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

t.test('a device that returns to both at once gets one session and one login', async t => {
  const { clock, one, two } = await startTwoInstances(t, database)
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

t.test('a device that is logged out at the same time begins no session', async t => {
  const { clock, one, two } = await startTwoInstances(t, database)
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

t.test('of two browsers that end each other, one is kept', async t => {
  const { one, two } = await startTwoInstances(t, database)
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

t.test('two concurrent password confirmations leave one session', async t => {
  const { one, two } = await startTwoInstances(t, database)
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
