import t, { type Test } from 'tap'
import { aMember, PASSWORD } from '../../../fixtures/users.ts'
import { send, startApp, type TestApp } from '../../../support/app.ts'
import { createDatabase } from '../../../support/databases.ts'

const database = await createDatabase(t, 'postgres')
t.teardown(() => database.close())

const HOST = 'api.example.org'
const PAGE = 'https://www.example.org'

/** The cookies of a browser, which keeps those of a host and of its domains apart (RFC 6265 §5.3). */
class CookieJar {
  readonly #cookies = new Map<string, { name: string; value: string }>()

  get header(): string {
    return [...this.#cookies.values()].map(({ name, value }) => `${name}=${value}`).join('; ')
  }

  /** The first one of a name, as scripts that search `document.cookie` find it. */
  get(name: string): string | undefined {
    return [...this.#cookies.values()].find(cookie => cookie.name === name)?.value
  }

  count(name: string): number {
    return [...this.#cookies.values()].filter(cookie => cookie.name === name).length
  }

  keep(setCookies: readonly string[]): void {
    for (const line of setCookies) {
      const [pair = '', ...attributes] = line.split('; ')
      const [name = '', value = ''] = pair.split('=')
      const domain = attributes.find(attribute => attribute.startsWith('Domain='))?.slice('Domain='.length)
      const key = `${name} ${domain?.replace(/^\./, '') ?? 'host'}`
      if (attributes.includes('Max-Age=0')) this.#cookies.delete(key)
      else this.#cookies.set(key, { name, value })
    }
  }
}

/** A page that shares its browser's cookies with others. */
const page = (app: TestApp, jar: CookieJar) => async (method: string, url: string, payload?: object) => {
  const token = jar.get('XSRF-TOKEN')
  const answer = await send(app, method, url, {
    headers: {
      host: HOST,
      origin: PAGE,
      cookie: jar.header,
      ...(token !== undefined && { 'x-xsrf-token': token }),
    },
    ...(payload && { payload }),
  })
  jar.keep(answer.setCookies)
  return answer
}

const start = (t: Test, SESSION_DOMAIN: string, scheme = 'https') =>
  startApp(t, {
    database,
    environment: {
      APP_URL: `${scheme}://${HOST}`,
      SANCTUM_STATEFUL_DOMAINS: PAGE,
      ...(SESSION_DOMAIN && { SESSION_DOMAIN }),
    },
  })

for (const scheme of ['https', 'http']) {
  for (const [before, after] of [
    ['', '.example.org'],
    ['.example.org', ''],
    ['.example.org', '.api.example.org'],
    ['.api.example.org', '.example.org'],
  ] as const) {
    const name = `SESSION_DOMAIN changes from ${before || 'none'} to ${after || 'none'} over ${scheme}`
    t.test(`${name}: a browser with both cookies logs in`, async t => {
      const user = await aMember(database, { roles: ['Verified'] })
      const jar = new CookieJar()
      const login = { email: user.email, password: PASSWORD }
      const old = page(await start(t, before, scheme), jar)
      await old('GET', '/sanctum/csrf-cookie')
      t.equal((await old('POST', '/login', login)).status, 200)

      const app = await start(t, after, scheme)
      const fresh = page(app, jar)
      await fresh('GET', '/api/me')
      await fresh('GET', '/sanctum/csrf-cookie')
      t.equal((await fresh('POST', '/login', login)).status, 200)
      t.equal((await fresh('GET', '/api/me')).json.user.id, user.id)
      t.equal((await fresh('PUT', '/api/me/notification/readall')).status, 200)
      t.equal(jar.count('XSRF-TOKEN'), 1)
      t.equal(jar.count('animethemes_session') + jar.count('__Host-animethemes_session') > 0, true)
      t.ok(jar.count('animethemes_session') <= 1)
      t.equal((await fresh('POST', '/logout')).status, 204)
    })
  }
}

t.test('a browser with one cookie of each name has none expired', async t => {
  const app = await start(t, '.example.org')
  const jar = new CookieJar()
  const answer = await page(app, jar)('GET', '/sanctum/csrf-cookie')
  const again = await page(app, jar)('GET', '/api/me')
  for (const { setCookies } of [answer, again]) t.notMatch(setCookies.join(), /Max-Age=0/)
})

t.test('a page of another site expires nothing', async t => {
  const app = await start(t, '.example.org')
  const cookie = 'animethemes_session=a; animethemes_session=b; XSRF-TOKEN=a; XSRF-TOKEN=b'
  const headers = { host: HOST, origin: 'https://evil.test', cookie }
  t.strictSame((await send(app, 'GET', '/api/me', { headers })).setCookies, [])
})
