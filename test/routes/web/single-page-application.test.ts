import type { BrowserContext, Page } from 'playwright-core'
import t, { type Test } from 'tap'
import { UNAUTHENTICATED } from '../../fixtures/answers.ts'
import { SPA } from '../../fixtures/browser.ts'
import { aNotification, aPlaylist } from '../../fixtures/lists.ts'
import { NEW_PASSWORD } from '../../fixtures/passwords.ts'
import { STEP, totpCode } from '../../fixtures/second-factor.ts'
import { launch, open, servePages, skip } from '../../fixtures/spa.ts'
import { aMember, PASSWORD, type TestUser } from '../../fixtures/users.ts'
import { get, startApp, type TestApp } from '../../support/app.ts'
import { createDatabase } from '../../support/databases.ts'
import { startMailServer } from '../../support/mail-server.ts'
import { freePort } from '../../support/services.ts'

t.test('a single-page application in Chromium', { skip }, async t => {
  const database = await createDatabase(t, 'postgres')
  t.teardown(() => database.close())
  const port = await freePort()
  const pages = await servePages(t, `http://localhost:${port}`)
  const app = await startApp(t, {
    database,
    environment: {
      APP_URL: `http://localhost:${port}`,
      ...(pages !== SPA && { SANCTUM_STATEFUL_DOMAINS: new URL(pages).host }),
    },
  })
  await app.listen({ host: 'localhost', port })
  const browser = await launch(t)

  await t.test('a user logs in, marks a notification as read, and logs out', async t => {
    const user = await aMember(database, { roles: ['Verified'] })
    const notification = await aNotification(database, user.id)
    const context = await browser.newContext()
    t.teardown(() => context.close())
    const page = await open(context, `${pages}/`)
    const says = (text: string | RegExp) => page.locator('#said', { hasText: text }).waitFor()

    await page.click('#me')
    await says('401 Unauthenticated.')
    await page.fill('#email', user.email)
    await page.fill('#password', 'wrong')
    await page.click('#login')
    await says('422 These credentials do not match our records.')
    await page.fill('#password', PASSWORD)
    await page.click('#login')
    await says('200 {"two_factor":false}')
    await page.click('#me')
    await says(`200 ${user.email}`)

    await page.evaluate(`document.cookie = 'XSRF-TOKEN=' + 'x'.repeat(43) + '; path=/'`)
    await page.fill('#notification', notification)
    await page.click('#read')
    await says('419 CSRF token mismatch.')
    await page.click('#me')
    await says(`200 ${user.email}`)
    await page.click('#read')
    await says('200 Notification was marked as read.')
    t.pass('the next answer restores the XSRF-TOKEN cookie')

    await page.reload()
    await page.click('#me')
    await says(`200 ${user.email}`)
    const cookies = (await page.context().cookies()).map(({ name, httpOnly, sameSite }) => [
      name,
      httpOnly,
      sameSite,
    ])
    t.strictSame(cookies.sort(), [
      ['XSRF-TOKEN', false, 'Lax'],
      ['animethemes_session', true, 'Lax'],
    ])
    t.notMatch(await page.evaluate('document.cookie'), /session/, 'scripts cannot read the session cookie')

    await page.click('#logout')
    await says('204')
    await page.reload()
    await page.click('#me')
    await says('401 Unauthenticated.')
  })

  await t.test('a page of another site cannot use the session of a browser that is logged in', async t => {
    const user = await aMember(database, { roles: ['Verified'] })
    const context = await browser.newContext()
    t.teardown(() => context.close())
    const page = await open(context, `${pages}/`)
    await page.fill('#email', user.email)
    await page.fill('#password', PASSWORD)
    await page.click('#login')
    await page.locator('#said', { hasText: '200' }).waitFor()
    const crossSite = await open(context, `${pages.replace('localhost', '127.0.0.1')}/`)
    for (const button of ['#me', '#read', '#logout']) {
      await crossSite.click(button)
      await crossSite.locator('#said', { hasText: 'Network Error' }).waitFor()
      await crossSite.evaluate(`document.querySelector('#said').textContent = ''`)
    }
    await page.click('#me')
    await page.locator('#said', { hasText: `200 ${user.email}` }).waitFor()
    t.pass('the user is still logged in')
  })

  await t.test('a user logs in on Swagger UI and makes a change', async t => {
    const context = await browser.newContext()
    t.teardown(() => context.close())
    await reduceDocument(context, app)
    await tryOut(
      t,
      await open(context, `http://localhost:${port}/docs/`),
      await aMember(database, { roles: ['Verified'] }),
    )
  })

  await t.test('Swagger UI works without Sec-Fetch-Site headers', async t => {
    const port = await freePort()
    const plain = await startApp(t, { database, environment: { APP_URL: `http://www.plain.test:${port}` } })
    await plain.listen({ host: '127.0.0.1', port })
    const context = await browser.newContext()
    t.teardown(() => context.close())
    await reduceDocument(context, plain)
    const page = await open(context, `http://www.plain.test:${port}/docs/`)
    const sent: (string | undefined)[] = []
    page.on('request', async request => sent.push((await request.allHeaders())['sec-fetch-site']))
    await tryOut(t, page, await aMember(database, { roles: ['Verified'] }))
    t.strictSame(new Set(sent), new Set([undefined]))
  })

  await t.test('Swagger UI works under a host name that is not configured', async t => {
    const context = await browser.newContext()
    t.teardown(() => context.close())
    await reduceDocument(context, app)
    await tryOut(
      t,
      await open(context, `http://alias.localhost:${port}/docs/`),
      await aMember(database, { roles: ['Verified'] }),
    )
  })
})

