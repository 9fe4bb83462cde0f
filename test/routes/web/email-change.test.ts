import t, { type Test } from 'tap'
import { TestBrowser } from '../../fixtures/browser.ts'
import { DAY, MINUTE } from '../../fixtures/clock.ts'
import { linkIn } from '../../fixtures/mailbox.ts'
import { PanelBrowser, textOf } from '../../fixtures/panel.ts'
import { UNLIMITED } from '../../fixtures/settings.ts'
import { aMember, aToken, PASSWORD } from '../../fixtures/users.ts'
import { get, startApp, type TestApp } from '../../support/app.ts'
import { createDatabase, ENGINES, type TestDatabase } from '../../support/databases.ts'

const NEW = 'Another-horse-2'
const NEEDS_PASSWORD = { email: ['Confirm your password to change your e-mail address.'] }
const TAKEN = { email: ['The email has already been taken.'] }

let made = 0
const someAddress = () => `changed-${process.pid}-${++made}@example.org`

for (const engine of ENGINES) {
  t.test(`changing a verified e-mail address on ${engine}`, async t => {
    const database = await createDatabase(t, engine)
    t.teardown(() => database.close())
    await asking(t, database)
    await confirming(t, database)
    await reverting(t, database)
  })
}

const change = (browser: TestBrowser, payload: object) =>
  browser.send('PUT', '/user/profile-information', { payload })
const follow = (browser: TestBrowser, { pathname, search }: URL) => browser.get(pathname + search)
const emailOf = async (browser: TestBrowser) => (await browser.get('/api/me')).json.user?.email
const stored = ({ kysely }: TestDatabase, id: number) =>
  kysely.selectFrom('users').selectAll().where('id', '=', id).executeTakeFirstOrThrow()

/** A user with a verified address who is logged in. */
async function loggedIn(t: Test, database: TestDatabase, environment: Record<string, string> = {}) {
  const app = await startApp(t, { database, environment: { ...UNLIMITED, ...environment } })
  return { app, ...(await another(app, database)) }
}

async function another(app: TestApp, database: TestDatabase) {
  const user = await aMember(database)
  const browser = new TestBrowser(app)
  await browser.logIn(user)
  return { user, browser }
}

/** The same, who has confirmed the password. */
async function confirmed(t: Test, database: TestDatabase, environment: Record<string, string> = {}) {
  const context = await loggedIn(t, database, environment)
  await context.browser.post('/user/confirm-password', { password: PASSWORD })
  return context
}

/** The same, whose address was changed: with the link that brings the old one back. */
async function changed(t: Test, database: TestDatabase, environment: Record<string, string> = {}) {
  const context = await confirmed(t, database, environment)
  const email = someAddress()
  await change(context.browser, { email })
  t.equal((await follow(context.browser, linkIn(await context.app.mailbox.next()))).status, 204)
  const mail = await context.app.mailbox.next()
  t.equal(mail.to.address, context.user.email)
  return { ...context, email, link: linkIn(mail) }
}

