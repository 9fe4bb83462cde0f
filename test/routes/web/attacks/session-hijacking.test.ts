import { randomBytes } from 'node:crypto'
import t from 'tap'
import { mintSessionId, SessionId } from '#src/auth/session.ts'
import { CSRF_MISMATCH } from '../../../fixtures/answers.ts'
import { sessionUserId, startWithUser } from '../../../fixtures/attacks.ts'
import { SPA, TestBrowser } from '../../../fixtures/browser.ts'
import { aMember, PASSWORD } from '../../../fixtures/users.ts'
import { get, send, startApp } from '../../../support/app.ts'
import { createDatabase } from '../../../support/databases.ts'

const database = await createDatabase(t, 'postgres')
t.teardown(() => database.close())

t.test('the session id changes at login and at logout, and the previous id is invalid', async t => {
  const app = await startApp(t, { database })
  const user = await aMember(database)
  const browser = new TestBrowser(app)
  await browser.get('/sanctum/csrf-cookie')
  const attacker = browser.clone()
  await browser.post('/login', user)
  t.not(browser.sessionId, attacker.sessionId)
  t.equal(await sessionUserId(browser), user.id)
  t.equal(await sessionUserId(attacker), null)
  const stolen = browser.clone()
  await browser.post('/logout')
  t.not(browser.sessionId, stolen.sessionId)
  t.equal(await sessionUserId(stolen), null)
  t.equal(await sessionUserId(browser), null)
})

