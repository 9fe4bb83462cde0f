import t, { type Test } from 'tap'
import { linkIn } from '../../fixtures/mailbox.ts'
import { aPanelUser, PanelBrowser, textOf } from '../../fixtures/panel.ts'
import { UNLIMITED } from '../../fixtures/settings.ts'
import { aUser, PASSWORD } from '../../fixtures/users.ts'
import { get, startApp } from '../../support/app.ts'
import { createDatabase, PRODUCTION_ENGINE, type TestDatabase } from '../../support/databases.ts'

const NEW = 'Another-horse-2'

const FORGOT = '/admin/forgot-password'
const RESET = '/admin/reset-password'

for (const engine of PRODUCTION_ENGINE) {
  t.test(`a forgotten password on the panel, on ${engine}`, async t => {
    const database = await createDatabase(t, engine)
    t.teardown(() => database.close())
    await asking(t, database)
    await resetting(t, database)
  })
}

const start = (t: Test, database: TestDatabase, environment = {}) =>
  startApp(t, { database, environment: { APP_URL: 'http://accounts.example', ...UNLIMITED, ...environment } })

/** A user who was sent a link, with the path and query of it. */
async function withLink(t: Test, database: TestDatabase, environment = {}) {
  const app = await start(t, database, environment)
  const user = await aUser(database, { password: PASSWORD })
  const browser = new PanelBrowser(app)
  await browser.submit(await browser.open(FORGOT), FORGOT, { email: user.email })
  const link = linkIn(await app.mailbox.next())
  return { app, user, browser, link, page: await browser.open(link.pathname + link.search) }
}

async function asking(t: Test, database: TestDatabase) {
  await t.test('the login leads there, and a mail leads back to the panel', async t => {
    const app = await start(t, database, { WIKI_RESET_PASSWORD: 'https://www.example.org/reset' })
    const user = await aUser(database, { password: PASSWORD })
    const browser = new PanelBrowser(app)
    t.match((await browser.open('/admin/login')).text, `href="${FORGOT}"`)
    const answer = await browser.submit(await browser.open(FORGOT), FORGOT, {
      email: user.email.toUpperCase(),
    })
    t.match(textOf(answer), /Log in If there is an account with that address, a mail .* is on its way/)
    const mail = await app.mailbox.next()
    t.equal(mail.to.address, user.email)
    const link = linkIn(mail)
    t.equal(link.origin + link.pathname, 'http://accounts.example/admin/reset-password')
    t.match(link.searchParams.get('token'), /^\w{64}$/)
    t.match((await browser.open(link.pathname + link.search)).text, link.searchParams.get('token') ?? '-')
    t.notMatch(JSON.stringify(app.logged), link.searchParams.get('token') ?? '-', 'and no log has the token')
  })

  await t.test('the website leads to its own page', async t => {
    const app = await start(t, database, { WIKI_RESET_PASSWORD: 'https://www.example.org/reset' })
    const user = await aUser(database, { password: PASSWORD })
    const browser = new PanelBrowser(app)
    await browser.get('/sanctum/csrf-cookie')
    await browser.send('POST', '/forgot-password', { payload: { email: user.email } })
    t.match(linkIn(await app.mailbox.next()).href, /^https:\/\/www\.example\.org\/reset\?token=/)
  })

  for (const REVEAL_UNKNOWN_EMAIL of ['false', 'true']) {
    await t.test(
      `every address gets the same answer, with REVEAL_UNKNOWN_EMAIL=${REVEAL_UNKNOWN_EMAIL}`,
      async t => {
        const app = await start(t, database, { REVEAL_UNKNOWN_EMAIL })
        const user = await aUser(database, { password: PASSWORD })
        const told = []
        for (const email of [user.email, user.email, 'nobody@example.org']) {
          const browser = new PanelBrowser(app)
          const { status, headers } = await browser.sendForm(await browser.open(FORGOT), FORGOT, { email })
          told.push([status, headers.location])
          t.notMatch(headers, { 'set-cookie': /reset/ })
        }
        t.strictSame(told, Array(3).fill([303, '/admin/login?done=reset-asked']))
      },
    )
  }

  await t.test('what is no address is said, and kept', async t => {
    const app = await start(t, database)
    const browser = new PanelBrowser(app)
    const answer = await browser.submit(await browser.open(FORGOT), FORGOT, { email: 'me at home' })
    t.equal(answer.status, 422)
    t.match(textOf(answer), 'The email must be a valid email address.')
    t.match(answer.text, 'value="me at home"')
    const empty = await browser.submit(answer, FORGOT, { email: '' })
    t.match(textOf(empty), 'The email field is required.')
  })

  await t.test('asking is limited, and needs the page', async t => {
    const app = await start(t, database, { FORGOT_PASSWORD_RATE_LIMIT: '2' })
    const browser = new PanelBrowser(app)
    const page = await browser.open(FORGOT)
    for (const status of [303, 303, 429]) {
      t.equal((await browser.sendForm(page, FORGOT, { email: 'somebody@example.org' })).status, status)
    }
    t.equal((await browser.sendForm(page, FORGOT, { _token: 'x' })).status, 419)
    const foreign = { origin: 'https://evil.example', 'sec-fetch-site': 'cross-site' }
    t.equal((await browser.sendForm(page, FORGOT, { email: 'a@example.org' }, foreign)).status, 403)
  })

  await t.test('who is logged in is led on', async t => {
    const app = await start(t, database)
    const { browser } = await aPanelUser(app, database)
    for (const path of [FORGOT, `${RESET}?token=x`]) {
      t.equal((await browser.bare('GET', path)).headers.location, '/admin', path)
    }
  })
}

