import { randomBytes } from 'node:crypto'
import t from 'tap'
import { hashPassword, type PasswordHash } from '#src/auth/password.ts'
import { openBrowser, TestBrowser } from '../../fixtures/browser.ts'
import { DAY, MINUTE } from '../../fixtures/clock.ts'
import { changeProfile } from '../../fixtures/email-changes.ts'
import {
  changePassword,
  INVALID_RESET_TOKEN,
  NEW_PASSWORD,
  requestResetToken,
  resetPassword,
} from '../../fixtures/passwords.ts'
import { anEmail } from '../../fixtures/registration.ts'
import { storeSecondFactor } from '../../fixtures/second-factor.ts'
import { isLoggedIn, logInRemembered, SESSION_COOKIE } from '../../fixtures/sessions.ts'
import { UNLIMITED } from '../../fixtures/settings.ts'
import { aMember, aToken, aUser } from '../../fixtures/users.ts'
import { get, startApp, type TestApp } from '../../support/app.ts'
import { createDatabase, ENGINES, PRODUCTION_ENGINE, type TestDatabase } from '../../support/databases.ts'

/** A user who can log in, and the token of a mail with a link to a new password. */
async function aUserWithResetToken(
  app: TestApp,
  database: TestDatabase,
  options: { verified?: boolean } = {},
) {
  const user = await aMember(database, options)
  return { user, email: user.email, token: await requestResetToken(app, user.email) }
}

