import { Secret as OneTimeSecret, TOTP } from 'otpauth'
import t, { type Test } from 'tap'
import { DatabaseUnavailable } from '#src/database/unavailable.ts'
import { accountKey } from '#src/limits/attempt-limit.ts'
import { TestBrowser } from '../../fixtures/browser.ts'
import { MINUTE, NOW, type TestClock, testClock } from '../../fixtures/clock.ts'
import { aUser, PASSWORD, type TestUser } from '../../fixtures/users.ts'
import { get, startApp, type TestApp } from '../../support/app.ts'
import { createDatabase, ENGINES, type TestDatabase } from '../../support/databases.ts'

const HOUR = 60 * MINUTE

/** Requests may have any address; their rates are of no interest. */
const OPEN = {
  TRUSTED_PROXIES: '127.0.0.1',
  RATE_LIMIT_ANONYMOUS: '100000',
  RATE_LIMIT_AUTHENTICATED: '100000',
}

/** More keys than the counters of one kind hold in memory. */
const FLOOD = 150_000

for (const engine of ENGINES) {
  t.test(`attempts on ${engine}`, async t => {
    const database = await createDatabase(t, engine)
    t.teardown(() => database.close())
    await floods(t, database)
    await reserving(t, database)
    await addresses(t, database)
    await refusals(t, database)
    await unavailable(t, database)
    await clocks(t, database)
  })
}

// Only there do statements of two instances come between each other's.
t.test('attempts of two instances at once', async t => {
  const database = await createDatabase(t, 'postgres')
  t.teardown(() => database.close())
  await overTwoInstances(t, database)
})

const start = (
  t: Test,
  database: TestDatabase,
  environment: Record<string, string> = {},
  options: { clock?: TestClock; monotonic?: TestClock; keepsAttempts?: boolean } = {},
) => startApp(t, { database, environment: { ...OPEN, ...environment }, ...options })

const countsOf = ({ kysely }: TestDatabase, kind: string) =>
  kysely.selectFrom('attempt_counts').selectAll().where('key', 'like', `${kind}:%`).execute()

const from = (address: string) => ({ headers: { 'x-forwarded-for': address } })

/** Tries to log in, from some address in another browser each time. */
async function logIn(app: TestApp, email: string, password: string, address = '198.51.100.7') {
  const browser = new TestBrowser(app)
  await browser.get('/sanctum/csrf-cookie', from(address))
  return browser.post('/login', { email, password }, from(address))
}

const addMember = (database: TestDatabase) => aUser(database, { password: PASSWORD })

/** Counts how many passwords and codes are verified from now on. */
function countVerified(app: TestApp): { verified: number } {
  const counted = { verified: 0 }
  const { judge } = app.attempts
  app.attempts.judge = (request, kind, secret) =>
    judge(request, kind, {
      ...secret,
      verify() {
        counted.verified += 1
        return secret.verify()
      },
    })
  return counted
}

/** Gives a user a second factor, and returns what its app shows. */
async function addSecondFactor(app: TestApp, user: TestUser) {
  const browser = new TestBrowser(app)
  await browser.logIn({ email: user.email, password: PASSWORD })
  await browser.post('/user/confirm-password', { password: PASSWORD })
  await browser.post('/user/two-factor-authentication')
  const secret: string = (await browser.get('/user/two-factor-secret-key')).json.secretKey
  const codeNow = () =>
    new TOTP({ secret: OneTimeSecret.fromBase32(secret) }).generate({ timestamp: app.clock() })
  await browser.post('/user/confirmed-two-factor-authentication', { code: codeNow() })
  return codeNow
}

/** Enters a password and then a code. */
async function enterCode(app: TestApp, user: TestUser, code: string, address: string) {
  const browser = new TestBrowser(app)
  await browser.get('/sanctum/csrf-cookie', from(address))
  await browser.post('/login', { email: user.email, password: PASSWORD }, from(address))
  return browser.post('/two-factor-challenge', { code }, from(address))
}

