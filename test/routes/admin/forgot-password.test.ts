import t, { type Test } from 'tap'
import { linkIn } from '../../fixtures/mailbox.ts'
import { aPanelUser, PanelBrowser, textOf } from '../../fixtures/panel.ts'
import { NEW_PASSWORD } from '../../fixtures/passwords.ts'
import { startUnlimited } from '../../fixtures/server.ts'
import { aMember, PASSWORD } from '../../fixtures/users.ts'
import { get } from '../../support/app.ts'
import { createDatabase, PRODUCTION_ENGINE, type TestDatabase } from '../../support/databases.ts'

const FORGOT = '/admin/forgot-password'
const RESET = '/admin/reset-password'

for (const engine of PRODUCTION_ENGINE) {
  t.test(`a forgotten password on the panel, on ${engine}`, async t => {
    const database = await createDatabase(t, engine)
    t.teardown(() => database.close())
    await testRequests(t, database)
    await testResets(t, database)
  })
}

const startAtAppUrl = (t: Test, database: TestDatabase, environment = {}) =>
  startUnlimited(t, database, { APP_URL: 'http://accounts.example', ...environment })

/** Starts a server, mails a user a link to reset the password, and opens it. */
async function startWithResetLink(t: Test, database: TestDatabase, environment = {}) {
  const app = await startAtAppUrl(t, database, environment)
  const user = await aMember(database)
  const browser = new PanelBrowser(app)
  await browser.submit(await browser.open(FORGOT), FORGOT, { email: user.email })
  const link = linkIn(await app.mailbox.next())
  return { app, user, browser, link, page: await browser.open(link.pathname + link.search) }
}

async function testRequests(t: Test, database: TestDatabase) {
  await t.test('the login page links to the form, and the mail links to the panel', async t => {
    const app = await startAtAppUrl(t, database, { WIKI_RESET_PASSWORD: 'https://www.example.org/reset' })
    const user = await aMember(database)
    const browser = new PanelBrowser(app)
    t.match((await browser.open('/admin/login')).text, `href="${FORGOT}"`)
    const answer = await browser.submit(await browser.open(FORGOT), FORGOT, {
      email: user.email.toUpperCase(),
    })
    t.match(textOf(answer), /Log in If there is an account with this address, we have sent a mail/)
    const mail = await app.mailbox.next()
    t.equal(mail.to.address, user.email)
    const link = linkIn(mail)
    t.equal(link.origin + link.pathname, 'http://accounts.example/admin/reset-password')
    t.match(link.searchParams.get('token'), /^\w{64}$/)
    t.match((await browser.open(link.pathname + link.search)).text, link.searchParams.get('token') ?? '-')
    t.notMatch(JSON.stringify(app.logged), link.searchParams.get('token') ?? '-', 'the token is not logged')
  })

  await t.test('the mail for a request from the website links to WIKI_RESET_PASSWORD', async t => {
    const app = await startAtAppUrl(t, database, { WIKI_RESET_PASSWORD: 'https://www.example.org/reset' })
    const user = await aMember(database)
    const browser = new PanelBrowser(app)
    await browser.get('/sanctum/csrf-cookie')
    await browser.send('POST', '/forgot-password', { payload: { email: user.email } })
    t.match(linkIn(await app.mailbox.next()).href, /^https:\/\/www\.example\.org\/reset\?token=/)
  })

  for (const REVEAL_UNKNOWN_EMAIL of ['false', 'true']) {
    await t.test(
      `known and unknown addresses get the same response with REVEAL_UNKNOWN_EMAIL=${REVEAL_UNKNOWN_EMAIL}`,
      async t => {
        const app = await startAtAppUrl(t, database, { REVEAL_UNKNOWN_EMAIL })
        const user = await aMember(database)
        const responses = []
        for (const email of [user.email, user.email, 'unknown@example.org']) {
          const browser = new PanelBrowser(app)
          const { status, headers } = await browser.sendForm(await browser.open(FORGOT), FORGOT, { email })
          responses.push([status, headers.location])
          t.notMatch(headers, { 'set-cookie': /reset/ })
        }
        t.strictSame(responses, Array(3).fill([303, '/admin/login?done=reset-asked']))
      },
    )
  }

  await t.test('an invalid address returns 422 and is kept in the form', async t => {
    const app = await startAtAppUrl(t, database)
    const browser = new PanelBrowser(app)
    const answer = await browser.submit(await browser.open(FORGOT), FORGOT, { email: 'me at home' })
    t.equal(answer.status, 422)
    t.match(textOf(answer), 'The email must be a valid email address.')
    t.match(answer.text, 'value="me at home"')
    const empty = await browser.submit(answer, FORGOT, { email: '' })
    t.match(textOf(empty), 'The email field is required.')
  })

  await t.test('requests are rate limited and need the CSRF token of the page', async t => {
    const app = await startAtAppUrl(t, database, { FORGOT_PASSWORD_RATE_LIMIT: '2' })
    const browser = new PanelBrowser(app)
    const page = await browser.open(FORGOT)
    for (const status of [303, 303, 429]) {
      t.equal((await browser.sendForm(page, FORGOT, { email: 'unknown@example.org' })).status, status)
    }
    t.equal((await browser.sendForm(page, FORGOT, { _token: 'x' })).status, 419)
    const foreign = { origin: 'https://evil.example', 'sec-fetch-site': 'cross-site' }
    t.equal((await browser.sendForm(page, FORGOT, { email: 'a@example.org' }, foreign)).status, 403)
  })

  await t.test('a logged-in user is redirected to the panel', async t => {
    const app = await startAtAppUrl(t, database)
    const { browser } = await aPanelUser(app, database)
    for (const path of [FORGOT, `${RESET}?token=x`]) {
      t.equal((await browser.bare('GET', path)).headers.location, '/admin', path)
    }
  })
}

