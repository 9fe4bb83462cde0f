import t, { type Test } from 'tap'
import { CROSS_SITE } from '../../../fixtures/attacks.ts'
import { TestBrowser } from '../../../fixtures/browser.ts'
import { MINUTE } from '../../../fixtures/clock.ts'
import { startUnlimited } from '../../../fixtures/server.ts'
import {
  aRememberedUser,
  deviceLoginsOf,
  devicesOf,
  isLoggedIn,
  logInRemembered,
  REMEMBER_COOKIE,
  returningBrowser,
  sessionsOf,
} from '../../../fixtures/sessions.ts'
import { aMember, PASSWORD } from '../../../fixtures/users.ts'
import { startApp } from '../../../support/app.ts'
import { createDatabase, ENGINES, PRODUCTION_ENGINE, type TestDatabase } from '../../../support/databases.ts'
import { until } from '../../../support/until.ts'

/** Logs in with the new token of a device, and waits until the server has stored that it arrived. */
async function acknowledgeToken(t: Test, database: TestDatabase, userId: number, browser: TestBrowser) {
  t.ok(await isLoggedIn(browser))
  await until(async () => (await devicesOf(database, userId)).some(device => device.is_delivered))
}

for (const engine of ENGINES) {
  t.test(`stolen and lost tokens of remembered devices on ${engine}`, async t => {
    const database = await createDatabase(t, engine)
    t.teardown(() => database.close())

    await t.test(
      'a token that was replaced ends its device and its sessions when it is used again',
      async t => {
        const app = await startUnlimited(t, database)
        const { user, browser } = await aRememberedUser(t, app, database)
        const elsewhere = await logInRemembered(t, app, user)
        const thief = returningBrowser(browser)
        t.ok(await isLoggedIn(thief), 'the thief uses the token first')
        await acknowledgeToken(t, database, user.id, thief)
        // The database writes the payload of the session from then on, with other white space.
        await thief.post('/user/confirm-password', { password: PASSWORD })
        app.clock.advance(2 * MINUTE)
        const victim = returningBrowser(browser)
        const answer = await victim.get('/api/me')
        t.equal(answer.status, 401)
        t.notOk(victim.cookies.has(REMEMBER_COOKIE), 'its cookie is removed')
        t.notOk(await isLoggedIn(thief))
        t.notOk(await isLoggedIn(returningBrowser(thief)))
        t.notOk(await isLoggedIn(browser), 'the session that began with it has ended')
        t.ok(await isLoggedIn(elsewhere), 'other browsers are kept')
        t.ok(await isLoggedIn(returningBrowser(elsewhere)))
        t.match(
          app.logged.find(({ msg }) => msg === 'device stolen'),
          { userId: user.id },
        )
      },
    )

    await t.test('the device ends, too, when the owner uses the token first', async t => {
      const app = await startUnlimited(t, database)
      const { user, browser } = await aRememberedUser(t, app, database)
      const thief = returningBrowser(browser)
      const victim = returningBrowser(browser)
      t.ok(await isLoggedIn(victim))
      await acknowledgeToken(t, database, user.id, victim)
      app.clock.advance(2 * MINUTE)
      t.notOk(await isLoggedIn(thief))
      t.notOk(await isLoggedIn(victim))
      t.strictSame(await devicesOf(database, user.id), [])
    })

    await t.test('a concurrent request acknowledges the token', async t => {
      const app = await startUnlimited(t, database)
      const { user, browser } = await aRememberedUser(t, app, database)
      const [first, second] = [returningBrowser(browser), returningBrowser(browser)]
      t.strictSame([await isLoggedIn(first), await isLoggedIn(second)], [true, true])
      // The second answer arrived last: it has its session, and the token of the first.
      second.cookies.set(REMEMBER_COOKIE, first.cookies.get(REMEMBER_COOKIE) ?? '')
      await acknowledgeToken(t, database, user.id, second)
      app.clock.advance(2 * MINUTE)
      t.notOk(await isLoggedIn(returningBrowser(browser)))
    })

    await t.test(
      'a token whose answer got lost is replaced, and ends the device when it is used',
      async t => {
        const app = await startUnlimited(t, database)
        const { user, browser } = await aRememberedUser(t, app, database)
        const lost = returningBrowser(browser)
        t.ok(await isLoggedIn(lost), 'its answer is lost')
        const inTime = returningBrowser(browser)
        t.ok(await isLoggedIn(inTime), 'a concurrent request is logged in')
        app.clock.advance(121 * MINUTE)
        const again = returningBrowser(browser)
        t.ok(await isLoggedIn(again))
        t.not(
          again.cookies.get(REMEMBER_COOKIE),
          browser.cookies.get(REMEMBER_COOKIE),
          'the device has the next token',
        )
        t.notOk(app.logged.find(({ msg }) => msg === 'device stolen'))
        app.clock.advance(2 * MINUTE)
        t.notOk(await isLoggedIn(returningBrowser(lost)), 'the lost token is a stolen one')
        t.match(
          app.logged.find(({ msg }) => msg === 'device stolen'),
          { userId: user.id },
        )
        t.notOk(await isLoggedIn(again))
      },
    )

    await t.test('a session that began with a lost token ends when the device returns', async t => {
      const app = await startUnlimited(t, database)
      const { browser } = await aRememberedUser(t, app, database)
      const thief = returningBrowser(browser)
      t.ok(await isLoggedIn(thief))
      thief.cookies.delete(REMEMBER_COOKIE)
      app.clock.advance(2 * MINUTE)
      t.ok(await isLoggedIn(thief), 'a thief without the new token')
      const victim = returningBrowser(browser)
      t.ok(await isLoggedIn(victim))
      t.notOk(await isLoggedIn(thief))
      t.ok(await isLoggedIn(victim))
    })

    await t.test('unknown devices are counted for their address only', async t => {
      const app = await startApp(t, { database, environment: { RATE_LIMIT_FAILED_AUTH: '3' } })
      const counted = new Set<string>()
      for (const counters of [app.counters, app.countersOf('failed-auth')]) {
        const { hit } = counters
        counters.hit = (key, windowMs) => {
          counted.add(key)
          return hit(key, windowMs)
        }
      }
      for (let n = 10; n < 30; n += 1) {
        const browser = new TestBrowser(app)
        browser.cookies.set(REMEMBER_COOKIE, `${'A'.repeat(20)}${n}.${'A'.repeat(43)}`)
        await browser.get('/sanctum/csrf-cookie')
      }
      t.ok(counted.size > 0 && counted.size < 3, `the counters do not fill up: ${[...counted]}`)
    })

    await t.test('unknown devices are limited as unknown tokens are', async t => {
      const app = await startUnlimited(t, database, { RATE_LIMIT_FAILED_AUTH: '3' })
      const statuses: number[] = []
      for (let n = 0; n < 4; n += 1) {
        const browser = new TestBrowser(app)
        browser.cookies.set(REMEMBER_COOKIE, `${'A'.repeat(21)}${n}.${'A'.repeat(43)}`)
        statuses.push((await browser.get('/api/me')).status)
      }
      t.strictSame(statuses, [401, 401, 401, 429])
    })

    await t.test('cookies of Laravel and malformed ones log no user in', async t => {
      const app = await startUnlimited(t, database)
      const { user, browser } = await aRememberedUser(t, app, database)
      await database.kysely
        .updateTable('users')
        .set({ remember_token: 'x'.repeat(60) })
        .where('id', '=', user.id)
        .execute()
      const [selector = '', validator = ''] = (browser.cookies.get(REMEMBER_COOKIE) ?? '').split('.')
      const values = [
        `${user.id}|${'x'.repeat(60)}|hash`,
        `${user.id}%7C${'x'.repeat(60)}%7Chash`,
        '',
        '.',
        selector,
        `${selector}.`,
        `.${validator}`,
        `${'A'.repeat(22)}.${validator}`,
        `${selector}.${validator}x`,
        `${selector}.${validator}.${validator}`,
        'x'.repeat(4_000),
        '__proto__',
      ]
      const LARAVEL = 'remember_web_59ba36addc2b2f9401580f014c7f58ea4e30989d'
      for (const value of values) {
        for (const name of [REMEMBER_COOKIE, LARAVEL]) {
          const other = new TestBrowser(app)
          other.cookies.set(name, value)
          const answer = await other.get('/api/me')
          t.equal(answer.status, 401, `${name}=${value.slice(0, 40)}`)
        }
      }
      const doubled = await new TestBrowser(app).get('/api/me', {
        headers: {
          cookie: `${REMEMBER_COOKIE}=${selector}.${validator}; ${REMEMBER_COOKIE}=${'A'.repeat(22)}.${validator}`,
        },
      })
      t.equal(doubled.status, 401, 'two different cookies are ignored')
      const program = await new TestBrowser(app, {}).get('/api/me', {
        headers: { cookie: `${REMEMBER_COOKIE}=${selector}.${validator}` },
      })
      t.equal(program.status, 401, 'the API ignores it without a first-party page')
      t.ok(await isLoggedIn(returningBrowser(browser)))
    })

    await t.test('a request of another site begins no session', async t => {
      const app = await startUnlimited(t, database)
      const { user, browser } = await aRememberedUser(t, app, database)
      const before = await devicesOf(database, user.id)
      const copy = returningBrowser(browser)
      copy.page = CROSS_SITE
      const answer = await copy.bare('POST', '/logout')
      t.equal(answer.status, 419)
      t.equal(copy.cookies.get(REMEMBER_COOKIE), browser.cookies.get(REMEMBER_COOKIE))
      t.strictSame(await devicesOf(database, user.id), before)
      t.ok(await isLoggedIn(returningBrowser(browser)))
    })

    await t.test('a same-origin request that changes something begins a session', async t => {
      const app = await startUnlimited(t, database)
      const { browser } = await aRememberedUser(t, app, database)
      const own = returningBrowser(browser)
      own.page = { 'sec-fetch-site': 'same-origin', referer: 'http://127.0.0.1:8000/' }
      t.equal((await own.bare('POST', '/logout')).status, 204)
    })
  })
}

