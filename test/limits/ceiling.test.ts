import t from 'tap'
import { CEILING_FACTOR, requestCeiling } from '#src/limits/ceiling.ts'
import { MINUTE, NOW, testClock } from '../fixtures/clock.ts'
import { aUser } from '../fixtures/users.ts'
import { get, send, startApp } from '../support/app.ts'
import { createDatabase } from '../support/databases.ts'
import { RawClient } from '../support/raw-client.ts'

const database = await createDatabase(t, 'postgres')
t.teardown(() => database.close())

/** Settings under which each forwarded address has twenty requests per minute. */
const LOW_CEILING = { TRUSTED_PROXIES: '127.0.0.1', RATE_LIMIT_ANONYMOUS: '1' }
const forwardedFor = (ip: string) => ({ 'x-forwarded-for': ip })

await t.test('the request ceiling of an address', async t => {
  await t.test('all kinds of requests count, and a refused one makes no query', async t => {
    const clock = testClock()
    const app = await startApp(t, { database, clock, environment: LOW_CEILING })
    const { token } = await aUser(database)
    const origin = 'http://localhost:3000'
    const headers = { ...forwardedFor('198.51.100.7'), origin }
    const kinds = [
      ['GET', '/docs/static/swagger-ui.css', {}, 200],
      ['GET', '/openapi.json', {}, 200],
      ['GET', '/admin/login', {}, 200],
      ['GET', '/unknown', {}, 404],
      ['GET', '/health/unknown', {}, 404],
      ['POST', '/health/live', {}, 405],
      ['OPTIONS', '/api/me', { 'access-control-request-method': 'GET' }, 204],
      ['GET', '/%zz', {}, 400],
      ['GET', '/api/me', { authorization: `Bearer ${token}` }, 200],
      ['POST', '/api/leaked-token', {}, 422],
    ] as const
    for (let round = 0; round < CEILING_FACTOR / kinds.length; round += 1) {
      for (const [method, url, more, status] of kinds) {
        const answer = await send(app, method, url, { headers: { ...headers, ...more } })
        // The API limit is one request per minute here.
        t.ok([status, 429].includes(answer.status), `${method} ${url}: ${answer.status}`)
      }
    }
    clock.advance(20_000)
    database.statements.length = 0
    for (const [method, url, more] of kinds) {
      const {
        status,
        json,
        headers: answered,
      } = await send(app, method, url, {
        headers: { ...headers, ...more },
      })
      t.equal(status, 429, `${method} ${url}`)
      t.strictSame(json, { message: 'Too Many Attempts.' })
      t.match(answered, {
        'x-ratelimit-limit': '20',
        'x-ratelimit-remaining': '0',
        'retry-after': '40',
        'x-ratelimit-reset': String((NOW + MINUTE) / 1000),
        'cache-control': 'no-store, private',
        'x-content-type-options': 'nosniff',
      })
      // The panel has no CORS headers.
      const isReadable = !url.startsWith('/admin')
      t.equal(answered['access-control-allow-origin'], isReadable ? origin : undefined, url)
    }
    t.strictSame(database.statements, [])
    t.equal(
      (await get(app, '/unknown', undefined, forwardedFor('198.51.100.8'))).status,
      404,
      'another address',
    )
    const { text } = await get(app, '/metrics')
    t.match(text, `rate_limited_requests_total{limit="ceiling"} ${kinds.length}\n`)

    clock.advance(40_000)
    t.equal((await get(app, '/unknown', undefined, headers)).status, 404, 'a minute after the first request')
  })

  await t.test('health checks and LOCAL_IPS are exempt', async t => {
    const environment = { ...LOW_CEILING, LOCAL_IPS: '10.0.0.0/8' }
    const app = await startApp(t, { database, environment })
    const status = async (url: string, ip: string) =>
      (await get(app, url, undefined, forwardedFor(ip))).status
    for (let n = 0; n < CEILING_FACTOR; n += 1) await status('/unknown', '198.51.100.7')
    t.equal(await status('/unknown', '198.51.100.7'), 429)
    for (let n = 0; n <= CEILING_FACTOR; n += 1) {
      t.equal(await status('/health/live', '198.51.100.7'), 200)
      t.equal(await status('/unknown', '10.1.2.3'), 404)
    }
    t.equal(await status('/health/ready', '198.51.100.7'), 200)
  })

  await t.test('a form that is read before routing counts once', async t => {
    const app = await startApp(t, { database, environment: LOW_CEILING })
    const client = await RawClient.connect(t, app)
    const statuses: number[] = []
    for (let n = 0; n <= CEILING_FACTOR; n += 1) {
      client.head('POST /unknown', {
        'content-type': 'application/x-www-form-urlencoded',
        'content-length': 3,
      })
      client.write('a=1')
      statuses.push((await client.answer()).status)
    }
    t.strictSame(statuses, [...Array(CEILING_FACTOR).fill(404), 429])
  })

  await t.test('forms read before routing count for the forwarded address', async t => {
    const app = await startApp(t, { database, environment: LOW_CEILING })
    const client = await RawClient.connect(t, app)
    const sendForm = async (ip: string) => {
      client.head('POST /unknown', {
        'content-type': 'application/x-www-form-urlencoded',
        'content-length': 3,
        'x-forwarded-for': `203.0.113.1, ${ip}`,
      })
      client.write('a=1')
      return (await client.answer()).status
    }
    for (let n = 0; n < CEILING_FACTOR; n += 1) await sendForm('198.51.100.7')
    t.equal(await sendForm('198.51.100.7'), 429)
    t.equal(await sendForm('198.51.100.8'), 404)
  })
})

