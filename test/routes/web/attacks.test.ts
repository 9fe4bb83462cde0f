import { randomBytes } from 'node:crypto'
import { connect } from 'node:net'
import { gzipSync } from 'node:zlib'
import type { FastifyInstance } from 'fastify'
import t, { type Test } from 'tap'
import { hashPassword } from '#src/auth/password.ts'
import { mintSessionId, passwordStamp, SessionId } from '#src/auth/session.ts'
import { databaseOver } from '#src/database/connect.ts'
import { postgresSource } from '#src/database/postgres.ts'
import { accountKey } from '#src/limits/attempt-limit.ts'
import { CSRF_MISMATCH } from '../../fixtures/answers.ts'
import { SPA, TestBrowser } from '../../fixtures/browser.ts'
import { MINUTE, testClock } from '../../fixtures/clock.ts'
import { aNotification } from '../../fixtures/lists.ts'
import { UNLIMITED } from '../../fixtures/settings.ts'
import { aToken, aUser } from '../../fixtures/users.ts'
import { ODD_VALUES } from '../../fixtures/values.ts'
import { get, send, startApp, type TestAppOptions } from '../../support/app.ts'
import { beforeStatement, createDatabase } from '../../support/databases.ts'

const PASSWORD = 'correct horse battery staple'
const EVIL = { origin: 'https://evil.test', referer: 'https://evil.test/' }

const database = await createDatabase(t, 'postgres')
t.teardown(() => database.close())

/** A server, and somebody who is logged in to it in a browser. */
async function victim(t: Test, options: Partial<TestAppOptions> = {}) {
  const app = await startApp(t, { database, ...options })
  const user = await aUser(database, { password: PASSWORD, roles: ['Verified'] })
  const browser = new TestBrowser(app)
  const answer = await browser.logIn({ email: user.email, password: PASSWORD })
  t.equal(answer.status, 200)
  return { app, user, browser }
}

/** Who is logged in to a browser, by its session; null for nobody. */
const whoIs = async (browser: TestBrowser, page: Record<string, string> = { referer: `${SPA}/` }) => {
  const probe = browser.clone()
  probe.page = page
  return ((await probe.get('/api/me')).json.user?.id ?? null) as number | null
}

t.test('1 session fixation', async t => {
  await t.test('the id changes at login and at logout, and the old one is nobody', async t => {
    const app = await startApp(t, { database })
    const user = await aUser(database, { password: PASSWORD })
    const browser = new TestBrowser(app)
    await browser.get('/sanctum/csrf-cookie')
    const attacker = browser.clone()
    await browser.post('/login', { email: user.email, password: PASSWORD })
    t.not(browser.sessionId, attacker.sessionId)
    t.equal(await whoIs(browser), user.id)
    t.equal(await whoIs(attacker), null)
    const stolen = browser.clone()
    await browser.post('/logout')
    t.not(browser.sessionId, stolen.sessionId)
    t.equal(await whoIs(stolen), null)
    t.equal(await whoIs(browser), null)
  })

  await t.test('an id that nobody was given is not taken on', async t => {
    const app = await startApp(t, { database })
    const user = await aUser(database, { password: PASSWORD })
    const chosen = mintSessionId(randomBytes)
    const browser = new TestBrowser(app)
    browser.cookies.set('animethemes_session', chosen.reveal())
    browser.cookies.set('XSRF-TOKEN', chosen.csrfToken())
    const answer = await browser.post('/login', { email: user.email, password: PASSWORD })
    t.equal(answer.status, 419, 'its token proves nothing')
    await browser.get('/sanctum/csrf-cookie')
    t.not(browser.sessionId, chosen.reveal())
    t.equal(
      await database.kysely
        .selectFrom('sessions')
        .where('id', '=', chosen.digest())
        .select('id')
        .executeTakeFirst(),
      undefined,
    )
  })
})

t.test('2 what is replayed after logout is worth nothing', async t => {
  const { browser } = await victim(t)
  const before = browser.clone()
  await browser.post('/logout')
  t.equal(await whoIs(before), null)
  const replayed = await before.post('/logout')
  t.equal(replayed.status, 419)
  t.strictSame(replayed.json, CSRF_MISMATCH)
})

t.test('3 a page of somebody else changes nothing', async t => {
  const { browser, user } = await victim(t)
  const unread = await aNotification(database, user.id)
  const pages: Record<string, string>[] = [
    EVIL,
    { origin: 'null' },
    { referer: 'https://evil.test/localhost:3000/' },
  ]
  for (const page of pages) {
    const evil = browser.clone()
    evil.page = { ...page, 'sec-fetch-site': 'cross-site' }
    const read = await evil.bare('PUT', `/api/me/notification/${unread}/read`)
    t.equal(read.status, 401, 'to the API its cookies mean nothing')
    t.strictSame(read.setCookies, [])
    const logout = await evil.bare('POST', '/logout')
    t.equal(logout.status, 419)
    t.strictSame(logout.json, CSRF_MISMATCH)
  }
  t.equal(await whoIs(browser), user.id)
  const row = await database.kysely
    .selectFrom('notifications')
    .select('read_at')
    .where('id', '=', unread)
    .executeTakeFirstOrThrow()
  t.equal(row.read_at, null)
})

t.test('4 nobody is logged in to, or out of, an account by a form elsewhere', async t => {
  const { app, browser, user } = await victim(t)
  const attacker = await aUser(database, { password: 'attacker' })
  const form = {
    headers: { 'content-type': 'application/x-www-form-urlencoded' },
    payload: `email=${attacker.email}&password=attacker`,
  }
  for (const from of [browser.clone(), new TestBrowser(app)]) {
    from.page = { ...EVIL, 'sec-fetch-site': 'cross-site' }
    const id = from.sessionId
    const answer = await from.bare('POST', '/login', form)
    t.equal(answer.status, 419)
    t.equal(from.sessionId, id)
    t.equal((await from.bare('POST', '/logout', { ...form, payload: '' })).status, 419)
    t.equal((await from.bare('POST', '/user/confirm-password', form)).status, 419)
  }
  t.equal(await whoIs(browser), user.id)
})

