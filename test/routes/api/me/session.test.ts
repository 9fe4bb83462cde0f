import t from 'tap'
import { aLoggedInUser, TestBrowser } from '../../../fixtures/browser.ts'
import { requestWith } from '../../../fixtures/requests.ts'
import { isLoggedIn, REMEMBER_COOKIE } from '../../../fixtures/sessions.ts'
import { UNLIMITED } from '../../../fixtures/settings.ts'
import { aToken } from '../../../fixtures/users.ts'
import { startApp, type TestApp } from '../../../support/app.ts'
import { createDatabase, ENGINES } from '../../../support/databases.ts'

const PATH = '/api/me/session'

interface ListedSession {
  id: string
  user_agent: string
  ip_address: string
  is_current: boolean
  is_remembered: boolean
}

/** Logs a user in with a browser of some kind. */
async function logInWith(
  app: TestApp,
  { email, password }: { email: string; password: string },
  userAgent: string,
  { remember = false } = {},
) {
  const browser = new TestBrowser(app)
  browser.page = { ...browser.page, 'user-agent': userAgent }
  await browser.get('/sanctum/csrf-cookie')
  await browser.post('/login', { email, password, remember })
  return browser
}

const listSessions = async (browser: TestBrowser): Promise<ListedSession[]> =>
  (await browser.get(PATH)).json.sessions

const endSession = async (browser: TestBrowser, id = '') =>
  (await browser.send('DELETE', id === '' ? PATH : `${PATH}/${id}`)).status

for (const engine of ENGINES) {
  t.test(`sessions on ${engine}`, async t => {
    const database = await createDatabase(t, engine)
    t.teardown(() => database.close())
    const app = await startApp(t, { database, environment: UNLIMITED })
    const findSession = async (browser: TestBrowser, agent: string) =>
      (await listSessions(browser)).find(({ user_agent }) => user_agent === agent) as ListedSession
    const forgetSessionOf = (userId: number, agent: string) =>
      database.kysely
        .deleteFrom('sessions')
        .where('user_id', '=', userId)
        .where('user_agent', '=', agent)
        .execute()

    await t.test('GET lists the sessions of the user, with the current one marked', async t => {
      const { user } = await aLoggedInUser(app, database)
      await aLoggedInUser(app, database)
      const phone = await logInWith(app, user, 'Phone/1', { remember: true })
      await logInWith(app, user, 'Tablet/1')
      const all = await listSessions(phone)
      t.equal(all.length, 3)
      t.match(
        all.filter(({ is_current }) => is_current),
        [
          {
            user_agent: 'Phone/1',
            ip_address: '127.0.0.1',
            is_remembered: true,
            last_active_at: '2026-03-01T12:00:00.000000Z',
          },
        ],
      )
      t.equal(all.filter(({ is_current }) => is_current).length, 1)
      for (const secret of [phone.sessionId, phone.cookies.get(REMEMBER_COOKIE)?.split('.')[1]]) {
        t.notOk(JSON.stringify(all).includes(secret ?? '?'), 'no secret of a cookie is listed')
      }
    })

    await t.test('DELETE with an id ends that session alone', async t => {
      const { user, browser } = await aLoggedInUser(app, database)
      const tablet = await logInWith(app, user, 'Tablet/1')
      const phone = await logInWith(app, user, 'Phone/1')
      const { id } = await findSession(phone, 'Tablet/1')
      t.equal(await endSession(phone, id), 204)
      t.notOk(await isLoggedIn(tablet))
      t.ok(await isLoggedIn(browser))
      t.equal(await endSession(phone, id), 404, 'twice')
    })

    await t.test('DELETE without an id ends all other sessions and forgets their devices', async t => {
      const { user, browser } = await aLoggedInUser(app, database)
      const phone = await logInWith(app, user, 'Phone/1', { remember: true })
      t.equal(await endSession(browser), 204)
      t.notOk(await isLoggedIn(phone), 'a remembered device does not log in again')
      t.ok(await isLoggedIn(browser))
      t.strictSame(
        (await listSessions(browser)).map(({ is_current }) => is_current),
        [true],
      )
    })

    await t.test('a remembered device without a session is listed, and can be forgotten', async t => {
      const { user, browser } = await aLoggedInUser(app, database)
      const phone = await logInWith(app, user, 'Phone/1', { remember: true })
      await forgetSessionOf(user.id, 'Phone/1')
      const device = await findSession(browser, 'Phone/1')
      t.match(device, { id: /^[0-9a-f]{64}$/, is_current: false, is_remembered: true })
      const [selector = ''] = (phone.cookies.get(REMEMBER_COOKIE) ?? '').split('.')
      t.notOk(device.id.includes(selector), 'the id does not contain the selector of the cookie')
      t.equal(await endSession(browser, device.id), 204)
      t.notOk(await isLoggedIn(phone))
    })

    await t.test('ending the session of a remembered device forgets the device', async t => {
      const { user, browser } = await aLoggedInUser(app, database)
      const phone = await logInWith(app, user, 'Phone/1', { remember: true })
      const { id } = await findSession(browser, 'Phone/1')
      t.equal(await endSession(browser, id), 204)
      t.notOk(await isLoggedIn(phone))
    })

    await t.test('a session can end itself', async t => {
      const { browser } = await aLoggedInUser(app, database)
      const [own] = await listSessions(browser)
      t.equal(await endSession(browser, own?.id), 204)
      t.notOk(await isLoggedIn(browser))
    })

    await t.test('a token with write:me ends all sessions', async t => {
      const { user, browser } = await aLoggedInUser(app, database)
      const { token } = await aToken(database, user.id, { abilities: ['write:me'] })
      t.equal((await requestWith(app, token)('DELETE', PATH)).status, 204)
      t.notOk(await isLoggedIn(browser))
    })

    await t.test('a session of another user is 404', async t => {
      const victim = await aLoggedInUser(app, database)
      const { browser } = await aLoggedInUser(app, database)
      const [session] = await listSessions(victim.browser)
      for (const id of [session?.id ?? '', 'x', '%00', '%27', '0'.repeat(64)]) {
        t.equal(await endSession(browser, id), 404, id)
      }
      await endSession(browser)
      t.ok(await isLoggedIn(victim.browser))
    })

    await t.test('DELETE without a CSRF token is 419', async t => {
      const { browser } = await aLoggedInUser(app, database)
      const [session] = await listSessions(browser)
      t.equal((await browser.bare('DELETE', `${PATH}/${session?.id}`)).status, 419)
    })
  })
}
