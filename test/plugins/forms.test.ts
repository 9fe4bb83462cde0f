import { request as sendHttp } from 'node:http'
import { connect } from 'node:net'
import t, { type Test } from 'tap'
import { SPA, TestBrowser } from '../fixtures/browser.ts'
import { aPlaylist } from '../fixtures/lists.ts'
import { aUser } from '../fixtures/users.ts'
import { get, send, startApp, type TestApp } from '../support/app.ts'
import { createDatabase } from '../support/databases.ts'

const PASSWORD = 'correct horse battery staple'

const database = await createDatabase(t, 'postgres')
t.teardown(() => database.close())

const listen = (app: TestApp) => app.listen({ host: '127.0.0.1', port: 0 })

/** A server that listens, and a user with a playlist. */
async function started(t: Test, environment: Record<string, string> = {}) {
  const app = await startApp(t, { database, environment })
  const base = await listen(app)
  const user = await aUser(database, { roles: ['Verified'], password: PASSWORD })
  const playlist = await aPlaylist(database, user.id, { name: 'before' })
  const url = `${base}/api/playlist/${playlist.hashid}`
  /** Sends a request in the user's name, and returns the status. */
  const ask = async (method: string, { headers, ...rest }: RequestInit = {}, to = url) => {
    const authorization = `Bearer ${user.token}`
    const answer = await fetch(to, { method, headers: { authorization, ...headers }, ...rest })
    await answer.arrayBuffer()
    return answer.status
  }
  const row = () =>
    database.kysely
      .selectFrom('playlists')
      .select(['name', 'description'])
      .where('playlist_id', '=', playlist.id)
      .executeTakeFirst()
  return { app, base, url, user, ask, row }
}

const formData = (values: Record<string, string>) => {
  const form = new FormData()
  for (const [name, value] of Object.entries(values)) form.append(name, value)
  return form
}

/** A form as browsers write it. */
async function encoded(form: FormData): Promise<{ type: string; payload: Buffer }> {
  const response = new Response(form)
  const type = response.headers.get('content-type') ?? ''
  return { type, payload: Buffer.from(await response.arrayBuffer()) }
}

