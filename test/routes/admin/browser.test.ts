import { mkdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { BrowserContextOptions, Page } from 'playwright-core'
import t, { type Test } from 'tap'
import { TestBrowser } from '../../fixtures/browser.ts'
import { DAY, MINUTE, NOW } from '../../fixtures/clock.ts'
import { aNotification } from '../../fixtures/lists.ts'
import { totpCode } from '../../fixtures/second-factor.ts'
import { UNLIMITED } from '../../fixtures/settings.ts'
import { launch, skip } from '../../fixtures/spa.ts'
import { aMember, aToken, aUser, PASSWORD } from '../../fixtures/users.ts'
import { startApp, type TestApp } from '../../support/app.ts'
import { createDatabase } from '../../support/databases.ts'
import { freePort } from '../../support/services.ts'

/** The folder for screenshots of the pages; none are taken unless it is set. */
const PICTURES = process.env.TEST_PICTURES

const axe = await readFile(join(import.meta.dirname, '../../../../node_modules/axe-core/axe.min.js'), 'utf8')

t.test('the panel in a browser', { skip }, async t => {
  const database = await createDatabase(t, 'postgres')
  t.teardown(() => database.close())
  const port = await freePort()
  const origin = `http://127.0.0.1:${port}`
  const app = await startApp(t, {
    database,
    environment: { ...UNLIMITED, APP_URL: origin },
  })
  await app.listen({ host: '127.0.0.1', port })
  const browser = await launch(t)

  /** Opens a page whose requests to other hosts are recorded, like its console errors. */
  const openPage = async (options: BrowserContextOptions = {}) => {
    const context = await browser.newContext({ baseURL: origin, ...options })
    await context.grantPermissions(['clipboard-read', 'clipboard-write'])
    const foreignRequests: string[] = []
    const consoleErrors: string[] = []
    const page = await context.newPage()
    // Intercepting them would disable the browser's cache.
    page.on('request', request => {
      if (new URL(request.url()).origin !== origin) foreignRequests.push(request.url())
    })
    page.on('console', message => {
      if (message.type() === 'error') consoleErrors.push(message.text())
    })
    page.on('pageerror', error => consoleErrors.push(error.message))
    return { page, foreignRequests, consoleErrors, close: () => context.close() }
  }
  const logIn = async (page: Page, email: string) => {
    await page.goto('/admin')
    await page.fill('#email', email)
    await page.fill('#password', PASSWORD)
    await page.getByRole('button', { name: 'Log in' }).click()
  }

  await t.test('a token is created, copied, used, listed with its last use, and revoked', async t => {
    const user = await aMember(database)
    const { page, foreignRequests, consoleErrors, close } = await openPage()
    await logIn(page, user.email)
    await page.getByRole('heading', { name: 'Tokens' }).waitFor()
    await page.fill('#name', 'my <script> laptop')
    await page.fill('#current_password', PASSWORD)
    await page.getByRole('button', { name: 'Create token' }).click()
    await page.click('text="Copy"')
    await page.getByText('Copied.').waitFor()
    const token = await page.evaluate<string>('navigator.clipboard.readText()')
    t.match(token, /^\d+\|\w{48}$/)

    const requestMe = () => fetch(`${origin}/api/me`, { headers: { authorization: `Bearer ${token}` } })
    await page.click('text="I have copied it"')
    const line = page.getByRole('listitem').filter({ hasText: 'my <script> laptop' })
    t.match(await line.textContent(), /Last used: never/)
    t.equal((await requestMe()).status, 200)
    await app.lastUse.flush()
    await page.reload()
    t.match(await line.textContent(), /Last used: 2026-03-01 12:00 UTC from 127\.0\.0\.1/)

    await line.getByRole('button').click()
    await page.getByRole('heading', { name: 'Revoke “my <script> laptop”?' }).waitFor()
    await page.getByRole('button', { name: 'Revoke token' }).click()
    await page.getByRole('status').getByText('The token was revoked').waitFor()
    t.equal((await requestMe()).status, 401, 'the token is refused at once')
    t.strictSame(foreignRequests, [])
    t.strictSame(consoleErrors, [], 'the Content-Security-Policy blocks nothing')
    await close()
  })

  await t.test('the panel works without JavaScript and with the keyboard only', async t => {
    const user = await aMember(database)
    const { page, close } = await openPage({ javaScriptEnabled: false })
    await page.goto('/admin')
    await page.locator('#email').focus()
    await page.keyboard.type(user.email)
    await page.keyboard.press('Tab')
    await page.keyboard.type(PASSWORD)
    await page.keyboard.press('Enter')
    await page.getByRole('heading', { name: 'Tokens' }).waitFor()
    await page.locator('#name').focus()
    await page.keyboard.type('by keyboard')
    await page.locator('#current_password').focus()
    await page.keyboard.type(PASSWORD)
    await page.keyboard.press('Enter')
    await page.locator('#secret').waitFor()
    t.equal(
      await page.getByRole('button', { name: 'Copy' }).count(),
      0,
      'there is no copy button without JavaScript',
    )
    await close()
  })

  for (const javaScriptEnabled of [true, false]) {
    await t.test(
      `a double click submits a form once, ${javaScriptEnabled ? 'with' : 'without'} JavaScript`,
      async t => {
        const other = await aMember(database)
        const { page, close } = await openPage({ javaScriptEnabled })
        await logIn(page, other.email)
        await page.fill('#name', 'twice')
        await page.fill('#current_password', PASSWORD)
        await page.getByRole('button', { name: 'Create token' }).dblclick()
        const issued = page.locator('#secret')
        await issued.or(page.getByText('its token was created once')).waitFor()
        if (javaScriptEnabled)
          t.equal(await issued.count(), 1, 'the page shows the response to the first submission')
        await page.goto('/admin')
        t.equal(await page.getByRole('link', { name: 'twice' }).count(), 1)

        await page.goto('/admin/devices')
        await page.getByRole('button', { name: 'Log out' }).dblclick()
        await page.getByRole('heading', { name: 'Log in' }).waitFor()
        await close()
      },
    )
  }

  await t.test('the login asks for the second factor', async t => {
    const other = await aMember(database)
    const client = new TestBrowser(app, { 'sec-fetch-site': 'same-origin' })
    await client.logIn(other)
    await client.post('/user/confirm-password', { password: PASSWORD })
    await client.post('/user/two-factor-authentication')
    const { secretKey } = (await client.get('/user/two-factor-secret-key')).json
    const code = () => totpCode(secretKey, app)
    await client.post('/user/confirmed-two-factor-authentication', { code: code() })
    app.clock.advance(30_000)

    const { page, close } = await openPage()
    await logIn(page, other.email)
    await page.getByRole('heading', { name: 'Second factor' }).waitFor()
    await page.goto('/admin')
    await page.getByRole('heading', { name: 'Log in' }).waitFor()
    t.pass('the password alone is not enough')
    await page.goto('/admin/two-factor')
    await page.fill('#code', '000000')
    await page.click('text="Continue"')
    await page.getByRole('alert').getByText('invalid').waitFor()
    await page.fill('#code', code())
    await page.click('text="Continue"')
    await page.getByRole('heading', { name: 'Tokens' }).waitFor()
    await close()
  })

  await t.test('every page passes axe-core and fits a phone', async t => {
    const user = await aMember(database, { roles: ['Admin'] })
    const other = await aUser(database, { roles: ['Encoder'] })
    await aNotification(database, other.id)
    // A second session, which the page of devices offers to end.
    await new TestBrowser(app, { 'sec-fetch-site': 'same-origin' }).logIn(user)
    await aToken(database, user.id, { expiresAt: NOW + 3 * DAY })
    await aToken(database, user.id, { expiresAt: NOW - MINUTE })
    const paths = {
      tokens: '/admin',
      token: `/admin/tokens/${user.tokenId}`,
      devices: '/admin/devices',
      activity: '/admin/activity',
      password: '/admin/password',
      export: '/admin/export',
      'second-factor': '/admin/second-factor',
      users: '/admin/users',
      user: `/admin/users/${other.id}`,
      roles: '/admin/roles',
      role: '/admin/roles/1',
      'not-found': '/admin/nothing',
    }
    for (const [kind, options] of Object.entries<BrowserContextOptions>({
      light: { colorScheme: 'light' },
      dark: { colorScheme: 'dark' },
      phone: { colorScheme: 'light', viewport: { width: 360, height: 740 } },
    })) {
      const { page, close } = await openPage(options)
      for (const name of ['login', 'forgot-password', 'reset-password', 'reset-password?token=x']) {
        await page.goto(`/admin/${name}`)
        await inspect(t, page, `${kind}-${name.replace('?', '-')}`)
      }
      await page.goto('/admin/login')
      await logIn(page, user.email)
      for (const [name, path] of Object.entries(paths)) {
        await page.goto(path)
        await inspect(t, page, `${kind}-${name}`)
      }
      await page.goto('/admin')
      await page.fill('#name', 'x')
      await page.fill('#current_password', 'wrong')
      await page.getByRole('button', { name: 'Create token' }).click()
      await inspect(t, page, `${kind}-refused`)
      await page.fill('#current_password', PASSWORD)
      await page.getByRole('button', { name: 'Create token' }).click()
      await page.locator('#secret').waitFor()
      await inspect(t, page, `${kind}-issued`)
      await inspectQuestions(t, page, kind, other.id)
      await inspectSecondFactor(t, page, kind, app)
      await close()
    }
  })
})

/** Opens every confirmation question and inspects it. */
async function inspectQuestions(t: Test, page: Page, kind: string, userId: number) {
  const press = (name: string) => page.getByRole('button', { name }).first().click()
  const role = async () => {
    await page.goto('/admin/roles')
    await page.getByRole('link', { name: 'Patron' }).click()
    await page.getByLabel('view user').check()
    await press('Save permissions')
  }
  for (const [name, ask] of Object.entries<() => Promise<unknown>>({
    revoke: async () => [await page.goto('/admin'), await press('Revoke')],
    'revoke-all': async () => [await page.goto('/admin'), await press('Revoke all tokens')],
    end: async () => [await page.goto('/admin/devices'), await page.locator('.list button').first().click()],
    'end-others': async () => [await page.goto('/admin/devices'), await press('Log out all other browsers')],
    'user-revoke': async () => [
      await page.goto(`/admin/users/${userId}`),
      await press('Revoke all tokens and sessions'),
    ],
    'user-roles': async () => {
      await page.goto(`/admin/users/${userId}`)
      await page.getByLabel('Patron').check()
      await page.getByLabel('Encoder').uncheck()
      await press('Save roles')
    },
    ban: async () => {
      await page.goto(`/admin/users/${userId}`)
      await page.selectOption('#ban', 'everything')
      await page.fill('#reason', 'spam, and more of it')
      await page.getByLabel('Permanent').check()
      await page.getByRole('button', { name: 'Ban', exact: true }).click()
    },
    'ban-refused': async () => {
      await page.goto(`/admin/users/${userId}`)
      await page.selectOption('#ban', 'everything')
      await page.getByRole('button', { name: 'Ban', exact: true }).click()
    },
    role,
  })) {
    await ask()
    const has = await page.getByText('Cancel').count()
    t.equal(has, name === 'ban-refused' ? 0 : 1, name)
    await inspect(t, page, `${kind}-question-${name}`)
  }
  await page.goto('/admin')
  await page.fill('#name', 'both')
  await page.getByLabel('Read only').check()
  await page.getByLabel('write:token').check()
  await press('Create token')
  await page.getByRole('alert').waitFor()
  await inspect(t, page, `${kind}-both`)
}

/** Sets up and disables a second factor, and inspects each page. */
async function inspectSecondFactor(t: Test, page: Page, kind: string, app: TestApp) {
  const press = (name: string) => page.getByRole('button', { name }).first().click()
  const inspectAs = (name: string) => inspect(t, page, `${kind}-factor-${name}`)
  await page.goto('/admin/second-factor')
  await press('Set up a second factor')
  await page.getByText('1. Add it to your authenticator app').waitFor()
  await inspectAs('unconfirmed')
  const secret = (await page.locator('#secret').textContent()) ?? ''
  const confirm = async (code: string) => [await page.fill('#code', code), await press('Confirm')]
  await confirm('000000')
  await page.getByRole('alert').waitFor()
  await inspectAs('wrong')
  await confirm(totpCode(secret, app))
  await page.getByRole('heading', { name: 'Change it' }).waitFor()
  await inspectAs('confirmed')
  await press('Show recovery codes')
  await page.getByText('I have saved them').waitFor()
  await inspectAs('codes')
  app.clock.advance(11 * MINUTE)
  await page.goto('/admin/second-factor')
  await inspectAs('later')
  for (const name of ['Create new recovery codes', 'Replace the second factor', 'Remove the second factor']) {
    await page.goto('/admin/second-factor')
    await press(name)
    await page.locator('#recovery_code').waitFor()
    await inspectAs(name.slice(0, 4))
  }
  await press('Remove')
  await page.getByRole('alert').waitFor()
  await inspectAs('disable-refused')
  await page.fill('#code', totpCode(secret, app))
  await press('Remove')
  await page.getByRole('button', { name: 'Set up a second factor' }).waitFor()
}

interface Violation {
  id: string
  impact: string
  nodes: { html: string; failureSummary: string }[]
}

const CONTRAST = 'color-contrast'

/** The rules of axe-core for a page: all for a light one. A dark one differs in its colors, one on a phone in its layout. */
function rulesOf(name: string) {
  if (name.startsWith('dark')) return { runOnly: [CONTRAST] }
  return name.startsWith('phone') ? { rules: { [CONTRAST]: { enabled: false } } } : {}
}

/** Checks a page with axe-core, and that it needs no horizontal scrolling. */
async function inspect(t: Test, page: Page, name: string) {
  await page.waitForLoadState('load')
  if (PICTURES !== undefined) {
    await mkdir(PICTURES, { recursive: true })
    await page.screenshot({ path: join(PICTURES, `${name}.png`), fullPage: true })
  }
  await page.evaluate(axe)
  const { violations } = await page.evaluate<{ violations: Violation[] }>(
    `axe.run(${JSON.stringify({ ...rulesOf(name), resultTypes: ['violations'] })})`,
  )
  const found = violations.map(({ id, impact, nodes }) => [
    id,
    impact,
    nodes.map(({ html }) => html).slice(0, 3),
  ])
  t.strictSame(found, [], `axe-core violations: ${name}`)
  const width = await page.evaluate<number>('document.documentElement.scrollWidth - innerWidth')
  t.ok(width <= 0, `${name} fits the width of the window`)
}
