import t from 'tap'
import { PASSWORD_CONFIRMATION_REQUIRED } from '../../../../fixtures/answers.ts'
import { aLoggedInUser, TestBrowser } from '../../../../fixtures/browser.ts'
import { MINUTE } from '../../../../fixtures/clock.ts'
import { userById } from '../../../../fixtures/registration.ts'
import {
  answerChallenge,
  aUserWithSecondFactor,
  FACTOR_PATH,
  STEP,
  startChallenge,
  totpCode,
  WRONG_CODE,
} from '../../../../fixtures/second-factor.ts'
import { startUnlimited } from '../../../../fixtures/server.ts'
import { logInRemembered, SESSION_COOKIE } from '../../../../fixtures/sessions.ts'
import { aMember, PASSWORD } from '../../../../fixtures/users.ts'
import { send } from '../../../../support/app.ts'
import { createDatabase, ENGINES, PRODUCTION_ENGINE } from '../../../../support/databases.ts'

for (const engine of ENGINES) {
  t.test(`setting up a second factor on ${engine}`, async t => {
    const database = await createDatabase(t, engine)
    t.teardown(() => database.close())

    await t.test('a second factor is enabled, shown, confirmed, and then asked for at the login', async t => {
      const app = await startUnlimited(t, database)
      const { user, browser } = await aLoggedInUser(app, database, { confirmed: true })
      t.strictSame((await browser.get('/user/two-factor-qr-code')).json, [])
      t.strictSame((await browser.get('/user/two-factor-recovery-codes')).json, [])
      const none = await browser.get('/user/two-factor-secret-key')
      t.equal(none.status, 404)
      t.strictSame(none.json, { message: 'Two factor authentication has not been enabled.' })

      const answer = await browser.post('/user/two-factor-authentication')
      t.equal(answer.status, 200)
      t.equal(answer.text, '""')
      const { secretKey } = (await browser.get('/user/two-factor-secret-key')).json
      t.match(secretKey, /^[A-Z2-7]{32}$/)
      const { svg, url } = (await browser.get('/user/two-factor-qr-code')).json
      t.match(svg, /^<svg width="192" height="192" [^>]*viewBox/)
      t.notMatch(svg, /<script|href/)
      t.equal(
        url,
        `otpauth://totp/AnimeThemes:${encodeURIComponent(user.email)}?issuer=AnimeThemes&secret=${secretKey}&algorithm=SHA1&digits=6&period=30`,
      )
      const codes: string[] = (await browser.get('/user/two-factor-recovery-codes')).json
      t.equal(codes.length, 8)
      const stored = await userById(database, user.id)
      t.notOk(stored.two_factor_secret?.includes(secretKey))
      t.equal(stored.two_factor_confirmed_at, null)
      t.equal(
        (await (await startChallenge(app, user)).get('/api/me')).status,
        200,
        'it is not asked for before it is confirmed',
      )

      const confirm = (code: unknown) => browser.post('/user/confirmed-two-factor-authentication', { code })
      for (const code of ['000000', '', null, codes[0]]) {
        const wrong = await confirm(code)
        t.equal(wrong.status, 422)
        t.strictSame(wrong.json.errors, WRONG_CODE)
      }
      t.equal((await confirm(123456)).status, 422)
      const right = await confirm(totpCode(secretKey, app))
      t.equal(right.status, 200)
      t.equal(right.text, '""')
      t.equal((await browser.get('/api/me')).json.user.two_factor_confirmed_at, '2026-03-01 12:00:00')
      t.equal((await (await startChallenge(app, user)).get('/api/me')).status, 401)

      const { two_factor_secret } = await userById(database, user.id)
      await browser.post('/user/two-factor-authentication')
      t.equal(
        (await userById(database, user.id)).two_factor_secret,
        two_factor_secret,
        'a second request keeps the secret',
      )
      t.equal(
        (await browser.get('/user/two-factor-secret-key')).status,
        404,
        'the secret is not shown once it is confirmed',
      )
      t.strictSame((await browser.get('/user/two-factor-qr-code')).json, [])
      const logged = JSON.stringify(app.logged)
      for (const secret of [secretKey, ...codes]) t.notOk(logged.includes(secret))
      for (const event of [
        'second factor enabled',
        'second factor confirmed',
        'wrong code',
        'recovery codes shown',
      ]) {
        t.match(
          app.logged.find(({ msg }) => msg === event),
          { userId: user.id, address: '127.0.0.1' },
          event,
        )
      }
    })

    await t.test('a second factor that is replaced has to be confirmed again', async t => {
      const app = await startUnlimited(t, database, { MAIL_SECURITY_EVENTS: 'second-factor-off' })
      const { user, browser, secret, codes } = await aUserWithSecondFactor(t, app, database)
      await browser.post('/user/two-factor-authentication', { force: true, code: totpCode(secret, app) })
      const renewed = (await browser.get('/user/two-factor-secret-key')).json.secretKey
      t.not(renewed, secret)
      t.notOk(
        (await browser.get('/user/two-factor-recovery-codes')).json.some((code: string) =>
          codes.includes(code),
        ),
      )
      t.equal((await browser.get('/api/me')).json.user.two_factor_confirmed_at, null)
      t.match((await app.mailbox.next()).subject, /Two-factor authentication .* is off/)
      t.equal((await (await startChallenge(app, user)).get('/api/me')).status, 200)
      const code = totpCode(renewed, app)
      t.equal((await browser.post('/user/confirmed-two-factor-authentication', { code })).status, 200)
    })

    await t.test('disabling a second factor sends a mail', async t => {
      const app = await startUnlimited(t, database, { MAIL_SECURITY_EVENTS: 'second-factor-off' })
      const { user, browser, secret } = await aUserWithSecondFactor(t, app, database)
      const payload = { code: totpCode(secret, app) }
      const answer = await browser.send('DELETE', '/user/two-factor-authentication', { payload })
      t.equal(answer.status, 200)
      t.equal(answer.text, '""')
      t.match(await userById(database, user.id), {
        two_factor_secret: null,
        two_factor_recovery_codes: null,
        two_factor_confirmed_at: null,
      })
      t.equal((await (await startChallenge(app, user)).get('/api/me')).status, 200)
      t.strictSame((await app.mailbox.next()).to, { name: user.name, address: user.email })
      t.equal(
        (await browser.send('DELETE', '/user/two-factor-authentication')).status,
        200,
        'disabling it again is 200',
      )
      t.equal(app.mailbox.mails.length, 1)
    })

    await t.test(
      'the routes of the second factor require a password confirmation of the session',
      async t => {
        const app = await startUnlimited(t, database)
        const { user, browser } = await aLoggedInUser(app, database, { confirmed: true })
        const other = new TestBrowser(app)
        await other.logIn(user)
        const routes: [method: string, url: string][] = [
          ['POST', '/user/two-factor-authentication'],
          ['DELETE', '/user/two-factor-authentication'],
          ['POST', '/user/confirmed-two-factor-authentication'],
          ['GET', '/user/two-factor-qr-code'],
          ['GET', '/user/two-factor-secret-key'],
          ['GET', '/user/two-factor-recovery-codes'],
          ['POST', '/user/two-factor-recovery-codes'],
        ]
        await browser.post('/user/two-factor-authentication')
        const before = await userById(database, user.id)
        const headers = { authorization: `Bearer ${user.token}`, 'sec-fetch-site': 'same-origin' }
        for (const [method, url] of routes) {
          const refused = await other.send(method, url)
          t.equal(refused.status, 423, `${method} ${url}`)
          t.strictSame(refused.json, PASSWORD_CONFIRMATION_REQUIRED)
          t.equal((await send(app, method, url, { headers })).status, 401, 'a token is refused')
          t.equal(
            (await new TestBrowser(app).bare(method, url, { headers: { 'sec-fetch-site': 'same-origin' } }))
              .status,
            401,
          )
          if (method !== 'GET')
            t.equal((await browser.bare(method, url)).status, 419, 'a request of another site is refused')
        }
        t.strictSame(await userById(database, user.id), before)
        app.clock.advance(181 * MINUTE)
        t.equal((await browser.get('/user/two-factor-secret-key')).status, 401)
      },
    )

    await t.test('recovery codes are replaced, and the previous ones refused', async t => {
      const app = await startUnlimited(t, database)
      const { user, browser, secret, codes } = await aUserWithSecondFactor(t, app, database)
      const code = totpCode(secret, app)
      t.equal((await browser.post('/user/two-factor-recovery-codes', { code })).status, 200)
      const renewed: string[] = (await browser.get('/user/two-factor-recovery-codes')).json
      t.equal(new Set([...codes, ...renewed]).size, 16)
      const pending = await startChallenge(app, user)
      t.equal((await answerChallenge(pending, { recovery_code: codes[0] })).status, 422)
      t.equal((await answerChallenge(pending, { recovery_code: renewed[7] })).status, 204)
    })
  })
}

