import t from 'tap'
import { aLoggedInUser, openBrowser, SPA } from '../fixtures/browser.ts'
import { aMember } from '../fixtures/users.ts'
import { get, startApp } from '../support/app.ts'
import { createDatabase } from '../support/databases.ts'

const database = await createDatabase(t, 'postgres')
t.teardown(() => database.close())

t.test('a server that renders pages passes on cookies, page and address of each visitor', async t => {
  const environment = { LOCAL_IPS: '127.0.0.1', RATE_LIMIT_ANONYMOUS: '3', RATE_LIMIT_AUTHENTICATED: '50' }
  const app = await startApp(t, { database, environment })
  const render = (visitor: string | null, cookie = '') =>
    get(app, '/api/me', undefined, {
      cookie,
      origin: SPA,
      ...(visitor !== null && { 'x-forwarded-ip': visitor }),
    })

  const { browser, user } = await aLoggedInUser(app, database)
  const cookie = [...browser.cookies].map(([name, value]) => `${name}=${value}`).join('; ')
  const page = await render('198.51.100.1', cookie)
  t.equal(page.json.user.id, user.id, 'the page has the session of the visitor')
  t.ok(page.setCookies.length > 0, 'whose cookies are renewed')

  for (let n = 0; n < 3; n += 1) t.equal((await render('198.51.100.2')).status, 401)
  t.equal((await render('198.51.100.2')).status, 429, 'a visitor has the limit of a guest')
  t.equal((await render('198.51.100.3')).status, 401, 'other visitors have their own')
  for (let n = 0; n < 10; n += 1) t.equal((await render(null)).status, 401, 'the renderer itself has none')
  t.equal(
    (await get(app, '/api/me', undefined, { cookie })).status,
    401,
    'without a page the cookie does not count',
  )
})

t.test(
  'sessions and events have the address of the visitor, not of the server that renders pages',
  async t => {
    const app = await startApp(t, { database, environment: { LOCAL_IPS: '127.0.0.1' } })
    const user = await aMember(database)
    const browser = await openBrowser(app)
    const visitor = { headers: { 'x-forwarded-ip': '198.51.100.4' } }
    const { email, password } = user
    t.equal((await browser.post('/login', { email, password }, visitor)).status, 200)
    const [session] = (await browser.get('/api/me/session', visitor)).json.sessions
    t.equal(session.ip_address, '198.51.100.4')
    await app.events.drain()
    const { activities } = (await browser.get('/api/me/activity', visitor)).json
    t.strictSame(
      activities.map(({ event, ip_address }: Record<string, string>) => [event, ip_address]),
      [['login', '198.51.100.4']],
    )
  },
)
