import type { FastifyInstance } from 'fastify'
import t from 'tap'
import { SessionId } from '#src/auth/session.ts'
import { CSRF_MISMATCH } from '../../../fixtures/answers.ts'
import { CROSS_SITE, sessionUserId, startWithUser } from '../../../fixtures/attacks.ts'
import { SPA, TestBrowser } from '../../../fixtures/browser.ts'
import { aNotification } from '../../../fixtures/lists.ts'
import { sendRaw } from '../../../fixtures/raw-requests.ts'
import { aMember, PASSWORD } from '../../../fixtures/users.ts'
import { startApp } from '../../../support/app.ts'
import { createDatabase } from '../../../support/databases.ts'

const database = await createDatabase(t, 'postgres')
t.teardown(() => database.close())

t.test('requests from another site change nothing', async t => {
  const { browser, user } = await startWithUser(t, database)
  const unread = await aNotification(database, user.id)
  const pages: Record<string, string>[] = [
    CROSS_SITE,
    { origin: 'null' },
    { referer: 'https://evil.test/localhost:3000/' },
  ]
  for (const page of pages) {
    const crossSite = browser.clone()
    crossSite.page = { ...page, 'sec-fetch-site': 'cross-site' }
    const read = await crossSite.bare('PUT', `/api/me/notification/${unread}/read`)
    t.equal(read.status, 401, 'the API ignores the cookies')
    t.strictSame(read.setCookies, [])
    const logout = await crossSite.bare('POST', '/logout')
    t.equal(logout.status, 419)
    t.strictSame(logout.json, CSRF_MISMATCH)
  }
  t.equal(await sessionUserId(browser), user.id)
  const row = await database.kysely
    .selectFrom('notifications')
    .select('read_at')
    .where('id', '=', unread)
    .executeTakeFirstOrThrow()
  t.equal(row.read_at, null)
})

t.test('a form on another site cannot log in, log out or confirm a password', async t => {
  const { app, browser, user } = await startWithUser(t, database)
  const attacker = await aMember(database)
  const form = {
    headers: { 'content-type': 'application/x-www-form-urlencoded' },
    payload: `email=${attacker.email}&password=${encodeURIComponent(PASSWORD)}`,
  }
  for (const from of [browser.clone(), new TestBrowser(app)]) {
    from.page = CROSS_SITE
    const id = from.sessionId
    const answer = await from.bare('POST', '/login', form)
    t.equal(answer.status, 419)
    t.equal(from.sessionId, id)
    t.equal((await from.bare('POST', '/logout', { ...form, payload: '' })).status, 419)
    t.equal((await from.bare('POST', '/user/confirm-password', form)).status, 419)
  }
  t.equal(await sessionUserId(browser), user.id)
})

t.test('no content type and no other method bypasses the CSRF token', async t => {
  const { app, browser, user } = await startWithUser(t, database)
  browser.page = CROSS_SITE
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
  for (const method of ['GET', 'HEAD', 'OPTIONS', 'TRACE', 'QUERY', 'PURGE', 'post', 'Post']) {
    const answer = await sendRaw(
      app,
      `${method} /logout HTTP/1.1\r\nHost: a\r\nConnection: close\r\nX-HTTP-Method-Override: POST\r\n` +
        `Cookie: animethemes_session=${browser.sessionId}\r\nContent-Length: 0\r\n\r\n`,
    )
    t.match(answer, method === 'OPTIONS' ? /^HTTP\/1.1 200 / : /^HTTP\/1.1 40[045] /, method)
  }
  t.equal(await sessionUserId(browser), user.id)
})

