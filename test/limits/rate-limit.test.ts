import t, { type Test } from 'tap'
import { deleteToken } from '#src/database/token-endings.ts'
import { MINUTE, NOW, testClock } from '../fixtures/clock.ts'
import { REMEMBER_COOKIE } from '../fixtures/sessions.ts'
import { aToken, aUser } from '../fixtures/users.ts'
import { type Answer, get, send, startApp } from '../support/app.ts'
import { createDatabase, ENGINES, type TestDatabase } from '../support/databases.ts'

/** A trusted proxy, so that requests can have any address. */
const VIA_PROXY = { TRUSTED_PROXIES: '127.0.0.1' }
const forwardedFor = (ip: string) => ({ 'x-forwarded-for': ip })

const limits = ({ headers }: Answer) =>
  [headers['x-ratelimit-limit'], headers['x-ratelimit-remaining']].map(Number)

for (const engine of ENGINES) {
  t.test(`rate limits on ${engine}`, async t => {
    const database = await createDatabase(t, engine)
    t.teardown(() => database.close())

    await t.test('the 91st request within a minute is 429', async t => {
      const clock = testClock()
      const app = await startApp(t, { database, clock, environment: VIA_PROXY })
      const { token } = await aUser(database)
      const request = () => get(app, '/api/me', token, forwardedFor('198.51.100.7'))
      t.strictSame(limits(await request()), [90, 89])
      clock.advance(20_000)
      for (let i = 2; i <= 89; i += 1) await request()
      const last = await request()
      t.equal(last.status, 200)
      t.strictSame(limits(last), [90, 0])

      const refused = await request()
      t.equal(refused.status, 429)
      t.strictSame(refused.json, { message: 'Too Many Attempts.' })
      t.match(refused.headers, {
        'x-ratelimit-limit': '90',
        'x-ratelimit-remaining': '0',
        'retry-after': '40',
        'x-ratelimit-reset': String((NOW + MINUTE) / 1000),
        'cache-control': 'no-store, private',
      })
      t.match((await get(app, '/metrics')).text, 'rate_limited_requests_total{limit="api"} 1')

      clock.advance(39_999)
      t.equal((await request()).status, 429, 'within the minute')
      clock.advance(1)
      t.strictSame(limits(await request()), [90, 89], 'refused requests do not extend the window')
    })

    await t.test('all addresses and tokens of a user share one limit', async t => {
      const app = await startApp(t, {
        database,
        environment: { ...VIA_PROXY, RATE_LIMIT_AUTHENTICATED: '2' },
      })
      const { id, token } = await aUser(database)
      const second = await aToken(database, id)
      t.strictSame(limits(await get(app, '/api/me', token, forwardedFor('198.51.100.1'))), [2, 1])
      t.strictSame(limits(await get(app, '/api/me', second.token, forwardedFor('198.51.100.2'))), [2, 0])
      t.equal((await get(app, '/api/me', token, forwardedFor('198.51.100.3'))).status, 429)
      const other = await aUser(database)
      t.equal(
        (await get(app, '/api/me', other.token, forwardedFor('198.51.100.1'))).status,
        200,
        'another user is not limited',
      )
    })

    await t.test('anonymous requests are counted by IPv4 address or IPv6 /64 network', async t => {
      const app = await startApp(t, { database, environment: { ...VIA_PROXY, RATE_LIMIT_ANONYMOUS: '2' } })
      const status = async (ip: string) => (await get(app, '/api/me', undefined, forwardedFor(ip))).status
      t.strictSame([await status('198.51.100.7'), await status('198.51.100.7')], [401, 401])
      t.equal(await status('198.51.100.7'), 429)
      t.equal(await status('::ffff:198.51.100.7'), 429, 'the same address as IPv4-mapped IPv6')
      t.equal(await status('198.51.100.8'), 401)
      t.strictSame([await status('2001:db8:1:2::1'), await status('2001:db8:1:2:ffff::2')], [401, 401])
      t.equal(await status('2001:db8:1:2:aaaa::3'), 429)
      t.equal(await status('2001:db8:1:3::1'), 401)
    })

    await t.test('users and addresses have separate limits', async t => {
      const app = await startApp(t, {
        database,
        environment: { ...VIA_PROXY, RATE_LIMIT_ANONYMOUS: '1', RATE_LIMIT_AUTHENTICATED: '3' },
      })
      const { token } = await aUser(database)
      t.strictSame(limits(await get(app, '/api/me', undefined, forwardedFor('198.51.100.7'))), [1, 0])
      t.equal((await get(app, '/api/me', undefined, forwardedFor('198.51.100.7'))).status, 429)
      t.strictSame(limits(await get(app, '/api/me', token, forwardedFor('198.51.100.7'))), [3, 2])
    })

    await t.test('users with the bypass permission are not limited and get no headers', async t => {
      const app = await startApp(t, { database, environment: { RATE_LIMIT_AUTHENTICATED: '1' } })
      const direct = await aUser(database, { permissions: ['bypass api rate limiter'] })
      const byRole = await aUser(database, { roles: ['Admin'] })
      const without = await aUser(database, { roles: ['Encoder'] })
      for (const { token } of [direct, byRole]) {
        for (let i = 0; i < 3; i += 1) {
          const answer = await get(app, '/api/me', token)
          t.equal(answer.status, 200)
          t.notOk('x-ratelimit-limit' in answer.headers || 'x-ratelimit-remaining' in answer.headers)
        }
      }
      t.strictSame(limits(await get(app, '/api/me', without.token)), [1, 0])
      t.equal((await get(app, '/api/me', without.token)).status, 429)
    })

    await t.test('LOCAL_IPS are not limited unless they forward an address', async t => {
      const app = await startApp(t, {
        database,
        environment: { ...VIA_PROXY, LOCAL_IPS: '10.0.0.0/8', RATE_LIMIT_ANONYMOUS: '1' },
      })
      const request = (headers: Record<string, string>) => get(app, '/api/me', undefined, headers)
      for (let i = 0; i < 3; i += 1) {
        const answer = await request(forwardedFor('10.1.2.3'))
        t.equal(answer.status, 401)
        t.notOk('x-ratelimit-limit' in answer.headers)
      }
      const visitor = (ip: string) => ({ ...forwardedFor('10.1.2.3'), 'x-forwarded-ip': ip })
      t.strictSame(limits(await request(visitor('203.0.113.1'))), [1, 0])
      t.equal((await request(visitor('203.0.113.1'))).status, 429)
      t.strictSame(
        limits(await request(visitor('203.0.113.2'))),
        [1, 0],
        'each forwarded address has its own limit',
      )

      const foreign = { ...forwardedFor('198.51.100.7'), 'x-forwarded-ip': '203.0.113.3' }
      t.equal((await request(foreign)).status, 401)
      t.equal(
        (await request({ ...foreign, 'x-forwarded-ip': '203.0.113.4' })).status,
        429,
        'X-Forwarded-IP of another address is ignored',
      )
      t.equal((await request({ ...foreign, 'x-forwarded-ip': '10.1.2.3' })).status, 429)
    })

    await t.test('without a trusted proxy no header sets the address', async t => {
      const app = await startApp(t, {
        database,
        environment: { LOCAL_IPS: '10.0.0.1', RATE_LIMIT_ANONYMOUS: '3' },
      })
      const statuses: number[] = []
      for (const headers of [
        forwardedFor('198.51.100.1'),
        forwardedFor('10.0.0.1'),
        { 'x-forwarded-ip': '198.51.100.2' },
        { forwarded: 'for=198.51.100.3' },
        { 'x-real-ip': '198.51.100.4' },
      ]) {
        statuses.push((await get(app, '/api/me', undefined, headers as Record<string, string>)).status)
      }
      t.strictSame(statuses, [401, 401, 401, 429, 429])
    })

    await t.test('the last forwarded address, which the trusted proxy added, is limited', async t => {
      const app = await startApp(t, { database, environment: { ...VIA_PROXY, RATE_LIMIT_ANONYMOUS: '1' } })
      const status = async (chain: string) =>
        (await get(app, '/api/me', undefined, forwardedFor(chain))).status
      t.equal(await status('1.1.1.1, 198.51.100.7'), 401)
      t.equal(await status('2.2.2.2, 198.51.100.7'), 429)
    })

    await t.test('the limit covers the API and the panel with unknown paths, and nothing else', async t => {
      const app = await startApp(t, { database, environment: { RATE_LIMIT_ANONYMOUS: '6' } })
      const limited = [
        ['GET', '/api/me'],
        ['HEAD', '/api/me'],
        ['GET', '/api/unknown?x=1'],
        ['POST', '/api/me'],
        ['GET', '/api'],
        ['GET', '/admin/unknown'],
      ] as const
      for (const [method, url] of limited) {
        t.ok('x-ratelimit-limit' in (await send(app, method, url)).headers, `${method} ${url}`)
      }
      for (const [method, url] of limited)
        t.equal((await send(app, method, url)).status, 429, `${method} ${url}`)
      for (const [url, status] of [
        ['/health/live', 200],
        ['/health/ready', 200],
        ['/metrics', 200],
        ['/openapi.json', 200],
        ['/docs/', 200],
        ['/docs/static/swagger-ui.css', 200],
        ['/unknown', 404],
        ['/apimon', 404],
        ['/', 302],
      ] as const) {
        const answer = await get(app, url)
        t.equal(answer.status, status, url)
        t.notOk('x-ratelimit-limit' in answer.headers, url)
      }
    })

    await t.test('two hundred concurrent requests do not exceed the limit', async t => {
      const app = await startApp(t, { database })
      const { token } = await aUser(database)
      const answers = await Promise.all(Array.from({ length: 200 }, () => get(app, '/api/me', token)))
      t.equal(answers.filter(({ status }) => status === 200).length, 90)
      t.equal(answers.filter(({ status }) => status === 429).length, 110)
    })

    await testFailedAuthentications(t, database)
  })
}

