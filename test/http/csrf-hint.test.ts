import t from 'tap'
import { aLoggedInUser, SPA } from '../fixtures/browser.ts'
import { aUser } from '../fixtures/users.ts'
import { send, startApp, type TestApp } from '../support/app.ts'
import { createDatabase } from '../support/databases.ts'

const database = await createDatabase(t, 'postgres')
t.teardown(() => database.close())

const HINT = /has a bearer token, and comes from a page of a first-party origin/

const PRODUCTION = {
  APP_ENV: 'production',
  APP_URL: 'https://api.example.org',
  SANCTUM_STATEFUL_DOMAINS: 'https://example.org',
}

/** Sends a change with a bearer token. */
const change = (app: TestApp, token: string, headers: Record<string, string>) =>
  send(app, 'POST', '/api/playlist', {
    headers: { authorization: `Bearer ${token}`, ...headers },
    payload: { name: 'x', visibility: 'Private' },
  })

const hintOf = (app: TestApp) =>
  app.logged.findLast(({ msg, status }) => msg === 'request' && status === 419)?.hint

t.test(
  'a change with a bearer token from a first-party page is 419, and the developer is told why',
  async t => {
    const app = await startApp(t, { database })
    const { token } = await aUser(database, { roles: ['Verified'] })
    const page = { origin: SPA, referer: `${SPA}/` }
    const me = await send(app, 'GET', '/api/me', { headers: { authorization: `Bearer ${token}`, ...page } })
    t.equal(me.status, 200, 'it reads')
    const refused = await change(app, token, page)
    t.equal(refused.status, 419)
    t.equal(refused.json.message, 'CSRF token mismatch.')
    t.match(refused.json.hint, HINT)
    t.match(hintOf(app), HINT)
    t.equal((await change(app, token, {})).status, 201, 'without a page it changes')
    t.equal((await change(app, token, { origin: 'https://other.test' })).status, 201)
  },
)

t.test('in production the log alone says why', async t => {
  const app = await startApp(t, { database, environment: PRODUCTION })
  const { token } = await aUser(database, { roles: ['Verified'] })
  const host = 'api.example.org'
  const refused = await change(app, token, { host, origin: 'https://example.org' })
  t.equal(refused.status, 419)
  t.strictSame(refused.json, { message: 'CSRF token mismatch.' })
  t.match(hintOf(app), HINT)
})

t.test('a session without its CSRF token gets no hint', async t => {
  const app = await startApp(t, { database })
  const { browser } = await aLoggedInUser(app, database)
  const refused = await browser.bare('POST', '/logout')
  t.equal(refused.status, 419)
  t.strictSame(refused.json, { message: 'CSRF token mismatch.' })
  t.equal(hintOf(app), undefined)
})
