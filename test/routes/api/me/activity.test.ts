import t, { type Test } from 'tap'
import { aLoggedInUser, TestBrowser } from '../../../fixtures/browser.ts'
import { DAY, MINUTE } from '../../../fixtures/clock.ts'
import { PanelBrowser, textOf } from '../../../fixtures/panel.ts'
import { UNLIMITED } from '../../../fixtures/settings.ts'
import { aMember, aToken, PASSWORD } from '../../../fixtures/users.ts'
import { get, startApp, type TestApp } from '../../../support/app.ts'
import { createDatabase, ENGINES, PRODUCTION_ENGINE, type TestDatabase } from '../../../support/databases.ts'

const PATH = '/api/me/activity'

interface ListedEvent {
  event: string
  ip_address: string | null
  user_agent: string | null
  details: Record<string, unknown>
}

const eventNames = (events: ListedEvent[]) => events.map(({ event }) => event)

/** The events that a browser's user sees, once all are stored. */
async function listEvents(app: TestApp, browser: TestBrowser, query = ''): Promise<ListedEvent[]> {
  await app.events.drain()
  return (await browser.get(`${PATH}${query}`)).json.activities
}

for (const engine of ENGINES) {
  t.test(`GET /api/me/activity on ${engine}`, async t => {
    const database = await createDatabase(t, engine)
    t.teardown(() => database.close())
    const app = await startApp(t, { database, environment: UNLIMITED })

    await t.test('the list has the events of the account, newest first', async t => {
      const { user, browser } = await aLoggedInUser(app, database, { confirmed: true })
      const stranger = new TestBrowser(app)
      stranger.page = { ...stranger.page, 'user-agent': 'Guesser/1' }
      await stranger.logIn({ email: user.email, password: 'a wrong guess' })
      await database.kysely.deleteFrom('personal_access_tokens').where('id', '=', user.tokenId).execute()
      const { json } = await browser.post('/api/me/token', { name: 'laptop' })
      await browser.post(`/api/me/token/${json.token.id}/rotate`)
      await browser.send('DELETE', '/api/me/token')
      const all = await listEvents(app, browser)
      const successor = all[1]?.details.tokenId
      t.strictSame(
        all.map(({ event, details }) => [event, details]),
        [
          ['token revoked', { which: 'all', count: 1, tokens: `laptop (${successor})` }],
          ['token rotated', { tokenId: successor, before: json.token.id, grace: 0 }],
          ['token created', { tokenId: json.token.id, name: 'laptop' }],
          ['wrong password', { cause: 'login' }],
          ['password confirmed', {}],
          ['login', { cause: 'password', remember: false }],
        ],
      )
      t.match(all[3], {
        ip_address: '127.0.0.1',
        user_agent: 'Guesser/1',
        created_at: '2026-03-01T12:00:00.000000Z',
      })
      const text = JSON.stringify(all)
      for (const secret of [PASSWORD, 'a wrong guess', json.plain_text_token.split('|')[1]]) {
        t.notOk(text.includes(secret), 'no secret is listed')
      }
    })

    await t.test('the list can be filtered by event', async t => {
      const { user, browser } = await aLoggedInUser(app, database)
      await new TestBrowser(app).logIn({ email: user.email, password: 'a wrong guess' })
      const query = '?filter[event]=wrong%20password&fields[activity]=event'
      t.strictSame(await listEvents(app, browser, query), [{ event: 'wrong password' }])
    })

    await t.test('the list has no events of another user', async t => {
      const other = await aLoggedInUser(app, database)
      await new TestBrowser(app).logIn({ email: other.user.email, password: 'a wrong guess' })
      const { browser } = await aLoggedInUser(app, database, { confirmed: true })
      t.strictSame(eventNames(await listEvents(app, browser)), ['password confirmed', 'login'])
    })

    await t.test('the use of an expired token is recorded once an hour', async t => {
      const app = await startApp(t, { database, environment: UNLIMITED })
      const { user, browser } = await aLoggedInUser(app, database)
      const { token, tokenId } = await aToken(database, user.id, { expiresAt: app.clock() - 1 })
      const uses = async () =>
        (await listEvents(app, browser, '?filter[event]=expired%20token%20used')).map(
          ({ details }) => details,
        )
      for (let n = 0; n < 3; n += 1) t.equal((await get(app, '/api/me', token)).status, 401)
      t.strictSame(await uses(), [{ tokenId }])
      app.clock.advance(61 * MINUTE)
      await get(app, '/api/me', token)
      t.strictSame(await uses(), [{ tokenId }, { tokenId }])
    })

    await t.test('events are deleted after a year', async t => {
      const app = await startApp(t, { database, environment: UNLIMITED })
      const { user } = await aLoggedInUser(app, database, { confirmed: true })
      const countEvents = async () =>
        (
          await database.kysely
            .selectFrom('account_events')
            .select('id')
            .where('user_id', '=', user.id)
            .execute()
        ).length
      await app.events.drain()
      app.clock.advance(365 * DAY)
      await app.lastUse.prune()
      t.equal(await countEvents(), 2)
      app.clock.advance(1)
      await app.lastUse.prune()
      t.equal(await countEvents(), 0)
    })

    await t.test(
      'an answer does not wait until its event is stored',
      { skip: database.source.constructor.name === 'PgliteConnections' },
      async t => {
        const { browser } = await aLoggedInUser(app, database)
        const holder = await database.source.acquire()
        await holder.query('begin', [])
        await holder.query('lock table account_events in access exclusive mode', [])
        t.equal((await browser.post('/user/confirm-password', { password: PASSWORD })).status, 201)
        await holder.query('rollback', [])
        holder.release()
      },
    )

    await t.test('an event that could not be stored is stored once the database is available', async t => {
      const app = await startApp(t, { database, environment: UNLIMITED })
      const { browser } = await aLoggedInUser(app, database, { confirmed: true })
      await app.events.drain()
      await database.kysely.schema.alterTable('account_events').renameTo('elsewhere').execute()
      await browser.post('/user/confirm-password', { password: PASSWORD })
      await app.events.drain()
      t.match(
        app.logged.find(({ msg }) =>
          /^The database is not available: |^events could not be/.test(String(msg)),
        ),
        { level: /40|50/ },
      )
      await database.kysely.schema.alterTable('elsewhere').renameTo('account_events').execute()
      t.equal((await listEvents(app, browser, '?filter[event]=password%20confirmed')).length, 2)
    })
  })
}