async function floods(t: Test, database: TestDatabase) {
  t.test('a flood of other keys frees no code limit that is used up', async t => {
    const app = await start(t, database, { TWO_FACTOR_RATE_LIMIT: '1' })
    const user = await addMember(database)
    const codeNow = await addSecondFactor(app, user)
    app.clock.advance(2 * MINUTE)
    for (let n = 0; n < 4; n += 1) {
      t.equal((await enterCode(app, user, '000000', `203.0.113.${n}`)).status, 422)
    }
    for (const counters of [app.counters, app.countersOf('failed-auth')]) {
      for (let n = 0; n < FLOOD; n += 1) await counters.hit(`flood ${n}`, MINUTE)
    }
    const refused = await enterCode(app, user, codeNow(), '203.0.113.99')
    t.equal(refused.status, 429)
    t.match(refused.headers, {
      'x-ratelimit-limit': '4',
      'x-ratelimit-remaining': '0',
      'retry-after': '3600',
    })
  })

  t.test('nor does a flood of one kind free the limits of another', async t => {
    const app = await start(t, database, { RATE_LIMIT_ANONYMOUS: '1', RATE_LIMIT_FAILED_AUTH: '1' })
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
}

async function reserving(t: Test, database: TestDatabase) {
  t.test('right passwords are given back, and so are those that could not be verified', async t => {
    const app = await start(t, database, { LOGIN_FAILURE_LIMIT: '2' })
    const user = await addMember(database)
    for (let n = 0; n < 5; n += 1) {
      t.equal((await logIn(app, user.email, PASSWORD, `203.0.113.${n}`)).status, 200)
    }
    t.match(await countsOf(database, 'failed-login'), [{ attempts: 0 }])

    const { judge } = app.attempts
    app.attempts.judge = (request, kind, secret) =>
      judge(request, kind, {
        ...secret,
        verify: async () => {
          throw new DatabaseUnavailable(new Error('gone'))
        },
      })
    for (let n = 10; n < 15; n += 1) {
      t.equal((await logIn(app, user.email, 'wrong', `203.0.113.${n}`)).status, 503)
    }
    t.match(await countsOf(database, 'failed-login'), [{ attempts: 0 }])
    app.attempts.judge = judge
    t.equal((await logIn(app, user.email, 'wrong', '203.0.113.20')).status, 422)
    t.match(await countsOf(database, 'failed-login'), [{ attempts: 1 }])
  })

  t.test('a password counts while it is verified', async t => {
    const app = await start(t, database, { LOGIN_FAILURE_LIMIT: '1' })
    const user = await addMember(database)
    const { judge } = app.attempts
    let during = -1
    app.attempts.judge = (request, kind, secret) =>
      judge(request, kind, {
        ...secret,
        async verify() {
          app.attempts.judge = judge
          during = (await logIn(app, user.email, PASSWORD, '203.0.113.2')).status
          return secret.verify()
        },
      })
    t.equal((await logIn(app, user.email, PASSWORD, '203.0.113.1')).status, 200)
    t.equal(during, 429)
    t.equal((await logIn(app, user.email, PASSWORD, '203.0.113.2')).status, 200, 'and no longer')
  })

  t.test('what was counted still is after a restart', async t => {
    const clock = testClock()
    const environment = { LOGIN_FAILURE_LIMIT: '2', LOGIN_RATE_LIMIT: '3' }
    const user = await addMember(database)
    const before = await start(t, database, environment, { clock })
    for (let n = 0; n < 2; n += 1) await logIn(before, user.email, 'wrong', `203.0.113.${n}`)
    for (let n = 0; n < 3; n += 1) await logIn(before, 'nobody@example.org', 'wrong', '198.51.100.9')
    await before.close()

    clock.advance(10_000)
    const after = await start(t, database, environment, { clock, keepsAttempts: true })
    const refused = await logIn(after, user.email, PASSWORD, '203.0.113.50')
    t.equal(refused.status, 429)
    t.equal(refused.headers['retry-after'], '3590')
    t.equal((await logIn(after, 'nobody@example.org', 'wrong', '198.51.100.9')).headers['retry-after'], '50')
    clock.advance(HOUR - 10_000)
    t.equal((await logIn(after, user.email, PASSWORD, '203.0.113.50')).status, 200)
  })

  t.test('mails are counted over restarts, by kind and recipient', async t => {
    const environment = { FORGOT_PASSWORD_RATE_LIMIT: '1000' }
    const user = await addMember(database)
    const clock = testClock()
    const ask = async (app: TestApp) => {
      const browser = new TestBrowser(app)
      await browser.get('/sanctum/csrf-cookie')
      await browser.post('/forgot-password', { email: user.email })
      const isDone = () => app.logged.some(({ msg }) => msg === 'password reset asked for')
      while (!isDone()) await new Promise(resolve => setImmediate(resolve))
    }
    let sent = 0
    for (let n = 0; n < 7; n += 1) {
      const app = await start(t, database, environment, { clock, keepsAttempts: n > 0 })
      await ask(app)
      await app.close()
      sent += app.mailbox.mails.length
      clock.advance(MINUTE)
    }
    t.equal(sent, 5)
    const [row, ...others] = await countsOf(database, 'mail-passwordReset')
    t.strictSame(others, [])
    t.equal(row?.attempts, 5)
  })

  t.test('no row tells an e-mail address, nor an address', async t => {
    const app = await start(t, database)
    await logIn(app, 'visible@example.org', 'wrong', '203.0.113.77')
    const rows = await database.kysely.selectFrom('attempt_counts').selectAll().execute()
    t.ok(rows.length >= 3)
    t.notMatch(JSON.stringify(rows), /visible|example|203\.0|113\.77/)
    t.notMatch(JSON.stringify(rows), accountKey('visible@example.org'))
  })

  t.test('rows go once their windows are over', async t => {
    const app = await start(t, database)
    await logIn(app, 'a@example.org', 'wrong')
    const kinds = async () =>
      (await database.kysely.selectFrom('attempt_counts').select('key').execute())
        .map(({ key }) => key.replace(/:[^:]+$/, ''))
        .sort()
    t.strictSame(await kinds(), ['failed-login', 'login:account', 'login:address'])
    app.clock.advance(MINUTE)
    await app.activity.prune()
    t.strictSame(await kinds(), ['failed-login'])
    app.clock.advance(HOUR)
    await app.activity.prune()
    t.strictSame(await kinds(), [])
  })
}

async function addresses(t: Test, database: TestDatabase) {
  t.test('an address that has used up its own attempts adds no row for an account', async t => {
    const app = await start(t, database, { LOGIN_RATE_LIMIT: '2' })
    for (let n = 0; n < 30; n += 1) await logIn(app, `user${n}@example.org`, 'wrong')
    t.equal((await countsOf(database, 'login:account')).length, 8)
    t.match(await countsOf(database, 'login:address'), [{ attempts: 8 }])
    t.equal((await countsOf(database, 'failed-login')).length, 8)
    // Another instance has not refused it yet.
    const other = await start(t, database, { LOGIN_RATE_LIMIT: '2' }, { keepsAttempts: true })
    t.equal((await logIn(other, 'another@example.org', 'wrong')).status, 429)
    t.equal((await countsOf(database, 'login:account')).length, 8)
    t.match(await countsOf(database, 'login:address'), [{ attempts: 8 }])
  })

  t.test('a refused attempt for one account does not count for its address', async t => {
    const app = await start(t, database, { LOGIN_RATE_LIMIT: '1' })
    for (let n = 0; n < 10; n += 1) await logIn(app, 'one@example.org', 'wrong')
    t.match(await countsOf(database, 'login:address'), [{ attempts: 1 }])
  })

  t.test(
    'networks of IPv6 have attempts in proportion: a /56 four times as many as a /64, a /48 sixteen',
    async t => {
      const app = await start(t, database, { LOGIN_RATE_LIMIT: '1' })
      let account = 0
      /** Attempts for other accounts each, until one is refused. */
      const useUp = async (address: string) => {
        for (let n = 0; ; n += 1) {
          account += 1
          const answer = await logIn(app, `user${account}@example.org`, 'wrong', address)
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
      t.equal((await countsOf(database, 'login:account')).length, 68, 'refused ones added none')
    },
  )

  t.test('so have registrations an hour', async t => {
    const app = await start(t, database, { REGISTER_RATE_LIMIT: '1' })
    const register = async (n: number, address: string) => {
      const browser = new TestBrowser(app)
      await browser.get('/sanctum/csrf-cookie', from(address))
      const name = `hourly${n}`
      const form = {
        name,
        email: `${name}@example.org`,
        password: PASSWORD,
        password_confirmation: PASSWORD,
        terms: true,
      }
      return (await browser.post('/register', form, from(address))).status
    }
    let n = 0
    const statuses: number[] = []
    for (let network = 0; network < 5; network += 1) {
      app.clock.advance(MINUTE)
      for (let again = 0; again < 4; again += 1) {
        n += 1
        statuses.push(await register(n, `2001:db8:3:${network}::1`))
      }
    }
    t.strictSame(statuses, [...Array(16).fill(201), ...Array(4).fill(429)])
  })
}

async function refusals(t: Test, database: TestDatabase) {
  t.test('an address that is refused costs no statement, until its window ends', async t => {
    const clock = testClock()
    const app = await start(t, database, { LOGIN_RATE_LIMIT: '1' }, { clock })
    const browser = new TestBrowser(app)
    await browser.get('/sanctum/csrf-cookie')
    const post = (email: string) => browser.post('/login', { email, password: 'wrong' })
    const counting = () => database.statements.filter(text => /attempt/.test(text)).length
    for (let n = 0; n < 4; n += 1) t.equal((await post(`user${n}@example.org`)).status, 422)
    database.statements.length = 0
    clock.advance(10_000)
    t.equal((await post('user5@example.org')).status, 429)
    t.equal(counting(), 1)
    clock.advance(20_000)
    for (let n = 6; n < 9; n += 1) {
      const refused = await post(`user${n}@example.org`)
      t.equal(refused.status, 429)
      t.match(refused.headers, {
        'x-ratelimit-limit': '4',
        'x-ratelimit-remaining': '0',
        'retry-after': '30',
        'x-ratelimit-reset': String((NOW + MINUTE) / 1000),
      })
    }
    t.equal(counting(), 1, 'the first refusal alone')
    clock.advance(29_999)
    t.equal((await post('user9@example.org')).status, 429)
    clock.advance(1)
    t.equal((await post('user9@example.org')).status, 422)
  })

  t.test('a refusal that lasts an hour is looked up again each minute', async t => {
    const app = await start(t, database, { REGISTER_RATE_LIMIT: '1' })
    let n = 0
    const register = async () => {
      n += 1
      app.clock.advance(MINUTE)
      const browser = new TestBrowser(app)
      await browser.get('/sanctum/csrf-cookie')
      const name = `again${n}`
      return browser.post('/register', {
        name,
        email: `${name}@example.org`,
        password: PASSWORD,
        password_confirmation: PASSWORD,
        terms: true,
      })
    }
    for (let made = 0; made < 4; made += 1) t.equal((await register()).status, 201)
    const refused = await register()
    t.equal(refused.status, 429)
    t.equal(refused.headers['retry-after'], String(3600 - 4 * 60))
    await database.kysely.deleteFrom('attempt_counts').execute()
    t.equal((await register()).status, 201)
  })

  t.test('a wrong password costs two statements for its limits, a right one three', async t => {
    const app = await start(t, database)
    const user = await addMember(database)
    const browser = new TestBrowser(app)
    await browser.get('/sanctum/csrf-cookie')
    const cost = async (password: string) => {
      database.statements.length = 0
      await browser.post('/login', { email: user.email, password })
      return database.statements.filter(text => /attempt/.test(text)).length
    }
    t.equal(await cost('wrong'), 2)
    t.equal(await cost(PASSWORD), 3)
  })
}

/** Does something while statements that match cannot be sent, as when the connection breaks. */
async function without<T>(
  { source }: TestDatabase,
  isMeant: (text: string, parameters: readonly unknown[]) => boolean,
  act: () => Promise<T>,
): Promise<T> {
  const { acquire } = source
  Object.assign(source, {
    acquire: async () => {
      const session = await acquire.call(source)
      return {
        async query(text: string, parameters: readonly unknown[], name?: string) {
          if (isMeant(text, parameters)) throw new DatabaseUnavailable(new Error('gone'))
          return session.query(text, parameters, name)
        },
        release: () => session.release(),
      }
    },
  })
  try {
    return await act()
  } finally {
    Object.assign(source, { acquire })
  }
}

async function unavailable(t: Test, database: TestDatabase) {
  t.test('what cannot be counted is not tried', async t => {
    const app = await start(t, database)
    const user = await addMember(database)
    const counted = countVerified(app)
    // The attempt itself, and then the reservation of a wrong password.
    for (const kind of ['login:account', 'failed-login']) {
      const answer = await without(
        database,
        (_text, parameters) => JSON.stringify(parameters).includes(`${kind}:`),
        () => logIn(app, user.email, PASSWORD),
      )
      t.equal(answer.status, 503, kind)
      t.ok(answer.headers['retry-after'])
    }
    t.equal(counted.verified, 0)
    t.equal((await logIn(app, user.email, PASSWORD)).status, 200)
    t.equal(counted.verified, 1)
  })

  t.test('what cannot be given back stays counted, and opens the account all the same', async t => {
    const app = await start(t, database)
    const user = await addMember(database)
    const answer = await without(
      database,
      text => text.includes('update "attempt_counts"'),
      () => logIn(app, user.email, PASSWORD),
    )
    t.equal(answer.status, 200)
    t.match(await countsOf(database, 'failed-login'), [{ attempts: 1 }])
    t.ok(app.logged.some(({ msg }) => /could not be given back/.test(String(msg))))
  })
}

async function clocks(t: Test, database: TestDatabase) {
  for (const [name, set] of [
    ['back', -HOUR],
    ['forward', HOUR],
  ] as const) {
    t.test(`stored limits end on time when the clock is set ${name} an hour`, async t => {
      const [clock, monotonic] = [testClock(), testClock(0)]
      const environment = { LOGIN_RATE_LIMIT: '2', LOGIN_FAILURE_LIMIT: '3' }
      const app = await start(t, database, environment, { clock, monotonic })
      const user = await addMember(database)
      const guess = () => logIn(app, user.email, 'wrong')
      for (let n = 0; n < 2; n += 1) t.equal((await guess()).status, 422)
      clock.advance(set)
      // Once by the database, and once as it is remembered.
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

      const enter = () => logIn(app, user.email, PASSWORD, '203.0.113.1')
      t.equal((await enter()).headers['retry-after'], String(59 * 60))
      monotonic.advance(59 * MINUTE - 1)
      t.equal((await enter()).headers['retry-after'], '1')
      monotonic.advance(1)
      t.equal((await enter()).status, 200, 'the hour is over')
    })

    t.test(`and so do those in memory when it is set ${name}`, async t => {
      const [clock, monotonic] = [testClock(), testClock(0)]
      const environment = { RATE_LIMIT_ANONYMOUS: '3', RATE_LIMIT_FAILED_AUTH: '2' }
      const app = await start(t, database, environment, { clock, monotonic })
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

    t.test(
      `a token that was right just now is let through beside wrong ones, for ten minutes, when it is set ${name}`,
      async t => {
        const [clock, monotonic] = [testClock(), testClock(0)]
        const app = await start(t, database, { RATE_LIMIT_FAILED_AUTH: '1' }, { clock, monotonic })
        const { token } = await addMember(database)
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

  t.test('a limit that was stored by a clock an hour ahead ends on time after a restart', async t => {
    const environment = { LOGIN_RATE_LIMIT: '2' }
    const wrong = await start(t, database, environment, { clock: testClock(NOW + HOUR) })
    for (let n = 0; n < 2; n += 1) await logIn(wrong, 'somebody@example.org', 'wrong')
    await wrong.close()
    const app = await start(t, database, environment, { keepsAttempts: true })
    const refused = await logIn(app, 'somebody@example.org', 'wrong')
    t.equal(refused.status, 429)
    t.equal(refused.headers['retry-after'], '60')
    app.clock.advance(MINUTE)
    t.equal((await logIn(app, 'somebody@example.org', 'wrong')).status, 422)
  })
}

async function overTwoInstances(t: Test, database: TestDatabase) {
  t.test('of many wrong passwords exactly as many as the limit are verified', async t => {
    const environment = { LOGIN_FAILURE_LIMIT: '20', LOGIN_RATE_LIMIT: '1000' }
    const apps = [
      await start(t, database, environment),
      await start(t, database, environment, { keepsAttempts: true }),
    ]
    const user = await addMember(database)
    const counted = apps.map(countVerified)
    const answers = await Promise.all(
      Array.from({ length: 120 }, (_, n) =>
        logIn(apps[n % 2] as TestApp, user.email, `guess ${n}`, `203.0.113.${n}`),
      ),
    )
    t.equal(
      counted.reduce((sum, { verified }) => sum + verified, 0),
      20,
    )
    t.equal(answers.filter(({ status }) => status === 422).length, 20)
    t.equal(answers.filter(({ status }) => status === 429).length, 100)
    t.match(await countsOf(database, 'failed-login'), [{ attempts: 20 }])
  })

  t.test('right ones among them are given back, so that as many more are verified', async t => {
    const environment = { LOGIN_FAILURE_LIMIT: '30', LOGIN_RATE_LIMIT: '1000' }
    const apps = [
      await start(t, database, environment),
      await start(t, database, environment, { keepsAttempts: true }),
    ]
    const user = await addMember(database)
    const answers = await Promise.all(
      Array.from({ length: 30 }, (_, n) =>
        logIn(apps[n % 2] as TestApp, user.email, n % 3 === 0 ? PASSWORD : 'wrong', `203.0.113.${n}`),
      ),
    )
    t.equal(answers.filter(({ status }) => status === 200).length, 10)
    t.equal(answers.filter(({ status }) => status === 422).length, 20)
    t.match(await countsOf(database, 'failed-login'), [{ attempts: 20 }])
  })

  t.test(
    'attempts of an address for many accounts are counted together, and add no row when they are refused',
    async t => {
      const environment = { LOGIN_RATE_LIMIT: '5' }
      const apps = [
        await start(t, database, environment),
        await start(t, database, environment, { keepsAttempts: true }),
      ]
      const answers = await Promise.all(
        Array.from({ length: 80 }, (_, n) => logIn(apps[n % 2] as TestApp, `user${n}@example.org`, 'wrong')),
      )
      t.equal(answers.filter(({ status }) => status === 422).length, 20)
      t.match(await countsOf(database, 'login:address'), [{ attempts: 20 }])
      t.equal((await countsOf(database, 'login:account')).length, 20, 'no row for what is refused')
    },
  )
}