async function testFailedAuthentications(t: Test, database: TestDatabase) {
  await t.test('failed authentications are limited for the /64, /56 and /48 of an IPv6 address', async t => {
    const app = await startApp(t, {
      database,
      environment: { ...VIA_PROXY, RATE_LIMIT_FAILED_AUTH: '1', RATE_LIMIT_ANONYMOUS: '1000' },
    })
    const { token, tokenId } = await aUser(database)
    const guess = async (ip: string) =>
      (await get(app, '/api/me', `${tokenId}|guess`, forwardedFor(ip))).status
    t.equal(await guess('2001:db8:1:2::1'), 401)
    t.equal(await guess('2001:db8:1:2::2'), 429, 'one from a /64')
    for (const network of [3, 4, 5]) t.equal(await guess(`2001:db8:1:${network}::1`), 401)
    t.equal(await guess('2001:db8:1:6::1'), 429, 'four from a /56')
    for (let n = 1; n <= 12; n++) t.equal(await guess(`2001:db8:1:${n.toString(16)}00::1`), 401)
    t.equal(await guess('2001:db8:1:f00::1'), 429, 'sixteen from a /48')
    t.equal(await guess('2001:db8:2::1'), 401, 'another /48')
    t.equal((await get(app, '/api/me', token, forwardedFor('2001:db8:2:9::1'))).status, 200)
  })

  await t.test('failed authentications are limited by address, and refused ones make no query', async t => {
    const clock = testClock()
    const app = await startApp(t, {
      database,
      clock,
      environment: { ...VIA_PROXY, RATE_LIMIT_FAILED_AUTH: '5', RATE_LIMIT_ANONYMOUS: '1000' },
    })
    const { token, tokenId } = await aUser(database)
    const unseen = await aUser(database)
    const known = await aUser(database)
    const guess = (i: number) => get(app, '/api/me', `${tokenId}|guess${i}`, forwardedFor('198.51.100.7'))

    t.equal((await get(app, '/api/me', token, forwardedFor('198.51.100.7'))).status, 200)
    t.equal((await get(app, '/api/me', known.token, forwardedFor('198.51.100.7'))).status, 200)
    for (let i = 0; i < 5; i += 1) t.equal((await guess(i)).status, 401)
    database.statements.length = 0
    const refused = await guess(6)
    t.equal(refused.status, 429)
    t.strictSame(refused.json, { message: 'Too Many Attempts.' })
    t.match(refused.headers, {
      'x-ratelimit-limit': '5',
      'x-ratelimit-remaining': '0',
      'retry-after': '60',
      'x-ratelimit-reset': String((NOW + MINUTE) / 1000),
    })
    t.equal((await get(app, '/api/me', unseen.token, forwardedFor('198.51.100.7'))).status, 429)
    t.strictSame(database.statements, [], 'no query')

    t.equal(
      (await get(app, '/api/me', token, forwardedFor('198.51.100.7'))).status,
      200,
      'a known token is still accepted',
    )
    await deleteToken(database.kysely, String(known.tokenId))
    t.equal(
      (await get(app, '/api/me', known.token, forwardedFor('198.51.100.7'))).status,
      401,
      'a known token that was revoked is looked up once more',
    )
    t.equal(
      (await get(app, '/api/me', known.token, forwardedFor('198.51.100.7'))).status,
      429,
      'and is not known any more',
    )
    t.equal(
      (await get(app, '/api/me', unseen.token, forwardedFor('203.0.113.9'))).status,
      200,
      'another address',
    )
    t.equal(
      (await get(app, '/api/me', undefined, forwardedFor('198.51.100.7'))).status,
      401,
      'a request without credentials',
    )
    t.match((await get(app, '/metrics')).text, 'rate_limited_requests_total{limit="failed_auth"} 3')

    clock.advance(MINUTE)
    t.equal(
      (await get(app, '/api/me', unseen.token, forwardedFor('198.51.100.7'))).status,
      200,
      'a minute later',
    )
  })

  await t.test('refused guesses of tokens and remembered devices are logged as throttled', async t => {
    const app = await startApp(t, {
      database,
      environment: {
        ...VIA_PROXY,
        RATE_LIMIT_FAILED_AUTH: '2',
        RATE_LIMIT_ANONYMOUS: '1000',
        LOG_REQUESTS: 'all',
      },
    })
    for (const [address, headersOf] of [
      ['198.51.100.8', (n: number) => ({ authorization: `Bearer 1|guess${n}` })],
      [
        '198.51.100.9',
        (n: number) => ({
          cookie: `${REMEMBER_COOKIE}=${'a'.repeat(22)}.${String(n).repeat(43)}`,
          referer: 'http://localhost:3000/',
        }),
      ],
    ] as const) {
      for (let n = 0; n < 3; n += 1) {
        const answer = await get(app, '/api/me', undefined, { ...forwardedFor(address), ...headersOf(n) })
        t.equal(answer.status, n < 2 ? 401 : 429, address)
      }
      const last = app.logged.findLast(({ msg }) => msg === 'request')
      t.match(last, { status: 429, authentication: 'throttled' })
    }
    t.match((await get(app, '/metrics')).text, 'authentications_total{outcome="throttled"} 2')
  })

  await t.test('an IPv6 /64 is one address, and LOCAL_IPS are not limited', async t => {
    const app = await startApp(t, { database, environment: { ...VIA_PROXY, RATE_LIMIT_FAILED_AUTH: '3' } })
    const statuses: number[] = []
    for (let n = 1; n <= 4; n += 1) {
      statuses.push((await get(app, '/api/me', `1|wrong${n}`, forwardedFor(`2001:db8:9:2::${n}`))).status)
    }
    t.strictSame(statuses, [401, 401, 401, 429])
    const local = await startApp(t, {
      database,
      environment: { LOCAL_IPS: '127.0.0.1', RATE_LIMIT_FAILED_AUTH: '2' },
    })
    for (let n = 0; n < 5; n += 1) t.equal((await get(local, '/api/me', `1|wrong${n}`)).status, 401)
  })

  await t.test('malformed tokens are not counted as failed authentications', async t => {
    const app = await startApp(t, {
      database,
      environment: { RATE_LIMIT_FAILED_AUTH: '1', RATE_LIMIT_ANONYMOUS: '1000' },
    })
    for (let i = 0; i < 3; i += 1) t.equal((await get(app, '/api/me', '|')).status, 401)
  })

  await t.test('two hundred concurrent guesses make at most as many look-ups as the limit', async t => {
    const app = await startApp(t, {
      database,
      environment: { RATE_LIMIT_FAILED_AUTH: '20', RATE_LIMIT_ANONYMOUS: '1000' },
    })
    database.queries.length = 0
    const answers = await Promise.all(
      Array.from({ length: 200 }, (_, i) => get(app, '/api/me', `${i + 1}|guess`)),
    )
    const lookedUp = database.queries
      .filter(({ name }) => name === 'tokens_by_id')
      .flatMap(({ parameters: [keys] }) => keys)
    t.equal(lookedUp.length, 20)
    t.equal(answers.filter(({ status }) => status === 401).length, 20)
    t.equal(answers.filter(({ status }) => status === 429).length, 180)
  })
}