async function asking(t: Test, database: TestDatabase) {
  await t.test('a stolen session changes nothing without the password', async t => {
    const { app, user, browser } = await loggedIn(t, database)
    const name = `n${made++}`
    const refused = await change(browser, { name, email: someAddress() })
    t.equal(refused.status, 422)
    t.strictSame(refused.json.errors, NEEDS_PASSWORD)
    t.match((await browser.get('/api/me')).json.user, { name: user.name, email: user.email })
    t.strictSame(app.mailbox.mails, [])
    await browser.post('/user/confirm-password', { password: PASSWORD })
    app.clock.advance(180 * MINUTE + 1000)
    await browser.logIn(user)
    t.strictSame((await change(browser, { email: someAddress() })).json.errors, NEEDS_PASSWORD, 'nor later')
  })

  await t.test('nor does a stolen remember cookie', async t => {
    const { app, user } = await loggedIn(t, database)
    const browser = new TestBrowser(app)
    await browser.get('/sanctum/csrf-cookie')
    await browser.post('/login', { ...user, remember: true })
    await browser.post('/user/confirm-password', { password: PASSWORD })
    const thief = browser.clone()
    for (const name of ['animethemes_session', 'XSRF-TOKEN']) thief.cookies.delete(name)
    t.equal((await thief.get('/api/me')).status, 200)
    t.strictSame((await change(thief, { email: someAddress() })).json.errors, NEEDS_PASSWORD)
  })

  await t.test('it is told beside whatever else is wrong, and of no name', async t => {
    const { browser } = await loggedIn(t, database)
    const { json } = await change(browser, { name: 'no name', email: someAddress() })
    t.strictSame(Object.keys(json.errors), ['name', 'email'])
    t.equal((await change(browser, { name: `n${made++}` })).status, 200, 'a name takes no password')
  })

  await t.test('an address that was never verified changes at once', async t => {
    const { app, user, browser } = await loggedIn(t, database)
    await database.kysely
      .updateTable('users')
      .set({ email_verified_at: null })
      .where('id', '=', user.id)
      .execute()
    const email = someAddress()
    t.equal((await change(browser, { email })).status, 200)
    t.match((await browser.get('/api/me')).json.user, { email, email_verified_at: null })
    await app.mailbox.next()
    t.equal(app.mailbox.mails.length, 1, 'and the old one, which may be a stranger, hears nothing')
  })

  await t.test('until the link is opened the old address is the one that counts', async t => {
    const { app, user, browser } = await confirmed(t, database)
    const email = someAddress()
    const name = `n${made++}`
    const answer = await change(browser, { name, email })
    t.equal(answer.status, 200)
    t.equal(answer.text, '""')
    t.match((await browser.get('/api/me')).json.user, { name, email: user.email, email_verified_at: /^2026/ })
    const link = await app.mailbox.next()
    t.strictSame(link.to, { name, address: email })
    t.equal((await new TestBrowser(app).logIn({ email, password: PASSWORD })).status, 422)
    t.equal((await new TestBrowser(app).logIn(user)).status, 200)
    const guest = new TestBrowser(app)
    await guest.get('/sanctum/csrf-cookie')
    await guest.post('/forgot-password', { email })
    await guest.post('/forgot-password', { email: user.email })
    t.equal((await app.mailbox.next()).to.address, user.email, 'mails go to the old one')
    t.equal(app.mailbox.mails.length, 2)
    t.match(
      app.logged.find(({ msg }) => msg === 'email change asked for'),
      { userId: user.id },
    )
  })

  await t.test('the link can be asked for again, and the change be taken back', async t => {
    const { app, user, browser } = await confirmed(t, database)
    const email = someAddress()
    await change(browser, { email })
    const first = linkIn(await app.mailbox.next())
    app.clock.advance(MINUTE)
    t.equal((await browser.post('/email/verification-notification')).status, 202)
    const second = await app.mailbox.next()
    t.equal(second.to.address, email)
    t.equal((await change(browser, { email: user.email })).status, 200)
    for (const link of [first, linkIn(second)]) t.equal((await follow(browser, link)).status, 403)
    t.equal(await emailOf(browser), user.email)
    t.equal((await browser.post('/email/verification-notification')).status, 204, 'nothing waits any more')
  })

  await t.test('immediate is as in the reference', async t => {
    const { app, user, browser } = await loggedIn(t, database, { EMAIL_CHANGE: 'immediate' })
    const email = someAddress()
    t.equal((await change(browser, { email })).status, 200)
    t.match((await browser.get('/api/me')).json.user, { email, email_verified_at: null })
    t.equal((await app.mailbox.next()).to.address, email)
    const notice = await app.mailbox.next()
    t.equal(notice.to.address, user.email)
    t.notMatch(notice.text, /http/)
  })
}

