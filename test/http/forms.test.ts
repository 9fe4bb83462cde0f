import { connect } from 'node:net'
import { Readable } from 'node:stream'
import t, { type Test } from 'tap'
import { SPA, TestBrowser } from '../fixtures/browser.ts'
import { aPlaylist } from '../fixtures/lists.ts'
import { aMember, aUser, PASSWORD } from '../fixtures/users.ts'
import { get, send, startApp, type TestApp } from '../support/app.ts'
import { createDatabase } from '../support/databases.ts'

const database = await createDatabase(t, 'postgres')
t.teardown(() => database.close())

const FORM = 'application/x-www-form-urlencoded'

const listen = (app: TestApp) => app.listen({ host: '127.0.0.1', port: 0 })

/** Starts a listening server, with a user who owns a playlist. */
async function startWithPlaylist(t: Test, environment: Record<string, string> = {}) {
  const app = await startApp(t, { database, environment })
  const base = await listen(app)
  const user = await aMember(database, { roles: ['Verified'] })
  const playlist = await aPlaylist(database, user.id, { name: 'before' })
  const url = `${base}/api/playlist/${playlist.hashid}`
  /** Sends a request with the token of the user and returns the status. */
  const requestAsUser = async (method: string, { headers, ...rest }: RequestInit = {}, to = url) => {
    const authorization = `Bearer ${user.token}`
    const answer = await fetch(to, { method, headers: { authorization, ...headers }, ...rest })
    await answer.arrayBuffer()
    return answer.status
  }
  const readPlaylist = () =>
    database.kysely
      .selectFrom('playlists')
      .select(['name', 'description'])
      .where('playlist_id', '=', playlist.id)
      .executeTakeFirst()
  return { app, base, url, user, requestAsUser, readPlaylist }
}

const formData = (values: Record<string, string>) => {
  const form = new FormData()
  for (const [name, value] of Object.entries(values)) form.append(name, value)
  return form
}

/** Encodes a form as multipart/form-data. */
async function encodeForm(form: FormData): Promise<{ type: string; payload: Buffer }> {
  const response = new Response(form)
  const type = response.headers.get('content-type') ?? ''
  return { type, payload: Buffer.from(await response.arrayBuffer()) }
}

