import { once } from 'node:events'
import { createServer, request as forward } from 'node:http'
import type { AddressInfo } from 'node:net'
import t, { type Test } from 'tap'
import { sessionCookies } from '#src/auth/session-cookies.ts'
import { loadConfig } from '#src/config/load.ts'
import { TestBrowser } from '../fixtures/browser.ts'
import { problemsOf } from '../fixtures/config.ts'
import { aPlaylist } from '../fixtures/lists.ts'
import { linkIn } from '../fixtures/mailbox.ts'
import { aRegistration } from '../fixtures/registration.ts'
import { launch, skip } from '../fixtures/spa.ts'
import { aMember, PASSWORD } from '../fixtures/users.ts'
import { startApp } from '../support/app.ts'
import { createDatabase } from '../support/databases.ts'

const database = await createDatabase(t, 'postgres')
t.teardown(() => database.close())

const BASE = '/some.site/themes'

/** A server below a path of a proxy, which removes that path or leaves it, and has other programs beside. */
async function startBelow(t: Test, removes: boolean) {
  let port = 0
  const proxy = createServer((request, response) => {
    const { url = '', method, headers } = request
    if (!url.startsWith(`${BASE}/`) && url !== BASE) {
      response.writeHead(404).end('another program')
      return
    }
    const path = removes ? url.slice(BASE.length) || '/' : url
    const sent = forward({ host: '127.0.0.1', port, path, method, headers }, answer => {
      response.writeHead(answer.statusCode ?? 0, answer.rawHeaders)
      answer.pipe(response)
    })
    request.pipe(sent)
  }).listen(0, '127.0.0.1')
  await once(proxy, 'listening')
  t.teardown(() => {
    proxy.closeAllConnections()
    proxy.close()
  })
  const origin = `http://localhost:${(proxy.address() as AddressInfo).port}`
  const environment = { APP_URL: `${origin}${BASE}/`, SANCTUM_STATEFUL_DOMAINS: new URL(origin).host }
  const app = await startApp(t, { database, environment })
  await app.listen({ host: '127.0.0.1', port: 0 })
  port = (app.server.address() as AddressInfo).port
  return { app, origin, site: `${origin}${BASE}`, port }
}