for (const engine of PRODUCTION_ENGINE) {
  t.test(`a second factor that is confirmed, on ${engine}`, async t => {
    const database = await createDatabase(t, engine)
    t.teardown(() => database.close())

    await t.test('confirming a second factor ends all other sessions and devices', async t => {
      const app = await startUnlimited(t, database)
      const user = await aMember(database)
      const browser = await logInRemembered(t, app, user)
      const [plain, remembered] = [
        await logInRemembered(t, app, user, false),
        await logInRemembered(t, app, user),
      ]
      await browser.post('/user/confirm-password', { password: PASSWORD })
      await browser.post(FACTOR_PATH)
      t.equal((await plain.get('/api/me')).status, 200)
      const { secretKey } = (await browser.get('/user/two-factor-secret-key')).json
      const code = totpCode(secretKey, app)
      await browser.post('/user/confirmed-two-factor-authentication', { code })
      for (const one of [plain, remembered]) t.equal((await one.get('/api/me')).status, 401)
      remembered.cookies.delete(SESSION_COOKIE)
      t.equal((await remembered.get('/api/me')).status, 401)
      t.equal((await browser.get('/api/me')).status, 200)
      app.clock.advance(STEP)
      browser.cookies.delete(SESSION_COOKIE)
      t.equal((await browser.get('/api/me')).status, 200, 'the device that confirmed it is kept')
    })
  })
}
