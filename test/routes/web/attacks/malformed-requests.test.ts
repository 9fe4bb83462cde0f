import { randomBytes } from 'node:crypto'
import { gzipSync } from 'node:zlib'
import t from 'tap'
import { mintSessionId } from '#src/auth/session.ts'
import { databaseOver } from '#src/database/connect.ts'
import { postgresConnections } from '#src/database/postgres.ts'
import { UNAUTHENTICATED } from '../../../fixtures/answers.ts'
import { sessionUserId, startWithUser } from '../../../fixtures/attacks.ts'
import { SPA, TestBrowser } from '../../../fixtures/browser.ts'
import { aNotification } from '../../../fixtures/lists.ts'
import { type Json, operationsOf, resolvePart } from '../../../fixtures/openapi.ts'
import { sendRaw } from '../../../fixtures/raw-requests.ts'
import { UNLIMITED } from '../../../fixtures/settings.ts'
import { aMember, PASSWORD } from '../../../fixtures/users.ts'
import { ODD_VALUES } from '../../../fixtures/values.ts'
import { get, startApp } from '../../../support/app.ts'
import { createDatabase } from '../../../support/databases.ts'

const database = await createDatabase(t, 'postgres')
t.teardown(() => database.close())

t.test('__proto__ and constructor are plain field names', async t => {
  const { app, browser } = await startWithUser(t, database, { environment: UNLIMITED })
  const json = { 'content-type': 'application/json' }
  const form = { 'content-type': 'application/x-www-form-urlencoded' }
  await browser.post('/logout')
  for (const payload of [
    '{"__proto__":{"email":"a","password":"b"}}',
    '{"constructor":{"prototype":{"email":"a"}},"email":"a","password":"b"}',
    '{"email":{"__proto__":{"x":1}},"password":"b"}',
  ]) {
    t.match((await browser.send('POST', '/login', { headers: json, payload })).status, /^(400|422)$/)
  }
  for (const payload of [
    '__proto__[email]=a',
    'constructor[prototype][email]=a',
    'email[__proto__]=a&password=b',
    '__proto__=1&email=a&password=b',
  ]) {
    t.match((await browser.send('POST', '/login', { headers: form, payload })).status, /^422$/, payload)
  }
  t.equal(({} as { email?: string }).email, undefined)
  const cookie = `__proto__=1; constructor=2; animethemes_session=${browser.sessionId}`
  t.equal((await get(app, '/api/me', undefined, { referer: `${SPA}/`, cookie })).status, 401)
})

t.test('values of a wrong type return 422', async t => {
  const { browser } = await startWithUser(t, database, { environment: UNLIMITED })
  await browser.post('/logout')
  const headers = { 'content-type': 'application/x-www-form-urlencoded' }
  for (const payload of [
    'email[]=a&password=b',
    'email=a&password[]=b',
    'email[a][b]=c&password[d]=e',
    'email=a&password=b&remember[]=1',
    '_token[]=x&email=a&password=b',
  ]) {
    database.queries.length = 0
    t.equal((await browser.send('POST', '/login', { headers, payload })).status, 422, payload)
    t.notOk(
      database.queries.some(({ parameters }) =>
        parameters.some(value => typeof value === 'object' && value !== null && !Array.isArray(value)),
      ),
    )
  }
  for (const remember of [{}, [], 1, true, 'on', 'x', null]) {
    t.equal((await browser.post('/login', { email: 'a', password: 'b', remember })).status, 422)
  }
  t.equal((await browser.post('/user/confirm-password', { password: [] })).status, 401)
})

t.test('no field of any body causes a 500, whatever its type', async t => {
  const { app, browser } = await startWithUser(t, database, { environment: UNLIMITED })
  const document: Json = await app.specification.document()
  const schemaOf = ({ requestBody }: Json) =>
    resolvePart(document, resolvePart(document, requestBody)?.content['application/json'].schema)
  let sent = 0
  for (const { path, method, operation } of operationsOf(document)) {
    for (const name of Object.keys(schemaOf(operation)?.properties ?? {})) {
      for (const value of ODD_VALUES) {
        const url = path.replace(/\{\w+\}/g, '1')
        const answer = await browser.send(method.toUpperCase(), url, { payload: { [name]: value } })
        t.ok(
          answer.status < 500,
          `${method} ${url} ${name} ${JSON.stringify(value).slice(0, 20)}: ${answer.status}`,
        )
        sent += 1
      }
    }
  }
  t.ok(sent > 300, `${sent} bodies were sent`)
})

