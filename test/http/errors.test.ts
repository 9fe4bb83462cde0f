import { connect } from 'node:net'
import type { FastifyInstance } from 'fastify'
import t from 'tap'
import { Type } from 'typebox'
import { DatabaseUnavailable } from '#src/database/unavailable.ts'
import { aUser } from '../fixtures/users.ts'
import { get, send, startApp } from '../support/app.ts'
import { createDatabase } from '../support/databases.ts'

const database = await createDatabase(t, 'postgres')
t.teardown(() => database.close())

t.test('error responses', async t => {
  const access = { auth: 'none' } as const
  const routes = (app: FastifyInstance) => {
    app.get('/throws', { config: { access } }, async () => {
      throw new Error('select secret from somewhere')
    })
    app.get('/unavailable', { config: { access } }, async () => {
      throw new DatabaseUnavailable(new Error('connection refused at 10.0.0.1'))
    })
    app.post('/echo', { config: { access } }, async request => request.body)
    app.post(
      '/form',
      {
        config: { access },
        schema: {
          body: Type.Object({
            user_name: Type.String({ minLength: 1, maxLength: 5 }),
            age: Type.Optional(Type.Integer({ minimum: 1, maximum: 100 })),
            email: Type.Optional(Type.String({ format: 'email' })),
            kind: Type.Optional(Type.Union([Type.Literal('a'), Type.Literal('b')])),
            deep: Type.Optional(Type.Object({ flag: Type.Boolean() })),
          }),
        },
      },
      async () => 'fine',
    )
  }
  const postRaw = (app: FastifyInstance, url: string, payload: string, type = 'application/json') =>
    send(app, 'POST', url, { payload, headers: { 'content-type': type } })

  await t.test('an unknown path is 404 for every method, body and media type', async t => {
    const app = await startApp(t, { database, routes })
    for (const [method, path] of [
      ['GET', '/api/unknown'],
      ['DELETE', '/api/unknown'],
      ['GET', '/unknown/path'],
      ['OPTIONS', '/unknown'],
      ['GET', '/api/me/unknown'],
      ['GET', '//api/me'],
      ['GET', '/API/ME'],
      ['GET', '/api/me;x'],
    ] as const) {
      const answer = await send(app, method, path)
      t.equal(answer.status, 404, `${method} ${path}`)
      t.strictSame(answer.json, { message: `The route ${path.slice(1)} could not be found.` })
    }
    t.equal((await postRaw(app, '/api/unknown', '{ not json')).status, 404)
    t.equal((await postRaw(app, '/api/unknown', 'x', 'image/png')).status, 404)
    t.strictSame((await get(app, '/unknown?token=1')).json, {
      message: 'The route unknown could not be found.',
    })
  })

  await t.test('an unsupported method is 405 with an Allow header', async t => {
    const app = await startApp(t, { database, routes })
    const { token } = await aUser(database)
    for (const method of ['POST', 'PUT', 'PATCH', 'DELETE']) {
      const answer = await send(app, method, '/api/me', { headers: { authorization: `Bearer ${token}` } })
      t.equal(answer.status, 405, method)
      t.equal(answer.headers.allow, 'GET, HEAD')
      t.strictSame(answer.json, {
        message: `The ${method} method is not supported for route api/me. Supported methods: GET, HEAD.`,
      })
    }
    t.match((await get(app, '/echo')).headers, { allow: 'POST' })
    t.equal((await postRaw(app, '/api/me', '{ not json')).status, 405)
    const options = await send(app, 'OPTIONS', '/api/me')
    t.equal(options.status, 200)
    t.equal(options.headers.allow, 'GET, HEAD')
    t.equal(options.text, '')
  })

  await t.test('a percent-encoded path has the same access rules', async t => {
    const app = await startApp(t, { database })
    const answer = await get(app, '/%61pi/me')
    t.equal(answer.status, 401)
    t.ok('x-ratelimit-limit' in answer.headers)
  })

  await t.test('unreadable requests are 400, 413 or 415', async t => {
    const app = await startApp(t, { database, routes })
    for (const [status, message, answer] of [
      [400, 'The request body is not valid JSON.', await postRaw(app, '/echo', '{"a":')],
      [400, 'The request body is not valid JSON.', await postRaw(app, '/echo', '{"__proto__":{"x":1}}')],
      [
        400,
        'The request body is not valid JSON.',
        await postRaw(app, '/echo', '{"constructor":{"prototype":{}}}'),
      ],
      [
        413,
        'The request body is larger than 65536 bytes.',
        await postRaw(app, '/echo', `"${'x'.repeat(65_536)}"`),
      ],
      [415, 'The media type image/png is not supported.', await postRaw(app, '/echo', 'x', 'image/png')],
      [400, 'Bad request.', await get(app, '/%zz')],
      [400, 'Bad request.', await get(app, '/api/%c0%ae')],
    ] as const) {
      t.equal(answer.status, status, message)
      t.strictSame(answer.json, { message })
      t.equal(answer.headers['x-content-type-options'], 'nosniff')
    }
    const unreadable = await get(app, '/%zz')
    t.equal(unreadable.headers.vary, 'Origin', 'Vary is set on unparsed requests too')
    t.ok(
      app.logged.find(({ reqId, status }) => reqId === unreadable.headers['x-request-id'] && status === 400),
    )
    t.strictSame((await postRaw(app, '/echo', '{"a":1}')).json, { a: 1 })
    for (const type of [
      'text/json',
      'text/json; charset=utf-8',
      'application/vnd.api+json',
      'application/problem+json; charset=utf-8',
    ]) {
      t.strictSame((await postRaw(app, '/echo', '{"a":1}', type)).json, { a: 1 }, type)
    }
    for (const type of ['text/plain+jsonp', 'application/json+x', 'image/x+png']) {
      t.equal((await postRaw(app, '/echo', '{"a":1}', type)).status, 415, type)
    }
    t.equal((await postRaw(app, '/echo', '')).status, 200, 'an empty body is accepted for any type')
    const form = 'application/x-www-form-urlencoded'
    t.strictSame((await postRaw(app, '/echo', 'a[b]=1&c=+x+&d=', form)).json, {
      a: { b: '1' },
      c: ' x ',
      d: null,
    })
    t.strictSame(
      (await postRaw(app, '/echo', '__proto__[x]=1', form)).json,
      JSON.parse('{"__proto__":{"x":"1"}}'),
    )
    t.equal(({} as { x?: string }).x, undefined)
    t.equal((await postRaw(app, '/echo', 'a=1&'.repeat(101), form)).status, 400)
  })

  await t.test("all violations of a schema are reported in Laravel's format", async t => {
    const app = await startApp(t, { database, routes })
    const answer = await postRaw(
      app,
      '/form',
      JSON.stringify({ age: 'x', email: 'no-address', kind: 'c', deep: { flag: 'maybe' } }),
    )
    t.equal(answer.status, 422)
    t.match(answer.json.errors, {
      user_name: ['The user name field is required.'],
      age: ['The age must be an integer.'],
      email: ['The email must be a valid email address.'],
      kind: ['The selected kind is invalid.'],
      'deep.flag': ['The deep.flag field must be true or false.'],
    })
    t.match(answer.json.message, /^The .+\. \(and \d more errors\)$/)

    const single = await postRaw(app, '/form', '{"user_name":"too long"}')
    t.strictSame(single.json, {
      message: 'The user name must not be greater than 5 characters.',
      errors: { user_name: ['The user name must not be greater than 5 characters.'] },
    })
    t.strictSame((await postRaw(app, '/form', '{"user_name":"","age":0}')).json, {
      message: 'The user name field is required. (and 1 more error)',
      errors: { user_name: ['The user name field is required.'], age: ['The age must be at least 1.'] },
    })
    t.match((await postRaw(app, '/form', '{"user_name":"a","age":101}')).json.errors, {
      age: ['The age must not be greater than 100.'],
    })
    t.match((await postRaw(app, '/form', '{"user_name":["a"]}')).json.errors, {
      user_name: ['The user name must be a string.'],
    })
    t.equal((await postRaw(app, '/form', '[]')).status, 422)
  })

  await t.test('an exception is 500 without its message, which is logged', async t => {
    const app = await startApp(t, { database, routes })
    const answer = await get(app, '/throws')
    t.equal(answer.status, 500)
    t.strictSame(answer.json, { message: 'Server Error' })
    t.match(JSON.stringify(app.logged), 'select secret from somewhere')
    const line = app.logged.find(({ msg }) => msg === 'request failed')
    t.equal(line?.reqId, answer.headers['x-request-id'], 'logged with the request id of the response')
  })

  await t.test('an unavailable database is 503 with Retry-After', async t => {
    const app = await startApp(t, { database, routes })
    const answer = await get(app, '/unavailable')
    t.equal(answer.status, 503)
    t.equal(answer.headers['retry-after'], '5')
    t.strictSame(answer.json, { message: 'Service Unavailable' })
  })
})

