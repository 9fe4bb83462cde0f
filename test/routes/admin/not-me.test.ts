import t, { type Test } from 'tap'
import { TestBrowser } from '../../fixtures/browser.ts'
import { DAY, MINUTE } from '../../fixtures/clock.ts'
import { linkIn } from '../../fixtures/mailbox.ts'
import { browserAt, CHROME, FIREFOX, startMailing } from '../../fixtures/mailing.ts'
import { PanelBrowser, textOf } from '../../fixtures/panel.ts'
import { NEW_PASSWORD } from '../../fixtures/passwords.ts'
import { aMember, aToken, PASSWORD } from '../../fixtures/users.ts'
import { get, type TestApp } from '../../support/app.ts'
import { createDatabase, ENGINES, type TestDatabase } from '../../support/databases.ts'
import type { MailServer } from '../../support/mail-server.ts'

const HOME = '198.51.100.7'
const ATTACKER = '203.0.113.9'

for (const engine of ENGINES) {
  t.test(`the page "this was not me" on ${engine}`, async t => {
    const database = await createDatabase(t, engine)
    t.teardown(() => database.close())
    await testSecuring(t, database)
    await testRefusals(t, database)
  })
}

type User = Awaited<ReturnType<typeof aMember>>

/** The link of the next mail. */
const nextLink = async (mails: MailServer) => linkIn({ text: (await mails.next()).text ?? '' })

/** Starts a server with a logged-in user and an attacker with a session and a remembered device, and returns the link of the mail about the new login. */
async function startWithStolenAccount(
  t: Test,
  database: TestDatabase,
  environment: Record<string, string> = {},
) {
  const { app, mails } = await startMailing(t, database, { environment })
  const user = await aMember(database)
  const owner = browserAt(app, FIREFOX, HOME)
  await owner.logIn(user)
  app.clock.advance(DAY)
  await owner.logIn(user)
  const attacker = await logInAsAttacker(app, user)
  return { app, mails, user, owner, attacker, link: await nextLink(mails) }
}

async function logInAsAttacker(app: TestApp, user: User): Promise<TestBrowser> {
  const attacker = browserAt(app, CHROME, ATTACKER)
  await attacker.get('/sanctum/csrf-cookie')
  await attacker.post('/login', { ...user, remember: true })
  return attacker
}

const submitNotMe = async (
  app: TestApp,
  { pathname, search }: URL,
  fields: Record<string, string> = {},
  browser = new PanelBrowser(app),
) => browser.submit(await browser.open(pathname + search), '/admin/not-me', fields)

const isLoggedIn = async (browser: TestBrowser) => (await browser.get('/api/me')).status === 200

const findLinks = ({ kysely }: TestDatabase, { id }: { id: number }) =>
  kysely.selectFrom('security_links').selectAll().where('user_id', '=', id).execute()