const STAFF = { address: '203.0.113.77', userAgent: 'StaffBrowser/7.0' }
const OWN = { address: '192.0.2.5', userAgent: 'OwnBrowser/1.0' }

/** The browser of a new user, at an address. */
async function browserAt(
  app: TestApp,
  database: TestDatabase,
  { address, userAgent }: typeof STAFF,
  roles: string[] = [],
) {
  const user = await aMember(database, { roles })
  const browser = new PanelBrowser(app)
  browser.page = { 'x-forwarded-for': address, 'user-agent': userAgent }
  await browser.logIn(user)
  return { user, browser }
}

/** Sends a notification to a user, as staff do. */
async function notify(browser: PanelBrowser, path: string) {
  const notification = { type: 'App\\Notifications\\X', data: '{}' }
  return browser.sendForm(await browser.open(path), `${path}/notify`, notification)
}

/** A user who has logged in, and to whom an administrator has given a role and sent a notification. */
async function aManagedUser(t: Test, app: TestApp, database: TestDatabase) {
  const admin = await browserAt(app, database, STAFF, ['Admin'])
  const { user, browser } = await browserAt(app, database, OWN)
  const path = `/admin/users/${user.id}`
  const fields = { 'roles[]': ['Patron'], current_password: PASSWORD, confirmed: '1' }
  const page = await admin.browser.open(path)
  t.equal((await admin.browser.sendForm(page, `${path}/roles`, fields)).status, 303)
  t.equal((await notify(admin.browser, path)).status, 303)
  await app.events.drain()
  return { admin, user, browser, path }
}