t.test('5 no type of content and no other method gets around the token', async t => {
  const { app, browser, user } = await victim(t)
  browser.page = { ...EVIL, 'sec-fetch-site': 'cross-site' }
  for (const type of [
    'text/plain',
    'application/json',
    'application/x-www-form-urlencoded',
    'multipart/form-data; boundary=x',
    'text/plain; charset=application/json',
    'application/csp-report',
    '',
  ]) {
    for (const payload of ['', '{}', '{"_method":"GET"}', '_method=GET', '--x--']) {
      const headers = { ...(type && { 'content-type': type }) }
      const answer = await browser.bare('POST', '/logout?_method=GET', { headers, payload })
      t.ok([400, 415, 419].includes(answer.status), `${type} ${payload}: ${answer.status}`)
    }
  }
  for (const name of ['x-http-method-override', 'x-method-override', 'x-http-method']) {
    t.equal((await browser.bare('POST', '/logout', { headers: { [name]: 'GET' } })).status, 419, name)
  }
  const base = await app.listen({ host: '127.0.0.1', port: 0 })
  for (const method of ['GET', 'HEAD', 'OPTIONS', 'TRACE', 'QUERY', 'PURGE', 'post', 'Post']) {
    const answer = await talk(
      base,
      `${method} /logout HTTP/1.1\r\nHost: a\r\nConnection: close\r\nX-HTTP-Method-Override: POST\r\n` +
        `Cookie: animethemes_session=${browser.sessionId}\r\nContent-Length: 0\r\n\r\n`,
    )
    t.match(answer, method === 'OPTIONS' ? /^HTTP\/1.1 200 / : /^HTTP\/1.1 40[045] /, method)
  }
  t.equal(await whoIs(browser), user.id)
})

t.test('5 every method that changes something needs the token, wherever it is', async t => {
  const METHODS = ['POST', 'PUT', 'PATCH', 'DELETE'] as const
  const routes = (app: FastifyInstance) => {
    for (const method of METHODS) {
      app.route({
        method,
        url: '/api/change',
        config: { isApi: true, access: { auth: 'required' } },
        handler: async () => ({}),
      })
    }
  }
  const { app, browser } = await victim(t, { routes })
  for (const method of METHODS) {
    t.equal((await browser.bare(method, '/api/change')).status, 419, method)
    t.equal((await browser.send(method, '/api/change')).status, 200, method)
  }
  const headers = { 'content-type': 'application/json' }
  const unread = await new TestBrowser(app).bare('POST', '/login', { headers, payload: '{' })
  t.equal(unread.status, 419, 'without a session no body is read')
  const none = await browser.bare('POST', '/logout', { headers: { 'content-type': 'image/png' } })
  t.equal(none.status, 419, 'and none is waited for where there is none')
  const base = await app.listen({ host: '127.0.0.1', port: 0 })
  const body = `_token=${browser.cookies.get('XSRF-TOKEN')}`
  const chunked = await talk(
    base,
    `POST /api/change HTTP/1.1\r\nHost: a\r\nConnection: close\r\nReferer: ${SPA}/\r\n` +
      `Cookie: animethemes_session=${browser.sessionId}\r\nContent-Type: application/x-www-form-urlencoded\r\n` +
      `Transfer-Encoding: chunked\r\n\r\n${body.length.toString(16)}\r\n${body}\r\n0\r\n\r\n`,
  )
  t.match(chunked, /^HTTP\/1.1 200 /, 'a body in chunks has one as well')
})

t.test('6 a token belongs to one session', async t => {
  const { app, browser } = await victim(t)
  const other = new TestBrowser(app)
  await other.get('/sanctum/csrf-cookie')
  const theirs = other.cookies.get('XSRF-TOKEN') ?? ''
  const mine = browser.cookies.get('XSRF-TOKEN') ?? ''
  browser.cookies.set('XSRF-TOKEN', theirs)
  t.strictSame((await browser.send('PUT', '/api/me/notification/readall')).json, CSRF_MISMATCH)
  for (const [headers, status] of [
    [{ 'x-xsrf-token': theirs }, 419],
    [{ 'x-csrf-token': theirs }, 419],
    [{ 'x-xsrf-token': '' }, 419],
    [{ 'x-csrf-token': theirs, 'x-xsrf-token': mine }, 419],
    [{ 'x-xsrf-token': `${mine}, ${mine}` }, 419],
    [{ 'x-xsrf-token': browser.sessionId }, 419],
    [{ 'x-xsrf-token': mine.toLowerCase() }, 419],
    [{ 'x-xsrf-token': '\u00e9'.repeat(43) }, 419],
    [{ 'x-xsrf-token': mine }, 200],
    [{ 'x-csrf-token': mine }, 200],
    [{ 'x-csrf-token': '', 'x-xsrf-token': mine }, 200],
  ] as const) {
    const answer = await browser.bare('PUT', '/api/me/notification/readall', { headers })
    t.equal(answer.status, status, JSON.stringify(headers))
  }
  for (const [payload, status] of [
    [{ _token: mine }, 200],
    [{ _token: theirs }, 419],
    [{ _token: [mine] }, 419],
    [{ _token: { 0: mine } }, 419],
    [{ _token: null }, 419],
    [{ _token: true }, 419],
    [{}, 419],
    [[mine], 419],
  ] as const) {
    const answer = await browser.bare('PUT', '/api/me/notification/readall', { payload })
    t.equal(answer.status, status, JSON.stringify(payload))
  }
  const shadowed = await browser.bare('PUT', '/api/me/notification/readall', {
    headers: { 'x-xsrf-token': theirs },
    payload: { _token: mine },
  })
  t.equal(shadowed.status, 419, 'a header that is there is the one that counts')
  t.equal(
    (await browser.bare('PUT', `/api/me/notification/readall?_token=${mine}`)).status,
    419,
    'and an address keeps no secrets',
  )
  browser.cookies.set('XSRF-TOKEN', mine)
  await browser.post('/logout')
  t.equal(
    (await browser.bare('POST', '/login', { headers: { 'x-xsrf-token': mine } })).status,
    419,
    "nor is it the next session's",
  )
})

t.test('a token in the body is looked at before who may call', async t => {
  const app = await startApp(t, { database, environment: { RATE_LIMIT_ANONYMOUS: '4' } })
  const browser = new TestBrowser(app)
  await browser.get('/sanctum/csrf-cookie')
  const token = browser.cookies.get('XSRF-TOKEN') ?? ''
  const put = (payload: object) => browser.bare('PUT', '/api/me/notification/readall', { payload })
  const wrong = await put({ _token: 'x' })
  t.equal(wrong.status, 419, 'an anonymous change is 419 and not 401')
  t.equal(wrong.headers['x-ratelimit-remaining'], '2', 'and counts')
  const right = await put({ _token: token })
  t.equal(right.status, 401)
  t.equal(right.headers['x-ratelimit-remaining'], '1')
  await put({ _token: token })
  t.equal((await put({ _token: token })).status, 429)
})

