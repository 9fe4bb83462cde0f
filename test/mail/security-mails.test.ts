import { sql } from 'kysely'
import t, { type Test } from 'tap'
import { SECURITY_MAIL_NAMES } from '#src/auth/security-mails.ts'
import type { TestBrowser } from '../fixtures/browser.ts'
import { MINUTE } from '../fixtures/clock.ts'
import { linkIn } from '../fixtures/mailbox.ts'
import { browserAt, FIREFOX, startMailing } from '../fixtures/mailing.ts'
import { PanelBrowser, textOf } from '../fixtures/panel.ts'
import { NEW_PASSWORD } from '../fixtures/passwords.ts'
import { STEP, totpCode } from '../fixtures/second-factor.ts'
import { aMember, PASSWORD } from '../fixtures/users.ts'
import { send, type TestApp } from '../support/app.ts'
import { createDatabase, PRODUCTION_ENGINE, type TestDatabase } from '../support/databases.ts'
import type { MailServer } from '../support/mail-server.ts'

const HOME = '198.51.100.7'

for (const engine of PRODUCTION_ENGINE) {
  t.test(`mails about the security of an account on ${engine}`, async t => {
    const database = await createDatabase(t, engine)
    t.teardown(() => database.close())
    await testTokens(t, database)
    await testSecondFactor(t, database)
    await testPasswords(t, database)
    await testDeletion(t, database)
    await testSettings(t, database)
  })
}

type Mailing = { app: TestApp; mails: MailServer }

/** Starts a server with a user who is logged in and has confirmed the password. */
async function startWithConfirmedUser(
  t: Test,
  database: TestDatabase,
  { environment, ...options }: { environment?: Record<string, string>; verified?: boolean } = {},
) {
  const mailing = await startMailing(t, database, { environment })
  const user = await aMember(database, options)
  const browser = browserAt(mailing.app, FIREFOX, HOME)
  await browser.logIn(user)
  await browser.post('/user/confirm-password', { password: PASSWORD })
  return { ...mailing, user, browser }
}

/** The same with a second factor, whose mail was already received. */
async function startWithSecondFactor(t: Test, database: TestDatabase) {
  const context = await startWithConfirmedUser(t, database)
  const { app, browser, mails } = context
  await browser.post('/user/two-factor-authentication')
  const secret: string = (await browser.get('/user/two-factor-secret-key')).json.secretKey
  const codes: string[] = (await browser.get('/user/two-factor-recovery-codes')).json
  await browser.post('/user/confirmed-two-factor-authentication', { code: totpCode(secret, app) })
  const mail = await mails.next()
  app.clock.advance(2 * STEP)
  return { ...context, secret, codes, mail }
}

/** Takes the next mail and checks subject, browser, address and the link "this was not me". */
async function expectMail(t: Test, { mails }: Pick<Mailing, 'mails'>, subject: string) {
  const mail = await mails.next()
  t.equal(mail.subject, subject)
  t.match(mail.text, /^Program: Firefox on Linux$/m, subject)
  t.match(mail.text, /^Address: 198\.51\.100\.7$/m, subject)
  t.match(mail.html, /Firefox on Linux/, subject)
  const link = linkIn({ text: mail.text ?? '' })
  t.equal(link.pathname, '/admin/not-me')
  t.match(link.searchParams.get('token'), /^[\w-]{43}$/)
  return mail
}

const startChallenge = async (
  app: TestApp,
  user: { email: string; password: string },
): Promise<TestBrowser> => {
  const browser = browserAt(app, FIREFOX, HOME)
  await browser.logIn(user)
  return browser
}

async function testTokens(t: Test, database: TestDatabase) {
  await t.test('a token created by the API or in the panel is reported', async t => {
    const { app, mails, user, browser } = await startWithConfirmedUser(t, database)
    t.equal((await browser.post('/api/me/token', { name: 'player' })).status, 201)
    t.match((await expectMail(t, { mails }, 'New token for your AnimeThemes account')).text, '“player”')
    const byToken = await send(app, 'POST', '/api/me/token', {
      headers: {
        authorization: `Bearer ${user.token}`,
        'user-agent': FIREFOX,
        'x-forwarded-for': HOME,
      },
      payload: { name: 'see https://evil.example/login\nnow' },
    })
    t.equal(byToken.status, 201)
    const mail = await expectMail(t, { mails }, 'New token for your AnimeThemes account')
    t.match(mail.text, '“see https evil. example login now”', 'a URL in the name is not clickable')
    const panel = new PanelBrowser(app)
    panel.page = { 'user-agent': FIREFOX, 'x-forwarded-for': HOME }
    await panel.logIn(user)
    const page = await panel.submit(await panel.open('/admin'), '/admin/tokens', {
      name: 'by hand',
      scope: 'all',
      current_password: PASSWORD,
    })
    t.match(textOf(page), /Your new token/)
    t.match((await expectMail(t, { mails }, 'New token for your AnimeThemes account')).text, '“by hand”')
  })

  await t.test('a rotation by a session is reported, and one by a token is not', async t => {
    const { app, mails, user, browser } = await startWithConfirmedUser(t, database)
    const rotated = await send(app, 'POST', `/api/me/token/${user.tokenId}/rotate`, {
      headers: { authorization: `Bearer ${user.token}` },
    })
    t.equal(rotated.status, 201)
    t.equal((await browser.post(`/api/me/token/${rotated.json.token.id}/rotate`)).status, 201)
    t.match((await expectMail(t, { mails }, 'New token for your AnimeThemes account')).text, /was replaced/)
    await app.close()
    t.equal(mails.received.length, 1)
  })
}

