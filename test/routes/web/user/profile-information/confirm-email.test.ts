import t from 'tap'
import { insertUser } from '#src/database/users.ts'
import { EMAIL_TAKEN } from '../../../../fixtures/answers.ts'
import { aLoggedInUser, TestBrowser } from '../../../../fixtures/browser.ts'
import { DAY, MINUTE, NOW } from '../../../../fixtures/clock.ts'
import {
  aUserWithChangedEmail,
  changeProfile,
  emailOf,
  moveToEmail,
  openLink,
} from '../../../../fixtures/email-changes.ts'
import { linkIn } from '../../../../fixtures/mailbox.ts'
import {
  changePassword,
  INVALID_RESET_TOKEN,
  NEW_PASSWORD,
  requestResetToken,
  resetPassword,
} from '../../../../fixtures/passwords.ts'
import { anEmail, aRegistration, userById } from '../../../../fixtures/registration.ts'
import { storeSecondFactor } from '../../../../fixtures/second-factor.ts'
import { UNLIMITED } from '../../../../fixtures/settings.ts'
import { PASSWORD } from '../../../../fixtures/users.ts'
import { startApp, type TestApp } from '../../../../support/app.ts'
import { createDatabase, ENGINES, PRODUCTION_ENGINE } from '../../../../support/databases.ts'

/** Asks for another address, and returns the link that confirms it. */
async function requestEmailChange(app: TestApp, browser: TestBrowser, email = anEmail()): Promise<URL> {
  await changeProfile(browser, { email })
  return linkIn(await app.mailbox.nextTo(email))
}

for (const engine of ENGINES) {
  t.test(`the link that confirms a new e-mail address on ${engine}`, async t => {
    const database = await createDatabase(t, engine)
    t.teardown(() => database.close())
    const app = await startApp(t, { database, environment: UNLIMITED })
    const aConfirmedUser = (server = app) => aLoggedInUser(server, database, { confirmed: true })

    await t.test('the link replaces the address, and verifies it', async t => {
      const { user, browser, email } = await aUserWithChangedEmail(t, app, database)
      t.match((await browser.get('/api/me')).json.user, { email, email_verified_at: /^2026/ })
      t.equal((await new TestBrowser(app).logIn({ email, password: PASSWORD })).status, 200)
      t.equal((await new TestBrowser(app).logIn(user)).status, 422)
      t.match(
        app.logged.find(({ msg, userId }) => msg === 'email changed' && userId === user.id),
        { userId: user.id },
      )
    })

    await t.test('a guest gets 401, and a session of another user 403', async t => {
      const { user, browser } = await aConfirmedUser()
      const link = await requestEmailChange(app, browser)
      const stranger = await aLoggedInUser(app, database)
      t.equal((await openLink(new TestBrowser(app), link)).status, 401)
      t.equal((await openLink(stranger.browser, link)).status, 403)
      t.equal(await emailOf(browser), user.email)
    })

    await t.test('a link with another signature gets 403, and so does one that is an hour old', async t => {
      const app = await startApp(t, { database, environment: UNLIMITED })
      const { user, browser } = await aConfirmedUser(app)
      const link = await requestEmailChange(app, browser)
      const forged = new URL(link)
      forged.searchParams.set('signature', '0'.repeat(64))
      t.equal((await openLink(browser, forged)).status, 403)
      t.equal(await emailOf(browser), user.email)
      app.clock.advance(61 * MINUTE)
      t.equal((await openLink(browser, link)).status, 403)
      t.equal(await emailOf(browser), user.email)
    })

    await t.test('a later change replaces an earlier one', async t => {
      const { browser } = await aConfirmedUser()
      const second = anEmail()
      const link = await requestEmailChange(app, browser)
      const later = await requestEmailChange(app, browser, second)
      t.equal((await openLink(browser, link)).status, 403)
      t.equal((await openLink(browser, later)).status, 204)
      t.equal(await emailOf(browser), second)
    })

    await t.test('of two users who want an address the first to confirm gets it', async t => {
      const users = [await aConfirmedUser(), await aConfirmedUser()] as const
      const email = anEmail()
      const links: URL[] = []
      for (const { browser } of users) {
        t.equal((await changeProfile(browser, { email })).status, 200)
        links.push(linkIn(await app.mailbox.nextTo(email)))
      }
      const [first, second] = links as [URL, URL]
      const answers = await Promise.all([
        openLink(users[0].browser, first),
        openLink(users[1].browser, second),
      ])
      t.strictSame(answers.map(({ status }) => status).sort(), [204, 422])
      const loser = answers[0]?.status === 422 ? users[0] : users[1]
      t.strictSame(answers.find(({ status }) => status === 422)?.json.errors, EMAIL_TAKEN)
      t.equal(await emailOf(loser.browser), loser.user.email)
    })

    await t.test('a reset token that was sent to the old address is invalid afterwards', async t => {
      const { user, browser } = await aConfirmedUser()
      const token = await requestResetToken(app, user.email)
      const moved = anEmail()
      await moveToEmail(t, app, browser, moved)
      for (const email of [user.email, moved]) {
        const { status, json } = await resetPassword(app, { token, email })
        t.equal(status, 422)
        t.strictSame(json.errors, INVALID_RESET_TOKEN)
      }
    })
  })
}

