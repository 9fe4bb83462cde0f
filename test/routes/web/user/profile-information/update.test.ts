import t from 'tap'
import { EMAIL_TAKEN, NAME_TAKEN, PASSWORD_CONFIRMATION_REQUIRED } from '../../../../fixtures/answers.ts'
import { aLoggedInUser, openBrowser, TestBrowser } from '../../../../fixtures/browser.ts'
import { MINUTE } from '../../../../fixtures/clock.ts'
import { changeProfile, emailOf, openLink } from '../../../../fixtures/email-changes.ts'
import { linkIn } from '../../../../fixtures/mailbox.ts'
import { forgetPassword } from '../../../../fixtures/passwords.ts'
import { anEmail, aRegistration, userByEmail } from '../../../../fixtures/registration.ts'
import { logInRemembered, returningBrowser } from '../../../../fixtures/sessions.ts'
import { UNLIMITED } from '../../../../fixtures/settings.ts'
import { aMember, aUser, PASSWORD } from '../../../../fixtures/users.ts'
import { send, startApp } from '../../../../support/app.ts'
import { createDatabase, ENGINES } from '../../../../support/databases.ts'

const NEEDS_PASSWORD = { email: ['Confirm your password to change your e-mail address.'] }
const aName = () => aRegistration().name

for (const engine of ENGINES) {
  t.test(`PUT /user/profile-information on ${engine}`, async t => {
    const database = await createDatabase(t, engine)
    t.teardown(() => database.close())
    const start = (environment: Record<string, string> = {}) =>
      startApp(t, { database, environment: { ...UNLIMITED, ...environment } })
    const app = await start()

    await t.test('the name can be changed without the password', async t => {
      const app = await start()
      const { user, browser } = await aLoggedInUser(app, database)
      const name = aName()
      const answer = await changeProfile(browser, { name })
      t.equal(answer.status, 200)
      t.equal(answer.text, '""')
      const { json } = await browser.get('/api/me')
      t.equal(json.user.name, name)
      t.ok(json.user.email_verified_at, 'the address stays verified')
      t.equal((await changeProfile(browser, { name: name.toUpperCase() })).status, 200, 'to another case')
      t.equal((await changeProfile(browser, { name, email: user.email })).status, 200, 'to the same address')
      t.ok((await browser.get('/api/me')).json.user.email_verified_at)
      t.strictSame(app.mailbox.mails, [])
      t.match(
        app.logged.find(({ msg }) => msg === 'profile changed'),
        { userId: user.id, name: true, email: false },
      )
    })

    await t.test('invalid input returns 422 with all fields, and changes nothing', async t => {
      const app = await start({ EMAIL_CHANGE: 'immediate' })
      const { user, browser } = await aLoggedInUser(app, database)
      const taken = await aUser(database)

      const cases: [payload: object, errors: Record<string, string[]>][] = [
        [
          {},
          {
            name: ['The name field is required when email is not present.'],
            email: ['The email field is required when name is not present.'],
          },
        ],
        [
          { name: 'no name', email: 'no address' },
          { name: [], email: [] },
        ],
        [{ name: taken.name.toUpperCase() }, NAME_TAKEN],
        [{ email: taken.email.toUpperCase() }, EMAIL_TAKEN],
        [{ name: aName(), email: taken.email }, EMAIL_TAKEN],
        [{ email: 'x@mailinator.com' }, { email: ['Disposable email addresses are not allowed.'] }],
        [{ name: 1 }, { name: ['The name must be a string.'] }],
      ]
      for (const [payload, errors] of cases) {
        const { status, json } = await changeProfile(browser, payload)
        t.equal(status, 422, JSON.stringify(payload))
        t.match(json.errors, errors)
        t.strictSame(Object.keys(json.errors), Object.keys(errors))
      }
      t.match((await browser.get('/api/me')).json.user, { name: user.name, email: user.email })
    })

    await t.test('other columns of a user cannot be set', async t => {
      const { user, browser } = await aLoggedInUser(app, database)
      const before = await userByEmail(database, user.email)
      const { status } = await changeProfile(browser, {
        name: aName(),
        id: 1,
        password: 'x',
        email_verified_at: null,
        two_factor_secret: 'x',
        deleted_at: '2020-01-01 00:00:00',
        roles: ['Admin'],
      })
      t.equal(status, 200)
      const named = { updated_at: '', name: '', name_key: '', name_skeleton: '' }
      t.strictSame({ ...(await userByEmail(database, user.email)), ...named }, { ...before, ...named })
    })

    await t.test('a request without a CSRF token is 419, and with a bearer token 401', async t => {
      const { user, browser } = await aLoggedInUser(app, database)
      const payload = { name: aName() }
      t.equal((await browser.bare('PUT', '/user/profile-information', { payload })).status, 419)
      const headers = { authorization: `Bearer ${user.token}`, 'sec-fetch-site': 'same-origin' }
      t.equal((await send(app, 'PUT', '/user/profile-information', { headers, payload })).status, 401)
    })

    await t.test('a session that has not confirmed the password cannot change the address', async t => {
      const app = await start()
      const { user, browser } = await aLoggedInUser(app, database)
      const refused = await changeProfile(browser, { name: aName(), email: anEmail() })
      t.equal(refused.status, 422)
      t.strictSame(refused.json.errors, NEEDS_PASSWORD)
      t.match((await browser.get('/api/me')).json.user, { name: user.name, email: user.email })
      t.strictSame(app.mailbox.mails, [])
    })

    await t.test('a confirmation of the password expires after three hours', async t => {
      const app = await start()
      const { user, browser } = await aLoggedInUser(app, database, { confirmed: true })
      app.clock.advance(180 * MINUTE + 1000)
      await browser.logIn(user)
      t.strictSame((await changeProfile(browser, { email: anEmail() })).json.errors, NEEDS_PASSWORD)
    })

    await t.test('a session that a remembered device begins has not confirmed the password', async t => {
      const user = await aMember(database)
      const browser = await logInRemembered(t, app, user)
      await browser.post('/user/confirm-password', { password: PASSWORD })
      const thief = returningBrowser(browser)
      t.equal((await thief.get('/api/me')).status, 200)
      t.strictSame((await changeProfile(thief, { email: anEmail() })).json.errors, NEEDS_PASSWORD)
    })

    await t.test('a missing confirmation is returned with the errors of other fields', async t => {
      const { browser } = await aLoggedInUser(app, database)
      const { json } = await changeProfile(browser, { name: 'no name', email: anEmail() })
      t.strictSame(Object.keys(json.errors), ['name', 'email'])
      t.equal((await changeProfile(browser, { name: aName() })).status, 200, 'a name alone needs none')
    })

    await t.test('an address that is not verified changes at once, without a mail to it', async t => {
      const app = await start()
      const { browser } = await aLoggedInUser(app, database, { verified: false })
      const email = anEmail()
      t.equal((await changeProfile(browser, { email })).status, 200)
      t.match((await browser.get('/api/me')).json.user, { email, email_verified_at: null })
      await app.mailbox.nextTo(email)
      t.equal(app.mailbox.mails.length, 1)
    })

    await t.test('a verified address stays in use until the link to the new one is opened', async t => {
      const app = await start()
      const { user, browser } = await aLoggedInUser(app, database, { confirmed: true })
      const email = anEmail()
      const name = aName()
      const answer = await changeProfile(browser, { name, email })
      t.equal(answer.status, 200)
      t.equal(answer.text, '""')
      t.match((await browser.get('/api/me')).json.user, {
        name,
        email: user.email,
        email_verified_at: /^2026/,
      })
      t.strictSame((await app.mailbox.next()).to, { name, address: email })
      t.equal((await new TestBrowser(app).logIn({ email, password: PASSWORD })).status, 422)
      t.equal((await new TestBrowser(app).logIn(user)).status, 200)
      const guest = await openBrowser(app)
      for (const address of [email, user.email]) await forgetPassword(guest, address)
      t.equal((await app.mailbox.next()).to.address, user.email)
      t.equal(app.mailbox.mails.length, 2)
      t.match(
        app.logged.find(({ msg }) => msg === 'email change asked for'),
        { userId: user.id },
      )
    })

    await t.test('the link can be sent again, until the change is taken back', async t => {
      const app = await start()
      const { user, browser } = await aLoggedInUser(app, database, { confirmed: true })
      const email = anEmail()
      await changeProfile(browser, { email })
      const first = linkIn(await app.mailbox.nextTo(email))
      app.clock.advance(MINUTE)
      t.equal((await browser.post('/email/verification-notification')).status, 200)
      const second = await app.mailbox.next()
      t.equal(second.to.address, email)
      t.equal((await changeProfile(browser, { email: user.email })).status, 200)
      for (const link of [first, linkIn(second)]) t.equal((await openLink(browser, link)).status, 403)
      t.equal(await emailOf(browser), user.email)
      t.equal((await browser.post('/email/verification-notification')).status, 204, 'no change is pending')
    })
  })

  t.test(`PUT /user/profile-information with EMAIL_CHANGE=immediate on ${engine}`, async t => {
    const database = await createDatabase(t, engine)
    t.teardown(() => database.close())
    const start = (environment: Record<string, string> = {}) =>
      startApp(t, { database, environment: { ...UNLIMITED, EMAIL_CHANGE: 'immediate', ...environment } })
    const app = await start()

    await t.test(
      'the address changes at once and has to be verified, and the old one gets a notice',
      async t => {
        const { user, browser } = await aLoggedInUser(app, database)
        const email = anEmail()
        t.equal((await changeProfile(browser, { email })).status, 200)
        t.match((await browser.get('/api/me')).json.user, { name: user.name, email, email_verified_at: null })
        const verification = await app.mailbox.nextTo(email)
        const notice = await app.mailbox.nextTo(user.email)
        t.strictSame(verification.to, { name: user.name, address: email })
        t.strictSame(notice.to, { name: user.name, address: user.email })
        t.notMatch(notice.text, /http/, 'without a link')
        t.equal((await openLink(browser, linkIn(verification))).status, 204)
        t.ok((await browser.get('/api/me')).json.user.email_verified_at)
      },
    )

    await t.test('the same address in another case is no change', async t => {
      const app = await start({ CONFIRM_EMAIL_CHANGE: 'true' })
      const { user, browser } = await aLoggedInUser(app, database)
      const written = user.email.replace('example.org', 'Example.ORG')
      await database.kysely.updateTable('users').set({ email: written }).where('id', '=', user.id).execute()
      for (const email of [written, user.email]) {
        t.equal((await changeProfile(browser, { name: aName(), email })).status, 200)
        t.match((await browser.get('/api/me')).json.user, { email: written, email_verified_at: /^2026/ })
      }
      t.equal((await changeProfile(browser, { email: written })).status, 200)
      t.strictSame(app.mailbox.mails, [])
    })

    await t.test('an address gets five mails an hour at most', async t => {
      const app = await start()
      const { user, browser } = await aLoggedInUser(app, database)
      const [first, second] = [anEmail(), anEmail()]
      for (let n = 0; n < 14; n += 1) {
        t.equal((await changeProfile(browser, { email: n % 2 === 0 ? first : second })).status, 200)
      }
      await app.close()
      t.equal(app.mailbox.mailsTo(user.email).length, 1)
      t.equal(app.mailbox.mailsTo(first).length, 5)
      t.equal(app.mailbox.mailsTo(second).length, 5, 'none that tells an unverified address of the change')
    })

    await t.test('changes of the address are limited, and those of the name are not', async t => {
      const app = await start({ REGISTER_RATE_LIMIT: '1' })
      const { browser } = await aLoggedInUser(app, database)
      const statuses: number[] = []
      for (let n = 0; n < 5; n += 1) {
        statuses.push((await changeProfile(browser, { name: '!', email: anEmail() })).status)
      }
      t.strictSame(statuses, [422, 422, 422, 422, 429])
      t.equal((await changeProfile(browser, { name: aName() })).status, 200)
    })

    await t.test('a link to an address that has changed since gets 403', async t => {
      const { browser } = await aLoggedInUser(app, database)
      const [first, second] = [anEmail(), anEmail()]
      await changeProfile(browser, { email: first })
      const link = linkIn(await app.mailbox.nextTo(first))
      await changeProfile(browser, { email: second })
      t.equal((await openLink(browser, link)).status, 403)
      t.equal((await browser.get('/api/me')).json.user.email_verified_at, null)
    })

    await t.test('CONFIRM_EMAIL_CHANGE=true asks for the password', async t => {
      const app = await start({ CONFIRM_EMAIL_CHANGE: 'true' })
      const { user, browser } = await aLoggedInUser(app, database)
      const [name, email] = [aName(), anEmail()]
      t.equal((await changeProfile(browser, { name })).status, 200, 'a name needs none')
      const refused = await changeProfile(browser, { name, email })
      t.equal(refused.status, 423)
      t.strictSame(refused.json, PASSWORD_CONFIRMATION_REQUIRED)
      t.equal(await emailOf(browser), user.email)
      await browser.post('/user/confirm-password', { password: PASSWORD })
      t.equal((await changeProfile(browser, { name, email })).status, 200)
    })
  })
}
