import { createServer } from 'node:http'
import t, { type Test } from 'tap'
import { type Answer, get, send, startApp, type TestApp } from '../support/app.ts'
import { createDatabase } from '../support/databases.ts'

const database = await createDatabase(t, 'postgres')
t.teardown(() => database.close())

const TOKEN = 'sixteen-or-more-characters'
const PRODUCTION = {
  APP_ENV: 'production',
  APP_URL: 'https://api.example.org',
  TRUSTED_PROXIES: 'loopback',
}

const start = (t: Test, environment: Record<string, string>) => startApp(t, { database, environment })

/** An answer without what differs between any two, and with its path as `/unknown`. */
function comparable({ status, text, headers }: Answer, path: string) {
  const { 'x-request-id': _, 'content-length': length, ...rest } = headers
  const extra = path.length - '/unknown'.length
  const body = text.replaceAll(path.slice(1), 'unknown')
  return { status, body, length: length === undefined ? undefined : Number(length) - extra, headers: rest }
}

t.test('without METRICS_TOKEN and METRICS_PORT there are no metrics', async t => {
  await t.test('in production: the path is as unknown as any', async t => {
    const app = await start(t, PRODUCTION)
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

  await t.test('except for the machine itself, where APP_ENV is local', async t => {
    const app = await start(t, { TRUSTED_PROXIES: 'loopback' })
    const seen = async (headers: Record<string, string>, remoteAddress = '127.0.0.1') => {
      const answer = await send(app, 'GET', '/metrics', { headers, remoteAddress })
      t.ok([200, 404].includes(answer.status))
      return answer.status === 200
    }
    for (const host of ['localhost', 'localhost:8000', '127.0.0.1:8000', '[::1]:8000']) {
      t.ok(await seen({ host }), host)
      t.ok(await seen({ host }, '::1'), host)
      t.ok(await seen({ host }, '::ffff:127.0.0.1'), host)
      t.notOk(await seen({ host }, '198.51.100.7'), host)
      t.notOk(await seen({ host }, '10.0.0.1'), host)
    }
    for (const host of [
      'evil.test',
      'localhost.evil.test',
      '127.0.0.1.nip.io',
      '0.0.0.0',
      'a@localhost',
      'localhost:x',
    ]) {
      t.notOk(await seen({ host }), host)
    }
    for (const name of [
      'X-Forwarded-For',
      'X-Forwarded-Host',
      'X-Forwarded-IP',
      'Forwarded',
      'X-Real-IP',
      'Via',
    ]) {
      t.notOk(await seen({ host: 'localhost', [name]: '127.0.0.1' }), name)
    }
    const hidden = await send(app, 'GET', '/metrics', { remoteAddress: '198.51.100.7' })
    const unknown = await send(app, 'GET', '/unknown', { remoteAddress: '198.51.100.7' })
    t.strictSame(comparable(hidden, '/metrics'), comparable(unknown, '/unknown'))
  })
})

t.test('METRICS_TOKEN', async t => {
  for (const environment of [{}, PRODUCTION]) {
    const app = await start(t, { ...environment, METRICS_TOKEN: TOKEN })
    const ask = (authorization?: string) =>
      send(app, 'GET', '/metrics', { headers: { ...(authorization && { authorization }) } })
    for (const authorization of [`Bearer ${TOKEN}`, `bearer  ${TOKEN} `]) {
      const right = await ask(authorization)
      t.equal(right.status, 200, authorization)
      t.match(right.headers['content-type'], /^text\/plain; version=/)
      t.match(right.text, 'authentications_total')
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
      const wrong = await ask(authorization)
      t.equal(wrong.status, 401, String(authorization))
      t.strictSame(wrong.json, { message: 'Unauthenticated.' })
      t.equal(wrong.headers['www-authenticate'], 'Bearer')
    }
  }
})

t.test('METRICS_PORT', async t => {
  /** A server that listens on both ports, and a function that asks the one of the metrics. */
  const listening = async (environment: Record<string, string>) => {
    const app: TestApp = await start(t, { METRICS_PORT: '0', HOST: '127.0.0.1', ...environment })
    await app.listenForMetrics()
    const line = app.logged.map(({ msg }) => String(msg)).find(msg => msg.startsWith('Metrics at '))
    const base = line?.replace('Metrics at ', '').replace('/metrics', '')
    const ask = (path: string, init?: RequestInit) => fetch(`${base}${path}`, init)
    return { app, ask }
  }

  await t.test('has the metrics and nothing else, and PORT has none', async t => {
    const { app, ask } = await listening({})
    const answer = await ask('/metrics')
    t.equal(answer.status, 200)
    t.match(answer.headers.get('content-type'), /^text\/plain; version=/)
    t.equal(answer.headers.get('x-content-type-options'), 'nosniff')
    t.match(await answer.text(), 'authentications_total')
    t.equal((await ask('/metrics?x=1', { method: 'HEAD' })).status, 200)
    for (const [method, path] of [
      ['POST', '/metrics'],
      ['GET', '/metrics/'],
      ['GET', '/'],
      ['GET', '/api/me'],
      ['GET', '/health/live'],
    ] as const) {
      const missing = await ask(path, { method })
      t.equal(missing.status, 404, `${method} ${path}`)
      t.match(await missing.json(), { message: /^The route .* could not be found\.$/ })
    }
    for (const url of ['/metrics', '/metrics/']) t.equal((await get(app, url)).status, 404)
  })

  await t.test('takes METRICS_TOKEN as well, and PORT does not', async t => {
    const { app, ask } = await listening({ METRICS_TOKEN: TOKEN })
    const headers = { authorization: `Bearer ${TOKEN}` }
    t.equal((await ask('/metrics')).status, 401)
    t.equal((await ask('/metrics', { headers })).status, 200)
    t.equal((await send(app, 'GET', '/metrics', { headers })).status, 404)
  })

  await t.test('counts for the ceiling of the address', async t => {
    const { ask } = await listening({ METRICS_TOKEN: TOKEN, RATE_LIMIT_ANONYMOUS: '1' })
    const statuses: number[] = []
    for (let n = 0; n <= 20; n += 1) statuses.push((await ask('/metrics')).status)
    t.strictSame(statuses, [...Array(20).fill(401), 429])
  })

  await t.test('is closed with the server', async t => {
    const { app, ask } = await listening({})
    t.equal((await ask('/metrics')).status, 200)
    await app.close()
    await t.rejects(ask('/metrics'))
  })

  await t.test('that is taken is an error', async t => {
    const other = createServer()
    await new Promise<void>(resolve => other.listen(0, '127.0.0.1', resolve))
    t.teardown(() => other.close())
    const { port } = other.address() as { port: number }
    const app = await start(t, { METRICS_PORT: String(port), HOST: '127.0.0.1' })
    await t.rejects(app.listenForMetrics(), { code: 'EADDRINUSE' })
  })
})