async function testSecondFactor(t: Test, database: TestDatabase) {
  await t.test('enabling a second factor is reported, and viewing its new recovery codes is not', async t => {
    const { app, mails, browser, mail } = await startWithSecondFactor(t, database)
    t.equal(mail.subject, 'Two-factor authentication at AnimeThemes is on')
    t.match(mail.text, /Firefox on Linux/)
    await browser.get('/user/two-factor-recovery-codes')
    await app.close()
    t.equal(mails.received.length, 1)
  })

  await t.test('disabling or replacing a second factor is reported', async t => {
    const { app, mails, browser, secret } = await startWithSecondFactor(t, database)
    await browser.post('/user/two-factor-authentication', { force: true, code: totpCode(secret, app) })
    await expectMail(t, { mails }, 'Two-factor authentication at AnimeThemes is off')
    await browser.send('DELETE', '/user/two-factor-authentication')
    await app.close()
    t.equal(mails.received.length, 2, 'an unconfirmed one is not reported')
  })

  await t.test('removing a second factor by a command is reported', async t => {
    const { app, mails, browser, secret } = await startWithSecondFactor(t, database)
    await browser.send('DELETE', '/user/two-factor-authentication', {
      payload: { code: totpCode(secret, app) },
    })
    await expectMail(t, { mails }, 'Two-factor authentication at AnimeThemes is off')
  })

  await t.test('viewing, replacing and using recovery codes is reported', async t => {
    const { app, mails, user, browser, secret, codes } = await startWithSecondFactor(t, database)
    app.clock.advance(11 * MINUTE)
    const shown = await browser.send('GET', `/user/two-factor-recovery-codes?code=${totpCode(secret, app)}`)
    t.equal(shown.status, 200, shown.text)
    await expectMail(t, { mails }, 'The recovery codes of your AnimeThemes account were shown')
    const other = await startChallenge(app, user)
    const used = await other.post('/two-factor-challenge', { recovery_code: codes[0] })
    t.equal(used.status, 204)
    await expectMail(t, { mails }, 'A recovery code of your AnimeThemes account was used')
    app.clock.advance(STEP)
    const payload = { code: totpCode(secret, app) }
    const replaced = await browser.send('POST', '/user/two-factor-recovery-codes', { payload })
    t.equal(replaced.status, 200)
    await expectMail(t, { mails }, 'The recovery codes of your AnimeThemes account were replaced')
    await app.close()
    t.equal(mails.received.length, 4, 'a login with a recovery code sends one mail')
  })

  await t.test('wrong codes are reported once an hour over all instances', async t => {
    const { app, mails, user } = await startWithSecondFactor(t, database)
    const { app: other } = await startMailing(t, database, { mails, clock: app.clock, keepsAttempts: true })
    const wrong = async (server: TestApp) => {
      const browser = await startChallenge(server, user)
      t.equal((await browser.post('/two-factor-challenge', { code: '000000' })).status, 422)
    }
    for (const server of [app, other, app, other]) await wrong(server)
    t.equal(mails.received.length, 1)
    for (const server of [app, other, app, other, app, app, app]) await wrong(server)
    const mail = await expectMail(t, { mails }, 'Wrong codes for your AnimeThemes account')
    t.match(mail.text, /Within an hour 5 wrong codes/)
    t.match(mail.text, /^The last one: 2026/m)
    app.clock.advance(61 * MINUTE)
    for (let n = 0; n < 5; n += 1) await wrong(app)
    await expectMail(t, { mails }, 'Wrong codes for your AnimeThemes account')
    await Promise.all([app.close(), other.close()])
    t.equal(mails.received.length, 3)
  })
}

