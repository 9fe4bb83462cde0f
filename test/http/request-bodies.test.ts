import t, { type Test } from 'tap'
import { TestBrowser } from '../fixtures/browser.ts'
import { testClock } from '../fixtures/clock.ts'
import { aPlaylist } from '../fixtures/lists.ts'
import { aMember, aUser } from '../fixtures/users.ts'
import { get, send, startApp, type TestAppOptions } from '../support/app.ts'
import { createDatabase } from '../support/databases.ts'
import { RawClient } from '../support/raw-client.ts'

const database = await createDatabase(t, 'postgres')
t.teardown(() => database.close())

const FORM = 'application/x-www-form-urlencoded'
const DEADLINE = 10_000
const MEGABYTE = 1_048_576

/** Starts a server; `armed` and `cancelled` resolve when the deadline of a form is scheduled or cancelled. */
async function startWithObservedDeadline(t: Test, options: Partial<TestAppOptions> = {}) {
  const clock = testClock()
  const waiting = { armed: () => {}, cancelled: () => {} }
  const once = (event: keyof typeof waiting) =>
    new Promise<void>(resolve => {
      waiting[event] = resolve
    })
  const monotonic = Object.assign(() => clock(), clock, {
    schedule: (ms: number, act: () => void) => {
      const cancel = clock.schedule(ms, act)
      if (ms !== DEADLINE) return cancel
      waiting.armed()
      return () => {
        cancel()
        waiting.cancelled()
      }
    },
  })
  const app = await startApp(t, { database, clock, monotonic, ...options })
  return { app, clock, armed: () => once('armed'), cancelled: () => once('cancelled') }
}

t.test('every response to a request with a body counts towards the rate limit', async t => {
  const app = await startApp(t, { database, environment: { RATE_LIMIT_ANONYMOUS: '10' } })
  const browser = new TestBrowser(app)
  await browser.get('/sanctum/csrf-cookie')
  const json = { 'content-type': 'application/json' }
  const remaining: number[] = []
  for (const [headers, payload, status] of [
    [json, '{"email":1}', 422],
    [json, '{', 400],
    [json, JSON.stringify({ email: 'x'.repeat(70_000) }), 413],
    [{ 'content-type': 'image/png' }, 'x', 415],
    [{ ...json, 'x-xsrf-token': 'wrong' }, '{}', 419],
  ] as const) {
    const answer = await browser.send('POST', '/login', { headers, payload })
    t.equal(answer.status, status)
    remaining.push(Number(answer.headers['x-ratelimit-remaining']))
  }
  const unknown = await send(app, 'POST', '/api/playlist', { headers: json, payload: '{}' })
  t.equal(unknown.status, 401)
  remaining.push(Number(unknown.headers['x-ratelimit-remaining']))
  t.strictSame(remaining, [8, 7, 6, 5, 4, 3])
})

t.test('the body limit of a route is enforced and reported', async t => {
  const environment = { RATE_LIMIT_AUTHENTICATED: '1000', LEAKED_TOKENS: 'on' }
  const app = await startApp(t, { database, environment })
  const user = await aMember(database, { roles: ['Verified', 'Admin'] })
  const { hashid } = await aPlaylist(database, user.id, { name: 'own' })
  const browser = new TestBrowser(app, { 'sec-fetch-site': 'same-origin' })
  await browser.logIn(user)
  const asToken = { authorization: `Bearer ${user.token}` }
  const small = [
    ['PUT', '/user/password', {}],
    ['PUT', '/user/profile-information', {}],
    ['POST', '/admin/tokens', {}],
    ['POST', '/api/leaked-token', asToken],
  ] as const
  const large = [
    ['PUT', `/api/playlist/${hashid}`, asToken],
    ['POST', '/api/playlist', asToken],
  ] as const
  for (const [routes, limit] of [
    [small, 65_536],
    [large, MEGABYTE],
  ] as const) {
    for (const [method, url, headers] of routes) {
      const sendBody = (type: string, payload: string) =>
        browser.bare(method, url, { headers: { ...headers, 'content-type': type, accept: type }, payload })
      const pad = (size: number) => `{"x":"${'x'.repeat(size - 8)}"}`
      const over = await sendBody('application/json', pad(limit + 1))
      t.equal(over.status, 413, `${method} ${url}`)
      t.match(over.text, `The request body is larger than ${limit} bytes.`)
      t.not((await sendBody('application/json', pad(limit))).status, 413, `${method} ${url}`)
      t.equal((await sendBody(FORM, 'x'.repeat(limit + 1))).status, 413)
    }
  }
})