async function confirming(t: Test, database: TestDatabase) {
  await t.test('the link makes the address the one of the account, verified', async t => {
    const { app, user, browser, email } = await changed(t, database)
    t.match((await browser.get('/api/me')).json.user, { email, email_verified_at: /^2026/ })
    t.equal((await new TestBrowser(app).logIn({ email, password: PASSWORD })).status, 200)
    t.equal((await new TestBrowser(app).logIn(user)).status, 422)
    t.match(
      app.logged.find(({ msg }) => msg === 'email changed'),
      { userId: user.id },
    )
  })

  await t.test('only in a session of the very user, and only as it was signed', async t => {
    const { app, user, browser } = await confirmed(t, database)
    await change(browser, { email: someAddress() })
    const link = linkIn(await app.mailbox.next())
    const stranger = await another(app, database)
    t.equal((await follow(new TestBrowser(app), link)).status, 401, 'a scanner of mails has no session')
    t.equal((await follow(stranger.browser, link)).status, 403)
    const forged = new URL(link)
    forged.searchParams.set('signature', '0'.repeat(64))
    t.equal((await follow(browser, forged)).status, 403)
    t.equal(await emailOf(browser), user.email)
    app.clock.advance(61 * MINUTE)
    t.equal((await follow(browser, link)).status, 403, 'and within an hour')
    t.equal(await emailOf(browser), user.email)
  })

  await t.test('a later wish takes the place of an earlier one', async t => {
    const { app, browser } = await confirmed(t, database)
    const [first, second] = [someAddress(), someAddress()]
    await change(browser, { email: first })
    const link = linkIn(await app.mailbox.next())
    await change(browser, { email: second })
    t.equal((await follow(browser, link)).status, 403)
    t.equal((await follow(browser, linkIn(await app.mailbox.next()))).status, 204)
    t.equal(await emailOf(browser), second)
  })

  await t.test('of two users who want an address, the first to confirm it gets it', async t => {
    const { app, user, browser } = await confirmed(t, database)
    const other = await another(app, database)
    await other.browser.post('/user/confirm-password', { password: PASSWORD })
    const email = someAddress()
    const links: URL[] = []
    for (const one of [browser, other.browser]) {
      t.equal((await change(one, { email })).status, 200)
      links.push(linkIn(await app.mailbox.next()))
    }
    const [first, second] = links as [URL, URL]
    const answers = await Promise.all([follow(browser, first), follow(other.browser, second)])
    t.strictSame(answers.map(({ status }) => status).sort(), [204, 422])
    const loser = answers[0]?.status === 422 ? { user, browser } : other
    t.strictSame(answers.find(({ status }) => status === 422)?.json.errors, TAKEN)
    t.equal(await emailOf(loser.browser), loser.user.email, 'the other one keeps the old one')
  })

  await t.test('a link to a new password that went to the old address opens nothing any more', async t => {
    const { app, user, browser } = await confirmed(t, database)
    const guest = new TestBrowser(app)
    await guest.get('/sanctum/csrf-cookie')
    await guest.post('/forgot-password', { email: user.email })
    const token = linkIn(await app.mailbox.next()).searchParams.get('token')
    const email = someAddress()
    await change(browser, { email })
    await follow(browser, linkIn(await app.mailbox.next()))
    for (const address of [user.email, email]) {
      const payload = { token, email: address, password: NEW, password_confirmation: NEW }
      t.equal((await guest.post('/reset-password', payload)).status, 422)
    }
  })
}

