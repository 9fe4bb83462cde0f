import t from 'tap'
import { SPA } from '../../fixtures/browser.ts'
import { aPlaylist } from '../../fixtures/lists.ts'
import { aUser } from '../../fixtures/users.ts'
import { startApp } from '../../support/app.ts'
import { createDatabase } from '../../support/databases.ts'

const PASSWORD = 'correct horse battery staple'

t.test('the calls of nuxt-auth-sanctum, rendered by its server and in the browser', async t => {
  const database = await createDatabase(t, 'postgres')
  t.teardown(() => database.close())
  const app = await startApp(t, { database })
  const base = await app.listen({ host: '127.0.0.1', port: 0 })
  const user = await aUser(database, { password: PASSWORD, roles: ['Verified'] })
  const playlist = await aPlaylist(database, user.id, { name: 'before' })

  const cookies = new Map<string, string>()
  const call = async (method: string, path: string, { headers, body }: RequestInit = {}) => {
    const cookie = [...cookies].map(([name, value]) => `${name}=${value}`).join('; ')
    const answer = await fetch(base + path, {
      method,
      redirect: 'manual',
      headers: { ...(cookie && { cookie }), ...headers },
      ...(body != null && { body }),
    })
    for (const line of answer.headers.getSetCookie()) {
      const [, name = '', value = ''] = /^([^=]+)=([^;]*)/.exec(line) ?? []
      cookies.set(name, value)
    }
    t.equal(answer.headers.get('access-control-allow-origin'), SPA, `${method} ${path}: may be read`)
    t.equal(answer.headers.get('access-control-allow-credentials'), 'true')
    t.equal(answer.headers.getSetCookie().length, 2, 'and brings both cookies')
    const text = await answer.text()
    return { status: answer.status, json: text && JSON.parse(text) }
  }
  // On the server it names its own origin, without a slash. Of a fetch in the browser the page has one.
  const rendering = { accept: 'application/json', referer: SPA, origin: SPA }
  const page = { accept: 'application/json', referer: `${SPA}/`, origin: SPA }
  const change = () => ({ ...page, 'x-xsrf-token': decodeURIComponent(cookies.get('XSRF-TOKEN') ?? '') })
  const json = (value: object) => ({
    headers: { ...change(), 'content-type': 'application/json' },
    body: JSON.stringify(value),
  })

  const guest = await call('GET', '/api/me', { headers: rendering })
  t.strictSame(guest, { status: 401, json: { message: 'Unauthenticated.' } })
  const asked = await call('GET', '/sanctum/csrf-cookie', { headers: { origin: SPA } })
  t.equal(asked.status, 204, 'which it asks for without saying what it accepts')
  const wrong = await call('POST', '/login', json({ email: user.email, password: 'wrong' }))
  t.equal(wrong.status, 422)
  const login = await call('POST', '/login', json({ email: user.email, password: PASSWORD }))
  t.strictSame(login, { status: 200, json: { two_factor: false } })
  for (const headers of [page, rendering]) {
    t.equal((await call('GET', '/api/me', { headers })).json.user.id, user.id)
  }
  t.equal((await call('POST', '/login', json({}))).status, 200, 'a guest route leads nowhere else')

  const body = new FormData()
  body.append('name', 'after')
  body.append('_method', 'PUT')
  const put = await call('POST', `/api/playlist/${playlist.hashid}`, { headers: change(), body })
  t.match(put, { status: 200, json: { playlist: { name: 'after' } } }, 'a PUT with FormData, as it sends it')

  const logout = await call('POST', '/logout', { headers: change() })
  t.strictSame(logout, { status: 204, json: '' })
  t.equal((await call('GET', '/api/me', { headers: page })).status, 401)
})