await t.test('requestCeiling()', async t => {
  const network = (key: string, share = 1) => ({ key, share })

  await t.test('wider networks have higher limits and count only admitted requests', async t => {
    const ceiling = requestCeiling(2, () => 0)
    const home = [network('a:1'), network('a/56', 4), network('a/48', 16)]
    const count = (networks: typeof home, times: number) => {
      for (let n = 0; n < times; n += 1) {
        const over = ceiling(networks)
        if (over !== null) return { after: n, max: over.max }
      }
      return null
    }
    t.strictSame(count(home, 100), { after: 2, max: 2 })
    for (let n = 2; n <= 4; n += 1) {
      t.equal(count([network(`a:${n}`), network('a/56', 4), network('a/48', 16)], 2), null)
    }
    const last = count([network('a:5'), network('a/56', 4), network('a/48', 16)], 1)
    t.strictSame(last, { after: 0, max: 8 }, 'refused requests did not count for the wider network')
    for (let n = 1; n <= 12; n += 1) {
      t.equal(count([network(`b:${n}`), network(`b${n}/56`, 4), network('a/48', 16)], 2), null)
    }
    t.strictSame(count([network('c'), network('c/56', 4), network('a/48', 16)], 1), { after: 0, max: 32 })
  })

  await t.test('a window ends a minute after its first request', async t => {
    let now = 5
    const ceiling = requestCeiling(1, () => now)
    t.equal(ceiling([network('a')]), null)
    now += 59_999
    t.strictSame(ceiling([network('a')]), { max: 1, ttl: 1 })
    now += 1
    t.equal(ceiling([network('a')]), null)
  })

  await t.test('addresses not seen for 32,768 others are forgotten', async t => {
    const ceiling = requestCeiling(1, () => 0)
    ceiling([network('seen')])
    ceiling([network('unseen')])
    for (let n = 0; n < 70_000; n += 1) {
      ceiling([network(`other${n}`)])
      if (n % 30_000 === 0) ceiling([network('seen')])
    }
    t.ok(ceiling([network('seen')]) !== null)
    t.equal(ceiling([network('unseen')]), null)
  })
})