t.test('a session id that the server did not issue is not adopted', async t => {
  const app = await startApp(t, { database })
  const user = await aMember(database)
  const chosen = mintSessionId(randomBytes)
  const browser = new TestBrowser(app)
  browser.cookies.set('animethemes_session', chosen.reveal())
  browser.cookies.set('XSRF-TOKEN', chosen.csrfToken())
  const answer = await browser.post('/login', user)
  t.equal(answer.status, 419, 'its CSRF token is invalid')
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

t.test('cookies replayed after the logout are invalid', async t => {
  const { browser } = await startWithUser(t, database)
  const copy = browser.clone()
  await browser.post('/logout')
  t.equal(await sessionUserId(copy), null)
  const replayed = await copy.post('/logout')
  t.equal(replayed.status, 419)
  t.strictSame(replayed.json, CSRF_MISMATCH)
})

t.test('two different session cookies are ignored, so that a neighbouring domain cannot set one', async t => {
  const { app, user, browser } = await startWithUser(t, database)
  const attacker = await aMember(database)
  const theirs = new TestBrowser(app)
  await theirs.logIn(attacker)
  const ask = async (...ids: string[]) => {
    const cookie = ids.map(id => `animethemes_session=${id}`).join('; ')
    return (await get(app, '/api/me', undefined, { referer: `${SPA}/`, cookie })).json.user?.id ?? null
  }
  t.equal(await ask(browser.sessionId), user.id)
  t.equal(await ask(theirs.sessionId, browser.sessionId), null, 'two sessions are ambiguous')
  t.equal(await ask(browser.sessionId, theirs.sessionId), null)
  t.equal(await ask('eyJpdiI6', browser.sessionId), user.id, 'a malformed cookie is ignored')
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
  const cookie = [browser, theirs].map(({ sessionId }) => `animethemes_session=${sessionId}`).join('; ')
  for (const url of ['/api/me', '/user/confirmed-password-status']) {
    const answer = await get(app, url, undefined, { referer: `${SPA}/`, cookie })
    t.strictSame(answer.setCookies, [], `${url} sets no cookies`)
  }
  for (const url of ['/sanctum/csrf-cookie', '/admin/login']) {
    const { setCookies } = await get(app, url, undefined, { referer: `${SPA}/`, cookie })
    const [, id] = /^animethemes_session=([^;]+)/.exec(setCookies.at(-1) ?? '') ?? []
    t.ok(id && ![browser.sessionId, theirs.sessionId].includes(id), `${url} starts a session of a guest`)
    t.equal(await ask(id ?? ''), null)
  }
})

t.test('over HTTPS the session cookie has the __Host- prefix', async t => {
  const environment = {
    APP_URL: 'https://api.example.org',
    SANCTUM_STATEFUL_DOMAINS: 'http://localhost:3000',
  }
  const { app, user, browser } = await startWithUser(t, database, { environment })
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
  t.equal(plain.status, 401, 'the name without the prefix, which a subdomain could set, is ignored')
  t.equal(await sessionUserId(browser), user.id)
})

t.test('a session cookie with a domain has no prefix', async t => {
  const { browser } = await startWithUser(t, database, {
    environment: {
      APP_URL: 'https://api.example.org',
      SANCTUM_STATEFUL_DOMAINS: 'http://localhost:3000',
      SESSION_DOMAIN: '.example.org',
      SESSION_SAME_SITE: 'none',
      SESSION_PARTITIONED_COOKIE: 'true',
      SESSION_COOKIE: 's',
    },
  })
  t.match(
    (await browser.get('/api/me')).setCookies[1],
    /^s=[\w-]{43}; Max-Age=7200; Domain=\.example\.org; Path=\/; Expires=[^;]+; HttpOnly; Secure; Partitioned; SameSite=None$/,
  )
})

t.test('a remember cookie of Laravel is ignored', async t => {
  const app = await startApp(t, { database })
  const user = await aMember(database)
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

t.test('with SameSite=Strict a link on another site does not replace the session', async t => {
  const { app, browser, user } = await startWithUser(t, database, {
    environment: { SESSION_SAME_SITE: 'strict' },
  })
  // The browser does not send the cookie with a navigation from another site, and takes what the answer sets.
  const link = { 'sec-fetch-site': 'cross-site', 'sec-fetch-mode': 'navigate', referer: 'https://evil.test/' }
  for (const url of ['/user/confirmed-password-status', '/sanctum/csrf-cookie', '/admin/login', '/admin']) {
    t.strictSame((await get(app, url, undefined, link)).setCookies, [], url)
  }
  const page = await get(app, '/admin/login', undefined, link)
  t.match(
    page.text,
    /<meta http-equiv="refresh" content="0">/,
    'a page reloads itself, as a same-origin request',
  )
  const again = await get(app, '/admin/login', undefined, { 'sec-fetch-site': 'same-origin' })
  t.equal(again.setCookies.length, 2)
  t.equal(await sessionUserId(browser), user.id)
  const lax = await startApp(t, { database })
  t.equal(
    (await get(lax, '/sanctum/csrf-cookie', undefined, link)).setCookies.length,
    2,
    'SameSite=Lax sets cookies',
  )
})

t.test('a token or session id in the query string is ignored and not logged', async t => {
  const { app, user, browser } = await startWithUser(t, database)
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
  t.notOk(lines.includes(browser.sessionId), 'no session id is logged')
  t.notOk(lines.includes(user.token), 'no token is logged')
})

t.test('a session id reaches the database as a digest only', async t => {
  const { queries } = database
  const { browser } = await startWithUser(t, database)
  queries.length = 0
  await browser.get('/api/me')
  t.notOk(JSON.stringify(queries).includes(browser.sessionId), 'no query has the id')
  const sessions = JSON.stringify(await database.kysely.selectFrom('sessions').selectAll().execute())
  t.notOk(sessions.includes(browser.sessionId), 'no row has the id')
  t.notOk(sessions.includes(browser.cookies.get('XSRF-TOKEN') ?? '?'), 'no row has the CSRF token')
})

t.test('answers for a session are not cached, and no secret is logged', async t => {
  const { app, user, browser } = await startWithUser(t, database)
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
    t.notOk(lines.includes(secret), 'no line of the log has a secret')
  }
})
