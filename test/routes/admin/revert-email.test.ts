import t, { type Test } from 'tap'
import { EMAIL_TAKEN } from '../../fixtures/answers.ts'
import { aLoggedInUser, openBrowser, TestBrowser } from '../../fixtures/browser.ts'
import { DAY, MINUTE } from '../../fixtures/clock.ts'
import {
  aUserWithChangedEmail,
  changeProfile,
  emailOf,
  moveToEmail,
  openLink,
  revertEmail,
} from '../../fixtures/email-changes.ts'
import { linkIn } from '../../fixtures/mailbox.ts'
import { PanelBrowser, textOf } from '../../fixtures/panel.ts'
import { NEW_PASSWORD, resetPassword } from '../../fixtures/passwords.ts'
import { anEmail, aRegistration, userById } from '../../fixtures/registration.ts'
import { storeSecondFactor } from '../../fixtures/second-factor.ts'
import { isLoggedIn, logInRemembered, SESSION_COOKIE } from '../../fixtures/sessions.ts'
import { UNLIMITED } from '../../fixtures/settings.ts'
import { aToken, PASSWORD } from '../../fixtures/users.ts'
import { get, startApp } from '../../support/app.ts'
import { createDatabase, ENGINES, PRODUCTION_ENGINE } from '../../support/databases.ts'

const openPage = (app: Parameters<typeof get>[0], link: URL) => get(app, link.pathname + link.search)

for (const engine of ENGINES) {
  t.test(`/admin/revert-email on ${engine}`, async t => {
    const database = await createDatabase(t, engine)
    t.teardown(() => database.close())
    const app = await startApp(t, { database, environment: UNLIMITED })
    const aUser = (t: Test, server = app) => aUserWithChangedEmail(t, server, database)

    await t.test('opening the page changes nothing, and its form restores the old address', async t => {
      const { user, browser, email, link } = await aUser(t)
      for (let n = 0; n < 3; n += 1) {
        t.equal((await openPage(app, link)).status, 200)
        t.equal(await emailOf(browser), email)
      }
      t.match(textOf(await openPage(app, link)), user.email)
      t.match(textOf(await revertEmail(app, link)), /is the address of your account again/)
      t.match(await userById(database, user.id), { email: user.email, email_verified_at: /^2026/ })
      const logged = JSON.stringify(app.logged)
      t.notOk(logged.includes(link.searchParams.get('token') ?? '?'), 'the token is not logged')
    })

    await t.test('a revert ends all sessions, devices and tokens, and disables the password', async t => {
      const { user, browser, email, link } = await aUser(t)
      const thief = await logInRemembered(t, app, { email, password: PASSWORD })
      const { token } = await aToken(database, user.id)
      await revertEmail(app, link)
      for (const one of [browser, thief]) t.notOk(await isLoggedIn(one))
      thief.cookies.delete(SESSION_COOKIE)
      t.notOk(await isLoggedIn(thief), 'the device is not remembered')
      t.equal((await get(app, '/api/me', token)).status, 401)
      for (const address of [email, user.email]) {
        t.equal((await new TestBrowser(app).logIn({ email: address, password: PASSWORD })).status, 422)
      }
    })

    await t.test('a revert sends a link to a new password, and is possible once', async t => {
      const { user, link } = await aUser(t)
      await revertEmail(app, link)
      const mail = await app.mailbox.nextTo(user.email)
      t.equal(mail.to.address, user.email)
      const token = linkIn(mail).searchParams.get('token')
      t.equal((await resetPassword(app, { token, email: user.email })).status, 200)
      const login = await new TestBrowser(app).logIn({ email: user.email, password: NEW_PASSWORD })
      t.equal(login.status, 200)
      t.equal((await revertEmail(app, link)).status, 404)
    })

    await t.test('the link is valid for seven days, in which the old address is taken', async t => {
      const app = await startApp(t, { database, environment: UNLIMITED })
      const { user, link } = await aUser(t, app)
      const other = await aLoggedInUser(app, database, { confirmed: true })
      const guest = await openBrowser(app)
      const register = () => guest.post('/register', aRegistration({ email: user.email.toUpperCase() }))
      t.strictSame((await register()).json.errors, EMAIL_TAKEN)
      t.strictSame((await changeProfile(other.browser, { email: user.email })).json.errors, EMAIL_TAKEN)
      app.clock.advance(7 * DAY - MINUTE)
      t.equal((await openPage(app, link)).status, 200)
      app.clock.advance(2 * MINUTE)
      t.equal((await openPage(app, link)).status, 404)
      await app.lastUse.prune()
      const rows = database.kysely.selectFrom('email_reverts').select('id').where('user_id', '=', user.id)
      t.strictSame(await rows.execute(), [])
      await guest.get('/sanctum/csrf-cookie')
      t.equal((await register()).status, 201)
    })

    await t.test(
      'a revert undoes later changes of the address, pending ones, and a later second factor',
      async t => {
        const { user, browser, link } = await aUser(t)
        const later = linkIn(await moveToEmail(t, app, browser, anEmail()))
        await changeProfile(browser, { email: anEmail() })
        await storeSecondFactor(database, user.id, '2026-03-01 12:30:00')
        t.match(textOf(await revertEmail(app, link)), user.email)
        t.match(await userById(database, user.id), { email: user.email, two_factor_secret: null })
        t.equal((await revertEmail(app, later)).status, 404, 'the later address cannot be restored')
        const pending = database.kysely.selectFrom('pending_email_changes').select('email')
        t.strictSame(await pending.where('user_id', '=', user.id).execute(), [])
      },
    )

    await t.test('a revert keeps a second factor that is older than the change', async t => {
      const { user, browser } = await aLoggedInUser(app, database, { confirmed: true })
      await storeSecondFactor(database, user.id, '2026-02-01 12:00:00')
      await revertEmail(app, linkIn(await moveToEmail(t, app, browser, anEmail())))
      t.match(await userById(database, user.id), { email: user.email, two_factor_secret: 'x' })
    })

    await t.test('of concurrent reverts one succeeds, and the others are 404', async t => {
      const { link } = await aUser(t)
      const browsers = Array.from({ length: 4 }, () => new PanelBrowser(app))
      const pages = await Promise.all(browsers.map(one => one.open(link.pathname + link.search)))
      const answers = await Promise.all(
        browsers.map((one, index) => one.sendForm(pages[index] as never, '/admin/revert-email')),
      )
      t.strictSame(answers.map(({ status }) => status).sort(), [200, 404, 404, 404])
    })

    await t.test('an unknown token is 404', async t => {
      for (const query of [
        '',
        '?token=',
        '?token=x',
        `?token=${'A'.repeat(43)}`,
        '?token[]=x',
        '?token=%00',
      ]) {
        const answer = await get(app, `/admin/revert-email${query}`)
        t.equal(answer.status, 404, query)
        t.match(textOf(answer), /is no longer valid/)
      }
    })

    await t.test('a form without a CSRF token is 419', async t => {
      const browser = new PanelBrowser(app)
      t.equal((await browser.open('/admin/login')).status, 200)
      t.equal((await browser.post('/admin/revert-email', { token: 'A'.repeat(43) })).status, 419)
    })
  })
}