async function testSecuring(t: Test, database: TestDatabase) {
  await t.test(
    'it ends all sessions and remembered devices, keeps tokens and mails a link to reset the password',
    async t => {
      const { app, mails, user, owner, attacker, link } = await startWithStolenAccount(t, database)
      const page = await submitNotMe(app, link)
      t.equal(page.status, 200)
      t.match(textOf(page), /All browsers were logged out\. Tokens remain valid\./)
      t.match(textOf(page), /Set a new password with the link/)
      t.notOk(await isLoggedIn(owner))
      t.notOk(await isLoggedIn(attacker), 'the remembered device does not start a session')
      t.equal((await get(app, '/api/me', user.token)).status, 200)
      const mail = await mails.next()
      t.equal(mail.subject, 'All browsers are logged out of your AnimeThemes account')
      t.match(mail.to, [{ address: user.email }])
      const token = linkIn({ text: mail.text ?? '' }).searchParams.get('token')
      const guest = new TestBrowser(app)
      await guest.get('/sanctum/csrf-cookie')
      const password = NEW_PASSWORD
      const payload = { token, email: user.email, password, password_confirmation: password }
      t.equal((await guest.post('/reset-password', payload)).status, 200)
      t.equal((await guest.logIn({ ...user, password })).status, 200)
      await app.events.drain()
      const events = await database.kysely
        .selectFrom('account_events')
        .select(['event', 'details'])
        .where('user_id', '=', user.id)
        .execute()
      t.match(
        events.find(({ event }) => event === 'account secured'),
        { details: '{"revokedTokens":false}' },
      )
      const log = JSON.stringify(app.logged)
      t.notOk(log.includes(link.searchParams.get('token') ?? '?'))
      t.notOk(log.includes(token ?? '?'))
    },
  )

  await t.test('it revokes all tokens on request', async t => {
    const { app, user, link } = await startWithStolenAccount(t, database)
    const another = await aToken(database, user.id)
    const page = await submitNotMe(app, link, { revoke_tokens: '1' })
    t.match(textOf(page), /2 tokens were revoked\./)
    for (const token of [user.token, another.token]) {
      t.equal((await get(app, '/api/me', token)).status, 401)
    }
    await app.events.drain()
    const revoked = await database.kysely
      .selectFrom('account_events')
      .select('details')
      .where('user_id', '=', user.id)
      .where('event', '=', 'token revoked')
      .executeTakeFirst()
    t.match(revoked?.details, /"count":2/)
  })

  await t.test(
    'afterwards the browser of the attacker counts as new, and the one of the owner does not',
    async t => {
      const { app, mails, user, link } = await startWithStolenAccount(t, database)
      await submitNotMe(app, link)
      t.match((await mails.next()).subject, /^All browsers are logged out/)
      await browserAt(app, FIREFOX, HOME).logIn(user)
      await logInAsAttacker(app, user)
      await app.close()
      t.equal(mails.received.length, 3)
      t.match(mails.received.at(-1)?.text, /from a browser and a network that were not used/)
    },
  )

  await t.test('the browser of the attacker also counts as new after the link of a later mail', async t => {
    const { app, mails, user, attacker } = await startWithStolenAccount(t, database)
    app.clock.advance(5_000)
    await attacker.post('/user/confirm-password', { password: PASSWORD })
    await attacker.post('/api/me/token', { name: 'quick' })
    const later = await nextLink(mails)
    await submitNotMe(app, later)
    t.match((await mails.next()).subject, /^All browsers are logged out/)
    await logInAsAttacker(app, user)
    await app.close()
    t.match(mails.received.at(-1)?.text, /from a browser and a network that were not used/)
    t.equal(mails.received.length, 4)
  })

  await t.test('the browser that submits the form is logged out too', async t => {
    const { app, user, link } = await startWithStolenAccount(t, database)
    const browser = new PanelBrowser(app)
    await browser.logIn(user)
    const page = await submitNotMe(app, link, {}, browser)
    t.equal(page.status, 200)
    t.notMatch(page.text, /Log out/)
    t.match(textOf(await browser.open('/admin')), /Log in/)
  })

  await t.test('an unverified address gets no link', async t => {
    const { app, mails, user, link } = await startWithStolenAccount(t, database)
    await database.kysely
      .updateTable('users')
      .set({ email_verified_at: null })
      .where('id', '=', user.id)
      .execute()
    const page = await submitNotMe(app, link)
    t.match(textOf(page), /Log in and set a new password/)
    await app.close()
    t.equal(mails.received.length, 1)
    t.strictSame(
      await database.kysely
        .selectFrom('password_reset_tokens')
        .select('email')
        .where('email', '=', user.email)
        .execute(),
      [],
    )
  })
}