t.test('malformed HTTP gets an error response and the connection is closed', async t => {
  const app = await startApp(t, { database })
  await app.listen({ host: '127.0.0.1', port: 0 })
  const address = app.server.address()
  const port = typeof address === 'object' && address !== null ? address.port : 0
  const sendBytes = (bytes: string) =>
    new Promise<string>((resolve, reject) => {
      const socket = connect(port, '127.0.0.1', () => socket.write(bytes))
      let answer = ''
      socket.on('data', chunk => {
        answer += chunk
      })
      socket.on('end', () => socket.end())
      socket.on('close', () => resolve(answer))
      socket.on('error', reject)
    })
  for (const [name, bytes, expected] of [
    ['no HTTP', 'what is this\r\n\r\n', /^HTTP\/1.1 400 /],
    [
      'two Content-Length headers',
      'POST /api/me HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nxx',
      /^HTTP\/1.1 400 /,
    ],
    [
      'Content-Length and Transfer-Encoding',
      'POST /api/me HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n',
      /^HTTP\/1.1 400 /,
    ],
    [
      'unknown Transfer-Encoding',
      'POST /api/me HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: xchunked\r\n\r\n0\r\n\r\n',
      /^HTTP\/1.1 400 /,
    ],
    ['a space before the colon', 'GET /api/me HTTP/1.1\r\nHost : a\r\n\r\n', /^HTTP\/1.1 400 /],
    [
      'too many headers',
      `GET /api/me HTTP/1.1\r\nHost: a\r\nX: ${'x'.repeat(20_000)}\r\n\r\n`,
      /^HTTP\/1.1 431 /,
    ],
  ] as const) {
    const answer = await sendBytes(bytes)
    t.match(answer, expected, name)
    t.match(answer, /\r\n\r\n\{"message":"[^"]+"\}$/, `${name}: the body is as in Laravel`)
  }
  const head = await sendBytes(`HEAD /api/me HTTP/1.1\r\nHost: a\r\nX: ${'x'.repeat(20_000)}\r\n\r\n`)
  t.match(head, /^HTTP\/1.1 431 .*\r\nContent-Length: [1-9]\d*\r\n.*\r\n\r\n$/s, 'HEAD gets no body')
  const twice =
    'GET /api/me HTTP/1.1\r\nHost: a\r\nConnection: close\r\nAuthorization: Bearer x\r\nAuthorization: Bearer'
  const { token } = await aUser(database)
  t.match(
    await sendBytes(`${twice} ${token}\r\n\r\n`),
    /^HTTP\/1.1 401 /,
    'of two Authorization headers the first counts',
  )
})
