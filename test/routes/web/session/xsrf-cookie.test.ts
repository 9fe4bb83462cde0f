import t from 'tap'
import { aMember, PASSWORD } from '../../../fixtures/users.ts'
import { get, send, startApp } from '../../../support/app.ts'
import { createDatabase } from '../../../support/databases.ts'

const database = await createDatabase(t, 'postgres')
t.teardown(() => database.close())

t.test('XSRF_COOKIE names the cookie with the CSRF token, in the documents too', async t => {
  const app = await startApp(t, { database, environment: { XSRF_COOKIE: 'my.token' } })
  const { email } = await aMember(database)
  const { setCookies } = await get(app, '/sanctum/csrf-cookie')
  const cookies = Object.fromEntries(setCookies.map(line => (line.split(';')[0] ?? '').split('=')))
  t.strictSame(Object.keys(cookies), ['my.token', 'animethemes_session'])
  const login = await send(app, 'POST', '/login', {
    headers: {
      cookie: `animethemes_session=${cookies.animethemes_session}`,
      'x-xsrf-token': cookies['my.token'] ?? '',
    },
    payload: { email, password: PASSWORD },
  })
  t.equal(login.status, 200)
  const { text } = await get(app, '/openapi.json')
  t.notMatch(text, /cookie `XSRF-TOKEN`/)
  t.match(text, /cookie `my.token`/)
  t.match((await get(app, '/docs/static/initializer.js')).text, '/(?:^|; )my\\.token=([^;]+)/')
})

t.test('a page of an application that is named logs in', async t => {
  const environment = { SANCTUM_STATEFUL_DOMAINS: 'capacitor://localhost' }
  const app = await startApp(t, { database, environment })
  const { email } = await aMember(database)
  const origin = 'capacitor://localhost'
  const offered = await get(app, '/sanctum/csrf-cookie', undefined, { origin })
  t.equal(offered.headers['access-control-allow-origin'], origin)
  const cookies = Object.fromEntries(offered.setCookies.map(line => (line.split(';')[0] ?? '').split('=')))
  const headers = {
    origin,
    cookie: `animethemes_session=${cookies.animethemes_session}`,
    'x-xsrf-token': cookies['XSRF-TOKEN'] ?? '',
  }
  t.equal(
    (await send(app, 'POST', '/login', { headers, payload: { email, password: PASSWORD } })).status,
    200,
  )
})
