import t from 'tap'
import { attemptCounts, fromAddress, startBehindProxy, tryLogin } from '../../../fixtures/attempts.ts'
import { TestBrowser } from '../../../fixtures/browser.ts'
import { HOUR, MINUTE, NOW, testClock } from '../../../fixtures/clock.ts'
import { aRegistration } from '../../../fixtures/registration.ts'
import { aUserWithSecondFactor, totpCode } from '../../../fixtures/second-factor.ts'
import { aMember, PASSWORD, type TestUser } from '../../../fixtures/users.ts'
import { get, type TestApp } from '../../../support/app.ts'
import { createDatabase, ENGINES } from '../../../support/databases.ts'

/** More keys than the counters of one kind hold in memory. */
const FLOOD = 150_000

/** Enters a password and then a code. */
async function enterCode(app: TestApp, user: TestUser, code: string, address: string) {
  const browser = new TestBrowser(app)
  await browser.get('/sanctum/csrf-cookie', fromAddress(address))
  await browser.post('/login', { email: user.email, password: PASSWORD }, fromAddress(address))
  return browser.post('/two-factor-challenge', { code }, fromAddress(address))
}

for (const engine of ENGINES) {
  t.test(`the limits of attempts on ${engine}`, async t => {
    const database = await createDatabase(t, engine)
    t.teardown(() => database.close())

    await t.test('a flood of other keys does not free an exhausted code limit', async t => {
      const app = await startBehindProxy(t, database, { TWO_FACTOR_RATE_LIMIT: '1' })
      const { user, secret } = await aUserWithSecondFactor(t, app, database)
      app.clock.advance(2 * MINUTE)
      for (let n = 0; n < 4; n += 1) {
        t.equal((await enterCode(app, user, '000000', `203.0.113.${n}`)).status, 422)
      }
      for (const counters of [app.counters, app.countersOf('failed-auth')]) {
        for (let n = 0; n < FLOOD; n += 1) await counters.hit(`flood ${n}`, MINUTE)
      }
      const refused = await enterCode(app, user, totpCode(secret, app), '203.0.113.99')
      t.equal(refused.status, 429)
      t.match(refused.headers, {
        'x-ratelimit-limit': '4',
        'x-ratelimit-remaining': '0',
        'retry-after': '3600',
      })
    })

    await t.test('a flood of one kind of counters does not free the limits of another', async t => {
      const app = await startBehindProxy(t, database, {
        RATE_LIMIT_ANONYMOUS: '1',
        RATE_LIMIT_FAILED_AUTH: '1',
      })
      const [requests, guesses] = ['203.0.113.1', '203.0.113.2']
      const status = async (address: string, token?: string) =>
        (await get(app, '/api/me', token, { 'x-forwarded-for': address })).status
      const guessed = '1|guess'
      t.equal(await status(requests), 401)
      for (let n = 0; n < FLOOD; n += 1) await app.countersOf('failed-auth').hit(`flood ${n}`, MINUTE)
      t.equal(await status(requests), 429)
      t.equal(await status(guesses, guessed), 401)
      for (let n = 0; n < FLOOD; n += 1) await app.counters.hit(`flood ${n}`, MINUTE)
      t.equal(await status(guesses, `${guessed}2`), 429)
      const { text } = await get(app, '/metrics')
      t.match(text, 'rate_limited_requests_total{limit="failed_auth"} 1')
    })

    await t.test('an address over its limit adds no count for an account', async t => {
      const app = await startBehindProxy(t, database, { LOGIN_RATE_LIMIT: '2' })
      for (let n = 0; n < 30; n += 1) await tryLogin(app, `user${n}@example.org`, 'wrong')
      t.equal((await attemptCounts(database, 'login:account')).length, 8)
      t.match(await attemptCounts(database, 'login:address'), [{ attempts: 8 }])
      t.equal((await attemptCounts(database, 'failed-login')).length, 8)
      // Another instance has not refused the address yet.
      const other = await startBehindProxy(t, database, { LOGIN_RATE_LIMIT: '2' }, { keepsAttempts: true })
      t.equal((await tryLogin(other, 'another@example.org', 'wrong')).status, 429)
      t.equal((await attemptCounts(database, 'login:account')).length, 8)
      t.match(await attemptCounts(database, 'login:address'), [{ attempts: 8 }])
    })

    await t.test('a refused attempt for an account does not count for the address', async t => {
      const app = await startBehindProxy(t, database, { LOGIN_RATE_LIMIT: '1' })
      for (let n = 0; n < 10; n += 1) await tryLogin(app, 'one@example.org', 'wrong')
      t.match(await attemptCounts(database, 'login:address'), [{ attempts: 1 }])
    })

    await t.test('an IPv6 /56 has four times the attempts of a /64, and a /48 sixteen times', async t => {
      const app = await startBehindProxy(t, database, { LOGIN_RATE_LIMIT: '1' })
      let account = 0
      /** Attempts for other accounts each, until one is refused. */
      const useUp = async (address: string) => {
        for (let n = 0; ; n += 1) {
          account += 1
          const answer = await tryLogin(app, `user${account}@example.org`, 'wrong', address)
          if (answer.status === 429) return [n, Number(answer.headers['x-ratelimit-limit'])]
        }
      }
      const inNetwork = (n: number, host = 1) => `2001:db8:1:${n.toString(16)}::${host}`
      for (let n = 0; n < 4; n += 1) t.strictSame(await useUp(inNetwork(n)), [4, 4], 'a /64')
      t.strictSame(await useUp(inNetwork(4)), [0, 16], 'the /56 is used up')
      for (let wide = 1; wide < 4; wide += 1) {
        for (let n = 0; n < 4; n += 1)
          t.strictSame(await useUp(inNetwork(wide * 256 + n)), [4, 4], 'another /56')
      }
      t.strictSame(await useUp(inNetwork(4 * 256)), [0, 64], 'the /48 is used up')
      t.strictSame(await useUp('2001:db8:2:1::1'), [4, 4], 'another /48')
      t.equal((await attemptCounts(database, 'login:account')).length, 68, 'refused attempts add none')
    })

    await t.test('registrations an hour are limited by IPv6 network', async t => {
      const app = await startBehindProxy(t, database, { REGISTER_RATE_LIMIT: '1' })
      const register = async (address: string) => {
        const browser = new TestBrowser(app)
        await browser.get('/sanctum/csrf-cookie', fromAddress(address))
        return (await browser.post('/register', aRegistration(), fromAddress(address))).status
      }
      const statuses: number[] = []
      for (let network = 0; network < 5; network += 1) {
        app.clock.advance(MINUTE)
        for (let again = 0; again < 4; again += 1) {
          statuses.push(await register(`2001:db8:3:${network}::1`))
        }
      }
      t.strictSame(statuses, [...Array(16).fill(201), ...Array(4).fill(429)])
    })

    for (const [name, set] of [
      ['back', -HOUR],
      ['forward', HOUR],
    ] as const) {
      await t.test(`stored limits end on time when the clock is set ${name} an hour`, async t => {
        const [clock, monotonic] = [testClock(), testClock(0)]
        const environment = { LOGIN_RATE_LIMIT: '2', LOGIN_FAILURE_LIMIT: '3' }
        const app = await startBehindProxy(t, database, environment, { clock, monotonic })
        const user = await aMember(database)
        const guess = () => tryLogin(app, user.email, 'wrong')
        for (let n = 0; n < 2; n += 1) t.equal((await guess()).status, 422)
        clock.advance(set)
        // Once by the database, and once from memory.
        for (let n = 0; n < 2; n += 1) {
          const refused = await guess()
          t.equal(refused.status, 429)
          t.match(refused.headers, {
            'retry-after': '60',
            'x-ratelimit-reset': String((clock() + MINUTE) / 1000),
          })
        }
        monotonic.advance(MINUTE - 1)
        t.equal((await guess()).status, 429)
        monotonic.advance(1)
        t.equal((await guess()).status, 422, 'the minute is over')

        const enter = () => tryLogin(app, user.email, PASSWORD, '203.0.113.1')
        t.equal((await enter()).headers['retry-after'], String(59 * 60))
        monotonic.advance(59 * MINUTE - 1)
        t.equal((await enter()).headers['retry-after'], '1')
        monotonic.advance(1)
        t.equal((await enter()).status, 200, 'the hour is over')
      })

      await t.test(`limits in memory end on time when the clock is set ${name} an hour`, async t => {
        const [clock, monotonic] = [testClock(), testClock(0)]
        const environment = { RATE_LIMIT_ANONYMOUS: '3', RATE_LIMIT_FAILED_AUTH: '2' }
        const app = await startBehindProxy(t, database, environment, { clock, monotonic })
        const request = (address: string, token?: string) =>
          get(app, '/api/me', token, { 'x-forwarded-for': address })
        const [calls, guesses] = [() => request('203.0.113.1'), () => request('203.0.113.2', '1|guess')]
        for (let n = 0; n < 3; n += 1) t.equal((await calls()).status, 401)
        for (let n = 0; n < 2; n += 1) t.equal((await guesses()).status, 401)
        clock.advance(set)
        for (const { status, headers } of [await calls(), await guesses()]) {
          t.equal(status, 429)
          t.match(headers, {
            'retry-after': '60',
            'x-ratelimit-reset': String((clock() + MINUTE) / 1000),
          })
        }
        monotonic.advance(MINUTE - 1)
        t.strictSame([(await calls()).status, (await guesses()).status], [429, 429])
        monotonic.advance(1)
        t.strictSame([(await calls()).status, (await guesses()).status], [401, 401])
      })

      await t.test(
        `a valid token is exempt from the failure limit for ten minutes when the clock is set ${name} an hour`,
        async t => {
          const [clock, monotonic] = [testClock(), testClock(0)]
          const app = await startBehindProxy(
            t,
            database,
            { RATE_LIMIT_FAILED_AUTH: '1' },
            { clock, monotonic },
          )
          const { token } = await aMember(database)
          const request = async (token: string) => (await get(app, '/api/me', token)).status
          t.equal(await request(token), 200)
          clock.advance(set)
          t.strictSame(
            [await request('1|guess'), await request('2|guess'), await request(token)],
            [401, 429, 200],
          )
          monotonic.advance(10 * MINUTE + 1)
          t.strictSame([await request('1|guess'), await request(token)], [401, 429])
        },
      )
    }

    await t.test('a limit stored by a clock an hour ahead ends on time after a restart', async t => {
      const environment = { LOGIN_RATE_LIMIT: '2' }
      const wrong = await startBehindProxy(t, database, environment, { clock: testClock(NOW + HOUR) })
      for (let n = 0; n < 2; n += 1) await tryLogin(wrong, 'no-account@example.org', 'wrong')
      await wrong.close()
      const app = await startBehindProxy(t, database, environment, { keepsAttempts: true })
      const refused = await tryLogin(app, 'no-account@example.org', 'wrong')
      t.equal(refused.status, 429)
      t.equal(refused.headers['retry-after'], '60')
      app.clock.advance(MINUTE)
      t.equal((await tryLogin(app, 'no-account@example.org', 'wrong')).status, 422)
    })
  })
}