async function resetting(t: Test, database: TestDatabase) {
  await t.test('the link leads to a new password, once, and ends all sessions', async t => {
    const { app, user, browser, page } = await withLink(t, database)
    const other = new PanelBrowser(app)
    await other.logIn({ email: user.email, password: PASSWORD })
    const entered = { email: user.email, password: NEW, password_confirmation: NEW }
    const done = await browser.submit(page, RESET, entered)
    t.match(textOf(done), /Log in You have a new password\. Log in with it\./)
    t.equal((await other.bare('GET', '/admin')).status, 303)
    t.equal((await new PanelBrowser(app).logIn({ email: user.email, password: PASSWORD })).status, 422)
    t.match(textOf(await new PanelBrowser(app).logIn({ email: user.email, password: NEW })), 'Tokens')
    t.equal((await get(app, '/api/me', user.token)).status, 200, 'tokens go on if it is unticked')
    const again = await browser.submit(page, RESET, entered)
    t.equal(again.status, 422)
    t.match(textOf(again), 'This password reset token is invalid.')
  })

  await t.test(
    'tokens are revoked if that is ticked, as it is unless the settings say otherwise',
    async t => {
      const { app, user, browser, page } = await withLink(t, database)
      const ticked = /name="revoke_tokens" value="1" checked/
      t.match(page.text, ticked)
      const off = await withLink(t, database, { REVOKE_TOKENS_ON_PASSWORD_RESET: 'false' })
      t.notMatch(off.page.text, ticked)
      t.notMatch(
        (await off.browser.submit(page, RESET, { email: 'x' })).text,
        ticked,
        'nor what was unticked',
      )
      const entered = { email: user.email, password: NEW, password_confirmation: NEW, revoke_tokens: '1' }
      t.equal((await browser.sendForm(page, RESET, entered)).status, 303)
      t.equal((await get(app, '/api/me', user.token)).status, 401)
    },
  )

  await t.test('what is wrong is said, and neither the address nor the token is lost', async t => {
    const { user, browser, link, page } = await withLink(t, database)
    const token = link.searchParams.get('token') ?? ''
    let answer = await browser.submit(page, RESET, { email: user.email, password: 'x' })
    t.equal(answer.status, 422)
    t.match(textOf(answer), 'The password must be at least 8 characters.')
    t.match(answer.text, `value="${user.email}"`)
    t.match(answer.text, `value="${token}"`)
    t.notMatch(answer.text, 'value="x"')
    answer = await browser.submit(answer, RESET, {
      email: user.email,
      token: 'x'.repeat(64),
      password: NEW,
      password_confirmation: NEW,
    })
    t.equal(answer.status, 422)
    t.match(textOf(answer), 'This password reset token is invalid.')
    const bare = await browser.open(RESET)
    t.match(textOf(bare), 'Token from the mail', 'without the link the token is asked for')
    const without = await browser.submit(bare, RESET, { email: user.email, password: NEW })
    t.match(textOf(without), 'The token field is required.')
  })

  await t.test('what stands in the link stays text', async t => {
    const { browser } = await withLink(t, database)
    for (const query of [
      `?token=${encodeURIComponent('"><script>alert(1)</script>')}`,
      '?token[]=x',
      '?token=a&token=b',
      '?token=',
    ]) {
      const answer = await browser.bare('GET', RESET + query)
      t.equal(answer.status, 200, query)
      t.notMatch(answer.text, '<script>')
    }
  })

  await t.test('guessing tokens is limited', async t => {
    const { user, browser, page } = await withLink(t, database, { FORGOT_PASSWORD_RATE_LIMIT: '2' })
    const guess = { email: user.email, token: 'x', password: NEW, password_confirmation: NEW }
    for (const status of [422, 422, 429]) {
      t.equal((await browser.sendForm(page, RESET, guess)).status, status)
    }
  })
}