t.test('what the browser says of the page', async t => {
  const { browser, user } = await victim(t)
  const put = (site: string) =>
    browser.bare('PUT', '/api/me/notification/readall', { headers: { 'sec-fetch-site': site } })
  t.equal((await put('same-origin')).status, 200)
  for (const site of [
    'same-site',
    'cross-site',
    'none',
    'SAME-ORIGIN',
    ' same-origin x',
    'same-origin, same-origin',
    '',
  ]) {
    t.equal((await put(site)).status, 419, site)
  }

  const strict = await startApp(t, { database, environment: { CSRF_MODE: 'origin-only' } })
  const other = new TestBrowser(strict)
  const cookies = await other.get('/sanctum/csrf-cookie')
  t.equal(cookies.setCookies.length, 1, 'without tokens there is no cookie for one')
  const login = (headers: Record<string, string>) =>
    other.bare('POST', '/login', { headers, payload: { email: user.email, password: PASSWORD } })
  const token = new SessionId(other.sessionId).csrfToken()
  for (const headers of [
    {},
    { 'sec-fetch-site': 'same-site' },
    { 'sec-fetch-site': 'cross-site' },
    { 'x-xsrf-token': token },
  ]) {
    const refused = await login(headers as Record<string, string>)
    t.equal(refused.status, 403, JSON.stringify(headers))
    t.strictSame(refused.json, { message: 'Origin mismatch.' })
  }
  t.equal((await login({ 'sec-fetch-site': 'same-origin' })).status, 200)
})

t.test('7, 8 a page that merely looks like ours', async t => {
  const { app, browser } = await victim(t, {
    environment: { SANCTUM_STATEFUL_DOMAINS: '*.example.com,example.com,localhost:3000,https://spa.test' },
  })
  for (const referer of [
    'https://evil.com/.example.com/',
    'https://example.com.evil.com',
    'https://example.com@evil.com',
    'https://EXAMPLE.COM/',
    'https://example.com./',
    'https://\u0435xample.com/',
    'https://evil.com/\r\n.example.com/',
    'null',
    'http://spa.test/',
  ]) {
    // Node sends no such bytes and receives none: whatever else reaches us does so as latin1.
    const bytes = Buffer.from(referer)
      .toString('latin1')
      .replace(/[\r\n]/g, '')
    t.equal(await whoIs(browser, { referer: bytes }), null, referer)
  }
  t.ok(await whoIs(browser, { referer: 'https://spa.test/' }))

  const base = await app.listen({ host: '127.0.0.1', port: 0 })
  const twice = (first: string, second: string) =>
    talk(
      base,
      `GET /api/me HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nReferer: ${first}\r\nReferer: ${second}\r\n` +
        `Cookie: animethemes_session=${browser.sessionId}\r\n\r\n`,
    )
  t.match(await twice(`${SPA}/`, 'https://evil.com/'), /^HTTP\/1.1 401 /, 'two Referer headers')
  t.match(await twice('https://evil.com/', `${SPA}/`), /^HTTP\/1.1 401 /)
})

t.test('9 a cookie that a neighbour of the domain has set as well', async t => {
  const { app, user, browser } = await victim(t)
  const attacker = await aUser(database, { password: 'attacker' })
  const theirs = new TestBrowser(app)
  await theirs.logIn({ email: attacker.email, password: 'attacker' })
  const ask = async (...ids: string[]) => {
    const cookie = ids.map(id => `animethemes_session=${id}`).join('; ')
    return (await get(app, '/api/me', undefined, { referer: `${SPA}/`, cookie })).json.user?.id ?? null
  }
  t.equal(await ask(browser.sessionId), user.id)
  t.equal(await ask(theirs.sessionId, browser.sessionId), null, 'nobody can tell which is meant')
  t.equal(await ask(browser.sessionId, theirs.sessionId), null)
  t.equal(await ask('eyJpdiI6', browser.sessionId), user.id, 'but what no session of ours has is none')
  t.equal(await ask(browser.sessionId, 'x', ''), user.id)
  t.equal(await ask(browser.sessionId, browser.sessionId), user.id)
  const attempt = await send(app, 'PUT', '/api/me/notification/readall', {
    headers: {
      referer: `${SPA}/`,
      cookie: `animethemes_session=${theirs.sessionId}; animethemes_session=${browser.sessionId}; XSRF-TOKEN=${theirs.cookies.get('XSRF-TOKEN')}`,
      'x-xsrf-token': theirs.cookies.get('XSRF-TOKEN') ?? '',
    },
  })
  t.equal(attempt.status, 419)
  for (const url of ['/api/me', '/sanctum/csrf-cookie', '/user/confirmed-password-status', '/admin/login']) {
    const cookie = [browser, theirs].map(({ sessionId }) => `animethemes_session=${sessionId}`).join('; ')
    const answer = await get(app, url, undefined, { referer: `${SPA}/`, cookie })
    t.strictSame(answer.setCookies, [], `${url} overwrites neither`)
  }
})

t.test('10 over HTTPS the cookie is for this host alone', async t => {
  const environment = {
    APP_URL: 'https://api.example.org',
    SANCTUM_STATEFUL_DOMAINS: 'http://localhost:3000',
  }
  const { app, user, browser } = await victim(t, { environment })
  const { setCookies } = await browser.get('/api/me')
  t.match(
    setCookies[1],
    /^__Host-animethemes_session=[\w-]{43}; Max-Age=7200; Path=\/; Expires=[^;]+; HttpOnly; Secure; SameSite=Lax$/,
  )
  t.match(setCookies[0], /^XSRF-TOKEN=[\w-]{43}; Max-Age=7200; Path=\/; Expires=[^;]+; Secure; SameSite=Lax$/)
  const plain = await get(app, '/api/me', undefined, {
    referer: `${SPA}/`,
    cookie: `animethemes_session=${browser.sessionId}`,
  })
  t.equal(plain.status, 401, 'under its plain name, which a subdomain could set, it is not read')
  t.equal(await whoIs(browser), user.id)

  const shared = await victim(t, {
    environment: {
      ...environment,
      SESSION_DOMAIN: '.example.org',
      SESSION_SAME_SITE: 'none',
      SESSION_PARTITIONED_COOKIE: 'true',
      SESSION_COOKIE: 's',
    },
  })
  t.match(
    (await shared.browser.get('/api/me')).setCookies[1],
    /^s=[\w-]{43}; Max-Age=7200; Domain=\.example\.org; Path=\/; Expires=[^;]+; HttpOnly; Secure; Partitioned; SameSite=None$/,
  )
})

