import assert from 'node:assert/strict'
import { execFile, spawn } from 'node:child_process'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { Secret, TOTP } from 'otpauth'
import type pg from 'pg'
import type { BrowserContext, Browser as Chromium, Page } from 'playwright-core'
import { Browser } from '../chaos/browser.ts'
import { own } from '../chaos/owned.ts'
import { minimal } from '../chaos/server.ts'
import { until } from '../chaos/wait.ts'
import { check } from './results.ts'

const APPLICATION = join(import.meta.dirname, '../../../clients/nuxt')

/** The limits for Nuxt to be built and to start, and for a page to show something, in milliseconds. */
const BUILD_MS = 180_000
const START_MS = 30_000
const SHOWN_MS = 10_000

/** The address of a visitor, as a reverse proxy in front of Nuxt names it, and another that the browser claims. */
const VISITOR = '198.51.100.7'
const CLAIMED = '203.0.113.9'

/** The period of TOTP codes in milliseconds. */
const STEP_MS = 30_000

/** How the module reaches the API. */
export type Mode = 'cookie' | 'proxy' | 'token'

/** A user of the application. */
interface User {
  name: string
  email: string
  password: string
}

interface World {
  chromium: Chromium
  database: pg.Client
  /** The origin of the API. */
  api: string
}

/** Builds the application, once for all modes. @throws {Error} with the output if it fails */
export async function buildNuxt(): Promise<void> {
  const nuxt = join(APPLICATION, 'node_modules/nuxt/bin/nuxt.mjs')
  await promisify(execFile)(process.execPath, [nuxt, 'build'], {
    cwd: APPLICATION,
    env: { ...minimal(), NUXT_TELEMETRY_DISABLED: '1' },
    timeout: BUILD_MS,
  })
}

/** Starts the application in a mode, on a port of `localhost`, and waits until it answers. */
export async function startNuxt(mode: Mode, port: number, api: string): Promise<string> {
  const origin = `http://localhost:${port}`
  const both = (name: string, value: string) => ({
    [`NUXT_SANCTUM_${name}`]: value,
    [`NUXT_PUBLIC_SANCTUM_${name}`]: value,
  })
  const child = spawn(process.execPath, [join(APPLICATION, '.output/server/index.mjs')], {
    env: {
      ...minimal(),
      HOST: 'localhost',
      PORT: String(port),
      ...both('BASE_URL', mode === 'proxy' ? '/api/sanctum' : api),
      ...(mode === 'proxy' && { NUXT_SANCTUM_SERVER_PROXY_BASE_URL: api }),
      ...(mode === 'token' && {
        ...both('MODE', 'token'),
        ...both('ENDPOINTS_LOGIN', '/sanctum/token'),
        ...both('ENDPOINTS_LOGOUT', '/api/me/token/current'),
      }),
    },
    stdio: ['ignore', 'ignore', 'inherit'],
  })
  own(() => child.kill('SIGKILL'))
  await until(
    `Nuxt in ${mode} mode to answer`,
    async () => {
      if (child.exitCode !== null) throw new Error(`Nuxt ended with ${child.exitCode}`)
      return fetch(`${origin}/login`).then(
        ({ status }) => status === 200,
        () => false,
      )
    },
    START_MS,
  )
  return origin
}