async function testResets(t: Test, database: TestDatabase) {
  await t.test('the link sets a new password once and ends all sessions', async t => {
    const { app, user, browser, page } = await startWithResetLink(t, database)
    const other = new PanelBrowser(app)
    await other.logIn({ email: user.email, password: PASSWORD })
    const entered = { email: user.email, password: NEW_PASSWORD, password_confirmation: NEW_PASSWORD }
    const done = await browser.submit(page, RESET, entered)
    t.match(textOf(done), /Log in Your password was changed\. You can log in with it now\./)
    t.equal((await other.bare('GET', '/admin')).status, 303)
    t.equal((await new PanelBrowser(app).logIn({ email: user.email, password: PASSWORD })).status, 422)
    t.match(
      textOf(await new PanelBrowser(app).logIn({ email: user.email, password: NEW_PASSWORD })),
      'Tokens',
    )
    t.equal(
      (await get(app, '/api/me', user.token)).status,
      200,
      'tokens stay valid unless the box is checked',
    )
    const again = await browser.submit(page, RESET, entered)
    t.equal(again.status, 422)
    t.match(textOf(again), 'This password reset token is invalid.')
  })

  await t.test(
    'tokens are revoked if the box is checked; REVOKE_TOKENS_ON_PASSWORD_RESET sets its default',
    async t => {
      const { app, user, browser, page } = await startWithResetLink(t, database)
      const checked = /name="revoke_tokens" value="1" checked/
      t.match(page.text, checked)
      const off = await startWithResetLink(t, database, { REVOKE_TOKENS_ON_PASSWORD_RESET: 'false' })
      t.notMatch(off.page.text, checked)
      t.notMatch(
        (await off.browser.submit(page, RESET, { email: 'x' })).text,
        checked,
        'an unchecked box stays unchecked',
      )
      const entered = {
        email: user.email,
        password: NEW_PASSWORD,
        password_confirmation: NEW_PASSWORD,
        revoke_tokens: '1',
      }
      t.equal((await browser.sendForm(page, RESET, entered)).status, 303)
      t.equal((await get(app, '/api/me', user.token)).status, 401)
    },
  )

  await t.test('invalid input returns 422 and keeps the address and the token', async t => {
    const { user, browser, link, page } = await startWithResetLink(t, database)
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
      password: NEW_PASSWORD,
      password_confirmation: NEW_PASSWORD,
    })
    t.equal(answer.status, 422)
    t.match(textOf(answer), 'This password reset token is invalid.')
    const bare = await browser.open(RESET)
    t.match(textOf(bare), 'Token from the mail', 'without a link the form has a field for the token')
    const without = await browser.submit(bare, RESET, { email: user.email, password: NEW_PASSWORD })
    t.match(textOf(without), 'The token field is required.')
  })

  await t.test('the token of the link is escaped', async t => {
    const { browser } = await startWithResetLink(t, database)
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

  await t.test('guesses of reset tokens are rate limited', async t => {
    const { user, browser, page } = await startWithResetLink(t, database, { FORGOT_PASSWORD_RATE_LIMIT: '2' })
    const guess = {
      email: user.email,
      token: 'x',
      password: NEW_PASSWORD,
      password_confirmation: NEW_PASSWORD,
    }
    for (const status of [422, 422, 429]) {
      t.equal((await browser.sendForm(page, RESET, guess)).status, status)
    }
  })
}
