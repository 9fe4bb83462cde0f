import t from 'tap'
import { MINUTE } from '../fixtures/clock.ts'
import { aUser } from '../fixtures/users.ts'
import { get, send, startApp, TEST_KEY } from '../support/app.ts'
import { createDatabase } from '../support/databases.ts'
import { RawClient } from '../support/raw-client.ts'

const database = await createDatabase(t, 'postgres')
t.teardown(() => database.close())

const PRODUCTION = {
  APP_ENV: 'production',
  APP_KEY: TEST_KEY,
  APP_URL: 'https://api.example.org',
}

t.test('Host header', async t => {
  await t.test('in production an unknown host is 400, except for health checks', async t => {
    const app = await startApp(t, {
      database,
      environment: { ...PRODUCTION, APP_HOSTS: 'me.example.org, *.preview.example.org' },
    })
    const refusals = () => app.logged.filter(({ msg }) => /^request refused: its host/.test(String(msg)))
    for (const [host, status] of [
      ['api.example.org', 401],
      ['API.example.org:443', 401],
      ['me.example.org', 401],
      ['a.preview.example.org', 401],
      ['preview.example.org', 400],
      ['evil.example', 400],
      ['api.example.org.evil.example', 400],
      ['evilpreview.example.org', 400],
      ['', 400],
    ] as const) {
      const answer = await send(app, 'GET', '/api/me', { headers: { host } })
      t.equal(answer.status, status, host)
      if (status === 400) {
        t.strictSame(answer.json, { message: 'The host that the request names is not one of this server.' })
      }
    }
    t.match(refusals(), [
      {
        level: 40,
        host: 'preview.example.org',
        msg: 'request refused: its host is neither that of APP_URL (api.example.org) nor in APP_HOSTS (me.example.org,*.preview.example.org)',
      },
    ])
    t.equal(refusals().length, 1, 'refusals are logged once a minute')
    app.clock.advance(MINUTE)
    t.match(app.logged.at(-1), { count: 4, msg: /further requests were refused/ })
    app.clock.advance(MINUTE)
    await send(app, 'GET', '/api/me', { headers: { host: `${'x'.repeat(3000)}.example` } })
    t.equal(refusals().length, 2)
    t.equal(String(refusals()[1]?.host).length, 260, 'a long host is truncated in the log')
    const forged = { host: 'api.example.org', 'x-forwarded-host': 'evil.example' }
    t.equal(
      (await send(app, 'GET', '/api/me', { headers: forged })).status,
      401,
      'X-Forwarded-Host is ignored without a trusted proxy',
    )
    for (const url of ['/health/live', '/health/ready']) {
      t.equal((await send(app, 'GET', url, { headers: { host: '10.0.0.1:8000' } })).status, 200, url)
    }
    t.equal((await send(app, 'GET', '/unknown', { headers: { host: 'evil.example' } })).status, 400)
  })

  await t.test('outside production every host is accepted', async t => {
    const app = await startApp(t, { database })
    t.equal((await send(app, 'GET', '/api/me', { headers: { host: 'anything.test' } })).status, 401)
  })

  await t.test('two Host headers, or another host in the request target, are 400', async t => {
    for (const environment of [{}, PRODUCTION]) {
      const app = await startApp(t, { database, environment: { ...environment, APP_HOSTS: 'localhost' } })
      const client = await RawClient.connect(t, app)
      const statusOf = async (head: string) => {
        client.write(`${head}\r\n\r\n`)
        return (await client.answer()).status
      }
      for (const path of ['/api/me', '/health/live', '/unknown', '/api/playlist?page[size]=1']) {
        for (const hosts of [
          ['localhost', 'evil.test'],
          ['evil.test', 'localhost'],
          ['localhost', 'localhost'],
        ]) {
          const lines = hosts.map((host, i) => `${i ? 'hOST' : 'Host'}: ${host}`).join('\r\n')
          t.equal(await statusOf(`GET ${path} HTTP/1.1\r\n${lines}`), 400, `${path} ${hosts}`)
        }
        for (const target of [
          'http://evil.test',
          'https://evil.test',
          'http://localhost@evil.test',
          'http://user@localhost',
          'http://localhost:81',
          'http://',
          'HTTP://evil.test',
        ]) {
          t.equal(await statusOf(`GET ${target}${path} HTTP/1.1\r\nHost: localhost`), 400, target + path)
        }
      }
      t.equal(await statusOf('GET http://localhost/api/me HTTP/1.1\r\nHost: localhost'), 401)
      t.equal(await statusOf('GET http://LOCALHOST/health/live HTTP/1.1\r\nHost: localhost'), 200)
      t.equal(await statusOf('GET http://localhost?x=1 HTTP/1.1\r\nHost: localhost'), 302)
      const form = 'Content-Type: application/x-www-form-urlencoded\r\nContent-Length: 14'
      client.write(`POST http://evil.test/login HTTP/1.1\r\nHost: localhost\r\n${form}\r\n\r\n_method=DELETE`)
      t.equal((await client.answer()).status, 400)
    }
  })
})

t.test('HTTPS responses have Strict-Transport-Security', async t => {
  const https = await startApp(t, { database, environment: PRODUCTION })
  const answer = await send(https, 'GET', '/api/me', { headers: { host: 'api.example.org' } })
  t.equal(answer.headers['strict-transport-security'], 'max-age=31536000')
  for (const [settings, expected] of [
    [{ HSTS_MAX_AGE: '0' }, 'max-age=0'],
    [{ HSTS_MAX_AGE: '600', HSTS_INCLUDE_SUBDOMAINS: 'true' }, 'max-age=600; includeSubDomains'],
    [
      { HSTS_MAX_AGE: '63072000', HSTS_INCLUDE_SUBDOMAINS: 'true', HSTS_PRELOAD: 'true' },
      'max-age=63072000; includeSubDomains; preload',
    ],
  ] as const) {
    const app = await startApp(t, { database, environment: { ...PRODUCTION, ...settings } })
    const { headers } = await send(app, 'GET', '/api/me', { headers: { host: 'api.example.org' } })
    t.equal(headers['strict-transport-security'], expected)
  }
  const http = await startApp(t, { database })
  t.notOk('strict-transport-security' in (await get(http, '/api/me')).headers)
})

t.test('API_PATH=/ with AUTH_PATH=/auth, as for the website of AnimeThemes', async t => {
  const app = await startApp(t, {
    database,
    environment: { API_PATH: '/', AUTH_PATH: '/auth', RATE_LIMIT_ANONYMOUS: '3' },
  })
  const { token } = await aUser(database)
  const answer = await get(app, '/me', token)
  t.equal(answer.status, 200)
  t.ok('x-ratelimit-limit' in answer.headers)
  t.equal((await get(app, '/me')).status, 401)
  t.equal((await get(app, '/api/me')).status, 404)
  t.ok('x-ratelimit-limit' in (await get(app, '/unknown')).headers)
  t.equal((await get(app, '/unknown')).status, 429)
  for (const [url, status] of [
    ['/auth/unknown', 404],
    ['/auth', 404],
    ['/docs/', 200],
    ['/health/live', 200],
    ['/openapi.json', 200],
    ['/', 302],
  ] as const) {
    const other = await get(app, url)
    t.equal(other.status, status, url)
    t.notOk('x-ratelimit-limit' in other.headers, url)
  }
  t.ok('/me' in (await get(app, '/openapi.json')).json.paths)
})