/** Uses the application as a person does, and looks at what is shown, rendered and stored. */
export async function checkNuxt(mode: Mode, origin: string, user: User, world: World): Promise<void> {
  const { database, api } = world
  const context = await world.chromium.newContext(
    mode === 'proxy' ? { extraHTTPHeaders: { 'x-forwarded-for': VISITOR, 'x-forwarded-ip': CLAIMED } } : {},
  )
  context.setDefaultTimeout(SHOWN_MS)
  const page = await context.newPage()
  const faults: string[] = []
  page.on('pageerror', error => faults.push(String(error)))
  page.on('console', message => {
    if (/hydration/i.test(message.text())) faults.push(message.text())
  })
  const rows = async (sql: string) => (await database.query(sql, [user.email])).rows
  const step = (name: string, run: () => Promise<void>) =>
    check(`Nuxt, ${mode} mode: ${name}`, async () => {
      try {
        await run()
      } catch (error) {
        throw new Error(`${error}\nThe page shows: ${await page.textContent('#__nuxt')}`)
      }
      assert.deepEqual(faults.splice(0), [])
    })

  await step('a guest is led to the login, and a wrong password is refused', async () => {
    await page.goto(`${origin}/`)
    await shows(page, 'h1', 'Log in')
    await logIn(page, { ...user, password: 'wrong' })
    await shows(page, '#message', 'These credentials do not match our records.')
  })

  await step('a login', async () => {
    await logIn(page, user)
    await shows(page, 'h1', `Welcome, ${user.name}`)
    if (mode === 'proxy') {
      assert.deepEqual(
        await rows(`select s.ip_address from sessions s join users u on u.id = s.user_id where u.email = $1`),
        [{ ip_address: VISITOR }],
      )
    }
  })

  await step('forms by POST and PUT', async () => {
    await page.fill('#name', 'Best of Nuxt')
    await page.click('#add')
    await shows(page, 'li', 'Best of Nuxt')
    await page.fill('#name', 'Renamed & “ü”')
    await page.click('#rename-last')
    await shows(page, 'li', 'Renamed & “ü”')
    assert.deepEqual(
      await rows(`select p.name from playlists p join users u on u.id = p.user_id where u.email = $1`),
      [{ name: 'Renamed & “ü”' }],
    )
    await page.fill('#name', '')
    await page.click('#rename-last')
    await shows(page, '#message', 'The name field is required.')
  })

  if (mode !== 'token') {
    await step('a profile that is changed by PUT with FormData', async () => {
      user.name = `${user.name}-2`
      await page.fill('#name', user.name)
      await page.click('#rename')
      await shows(page, 'h1', `Welcome, ${user.name}`)
      assert.deepEqual(await rows(`select name from users where email = $1`), [{ name: user.name }])
    })
  }

  await step('a reload is rendered on the server', async () => {
    const html = await rendered(context, origin)
    assert.match(html, new RegExp(`<h1>Welcome, ${user.name}</h1>`))
    assert.match(html, /<li>Renamed &amp; “ü”<\/li>/)
    await page.reload()
    await shows(page, 'h1', `Welcome, ${user.name}`)
  })

  await step('a logout, after which copied credentials are refused', async () => {
    const cookies = await context.cookies()
    const token = cookies.find(({ name }) => name === 'sanctum.token.cookie')?.value
    const cookie = cookies.map(({ name, value }) => `${name}=${value}`).join('; ')
    const headers: Record<string, string> =
      mode === 'token' ? { authorization: `Bearer ${decodeURIComponent(token ?? '')}` } : { cookie, origin }
    const statusOfCopy = async () => (await fetch(`${api}/api/me`, { headers })).status
    assert.equal(await statusOfCopy(), 200)
    await page.click('#logout')
    await shows(page, 'h1', 'Log in')
    assert.match(await rendered(context, origin), /<h1>Log in<\/h1>/)
    assert.equal(await statusOfCopy(), 401)
  })

  if (mode !== 'token') {
    await step('a login with a second factor', async () => {
      const secret = await addSecondFactor(api, origin, user)
      await logIn(page, user)
      await shows(page, 'h1', 'Enter the code')
      await page.fill('#code', '000000')
      await page.click('#confirm')
      await shows(page, '#message', 'The provided two factor authentication code was invalid.')
      assert.match(await rendered(context, origin), /<h1>Log in<\/h1>/)
      await page.fill('#code', totp(secret))
      await page.click('#confirm')
      await shows(page, 'h1', `Welcome, ${user.name}`)
      assert.match(await rendered(context, origin), new RegExp(`<h1>Welcome, ${user.name}</h1>`))
    })
  }
  await context.close()
}

/** Waits until an element has exactly a text. */
const shows = (page: Page, element: string, text: string) =>
  page
    .locator(`${element}:text-is(${JSON.stringify(text)})`)
    .first()
    .waitFor()

/** Logs in on the page of that name. */
async function logIn(page: Page, { email, password }: User) {
  await page.fill('#email', email)
  await page.fill('#password', password)
  await page.click('#login')
}

/** The HTML of the first page, as the server renders it for the cookies of a browser. */
async function rendered(context: BrowserContext, origin: string): Promise<string> {
  const answer = await context.request.get(`${origin}/`)
  return answer.text()
}

/** Adds a confirmed second factor in another browser. @returns its secret in base32 */
async function addSecondFactor(api: string, page: string, user: User): Promise<string> {
  const browser = new Browser(page)
  const send = async (method: string, path: string, json?: object) => {
    const outcome = await browser.send(api, { method, path, ...(json && { json }) })
    assert(outcome.kind === 'answer' && outcome.status < 300, `${method} ${path}: ${JSON.stringify(outcome)}`)
    return outcome.json
  }
  await browser.logIn(api, user)
  await send('POST', '/user/confirm-password', { password: user.password })
  await send('POST', '/user/two-factor-authentication', {})
  const { secretKey } = (await send('GET', '/user/two-factor-secret-key')) as { secretKey: string }
  // The code before this one: the login needs another.
  await send('POST', '/user/confirmed-two-factor-authentication', { code: totp(secretKey, -1) })
  return secretKey
}

/** The code that an authenticator app shows, or showed some periods ago. */
const totp = (secret: string, steps = 0) =>
  new TOTP({ secret: Secret.fromBase32(secret) }).generate({ timestamp: Date.now() + steps * STEP_MS })