t.test('method override of a POST', async t => {
  await t.test('the _method field of a form sets the method', async t => {
    const { requestAsUser, readPlaylist } = await startWithPlaylist(t)
    t.equal(await requestAsUser('POST', { body: formData({ name: 'parts', _method: 'PUT' }) }), 200)
    t.match(await readPlaylist(), { name: 'parts' })
    const body = new URLSearchParams({ _method: 'patch', description: 'é & so on' })
    t.equal(await requestAsUser('POST', { body }), 200, 'the method is case-insensitive')
    t.match(await readPlaylist(), { name: 'parts', description: 'é & so on' })
    t.equal(await requestAsUser('POST', { body: formData({ _method: 'DELETE' }) }), 200)
    t.equal(await requestAsUser('GET'), 404)
    t.equal(await readPlaylist(), undefined)
  })

  await t.test('X-HTTP-Method-Override sets the method and precedes _method', async t => {
    const { requestAsUser, readPlaylist } = await startWithPlaylist(t)
    const headers = { 'content-type': 'application/json', 'x-http-method-override': 'Put' }
    t.equal(await requestAsUser('POST', { headers, body: '{"name":"json"}' }), 200)
    t.match(await readPlaylist(), { name: 'json' })
    const body = formData({ name: 'form', _method: 'DELETE' })
    t.equal(await requestAsUser('POST', { headers: { 'x-http-method-override': 'PATCH' }, body }), 200)
    t.match(await readPlaylist(), { name: 'form' })
  })

  await t.test('safe and invalid methods are ignored', async t => {
    const { requestAsUser, readPlaylist } = await startWithPlaylist(t)
    for (const method of ['GET', 'HEAD', 'OPTIONS', 'POST', 'TRACE', 'CONNECT', '', 'PUT, GET', 'PUT\0']) {
      const body = formData({ name: 'after', _method: method })
      t.equal(await requestAsUser('POST', { body }), 405, JSON.stringify(method))
      if (/^[A-Z ,]*$/.test(method)) {
        t.equal(await requestAsUser('POST', { headers: { 'x-http-method-override': method } }), 405)
      }
    }
    for (const body of [
      '_method[]=PUT&name=after',
      '_method[a]=PUT',
      '__proto__[_method]=PUT',
      'x=1&_method',
    ]) {
      const headers = { 'content-type': 'application/x-www-form-urlencoded' }
      t.equal(await requestAsUser('POST', { headers, body }), 405, body)
    }
    const json = { 'content-type': 'application/json' }
    t.equal(await requestAsUser('POST', { headers: json, body: '{"_method":"PUT","name":"after"}' }), 405)
    t.equal(
      await requestAsUser('POST', { headers: { 'content-type': 'text/plain' }, body: '_method=PUT' }),
      405,
    )
    t.match(await readPlaylist(), { name: 'before' })
  })

  await t.test('only a POST can be overridden', async t => {
    const { requestAsUser, readPlaylist, user, app } = await startWithPlaylist(t)
    for (const method of ['GET', 'HEAD', 'PUT', 'PATCH']) {
      const status = await requestAsUser(method, { headers: { 'x-http-method-override': 'DELETE' } })
      t.equal(status, 200, method)
    }
    t.equal(await requestAsUser('PUT', { body: formData({ _method: 'DELETE', name: 'kept' }) }), 200)
    t.match(await readPlaylist(), { name: 'kept' })
    t.equal((await get(app, '/api/me?_method=DELETE', user.token)).status, 200)
  })

  await t.test('an overridden method has the same CSRF and ownership checks', async t => {
    const { app, base, user } = await startWithPlaylist(t)
    const browser = new TestBrowser(app)
    await browser.logIn({ email: user.email, password: PASSWORD })
    const confirmed = await browser.post('/user/confirm-password', { password: PASSWORD })
    t.equal(confirmed.status, 201)
    const cookie = [...browser.cookies].map(pair => pair.join('=')).join('; ')
    const token = browser.cookies.get('XSRF-TOKEN') ?? ''
    const deletion = async (headers: Record<string, string>, values: Record<string, string> = {}) => {
      const body = formData({ _method: 'DELETE', ...values })
      return (await fetch(`${base}/user`, { method: 'POST', headers: { cookie, ...headers }, body })).status
    }
    const evil = { origin: 'https://evil.test', 'sec-fetch-site': 'cross-site' }
    t.equal(await deletion(evil), 419)
    t.equal(await deletion({ ...evil, 'x-http-method-override': 'DELETE' }), 419)
    t.equal(await deletion(evil, { _token: 'x' }), 419)
    t.equal((await browser.get('/api/me')).json.user.id, user.id)
    t.equal(
      await deletion({ referer: `${SPA}/` }, { _token: token }),
      204,
      'with the CSRF token of the session',
    )

    const owner = await aUser(database, { roles: ['Verified'] })
    const { hashid } = await aPlaylist(database, owner.id, { name: 'another' })
    const foreign = await fetch(`${base}/api/playlist/${hashid}`, {
      method: 'POST',
      headers: { authorization: `Bearer ${(await aUser(database, { roles: ['Verified'] })).token}` },
      body: formData({ _method: 'DELETE' }),
    })
    t.equal(foreign.status, 403)
  })

  await t.test('_method of a large form is ignored', async t => {
    const { requestAsUser, readPlaylist } = await startWithPlaylist(t)
    const filler = 'x'.repeat(70_000)
    t.equal(await requestAsUser('POST', { body: formData({ _method: 'DELETE', filler }) }), 405)
    t.match(await readPlaylist(), { name: 'before' })
  })

  await t.test('_method of a form in chunks sets the method, up to 64 KiB', async t => {
    const { requestAsUser, readPlaylist, url } = await startWithPlaylist(t)
    /** A form in chunks of some bytes, as proxies send one that they do not keep. */
    const inChunks = async (form: FormData | string, to = url, size = 1_000) => {
      const { type, payload } =
        typeof form === 'string' ? { type: FORM, payload: Buffer.from(form) } : await encodeForm(form)
      const pieces = Array.from({ length: Math.ceil(payload.length / size) }, (_, n) =>
        payload.subarray(n * size, (n + 1) * size),
      )
      const body = Readable.toWeb(Readable.from(pieces))
      return requestAsUser(
        'POST',
        { headers: { 'content-type': type }, body, duplex: 'half' } as RequestInit,
        to,
      )
    }
    t.equal(await inChunks('_method=PUT&name=chunked', url, 3), 200)
    t.match(await readPlaylist(), { name: 'chunked' })
    t.equal(await inChunks(formData({ name: 'parts', _method: 'PATCH' }), url, 7), 200)
    t.match(await readPlaylist(), { name: 'parts' })
    t.equal(await inChunks(''), 405, 'an empty form has no method')

    const filled = (length: number) => `_method=PUT&name=full&x=${'x'.repeat(length)}`
    const most = 65_536 - filled(0).length
    t.equal(await inChunks(filled(most)), 200)
    for (const to of [url, url.replace(/api.*/, 'login'), url.replace(/api.*/, 'unknown')]) {
      t.equal(await inChunks(filled(most + 1), to), 413, to)
    }
    t.match(await readPlaylist(), { name: 'full' })
    t.equal(await inChunks('_method=DELETE'), 200)
    t.equal(await readPlaylist(), undefined)
  })

  await t.test('a form that is never complete ends with its connection', async t => {
    const { app, base, user } = await startWithPlaylist(t)
    const { port } = new URL(base)
    await new Promise<void>(resolve => {
      const socket = connect(Number(port), '127.0.0.1', () => {
        socket.write(
          'POST /api/me HTTP/1.1\r\nHost: a\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: 99\r\n\r\n_method=',
          () => socket.destroy(),
        )
      })
      socket.on('close', () => resolve())
    })
    t.equal((await get(app, '/api/me', user.token)).status, 200)
  })
})

