import { mkdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { BrowserContextOptions, Page } from 'playwright-core'
import t, { type Test } from 'tap'
import { TestBrowser } from '../../fixtures/browser.ts'
import { DAY, MINUTE, NOW } from '../../fixtures/clock.ts'
import { aNotification } from '../../fixtures/lists.ts'
import { totpCode } from '../../fixtures/second-factor.ts'
import { launch, skip } from '../../fixtures/spa.ts'
import { aMember, aToken, aUser, PASSWORD } from '../../fixtures/users.ts'
import { startApp, type TestApp } from '../../support/app.ts'
import { createDatabase } from '../../support/databases.ts'
import { freePort } from '../../support/services.ts'

/** Where pictures of the pages are put, to be looked at; nowhere unless it is named. */
const PICTURES = process.env.TEST_PICTURES

const axe = await readFile(join(import.meta.dirname, '../../../../node_modules/axe-core/axe.min.js'), 'utf8')

t.test('the panel in a browser', { skip }, async t => {
  const database = await createDatabase(t, 'postgres')
  t.teardown(() => database.close())
  const user = await aUser(database, { password: PASSWORD, roles: ['Admin'] })
  const port = await freePort()
  const origin = `http://127.0.0.1:${port}`
  const app = await startApp(t, {
    database,
    environment: {
      APP_URL: origin,
      RATE_LIMIT_AUTHENTICATED: '10000',
      LOGIN_RATE_LIMIT: '100',
      CONFIRM_PASSWORD_RATE_LIMIT: '100',
    },
  })
  await app.listen({ host: '127.0.0.1', port })
  const browser = await launch(t)

  /** A page that may ask nobody but this server, and says whom it asked. */
  const openPage = async (options: BrowserContextOptions = {}) => {
    const context = await browser.newContext({ baseURL: origin, ...options })
    await context.grantPermissions(['clipboard-read', 'clipboard-write'])
    const elsewhere: string[] = []
    const complaints: string[] = []
    await context.route('**/*', route => {
      if (new URL(route.request().url()).origin === origin) return route.continue()
      elsewhere.push(route.request().url())
      return route.abort()
    })
    const page = await context.newPage()
    page.on('console', message => {
      if (message.type() === 'error') complaints.push(message.text())
    })
    page.on('pageerror', error => complaints.push(error.message))
    return { page, elsewhere, complaints, close: () => context.close() }
  }
  const logIn = async (page: Page, email = user.email) => {
    await page.goto('/admin')
    await page.fill('#email', email)
    await page.fill('#password', PASSWORD)
    await page.getByRole('button', { name: 'Log in' }).click()
  }

  await t.test('a token is generated, copied, used, seen to be used, and revoked', async t => {
    const { page, elsewhere, complaints, close } = await openPage()
    await logIn(page)
    await page.getByRole('heading', { name: 'Tokens' }).waitFor()
    await page.fill('#name', 'my <script> laptop')
    await page.fill('#current_password', PASSWORD)
    await page.getByRole('button', { name: 'Generate the token' }).click()
    await page.click('text="Copy"')
    await page.getByText('Copied.').waitFor()
    const token = await page.evaluate<string>('navigator.clipboard.readText()')
    t.match(token, /^\d+\|\w{48}$/)

    const ask = () => fetch(`${origin}/api/me`, { headers: { authorization: `Bearer ${token}` } })
    await page.click('text="I have copied it"')
    const line = page.getByRole('listitem').filter({ hasText: 'my <script> laptop' })
    t.match(await line.textContent(), /Last used: never/)
    t.equal((await ask()).status, 200)
    await app.activity.flush()
    await page.reload()
    t.match(await line.textContent(), /Last used: 2026-03-01 12:00 UTC from 127\.0\.0\.1/)

    await line.getByRole('button').click()
    await page.getByRole('heading', { name: 'Revoke “my <script> laptop”?' }).waitFor()
    await page.getByRole('button', { name: 'Revoke the token' }).click()
    await page.getByRole('status').getByText('The token is revoked').waitFor()
    t.equal((await ask()).status, 401, 'the very next request is refused')
    t.strictSame(elsewhere, [])
    t.strictSame(complaints, [], 'and the policy stops nothing that the pages need')
    await close()
  })

  await t.test('works without a script, by keyboard alone', async t => {
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
      'no button is there that does nothing',
    )
    await close()
  })

  for (const javaScriptEnabled of [true, false]) {
    await t.test(
      `clicking twice sends one form, ${javaScriptEnabled ? 'with' : 'without'} a script`,
      async t => {
        const other = await aUser(database, { password: PASSWORD })
        const { page, close } = await openPage({ javaScriptEnabled })
        await logIn(page, other.email)
        await page.fill('#name', 'twice')
        await page.fill('#current_password', PASSWORD)
        await page.getByRole('button', { name: 'Generate the token' }).dblclick()
        const issued = page.locator('#secret')
        await issued.or(page.getByText('the token was issued then, once')).waitFor()
        if (javaScriptEnabled) t.equal(await issued.count(), 1, 'and the answer is that to the first one')
        await page.goto('/admin')
        t.equal(await page.getByRole('link', { name: 'twice' }).count(), 1)

        await page.goBack()
        await page.goto('/admin/devices')
        await page.getByRole('button', { name: 'Log out' }).dblclick()
        await page.getByRole('heading', { name: 'Log in' }).waitFor()
        await close()
      },
    )
  }

  await t.test('asks for the second factor', async t => {
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
    t.pass('the password alone opens nothing')
    await page.goto('/admin/two-factor')
    await page.fill('#code', '000000')
    await page.click('text="Go on"')
    await page.getByRole('alert').getByText('invalid').waitFor()
    await page.fill('#code', code())
    await page.click('text="Go on"')
    await page.getByRole('heading', { name: 'Tokens' }).waitFor()
    await close()
  })

  await t.test('people who see, hear or reach it in another way can use it', async t => {
    const other = await aUser(database, { roles: ['Encoder'] })
    await aNotification(database, other.id)
    await aToken(database, user.id, { expiresAt: NOW + 3 * DAY })
    await aToken(database, user.id, { expiresAt: NOW - MINUTE })
    const paths = {
      tokens: '/admin',
      token: `/admin/tokens/${user.tokenId}`,
      devices: '/admin/devices',
      activity: '/admin/activity',
      password: '/admin/password',
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
      await logIn(page)
      for (const [name, path] of Object.entries(paths)) {
        await page.goto(path)
        await inspect(t, page, `${kind}-${name}`)
      }
      await page.goto('/admin')
      await page.fill('#name', 'x')
      await page.fill('#current_password', 'wrong')
      await page.getByRole('button', { name: 'Generate the token' }).click()
      await inspect(t, page, `${kind}-refused`)
      await page.fill('#current_password', PASSWORD)
      await page.getByRole('button', { name: 'Generate the token' }).click()
      await page.locator('#secret').waitFor()
      await inspect(t, page, `${kind}-issued`)
      await inspectQuestions(t, page, kind, other.id)
      await inspectSecondFactor(t, page, kind, app)
      await close()
    }
  })
})

