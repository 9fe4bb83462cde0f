import t, { type Test } from 'tap'
import { PanelBrowser, textOf } from '../../fixtures/panel.ts'
import { aMember, PASSWORD } from '../../fixtures/users.ts'
import { get, startApp, type TestApp } from '../../support/app.ts'
import { createDatabase, PRODUCTION_ENGINE, type TestDatabase } from '../../support/databases.ts'

const STAFF = { address: '203.0.113.77', agent: 'StaffBrowser/7.0' }
const OWN = { address: '192.0.2.5', agent: 'OwnBrowser/1.0' }

const start = (t: Test, database: TestDatabase) =>
  startApp(t, {
    database,
    environment: {
      TRUSTED_PROXIES: 'loopback',
      LOGIN_RATE_LIMIT: '1000',
      CONFIRM_PASSWORD_RATE_LIMIT: '1000',
      RATE_LIMIT_AUTHENTICATED: '10000',
    },
  })

/** The browser of a new user, at some address. */
async function browserFrom(
  app: TestApp,
  database: TestDatabase,
  { address, agent }: typeof STAFF,
  roles: string[] = [],
) {
  const user = await aMember(database, { roles })
  const browser = new PanelBrowser(app)
  browser.page = { 'x-forwarded-for': address, 'user-agent': agent }
  await browser.logIn(user)
  return { user, browser }
}

/** A user who has logged in, and to whom an administrator has done something. */
async function setUp(t: Test, database: TestDatabase) {
  const app = await start(t, database)
  const admin = await browserFrom(app, database, STAFF, ['Admin'])
  const { user, browser } = await browserFrom(app, database, OWN)
  const path = `/admin/users/${user.id}`
  const page = await admin.browser.open(path)
  const fields = { 'roles[]': ['Patron'], current_password: PASSWORD, confirmed: '1' }
  t.equal((await admin.browser.sendForm(page, `${path}/roles`, fields)).status, 303)
  const notification = { type: 'App\\Notifications\\X', data: '{}' }
  const again = await admin.browser.open(path)
  t.equal((await admin.browser.sendForm(again, `${path}/notify`, notification)).status, 303)
  await app.events.stored()
  return { app, admin, user, browser, path }
}

interface ShownActivity {
  event: string
  ip_address: string | null
  user_agent: string | null
  details: Record<string, unknown>
}

for (const engine of PRODUCTION_ENGINE) {
  t.test(`from where staff work, on ${engine}`, async t => {
    const database = await createDatabase(t, engine)
    t.teardown(() => database.close())

    const list = async (app: TestApp, token: string, query = ''): Promise<ShownActivity[]> => {
      const { status, json } = await get(app, `/api/me/activity${query}`, token)
      t.equal(status, 200, query)
      return json.activities
    }
    const names = (activities: ShownActivity[]) => activities.map(({ event }) => event).sort()

    await t.test('is shown to staff', async t => {
      const { admin, path, user } = await setUp(t, database)
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
          actor_user_agent: STAFF.agent,
        },
      ])
    })

    await t.test('is not shown to the user', async t => {
      const { app, user, browser, admin } = await setUp(t, database)
      const activities = await list(app, user.token)
      t.strictSame(names(activities), ['login', 'notified', 'role granted'])
      for (const { event, ip_address, user_agent, details } of activities) {
        const isOwn = event === 'login'
        t.equal(ip_address, isOwn ? OWN.address : null, event)
        t.equal(user_agent, isOwn ? OWN.agent : null, event)
        if (!isOwn) t.equal(details.by, admin.user.id)
      }
      const fields = await list(app, user.token, '?fields[activity]=event,ip_address,user_agent')
      t.equal(fields.filter(({ ip_address }) => ip_address !== null).length, 1)
      const page = await browser.open('/admin/activity')
      t.match(page.text, OWN.address)
      for (const { text } of [page, await get(app, '/api/me/activity', user.token)]) {
        t.notMatch(text, STAFF.address)
        t.notMatch(text, STAFF.agent)
      }
    })

    await t.test('is not shown to staff of what was done to themselves', async t => {
      const { app, admin } = await setUp(t, database)
      const superior = await browserFrom(app, database, { address: '203.0.113.99', agent: 'Superior/1' }, [
        'Admin',
      ])
      const path = `/admin/users/${admin.user.id}`
      const notification = { type: 'App\\Notifications\\X', data: '{}' }
      await superior.browser.sendForm(await superior.browser.open(path), `${path}/notify`, notification)
      await app.events.stored()
      t.match((await superior.browser.open(path)).text, /203\.0\.113\.99/)
      const own = await admin.browser.open(path)
      t.match(textOf(own), 'notified')
      t.notMatch(own.text, /203\.0\.113\.99|Superior/)
    })

    await t.test('is found by no filter', async t => {
      const { app, user } = await setUp(t, database)
      for (const [filter, events] of [
        ['filter[ip_address]=203.0.113.77', []],
        ['filter[ip_address]=203.0.113.77,192.0.2.5', ['login']],
        ['filter[ip_address-like]=203%25', []],
        ['filter[ip_address-like]=%25', ['login']],
        // As with MySQL, what is not known is neither equal nor unequal.
        ['filter[ip_address-ne]=203.0.113.77', ['login']],
        ['filter[ip_address-notlike]=203%25', ['login']],
        ['filter[activity][ip_address]=203.0.113.77', []],
        ['filter[user_agent]=StaffBrowser/7.0', []],
        ['filter[user_agent-like]=Staff%25', []],
        ['filter[user_agent-notlike]=Staff%25', ['login']],
        ['filter[user_agent-ne]=OwnBrowser/1.0', []],
      ] as const) {
        t.strictSame(names(await list(app, user.token, `?${filter}`)), events, filter)
      }
      for (const name of ['actor_ip_address', 'actor_user_agent']) {
        for (const query of [`filter[${name}]=203.0.113.77`, `sort=${name}`, `fields[activity]=${name}`]) {
          const { status, text } = await get(app, `/api/me/activity?${query}`, user.token)
          t.ok(status === 422 || !text.includes(STAFF.address), query)
          t.notMatch(text, STAFF.agent)
        }
      }
    })

    await t.test('decides no order', async t => {
      const { app, user } = await setUp(t, database)
      const orderOf = async (sort: string) =>
        (await list(app, user.token, `?sort=${sort}`)).map(({ event, ip_address }) => [event, ip_address])
      for (const field of ['ip_address', 'user_agent']) {
        for (const sort of [field, `-${field}`]) {
          const before = await orderOf(sort)
          for (const actor of ['1', '198.51.100.1', 'zz']) {
            await database.kysely
              .updateTable('account_events')
              .set({ actor_ip_address: actor, actor_user_agent: actor })
              .where('event', '=', 'notified')
              .execute()
            t.strictSame(await orderOf(sort), before, `${sort} with ${actor}`)
          }
        }
      }
    })
  })
}
