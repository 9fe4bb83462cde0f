import t from 'tap'
import { fromAddress, logInFrom } from '../../../fixtures/attempts.ts'
import { openBrowser, SPA, TestBrowser } from '../../../fixtures/browser.ts'
import { MINUTE } from '../../../fixtures/clock.ts'
import { changePassword } from '../../../fixtures/passwords.ts'
import { aRegistration } from '../../../fixtures/registration.ts'
import {
  answerChallenge,
  aUserWithSecondFactor,
  confirmSecondFactor,
  enableSecondFactor,
  STEP,
  startChallenge,
  totpCode,
} from '../../../fixtures/second-factor.ts'
import { startUnlimited } from '../../../fixtures/server.ts'
import {
  aRememberedUser,
  devicesOf,
  isLoggedIn,
  logInRemembered,
  REMEMBER_COOKIE,
  returningBrowser,
} from '../../../fixtures/sessions.ts'
import { aMember, PASSWORD } from '../../../fixtures/users.ts'
import { get } from '../../../support/app.ts'
import { createDatabase, ENGINES } from '../../../support/databases.ts'

for (const engine of ENGINES) {
  t.test(`remembered devices on ${engine}`, async t => {
    const database = await createDatabase(t, engine)
    t.teardown(() => database.close())

    await t.test(
      'a remembered device logs in after its session ended, with a new token each time',
      async t => {
        const app = await startUnlimited(t, database)
        const { user, browser } = await aRememberedUser(t, app, database)
        const token = browser.cookies.get(REMEMBER_COOKIE) ?? ''
        t.match(token, /^[\w-]{22}\.[\w-]{43}$/)
        const [stored] = await devicesOf(database, user.id)
        t.notOk(JSON.stringify(stored).includes(token.split('.')[1] ?? '?'), 'only a digest is stored')
        t.match(stored, { ip_address: '127.0.0.1', expires_at: '2027-04-05 12:00:00' })

        app.clock.advance(121 * MINUTE)
        const answer = await browser.get('/api/me')
        t.equal(answer.json.user.id, user.id)
        const cookie = answer.setCookies.find(line => line.startsWith(REMEMBER_COOKIE)) ?? ''
        t.match(
          cookie,
          /; Max-Age=34552740; Path=\/; Expires=Mon, 05 Apr 2027 12:00:00 GMT; HttpOnly; SameSite=Lax$/,
        )
        const next = browser.cookies.get(REMEMBER_COOKIE) ?? ''
        t.not(next, token)
        t.equal(next.split('.')[0], token.split('.')[0])
        t.equal(
          (await browser.send('PUT', '/api/me/notification/readall')).status,
          403,
          'the session is a normal one',
        )
        t.equal((await browser.get('/user/confirmed-password-status')).json.confirmed, false)
        t.match(app.logged.filter(({ msg }) => msg === 'login').at(-1), {
          userId: user.id,
          cause: 'remembered device',
        })
        t.notOk(JSON.stringify(app.logged).includes(next.split('.')[1] ?? '?'))
      },
    )

    await t.test('a device is remembered only if that is requested', async t => {
      const app = await startUnlimited(t, database)
      const user = await aMember(database)
      for (const value of [false, 'false', 0, '0', '', null, 'no', [], {}]) {
        t.notOk(
          (await logInRemembered(t, app, user, value)).cookies.has(REMEMBER_COOKIE),
          JSON.stringify(value),
        )
      }
      for (const value of [true, 'true', 1, '1', 'on', 'yes']) {
        t.ok((await logInRemembered(t, app, user, value)).cookies.has(REMEMBER_COOKIE), JSON.stringify(value))
      }
    })

    await t.test('a device is remembered when its user registers', async t => {
      const app = await startUnlimited(t, database)
      const browser = await openBrowser(app)
      await browser.post('/register', aRegistration({ remember: 'on' }))
      t.ok(await isLoggedIn(returningBrowser(browser)))
    })

    await t.test('a device is remembered after the second factor, not before', async t => {
      const app = await startUnlimited(t, database)
      const { user, secret } = await aUserWithSecondFactor(t, app, database)
      const pending = await startChallenge(app, user, { remember: true })
      t.notOk(pending.cookies.has(REMEMBER_COOKIE), 'not before the code')
      await answerChallenge(pending, { code: totpCode(secret, app) })
      t.ok(await isLoggedIn(returningBrowser(pending)))
      const forgetful = await startChallenge(app, user)
      app.clock.advance(STEP)
      await answerChallenge(forgetful, { code: totpCode(secret, app) })
      t.notOk(forgetful.cookies.has(REMEMBER_COOKIE))
    })

    await t.test('concurrent requests of a device are all logged in, by one rotation', async t => {
      const app = await startUnlimited(t, database)
      const { user, browser } = await aRememberedUser(t, app, database)
      const browsers = Array.from({ length: 6 }, () => returningBrowser(browser))
      const before = browser.cookies.get(REMEMBER_COOKIE)
      const answers = await Promise.all(browsers.map(isLoggedIn))
      t.ok(answers.every(Boolean))
      const rotated = browsers.filter(one => one.cookies.get(REMEMBER_COOKIE) !== before)
      t.equal(rotated.length, 1)
      t.ok(await isLoggedIn(returningBrowser(rotated[0] as TestBrowser)))
      t.equal((await devicesOf(database, user.id)).length, 1)
    })

    await t.test('a device begins at most twenty sessions a minute', async t => {
      const app = await startUnlimited(t, database)
      const { browser, user } = await aRememberedUser(t, app, database)
      const lost = returningBrowser(browser)
      await lost.get('/api/nowhere')
      t.equal(
        lost.cookies.get(REMEMBER_COOKIE),
        browser.cookies.get(REMEMBER_COOKIE),
        'a path that does not exist begins none',
      )
      // The session of the login does not count.
      app.clock.advance(2 * MINUTE)
      const statuses: boolean[] = []
      let last = browser
      for (let n = 0; n < 22; n += 1) {
        last = returningBrowser(last)
        statuses.push(await isLoggedIn(last))
      }
      t.strictSame(statuses, [...Array.from({ length: 20 }, () => true), false, false])
      app.clock.advance(MINUTE)
      t.ok(await isLoggedIn(returningBrowser(last)))
      t.equal((await devicesOf(database, user.id)).length, 1)
    })

    await t.test('a request that overlaps a login does not overwrite the remember cookie', async t => {
      const app = await startUnlimited(t, database)
      const { browser, user } = await aRememberedUser(t, app, database)
      await browser.post('/logout')
      await browser.post('/login', { ...user, remember: true })
      const before = browser.clone()
      await browser.post('/logout')
      await browser.post('/login', { ...user, remember: true })
      const overlapping = await before.get('/api/me')
      t.equal(overlapping.status, 401)
      t.strictSame(overlapping.setCookies, [], 'neither the session nor the device')
      app.clock.advance(MINUTE + 1000)
      t.match(
        (await before.get('/api/me')).setCookies.join(),
        `${REMEMBER_COOKIE}=;`,
        'an outdated cookie is removed after a minute',
      )
      t.ok(await isLoggedIn(returningBrowser(browser)))
    })

    await t.test('a login of another user replaces the remembered device', async t => {
      const app = await startUnlimited(t, database)
      const { browser, user } = await aRememberedUser(t, app, database)
      const other = await aMember(database)
      const shared = new TestBrowser(app)
      await shared.get('/sanctum/csrf-cookie')
      shared.cookies.set(REMEMBER_COOKIE, browser.cookies.get(REMEMBER_COOKIE) ?? '')
      t.equal((await shared.post('/login', other)).status, 200)
      t.notOk(shared.cookies.has(REMEMBER_COOKIE))
      t.strictSame(await devicesOf(database, user.id), [])
    })

    await t.test('a cookie that is sent twice is accepted', async t => {
      const app = await startUnlimited(t, database)
      const { browser, user } = await aRememberedUser(t, app, database)
      const value = browser.cookies.get(REMEMBER_COOKIE) ?? ''
      const cookie = `${REMEMBER_COOKIE}=${value}; ${REMEMBER_COOKIE}=${value}`
      const answer = await get(app, '/api/me', undefined, { referer: `${SPA}/`, cookie })
      t.equal(answer.json.user?.id, user.id)
    })

    await t.test('a login by a remembered device makes its address a known one', async t => {
      const app = await startUnlimited(t, database, {
        LOGIN_FAILURE_LIMIT: '3',
        TRUSTED_PROXIES: '127.0.0.1',
      })
      const { browser, user } = await aRememberedUser(t, app, database)
      const moved = returningBrowser(browser)
      t.equal((await moved.get('/api/me', fromAddress('198.51.100.9'))).status, 200)
      const guess = async (address: string, password: string) =>
        (await logInFrom(app, address, { email: user.email, password })).status
      for (let n = 0; n < 3; n += 1) t.equal(await guess(`203.0.113.${n}`, 'wrong'), 422)
      t.equal(await guess('203.0.113.99', PASSWORD), 429)
      t.equal(await guess('198.51.100.9', PASSWORD), 200)
    })

    await t.test('a password change ends all other devices', async t => {
      const app = await startUnlimited(t, database)
      const { user, browser } = await aRememberedUser(t, app, database)
      const other = await logInRemembered(t, app, user)
      t.equal((await changePassword(browser)).status, 200)
      t.equal((await devicesOf(database, user.id)).length, 1, 'their rows are deleted at once')
      t.ok(await isLoggedIn(returningBrowser(browser)))
      t.notOk(await isLoggedIn(other))
      t.notOk(await isLoggedIn(returningBrowser(other)))
      t.equal((await devicesOf(database, user.id)).length, 1)
    })

    await t.test('a password that changes in the database ends all devices', async t => {
      const app = await startUnlimited(t, database)
      const { user, browser } = await aRememberedUser(t, app, database)
      await database.kysely
        .updateTable('users')
        .set({ password: '$2y$04$abcdefghijklmnopqrstuuABCDEFGHIJKLMNOPQRSTUVWXYZabcdef' })
        .where('id', '=', user.id)
        .execute()
      t.notOk(await isLoggedIn(returningBrowser(browser)))
      t.strictSame(await devicesOf(database, user.id), [])
    })

    await t.test('rehashing the password keeps the devices', async t => {
      const app = await startUnlimited(t, database)
      const { user, browser } = await aRememberedUser(t, app, database)
      const stronger = await startUnlimited(t, database, { HASH_ROUNDS: '5' })
      await logInRemembered(t, stronger, user, false)
      t.ok(await isLoggedIn(returningBrowser(browser)))
    })

    await t.test('a logout ends the device, and no other', async t => {
      const app = await startUnlimited(t, database)
      const { user, browser } = await aRememberedUser(t, app, database)
      const other = await logInRemembered(t, app, user)
      const copy = returningBrowser(browser)
      t.equal((await browser.post('/logout')).status, 204)
      t.notOk(browser.cookies.has(REMEMBER_COOKIE))
      t.notOk(await isLoggedIn(copy))
      t.ok(await isLoggedIn(returningBrowser(other)))
    })

    await t.test('deleting the account ends all devices', async t => {
      const app = await startUnlimited(t, database)
      const { user, browser } = await aRememberedUser(t, app, database)
      const other = await logInRemembered(t, app, user)
      await browser.post('/user/confirm-password', { password: PASSWORD })
      t.equal((await browser.send('DELETE', '/user')).status, 204)
      t.notOk(browser.cookies.has(REMEMBER_COOKIE))
      t.notOk(await isLoggedIn(returningBrowser(other)))
    })

    await t.test('an account that is deleted in the database has no devices', async t => {
      const app = await startUnlimited(t, database)
      const { user, browser } = await aRememberedUser(t, app, database)
      await database.kysely
        .updateTable('users')
        .set({ deleted_at: '2026-01-01 00:00:00' })
        .where('id', '=', user.id)
        .execute()
      t.notOk(await isLoggedIn(returningBrowser(browser)), 'the device is refused')
      t.strictSame(await devicesOf(database, user.id), [])
    })

    await t.test('confirming a second factor ends other devices', async t => {
      const app = await startUnlimited(t, database)
      const { user, browser } = await aRememberedUser(t, app, database)
      const other = await logInRemembered(t, app, user)
      await browser.post('/user/confirm-password', { password: PASSWORD })
      const { secret } = await enableSecondFactor(t, browser)
      t.equal((await confirmSecondFactor(browser, totpCode(secret, app))).status, 200)
      t.notOk(await isLoggedIn(returningBrowser(other)))
      t.ok(await isLoggedIn(returningBrowser(browser)))
    })

    await t.test('a device is remembered for at most 400 days', async t => {
      const app = await startUnlimited(t, database)
      const { browser } = await aRememberedUser(t, app, database)
      app.clock.advance(399 * 24 * 60 * MINUTE)
      t.ok(await isLoggedIn(browser))
      app.clock.advance(24 * 60 * MINUTE)
      t.notOk(await isLoggedIn(browser))
      await app.lastUse.prune()
      t.strictSame(
        await database.kysely
          .selectFrom('remembered_devices')
          .select('selector')
          .where('expires_at', '<', '2027-04-05 12:00:00')
          .execute(),
        [],
      )
    })

    await t.test('expired devices are deleted', async t => {
      const app = await startUnlimited(t, database)
      const { user } = await aRememberedUser(t, app, database)
      await app.lastUse.prune()
      t.equal((await devicesOf(database, user.id)).length, 1)
      app.clock.advance(401 * 24 * 60 * MINUTE)
      await app.lastUse.prune()
      t.strictSame(await devicesOf(database, user.id), [])
    })

    await t.test('over HTTPS the remember cookie has the __Host- prefix', async t => {
      const app = await startUnlimited(t, database, { APP_URL: 'https://api.example.org' })
      const user = await aMember(database)
      const browser = await logInRemembered(t, app, user)
      t.ok(browser.cookies.has(`__Host-${REMEMBER_COOKIE}`))
      const plain = new TestBrowser(app)
      plain.cookies.set(REMEMBER_COOKIE, browser.cookies.get(`__Host-${REMEMBER_COOKIE}`) ?? '')
      t.notOk(await isLoggedIn(plain))
    })
  })
}