t.test('a JSON body with more than 2000 values is 400', async t => {
  const app = await startApp(t, { database })
  const { token } = await aUser(database, { roles: ['Verified'] })
  const issueWithAbilities = (count: number) =>
    send(app, 'POST', '/api/me/token', {
      headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json' },
      payload: `{"name":"x","abilities":[${'1,'.repeat(count - 3)}1]}`,
    })
  const accepted = await issueWithAbilities(2_000)
  t.equal(accepted.status, 422)
  t.match(accepted.json.message, /\(and 199\d more errors\)/, '2000 values are validated')
  const refused = await issueWithAbilities(2_001)
  t.equal(refused.status, 400)
  t.strictSame(refused.json, { message: 'The request body has more than 2000 values.' })
})

t.test('the body of a refused request is not read', async t => {
  const json = { 'content-type': 'application/json' }

  await t.test('the response is sent at once, and the connection is closed if the body is large', async t => {
    const environment = { RATE_LIMIT_ANONYMOUS: '2', LEAKED_TOKENS: 'on', TRUSTED_PROXIES: '127.0.0.1' }
    const app = await startApp(t, { database, environment })
    const far = { 'x-forwarded-for': '198.51.100.9' }
    for (let n = 0; n < 40; n += 1) await get(app, '/unknown', undefined, far)
    for (const [status, url, headers] of [
      [419, '/login', {}],
      [401, '/api/playlist', {}],
      [429, '/api/playlist', {}],
      [413, '/api/leaked-token', { 'x-forwarded-for': '198.51.100.8' }],
      [404, '/unknown', {}],
      [400, '/%zz', {}],
      [429, '/unknown', far],
    ] as const) {
      for (const [name, value] of [
        ['content-length', MEGABYTE],
        ['transfer-encoding', 'chunked'],
      ] as const) {
        // A chunked body has no length to refuse, and every request counts.
        if (value === 'chunked' && status !== 404 && headers !== far) continue
        const client = await RawClient.connect(t, app)
        client.head(`POST ${url}`, { ...json, ...headers, [name]: value })
        const answer = await client.answer()
        t.equal(answer.status, status, url)
        t.equal(answer.headers.connection, 'close', url)
        await client.closed
      }
    }
  })

  await t.test('a form whose CSRF token is in the body is refused by the rate limit at once', async t => {
    const app = await startApp(t, { database, environment: { RATE_LIMIT_ANONYMOUS: '1' } })
    const browser = new TestBrowser(app)
    await browser.get('/sanctum/csrf-cookie')
    const client = await RawClient.connect(t, app)
    const cookie = `animethemes_session=${browser.sessionId}`
    client.head('POST /login', { ...json, cookie, 'content-length': 100 })
    const answer = await client.answer()
    t.equal(answer.status, 429)
    t.not(answer.headers.connection, 'close', 'the connection is kept for a small body')
    client.write(' '.repeat(100))
    client.head('GET /health/live')
    t.equal((await client.answer()).status, 200)
  })
})