/** The paths that {@link tryOut} requests. */
const TRIED_OUT = ['/sanctum/csrf-cookie', '/login', '/api/me', '/api/me/notification/readall', '/logout']

/** Has pages of Swagger UI load a document of these paths alone: to draw all of them takes seconds. */
const reduceDocument = (context: BrowserContext, app: TestApp) =>
  context.route('**/docs/json', async route => {
    const { json } = await get(app, '/docs/json')
    const paths = Object.fromEntries(TRIED_OUT.map(path => [path, json.paths[path]]))
    await route.fulfill({ json: { ...json, paths } })
  })

/** Logs in on a page of Swagger UI, makes a change, and logs out. */
async function tryOut(t: Test, page: Page, { email, password }: TestUser) {
  const run = async (path: string, body?: object) => {
    const block = page.locator(`.opblock:has([data-path="${path}"])`).first()
    await block.locator('.opblock-summary-path').click()
    if (body) await block.locator('textarea.body-param__text').fill(JSON.stringify(body))
    const answer = page.waitForResponse(response => new URL(response.url()).pathname === path)
    await block.getByRole('button', { name: 'Execute' }).click()
    return (await answer).status()
  }
  t.equal(await run('/sanctum/csrf-cookie'), 204)
  t.equal(await run('/login', { email, password }), 200)
  t.equal(await run('/api/me'), 200)
  t.equal(await run('/api/me/notification/readall'), 200)
  t.equal(await run('/logout'), 204)
}

t.test('an account is registered, verified, gets a second factor, and a new password', { skip }, async t => {
  const database = await createDatabase(t, 'postgres')
  t.teardown(() => database.close())
  const mails = await startMailServer(t)
  const port = await freePort()
  const pages = await servePages(t, `http://localhost:${port}`)
  const app = await startApp(t, {
    database,
    environment: {
      APP_URL: `http://localhost:${port}`,
      FRONTEND_URL: pages,
      MAIL_URL: mails.url,
      MAIL_FROM: 'AnimeThemes <no-reply@example.org>',
      MAIL_SECURITY_EVENTS: 'password-changed',
      LOGIN_RATE_LIMIT: '100',
      ...(pages !== SPA && { SANCTUM_STATEFUL_DOMAINS: new URL(pages).host }),
    },
  })
  await app.listen({ host: 'localhost', port })
  const browser = await launch(t)
  const page = await open(browser, `${pages}/`)
  const saysOn = (page: Page) => (text: string) => page.locator('#said', { hasText: text }).waitFor()
  const says = saysOn(page)
  const EMAIL = 'hikari@example.org'
  const nextLink = async () => /https?:\/\/\S+/.exec((await mails.next()).text ?? '')?.[0] ?? ''

  await page.fill('#name', 'hikari')
  await page.fill('#email', EMAIL)
  await page.fill('#password', PASSWORD)
  await page.fill('#repeated', 'another one')
  await page.click('#register')
  await says('422 The password confirmation does not match.')
  await page.fill('#repeated', PASSWORD)
  await page.check('#terms')
  await page.click('#register')
  await says('201')
  await page.click('#me')
  await says(`200 ${EMAIL}`)

  await page.goto(await nextLink())
  t.equal(page.url(), `${pages}/?verified=1`, 'the link of the mail redirects to the website')
  const stored = await database.kysely
    .selectFrom('users')
    .select(['id', 'email_verified_at'])
    .where('email', '=', EMAIL)
    .executeTakeFirstOrThrow()
  t.ok(stored.email_verified_at)

  await page.click('#enable')
  await says('423 Password confirmation required.')
  await page.fill('#password', PASSWORD)
  await page.click('#confirm-password')
  await says('201')
  await page.click('#enable')
  await says('200')
  const box = await page.locator('#qr svg').boundingBox()
  t.ok(box !== null && box.width > 100 && box.height > 100, 'the QR code is visible')
  const secret = (await page.textContent('#secret')) ?? ''
  const [recoveryCode = ''] = ((await page.textContent('#codes')) ?? '').split(' ')
  const code = () => {
    app.clock.advance(STEP)
    return totpCode(secret, app)
  }
  await page.fill('#code', code())
  await page.click('#confirm-code')
  await says('200')
  await page.click('#logout')
  await says('204')

  const logIn = async (page: Page, password: string) => {
    const says = saysOn(page)
    await page.fill('#email', EMAIL)
    await page.fill('#password', password)
    await page.click('#login')
    await says('200 {"two_factor":true}')
    await page.click('#me')
    await says('401 Unauthenticated.')
  }
  const context = await browser.newContext()
  t.teardown(() => context.close())
  const other = await open(context, `${pages}/`)
  for (const one of [page, other]) {
    if (one === other) await one.check('#remember')
    await logIn(one, PASSWORD)
    await one.fill('#code', '000000')
    await one.click('#challenge')
    await saysOn(one)('422 The provided two factor authentication code was invalid.')
    await one.fill('#code', code())
    await one.click('#challenge')
    await saysOn(one)('204')
    await one.click('#me')
    await saysOn(one)(`200 ${EMAIL}`)
  }
  await page.click('#logout')
  await says('204')

  await page.click('#forgot')
  await says('200 We have emailed your password reset link!')
  await page.goto(await nextLink())
  t.match(page.url(), `${pages}/reset-password?token=`)
  await page.fill('#email', EMAIL)
  await page.fill('#password', NEW_PASSWORD)
  await page.fill('#repeated', NEW_PASSWORD)
  await page.click('#reset')
  await says('200 Your password has been reset!')
  t.match((await mails.next()).subject, 'Your password for AnimeThemes was changed')

  await other.click('#me')
  await saysOn(other)('401 Unauthenticated.')
  t.notOk(
    (await context.cookies()).some(({ name }) => name === 'remember_web'),
    'no device is remembered',
  )
  await logIn(page, NEW_PASSWORD)
  await page.fill('#code', recoveryCode)
  await page.click('#recovery')
  await says('204')
  await page.click('#me')
  await says(`200 ${EMAIL}`)
})

