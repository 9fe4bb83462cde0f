import type { FastifyInstance } from 'fastify'
import t from 'tap'
import { accountKey } from '#src/limits/attempt-limit.ts'
import { startWithUser } from '../../../fixtures/attacks.ts'
import { logInFrom } from '../../../fixtures/attempts.ts'
import { TestBrowser } from '../../../fixtures/browser.ts'
import { MINUTE, testClock } from '../../../fixtures/clock.ts'
import { UNLIMITED } from '../../../fixtures/settings.ts'
import { aMember, PASSWORD } from '../../../fixtures/users.ts'
import { get, startApp } from '../../../support/app.ts'
import { createDatabase } from '../../../support/databases.ts'

const database = await createDatabase(t, 'postgres')
t.teardown(() => database.close())

t.test('a refused login does not reveal whether the account exists', async t => {
  const app = await startApp(t, { database, environment: UNLIMITED })
  const user = await aMember(database)
  const factor = await aMember(database)
  await database.kysely
    .updateTable('users')
    .set({ two_factor_confirmed_at: '2026-01-01 00:00:00' })
    .where('id', '=', factor.id)
    .execute()
  const browser = new TestBrowser(app)
  await browser.get('/sanctum/csrf-cookie')
  await browser.post('/login', { email: 'guest@example.org', password: 'wrong' })
  const seen = new Set<string>()
  for (const email of [user.email, factor.email, 'no-account@example.org', `${user.email}\0`, 'x']) {
    database.statements.length = 0
    const { status, text, headers } = await browser.post('/login', { email, password: 'wrong' })
    const kept = Object.fromEntries(
      Object.entries(headers).filter(
        ([name]) => !/^(set-cookie|x-request-id|date|x-ratelimit-remaining)$/.test(name),
      ),
    )
    // No account can have an address with NUL, so that the statement is saved.
    const statements = database.statements.length + Number(email.includes('\0'))
    seen.add(JSON.stringify({ status, text, kept, statements }))
  }
  t.equal(seen.size, 1, [...seen].join('\n'))
})

const logIn = (
  app: FastifyInstance,
  email: string,
  { password = 'wrong', address = '' }: { password?: string; address?: string } = {},
) => logInFrom(app, address, { email, password })
const BEHIND_PROXY = { TRUSTED_PROXIES: '127.0.0.1' }

t.test('an account has five logins a minute, successful ones included', async t => {
  const clock = testClock()
  const app = await startApp(t, { database, clock })
  const user = await aMember(database)
  const statuses: number[] = []
  for (const password of ['a', PASSWORD, 'b', PASSWORD, 'c', PASSWORD]) {
    statuses.push((await logIn(app, user.email, { password })).status)
  }
  t.strictSame(statuses, [422, 200, 422, 200, 422, 429])
  const refused = await logIn(app, user.email, { password: PASSWORD })
  t.strictSame(refused.json, { message: 'Too Many Attempts.' })
  t.match(refused.headers, { 'x-ratelimit-limit': '5', 'x-ratelimit-remaining': '0', 'retry-after': '60' })
  t.ok(refused.headers['x-ratelimit-reset'])
  clock.advance(MINUTE)
  const again = await logIn(app, user.email, { password: PASSWORD })
  t.equal(again.status, 200)
  t.match(again.headers, { 'x-ratelimit-limit': '5', 'x-ratelimit-remaining': '4' })
})

t.test('addresses that look alike share the limit of one account', async t => {
  const same = [
    'test1043@laravel.com',
    'TEST1043@laravel.com',
    ' test1043@laravel.com ',
    'test⑩⓸③@ⓛⓐⓡⓐⓥⓔⓛ.ⓒⓞⓜ',
    'ＴＥＳＴ１０４３@laravel.com',
    'tést1043@laravel.com',
    'tеst1043@laravel.com',
    'te\u200bst1043@laravel.com',
  ]
  t.equal(new Set(same.map(accountKey)).size, 1)
  t.equal(
    accountKey('\u2800a@example.org'),
    accountKey('a@example.org'),
    'all kinds of white space are ignored',
  )
  t.not(accountKey('test1044@laravel.com'), accountKey('test1043@laravel.com'))
  t.equal(accountKey('a@Example.org.'), accountKey('A@example.org'))
  t.equal(accountKey('a@bücher.example'), accountKey('a@xn--bcher-kva.example'))
  t.equal(accountKey('ⓣⓔⓢⓣ@ⓛⓐⓡⓐⓥⓔⓛ.ⓒⓞⓜ'), accountKey('ⓉⒺⓈⓉ@ⓁⒶⓇⒶⓋⒺⓁ.ⒸⓄⓂ'))
  const app = await startApp(t, { database })
  const statuses: number[] = []
  for (const email of same) statuses.push((await logIn(app, email)).status)
  t.strictSame(statuses, [422, 422, 422, 422, 422, 429, 429, 429])
})