for (const engine of PRODUCTION_ENGINE) {
  t.test(`the address and browser of staff on ${engine}`, async t => {
    const database = await createDatabase(t, engine)
    t.teardown(() => database.close())
    const app = await startApp(t, { database, environment: { ...UNLIMITED, TRUSTED_PROXIES: 'loopback' } })

    const list = async (t: Test, token: string, query = ''): Promise<ListedEvent[]> => {
      const { status, json } = await get(app, `${PATH}${query}`, token)
      t.equal(status, 200, query)
      return json.activities
    }

    await t.test('staff see them in the panel', async t => {
      const { admin, path, user } = await aManagedUser(t, app, database)
      const shown = textOf(await admin.browser.open(path))
      t.match(shown, /notified .{0,80}from 203\.0\.113\.77 by StaffBrowser\/7\.0/)
      t.match(shown, /login .{0,80}from 192\.0\.2\.5 by OwnBrowser/)
      const stored = await database.kysely
        .selectFrom('account_events')
        .select(['event', 'ip_address', 'user_agent', 'actor_ip_address', 'actor_user_agent'])
        .where('user_id', '=', user.id)
        .where('event', '=', 'notified')
        .execute()
      t.strictSame(stored, [
        {
          event: 'notified',
          ip_address: null,
          user_agent: null,
          actor_ip_address: STAFF.address,
          actor_user_agent: STAFF.userAgent,
        },
      ])
    })

    await t.test('the user does not see them', async t => {
      const { user, browser, admin } = await aManagedUser(t, app, database)
      const activities = await list(t, user.token)
      t.strictSame(eventNames(activities).sort(), ['login', 'notified', 'role granted'])
      for (const { event, ip_address, user_agent, details } of activities) {
        const isOwn = event === 'login'
        t.equal(ip_address, isOwn ? OWN.address : null, event)
        t.equal(user_agent, isOwn ? OWN.userAgent : null, event)
        if (!isOwn) t.equal(details.by, admin.user.id)
      }
      const fields = await list(t, user.token, '?fields[activity]=event,ip_address,user_agent')
      t.equal(fields.filter(({ ip_address }) => ip_address !== null).length, 1)
      const page = await browser.open('/admin/activity')
      t.match(page.text, OWN.address)
      for (const { text } of [page, await get(app, '/api/me/activity', user.token)]) {
        t.notMatch(text, STAFF.address)
        t.notMatch(text, STAFF.userAgent)
      }
    })

    await t.test('staff do not see them in events of their own account', async t => {
      const admin = await browserAt(app, database, STAFF, ['Admin'])
      const superior = await browserAt(app, database, { address: '203.0.113.99', userAgent: 'Superior/1' }, [
        'Admin',
      ])
      const path = `/admin/users/${admin.user.id}`
      await notify(superior.browser, path)
      await app.events.drain()
      t.match((await superior.browser.open(path)).text, /203\.0\.113\.99/)
      const own = await admin.browser.open(path)
      t.match(textOf(own), 'notified')
      t.notMatch(own.text, /203\.0\.113\.99|Superior/)
    })

    await t.test('no filter finds an event by them', async t => {
      const { user } = await aManagedUser(t, app, database)
      for (const [filter, events] of [
        ['filter[ip_address]=203.0.113.77', []],
        ['filter[ip_address]=203.0.113.77,192.0.2.5', ['login']],
        ['filter[ip_address-like]=203%25', []],
        ['filter[ip_address-like]=%25', ['login']],
        // NULL is neither equal nor unequal to a value.
        ['filter[ip_address-ne]=203.0.113.77', ['login']],
        ['filter[ip_address-notlike]=203%25', ['login']],
        ['filter[activity][ip_address]=203.0.113.77', []],
        ['filter[user_agent]=StaffBrowser/7.0', []],
        ['filter[user_agent-like]=Staff%25', []],
        ['filter[user_agent-notlike]=Staff%25', ['login']],
        ['filter[user_agent-ne]=OwnBrowser/1.0', []],
      ] as const) {
        t.strictSame(eventNames(await list(t, user.token, `?${filter}`)), events, filter)
      }
      for (const name of ['actor_ip_address', 'actor_user_agent']) {
        for (const query of [`filter[${name}]=203.0.113.77`, `sort=${name}`, `fields[activity]=${name}`]) {
          const { status, text } = await get(app, `/api/me/activity?${query}`, user.token)
          t.ok(status === 422 || !text.includes(STAFF.address), query)
          t.notMatch(text, STAFF.userAgent)
        }
      }
    })

    await t.test('they do not change the order of a sorted list', async t => {
      const { user } = await aManagedUser(t, app, database)
      const orderOf = async (sort: string) =>
        (await list(t, user.token, `?sort=${sort}`)).map(({ event, ip_address }) => [event, ip_address])
      for (const field of ['ip_address', 'user_agent']) {
        for (const sort of [field, `-${field}`]) {
          const before = await orderOf(sort)
          for (const actor of ['1', '198.51.100.1', 'zz']) {
            await database.kysely
              .updateTable('account_events')
              .set({ actor_ip_address: actor, actor_user_agent: actor })
              .where('event', '=', 'notified')
              .where('user_id', '=', user.id)
              .execute()
            t.strictSame(await orderOf(sort), before, `${sort} with ${actor}`)
          }
        }
      }
    })
  })
}