t.test(
  'nuxt-auth-sanctum can log in, call the API and log out, rendered on the server and in the browser',
  async t => {
    const database = await createDatabase(t, 'postgres')
    t.teardown(() => database.close())
    const app = await startApp(t, { database })
    const base = await app.listen({ host: '127.0.0.1', port: 0 })
    const user = await aMember(database, { roles: ['Verified'] })
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
      t.equal(
        answer.headers.get('access-control-allow-origin'),
        SPA,
        `${method} ${path}: CORS allows the page`,
      )
      t.equal(answer.headers.get('access-control-allow-credentials'), 'true')
      t.equal(answer.headers.getSetCookie().length, 2, 'it sets both cookies')
      const text = await answer.text()
      return { status: answer.status, json: text && JSON.parse(text) }
    }
    // On the server its Referer is an origin without a slash. In the browser it is the page, with a slash.
    const rendering = { accept: 'application/json', referer: SPA, origin: SPA }
    const page = { accept: 'application/json', referer: `${SPA}/`, origin: SPA }
    const change = () => ({ ...page, 'x-xsrf-token': decodeURIComponent(cookies.get('XSRF-TOKEN') ?? '') })
    const json = (value: object) => ({
      headers: { ...change(), 'content-type': 'application/json' },
      body: JSON.stringify(value),
    })

    const guest = await call('GET', '/api/me', { headers: rendering })
    t.strictSame(guest, { status: 401, json: UNAUTHENTICATED })
    const asked = await call('GET', '/sanctum/csrf-cookie', { headers: { origin: SPA } })
    t.equal(asked.status, 204, 'it asks for cookies without an Accept header')
    const wrong = await call('POST', '/login', json({ email: user.email, password: 'wrong' }))
    t.equal(wrong.status, 422)
    const login = await call('POST', '/login', json({ email: user.email, password: PASSWORD }))
    t.strictSame(login, { status: 200, json: { two_factor: false } })
    for (const headers of [page, rendering]) {
      t.equal((await call('GET', '/api/me', { headers })).json.user.id, user.id)
    }
    t.equal((await call('POST', '/login', json({}))).status, 200, 'a route for guests does not redirect')

    const body = new FormData()
    body.append('name', 'after')
    body.append('_method', 'PUT')
    const put = await call('POST', `/api/playlist/${playlist.hashid}`, { headers: change(), body })
    t.match(
      put,
      { status: 200, json: { playlist: { name: 'after' } } },
      'it sends a PUT with FormData as POST',
    )

    const logout = await call('POST', '/logout', { headers: change() })
    t.strictSame(logout, { status: 204, json: '' })
    t.equal((await call('GET', '/api/me', { headers: page })).status, 401)
  },
)