t.test('a form with a possible _method field', async t => {
  const form = { 'content-type': FORM, 'content-length': 14 }

  await t.test('it is not read if the address is over its limit or the host is unknown', async t => {
    const app = await startApp(t, { database, environment: { RATE_LIMIT_ANONYMOUS: '1' } })
    for (let n = 0; n < 20; n += 1) await get(app, '/unknown')
    const client = await RawClient.connect(t, app)
    client.head('POST /unknown', form)
    t.equal((await client.answer()).status, 429)

    const production = await startApp(t, {
      database,
      environment: {
        APP_ENV: 'production',
        APP_URL: 'https://api.example.org',
        TRUSTED_PROXIES: '127.0.0.1',
      },
    })
    const foreign = await RawClient.connect(t, production)
    foreign.head('POST /login', { ...form, host: 'evil.test' })
    t.equal((await foreign.answer()).status, 400)
    const forwarded = await RawClient.connect(t, production)
    forwarded.head('POST /login', { ...form, 'x-forwarded-host': 'evil.test', host: 'api.example.org' })
    t.equal((await forwarded.answer()).status, 400)
    const valid = await RawClient.connect(t, production)
    valid.head('POST /unknown', { ...form, 'x-forwarded-host': 'api.example.org', host: 'localhost' })
    valid.write('_method=DELETE')
    t.match((await valid.answer()).body, /could not be found/)
  })

  await t.test('it is 408 after ten seconds', async t => {
    const { app, clock, armed } = await startWithObservedDeadline(t)
    for (const url of ['/unknown', '/admin/login']) {
      const client = await RawClient.connect(t, app)
      const isArmed = armed()
      client.head(`POST ${url}`, form)
      client.write('_method=')
      await isArmed
      clock.advance(DEADLINE - 1)
      clock.advance(1)
      const answer = await client.answer()
      t.equal(answer.status, 408)
      t.strictSame(JSON.parse(answer.body), { message: 'Request Timeout' })
      t.match(answer.headers, { connection: 'close', 'x-content-type-options': 'nosniff' })
      await client.closed
    }
    t.match((await get(app, '/metrics')).text, 'route="/admin/login",status="408"} 1')
  })

  await t.test('it is read if it arrives within ten seconds', async t => {
    const { app, clock, armed, cancelled } = await startWithObservedDeadline(t)
    const client = await RawClient.connect(t, app)
    const isArmed = armed()
    const isCancelled = cancelled()
    client.head('POST /health/live', form)
    await isArmed
    clock.advance(DEADLINE - 1)
    client.write('_method=DELETE')
    t.match((await client.answer()).body, /The DELETE method is not supported/)
    await isCancelled
    clock.advance(DEADLINE)
    client.head('GET /health/live')
    t.equal((await client.answer()).status, 200, 'the connection is kept')
  })

  await t.test('a form whose connection ends early is not counted', async t => {
    const { app, clock, armed, cancelled } = await startWithObservedDeadline(t)
    const client = await RawClient.connect(t, app)
    const isArmed = armed()
    const isCancelled = cancelled()
    client.head('POST /health/live', form)
    client.write('_method=')
    await isArmed
    client.destroy()
    await isCancelled
    clock.advance(DEADLINE)
    t.notMatch((await get(app, '/metrics')).text, /method="POST"/)
  })

  await t.test('it ends at its Content-Length', async t => {
    const app = await startApp(t, { database })
    const client = await RawClient.connect(t, app)
    client.head('POST /health/live', { ...form, 'content-length': 13 })
    client.write('_method=DELET')
    t.match((await client.answer()).body, /The POST method is not supported/)
    client.write('E')
    t.equal((await client.answer()).status, 400, 'the rest is not a valid request')
    await client.closed
  })

  await t.test('it is not read for a method if X-HTTP-Method-Override is sent', async t => {
    const app = await startApp(t, { database })
    const named = await RawClient.connect(t, app)
    named.head('POST /health/live', { ...form, 'x-http-method-override': 'PUT' })
    t.match((await named.answer()).body, /The PUT method is not supported/)
  })

  await t.test('in chunks it is 413 beyond 64 KiB before its end, and the connection is closed', async t => {
    const app = await startApp(t, { database })
    for (const url of ['/unknown', '/api/playlist', '/admin/login']) {
      const client = await RawClient.connect(t, app)
      client.head(`POST ${url}`, { 'content-type': FORM, 'transfer-encoding': 'chunked' })
      client.write(`10001\r\n${'x'.repeat(0x10001)}\r\n`)
      const answer = await client.answer()
      t.equal(answer.status, 413, url)
      t.equal(answer.headers.connection, 'close', url)
      await client.closed
    }
  })
})
