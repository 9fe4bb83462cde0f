import t from 'tap'
import { DatabaseUnavailable } from '#src/database/unavailable.ts'
import { accountKey } from '#src/limits/attempt-limit.ts'
import { attemptCounts, countVerified, startBehindProxy, tryLogin } from '../../../fixtures/attempts.ts'
import { TestBrowser } from '../../../fixtures/browser.ts'
import { HOUR, MINUTE, NOW, testClock } from '../../../fixtures/clock.ts'
import { aRegistration } from '../../../fixtures/registration.ts'
import { aMember, PASSWORD } from '../../../fixtures/users.ts'
import type { TestApp } from '../../../support/app.ts'
import { createDatabase, ENGINES, type TestDatabase } from '../../../support/databases.ts'
import { until } from '../../../support/until.ts'

/** Runs an action while statements that match fail, as when the connection breaks. */
async function withoutStatements<T>(
  { source }: TestDatabase,
  matches: (text: string, parameters: readonly unknown[]) => boolean,
  act: () => Promise<T>,
): Promise<T> {
  const { acquire } = source
  Object.assign(source, {
    acquire: async () => {
      const session = await acquire.call(source)
      return {
        async query(text: string, parameters: readonly unknown[], name?: string) {
          if (matches(text, parameters)) throw new DatabaseUnavailable(new Error('gone'))
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

for (const engine of ENGINES) {
  t.test(`the counts of attempts on ${engine}`, async t => {
    const database = await createDatabase(t, engine)
    t.teardown(() => database.close())

    await t.test('right passwords and unverified ones are not counted', async t => {
      const app = await startBehindProxy(t, database, { LOGIN_FAILURE_LIMIT: '2' })
      const user = await aMember(database)
      for (let n = 0; n < 5; n += 1) {
        t.equal((await tryLogin(app, user.email, PASSWORD, `203.0.113.${n}`)).status, 200)
      }
      t.match(await attemptCounts(database, 'failed-login'), [{ attempts: 0 }])

      const { verifySecret: judge } = app.attempts
      app.attempts.verifySecret = (request, kind, secret) =>
        judge(request, kind, {
          ...secret,
          verify: async () => {
            throw new DatabaseUnavailable(new Error('gone'))
          },
        })
      for (let n = 10; n < 15; n += 1) {
        t.equal((await tryLogin(app, user.email, 'wrong', `203.0.113.${n}`)).status, 503)
      }
      t.match(await attemptCounts(database, 'failed-login'), [{ attempts: 0 }])
      app.attempts.verifySecret = judge
      t.equal((await tryLogin(app, user.email, 'wrong', '203.0.113.20')).status, 422)
      t.match(await attemptCounts(database, 'failed-login'), [{ attempts: 1 }])
    })

    await t.test('a password is counted while it is verified', async t => {
      const app = await startBehindProxy(t, database, { LOGIN_FAILURE_LIMIT: '1' })
      const user = await aMember(database)
      const { verifySecret: judge } = app.attempts
      let during = -1
      app.attempts.verifySecret = (request, kind, secret) =>
        judge(request, kind, {
          ...secret,
          async verify() {
            app.attempts.verifySecret = judge
            during = (await tryLogin(app, user.email, PASSWORD, '203.0.113.2')).status
            return secret.verify()
          },
        })
      t.equal((await tryLogin(app, user.email, PASSWORD, '203.0.113.1')).status, 200)
      t.equal(during, 429)
      t.equal((await tryLogin(app, user.email, PASSWORD, '203.0.113.2')).status, 200, 'not afterwards')
    })

    await t.test('counts persist over a restart', async t => {
      const clock = testClock()
      const environment = { LOGIN_FAILURE_LIMIT: '2', LOGIN_RATE_LIMIT: '3' }
      const user = await aMember(database)
      const before = await startBehindProxy(t, database, environment, { clock })
      for (let n = 0; n < 2; n += 1) await tryLogin(before, user.email, 'wrong', `203.0.113.${n}`)
      for (let n = 0; n < 3; n += 1) await tryLogin(before, 'no-account@example.org', 'wrong', '198.51.100.9')
      await before.close()

      clock.advance(10_000)
      const after = await startBehindProxy(t, database, environment, { clock, keepsAttempts: true })
      const refused = await tryLogin(after, user.email, PASSWORD, '203.0.113.50')
      t.equal(refused.status, 429)
      t.equal(refused.headers['retry-after'], '3590')
      t.equal(
        (await tryLogin(after, 'no-account@example.org', 'wrong', '198.51.100.9')).headers['retry-after'],
        '50',
      )
      clock.advance(HOUR - 10_000)
      t.equal((await tryLogin(after, user.email, PASSWORD, '203.0.113.50')).status, 200)
    })

    await t.test('mails are counted over restarts, by kind and recipient', async t => {
      const environment = { FORGOT_PASSWORD_RATE_LIMIT: '1000' }
      const user = await aMember(database)
      const clock = testClock()
      const ask = async (app: TestApp) => {
        const browser = new TestBrowser(app)
        await browser.get('/sanctum/csrf-cookie')
        await browser.post('/forgot-password', { email: user.email })
        await until(() => app.logged.some(({ msg }) => msg === 'password reset asked for'))
      }
      let sent = 0
      for (let n = 0; n < 7; n += 1) {
        const app = await startBehindProxy(t, database, environment, { clock, keepsAttempts: n > 0 })
        await ask(app)
        await app.close()
        sent += app.mailbox.mails.length
        clock.advance(MINUTE)
      }
      t.equal(sent, 5)
      const [row, ...others] = await attemptCounts(database, 'mail-passwordReset')
      t.strictSame(others, [])
      t.equal(row?.attempts, 5)
    })

    await t.test('no stored count reveals an e-mail or IP address', async t => {
      const app = await startBehindProxy(t, database)
      await tryLogin(app, 'visible@example.org', 'wrong', '203.0.113.77')
      const rows = await database.kysely.selectFrom('attempt_counts').selectAll().execute()
      t.ok(rows.length >= 3)
      t.notMatch(JSON.stringify(rows), /visible|example|203\.0|113\.77/)
      t.notMatch(JSON.stringify(rows), accountKey('visible@example.org'))
    })

    await t.test('counts are deleted after their windows', async t => {
      const app = await startBehindProxy(t, database)
      await tryLogin(app, 'a@example.org', 'wrong')
      const kinds = async () =>
        (await database.kysely.selectFrom('attempt_counts').select('key').execute())
          .map(({ key }) => key.replace(/:[^:]+$/, ''))
          .sort()
      t.strictSame(await kinds(), ['failed-login', 'login:account', 'login:address'])
      app.clock.advance(MINUTE)
      await app.lastUse.prune()
      t.strictSame(await kinds(), ['failed-login'])
      app.clock.advance(HOUR)
      await app.lastUse.prune()
      t.strictSame(await kinds(), [])
    })

    await t.test('a refused address costs no statement until its window ends', async t => {
      const clock = testClock()
      const app = await startBehindProxy(t, database, { LOGIN_RATE_LIMIT: '1' }, { clock })
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
      t.equal(counting(), 1, 'the first refusal only')
      clock.advance(29_999)
      t.equal((await post('user9@example.org')).status, 429)
      clock.advance(1)
      t.equal((await post('user9@example.org')).status, 422)
    })

    await t.test('a refusal for an hour is looked up again each minute', async t => {
      const app = await startBehindProxy(t, database, { REGISTER_RATE_LIMIT: '1' })
      const register = async () => {
        app.clock.advance(MINUTE)
        const browser = new TestBrowser(app)
        await browser.get('/sanctum/csrf-cookie')
        return browser.post('/register', aRegistration())
      }
      for (let made = 0; made < 4; made += 1) t.equal((await register()).status, 201)
      const refused = await register()
      t.equal(refused.status, 429)
      t.equal(refused.headers['retry-after'], String(3600 - 4 * 60))
      await database.kysely.deleteFrom('attempt_counts').execute()
      t.equal((await register()).status, 201)
    })

    await t.test('the limits cost two statements for a wrong password and three for a right one', async t => {
      const app = await startBehindProxy(t, database)
      const user = await aMember(database)
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

    await t.test('a password that cannot be counted is not verified', async t => {
      const app = await startBehindProxy(t, database)
      const user = await aMember(database)
      const counted = countVerified(app)
      // First the attempt, then the reservation of a wrong password.
      for (const kind of ['login:account', 'failed-login']) {
        const answer = await withoutStatements(
          database,
          (_text, parameters) => JSON.stringify(parameters).includes(`${kind}:`),
          () => tryLogin(app, user.email, PASSWORD),
        )
        t.equal(answer.status, 503, kind)
        t.ok(answer.headers['retry-after'])
      }
      t.equal(counted.verified, 0)
      t.equal((await tryLogin(app, user.email, PASSWORD)).status, 200)
      t.equal(counted.verified, 1)
    })

    await t.test('a login succeeds if its count cannot be taken back', async t => {
      const app = await startBehindProxy(t, database)
      const user = await aMember(database)
      const answer = await withoutStatements(
        database,
        text => text.includes('update "attempt_counts"'),
        () => tryLogin(app, user.email, PASSWORD),
      )
      t.equal(answer.status, 200)
      t.match(await attemptCounts(database, 'failed-login'), [{ attempts: 1 }])
      t.ok(app.logged.some(({ msg }) => /could not be refunded/.test(String(msg))))
    })
  })
}

// Only PostgreSQL interleaves the statements of two instances.
t.test('concurrent attempts on two instances', async t => {
  const database = await createDatabase(t, 'postgres')
  t.teardown(() => database.close())

  await t.test('no more wrong passwords than the limit are verified', async t => {
    const environment = { LOGIN_FAILURE_LIMIT: '20', LOGIN_RATE_LIMIT: '1000' }
    const apps = [
      await startBehindProxy(t, database, environment),
      await startBehindProxy(t, database, environment, { keepsAttempts: true }),
    ]
    const user = await aMember(database)
    const counted = apps.map(countVerified)
    const answers = await Promise.all(
      Array.from({ length: 120 }, (_, n) =>
        tryLogin(apps[n % 2] as TestApp, user.email, `guess ${n}`, `203.0.113.${n}`),
      ),
    )
    t.equal(
      counted.reduce((sum, { verified }) => sum + verified, 0),
      20,
    )
    t.equal(answers.filter(({ status }) => status === 422).length, 20)
    t.equal(answers.filter(({ status }) => status === 429).length, 100)
    t.match(await attemptCounts(database, 'failed-login'), [{ attempts: 20 }])
  })

  await t.test('right passwords among wrong ones do not use up the limit', async t => {
    const environment = { LOGIN_FAILURE_LIMIT: '30', LOGIN_RATE_LIMIT: '1000' }
    const apps = [
      await startBehindProxy(t, database, environment),
      await startBehindProxy(t, database, environment, { keepsAttempts: true }),
    ]
    const user = await aMember(database)
    const answers = await Promise.all(
      Array.from({ length: 30 }, (_, n) =>
        tryLogin(apps[n % 2] as TestApp, user.email, n % 3 === 0 ? PASSWORD : 'wrong', `203.0.113.${n}`),
      ),
    )
    t.equal(answers.filter(({ status }) => status === 200).length, 10)
    t.equal(answers.filter(({ status }) => status === 422).length, 20)
    t.match(await attemptCounts(database, 'failed-login'), [{ attempts: 20 }])
  })

  await t.test(
    'attempts of an address for many accounts are counted together, and refused ones add no row',
    async t => {
      const environment = { LOGIN_RATE_LIMIT: '5' }
      const apps = [
        await startBehindProxy(t, database, environment),
        await startBehindProxy(t, database, environment, { keepsAttempts: true }),
      ]
      const answers = await Promise.all(
        Array.from({ length: 80 }, (_, n) =>
          tryLogin(apps[n % 2] as TestApp, `user${n}@example.org`, 'wrong'),
        ),
      )
      t.equal(answers.filter(({ status }) => status === 422).length, 20)
      t.match(await attemptCounts(database, 'login:address'), [{ attempts: 20 }])
      t.equal((await attemptCounts(database, 'login:account')).length, 20, 'refused attempts add no row')
    },
  )
})
