import { readFile } from 'node:fs/promises'
import { createServer } from 'node:http'
import { join } from 'node:path'
import { type Browser, chromium, type Page } from 'playwright-core'
import type { Test } from 'tap'

const CHROMIUM = process.env.TEST_CHROMIUM

/** For tests that need a browser: why they do not run, if there is none. */
export const skip = CHROMIUM ? false : 'no Chromium was found'

/** A browser without a window, which ends with the test. Hosts that end in `.plain.test` are this machine to it. */
export async function launch(t: Test): Promise<Browser> {
  const browser = await chromium.launch({
    executablePath: CHROMIUM ?? '',
    args: [
      '--no-sandbox',
      '--disable-gpu',
      '--disable-background-networking',
      '--disable-component-update',
      '--host-resolver-rules=MAP *.plain.test 127.0.0.1',
    ],
  })
  t.teardown(() => browser.close())
  return browser
}

/** Opens a page, and ends the test for whatever goes wrong in its scripts. */
export async function open(browser: Pick<Browser, 'newPage'>, url: string): Promise<Page> {
  const page = await browser.newPage()
  page.on('pageerror', error => {
    throw error
  })
  await page.goto(url)
  return page
}

/** Serves the application, on port 3000 unless that is taken, and returns its origin. */
export async function servePages(t: Test, api: string): Promise<string> {
  const axios = await readFile(join(import.meta.dirname, '../../../node_modules/axios/dist/axios.min.js'))
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

/** A page with a form for each of the server's own, which says what the answers were. */
const application = (api: string) => `<!doctype html>
<title>A single-page application</title>
<input id="name"><input id="email"><input id="password" type="password"><input id="repeated" type="password">
<input id="code"><input id="notification"><input id="remember" type="checkbox"><input id="terms" type="checkbox">
<button id="login">log in</button><button id="me">who am I</button>
<button id="read">mark as read</button><button id="logout">log out</button>
<button id="register">register</button><button id="challenge">enter the code</button>
<button id="recovery">enter a recovery code</button>
<button id="confirm-password">confirm the password</button><button id="enable">enable the second factor</button>
<button id="confirm-code">confirm the second factor</button>
<button id="forgot">forgot the password</button><button id="reset">set a new one</button>
<pre id="said"></pre>
<div id="qr"></div><pre id="secret"></pre><pre id="codes"></pre>
<script src="/axios.js"></script>
<script>
  const api = axios.create({ baseURL: '${api}', withCredentials: true, withXSRFToken: true })
  const field = id => document.getElementById(id)
  const values = (...ids) => Object.fromEntries(ids.map(id => [id, field(id).type === 'checkbox' ? field(id).checked : field(id).value]))
  const on = (id, action) => field(id).addEventListener('click', async () => {
    field('said').textContent = ''
    const { status, data } = await action().catch(error => error.response ?? { status: error.message })
    const { errors, message, user } = data || {}
    const text = errors ? Object.values(errors).flat().join(' ') : message ?? user?.email ?? (data ? JSON.stringify(data) : '')
    field('said').textContent = status + ' ' + text
  })
  const withCookies = action => async () => {
    await api.get('/sanctum/csrf-cookie')
    return action()
  }
  const newPassword = () => ({ ...values('email', 'password'), password_confirmation: field('repeated').value })
  on('login', withCookies(() => api.post('/login', values('email', 'password', 'remember'))))
  on('me', () => api.get('/api/me'))
  on('read', () => api.put('/api/me/notification/' + field('notification').value + '/read'))
  on('logout', () => api.post('/logout'))
  on('register', withCookies(() => api.post('/register', { ...newPassword(), ...values('name', 'terms') })))
  on('challenge', () => api.post('/two-factor-challenge', values('code')))
  on('recovery', () => api.post('/two-factor-challenge', { recovery_code: field('code').value }))
  on('confirm-password', () => api.post('/user/confirm-password', values('password')))
  on('enable', async () => {
    const answer = await api.post('/user/two-factor-authentication')
    field('qr').innerHTML = (await api.get('/user/two-factor-qr-code')).data.svg
    field('secret').textContent = (await api.get('/user/two-factor-secret-key')).data.secretKey
    field('codes').textContent = (await api.get('/user/two-factor-recovery-codes')).data.join(' ')
    return answer
  })
  on('confirm-code', () => api.post('/user/confirmed-two-factor-authentication', values('code')))
  on('forgot', withCookies(() => api.post('/forgot-password', values('email'))))
  on('reset', withCookies(() => api.post('/reset-password', { ...newPassword(), token: new URLSearchParams(location.search).get('token') })))
</script>
`