t.test('a POST that asks for another method', async t => {
  await t.test('by a field of a form is that', async t => {
    const { ask, row } = await started(t)
    t.equal(await ask('POST', { body: formData({ name: 'parts', _method: 'PUT' }) }), 200)
    t.match(await row(), { name: 'parts' })
    const body = new URLSearchParams({ _method: 'patch', description: 'é & so on' })
    t.equal(await ask('POST', { body }), 200, 'in whatever case')
    t.match(await row(), { name: 'parts', description: 'é & so on' })
    t.equal(await ask('POST', { body: formData({ _method: 'DELETE' }) }), 200)
    t.equal(await ask('GET'), 404)
    t.equal(await row(), undefined)
  })

  await t.test('by a header is that, whatever its body is, and whatever that says', async t => {
    const { ask, row } = await started(t)
    const headers = { 'content-type': 'application/json', 'x-http-method-override': 'Put' }
    t.equal(await ask('POST', { headers, body: '{"name":"json"}' }), 200)
    t.match(await row(), { name: 'json' })
    const body = formData({ name: 'form', _method: 'DELETE' })
    t.equal(await ask('POST', { headers: { 'x-http-method-override': 'PATCH' }, body }), 200)
    t.match(await row(), { name: 'form' })
  })

  await t.test('for one that changes nothing, or is none, stays a POST', async t => {
    const { ask, row } = await started(t)
    for (const method of ['GET', 'HEAD', 'OPTIONS', 'POST', 'TRACE', 'CONNECT', '', 'PUT, GET', 'PUT\0']) {
      const body = formData({ name: 'after', _method: method })
      t.equal(await ask('POST', { body }), 405, JSON.stringify(method))
      if (/^[A-Z ,]*$/.test(method)) {
        t.equal(await ask('POST', { headers: { 'x-http-method-override': method } }), 405)
      }
    }
    for (const body of [
      '_method[]=PUT&name=after',
      '_method[a]=PUT',
      '__proto__[_method]=PUT',
      'x=1&_method',
    ]) {
      const headers = { 'content-type': 'application/x-www-form-urlencoded' }
      t.equal(await ask('POST', { headers, body }), 405, body)
    }
    const json = { 'content-type': 'application/json' }
    t.equal(await ask('POST', { headers: json, body: '{"_method":"PUT","name":"after"}' }), 405)
    t.equal(await ask('POST', { headers: { 'content-type': 'text/plain' }, body: '_method=PUT' }), 405)
    t.match(await row(), { name: 'before' })
  })

  await t.test('is asked of nothing but a POST', async t => {
    const { ask, row, user, app } = await started(t)
    for (const method of ['GET', 'HEAD', 'PUT', 'PATCH']) {
      const status = await ask(method, { headers: { 'x-http-method-override': 'DELETE' } })
      t.equal(status, 200, method)
    }
    t.equal(await ask('PUT', { body: formData({ _method: 'DELETE', name: 'kept' }) }), 200)
    t.match(await row(), { name: 'kept' })
    t.equal((await get(app, '/api/me?_method=DELETE', user.token)).status, 200)
  })

  await t.test('gets around no guard', async t => {
    const { app, base, user } = await started(t)
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
    t.equal(await deletion({ referer: `${SPA}/` }, { _token: token }), 204, 'but the session has its token')

    const limited = await aUser(database, { roles: ['Verified'] })
    const { hashid } = await aPlaylist(database, limited.id, { name: 'theirs' })
    const theirs = await fetch(`${base}/api/playlist/${hashid}`, {
      method: 'POST',
      headers: { authorization: `Bearer ${(await aUser(database, { roles: ['Verified'] })).token}` },
      body: formData({ _method: 'DELETE' }),
    })
    t.equal(theirs.status, 403)
  })

  await t.test('is not asked of what is large, or comes in pieces', async t => {
    const { ask, row, url, user } = await started(t)
    const filler = 'x'.repeat(70_000)
    t.equal(await ask('POST', { body: formData({ _method: 'DELETE', filler }) }), 405)
    const pieces = await new Promise<number | undefined>((resolve, reject) => {
      const request = sendHttp(url, { method: 'POST' }, answer => resolve(answer.resume().statusCode))
      request.setHeader('authorization', `Bearer ${user.token}`)
      request.setHeader('content-type', 'application/x-www-form-urlencoded')
      request.on('error', reject)
      request.write('_method=')
      request.end('DELETE')
    })
    t.equal(pieces, 405)
    t.match(await row(), { name: 'before' })
  })

  await t.test('and is never heard to its end ends with its connection', async t => {
    const { app, base, user } = await started(t)
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

t.test('a form of several parts', async t => {
  const { app, user } = await started(t, { LOGIN_RATE_LIMIT: '100' })
  const browser = new TestBrowser(app)
  await browser.get('/sanctum/csrf-cookie')
  const login = async (form: FormData | { type: string; payload: string }) => {
    const { type, payload } = form instanceof FormData ? await encoded(form) : form
    return browser.send('POST', '/login', { headers: { 'content-type': type }, payload })
  }
  const fields = { email: user.email, password: PASSWORD }

  await t.test('is a form', async t => {
    t.equal((await login(formData(fields))).status, 200)
    t.equal((await browser.get('/api/me')).json.user.id, user.id)
    await browser.post('/logout')
    const cookie = browser.cookies.get('XSRF-TOKEN') ?? ''
    const { type, payload } = await encoded(formData({ ...fields, _token: cookie }))
    const answer = await browser.bare('POST', '/login', { headers: { 'content-type': type }, payload })
    t.equal(answer.status, 200, 'and may carry the token')
    await browser.post('/logout')
  })

  await t.test('has no files, and no values of another kind', async t => {
    const form = formData(fields)
    form.set('password', new Blob([PASSWORD]), 'password.txt')
    t.strictSame((await login(form)).json.errors, { password: ['The password field is required.'] })
    const list = formData({ 'email[]': user.email, password: PASSWORD })
    t.strictSame((await login(list)).json.errors, { email: ['The email must be a string.'] })
    const strange = formData({ '__proto__[email]': user.email, 'constructor[prototype]': 'x' })
    t.equal((await login(strange)).status, 422)
    t.equal(({} as { email?: string }).email, undefined)
  })

  await t.test('that is none is 400, however it is broken', async t => {
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
    t.equal((await login(many)).status, 400, 'or has more values than anybody means')
    for (const payload of ['--x--', `${'--x\r\n\r\n\r\n'.repeat(200)}--x--`, '']) {
      const { status } = await login({ type: 'multipart/form-data; boundary=x', payload })
      t.equal(status, 422, 'and what has none lacks them')
    }
    const parts = {
      type: 'multipart/form-data; boundary=x',
      payload: `${'--x\r\n\r\n\r\n'.repeat(201)}--x--`,
    }
    t.equal((await login(parts)).status, 400, 'or more parts')
    const named = { type: `multipart/form-data${'; a=b'.repeat(50)}; boundary=x`, payload: `${part}--x--` }
    t.equal((await login(named)).status, 400, 'or a type that goes on and on')
    const headers = { 'content-type': 'multipart/form-data; boundary=x' }
    const large = await send(app, 'POST', '/login', { headers, payload: part.repeat(30_000) })
    t.equal(large.status, 419, 'and without a proof nobody reads it')
  })
})