for (const engine of PRODUCTION_ENGINE) {
  t.test(`the address before a change is reserved for its user on ${engine}`, async t => {
    const database = await createDatabase(t, engine)
    t.teardown(() => database.close())
    const app = await startApp(t, { database, environment: UNLIMITED })
    const aConfirmedUser = ({ verified = true } = {}) =>
      aLoggedInUser(app, database, { confirmed: true, verified })

    await t.test('another user who asked for it while it was free does not get it', async t => {
      const [owner, other] = [await aConfirmedUser(), await aConfirmedUser()]
      const wanted = anEmail()
      const link = await requestEmailChange(app, other.browser, wanted)
      await moveToEmail(t, app, owner.browser, wanted)
      await moveToEmail(t, app, owner.browser, anEmail())
      const late = await openLink(other.browser, link)
      t.equal(late.status, 422)
      t.strictSame(late.json.errors, EMAIL_TAKEN)
      t.equal(await emailOf(other.browser), other.user.email)
    })

    await t.test('an immediate change during which it becomes reserved returns 422', async t => {
      const app = await startApp(t, { database, environment: UNLIMITED })
      const owner = await aLoggedInUser(app, database, { confirmed: true })
      const other = await aLoggedInUser(app, database, { confirmed: true, verified: false })
      const wanted = anEmail()
      const { profileErrors } = app.screening
      let isOther = true
      app.screening.profileErrors = async (...call) => {
        const errors = await profileErrors(...call)
        if (isOther) {
          isOther = false
          await moveToEmail(t, app, owner.browser, wanted)
          await moveToEmail(t, app, owner.browser, anEmail())
        }
        return errors
      }
      t.strictSame((await changeProfile(other.browser, { email: wanted })).json.errors, EMAIL_TAKEN)
      t.equal(await emailOf(other.browser), other.user.email)
    })

    await t.test('no new user gets it for seven days', async t => {
      const { user, browser } = await aConfirmedUser()
      await moveToEmail(t, app, browser, anEmail())
      const { name } = aRegistration()
      const insert = (now: number) =>
        insertUser(database.kysely, {
          name,
          password: '!' as never,
          verified: true,
          email: user.email.toUpperCase(),
          now,
        })
      await t.rejects(insert(NOW), { message: 'The email has already been taken.' })
      t.ok(await insert(NOW + 8 * DAY))
    })

    await t.test('its own user gets it back, and no later address is reserved then', async t => {
      const { user, browser } = await aConfirmedUser()
      await moveToEmail(t, app, browser, anEmail())
      await moveToEmail(t, app, browser, user.email)
      t.equal(await emailOf(browser), user.email)
      const rows = database.kysely.selectFrom('email_reverts').select('email')
      t.strictSame(await rows.where('user_id', '=', user.id).execute(), [])
    })
  })

  t.test(`a pending change of the e-mail address on ${engine}`, async t => {
    const database = await createDatabase(t, engine)
    t.teardown(() => database.close())
    // Mails about other events go to the address of the moment, between those that the tests wait for.
    const environment = { ...UNLIMITED, MAIL_SECURITY_EVENTS: 'email-changed,password-changed' }
    const app = await startApp(t, { database, environment })
    /** A user in two sessions, of which a thief has one that has confirmed the password. */
    const aUserWithThief = async (server = app, options: { verified?: boolean } = {}) => {
      const { user, browser } = await aLoggedInUser(server, database, { confirmed: true, ...options })
      const owner = new TestBrowser(server)
      await owner.logIn(user)
      return { user, thief: browser.clone(), owner }
    }

    for (const [name, endSessions] of [
      ['the password is changed', (owner: TestBrowser) => changePassword(owner)],
      ['all other sessions are ended', (owner: TestBrowser) => owner.send('DELETE', '/api/me/session')],
    ] as const) {
      await t.test(`the change is cancelled when ${name}`, async t => {
        const { user, thief, owner } = await aUserWithThief()
        const link = await requestEmailChange(app, thief)
        await endSessions(owner)
        for (const password of [PASSWORD, NEW_PASSWORD]) {
          await owner.post('/user/confirm-password', { password })
        }
        t.equal((await openLink(owner, link)).status, 403)
        t.equal((await owner.post('/email/verification-notification')).status, 204)
        t.equal((await userById(database, user.id)).email, user.email)
      })
    }

    await t.test('a session without a confirmed password does not confirm the change', async t => {
      const { user, thief, owner } = await aUserWithThief()
      const link = await requestEmailChange(app, thief)
      const navigation = { 'sec-fetch-site': 'cross-site', 'sec-fetch-mode': 'navigate', accept: 'text/html' }
      t.equal((await openLink(owner, link, navigation)).status, 423)
      t.equal((await userById(database, user.id)).email, user.email)
    })

    await t.test('a session that has ended does not confirm the change', async t => {
      const { user, thief } = await aUserWithThief()
      const link = await requestEmailChange(app, thief)
      await database.kysely.deleteFrom('sessions').where('user_id', '=', user.id).execute()
      t.equal((await openLink(thief, link)).status, 401)
      t.equal((await userById(database, user.id)).email, user.email)
    })

    for (const [name, settings, options] of [
      ['an immediate change', { EMAIL_CHANGE: 'immediate' }, {}],
      ['a change of an unverified address', {}, { verified: false }],
    ] as const) {
      await t.test(`a password reset after ${name} keeps the second factor`, async t => {
        const app = await startApp(t, { database, environment: { ...environment, ...settings } })
        const { user, thief } = await aUserWithThief(app, options)
        await storeSecondFactor(database, user.id)
        const email = anEmail()
        t.equal((await changeProfile(thief, { email })).status, 200)
        await thief.post('/logout')
        const token = await requestResetToken(app, email)
        t.equal((await resetPassword(app, { token, email }, thief)).status, 200)
        const login = await thief.post('/login', { email, password: NEW_PASSWORD })
        t.strictSame(login.json, { two_factor: true })
      })
    }
  })
}
