import t from 'tap'
import { ALREADY_AUTHENTICATED } from '../../fixtures/answers.ts'
import { aLoggedInUser, openBrowser } from '../../fixtures/browser.ts'
import { MINUTE } from '../../fixtures/clock.ts'
import { linkIn } from '../../fixtures/mailbox.ts'
import { forgetPassword, resetPassword } from '../../fixtures/passwords.ts'
import { anEmail } from '../../fixtures/registration.ts'
import { UNLIMITED } from '../../fixtures/settings.ts'
import { aMember, aUser, PASSWORD } from '../../fixtures/users.ts'
import { startApp } from '../../support/app.ts'
import { createDatabase, ENGINES } from '../../support/databases.ts'
import { until } from '../../support/until.ts'

const LINK_SENT = 'We have emailed your password reset link!'
const SENT = { message: LINK_SENT, status: LINK_SENT }
const UNKNOWN_EMAIL = { email: ["We can't find a user with that email address."] }

for (const engine of ENGINES) {
  t.test(`POST /forgot-password on ${engine}`, async t => {
    const database = await createDatabase(t, engine)
    t.teardown(() => database.close())
    const app = await startApp(t, { database, environment: UNLIMITED })

    await t.test('the user gets a mail with a link, whose token is stored as a hash', async t => {
      const app = await startApp(t, {
        database,
        environment: { WIKI_RESET_PASSWORD: 'https://www.example.org/reset?from=mail' },
      })
      const user = await aUser(database)
      const answer = await forgetPassword(await openBrowser(app), user.email.toUpperCase())

      t.equal(answer.status, 200)
      t.strictSame(answer.json, SENT)
      t.equal(answer.headers['x-ratelimit-remaining'], '4')
      const mail = await app.mailbox.next()
      t.strictSame(mail.to, { name: user.name, address: user.email })
      const link = linkIn(mail)
      t.equal(link.origin + link.pathname, 'https://www.example.org/reset')
      t.match(link.searchParams.get('token'), /^[0-9a-f]{64}$/)
      t.strictSame([...link.searchParams.keys()], ['from', 'token'], 'the address is not in the link')
      const row = await database.kysely
        .selectFrom('password_reset_tokens')
        .selectAll()
        .where('email', '=', user.email)
        .executeTakeFirst()
      t.match(row, { token: /^\$2y\$/, created_at: '2026-03-01 12:00:00' })
      t.notOk(JSON.stringify(app.logged).includes(link.searchParams.get('token') ?? '?'))
      t.match(
        app.logged.find(({ msg }) => msg === 'password reset asked for'),
        { userId: user.id, cause: 'sent', address: '127.0.0.1' },
      )
    })

    await t.test('the answer and the statements before it do not tell whether a user exists', async t => {
      const app = await startApp(t, { database, environment: UNLIMITED })

      const user = await aMember(database)
      const deleted = await aUser(database)
      await database.kysely
        .updateTable('users')
        .set({ deleted_at: '2026-01-01 00:00:00' })
        .where('id', '=', deleted.id)
        .execute()
      const browser = await openBrowser(app)
      // The first look-up also reads the permissions.
      await browser.get('/api/me')
      // How many statements there were when the request was written to the log, which is after its answer.
      let before = 0
      app.logged.push = function (this: unknown[], line) {
        if (line.msg === 'request') before = database.statements.length
        return Array.prototype.push.call(this, line)
      }
      let asked = 0
      const ask = async (email: string) => {
        database.statements.length = 0
        const answer = await forgetPassword(browser, email)
        asked += 1
        await until(() => app.logged.filter(({ msg }) => msg === 'password reset asked for').length === asked)
        const { status, text, headers } = answer
        return { status, text, headers: Object.keys(headers).sort(), before }
      }
      const answers = [
        await ask(anEmail()),
        await ask(user.email),
        await ask(user.email),
        await ask(deleted.email),
      ]
      const [first] = answers
      for (const { status, text, headers, before } of answers) {
        t.equal(status, 200)
        t.equal(text, first?.text)
        t.strictSame(headers, first?.headers)
        t.equal(before, 2, 'it looks up the session and counts the attempt')
      }
      await app.close()
      t.equal(app.mailbox.mails.length, 1, 'one mail a minute, to the existing user')
      const causes = app.logged
        .filter(({ msg }) => msg === 'password reset asked for')
        .map(({ userId, cause }) => [userId, cause])
      t.strictSame(causes, [
        [null, 'unknown'],
        [user.id, 'sent'],
        [user.id, 'throttled'],
        [null, 'unknown'],
      ])
    })

    await t.test(
      'REVEAL_UNKNOWN_EMAIL=true returns 422 for an unknown address and for a second mail',
      async t => {
        const app = await startApp(t, {
          database,
          environment: { ...UNLIMITED, REVEAL_UNKNOWN_EMAIL: 'true' },
        })
        const user = await aUser(database)
        const browser = await openBrowser(app)
        const unknown = await forgetPassword(browser, anEmail())
        t.equal(unknown.status, 422)
        t.strictSame(unknown.json.errors, UNKNOWN_EMAIL)
        t.equal((await forgetPassword(browser, user.email)).status, 200)
        const again = await forgetPassword(browser, user.email)
        t.equal(again.status, 422)
        t.strictSame(again.json.errors, { email: ['Please wait before retrying.'] })
        app.clock.advance(MINUTE)
        t.equal((await forgetPassword(browser, user.email)).status, 200)
        const reset = await resetPassword(app, { token: 'x', email: anEmail() }, browser)
        t.strictSame(reset.json.errors, UNKNOWN_EMAIL)
      },
    )

    await t.test('an invalid address returns 422', async t => {
      const browser = await openBrowser(app)
      for (const email of [
        '',
        null,
        'no-at-sign',
        'a@b@c',
        ['a@b'],
        { a: 1 },
        1,
        'nul\0@example.org',
        '\ud800@b',
      ]) {
        const { status, json } = await forgetPassword(browser, email)
        t.equal(status, 422, JSON.stringify(email))
        t.strictSame(Object.keys(json.errors), ['email'])
      }
      t.equal((await browser.post('/forgot-password')).status, 422)
    })

    await t.test('another Unicode form of an address gets a mail, and a similar letter does not', async t => {
      const app = await startApp(t, { database, environment: UNLIMITED })
      const user = await aUser(database)
      const browser = await openBrowser(app)
      t.equal((await forgetPassword(browser, user.email.replace('user', 'ｕｓｅｒ'))).status, 200)
      t.equal((await app.mailbox.next()).to.address, user.email)
      t.equal((await forgetPassword(browser, user.email.replace('user', 'us\u0435r'))).status, 200)
      await app.close()
      t.equal(app.mailbox.mails.length, 1)
    })

    await t.test('requests are limited for an account and for a client', async t => {
      const app = await startApp(t, { database, environment: { FORGOT_PASSWORD_RATE_LIMIT: '2' } })
      const user = await aUser(database)
      const browser = await openBrowser(app)
      const statuses: number[] = []
      for (let n = 0; n < 3; n += 1) statuses.push((await forgetPassword(browser, user.email)).status)
      t.strictSame(statuses, [200, 200, 429], 'for an account')
      for (let n = 0; n < 6; n += 1) await forgetPassword(browser, anEmail())
      t.equal((await forgetPassword(browser, anEmail())).status, 429, 'for a client')
    })

    await t.test('a user gets five mails an hour at most, and the last link is valid', async t => {
      const app = await startApp(t, { database, environment: UNLIMITED })
      const user = await aUser(database)
      const browser = await openBrowser(app)
      for (let n = 0; n < 9; n += 1) {
        t.equal((await forgetPassword(browser, user.email)).status, 200)
        if (n < 5) await app.mailbox.next()
        app.clock.advance(MINUTE)
      }
      await app.close()
      const mails = app.mailbox.mailsTo(user.email)
      t.equal(mails.length, 5)
      const token = linkIn(mails[4] ?? { text: '' }).searchParams.get('token')
      const other = await startApp(t, { database, environment: UNLIMITED, clock: app.clock })
      t.equal((await resetPassword(other, { email: user.email, token })).status, 200)
    })

    await t.test('a user who is logged in is told so by every route for guests', async t => {
      const { user, browser } = await aLoggedInUser(app, database)
      for (const url of [
        '/forgot-password',
        '/reset-password',
        '/register',
        '/login',
        '/two-factor-challenge',
      ]) {
        const payload = { email: user.email, password: PASSWORD, token: 'x', code: 'x' }
        const answer = await browser.post(url, payload)
        t.equal(answer.status, 200, url)
        t.strictSame(answer.json, ALREADY_AUTHENTICATED)
      }
    })

    await t.test('a request without a CSRF token is 419', async t => {
      const browser = await openBrowser(app)
      for (const url of ['/forgot-password', '/reset-password', '/two-factor-challenge']) {
        t.equal((await browser.bare('POST', url, { payload: { email: 'a@b' } })).status, 419, url)
      }
    })
  })
}

t.test('a server closes while password resets are waiting for the database', async t => {
  const database = await createDatabase(t, 'postgres')
  t.teardown(() => database.close())
  const app = await startApp(t, { database, environment: UNLIMITED })
  const browser = await openBrowser(app)
  await browser.get('/api/me')
  const holder = await database.source.acquire()
  t.teardown(() => holder.release())
  await holder.query('begin', [])
  await holder.query('lock table password_reset_tokens in access exclusive mode', [])
  const user = await aUser(database)
  for (let n = 0; n < 5; n += 1) t.equal((await forgetPassword(browser, user.email)).status, 200)
  await app.close()
  t.pass('the server has closed')
  await holder.query('rollback', [])
})
