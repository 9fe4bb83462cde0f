import { readFile } from 'node:fs/promises'
import { createServer } from 'node:http'
import { join } from 'node:path'
import { type Browser, chromium, type Page } from 'playwright-core'
import t, { type Test } from 'tap'
import { addUser, startApp } from '../../support/app.ts'
import { SPA } from '../../support/browser.ts'
import { createDatabase } from '../../support/databases.ts'
import { addNotification } from '../../support/rows.ts'
import { freePort } from '../../support/services.ts'

const CHROMIUM = process.env.TEST_CHROMIUM
const skip = CHROMIUM ? false : 'no Chromium was found'
const PASSWORD = 'correct horse battery staple'

t.test('a single-page application in a browser', { skip }, async t => {
  const database = await createDatabase(t, 'postgres')
  t.teardown(() => database.close())
  const user = await addUser(database, { password: PASSWORD, roles: ['Verified'] })
  const notification = await addNotification(database, user.id)
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
  const browser = await chromium.launch({
    executablePath: CHROMIUM ?? '',
    args: ['--no-sandbox', '--disable-gpu', '--disable-background-networking', '--disable-component-update'],
  })
  t.teardown(() => browser.close())

  await t.test('logs in, does things, and logs out', async t => {
    const page = await open(browser, `${pages}/`)
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
    t.pass('an answer heals the cookie that holds the token')

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
    t.notMatch(await page.evaluate('document.cookie'), /session/, 'scripts do not see the session')

    await page.click('#logout')
    await says('204')
    await page.reload()
    await page.click('#me')
    await says('401 Unauthenticated.')
  })

  await t.test(
    'on a page of somebody else gets nothing, with the cookies of a browser that is logged in',
    async t => {
      const context = await browser.newContext()
      t.teardown(() => context.close())
      const page = await open(context, `${pages}/`)
      await page.fill('#email', user.email)
      await page.fill('#password', PASSWORD)
      await page.click('#login')
      await page.locator('#said', { hasText: '200' }).waitFor()
      const evil = await open(context, `${pages.replace('localhost', '127.0.0.1')}/`)
      for (const button of ['#me', '#read', '#logout']) {
        await evil.click(button)
        await evil.locator('#said', { hasText: 'Network Error' }).waitFor()
        await evil.evaluate(`document.querySelector('#said').textContent = ''`)
      }
      await page.click('#me')
      await page.locator('#said', { hasText: `200 ${user.email}` }).waitFor()
      t.pass('and the user is still logged in')
    },
  )

  await t.test('Swagger UI logs in with the cookie, and tries calls', async t => {
    const context = await browser.newContext()
    t.teardown(() => context.close())
    const page = await open(context, `http://localhost:${port}/docs/`)
    const run = async (summary: string, path: string, body?: object) => {
      const block = page.locator('.opblock', { hasText: summary }).first()
      await block.getByText(summary).click()
      if (body) await block.locator('textarea.body-param__text').fill(JSON.stringify(body))
      const answer = page.waitForResponse(response => new URL(response.url()).pathname === path)
      await block.getByRole('button', { name: 'Execute' }).click()
      return (await answer).status()
    }
    t.equal(await run('Log in', '/login', { email: user.email, password: PASSWORD }), 200)
    t.equal(await run('Show the authenticated user', '/api/me'), 200)
    t.equal(await run("Mark all of the user's notifications as read", '/api/me/notification/readall'), 200)
    t.equal(await run('Log out', '/logout'), 204)
  })
})

/** Opens a page, and fails the test for whatever goes wrong in its scripts. */
async function open(browser: Pick<Browser, 'newPage'>, url: string): Promise<Page> {
  const page = await browser.newPage()
  page.on('pageerror', error => t.fail(error.message))
  await page.goto(url)
  return page
}

/** Serves the application, on port 3000 unless that is taken, and returns its origin. */
async function servePages(t: Test, api: string): Promise<string> {
  const axios = await readFile(join(import.meta.dirname, '../../../../node_modules/axios/dist/axios.min.js'))
  const server = createServer((request, response) => {
    if (request.url === '/axios.js') response.setHeader('content-type', 'text/javascript').end(axios)
    else response.setHeader('content-type', 'text/html').end(application(api))
  })
  const listen = (port: number) =>
    new Promise<void>((resolve, reject) => {
      server.once('error', reject)
      server.listen(port, 'localhost', resolve)
    })
  await listen(3000).catch(() => listen(0))
  t.teardown(() => server.close())
  const address = server.address()
  return `http://localhost:${typeof address === 'object' ? address?.port : address}`
}

const application = (api: string) => `<!doctype html>
<title>A single-page application</title>
<input id="email"><input id="password" type="password"><input id="notification">
<button id="login">log in</button><button id="me">who am I</button>
<button id="read">mark as read</button><button id="logout">log out</button>
<pre id="said"></pre>
<script src="/axios.js"></script>
<script>
  const api = axios.create({ baseURL: '${api}', withCredentials: true, withXSRFToken: true })
  const field = id => document.getElementById(id)
  const on = (id, action) => field(id).addEventListener('click', async () => {
    field('said').textContent = ''
    const { status, data } = await action().catch(error => error.response ?? { status: error.message })
    const { errors, message, user } = data || {}
    const text = errors ? Object.values(errors).flat().join(' ') : message ?? user?.email ?? (data ? JSON.stringify(data) : '')
    field('said').textContent = status + ' ' + text
  })
  on('login', async () => {
    await api.get('/sanctum/csrf-cookie')
    return api.post('/login', { email: field('email').value, password: field('password').value })
  })
  on('me', () => api.get('/api/me'))
  on('read', () => api.put('/api/me/notification/' + field('notification').value + '/read'))
  on('logout', () => api.post('/logout'))
</script>
`
