import t, { type Test } from 'tap'
import { REMEMBER_COOKIE } from '#src/auth/session-cookies.ts'
import { MINUTE, NOW, testClock } from '../fixtures/clock.ts'
import { aToken, aUser } from '../fixtures/users.ts'
import { type Answer, get, send, startApp } from '../support/app.ts'
import { createDatabase, ENGINES, type TestDatabase } from '../support/databases.ts'

/** Addresses come through a trusted proxy, so that a request can have any. */
const VIA_PROXY = { TRUSTED_PROXIES: '127.0.0.1' }
const from = (ip: string) => ({ 'x-forwarded-for': ip })

const limits = ({ headers }: Answer) =>
  [headers['x-ratelimit-limit'], headers['x-ratelimit-remaining']].map(Number)

for (const engine of ENGINES) {
  t.test(`rate limits on ${engine}`, async t => {
    const database = await createDatabase(t, engine)
    t.teardown(() => database.close())

    t.test('X1 the 91st request of a minute is refused', async t => {
      const clock = testClock()
      const app = await startApp(t, { database, clock, environment: VIA_PROXY })
      const { token } = await aUser(database)
      const request = () => get(app, '/api/me', token, from('198.51.100.7'))
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
      t.equal((await request()).status, 429, 'until the minute is over')
      clock.advance(1)
      t.strictSame(limits(await request()), [90, 89], 'which refused requests did not extend')
    })

    t.test('a user is one caller, from wherever and with whichever token', async t => {
      const app = await startApp(t, {
        database,
        environment: { ...VIA_PROXY, RATE_LIMIT_AUTHENTICATED: '2' },
      })
      const { id, token } = await aUser(database)
      const other = await aToken(database, id)
      t.strictSame(limits(await get(app, '/api/me', token, from('198.51.100.1'))), [2, 1])
      t.strictSame(limits(await get(app, '/api/me', other.token, from('198.51.100.2'))), [2, 0])
      t.equal((await get(app, '/api/me', token, from('198.51.100.3'))).status, 429)
      const neighbour = await aUser(database)
      t.equal(
        (await get(app, '/api/me', neighbour.token, from('198.51.100.1'))).status,
        200,
        'and only that user',
      )
    })

    t.test('whoever is nobody is counted by address, and an IPv6 customer by network', async t => {
      const app = await startApp(t, { database, environment: { ...VIA_PROXY, RATE_LIMIT_ANONYMOUS: '2' } })
      const status = async (ip: string) => (await get(app, '/api/me', undefined, from(ip))).status
      t.strictSame([await status('198.51.100.7'), await status('198.51.100.7')], [401, 401])
      t.equal(await status('198.51.100.7'), 429)
      t.equal(await status('::ffff:198.51.100.7'), 429, 'the same address, written otherwise')
      t.equal(await status('198.51.100.8'), 401)
      t.strictSame([await status('2001:db8:1:2::1'), await status('2001:db8:1:2:ffff::2')], [401, 401])
      t.equal(await status('2001:db8:1:2:aaaa::3'), 429)
      t.equal(await status('2001:db8:1:3::1'), 401)
    })

    t.test('users and addresses have limits of their own', async t => {
      const app = await startApp(t, {
        database,
        environment: { ...VIA_PROXY, RATE_LIMIT_ANONYMOUS: '1', RATE_LIMIT_AUTHENTICATED: '3' },
      })
      const { token } = await aUser(database)
      t.strictSame(limits(await get(app, '/api/me', undefined, from('198.51.100.7'))), [1, 0])
      t.equal((await get(app, '/api/me', undefined, from('198.51.100.7'))).status, 429)
      t.strictSame(limits(await get(app, '/api/me', token, from('198.51.100.7'))), [3, 2])
    })

    t.test('holders of the bypass permission are not counted, and get no headers', async t => {
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

    t.test('our own machines are not counted, unless they pass on an address', async t => {
      const app = await startApp(t, {
        database,
        environment: { ...VIA_PROXY, LOCAL_IPS: '10.0.0.0/8', RATE_LIMIT_ANONYMOUS: '1' },
      })
      const request = (headers: Record<string, string>) => get(app, '/api/me', undefined, headers)
      for (let i = 0; i < 3; i += 1) {
        const answer = await request(from('10.1.2.3'))
        t.equal(answer.status, 401)
        t.notOk('x-ratelimit-limit' in answer.headers)
      }
      const visitor = (ip: string) => ({ ...from('10.1.2.3'), 'x-forwarded-ip': ip })
      t.strictSame(limits(await request(visitor('203.0.113.1'))), [1, 0])
      t.equal((await request(visitor('203.0.113.1'))).status, 429)
      t.strictSame(limits(await request(visitor('203.0.113.2'))), [1, 0], 'X3 each visitor has a bucket')

      const stranger = { ...from('198.51.100.7'), 'x-forwarded-ip': '203.0.113.3' }
      t.equal((await request(stranger)).status, 401)
      t.equal(
        (await request({ ...stranger, 'x-forwarded-ip': '203.0.113.4' })).status,
        429,
        'X2 from a stranger it means nothing',
      )
      t.equal((await request({ ...stranger, 'x-forwarded-ip': '10.1.2.3' })).status, 429)
    })

    t.test('no header chooses the address while no proxy is trusted', async t => {
      const app = await startApp(t, {
        database,
        environment: { LOCAL_IPS: '10.0.0.1', RATE_LIMIT_ANONYMOUS: '3' },
      })
      const statuses: number[] = []
      for (const headers of [
        from('198.51.100.1'),
        from('10.0.0.1'),
        { 'x-forwarded-ip': '198.51.100.2' },
        { forwarded: 'for=198.51.100.3' },
        { 'x-real-ip': '198.51.100.4' },
      ]) {
        statuses.push((await get(app, '/api/me', undefined, headers as Record<string, string>)).status)
      }
      t.strictSame(statuses, [401, 401, 401, 429, 429])
    })

    t.test('of forwarded addresses only the one counts that the trusted proxy saw', async t => {
      const app = await startApp(t, { database, environment: { ...VIA_PROXY, RATE_LIMIT_ANONYMOUS: '1' } })
      const status = async (chain: string) => (await get(app, '/api/me', undefined, from(chain))).status
      t.equal(await status('1.1.1.1, 198.51.100.7'), 401)
      t.equal(await status('2.2.2.2, 198.51.100.7'), 429)
    })

    t.test('cover all of the API and the panel, unknown paths too, and nothing else', async t => {
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

    t.test('two hundred requests at once do not get past it', async t => {
      const app = await startApp(t, { database })
      const { token } = await aUser(database)
      const answers = await Promise.all(Array.from({ length: 200 }, () => get(app, '/api/me', token)))
      t.equal(answers.filter(({ status }) => status === 200).length, 90)
      t.equal(answers.filter(({ status }) => status === 429).length, 110)
    })

    guessing(t, database)
  })
}

function guessing(t: Test, database: TestDatabase) {
  t.test('wrong credentials are bounded for the networks of an IPv6 address as well', async t => {
    const app = await startApp(t, {
      database,
      environment: { ...VIA_PROXY, RATE_LIMIT_FAILED_AUTH: '1', RATE_LIMIT_ANONYMOUS: '1000' },
    })
    const { token, tokenId } = await aUser(database)
    const guess = async (ip: string) => (await get(app, '/api/me', `${tokenId}|guess`, from(ip))).status
    t.equal(await guess('2001:db8:1:2::1'), 401)
    t.equal(await guess('2001:db8:1:2::2'), 429, 'one from a /64')
    for (const network of [3, 4, 5]) t.equal(await guess(`2001:db8:1:${network}::1`), 401)
    t.equal(await guess('2001:db8:1:6::1'), 429, 'four from a /56')
    for (let n = 1; n <= 12; n++) t.equal(await guess(`2001:db8:1:${n.toString(16)}00::1`), 401)
    t.equal(await guess('2001:db8:1:f00::1'), 429, 'sixteen from a /48')
    t.equal(await guess('2001:db8:2::1'), 401, 'and those of others are not touched')
    t.equal((await get(app, '/api/me', token, from('2001:db8:2:9::1'))).status, 200)
  })

  t.test('wrong credentials are bounded for each address, and then the database is left alone', async t => {
    const clock = testClock()
    const app = await startApp(t, {
      database,
      clock,
      environment: { ...VIA_PROXY, RATE_LIMIT_FAILED_AUTH: '5', RATE_LIMIT_ANONYMOUS: '1000' },
    })
    const { token, tokenId } = await aUser(database)
    const newcomer = await aUser(database)
    const guess = (i: number) => get(app, '/api/me', `${tokenId}|guess${i}`, from('198.51.100.7'))

    t.equal((await get(app, '/api/me', token, from('198.51.100.7'))).status, 200)
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
    t.equal((await get(app, '/api/me', newcomer.token, from('198.51.100.7'))).status, 429)
    t.strictSame(database.statements, [], 'nothing was asked')

    t.equal((await get(app, '/api/me', token, from('198.51.100.7'))).status, 200, 'who was in stays in')
    t.equal(
      (await get(app, '/api/me', newcomer.token, from('203.0.113.9'))).status,
      200,
      'others do not notice',
    )
    t.equal(
      (await get(app, '/api/me', undefined, from('198.51.100.7'))).status,
      401,
      'nor do those without credentials',
    )
    t.match((await get(app, '/metrics')).text, 'rate_limited_requests_total{limit="failed_auth"} 2')

    clock.advance(MINUTE)
    t.equal((await get(app, '/api/me', newcomer.token, from('198.51.100.7'))).status, 200, 'a minute later')
  })

  t.test(
    'guesses beyond the bound are told apart from a database that is away, whatever is guessed',
    async t => {
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
          const answer = await get(app, '/api/me', undefined, { ...from(address), ...headersOf(n) })
          t.equal(answer.status, n < 2 ? 401 : 429, address)
        }
        const last = app.logged.findLast(({ msg }) => msg === 'request')
        t.match(last, { status: 429, authentication: 'throttled' })
      }
      t.match((await get(app, '/metrics')).text, 'authentications_total{outcome="throttled"} 2')
    },
  )

  t.test('a network of IPv6 is one address, and our own machines are none', async t => {
    const app = await startApp(t, { database, environment: { ...VIA_PROXY, RATE_LIMIT_FAILED_AUTH: '3' } })
    const statuses: number[] = []
    for (let n = 1; n <= 4; n += 1) {
      statuses.push((await get(app, '/api/me', `1|wrong${n}`, from(`2001:db8:9:2::${n}`))).status)
    }
    t.strictSame(statuses, [401, 401, 401, 429])
    const local = await startApp(t, {
      database,
      environment: { LOCAL_IPS: '127.0.0.1', RATE_LIMIT_FAILED_AUTH: '2' },
    })
    for (let n = 0; n < 5; n += 1) t.equal((await get(local, '/api/me', `1|wrong${n}`)).status, 401)
  })

  t.test('credentials that cannot be tokens cost no look-up, and are none', async t => {
    const app = await startApp(t, {
      database,
      environment: { RATE_LIMIT_FAILED_AUTH: '1', RATE_LIMIT_ANONYMOUS: '1000' },
    })
    for (let i = 0; i < 3; i += 1) t.equal((await get(app, '/api/me', '|')).status, 401)
  })

  t.test('two hundred guesses at once are not looked up more often than the limit', async t => {
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