for (const engine of ENGINES) {
  t.test(`POST /reset-password on ${engine}`, async t => {
    const database = await createDatabase(t, engine)
    t.teardown(() => database.close())
    const start = (environment: Record<string, string> = {}) =>
      startApp(t, { database, environment: { ...UNLIMITED, ...environment } })
    const app = await start()

    await t.test('the token of the mail sets a new password', async t => {
      const app = await start()
      const { user, email, token } = await aUserWithResetToken(app, database)
      const browser = await openBrowser(app)
      const answer = await resetPassword(app, { email: email.toUpperCase(), token }, browser)
      t.equal(answer.status, 200)
      const done = 'Your password has been reset!'
      t.strictSame(answer.json, { message: done, status: done })
      t.notOk(await isLoggedIn(browser), 'a reset does not log in')
      t.equal((await new TestBrowser(app).logIn(user)).status, 422)
      t.equal((await new TestBrowser(app).logIn({ ...user, password: NEW_PASSWORD })).status, 200)
      const notice = await app.mailbox.next()
      t.strictSame(notice.to, { name: user.name, address: user.email })
      t.match(notice.subject, /password .* was changed/)
      t.match(
        app.logged.find(({ msg }) => msg === 'password reset'),
        { userId: user.id, revokedTokens: true },
      )
      t.notOk(JSON.stringify(app.logged).includes(NEW_PASSWORD))
      t.notOk(JSON.stringify(app.logged).includes(token))
    })

    await t.test('a reset ends all sessions and devices, and revokes all tokens', async t => {
      const { user, email, token } = await aUserWithResetToken(app, database)
      const sessions = [new TestBrowser(app), new TestBrowser(app)]
      for (const session of sessions) await session.logIn(user)
      const remembered = await logInRemembered(t, app, user)
      remembered.cookies.delete(SESSION_COOKIE)
      t.equal((await resetPassword(app, { email, token })).status, 200)
      for (const session of sessions) t.equal((await session.get('/api/me')).status, 401)
      t.equal((await remembered.get('/api/me')).status, 401)
      t.equal((await get(app, '/api/me', user.token)).status, 401)
    })

    await t.test('a token is valid once', async t => {
      const { email, token } = await aUserWithResetToken(app, database)
      t.equal((await resetPassword(app, { email, token })).status, 200)
      const again = await resetPassword(app, { email, token })
      t.equal(again.status, 422)
      t.strictSame(again.json.errors, INVALID_RESET_TOKEN)
    })

    await t.test('of concurrent resets with a token one succeeds', async t => {
      const app = await start()
      const { email, token } = await aUserWithResetToken(app, database)
      const browsers = await Promise.all([1, 2, 3, 4, 5].map(() => openBrowser(app)))
      const answers = await Promise.all(
        browsers.map(browser => resetPassword(app, { email, token }, browser)),
      )
      t.strictSame(answers.map(({ status }) => status).sort(), [200, 422, 422, 422, 422])
      t.equal(app.logged.filter(({ msg }) => msg === 'password reset').length, 1)
    })

    await t.test('a token is valid for its own account, unaltered', async t => {
      const { email, token } = await aUserWithResetToken(app, database)
      const other = await aUserWithResetToken(app, database)
      for (const [input, name] of [
        [{ email, token: other.token }, 'the token of another account'],
        [{ email: other.email, token }, 'the address of another account'],
        [{ email: anEmail(), token }, 'an unknown address'],
        [{ email, token: token.slice(1) }, 'a token without its first character'],
        [{ email, token: `${token}\0x` }, 'a token with text behind a NUL'],
        [{ email, token: 'x'.repeat(60_000) }, 'a long token'],
        [{ email, token: '$2y$04$' }, 'a token that looks like a hash'],
      ] as const) {
        const { status, json } = await resetPassword(app, input)
        t.equal(status, 422, name)
        t.strictSame(json.errors, INVALID_RESET_TOKEN)
      }
    })

    await t.test('a token is valid for an hour, and until the next one is sent', async t => {
      const app = await start()
      const { email, token } = await aUserWithResetToken(app, database)
      const assertInvalid = async (name: string) => {
        const { status, json } = await resetPassword(app, { email, token })
        t.equal(status, 422, name)
        t.strictSame(json.errors, INVALID_RESET_TOKEN)
      }
      app.clock.advance(60 * MINUTE + 1000)
      await assertInvalid('after an hour')
      const second = await requestResetToken(app, email)
      await assertInvalid('after another token was sent')
      t.equal((await resetPassword(app, { email, token: second })).status, 200)
    })

    await t.test('the token of a deleted user is invalid', async t => {
      const { user, email, token } = await aUserWithResetToken(app, database)
      await database.kysely
        .updateTable('users')
        .set({ deleted_at: '2026-02-01 00:00:00' })
        .where('id', '=', user.id)
        .execute()
      t.strictSame((await resetPassword(app, { email, token })).json.errors, INVALID_RESET_TOKEN)
    })

    await t.test('the token is invalid after a change of the address, for every user', async t => {
      const app = await start({ EMAIL_CHANGE: 'immediate' })
      const { user, email, token } = await aUserWithResetToken(app, database)
      const browser = new TestBrowser(app)
      await browser.logIn(user)
      const moved = anEmail()
      await changeProfile(browser, { email: moved })
      for (const address of [email, moved]) {
        const { json } = await resetPassword(app, { email: address, token })
        t.strictSame(json.errors, INVALID_RESET_TOKEN, address)
      }
      const next = await aUser(database)
      await database.kysely.updateTable('users').set({ email }).where('id', '=', next.id).execute()
      const { json } = await resetPassword(app, { email, token })
      t.strictSame(json.errors, INVALID_RESET_TOKEN, 'for another user who has the address now')
    })

    await t.test('invalid input returns 422 with all fields, and does not use the token up', async t => {
      const { email, token } = await aUserWithResetToken(app, database)

      const cases: [change: object, errors: Record<string, string[]>][] = [
        [
          { token: '', email: '', password: '' },
          {
            token: ['The token field is required.'],
            email: ['The email field is required.'],
            password: ['The password field is required.'],
          },
        ],
        [{ email: 'no-at-sign' }, { email: ['The email must be a valid email address.'] }],
        [{ password_confirmation: 'x' }, { password: ['The password confirmation does not match.'] }],
        [
          { password: 'short1A-', password_confirmation: 'short1A-', token: ['x'] },
          { token: ['The token must be a string.'] },
        ],
        [
          { password: `Aa1-${'x'.repeat(69)}`, password_confirmation: `Aa1-${'x'.repeat(69)}` },
          { password: ['The password must not be longer than 72 bytes.'] },
        ],
      ]
      for (const [change, errors] of cases) {
        const { status, json } = await resetPassword(app, { email, token, ...change })
        t.equal(status, 422)
        t.strictSame(json.errors, errors)
      }
      t.equal((await resetPassword(app, { email, token })).status, 200)
    })

    await t.test(
      'revoke_tokens revokes all tokens, and so does REVOKE_TOKENS_ON_PASSWORD_CHANGE',
      async t => {
        const first = await aUserWithResetToken(app, database)
        await resetPassword(app, { email: first.email, token: first.token, revoke_tokens: true })
        t.equal((await get(app, '/api/me', first.user.token)).status, 401)
        const revoking = await start({ REVOKE_TOKENS_ON_PASSWORD_CHANGE: 'true' })
        const second = await aUserWithResetToken(revoking, database)
        await resetPassword(revoking, { email: second.email, token: second.token })
        t.equal((await get(revoking, '/api/me', second.user.token)).status, 401)
      },
    )

    await t.test('a token that Laravel sent is valid', async t => {
      const { email } = await aUser(database)
      const token = randomBytes(32).toString('hex')
      await database.kysely
        .insertInto('password_reset_tokens')
        .values({ email, token: await hashPassword(token, 5), created_at: '2026-03-01 11:59:00' })
        .execute()
      t.equal((await resetPassword(app, { email, token })).status, 200)
    })

    await t.test('attempts are limited', async t => {
      const app = await start({ FORGOT_PASSWORD_RATE_LIMIT: '2' })
      const { email } = await aUserWithResetToken(app, database)
      const statuses: number[] = []
      for (let n = 0; n < 3; n += 1) {
        statuses.push((await resetPassword(app, { email, token: 'x' })).status)
      }
      t.strictSame(statuses, [422, 422, 429])
    })

    await t.test('a reset clears the attempt limit of the login', async t => {
      const app = await start({ LOGIN_FAILURE_LIMIT: '2' })
      const { user, email, token } = await aUserWithResetToken(app, database)
      const browser = await openBrowser(app)
      for (const status of [422, 422, 429]) {
        t.equal((await browser.post('/login', { ...user, password: 'wrong' })).status, status)
      }
      t.equal((await resetPassword(app, { email, token }, browser)).status, 200)
      t.equal((await new TestBrowser(app).logIn({ ...user, password: NEW_PASSWORD })).status, 200)
    })

    await t.test('an expired token is deleted within a day', async t => {
      const app = await start()
      const { email } = await aUserWithResetToken(app, database)
      const countTokens = async () => {
        const rows = database.kysely.selectFrom('password_reset_tokens').select('email')
        return (await rows.where('email', '=', email).execute()).length
      }
      await app.lastUse.prune()
      t.equal(await countTokens(), 1)
      app.clock.advance(DAY)
      await app.lastUse.prune()
      t.equal(await countTokens(), 0)
    })

    await t.test('a stored value that is no hash, or without a date, matches no token', async t => {
      const { email } = await aUserWithResetToken(app, database)
      for (const change of [{ token: 'rubbish' as PasswordHash }, { created_at: null }]) {
        await database.kysely
          .updateTable('password_reset_tokens')
          .set(change)
          .where('email', '=', email)
          .execute()
        t.equal((await resetPassword(app, { email, token: 'rubbish' })).status, 422)
      }
    })
  })
}