t.test('an address has twenty logins a minute for all accounts together', async t => {
  const app = await startApp(t, { database })
  const statuses: number[] = []
  for (let n = 0; n < 22; n += 1) {
    statuses.push((await logIn(app, `user${n}@example.org`, { address: `203.0.113.${n}` })).status)
  }
  t.strictSame(
    statuses,
    [...Array(20).fill(422), 429, 429],
    'X-Forwarded-For of an untrusted client is ignored',
  )

  const other = await startApp(t, { database, environment: { LOGIN_RATE_LIMIT: '2' } })
  const left: string[] = []
  for (let n = 0; n < 8; n += 1) {
    left.push((await logIn(other, `user${n}@example.org`)).headers['x-ratelimit-remaining'] ?? '')
  }
  t.strictSame(
    left,
    ['1', '1', '1', '1', '1', '1', '1', '0'],
    'the headers are those of the limit that is nearer',
  )
})

t.test('an IPv6 network shares the limit of one address', async t => {
  const app = await startApp(t, { database, environment: { ...BEHIND_PROXY, LOGIN_FAILURE_LIMIT: '8' } })
  const user = await aMember(database)
  const home = (n: number) => ({ password: PASSWORD, address: `2001:db8:7:1::${n}` })
  t.equal((await logIn(app, user.email, home(1))).status, 200)
  const statuses: number[] = []
  for (let n = 1; n <= 6; n += 1) {
    statuses.push((await logIn(app, user.email, { address: `2001:db8:1:2::${n}` })).status)
  }
  t.strictSame(statuses, [422, 422, 422, 422, 422, 429])
  for (let n = 0; n < 3; n += 1) await logIn(app, user.email, { address: `203.0.113.${n}` })
  t.equal(
    (await logIn(app, user.email, home(2))).status,
    200,
    'a network with an earlier login is not limited by others',
  )
  const stranger = { password: PASSWORD, address: '2001:db8:7:2::1' }
  t.equal((await logIn(app, user.email, stranger)).status, 429)
})

t.test('an earlier login to another account exempts an address from no limit', async t => {
  const app = await startApp(t, { database, environment: { ...BEHIND_PROXY, LOGIN_FAILURE_LIMIT: '3' } })
  const [user, attacker] = [await aMember(database), await aMember(database)]
  const from = { password: PASSWORD, address: '203.0.113.50' }
  t.equal((await logIn(app, attacker.email, from)).status, 200)
  for (let n = 0; n < 3; n += 1) await logIn(app, user.email, { address: `203.0.113.${n}` })
  t.equal((await logIn(app, user.email, from)).status, 429)
})

t.test('the failure limit of an account does not lock out addresses with an earlier login', async t => {
  const clock = testClock()
  const environment = { ...BEHIND_PROXY, LOGIN_FAILURE_LIMIT: '6' }
  const app = await startApp(t, { database, clock, environment })
  const user = await aMember(database)
  const home = { password: PASSWORD, address: '198.51.100.7' }
  t.equal((await logIn(app, user.email, home)).status, 200)
  for (let n = 0; n < 6; n += 1) {
    t.equal((await logIn(app, user.email, { address: `203.0.113.${n}` })).status, 422)
  }
  database.statements.length = 0
  const shut = await logIn(app, user.email, { password: PASSWORD, address: '203.0.113.99' })
  t.equal(shut.status, 429, 'the right password is refused, too')
  t.match(shut.headers, { 'x-ratelimit-limit': '6', 'retry-after': '3600' })
  t.equal((await logIn(app, user.email, home)).status, 200)
  t.equal((await logIn(app, user.email, { address: home.address })).status, 422)
  t.equal((await logIn(app, 'no-account@example.org', { address: '203.0.113.99' })).status, 422)
  t.equal((await logIn(app, user.email, { address: '198.51.100.8' })).status, 429)

  const restarted = await startApp(t, { database, clock, environment })
  for (let n = 0; n < 6; n += 1) await logIn(restarted, user.email, { address: `203.0.113.${n}` })
  t.equal((await logIn(restarted, user.email, home)).status, 200, 'earlier logins are stored in the database')
  clock.advance(60 * MINUTE)
  t.equal((await logIn(app, user.email, { password: PASSWORD, address: '203.0.113.99' })).status, 200)
})