/** Has every question asked, and looks at it. */
async function inspectQuestions(t: Test, page: Page, kind: string, userId: number) {
  const press = (name: string) => page.getByRole('button', { name }).first().click()
  const role = async () => {
    await page.goto('/admin/roles')
    await page.getByRole('link', { name: 'Patron' }).click()
    await page.getByLabel('view user').check()
    await press('Set what it allows')
  }
  for (const [name, ask] of Object.entries<() => Promise<unknown>>({
    revoke: async () => [await page.goto('/admin'), await press('Revoke')],
    'revoke-all': async () => [await page.goto('/admin'), await press('Revoke all tokens')],
    end: async () => [await page.goto('/admin/devices'), await page.locator('.list button').first().click()],
    'end-others': async () => [await page.goto('/admin/devices'), await press('Log all others out')],
    'user-revoke': async () => [
      await page.goto(`/admin/users/${userId}`),
      await press('Revoke all tokens and sessions'),
    ],
    'user-roles': async () => {
      await page.goto(`/admin/users/${userId}`)
      await page.getByLabel('Patron').check()
      await page.getByLabel('Encoder').uncheck()
      await press('Set the roles')
    },
    ban: async () => {
      await page.goto(`/admin/users/${userId}`)
      await page.selectOption('#ban', 'everything')
      await page.fill('#reason', 'spam, and more of it')
      await page.getByLabel('Without an end').check()
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
    const has = await page.getByText('No, go back').count()
    t.equal(has, name === 'ban-refused' ? 0 : 1, name)
    await inspect(t, page, `${kind}-question-${name}`)
  }
  await page.goto('/admin')
  await page.fill('#name', 'both')
  await page.getByLabel('Read only').check()
  await page.getByLabel('write:token').check()
  await press('Generate the token')
  await page.getByRole('alert').waitFor()
  await inspect(t, page, `${kind}-both`)
}

/** Sets up a second factor and takes it away again, and looks at every page on the way. */
async function inspectSecondFactor(t: Test, page: Page, kind: string, app: TestApp) {
  const press = (name: string) => page.getByRole('button', { name }).first().click()
  const look = (name: string) => inspect(t, page, `${kind}-factor-${name}`)
  await page.goto('/admin/second-factor')
  await press('Set up a second factor')
  await page.getByText('1. Add it to your authenticator app').waitFor()
  await look('unconfirmed')
  const secret = (await page.locator('#secret').textContent()) ?? ''
  const confirm = async (code: string) => [await page.fill('#code', code), await press('Confirm it')]
  await confirm('000000')
  await page.getByRole('alert').waitFor()
  await look('wrong')
  await confirm(totpCode(secret, app))
  await page.getByRole('heading', { name: 'Change it' }).waitFor()
  await look('confirmed')
  await press('Show the recovery codes')
  await page.getByText('I have kept them').waitFor()
  await look('codes')
  app.clock.advance(11 * MINUTE)
  await page.goto('/admin/second-factor')
  await look('later')
  for (const name of ['Make new recovery codes', 'Replace the second factor', 'Disable the second factor']) {
    await page.goto('/admin/second-factor')
    await press(name)
    await page.locator('#recovery_code').waitFor()
    await look(name.slice(0, 4))
  }
  await press('Disable it')
  await page.getByRole('alert').waitFor()
  await look('disable-refused')
  await page.fill('#code', totpCode(secret, app))
  await press('Disable it')
  await page.getByRole('button', { name: 'Set up a second factor' }).waitFor()
}

interface Violation {
  id: string
  impact: string
  nodes: { html: string; failureSummary: string }[]
}

/** Has axe-core look at a page, and sees that it is no wider than its window. */
async function inspect(t: Test, page: Page, name: string) {
  await page.waitForLoadState('load')
  if (PICTURES !== undefined) {
    await mkdir(PICTURES, { recursive: true })
    await page.screenshot({ path: join(PICTURES, `${name}.png`), fullPage: true })
  }
  await page.evaluate(axe)
  const { violations } = await page.evaluate<{ violations: Violation[] }>('axe.run()')
  const told = violations.map(({ id, impact, nodes }) => [
    id,
    impact,
    nodes.map(({ html }) => html).slice(0, 3),
  ])
  t.strictSame(told, [], `axe-core finds nothing: ${name}`)
  const width = await page.evaluate<number>('document.documentElement.scrollWidth - innerWidth')
  t.ok(width <= 0, `${name} needs no scrolling to the side`)
}