for (const engine of PRODUCTION_ENGINE) {
  t.test(`what a new password ends on ${engine}`, async t => {
    const database = await createDatabase(t, engine)
    t.teardown(() => database.close())
    const start = (environment: Record<string, string> = {}) =>
      startApp(t, { database, environment: { ...UNLIMITED, ...environment } })
    const app = await start()

    await t.test('a change of the password makes a reset token that was sent before invalid', async t => {
      const app = await start()
      const { user, email, token } = await aUserWithResetToken(app, database)
      const browser = new TestBrowser(app)
      await browser.logIn(user)
      t.equal((await changePassword(browser)).status, 200)
      t.strictSame((await resetPassword(app, { email, token })).json.errors, INVALID_RESET_TOKEN)
      t.equal((await browser.get('/api/me')).status, 200)
      const rows = database.kysely.selectFrom('password_reset_tokens').select('email')
      t.strictSame(await rows.where('email', '=', email).execute(), [])
      app.clock.advance(MINUTE)
      const later = await requestResetToken(app, email)
      t.equal((await resetPassword(app, { email, token: later })).status, 200)
    })

    await t.test('a change of the password keeps tokens, and a reset revokes them', async t => {
      const user = await aMember(database)
      const browser = new TestBrowser(app)
      await browser.logIn(user)
      await changePassword(browser)
      t.equal((await get(app, '/api/me', user.token)).status, 200)
      const token = await requestResetToken(app, user.email)
      t.equal((await resetPassword(app, { email: user.email, token })).status, 200)
      t.equal((await get(app, '/api/me', user.token)).status, 401)
    })

    await t.test('revoke_tokens=false keeps tokens, and so does REVOKE_TOKENS_ON_PASSWORD_RESET', async t => {
      const keeping = await start({ REVOKE_TOKENS_ON_PASSWORD_RESET: 'false' })
      const first = await aUserWithResetToken(keeping, database)
      await resetPassword(keeping, { email: first.email, token: first.token })
      t.equal((await get(keeping, '/api/me', first.user.token)).status, 200)
      const second = await aUserWithResetToken(app, database)
      await resetPassword(app, { email: second.email, token: second.token, revoke_tokens: false })
      t.equal((await get(app, '/api/me', second.user.token)).status, 200)
    })

    await t.test(
      'the reset of an unverified account removes all access of a hijacker who created it',
      async t => {
        const app = await start({ REVOKE_TOKENS_ON_PASSWORD_RESET: 'false' })
        const user = await aMember(database, { verified: false })
        const hijacker = await logInRemembered(t, app, user)
        const { token } = await aToken(database, user.id)
        await storeSecondFactor(database, user.id, '2026-03-01 12:00:00')
        const { email } = user
        const resetToken = await requestResetToken(app, email)
        const answer = await resetPassword(app, { email, token: resetToken, revoke_tokens: false })
        t.equal(answer.status, 200)
        for (const one of [token, user.token]) t.equal((await get(app, '/api/me', one)).status, 401)
        t.notOk(await isLoggedIn(hijacker))
        hijacker.cookies.delete(SESSION_COOKIE)
        t.notOk(await isLoggedIn(hijacker))
        const owner = new TestBrowser(app)
        const login = await owner.logIn({ ...user, password: NEW_PASSWORD })
        t.strictSame(login.json, { two_factor: false }, 'the second factor of the hijacker is removed')
        t.ok(await isLoggedIn(owner))
      },
    )

    await t.test('the reset of a verified account keeps the second factor', async t => {
      const { user, email, token } = await aUserWithResetToken(app, database)
      await storeSecondFactor(database, user.id, '2026-03-01 12:00:00')
      await resetPassword(app, { email, token })
      const login = await new TestBrowser(app).logIn({ ...user, password: NEW_PASSWORD })
      t.strictSame(login.json, { two_factor: true })
    })
  })
}
