import { createServer } from 'node:http'
import t, { type Test } from 'tap'
import { UNAUTHENTICATED } from '../../fixtures/answers.ts'
import { type Answer, get, send, startApp, type TestApp } from '../../support/app.ts'
import { createDatabase } from '../../support/databases.ts'

const database = await createDatabase(t, 'postgres')
t.teardown(() => database.close())

const TOKEN = 'sixteen-or-more-characters'
const PRODUCTION = {
  APP_ENV: 'production',
  APP_URL: 'https://api.example.org',
  TRUSTED_PROXIES: 'loopback',
}

const startServer = (t: Test, environment: Record<string, string>) => startApp(t, { database, environment })

/** An answer without its request id, and with its path replaced by `/unknown`. */
function comparable({ status, text, headers }: Answer, path: string) {
  const { 'x-request-id': _, 'content-length': length, ...rest } = headers
  const extra = path.length - '/unknown'.length
  const body = text.replaceAll(path.slice(1), 'unknown')
  return { status, body, length: length === undefined ? undefined : Number(length) - extra, headers: rest }
}

t.test('without METRICS_TOKEN and METRICS_PORT /metrics is 404', async t => {
  await t.test('in production its response equals the one for an unknown path', async t => {
    const app = await startServer(t, PRODUCTION)
    const headers = { host: 'api.example.org' }
    for (const method of ['GET', 'HEAD', 'POST', 'OPTIONS', 'DELETE']) {
      const answer = await send(app, method, '/metrics', { headers })
      const unknown = await send(app, method, '/unknown', { headers })
      t.equal(answer.status, 404, method)
      t.strictSame(comparable(answer, '/metrics'), comparable(unknown, '/unknown'))
    }
    t.equal((await get(app, '/metrics', undefined, { host: 'localhost' })).status, 400)
    const { paths } = (await get(app, '/openapi.json', undefined, headers)).json
    t.notOk('/metrics' in paths)
  })

  await t.test('under APP_ENV=local only loopback requests with a local Host get metrics', async t => {
    const app = await startServer(t, { TRUSTED_PROXIES: 'loopback' })
    const hasMetrics = async (headers: Record<string, string>, remoteAddress = '127.0.0.1') => {
      const answer = await send(app, 'GET', '/metrics', { headers, remoteAddress })
      t.ok([200, 404].includes(answer.status))
      return answer.status === 200
    }
    for (const host of ['localhost', 'localhost:8000', '127.0.0.1:8000', '[::1]:8000']) {
      t.ok(await hasMetrics({ host }), host)
      t.ok(await hasMetrics({ host }, '::1'), host)
      t.ok(await hasMetrics({ host }, '::ffff:127.0.0.1'), host)
      t.notOk(await hasMetrics({ host }, '198.51.100.7'), host)
      t.notOk(await hasMetrics({ host }, '10.0.0.1'), host)
    }
    for (const host of [
      'evil.test',
      'localhost.evil.test',
      '127.0.0.1.nip.io',
      '0.0.0.0',
      'a@localhost',
      'localhost:x',
    ]) {
      t.notOk(await hasMetrics({ host }), host)
    }
    for (const name of [
      'X-Forwarded-For',
      'X-Forwarded-Host',
      'X-Forwarded-IP',
      'Forwarded',
      'X-Real-IP',
      'Via',
    ]) {
      t.notOk(await hasMetrics({ host: 'localhost', [name]: '127.0.0.1' }), name)
    }
    const hidden = await send(app, 'GET', '/metrics', { remoteAddress: '198.51.100.7' })
    const unknown = await send(app, 'GET', '/unknown', { remoteAddress: '198.51.100.7' })
    t.strictSame(comparable(hidden, '/metrics'), comparable(unknown, '/unknown'))
  })
})

t.test('METRICS_TOKEN is required as a bearer token', async t => {
  for (const environment of [{}, PRODUCTION]) {
    const app = await startServer(t, { ...environment, METRICS_TOKEN: TOKEN })
    const requestMetrics = (authorization?: string) =>
      send(app, 'GET', '/metrics', { headers: { ...(authorization && { authorization }) } })
    for (const authorization of [`Bearer ${TOKEN}`, `bearer  ${TOKEN} `]) {
      const valid = await requestMetrics(authorization)
      t.equal(valid.status, 200, authorization)
      t.match(valid.headers['content-type'], /^text\/plain; version=/)
      t.match(valid.text, 'authentications_total')
    }
    for (const authorization of [
      undefined,
      'Bearer',
      'Bearer ',
      `Bearer ${TOKEN}x`,
      `Bearer ${TOKEN.slice(1)}`,
      `Bearer ${TOKEN.toUpperCase()}`,
      `Basic ${TOKEN}`,
      TOKEN,
      `Bearer ${TOKEN} x`,
      `Bearer ${'x'.repeat(5_000)}`,
    ]) {
      const invalid = await requestMetrics(authorization)
      t.equal(invalid.status, 401, String(authorization))
      t.strictSame(invalid.json, UNAUTHENTICATED)
      t.equal(invalid.headers['www-authenticate'], 'Bearer')
    }
  }
})