t.test('every method that changes something requires the CSRF token', async t => {
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
  const { app, browser } = await startWithUser(t, database, { routes })
  for (const method of METHODS) {
    t.equal((await browser.bare(method, '/api/change')).status, 419, method)
    t.equal((await browser.send(method, '/api/change')).status, 200, method)
  }
  const headers = { 'content-type': 'application/json' }
  const unparsed = await new TestBrowser(app).bare('POST', '/login', { headers, payload: '{' })
  t.equal(unparsed.status, 419, 'without a session the body is not parsed')
  const bodiless = await browser.bare('POST', '/logout', { headers: { 'content-type': 'image/png' } })
  t.equal(bodiless.status, 419, 'a request without a body is refused at once')
  const body = `_token=${browser.cookies.get('XSRF-TOKEN')}`
  const chunked = await sendRaw(
    app,
    `POST /api/change HTTP/1.1\r\nHost: a\r\nConnection: close\r\nReferer: ${SPA}/\r\n` +
      `Cookie: animethemes_session=${browser.sessionId}\r\nContent-Type: application/x-www-form-urlencoded\r\n` +
      `Transfer-Encoding: chunked\r\n\r\n${body.length.toString(16)}\r\n${body}\r\n0\r\n\r\n`,
  )
  t.match(chunked, /^HTTP\/1.1 200 /, 'a chunked form can carry the token')
})

t.test('a CSRF token is valid for one session only', async t => {
  const { app, browser } = await startWithUser(t, database)
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
  t.equal(shadowed.status, 419, 'a header takes precedence over the field of the body')
  t.equal(
    (await browser.bare('PUT', `/api/me/notification/readall?_token=${mine}`)).status,
    419,
    'a token in the query string is ignored',
  )
  browser.cookies.set('XSRF-TOKEN', mine)
  await browser.post('/logout')
  t.equal(
    (await browser.bare('POST', '/login', { headers: { 'x-xsrf-token': mine } })).status,
    419,
    'the token of a session that ended is invalid',
  )
})

t.test('the CSRF token of a body is verified before the identity', async t => {
  const app = await startApp(t, { database, environment: { RATE_LIMIT_ANONYMOUS: '4' } })
  const browser = new TestBrowser(app)
  await browser.get('/sanctum/csrf-cookie')
  const token = browser.cookies.get('XSRF-TOKEN') ?? ''
  const put = (payload: object) => browser.bare('PUT', '/api/me/notification/readall', { payload })
  const wrong = await put({ _token: 'x' })
  t.equal(wrong.status, 419, 'an anonymous request with a wrong token is 419, not 401')
  t.equal(wrong.headers['x-ratelimit-remaining'], '2', 'it counts for the rate limit')
  const right = await put({ _token: token })
  t.equal(right.status, 401)
  t.equal(right.headers['x-ratelimit-remaining'], '1')
  await put({ _token: token })
  t.equal((await put({ _token: token })).status, 429)
})

t.test('only Sec-Fetch-Site: same-origin replaces the CSRF token', async t => {
  const { browser } = await startWithUser(t, database)
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
})

t.test('with CSRF_MODE=origin-only a request has to be same-origin', async t => {
  const user = await aMember(database)
  const app = await startApp(t, { database, environment: { CSRF_MODE: 'origin-only' } })
  const browser = new TestBrowser(app)
  const cookies = await browser.get('/sanctum/csrf-cookie')
  t.equal(cookies.setCookies.length, 1, 'there is no XSRF-TOKEN cookie')
  const login = (headers: Record<string, string>) =>
    browser.bare('POST', '/login', { headers, payload: user })
  const token = new SessionId(browser.sessionId).csrfToken()
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

t.test('an origin that resembles a first party is none', async t => {
  const { app, browser } = await startWithUser(t, database, {
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
    // Node sends and receives the bytes of headers as latin1.
    const bytes = Buffer.from(referer)
      .toString('latin1')
      .replace(/[\r\n]/g, '')
    t.equal(await sessionUserId(browser, { referer: bytes }), null, referer)
  }
  t.ok(await sessionUserId(browser, { referer: 'https://spa.test/' }))

  const twice = (first: string, second: string) =>
    sendRaw(
      app,
      `GET /api/me HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nReferer: ${first}\r\nReferer: ${second}\r\n` +
        `Cookie: animethemes_session=${browser.sessionId}\r\n\r\n`,
    )
  t.match(await twice(`${SPA}/`, 'https://evil.com/'), /^HTTP\/1.1 401 /, 'two Referer headers')
  t.match(await twice('https://evil.com/', `${SPA}/`), /^HTTP\/1.1 401 /)
})