t.test('failed logins of others do not keep a session from confirming its password', async t => {
  const app = await startApp(t, { database, environment: { ...BEHIND_PROXY, LOGIN_FAILURE_LIMIT: '3' } })
  const user = await aMember(database)
  const browser = new TestBrowser(app)
  await browser.logIn(user)
  for (let n = 0; n < 3; n += 1) await logIn(app, user.email, { address: `203.0.113.${n}` })
  t.equal((await logIn(app, user.email, { password: PASSWORD, address: '203.0.113.99' })).status, 429)
  const elsewhere = { headers: { 'x-forwarded-for': '198.51.100.42' } }
  const confirm = (password: string, request = elsewhere) =>
    browser.post('/user/confirm-password', { password }, request)
  t.equal((await confirm(PASSWORD)).status, 201)
  for (let n = 0; n < 3; n += 1) {
    t.equal((await confirm('wrong', { headers: { 'x-forwarded-for': `198.51.100.${n}` } })).status, 422)
  }
  t.equal((await confirm(PASSWORD)).status, 429, 'a session has a failure limit of its own')
  t.equal((await logIn(app, user.email, { password: PASSWORD })).status, 200)
})

t.test('an account that does not exist has the same limits', async t => {
  const app = await startApp(t, { database, environment: { ...BEHIND_PROXY, LOGIN_FAILURE_LIMIT: '3' } })
  const statuses: number[] = []
  for (let n = 0; n < 4; n += 1) {
    statuses.push((await logIn(app, 'ghost@example.org', { address: `203.0.113.${n}` })).status)
  }
  t.strictSame(statuses, [422, 422, 422, 429])
})

t.test('concurrent logins do not exceed the limit', async t => {
  const app = await startApp(t, { database, environment: { RATE_LIMIT_ANONYMOUS: '1000' } })
  const user = await aMember(database)
  const browser = new TestBrowser(app)
  await browser.get('/sanctum/csrf-cookie')
  const answers = await Promise.all(
    Array.from({ length: 200 }, (_, n) =>
      browser.clone().post('/login', { email: user.email, password: `guess ${n}` }),
    ),
  )
  t.equal(answers.filter(({ status }) => status === 422).length, 5)
  t.equal(answers.filter(({ status }) => status === 429).length, 195)
})

t.test('GET /sanctum/csrf-cookie is limited for an address', async t => {
  const app = await startApp(t, { database, environment: { RATE_LIMIT_ANONYMOUS: '3' } })
  const statuses: number[] = []
  for (let n = 0; n < 5; n += 1) statuses.push((await get(app, '/sanctum/csrf-cookie')).status)
  t.strictSame(statuses, [204, 204, 204, 429, 429])
})

t.test('a flood of logins leaves the server responsive', async t => {
  const { app } = await startWithUser(t, database, { environment: { ...UNLIMITED, HASH_ROUNDS: '10' } })
  const browser = new TestBrowser(app)
  await browser.get('/sanctum/csrf-cookie')
  const ended: string[] = []
  const logins = Array.from({ length: 160 }, (_, n) =>
    browser.clone().post('/login', { email: `user${n}@example.org`, password: 'x' }),
  )
  const watched = Promise.all(
    logins.map(async login => {
      const { status } = await login
      ended.push(String(status))
    }),
  )
  t.equal((await get(app, '/health/live')).status, 200)
  t.ok(ended.length < 160, 'logins are still pending')
  await watched
  t.ok(ended.includes('422'))
  t.strictSame(
    ended.filter(status => status !== '422' && status !== '503'),
    [],
    'logins that would wait too long are 503',
  )
  t.ok(ended.includes('503'))
})