t.test('oversized and deeply nested input is refused', async t => {
  const { app, browser } = await startWithUser(t, database, { environment: UNLIMITED })
  await browser.post('/logout')
  const status = async (payload: string | object, headers: Record<string, string> = {}) =>
    (await browser.send('POST', '/login', { payload, headers })).status
  t.equal(await status({ email: `a@${'a.'.repeat(30_000)}`, password: 'x' }), 422)
  t.equal(await status({ email: 'a', password: 'x'.repeat(65_536) }), 413)
  t.equal(
    await status({ email: 'a', password: 'x'.repeat(65_000) }),
    422,
    'a password of 65,000 bytes is not hashed',
  )
  const json = { 'content-type': 'application/json' }
  t.equal(await status(`{"email":${'['.repeat(30_000)}${']'.repeat(30_000)}}`, json), 400)
  t.equal(await status(`${'{"a":'.repeat(10_000)}1${'}'.repeat(10_000)}`, json), 400)
  t.equal(
    await status(gzipSync('x'.repeat(1_000_000)).toString('latin1'), { ...json, 'content-encoding': 'gzip' }),
    400,
  )
  const form = { 'content-type': 'application/x-www-form-urlencoded' }
  t.equal(await status(Array.from({ length: 200 }, (_, n) => `a${n}=1`).join('&'), form), 400)
  const referer = `https://${'a.'.repeat(7000)}localhost:3000`
  t.equal((await get(app, '/api/me', undefined, { referer })).status, 401)
  const cookie = Array.from({ length: 2500 }, (_, n) => `${n}=`).join(';')
  t.equal((await get(app, '/api/me', undefined, { referer: `${SPA}/`, cookie })).status, 401)

  const oversized = await sendRaw(
    app,
    `GET /api/me HTTP/1.1\r\nHost: a\r\nCookie: ${'a=b; '.repeat(10_000)}\r\n\r\n`,
  )
  t.match(oversized, /^HTTP\/1.1 431 /)
  t.match(oversized, /clear the cookies of this site/, 'the page tells the user to clear the cookies')
})

t.test('slow clients are disconnected', async t => {
  const app = await startApp(t, { database })
  t.equal(app.server.requestTimeout, 30_000)
  t.ok(app.server.headersTimeout > 0 && app.server.headersTimeout <= 60_000)
  t.ok(app.server.keepAliveTimeout > 0)
})

t.test('ambiguous HTTP framing is refused, so that no request can be smuggled', async t => {
  const { app, user, browser } = await startWithUser(t, database)
  const head = `POST /logout HTTP/1.1\r\nHost: a\r\nCookie: animethemes_session=${browser.sessionId}\r\n`
  for (const [name, rest] of [
    ['a folded line', 'X-A: a\r\n b\r\n\r\n'],
    ['a bare line feed', 'X-A: a\nX-XSRF-TOKEN: x\r\n\r\n'],
    ['chunked twice', 'Transfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n'],
    ['a misspelled chunked', 'Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n'],
    ['a length and chunks', 'Content-Length: 6\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nG'],
    ['chunks and a length', 'Transfer-Encoding: chunked\r\nContent-Length: 6\r\n\r\n0\r\n\r\nG'],
    ['two lengths', 'Content-Length: 0\r\nContent-Length: 5\r\n\r\nGET /'],
    ['two lengths in one', 'Content-Length: 0, 5\r\n\r\nGET /'],
    ['a length with a sign', 'Content-Length: +1\r\n\r\nx'],
    ['a space before the colon', 'Content-Length : 5\r\n\r\nGET /'],
    ['a chunk without its end', 'Transfer-Encoding: chunked\r\n\r\n1\r\nxx0\r\n\r\n'],
  ] as const) {
    // A smuggled second request would have an answer of its own.
    const answers = await sendRaw(app, `${head}${rest}GET /health/live HTTP/1.1\r\nHost: a\r\n\r\n`)
    t.match(answers, /^HTTP\/1.1 4\d\d /, name)
    t.equal(answers.match(/HTTP\/1\.1 /g)?.length, 1, `${name}: the connection is closed`)
  }
  t.equal(await sessionUserId(browser), user.id)
})