t.test('13 a remember cookie that anybody could write is none', async t => {
  const app = await startApp(t, { database })
  const user = await aUser(database, { password: PASSWORD })
  const token = 'x'.repeat(60)
  await database.kysely
    .updateTable('users')
    .set({ remember_token: token })
    .where('id', '=', user.id)
    .execute()
  const name = 'remember_web_59ba36addc2b2f9401580f014c7f58ea4e30989d'
  for (const value of [
    `${user.id}|${token}|x`,
    encodeURIComponent(`${user.id}|${token}|x`),
    `s:66:"${user.id}|${token}|x";`,
  ]) {
    for (const page of [{ referer: `${SPA}/` }, {}]) {
      const answer = await get(app, '/api/me', undefined, { ...page, cookie: `${name}=${value}` } as Record<
        string,
        string
      >)
      t.equal(answer.status, 401)
    }
  }
})

t.test('15 secrets are looked up by digest, and compared by it', async t => {
  const { queries } = database
  const { browser } = await victim(t)
  queries.length = 0
  await browser.get('/api/me')
  t.notOk(JSON.stringify(queries).includes(browser.sessionId), 'the id itself never reaches the database')
})

t.test('18 what stands in the address opens nothing', async t => {
  const { app, user, browser } = await victim(t)
  for (const name of ['token', 'access_token', 'api_token', 'animethemes_session', 'session', '_token']) {
    for (const value of [user.token, browser.sessionId]) {
      const query = `${name}=${encodeURIComponent(value)}`
      const answer = await get(app, `/sanctum/csrf-cookie?${query}`, undefined, { referer: `${SPA}/` })
      t.not(answer.setCookies.join().includes(browser.sessionId), true)
      t.equal(
        (await get(app, `/api/me?${query}`, undefined, { referer: `${SPA}/` })).status === 200,
        false,
        name,
      )
    }
  }
  const lines = JSON.stringify(app.logged)
  t.notOk(lines.includes(browser.sessionId))
  t.notOk(lines.includes(user.token))
})

t.test('19 a login does not tell whether there is an account', async t => {
  const app = await startApp(t, { database, environment: UNLIMITED })
  const user = await aUser(database, { password: PASSWORD })
  const factor = await aUser(database, { password: PASSWORD })
  await database.kysely
    .updateTable('users')
    .set({ two_factor_confirmed_at: '2026-01-01 00:00:00' })
    .where('id', '=', factor.id)
    .execute()
  const browser = new TestBrowser(app)
  await browser.get('/sanctum/csrf-cookie')
  await browser.post('/login', { email: 'somebody@example.org', password: 'wrong' })
  const seen = new Set<string>()
  for (const email of [user.email, factor.email, 'nobody@example.org', `${user.email}\0`, 'x']) {
    database.statements.length = 0
    const { status, text, headers } = await browser.post('/login', { email, password: 'wrong' })
    const kept = Object.fromEntries(
      Object.entries(headers).filter(
        ([name]) => !/^(set-cookie|x-request-id|date|x-ratelimit-remaining)$/.test(name),
      ),
    )
    // No account can have such an address, and none is looked for.
    const statements = database.statements.length + Number(email.includes('\0'))
    seen.add(JSON.stringify({ status, text, kept, statements }))
  }
  t.equal(seen.size, 1, [...seen].join('\n'))
})

t.test('19 a password that is replaced while it is hashed anew opens nothing', async t => {
  const app = await startApp(t, { database, environment: { HASH_ROUNDS: '5' } })
  const user = await aUser(database, { password: PASSWORD })
  const browser = new TestBrowser(app)
  await browser.get('/sanctum/csrf-cookie')
  const another = await hashPassword('Another-1', 5)
  const replaced = beforeStatement(t, database, /with rehashed as/, other =>
    other.query('update users set password = $1 where id = $2', [another, user.id]),
  )
  const answer = await browser.post('/login', { email: user.email, password: PASSWORD })
  t.equal(replaced(), true)
  t.equal(answer.status, 422)
  t.equal(await whoIs(browser), null)
})

t.test('40 what ends waits for the token that it is giving', async t => {
  const { app, browser, user } = await victim(t)
  await browser.post('/user/confirm-password', { password: PASSWORD })
  const parent = await aToken(database, user.id)
  const bearer = { headers: { authorization: `Bearer ${parent.token}` }, payload: { name: 'x' } }
  for (const [table, id, issue] of [
    [
      'sessions',
      new SessionId(browser.sessionId).digest(),
      () => browser.post('/api/me/token', { name: 'x' }),
    ],
    ['personal_access_tokens', parent.tokenId, () => send(app, 'POST', '/api/me/token', bearer)],
  ] as const) {
    const ends: unknown[] = []
    const came = beforeStatement(t, database, /^insert into "personal_access_tokens"/, async other => {
      const ending = other.query(`select from ${table} where id = $1 for update nowait`, [id])
      ends.push(
        await ending.then(
          () => 'at once',
          ({ cause }) => cause.code,
        ),
      )
    })
    t.equal((await issue()).status, 201, table)
    t.equal(came(), true)
    t.strictSame(ends, ['55P03'], 'a lock is not available')
  }
})

t.test('14 a remembered browser is known while its user changes the password', async t => {
  const { app, browser, user } = await victim(t)
  await browser.post('/logout')
  await browser.post('/login', { email: user.email, password: PASSWORD, remember: true })
  const later = browser.clone()
  later.cookies.delete('animethemes_session')
  const hash = await hashPassword('Another-1', 4)
  const holder = await database.source.acquire()
  t.teardown(() => holder.release())
  await holder.query('begin', [])
  await holder.query('update users set password = $1 where id = $2', [hash, user.id])
  await holder.query('update remembered_devices set password = $1 where user_id = $2', [
    passwordStamp(hash),
    user.id,
  ])
  const answer = later.get('/api/me')
  const isWaiting = async () => {
    const { rows } = await holder.query('select count(*)::int as n from pg_locks where not granted', [])
    return Number(rows[0]?.n) > 0
  }
  while (!(await isWaiting())) await new Promise(setImmediate)
  await holder.query('commit', [])
  t.equal((await answer).json.user?.id, user.id)
  t.ok(app.logged.every(({ msg }) => msg !== 'device stolen'))
})

