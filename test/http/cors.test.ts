import type { FastifyInstance } from 'fastify'
import t from 'tap'
import { type Answer, get, send, startApp } from '../support/app.ts'
import { createDatabase } from '../support/databases.ts'

const database = await createDatabase(t, 'postgres')
t.teardown(() => database.close())

t.test('CORS', async t => {
  const app = await startApp(t, {
    database,
    environment: {
      APP_URL: 'https://api.example.org',
      SANCTUM_STATEFUL_DOMAINS: 'http://localhost:3000,*.example.org',
      CORS_ALLOWED_ORIGINS: 'https://partner.test',
    },
  })
  const openApp = await startApp(t, {
    database,
    environment: { SANCTUM_STATEFUL_DOMAINS: 'localhost:3000', CORS_ALLOWED_ORIGINS: '*' },
  })
  const corsOf = ({ headers }: Answer) =>
    Object.fromEntries(Object.entries(headers).filter(([name]) => /^access-control-|^vary$/.test(name)))
  const EXPOSED =
    'X-RateLimit-Limit, X-RateLimit-Remaining, X-RateLimit-Reset, Retry-After, X-Retry-After, X-Request-Id, X-Revoked-Tokens'
  const sendPreflight = (server: FastifyInstance, origin: string, url = '/api/me') =>
    send(server, 'OPTIONS', url, {
      headers: {
        origin,
        'access-control-request-method': 'PUT',
        'access-control-request-headers': 'x-xsrf-token,content-type',
      },
    })

  await t.test('first parties and CORS_ALLOWED_ORIGINS may read responses with cookies', async t => {
    for (const origin of [
      'http://localhost:3000',
      'https://a.example.org',
      'https://partner.test',
      'https://api.example.org',
    ]) {
      for (const url of ['/api/me', '/api/unknown', '/sanctum/csrf-cookie', '/login', '/openapi.json']) {
        t.strictSame(
          corsOf(await get(app, url, undefined, { origin })),
          {
            vary: url === '/openapi.json' ? 'Origin, Accept-Encoding' : 'Origin',
            'access-control-allow-origin': origin,
            'access-control-allow-credentials': 'true',
            'access-control-expose-headers': EXPOSED,
          },
          `${origin} ${url}`,
        )
      }
    }
  })

  await t.test('other origins get no CORS headers', async t => {
    for (const origin of [
      'https://evil.test',
      'null',
      'http://localhost:30000',
      'https://localhost:3000.evil.test',
      'https://evilexample.org',
      'https://a.example.org.evil.test',
      'https://A.example.org',
      'http://api.example.org.',
      'https://partner.test.evil.test',
      'http://partner.test',
      'https://partner.test:8443',
      'https://evil.test/.example.org',
      '*',
      '',
    ]) {
      t.strictSame(corsOf(await get(app, '/api/me', undefined, { origin })), { vary: 'Origin' }, origin)
      const { status } = await sendPreflight(app, origin)
      t.equal(status, 204)
      const allowed = Object.keys((await sendPreflight(app, origin)).headers).filter(name =>
        /^access-control/.test(name),
      )
      t.strictSame(allowed, [], `preflight: ${origin}`)
    }
    t.strictSame(corsOf(await get(app, '/api/me')), { vary: 'Origin' }, 'Vary: Origin is always sent')
  })

  await t.test('a preflight is answered on every path, without rate limit or cookies', async t => {
    for (const url of ['/api/me', '/login', '/api/unknown']) {
      const answer = await sendPreflight(app, 'http://localhost:3000', url)
      t.equal(answer.status, 204, url)
      t.equal(answer.text, '')
      t.strictSame(corsOf(answer), {
        vary: 'Origin, Access-Control-Request-Method, Access-Control-Request-Headers',
        'access-control-allow-origin': 'http://localhost:3000',
        'access-control-allow-credentials': 'true',
        'access-control-allow-methods': 'GET, HEAD, POST, PUT, PATCH, DELETE',
        'access-control-allow-headers': 'x-xsrf-token,content-type',
        'access-control-max-age': '600',
      })
      t.strictSame(answer.setCookies, [])
      t.notOk('x-ratelimit-limit' in answer.headers)
    }
    const plain = await send(app, 'OPTIONS', '/api/me', { headers: { origin: 'http://localhost:3000' } })
    t.equal(plain.status, 200, 'OPTIONS without Access-Control-Request-Method is not a preflight')
    t.equal(plain.headers.allow, 'GET, HEAD')
  })

  await t.test('CORS_ALLOWED_ORIGINS=* allows other origins without cookies', async t => {
    t.strictSame(corsOf(await get(openApp, '/api/me', undefined, { origin: 'https://evil.test' })), {
      vary: 'Origin',
      'access-control-allow-origin': '*',
      'access-control-expose-headers': EXPOSED,
    })
    t.notOk('access-control-allow-credentials' in (await sendPreflight(openApp, 'https://evil.test')).headers)
    t.match(await get(openApp, '/api/me', undefined, { origin: 'http://localhost:3000' }), {
      headers: { 'access-control-allow-credentials': 'true' },
    })
  })

  await t.test('error responses have CORS headers', async t => {
    const limited = await startApp(t, { database, environment: { RATE_LIMIT_ANONYMOUS: '2' } })
    const headers = { origin: 'http://localhost:3000' }
    for (const [method, url, status] of [
      ['POST', '/login', 419],
      ['GET', '/api/me', 401],
      ['GET', '/api/me', 429],
      ['POST', '/openapi.json', 405],
      ['GET', '/unknown', 404],
    ] as const) {
      const answer = await send(limited, method, url, { headers })
      t.equal(answer.status, status)
      t.equal(answer.headers['access-control-allow-origin'], headers.origin, String(status))
    }
  })
})