async function testRefusals(t: Test, database: TestDatabase) {
  const EXPIRED = /This link is no longer valid/

  await t.test('opening the page (GET, HEAD) changes nothing', async t => {
    const { app, user, owner, attacker, link } = await startWithStolenAccount(t, database)
    const path = link.pathname + link.search
    const before = await findLinks(database, user)
    for (const method of ['GET', 'HEAD', 'GET']) {
      const answer = await new PanelBrowser(app).bare(method, path)
      t.equal(answer.status, 200)
      t.equal(answer.headers['cache-control'], 'no-store, private')
      t.equal(answer.headers['referrer-policy'], 'same-origin')
    }
    t.ok(await isLoggedIn(owner))
    t.ok(await isLoggedIn(attacker))
    t.strictSame(await findLinks(database, user), before)
    t.equal((await submitNotMe(app, link)).status, 200, 'the link is still valid')
  })

  await t.test('using a link ends all links of the user, also under concurrency', async t => {
    const { app, mails, user, link } = await startWithStolenAccount(t, database)
    await browserAt(app, 'curl/8.5.0', HOME).logIn(user)
    const another = await nextLink(mails)
    const [one, two] = [new PanelBrowser(app), new PanelBrowser(app)]
    const pages = [await one.open(link.pathname + link.search), await two.open(link.pathname + link.search)]
    const answers = await Promise.all([
      one.submit(pages[0] as never, '/admin/not-me'),
      two.submit(pages[1] as never, '/admin/not-me'),
    ])
    t.strictSame(answers.map(({ status }) => status).sort(), [200, 404])
    const owner = browserAt(app, FIREFOX, HOME)
    await owner.logIn(user)
    for (const used of [link, another]) {
      const page = await new PanelBrowser(app).open(used.pathname + used.search)
      t.equal(page.status, 404)
      t.match(textOf(page), EXPIRED)
    }
    const again = await two.sendForm(pages[1] as never, '/admin/not-me')
    t.equal(again.status, 404)
    t.match(textOf(again), EXPIRED)
    t.ok(await isLoggedIn(owner))
  })

  await t.test('a link expires after seven days', async t => {
    const { app, user, owner, link } = await startWithStolenAccount(t, database)
    const path = link.pathname + link.search
    const browser = new PanelBrowser(app)
    app.clock.advance(7 * DAY - MINUTE)
    const page = await browser.open(path)
    t.equal(page.status, 200)
    app.clock.advance(MINUTE)
    t.equal((await new PanelBrowser(app).open(path)).status, 404)
    await owner.logIn(user)
    const late = new PanelBrowser(app)
    const loginPage = await late.open('/admin/login')
    const token = link.searchParams.get('token') ?? ''
    const csrf = /name="_token" value="([^"]+)"/.exec(loginPage.text)?.[1] ?? ''
    t.equal((await late.post('/admin/not-me', { _token: csrf, token })).status, 404)
    t.ok(await isLoggedIn(owner))
    await app.lastUse.prune()
    t.strictSame(await findLinks(database, user), [])
  })

  await t.test('another user who is logged in keeps the session and the tokens', async t => {
    const { app, link } = await startWithStolenAccount(t, database)
    const other = await aMember(database)
    const browser = new PanelBrowser(app)
    await browser.logIn(other)
    t.equal((await submitNotMe(app, link, { revoke_tokens: '1' }, browser)).status, 200)
    t.match(textOf(await browser.open('/admin')), other.name)
    t.equal((await get(app, '/api/me', other.token)).status, 200)
  })

  await t.test('invalid links get the same 404 page and count as failed authentications', async t => {
    const { app, owner } = await startWithStolenAccount(t, database, { RATE_LIMIT_FAILED_AUTH: '3' })
    const texts = new Set<string>()
    for (const query of [
      '',
      '?token=',
      '?token=x',
      `?token[]=${'x'.repeat(43)}`,
      `?token=${'x'.repeat(43)}`,
    ]) {
      const page = await new PanelBrowser(app).open(`/admin/not-me${query}`)
      t.equal(page.status, 404, query)
      texts.add(textOf(page))
    }
    t.equal(texts.size, 1)
    for (const letter of ['y', 'z']) {
      await new PanelBrowser(app).open(`/admin/not-me?token=${letter.repeat(43)}`)
    }
    t.equal((await new PanelBrowser(app).open(`/admin/not-me?token=${'w'.repeat(43)}`)).status, 429)
    t.ok(await isLoggedIn(owner))
  })

  await t.test('the form cannot be sent from another site or without the CSRF token', async t => {
    const { app, user, owner, link } = await startWithStolenAccount(t, database)
    const browser = new PanelBrowser(app)
    const page = await browser.open(link.pathname + link.search)
    const foreign: Record<string, string>[] = [
      { 'sec-fetch-site': 'cross-site' },
      { origin: 'https://evil.example' },
    ]
    for (const headers of foreign) {
      t.equal((await browser.sendForm(page, '/admin/not-me', {}, headers)).status, 403)
    }
    t.equal((await browser.sendForm(page, '/admin/not-me', { _token: 'x' })).status, 419)
    t.ok(await isLoggedIn(owner))
    t.equal((await findLinks(database, user)).length, 1)
  })

  await t.test(
    'links end with the deletion of the account and when an address change is reverted',
    async t => {
      const { app, user, owner, link } = await startWithStolenAccount(t, database)
      await owner.post('/user/confirm-password', { password: PASSWORD })
      t.equal((await owner.send('DELETE', '/user')).status, 204)
      t.equal((await new PanelBrowser(app).open(link.pathname + link.search)).status, 404)
      t.equal((await findLinks(database, user)).length, 1)

      const reverted = await startWithStolenAccount(t, database)
      await reverted.owner.post('/user/confirm-password', { password: PASSWORD })
      const email = `not-me-${reverted.user.email}`
      await reverted.owner.send('PUT', '/user/profile-information', { payload: { email } })
      const confirmation = await nextLink(reverted.mails)
      t.equal((await reverted.owner.get(confirmation.pathname + confirmation.search)).status, 204)
      const back = await nextLink(reverted.mails)
      const browser = new PanelBrowser(reverted.app)
      await browser.submit(await browser.open(back.pathname + back.search), '/admin/revert-email')
      t.strictSame(
        await findLinks(database, reverted.user),
        [],
        'an attacker may have read links in mails to the new address',
      )
    },
  )

  await t.test('the database stores only a digest of the link', async t => {
    const { user, link } = await startWithStolenAccount(t, database)
    const [stored] = await findLinks(database, user)
    t.match(stored?.token, /^[0-9a-f]{64}$/)
    t.not(stored?.token, link.searchParams.get('token'))
  })
}