t.test('22 guessing a password', async t => {
  const login = async (app: FastifyInstance, email: string, { password = 'wrong', address = '' } = {}) => {
    const browser = new TestBrowser(app)
    const from = { headers: { ...(address && { 'x-forwarded-for': address }) } }
    await browser.get('/sanctum/csrf-cookie', from)
    return browser.post('/login', { email, password }, from)
  }
  const behindProxy = { TRUSTED_PROXIES: '127.0.0.1' }

  await t.test('ends after five a minute for an account, right ones included', async t => {
    const clock = testClock()
    const app = await startApp(t, { database, clock })
    const user = await aUser(database, { password: PASSWORD })
    const statuses: number[] = []
    for (const password of ['a', PASSWORD, 'b', PASSWORD, 'c', PASSWORD]) {
      statuses.push((await login(app, user.email, { password })).status)
    }
    t.strictSame(statuses, [422, 200, 422, 200, 422, 429])
    const refused = await login(app, user.email, { password: PASSWORD })
    t.strictSame(refused.json, { message: 'Too Many Attempts.' })
    t.match(refused.headers, { 'x-ratelimit-limit': '5', 'x-ratelimit-remaining': '0', 'retry-after': '60' })
    t.ok(refused.headers['x-ratelimit-reset'])
    clock.advance(MINUTE)
    const again = await login(app, user.email, { password: PASSWORD })
    t.equal(again.status, 200)
    t.match(again.headers, { 'x-ratelimit-limit': '5', 'x-ratelimit-remaining': '4' })
  })

  await t.test('of one account under names that look alike is guessing one', async t => {
    const same = [
      'test1043@laravel.com',
      'TEST1043@laravel.com',
      ' test1043@laravel.com ',
      'test⑩⓸③@ⓛⓐⓡⓐⓥⓔⓛ.ⓒⓞⓜ',
      'ＴＥＳＴ１０４３@laravel.com',
      'tést1043@laravel.com',
      'tеst1043@laravel.com',
      'te\u200bst1043@laravel.com',
    ]
    t.equal(new Set(same.map(accountKey)).size, 1)
    t.equal(accountKey('\u2800a@example.org'), accountKey('a@example.org'), 'white space of any kind')
    t.not(accountKey('test1044@laravel.com'), accountKey('test1043@laravel.com'))
    t.equal(accountKey('a@Example.org.'), accountKey('A@example.org'))
    t.equal(accountKey('a@bücher.example'), accountKey('a@xn--bcher-kva.example'))
    t.equal(accountKey('ⓣⓔⓢⓣ@ⓛⓐⓡⓐⓥⓔⓛ.ⓒⓞⓜ'), accountKey('ⓉⒺⓈⓉ@ⓁⒶⓇⒶⓋⒺⓁ.ⒸⓄⓂ'))
    const app = await startApp(t, { database })
    const statuses: number[] = []
    for (const email of same) statuses.push((await login(app, email)).status)
    t.strictSame(statuses, [422, 422, 422, 422, 422, 429, 429, 429])
  })

  await t.test('of many accounts ends after twenty a minute for an address', async t => {
    const app = await startApp(t, { database })
    const statuses: number[] = []
    for (let n = 0; n < 22; n += 1) {
      statuses.push((await login(app, `user${n}@example.org`, { address: `203.0.113.${n}` })).status)
    }
    t.strictSame(statuses, [...Array(20).fill(422), 429, 429], 'which no header chooses')

    const other = await startApp(t, { database, environment: { LOGIN_RATE_LIMIT: '2' } })
    const left: string[] = []
    for (let n = 0; n < 8; n += 1) {
      left.push((await login(other, `user${n}@example.org`)).headers['x-ratelimit-remaining'] ?? '')
    }
    t.strictSame(left, ['1', '1', '1', '1', '1', '1', '1', '0'], 'and of both limits the nearer one is told')
  })

  await t.test('from one network of IPv6 is guessing from one address', async t => {
    const app = await startApp(t, { database, environment: { ...behindProxy, LOGIN_FAILURE_LIMIT: '8' } })
    const user = await aUser(database, { password: PASSWORD })
    const home = (n: number) => ({ password: PASSWORD, address: `2001:db8:7:1::${n}` })
    t.equal((await login(app, user.email, home(1))).status, 200)
    const statuses: number[] = []
    for (let n = 1; n <= 6; n += 1) {
      statuses.push((await login(app, user.email, { address: `2001:db8:1:2::${n}` })).status)
    }
    t.strictSame(statuses, [422, 422, 422, 422, 422, 429])
    for (let n = 0; n < 3; n += 1) await login(app, user.email, { address: `203.0.113.${n}` })
    t.equal(
      (await login(app, user.email, home(2))).status,
      200,
      'where somebody was in, the network is known',
    )
    const stranger = { password: PASSWORD, address: '2001:db8:7:2::1' }
    t.equal((await login(app, user.email, stranger)).status, 429)
  })

  await t.test('of somebody else is not let through for having an account of one’s own', async t => {
    const app = await startApp(t, { database, environment: { ...behindProxy, LOGIN_FAILURE_LIMIT: '3' } })
    const [user, attacker] = [
      await aUser(database, { password: PASSWORD }),
      await aUser(database, { password: PASSWORD }),
    ]
    const from = { password: PASSWORD, address: '203.0.113.50' }
    t.equal((await login(app, attacker.email, from)).status, 200)
    for (let n = 0; n < 3; n += 1) await login(app, user.email, { address: `203.0.113.${n}` })
    t.equal((await login(app, user.email, from)).status, 429)
  })

  await t.test(
    'from many addresses ends after a hundred an hour, and shuts out nobody who was in before',
    async t => {
      const clock = testClock()
      const environment = { ...behindProxy, LOGIN_FAILURE_LIMIT: '6' }
      const app = await startApp(t, { database, clock, environment })
      const user = await aUser(database, { password: PASSWORD })
      const home = { password: PASSWORD, address: '198.51.100.7' }
      t.equal((await login(app, user.email, home)).status, 200)
      for (let n = 0; n < 6; n += 1) {
        t.equal((await login(app, user.email, { address: `203.0.113.${n}` })).status, 422)
      }
      database.statements.length = 0
      const shut = await login(app, user.email, { password: PASSWORD, address: '203.0.113.99' })
      t.equal(shut.status, 429, 'even for the right password')
      t.match(shut.headers, { 'x-ratelimit-limit': '6', 'retry-after': '3600' })
      t.equal((await login(app, user.email, home)).status, 200)
      t.equal((await login(app, user.email, { address: home.address })).status, 422)
      t.equal((await login(app, 'nobody@example.org', { address: '203.0.113.99' })).status, 422)
      t.equal((await login(app, user.email, { address: '198.51.100.8' })).status, 429)

      const restarted = await startApp(t, { database, clock, environment })
      for (let n = 0; n < 6; n += 1) await login(restarted, user.email, { address: `203.0.113.${n}` })
      t.equal((await login(restarted, user.email, home)).status, 200, 'as the database remembers')
      clock.advance(60 * MINUTE)
      t.equal((await login(app, user.email, { password: PASSWORD, address: '203.0.113.99' })).status, 200)
    },
  )

  await t.test('from outside keeps nobody who is logged in from entering the password', async t => {
    const app = await startApp(t, { database, environment: { ...behindProxy, LOGIN_FAILURE_LIMIT: '3' } })
    const user = await aUser(database, { password: PASSWORD })
    const browser = new TestBrowser(app)
    await browser.logIn({ email: user.email, password: PASSWORD })
    for (let n = 0; n < 3; n += 1) await login(app, user.email, { address: `203.0.113.${n}` })
    t.equal((await login(app, user.email, { password: PASSWORD, address: '203.0.113.99' })).status, 429)
    const elsewhere = { headers: { 'x-forwarded-for': '198.51.100.42' } }
    const confirm = (password: string, request = elsewhere) =>
      browser.post('/user/confirm-password', { password }, request)
    t.equal((await confirm(PASSWORD)).status, 201)
    for (let n = 0; n < 3; n += 1) {
      t.equal((await confirm('wrong', { headers: { 'x-forwarded-for': `198.51.100.${n}` } })).status, 422)
    }
    t.equal((await confirm(PASSWORD)).status, 429, 'whoever guesses inside is stopped there')
    t.equal((await login(app, user.email, { password: PASSWORD })).status, 200)
  })

  await t.test('of an account that does not exist ends likewise', async t => {
    const app = await startApp(t, { database, environment: { ...behindProxy, LOGIN_FAILURE_LIMIT: '3' } })
    const statuses: number[] = []
    for (let n = 0; n < 4; n += 1) {
      statuses.push((await login(app, 'ghost@example.org', { address: `203.0.113.${n}` })).status)
    }
    t.strictSame(statuses, [422, 422, 422, 429])
  })

  await t.test('two hundred times at once gets no further', async t => {
    const app = await startApp(t, { database, environment: { RATE_LIMIT_ANONYMOUS: '1000' } })
    const user = await aUser(database, { password: PASSWORD })
    const browser = new TestBrowser(app)
    await browser.get('/sanctum/csrf-cookie')
    const answers = await Promise.all(
      Array.from({ length: 200 }, (_, n) =>
        browser.clone().post('/login', { email: user.email, password: `guess ${n}` }),
      ),
    )
    t.equal(answers.filter(({ status }) => status === 422).length, 5)
    t.equal(answers.filter(({ status }) => status === 429).length, 195)
  })

  await t.test('and asking for cookies are both limited for an address', async t => {
    const app = await startApp(t, { database, environment: { RATE_LIMIT_ANONYMOUS: '3' } })
    const statuses: number[] = []
    for (let n = 0; n < 5; n += 1) statuses.push((await get(app, '/sanctum/csrf-cookie')).status)
    t.strictSame(statuses, [204, 204, 204, 429, 429])
  })
})