t.test('METRICS_PORT', async t => {
  /** Starts a server on both ports; `request` sends to the port of the metrics. */
  const startOnMetricsPort = async (environment: Record<string, string>) => {
    const app: TestApp = await startServer(t, { METRICS_PORT: '0', HOST: '127.0.0.1', ...environment })
    await app.listenForMetrics()
    const line = app.logged.map(({ msg }) => String(msg)).find(msg => msg.startsWith('Metrics at '))
    const base = line?.replace('Metrics at ', '').replace('/metrics', '')
    const request = (path: string, init?: RequestInit) => fetch(`${base}${path}`, init)
    return { app, request }
  }

  await t.test('METRICS_PORT serves only metrics, and PORT serves none', async t => {
    const { app, request } = await startOnMetricsPort({})
    const answer = await request('/metrics')
    t.equal(answer.status, 200)
    t.match(answer.headers.get('content-type'), /^text\/plain; version=/)
    t.equal(answer.headers.get('x-content-type-options'), 'nosniff')
    t.match(await answer.text(), 'authentications_total')
    t.equal((await request('/metrics?x=1', { method: 'HEAD' })).status, 200)
    for (const [method, path] of [
      ['POST', '/metrics'],
      ['GET', '/metrics/'],
      ['GET', '/'],
      ['GET', '/api/me'],
      ['GET', '/health/live'],
    ] as const) {
      const missing = await request(path, { method })
      t.equal(missing.status, 404, `${method} ${path}`)
      t.match(await missing.json(), { message: /^The route .* could not be found\.$/ })
    }
    for (const url of ['/metrics', '/metrics/']) t.equal((await get(app, url)).status, 404)
  })

  await t.test('METRICS_PORT requires METRICS_TOKEN if it is set', async t => {
    const { app, request } = await startOnMetricsPort({ METRICS_TOKEN: TOKEN })
    const headers = { authorization: `Bearer ${TOKEN}` }
    t.equal((await request('/metrics')).status, 401)
    t.equal((await request('/metrics', { headers })).status, 200)
    t.equal((await send(app, 'GET', '/metrics', { headers })).status, 404)
  })

  await t.test('requests to METRICS_PORT count towards the limit of the address', async t => {
    const { request } = await startOnMetricsPort({ METRICS_TOKEN: TOKEN, RATE_LIMIT_ANONYMOUS: '1' })
    const statuses: number[] = []
    for (let n = 0; n <= 20; n += 1) statuses.push((await request('/metrics')).status)
    t.strictSame(statuses, [...Array(20).fill(401), 429])
  })

  await t.test('METRICS_PORT is closed with the server', async t => {
    const { app, request } = await startOnMetricsPort({})
    t.equal((await request('/metrics')).status, 200)
    await app.close()
    await t.rejects(request('/metrics'))
  })

  await t.test('a METRICS_PORT in use is an error', async t => {
    const other = createServer()
    await new Promise<void>(resolve => other.listen(0, '127.0.0.1', resolve))
    t.teardown(() => other.close())
    const { port } = other.address() as { port: number }
    const app = await startServer(t, { METRICS_PORT: String(port), HOST: '127.0.0.1' })
    await t.rejects(app.listenForMetrics(), { code: 'EADDRINUSE' })
  })
})

t.test('request durations are counted by route, unknown paths under one route', async t => {
  const app = await startApp(t, { database })
  for (const url of ['/api/me', '/api/me', '/unknown/1', '/unknown/2']) await get(app, url)
  const { text, headers } = await get(app, '/metrics')
  t.match(headers['content-type'], /^text\/plain/)
  t.match(text, 'http_request_duration_seconds_count{method="GET",route="/api/me",status="401"} 2')
  t.match(
    text,
    'http_request_duration_seconds_count{method="GET",route="none",status="404"} 2',
    'unknown paths share a route',
  )
})