/** Starts a server with a user and a browser that has a CSRF cookie. */
async function startWithBrowser(t: Test) {
  const { app, user } = await startWithPlaylist(t, { LOGIN_RATE_LIMIT: '100' })
  const browser = new TestBrowser(app)
  await browser.get('/sanctum/csrf-cookie')
  const login = async (form: FormData | { type: string; payload: string }) => {
    const { type, payload } = form instanceof FormData ? await encodeForm(form) : form
    return browser.send('POST', '/login', { headers: { 'content-type': type }, payload })
  }
  return { app, user, browser, login, fields: { email: user.email, password: PASSWORD } }
}

t.test('multipart forms', async t => {
  await t.test('a multipart form logs in', async t => {
    const { user, browser, login, fields } = await startWithBrowser(t)
    t.equal((await login(formData(fields))).status, 200)
    t.equal((await browser.get('/api/me')).json.user.id, user.id)
    await browser.post('/logout')
    const cookie = browser.cookies.get('XSRF-TOKEN') ?? ''
    const { type, payload } = await encodeForm(formData({ ...fields, _token: cookie }))
    const answer = await browser.bare('POST', '/login', { headers: { 'content-type': type }, payload })
    t.equal(answer.status, 200, 'the CSRF token may be a field')
    await browser.post('/logout')
  })

  await t.test('files and nested values are not accepted as text', async t => {
    const { user, login, fields } = await startWithBrowser(t)
    const form = formData(fields)
    form.set('password', new Blob([PASSWORD]), 'password.txt')
    t.strictSame((await login(form)).json.errors, { password: ['The password field is required.'] })
    const list = formData({ 'email[]': user.email, password: PASSWORD })
    t.strictSame((await login(list)).json.errors, { email: ['The email must be a string.'] })
    const prototype = formData({ '__proto__[email]': user.email, 'constructor[prototype]': 'x' })
    t.equal((await login(prototype)).status, 422)
    t.equal(({} as { email?: string }).email, undefined)
  })

  await t.test('a malformed multipart body is 400', async t => {
    const { app, login } = await startWithBrowser(t)
    const part = '--x\r\nContent-Disposition: form-data; name="email"\r\n\r\na\r\n'
    for (const [type, payload] of [
      ['multipart/form-data', part],
      ['multipart/form-data; boundary=', part],
      ['multipart/form-data; boundary=y', `${part}--x--`],
      ['multipart/form-data; boundary=x', part],
      ['multipart/form-data; boundary=x', 'x'],
    ] as const) {
      const answer = await login({ type, payload })
      t.equal(answer.status, 400, `${type} ${payload}`)
      t.strictSame(answer.json, { message: 'The request body is not a form of the type that it says.' })
    }
    const many = formData(Object.fromEntries(Array.from({ length: 101 }, (_, n) => [`a${n}`, '1'])))
    t.equal((await login(many)).status, 400, 'more than 100 values')
    for (const payload of ['--x--', `${'--x\r\n\r\n\r\n'.repeat(200)}--x--`, '']) {
      const { status } = await login({ type: 'multipart/form-data; boundary=x', payload })
      t.equal(status, 422, 'no values')
    }
    const parts = {
      type: 'multipart/form-data; boundary=x',
      payload: `${'--x\r\n\r\n\r\n'.repeat(201)}--x--`,
    }
    t.equal((await login(parts)).status, 400, 'more than 200 parts')
    const named = { type: `multipart/form-data${'; a=b'.repeat(50)}; boundary=x`, payload: `${part}--x--` }
    t.equal((await login(named)).status, 400, 'a long media type')
    const headers = { 'content-type': 'multipart/form-data; boundary=x' }
    const large = await send(app, 'POST', '/login', { headers, payload: part.repeat(30_000) })
    t.equal(large.status, 419, 'a large form without a CSRF proof is not read')
  })
})