t.test('30 names that mean something to JavaScript', async t => {
  const { app, browser } = await victim(t, { environment: UNLIMITED })
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

t.test('31 values of another type', async t => {
  const { browser } = await victim(t, { environment: UNLIMITED })
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

t.test('31 no field of any body is an error of ours, whatever its type', async t => {
  const { app, browser } = await victim(t, { environment: UNLIMITED })
  const { paths } = app.swagger() as unknown as {
    paths: Record<
      string,
      Record<string, { requestBody?: { content: { 'application/json': { schema: object } } } }>
    >
  }
  let asked = 0
  for (const [path, operations] of Object.entries(paths)) {
    for (const [method, { requestBody }] of Object.entries(operations)) {
      const schema = requestBody?.content['application/json'].schema as { properties?: object } | undefined
      for (const name of Object.keys(schema?.properties ?? {})) {
        for (const value of ODD_VALUES) {
          const url = path.replace(/\{\w+\}/g, '1')
          const answer = await browser.send(method.toUpperCase(), url, { payload: { [name]: value } })
          t.ok(
            answer.status < 500,
            `${method} ${url} ${name} ${JSON.stringify(value).slice(0, 20)}: ${answer.status}`,
          )
          asked += 1
        }
      }
    }
  }
  t.ok(asked > 300, `${asked} bodies were sent`)
})

t.test('32, 34 what is too large, or too deep', async t => {
  const { app, browser } = await victim(t, { environment: UNLIMITED })
  await browser.post('/logout')
  const status = async (payload: string | object, headers: Record<string, string> = {}) =>
    (await browser.send('POST', '/login', { payload, headers })).status
  t.equal(await status({ email: `a@${'a.'.repeat(30_000)}`, password: 'x' }), 422)
  t.equal(await status({ email: 'a', password: 'x'.repeat(65_536) }), 413)
  t.equal(await status({ email: 'a', password: 'x'.repeat(65_000) }), 422, 'without being hashed')
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

  const base = await app.listen({ host: '127.0.0.1', port: 0 })
  const bomb = await talk(
    base,
    `GET /api/me HTTP/1.1\r\nHost: a\r\nCookie: ${'a=b; '.repeat(10_000)}\r\n\r\n`,
  )
  t.match(bomb, /^HTTP\/1.1 431 /)
  t.match(bomb, /clear the cookies of this site/, 'and what a person can do about it')
})

t.test('33 many logins at once leave the server answering', async t => {
  const { app } = await victim(t, { environment: { ...UNLIMITED, HASH_ROUNDS: '10' } })
  const browser = new TestBrowser(app)
  await browser.get('/sanctum/csrf-cookie')
  const ended: string[] = []
  const logins = Array.from({ length: 160 }, (_, n) =>
    browser.clone().post('/login', { email: `user${n}@example.org`, password: 'x' }),
  )
  const watched = Promise.all(
    logins.map(async login => {
      const { status } = await login
      ended.push(String(status))
    }),
  )
  t.equal((await get(app, '/health/live')).status, 200)
  t.ok(ended.length < 160, 'while they are under way')
  await watched
  t.ok(ended.includes('422'))
  t.strictSame(
    ended.filter(status => status !== '422' && status !== '503'),
    [],
    'those that would wait too long are told to come back',
  )
  t.ok(ended.includes('503'))
})

t.test('35 a client that takes its time is hung up on', async t => {
  const app = await startApp(t, { database })
  t.equal(app.server.requestTimeout, 30_000)
  t.ok(app.server.headersTimeout > 0 && app.server.headersTimeout <= 60_000)
  t.ok(app.server.keepAliveTimeout > 0)
})

t.test('36, 37 requests within requests, and headers under other names', async t => {
  const { app, user, browser } = await victim(t)
  const base = await app.listen({ host: '127.0.0.1', port: 0 })
  const head = `POST /logout HTTP/1.1\r\nHost: a\r\nCookie: animethemes_session=${browser.sessionId}\r\n`
  for (const [name, rest] of [
    ['a folded line', 'X-A: a\r\n b\r\n\r\n'],
    ['a bare line feed', 'X-A: a\nX-XSRF-TOKEN: x\r\n\r\n'],
    ['chunked twice', 'Transfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n'],
    ['what is almost chunked', 'Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n'],
    ['a length and chunks', 'Content-Length: 6\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nG'],
    ['chunks and a length', 'Transfer-Encoding: chunked\r\nContent-Length: 6\r\n\r\n0\r\n\r\nG'],
    ['two lengths', 'Content-Length: 0\r\nContent-Length: 5\r\n\r\nGET /'],
    ['two lengths in one', 'Content-Length: 0, 5\r\n\r\nGET /'],
    ['a length with a sign', 'Content-Length: +1\r\n\r\nx'],
    ['a space before the colon', 'Content-Length : 5\r\n\r\nGET /'],
    ['a chunk without its end', 'Transfer-Encoding: chunked\r\n\r\n1\r\nxx0\r\n\r\n'],
  ] as const) {
    // A second request that the first one hides would have an answer of its own.
    const answers = await talk(base, `${head}${rest}GET /health/live HTTP/1.1\r\nHost: a\r\n\r\n`)
    t.match(answers, /^HTTP\/1.1 4\d\d /, name)
    t.equal(answers.match(/HTTP\/1\.1 /g)?.length, 1, `${name} ends the connection`)
  }
  t.equal(await whoIs(browser), user.id)
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
  t.strictSame(statuses, [401, 401, 429, 429, 429, 429], 'no header chooses the address')
})

t.test('38 what belongs to somebody else', async t => {
  const { browser, user } = await victim(t)
  const other = await aUser(database, { password: PASSWORD })
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

t.test('39 a login takes nothing but what it asks for', async t => {
  const app = await startApp(t, { database })
  const user = await aUser(database, { password: PASSWORD })
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
  t.equal(await whoIs(browser), user.id)
  t.strictSame(
    await database.kysely.selectFrom('users').selectAll().where('id', '=', user.id).executeTakeFirst(),
    before,
  )
})

t.test('44, 46 what nobody else may see', async t => {
  const { app, user, browser } = await victim(t)
  await browser.post('/user/confirm-password', { password: 'a wrong password' })
  await browser.send('PUT', '/api/me/notification/readall', { headers: { 'x-xsrf-token': 'x' } })
  await browser.bare('POST', '/logout', {
    headers: { 'content-type': 'application/json' },
    payload: '{"password":',
  })
  for (const [method, url] of [
    ['GET', '/api/me'],
    ['GET', '/sanctum/csrf-cookie'],
    ['PUT', '/api/me/notification/readall'],
    ['GET', '/user/confirmed-password-status'],
  ] as const) {
    const { headers, setCookies } = await browser.send(method, url)
    t.equal(setCookies.length, 2)
    t.equal(headers['cache-control'], 'no-store, private', url)
  }
  app.log.warn(
    { headers: { cookie: browser.sessionId }, session: new SessionId(browser.sessionId) },
    'by accident',
  )
  const lines = JSON.stringify(app.logged)
  for (const secret of [
    browser.sessionId,
    browser.cookies.get('XSRF-TOKEN') ?? '?',
    PASSWORD,
    'a wrong password',
    user.token,
  ]) {
    t.notOk(lines.includes(secret), 'stands in no line of the log')
  }
  const sessions = JSON.stringify(await database.kysely.selectFrom('sessions').selectAll().execute())
  t.notOk(sessions.includes(browser.sessionId), '48 nor in the table')
  t.notOk(sessions.includes(browser.cookies.get('XSRF-TOKEN') ?? '?'))
})

t.test('49 a session that is over does not come back', async t => {
  let answer = () => {}
  const reached = new Promise<void>(resolve => {
    answer = resolve
  })
  let goOn = () => {}
  const held = new Promise<void>(resolve => {
    goOn = resolve
  })
  const routes = (app: FastifyInstance) => {
    app.get('/api/slow', { config: { isApi: true, access: { auth: 'required' } } }, async () => {
      answer()
      await held
      return {}
    })
  }
  const clock = testClock()
  const { app, browser } = await victim(t, { routes, clock })
  const before = browser.clone()
  clock.advance(2 * MINUTE)
  const slow = before.get('/api/slow')
  await reached
  await browser.post('/logout')
  goOn()
  const late = await slow
  t.equal(late.status, 200, 'a request that was under way ends as it began')
  t.strictSame(late.setCookies, [], 'and does not put its cookies in the place of the new ones')
  await app.activity.flush()
  t.equal(await whoIs(before), null)
  t.match(await rowOf(before), { user_id: null, ip_address: null, payload: /replaced_at/ })
})

/** What is stored of a browser's session. */
const rowOf = ({ sessionId }: TestBrowser) =>
  database.kysely
    .selectFrom('sessions')
    .selectAll()
    .where('id', '=', new SessionId(sessionId).digest())
    .executeTakeFirst()

t.test(
  '49 a request that crosses a login or a logout takes nothing from it, whichever server answers',
  async t => {
    const clock = testClock()
    const doors = new Map<string, () => void>()
    let arrive = () => {}
    const routes = (app: FastifyInstance) => {
      app.get<{ Querystring: { name: string } }>(
        '/api/slow',
        { config: { isApi: true, access: { auth: 'optional' } } },
        async ({ query }) => {
          await new Promise<void>(resolve => {
            doors.set(query.name, resolve)
            arrive()
          })
          return {}
        },
      )
    }
    const one = await startApp(t, { database, clock, environment: UNLIMITED })
    const other = await startApp(t, { database, clock, environment: UNLIMITED, routes })
    const user = await aUser(database, { password: PASSWORD })
    /** Begins a request on the other server, and returns how to have it answered. */
    const begin = async (browser: TestBrowser, name: string) => {
      const arrived = new Promise<void>(resolve => {
        arrive = resolve
      })
      const answer = browser.clone(other).get(`/api/slow?name=${name}`)
      await arrived
      return () => {
        doors.get(name)?.()
        return answer
      }
    }

    const browser = new TestBrowser(one)
    await browser.get('/sanctum/csrf-cookie')
    const before = browser.clone()
    const overLogin = await begin(browser, 'login')
    await browser.post('/login', { email: user.email, password: PASSWORD })
    for (const app of [one, other]) {
      const crossed = await before.clone(app).get('/api/me')
      t.equal(crossed.status, 401)
      t.strictSame(crossed.setCookies, [], 'what was sent before the answer came sets no session of nobody')
      t.strictSame((await before.clone(app).get('/admin/login')).setCookies, [], 'nor does a page')
    }
    clock.advance(101)
    t.strictSame((await overLogin()).setCookies, [], 'nor does what was answered long after')

    const quick = await begin(browser, 'quick')
    clock.advance(100)
    t.equal((await quick()).setCookies.length, 2, 'what nothing has crossed brings its cookies')
    const long = await begin(browser, 'long')
    clock.advance(MINUTE / 3)
    t.equal((await long()).setCookies.length, 2, 'however long it takes')

    const stale = browser.clone()
    const overLogout = await begin(browser, 'logout')
    await browser.post('/logout')
    clock.advance(101)
    t.strictSame((await overLogout()).setCookies, [])
    t.equal(await whoIs(stale), null)

    const asking = await stale.clone(other).get('/sanctum/csrf-cookie')
    t.equal(asking.setCookies.length, 2, 'whoever asks for a session gets one at once')
    t.strictSame((await stale.clone(other).get('/api/me')).setCookies, [])
    clock.advance(MINUTE)
    t.equal(
      (await stale.clone(other).get('/api/me')).setCookies.length,
      2,
      'and whoever does not, after a minute',
    )
  },
)

t.test('with SameSite=Strict a link elsewhere logs nobody out', async t => {
  const { app, browser, user } = await victim(t, { environment: { SESSION_SAME_SITE: 'strict' } })
  // The browser keeps the cookie to itself, since the way began elsewhere, and takes what the answer sets.
  const link = { 'sec-fetch-site': 'cross-site', 'sec-fetch-mode': 'navigate', referer: 'https://evil.test/' }
  for (const url of ['/user/confirmed-password-status', '/sanctum/csrf-cookie', '/admin/login', '/admin']) {
    t.strictSame((await get(app, url, undefined, link)).setCookies, [], url)
  }
  const page = await get(app, '/admin/login', undefined, link)
  t.match(page.text, /<meta http-equiv="refresh" content="0">/, 'a page asks for itself again, as its own')
  const again = await get(app, '/admin/login', undefined, { 'sec-fetch-site': 'same-origin' })
  t.equal(again.setCookies.length, 2)
  t.equal(await whoIs(browser), user.id)
  const lax = await startApp(t, { database })
  t.equal((await get(lax, '/sanctum/csrf-cookie', undefined, link)).setCookies.length, 2, 'only there')
})

t.test('52 other ways to write a path', async t => {
  const { app, browser, user } = await victim(t)
  const attempt = { email: user.email, password: PASSWORD }
  const outside = new TestBrowser(app)
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
    const answer = await outside.bare('POST', path, { payload: attempt })
    t.equal(answer.status, status, path)
  }
  const base = await app.listen({ host: '127.0.0.1', port: 0 })
  for (const path of ['/./login', '/x/../login', 'http://a/login', '*', 'login']) {
    const head = `POST ${path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: 0\r\n\r\n`
    t.match(await talk(base, head), /^HTTP\/1.1 4(00|04|05|19) /, path)
  }
  for (const path of ['//api/me', '/API/me', '/api//me', '/api/me;x', '/api/%6de/', '/api/me/']) {
    const answer = await browser.get(path)
    t.ok(answer.status === 404 || answer.json.user.id === user.id, path)
    const anonymous = await get(app, path)
    t.ok([401, 404].includes(anonymous.status), path)
  }
})

t.test('a database that is gone', async t => {
  const gone = databaseOver(
    Object.assign(
      postgresSource('postgres://127.0.0.1:1/gone', () => {}),
      { open: async () => {} },
    ),
  )
  t.teardown(() => gone.close())
  const app = await startApp(t, { database: gone })
  const browser = new TestBrowser(app)
  t.equal((await browser.get('/sanctum/csrf-cookie')).status, 503)
  const anonymous = await browser.get('/api/me')
  t.equal(anonymous.status, 401, 'who has no session is told so, and gets none')
  t.strictSame(anonymous.json, { message: 'Unauthenticated.' })
  t.strictSame(anonymous.setCookies, [])
  const id = mintSessionId(randomBytes)
  browser.cookies.set('animethemes_session', id.reveal())
  browser.cookies.set('XSRF-TOKEN', id.csrfToken())
  t.equal((await browser.get('/api/me')).status, 503, 'who has one keeps it')
  t.equal((await browser.post('/logout')).status, 503)
  t.equal(browser.sessionId, id.reveal())
})

/** Sends bytes to a server and returns what comes back. */
function talk(base: string, bytes: string) {
  return new Promise<string>((resolve, reject) => {
    const socket = connect(Number(new URL(base).port), '127.0.0.1', () => socket.write(bytes, 'latin1'))
    let answer = ''
    socket.on('data', chunk => {
      answer += chunk
    })
    socket.on('end', () => socket.end())
    socket.on('close', () => resolve(answer))
    socket.on('error', reject)
  })
}