for (const removes of [true, false]) {
  t.test(`behind a proxy that ${removes ? 'removes' : 'leaves'} the path of APP_URL`, async t => {
    const { app, origin, site, port } = await startBelow(t, removes)
    const user = await aMember(database, { roles: ['Verified'] })
    for (const name of ['one', 'two']) await aPlaylist(database, user.id, { name })
    const read = async (url: string, headers: Record<string, string> = {}) => {
      const answer = await fetch(url, { redirect: 'manual', headers })
      const text = await answer.text()
      return { status: answer.status, headers: answer.headers, text }
    }

    await t.test('links', async t => {
      for (const root of [site, `${site}/`]) {
        t.equal((await read(root)).headers.get('location'), `${BASE}/docs/`, 'of the root')
      }
      t.strictSame(JSON.parse((await read(`${site}/openapi.json`)).text).servers, [{ url: site }])
      const authorization = `Bearer ${user.token}`
      const { links } = JSON.parse(
        (await read(`${site}/api/me/playlist?page[size]=1`, { authorization })).text,
      )
      t.ok(links.next.startsWith(`${site}/api/me/playlist?`), links.next)
      const next = JSON.parse((await read(links.next, { authorization })).text)
      t.strictSame(
        next.playlists.map(({ name }: { name: string }) => name),
        ['one'],
      )
      t.equal(
        (await read(`http://127.0.0.1:${port}/health`)).status,
        200,
        'the server itself still has its paths',
      )
      t.equal((await read(`${site}.other/api/me`)).status, 404)
      t.equal(
        (await read(`${site}/admin/tokens/1`)).headers.get('location'),
        `${BASE}/admin/login?to=/admin/tokens/1`,
      )
    })

    await t.test('cookies', async t => {
      const { headers } = await read(`${site}/sanctum/csrf-cookie`, { origin })
      const [csrf = '', session = ''] = headers.getSetCookie()
      t.match(session, new RegExp(`^animethemes_session=.*; Path=${BASE};.*; HttpOnly`))
      t.match(csrf, /^XSRF-TOKEN=.*; Path=\/;/, 'pages beside can read it')
    })

    await t.test('the link of a mail', async t => {
      const browser = new TestBrowser(app, { origin })
      await browser.get('/sanctum/csrf-cookie')
      const input = aRegistration()
      t.equal((await browser.post('/register', input)).status, 201)
      const link = linkIn(await app.mailbox.nextTo(input.email))
      t.ok(link.href.startsWith(`${site}/email/verify/`), link.href)
      const answer = await browser.get(link.href.slice(site.length), {
        headers: { accept: 'application/json' },
      })
      t.equal(answer.status, 204, 'its signature counts the path')
    })

    await t.test('the panel in a browser', { skip }, async t => {
      const browser = await launch(t)
      const page = await browser.newPage()
      const wrong: string[] = []
      page.on('response', answer => answer.status() === 404 && wrong.push(answer.url()))
      page.on('requestfailed', request => wrong.push(request.url()))
      const checkLinks = async () => {
        const urls = await page
          .locator('[href], [action], [src]')
          .evaluateAll(elements =>
            elements.map(element =>
              ['href', 'action', 'src'].map(name => element.getAttribute(name) ?? '').join(''),
            ),
          )
        t.strictSame(
          urls.filter(url => !url.startsWith(`${BASE}/`) && !url.startsWith('#')),
          [],
          page.url(),
        )
        t.ok(urls.length > 4)
      }
      await page.goto(`${site}/admin/activity`)
      t.equal(page.url(), `${site}/admin/login?to=/admin/activity`)
      await checkLinks()
      await page.getByLabel('E-mail address').fill(user.email)
      await page.getByLabel('Password', { exact: true }).fill(PASSWORD)
      await page.getByRole('button', { name: 'Log in' }).click()
      await page.waitForURL(`${site}/admin/activity`)
      await checkLinks()
      for (const section of ['Devices', 'Password', 'Second factor', 'Tokens']) {
        await page.getByRole('link', { name: section, exact: true }).click()
        await page.getByRole('heading', { level: 1 }).waitFor()
        await checkLinks()
      }
      await page.getByRole('button', { name: 'Log out' }).first().click()
      await page.waitForURL(`${site}/admin/login*`)
      t.strictSame(wrong, [])
    })
  })
}

t.test('names and refused values', async t => {
  const config = (APP_URL: string) => loadConfig({ APP_URL })
  t.equal(sessionCookies(config('https://example.org/themes')).session.name, '__Secure-animethemes_session')
  t.equal(sessionCookies(config('https://example.org/')).session.name, '__Host-animethemes_session')
  t.equal(
    config('https://example.org/themes/').changePasswordUrl.href,
    'https://example.org/themes/admin/password',
  )
  for (const url of [
    'https://a.test/?x=1',
    'https://a.test/#x',
    'https://u:p@a.test',
    'https://a.test/ü',
    'https://a.test/a;b',
    'https://a.test//evil.test',
    'https://a.test/a//b',
  ]) {
    t.match(
      problemsOf({ APP_URL: url }),
      [/^APP_URL=.*: expected a URL such as https:\/\/api\.example\.org or/],
      url,
    )
  }
  for (const [url, environment] of [
    ['https://a.test/api', {}],
    ['https://a.test/admin/', {}],
    ['https://a.test/themes', { API_PATH: '/themes/api' }],
    ['https://a.test/themes', { AUTH_PATH: '/themes' }],
  ] as const) {
    t.match(problemsOf({ APP_URL: url, ...environment }), [
      /^APP_URL=.*: expected without \/\w+, or with another path, because \//,
    ])
  }
  t.strictSame(problemsOf({ APP_URL: 'https://a.test/apis' }), [])
})