for (const engine of PRODUCTION_ENGINE) {
  t.test(`a revert after a change by a thief on ${engine}`, async t => {
    const database = await createDatabase(t, engine)
    t.teardown(() => database.close())
    // Mails about other events go to the address of the moment, between those that the tests wait for.
    const environment = { ...UNLIMITED, MAIL_SECURITY_EVENTS: 'email-changed,password-changed' }
    const app = await startApp(t, { database, environment })
    /** A user, and a thief with a session that has confirmed the password. */
    const aUserWithThief = async (server = app) => {
      const { user, browser } = await aLoggedInUser(server, database, { confirmed: true })
      return { user, thief: browser.clone() }
    }

    await t.test('the mail about the change back has no link for the thief', async t => {
      const { user, thief } = await aUserWithThief()
      const email = anEmail()
      await moveToEmail(t, app, thief, email)
      await changeProfile(thief, { email: user.email })
      t.equal((await openLink(thief, linkIn(await app.mailbox.nextTo(user.email)))).status, 204)
      const notice = await app.mailbox.nextTo(email)
      t.equal(notice.to.address, email)
      t.notMatch(notice.text, /http/)
      t.equal((await userById(database, user.id)).email, user.email)
      const rows = database.kysely.selectFrom('email_reverts').select('id').where('user_id', '=', user.id)
      t.strictSame(await rows.execute(), [])
    })

    await t.test(
      'a second factor is removed that is newer than the first request for the change',
      async t => {
        const app = await startApp(t, { database, environment })
        const { user, thief } = await aUserWithThief(app)
        const email = anEmail()
        await changeProfile(thief, { email })
        await app.mailbox.nextTo(email)
        await storeSecondFactor(database, user.id, '2026-03-01 12:00:00')
        app.clock.advance(MINUTE)
        const link = linkIn(await moveToEmail(t, app, thief, email))
        t.match(textOf(await revertEmail(app, link)), user.email)
        t.match(await userById(database, user.id), { email: user.email, two_factor_secret: null })
      },
    )

    await t.test('an account that the thief has deleted is restored', async t => {
      const { user, thief } = await aUserWithThief()
      const link = linkIn(await moveToEmail(t, app, thief, anEmail()))
      t.equal((await thief.send('DELETE', '/user')).status, 204)
      t.equal((await openPage(app, link)).status, 200)
      t.match(textOf(await revertEmail(app, link)), user.email)
      t.match(await userById(database, user.id), { email: user.email, deleted_at: null })
      const mail = await app.mailbox.nextTo(user.email)
      t.equal(mail.to.address, user.email)
      const token = linkIn(mail).searchParams.get('token')
      t.equal((await resetPassword(app, { token, email: user.email })).status, 200)
      t.equal((await new TestBrowser(app).logIn({ ...user, password: NEW_PASSWORD })).status, 200)
    })

    await t.test('an account that was deleted before the change stays deleted', async t => {
      const { user, thief } = await aUserWithThief()
      const link = linkIn(await moveToEmail(t, app, thief, anEmail()))
      await database.kysely
        .updateTable('users')
        .set({ deleted_at: '2026-02-01 00:00:00' })
        .where('id', '=', user.id)
        .execute()
      t.equal((await revertEmail(app, link)).status, 404)
    })

    await t.test('a change to another case of the same address sends no link', async t => {
      const { user, thief } = await aUserWithThief()
      const [before, email] = [`Upper-${user.email}`, `upper-${user.email}`]
      await database.kysely.updateTable('users').set({ email: before }).where('id', '=', user.id).execute()
      await changeProfile(thief, { email })
      t.equal((await openLink(thief, linkIn(await app.mailbox.nextTo(email)))).status, 204)
      t.equal((await userById(database, user.id)).email, email)
      t.equal(app.mailbox.mailsTo(before).length + app.mailbox.mailsTo(email).length, 1)
    })
  })
}