async function testPasswords(t: Test, database: TestDatabase) {
  await t.test('changing and resetting the password is reported', async t => {
    const { mails, user, browser, app } = await startWithConfirmedUser(t, database)
    const changed = await browser.send('PUT', '/user/password', {
      payload: {
        current_password: PASSWORD,
        password: NEW_PASSWORD,
        password_confirmation: NEW_PASSWORD,
      },
    })
    t.equal(changed.status, 200)
    await expectMail(t, { mails }, 'Your password for AnimeThemes was changed')
    await browser.post('/logout')
    const guest = browserAt(app, FIREFOX, HOME)
    await guest.get('/sanctum/csrf-cookie')
    await guest.post('/forgot-password', { email: user.email })
    const token = linkIn({ text: (await mails.next()).text ?? '' }).searchParams.get('token')
    const payload = { token, email: user.email, password: PASSWORD, password_confirmation: PASSWORD }
    t.equal((await guest.post('/reset-password', payload)).status, 200)
    await expectMail(t, { mails }, 'Your password for AnimeThemes was changed')
  })

  await t.test('an unverified address gets mails about the password only', async t => {
    const { app, mails, browser } = await startWithConfirmedUser(t, database, { verified: false })
    await browser.post('/user/two-factor-authentication')
    const secret: string = (await browser.get('/user/two-factor-secret-key')).json.secretKey
    await browser.post('/user/confirmed-two-factor-authentication', { code: totpCode(secret, app) })
    await browser.send('PUT', '/user/password', {
      payload: {
        current_password: PASSWORD,
        password: NEW_PASSWORD,
        password_confirmation: NEW_PASSWORD,
      },
    })
    await expectMail(t, { mails }, 'Your password for AnimeThemes was changed')
    await app.close()
    t.equal(mails.received.length, 1)
  })
}

async function testDeletion(t: Test, database: TestDatabase) {
  await t.test('deleting the account is reported, with how to restore it', async t => {
    const { mails, user, browser } = await startWithConfirmedUser(t, database)
    t.equal((await browser.send('DELETE', '/user')).status, 204)
    const mail = await mails.next()
    t.equal(mail.subject, 'Your AnimeThemes account is deleted')
    t.match(mail.to, [{ address: user.email }])
    t.match(mail.text, /It is kept for 30 days/)
    t.match(mail.text, /^Program: Firefox on Linux$/m)
    t.notMatch(mail.text, /not-me/, 'there is no link, since all sessions have ended')
  })

  await t.test('an address change is reported to the old address with time and client', async t => {
    const { mails, browser } = await startWithConfirmedUser(t, database)
    const email = `reported-${process.pid}@example.org`
    await browser.send('PUT', '/user/profile-information', { payload: { email } })
    const link = linkIn({ text: (await mails.next()).text ?? '' })
    t.equal((await browser.get(link.pathname + link.search)).status, 204)
    const mail = await mails.next()
    t.match(mail.text, /^Program: Firefox on Linux$/m)
    t.equal(linkIn({ text: mail.text ?? '' }).pathname, '/admin/revert-email')
  })
}

async function testSettings(t: Test, database: TestDatabase) {
  await t.test('each kind of mail can be turned off', async t => {
    const others = SECURITY_MAIL_NAMES.filter(name => name !== 'password-changed').join(', ')
    const { app, mails, browser } = await startWithConfirmedUser(t, database, {
      environment: { MAIL_SECURITY_EVENTS: others },
    })
    await browser.send('PUT', '/user/password', {
      payload: {
        current_password: PASSWORD,
        password: NEW_PASSWORD,
        password_confirmation: NEW_PASSWORD,
      },
    })
    t.equal((await browser.send('DELETE', '/user')).status, 204)
    t.equal((await mails.next()).subject, 'Your AnimeThemes account is deleted')
    await app.close()
    t.equal(mails.received.length, 1)
  })

  await t.test('MAIL_SECURITY_EVENTS=none still sends requested links', async t => {
    const { app, mails, browser, user } = await startWithConfirmedUser(t, database, {
      environment: { MAIL_SECURITY_EVENTS: 'none' },
    })
    await browser.post('/api/me/token', { name: 'player' })
    await browser.post('/logout')
    const guest = browserAt(app, FIREFOX, HOME)
    await guest.get('/sanctum/csrf-cookie')
    await guest.post('/forgot-password', { email: user.email })
    t.match((await mails.next()).subject, /^A new password/)
    await app.close()
    t.equal(mails.received.length, 1)
  })

  await t.test('MAIL_SECURITY_EVENTS=none sends no mail to the old address', async t => {
    const { app, mails, browser } = await startWithConfirmedUser(t, database, {
      environment: { MAIL_SECURITY_EVENTS: 'none', EMAIL_CHANGE: 'immediate' },
    })
    const email = `silent-${process.pid}@example.org`
    t.equal((await browser.send('PUT', '/user/profile-information', { payload: { email } })).status, 200)
    t.match((await mails.next()).to, [{ address: email }])
    await app.close()
    t.equal(mails.received.length, 1)
  })

  await t.test('a failed mail does not fail the request', async t => {
    const { app, mails, browser } = await startWithConfirmedUser(t, database)
    const { schema } = database.kysely
    await database.kysely.deleteFrom('security_links').execute()
    await schema.alterTable('security_links').addCheckConstraint('never', sql`false`).execute()
    t.equal((await browser.post('/api/me/token', { name: 'player' })).status, 201)
    await app.close()
    await schema.alterTable('security_links').dropConstraint('never').execute()
    t.equal(mails.received.length, 0)
    t.ok(app.logged.some(({ msg }) => msg === 'a security mail could not be sent'))
  })
}