for (const engine of PRODUCTION_ENGINE) {
  t.test(`sessions of remembered devices on ${engine}`, async t => {
    const database = await createDatabase(t, engine)
    t.teardown(() => database.close())

    await t.test('concurrent requests of a returning device get one session and one login', async t => {
      const app = await startUnlimited(t, database)
      const { user, browser } = await aRememberedUser(t, app, database)
      await database.kysely.deleteFrom('sessions').where('user_id', '=', user.id).execute()
      const browsers = Array.from({ length: 8 }, () => returningBrowser(browser))
      t.ok((await Promise.all(browsers.map(isLoggedIn))).every(Boolean))
      t.equal((await sessionsOf(database, user.id)).length, 1)
      t.equal(new Set(browsers.map(one => one.sessionId)).size, 1, 'all of them have its cookie')
      t.equal((await deviceLoginsOf(database, user.id, [app])).length, 1)
      for (const one of browsers) t.ok(await isLoggedIn(one))
      t.equal((await browsers[0]?.send('PUT', '/api/me/notification/readall'))?.status, 403)
    })

    await t.test('the session id of a device is derived with the APP_KEY', async t => {
      const app = await startUnlimited(t, database)
      const other = await startUnlimited(t, database, {
        APP_KEY: `base64:${Buffer.from('fedcba98765432100123456789abcdef').toString('base64')}`,
      })
      const { user, browser } = await aRememberedUser(t, app, database)
      await database.kysely.deleteFrom('sessions').where('user_id', '=', user.id).execute()
      const first = returningBrowser(browser)
      t.ok(await isLoggedIn(first))
      const elsewhere = returningBrowser(browser, other)
      t.notOk(await isLoggedIn(elsewhere), 'a server with another key refuses the device')
      t.equal((await sessionsOf(database, user.id)).length, 1)
    })

    await t.test('a session that was ended is not restored by a delayed request of the device', async t => {
      const app = await startUnlimited(t, database)
      const { user, browser } = await aRememberedUser(t, app, database)
      const [first, second] = [returningBrowser(browser), returningBrowser(browser)]
      t.ok(await isLoggedIn(first))
      t.equal((await first.post('/logout')).status, 204)
      t.notOk(await isLoggedIn(second))
      t.strictSame(await sessionsOf(database, user.id), [])
    })

    await t.test('logging a device out ends all sessions that it began', async t => {
      const app = await startUnlimited(t, database)
      const { user, browser } = await aRememberedUser(t, app, database)
      const elsewhere = new TestBrowser(app)
      await elsewhere.logIn(user)
      /** Sessions of several rotations, as of a browser that lost its cookies. */
      const begun: TestBrowser[] = [browser]
      for (let n = 0; n < 3; n += 1) {
        const one = returningBrowser(begun.at(-1) as TestBrowser)
        t.ok(await isLoggedIn(one))
        begun.push(one)
      }
      t.equal((await begun.at(-1)?.post('/logout'))?.status, 204)
      for (const one of begun) t.notOk(await isLoggedIn(one))
      t.ok(await isLoggedIn(elsewhere), 'other sessions are kept')
    })

    await t.test('ending a remembered session ends its device and all sessions that it began', async t => {
      const app = await startUnlimited(t, database)
      const again = await aRememberedUser(t, app, database)
      const second = returningBrowser(again.browser)
      t.ok(await isLoggedIn(second))
      const owner = new TestBrowser(app)
      await owner.logIn(again.user)
      const { sessions } = (await owner.get('/api/me/session')).json
      const named = sessions.find((one: { is_remembered: boolean }) => one.is_remembered)
      t.equal((await owner.send('DELETE', `/api/me/session/${named.id}`)).status, 204)
      for (const one of [again.browser, second]) t.notOk(await isLoggedIn(one))
      t.notOk(await isLoggedIn(returningBrowser(second)))
      t.ok(await isLoggedIn(owner))
    })

    await t.test('a device ends with its sessions when another user logs in on it', async t => {
      const app = await startUnlimited(t, database)
      const { user, browser } = await aRememberedUser(t, app, database)
      const copy = returningBrowser(browser)
      t.ok(await isLoggedIn(copy))
      const shared = returningBrowser(copy)
      await shared.get('/sanctum/csrf-cookie')
      await shared.post('/logout')
      const other = await aMember(database)
      t.equal((await shared.post('/login', other)).status, 200)
      for (const one of [browser, copy]) t.notOk(await isLoggedIn(one))
      t.strictSame(await sessionsOf(database, user.id), [])
    })
  })
}