t.test('headers of an untrusted client do not choose its address', async t => {
  const limited = await startApp(t, { database, environment: { RATE_LIMIT_ANONYMOUS: '2' } })
  const statuses: number[] = []
  for (const name of [
    'x_forwarded_for',
    'x-forwarded-for',
    'forwarded',
    'x-real-ip',
    'x-forwarded-ip',
    'x-client-ip',
  ]) {
    statuses.push(
      (await get(limited, '/api/me', undefined, { [name]: `203.0.113.${statuses.length}` })).status,
    )
  }
  t.strictSame(statuses, [401, 401, 429, 429, 429, 429], 'all requests count for one address')
})

t.test('a notification of another user cannot be marked as read', async t => {
  const { browser, user } = await startWithUser(t, database)
  const other = await aMember(database)
  const [mine, theirs] = [await aNotification(database, user.id), await aNotification(database, other.id)]
  const isRead = async (id: string) =>
    (
      await database.kysely
        .selectFrom('notifications')
        .select('read_at')
        .where('id', '=', id)
        .executeTakeFirstOrThrow()
    ).read_at !== null
  t.equal((await browser.send('PUT', `/api/me/notification/${theirs}/read`)).status, 403)
  t.equal((await browser.send('PUT', '/api/me/notification/readall')).status, 200)
  t.strictSame([await isRead(mine), await isRead(theirs)], [true, false])
})

t.test('unexpected fields of a login are ignored', async t => {
  const app = await startApp(t, { database })
  const user = await aMember(database)
  const before = await database.kysely
    .selectFrom('users')
    .selectAll()
    .where('id', '=', user.id)
    .executeTakeFirst()
  const browser = new TestBrowser(app)
  await browser.get('/sanctum/csrf-cookie')
  const answer = await browser.post('/login', {
    email: user.email,
    password: PASSWORD,
    id: 1,
    user_id: 1,
    roles: ['Admin'],
    email_verified_at: null,
    two_factor_secret: 'x',
  })
  t.equal(answer.status, 200)
  t.equal(await sessionUserId(browser), user.id)
  t.strictSame(
    await database.kysely.selectFrom('users').selectAll().where('id', '=', user.id).executeTakeFirst(),
    before,
  )
})

t.test('unusual spellings of a path bypass neither CSRF protection nor authentication', async t => {
  const { app, browser, user } = await startWithUser(t, database)
  const attempt = { email: user.email, password: PASSWORD }
  const guest = new TestBrowser(app)
  for (const [path, status] of [
    ['/login/', 419],
    ['/%6Cogin', 419],
    ['/login?x', 419],
    ['/login?_method=GET', 419],
    ['//login', 404],
    ['/LOGIN', 404],
    ['/login;x', 404],
    ['/login%2f', 404],
    ['/login%00', 404],
    ['/api/login', 404],
    ['/sanctum/login', 404],
  ] as const) {
    const answer = await guest.bare('POST', path, { payload: attempt })
    t.equal(answer.status, status, path)
  }
  for (const path of ['/./login', '/x/../login', 'http://a/login', '*', 'login']) {
    const head = `POST ${path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: 0\r\n\r\n`
    t.match(await sendRaw(app, head), /^HTTP\/1.1 4(00|04|05|19) /, path)
  }
  for (const path of ['//api/me', '/API/me', '/api//me', '/api/me;x', '/api/%6de/', '/api/me/']) {
    const answer = await browser.get(path)
    t.ok(answer.status === 404 || answer.json.user.id === user.id, path)
    const anonymous = await get(app, path)
    t.ok([401, 404].includes(anonymous.status), path)
  }
})

t.test('without the database requests are 503 and cookies are kept', async t => {
  const gone = databaseOver(
    Object.assign(
      postgresConnections('postgres://127.0.0.1:1/gone', () => {}),
      { open: async () => {} },
    ),
  )
  t.teardown(() => gone.close())
  const app = await startApp(t, { database: gone })
  const browser = new TestBrowser(app)
  t.equal((await browser.get('/sanctum/csrf-cookie')).status, 503)
  const anonymous = await browser.get('/api/me')
  t.equal(anonymous.status, 401, 'a request without a session is 401')
  t.strictSame(anonymous.json, UNAUTHENTICATED)
  t.strictSame(anonymous.setCookies, [])
  const id = mintSessionId(randomBytes)
  browser.cookies.set('animethemes_session', id.reveal())
  browser.cookies.set('XSRF-TOKEN', id.csrfToken())
  t.equal((await browser.get('/api/me')).status, 503, 'a request with a session is 503')
  t.equal((await browser.post('/logout')).status, 503)
  t.equal(browser.sessionId, id.reveal())
})
