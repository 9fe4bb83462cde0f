import t from 'tap'
import { SPA } from '../fixtures/browser.ts'
import { get, startApp } from '../support/app.ts'
import { createDatabase } from '../support/databases.ts'
import { RawClient } from '../support/raw-client.ts'

const database = await createDatabase(t, 'postgres')
t.teardown(() => database.close())

const JSON_TYPE = { 'content-type': 'application/json' }

/** Requests that are refused before a route is reached, with the status that they get. */
const REFUSED: readonly [
  status: number,
  line: string,
  headers: Record<string, string | number>,
  body?: string,
][] = [
  [400, 'GET /%zz', {}],
  [400, 'POST /api/leaked-token', { ...JSON_TYPE, 'content-length': 1 }, '{'],
  [413, 'POST /api/leaked-token', { ...JSON_TYPE, 'content-length': 2_000_000 }],
  [
    413,
    'POST /login',
    { 'content-type': 'application/x-www-form-urlencoded', 'transfer-encoding': 'chunked' },
    `10001\r\n${'x'.repeat(0x10001)}\r\n`,
  ],
  [415, 'POST /api/leaked-token', { 'content-type': 'application/xml', 'content-length': 1 }, 'x'],
  [431, 'GET /api/me', { x: 'x'.repeat(20_000) }],
  [431, `GET /api/me?${'x'.repeat(20_000)}`, {}],
  [400, 'GET /api/me', { 'content length': 1 }],
  [404, 'GET /unknown', {}],
  [405, 'DELETE /login', {}],
  [401, 'GET /api/me', {}],
]

t.test('a page of a first party can read why its request was refused, whatever refused it', async t => {
  const app = await startApp(t, { database, environment: { LEAKED_TOKENS: 'on' } })
  for (const [status, line, headers, body] of REFUSED) {
    for (const [origin, reader] of [
      [SPA, SPA],
      ['https://evil.test', undefined],
    ] as const) {
      const client = await RawClient.connect(t, app)
      client.head(line, { host: 'localhost', origin, ...headers })
      if (body !== undefined) client.write(body)
      const answer = await client.answer()
      const name = `${status} ${line.slice(0, 40)} from ${origin}`
      t.equal(answer.status, status, name)
      t.equal(answer.headers['access-control-allow-origin'], reader, name)
      t.equal(answer.headers['access-control-allow-credentials'], reader && 'true', name)
      t.match(answer.headers.vary, /\bOrigin\b/, name)
      client.destroy()
    }
  }
})

t.test('with CORS_ALLOWED_ORIGINS=* others can read it without cookies', async t => {
  const app = await startApp(t, { database, environment: { CORS_ALLOWED_ORIGINS: '*' } })
  const client = await RawClient.connect(t, app)
  client.head('GET /api/me', { host: 'localhost', origin: 'https://any.test', x: 'x'.repeat(20_000) })
  const answer = await client.answer()
  t.equal(answer.status, 431)
  t.equal(answer.headers['access-control-allow-origin'], '*')
  t.equal(answer.headers['access-control-allow-credentials'], undefined)
  t.equal(
    (await get(app, '/%zz', undefined, { origin: 'https://any.test' })).headers[
      'access-control-allow-origin'
    ],
    '*',
  )
})

t.test('an Origin that is no header value is not sent back', async t => {
  const app = await startApp(t, { database, environment: { CORS_ALLOWED_ORIGINS: '*' } })
  for (const origin of ['http://localhost:3000\tx', 'http://localhost:3000\x00', 'x'.repeat(400)]) {
    const client = await RawClient.connect(t, app)
    client.write(`GET /api/me HTTP/1.1\r\nHost: a\r\nOrigin: ${origin}\r\nX: ${'x'.repeat(20_000)}\r\n\r\n`)
    const { headers } = await client.answer()
    t.notMatch(headers['access-control-allow-origin'] ?? '', /localhost|xxx/)
  }
})