async function reverting(t: Test, database: TestDatabase) {
  /** What a scanner of mails does, and then a person. */
  const revert = async (app: TestApp, { pathname, search }: URL) => {
    const browser = new PanelBrowser(app)
    const page = await browser.open(pathname + search)
    return { page, done: page.status === 200 ? await browser.submit(page, '/admin/revert-email') : page }
  }

  await t.test('opening the page changes nothing, its button brings the old address back', async t => {
    const { app, user, browser, email, link } = await changed(t, database)
    const thief = new TestBrowser(app)
    await thief.get('/sanctum/csrf-cookie')
    await thief.post('/login', { email, password: PASSWORD, remember: true })
    const token = await aToken(database, user.id)

    for (let n = 0; n < 3; n += 1) {
      const scanned = await get(app, link.pathname + link.search)
      t.equal(scanned.status, 200)
      t.equal(await emailOf(browser), email)
    }
    const { page, done } = await revert(app, link)
    t.match(textOf(page), user.email)
    t.match(textOf(done), /is the address of the account again/)
    const row = await stored(database, user.id)
    t.match(row, { email: user.email, email_verified_at: /^2026/ })
    for (const one of [browser, thief]) t.equal((await one.get('/api/me')).status, 401, 'all are logged out')
    thief.cookies.delete('animethemes_session')
    t.equal((await thief.get('/api/me')).status, 401, 'and forgotten')
    t.equal((await get(app, '/api/me', token.token)).status, 401)
    for (const address of [email, user.email]) {
      t.equal((await new TestBrowser(app).logIn({ email: address, password: PASSWORD })).status, 422)
    }

    const mail = await app.mailbox.next()
    t.equal(mail.to.address, user.email)
    const guest = new TestBrowser(app)
    await guest.get('/sanctum/csrf-cookie')
    const reset = { email: user.email, password: NEW, password_confirmation: NEW }
    const resetToken = linkIn(mail).searchParams.get('token')
    t.equal((await guest.post('/reset-password', { ...reset, token: resetToken })).status, 200)
    t.equal((await new TestBrowser(app).logIn({ email: user.email, password: NEW })).status, 200)
    t.equal((await revert(app, link)).page.status, 404, 'it counts once')
    const logged = JSON.stringify(app.logged)
    t.notOk(logged.includes(link.searchParams.get('token') ?? '?'), 'and stands in no log')
  })

  await t.test('for seven days, in which nobody else gets the address', async t => {
    const { app, user, link } = await changed(t, database)
    const other = await another(app, database)
    await other.browser.post('/user/confirm-password', { password: PASSWORD })
    const guest = new TestBrowser(app)
    await guest.get('/sanctum/csrf-cookie')
    const register = () =>
      guest.post('/register', {
        name: `n${process.pid}${made++}`,
        email: user.email.toUpperCase(),
        password: PASSWORD,
        password_confirmation: PASSWORD,
        terms: true,
      })
    t.strictSame((await register()).json.errors, TAKEN)
    t.strictSame((await change(other.browser, { email: user.email })).json.errors, TAKEN)
    app.clock.advance(7 * DAY - MINUTE)
    t.equal((await get(app, link.pathname + link.search)).status, 200)
    app.clock.advance(2 * MINUTE)
    t.equal((await get(app, link.pathname + link.search)).status, 404)
    await app.activity.prune()
    t.strictSame(
      await database.kysely.selectFrom('email_reverts').select('id').where('user_id', '=', user.id).execute(),
      [],
    )
    await guest.get('/sanctum/csrf-cookie')
    t.equal((await register()).status, 201)
  })

  await t.test('what a thief did after the change goes: later addresses, and a second factor', async t => {
    const { app, user, browser, link } = await changed(t, database)
    const third = someAddress()
    await change(browser, { email: third })
    await follow(browser, linkIn(await app.mailbox.next()))
    const thiefs = linkIn(await app.mailbox.next())
    await change(browser, { email: someAddress() })
    await database.kysely
      .updateTable('users')
      .set({ two_factor_secret: 'x', two_factor_confirmed_at: '2026-03-01 12:30:00' })
      .where('id', '=', user.id)
      .execute()
    t.match(textOf((await revert(app, link)).done), user.email)
    t.match(await stored(database, user.id), { email: user.email, two_factor_secret: null })
    t.equal((await revert(app, thiefs)).page.status, 404, 'nobody brings the later address back')
    t.strictSame(
      await database.kysely
        .selectFrom('pending_email_changes')
        .select('email')
        .where('user_id', '=', user.id)
        .execute(),
      [],
    )
  })

  await t.test('a second factor from before the change stays', async t => {
    const { app, user, browser } = await confirmed(t, database)
    await database.kysely
      .updateTable('users')
      .set({ two_factor_secret: 'x', two_factor_confirmed_at: '2026-02-01 12:00:00' })
      .where('id', '=', user.id)
      .execute()
    await change(browser, { email: someAddress() })
    await follow(browser, linkIn(await app.mailbox.next()))
    await revert(app, linkIn(await app.mailbox.next()))
    t.equal((await stored(database, user.id)).two_factor_secret, 'x')
  })

  await t.test('the button counts once, however often it is pressed', async t => {
    const { app, link } = await changed(t, database)
    const browsers = Array.from({ length: 4 }, () => new PanelBrowser(app))
    const pages = await Promise.all(browsers.map(one => one.open(link.pathname + link.search)))
    const answers = await Promise.all(
      browsers.map((one, index) => one.sendForm(pages[index] as never, '/admin/revert-email')),
    )
    t.strictSame(answers.map(({ status }) => status).sort(), [200, 404, 404, 404])
  })

  await t.test('what is no token is a page that says so', async t => {
    const app = await startApp(t, { database, environment: UNLIMITED })
    for (const query of ['', '?token=', '?token=x', `?token=${'A'.repeat(43)}`, '?token[]=x', '?token=%00']) {
      const answer = await get(app, `/admin/revert-email${query}`)
      t.equal(answer.status, 404, query)
      t.match(textOf(answer), /counts no more/)
    }
    const { browser, page } = { browser: new PanelBrowser(app), page: await get(app, '/admin/login') }
    t.equal(page.status, 200)
    await browser.open('/admin/login')
    t.equal((await browser.post('/admin/revert-email', { token: 'A'.repeat(43) })).status, 419)
  })
}
