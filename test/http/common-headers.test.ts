import type { AddressInfo } from 'node:net'
import { connect } from 'node:net'
import t, { type Test } from 'tap'
import { aUser } from '../fixtures/users.ts'
import { startApp, type TestApp } from '../support/app.ts'
import { createDatabase } from '../support/databases.ts'

const database = await createDatabase(t, 'postgres')
t.teardown(() => database.close())

/** The headers of each response, unless it has its own of the same name. */
const COMMON = {
  'cache-control': 'no-store, private',
  'content-security-policy': "default-src 'none'; frame-ancestors 'none'",
  'cross-origin-opener-policy': 'same-origin',
  'cross-origin-resource-policy': 'same-origin',
  'referrer-policy': 'no-referrer',
  'x-content-type-options': 'nosniff',
  'x-download-options': 'noopen',
  'x-frame-options': 'DENY',
  'x-permitted-cross-domain-policies': 'none',
  'x-xss-protection': '0',
  vary: 'Origin',
}

/** Sends bytes, and returns all header lines of the response by name. */
async function headersOf(t: Test, app: TestApp, bytes: string): Promise<Map<string, string[]>> {
  if (!app.server.listening) await app.listen({ host: '127.0.0.1', port: 0 })
  const socket = connect((app.server.address() as AddressInfo).port, '127.0.0.1')
  t.teardown(() => socket.destroy())
  socket.write(bytes)
  let text = ''
  for await (const chunk of socket) {
    text += chunk
    if (text.includes('\r\n\r\n')) break
  }
  const headers = new Map<string, string[]>()
  for (const line of text.slice(0, text.indexOf('\r\n\r\n')).split('\r\n').slice(1)) {
    const name = line.slice(0, line.indexOf(':')).toLowerCase()
    headers.set(name, [...(headers.get(name) ?? []), line.slice(name.length + 2)])
  }
  return headers
}

// On connections, since the responses of app.inject() are of another class.
t.test('every response has each of the common headers exactly once', async t => {
  const app = await startApp(t, { database })
  const { token } = await aUser(database)
  const host = 'Host: localhost\r\n'
  const ids = new Set<string>()
  for (const [what, bytes, own = {}] of [
    ['200', `GET /api/me HTTP/1.1\r\n${host}Authorization: Bearer ${token}\r\n\r\n`],
    ['401', `GET /api/me HTTP/1.1\r\n${host}\r\n`],
    ['HEAD', `HEAD /api/me HTTP/1.1\r\n${host}\r\n`],
    ['404', `GET /api/nothing HTTP/1.1\r\n${host}\r\n`],
    ['405', `DELETE /api/me HTTP/1.1\r\n${host}\r\n`],
    ['422', `GET /api/me?include[]=1 HTTP/1.1\r\n${host}Authorization: Bearer ${token}\r\n\r\n`],
    ['an unreadable path', `GET /%zz HTTP/1.1\r\n${host}\r\n`],
    [
      'an unreadable body',
      `POST /login HTTP/1.1\r\n${host}Content-Length: 3\r\nContent-Type: application/json\r\n\r\n{{{`,
    ],
    ['two hosts', `GET /api/me HTTP/1.1\r\n${host}Host: other\r\n\r\n`],
    [
      'a preflight',
      `OPTIONS /api/me HTTP/1.1\r\n${host}Origin: http://localhost:3000\r\nAccess-Control-Request-Method: GET\r\n\r\n`,
      { vary: 'Origin, Access-Control-Request-Method, Access-Control-Request-Headers' },
    ],
    [
      'the document',
      `GET /openapi.json HTTP/1.1\r\n${host}\r\n`,
      { 'cache-control': 'no-cache', vary: 'Origin, Accept-Encoding' },
    ],
    [
      'a page',
      `GET /admin/login HTTP/1.1\r\n${host}\r\n`,
      {
        'content-security-policy':
          "default-src 'none'; style-src 'self'; script-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
        'referrer-policy': 'same-origin',
      },
    ],
    ['a stream', `GET /api/me/export HTTP/1.1\r\n${host}Authorization: Bearer ${token}\r\n\r\n`],
  ] as [string, string, Record<string, string>?][]) {
    const headers = await headersOf(t, app, bytes)
    for (const [name, value] of Object.entries({ ...COMMON, ...own })) {
      t.strictSame(headers.get(name), [value], `${what}: ${name}`)
    }
    const [id = '', ...more] = headers.get('x-request-id') ?? []
    t.match(id, /^[\da-f]{8}(-[\da-f]{4}){3}-[\da-f]{12}$/, what)
    t.strictSame(more, [])
    ids.add(id)
  }
  t.equal(ids.size, 13, 'each request has an id of its own')
})

t.test('responses over HTTPS have HSTS as well', async t => {
  const app = await startApp(t, { database, environment: { APP_URL: 'https://localhost' } })
  const headers = await headersOf(t, app, 'GET /health/live HTTP/1.1\r\nHost: localhost\r\n\r\n')
  t.equal(headers.get('strict-transport-security')?.length, 1)
})
