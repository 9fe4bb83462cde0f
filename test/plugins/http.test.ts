import { connect } from 'node:net'
import type { FastifyInstance } from 'fastify'
import t from 'tap'
import { Type } from 'typebox'
import { rowLoader } from '#src/auth/row-loader.ts'
import { DatabaseUnavailable } from '#src/database/unavailable.ts'
import { rowOf } from '#src/http/loaded-row.ts'
import { MINUTE } from '../fixtures/clock.ts'
import { aUser, USER_TYPE } from '../fixtures/users.ts'
import { type Answer, get, send, startApp } from '../support/app.ts'
import { createDatabase, type TestDatabase } from '../support/databases.ts'
import { RawClient } from '../support/raw-client.ts'

let database: TestDatabase
t.before(async () => {
  database = await createDatabase(t, 'postgres')
})
t.teardown(() => database.close())

const PRODUCTION = {
  APP_ENV: 'production',
  APP_KEY: 'base64:AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=',
  APP_URL: 'https://api.example.org',
}

t.test('access', async t => {
  const routes = (app: FastifyInstance) => {
    app.get('/may', { config: { access: { auth: 'required', permission: 'view playlist' } } }, async () => ({
      ok: true,
    }))
    app.get(
      '/open',
      { config: { access: { auth: 'optional', permission: 'view playlist' } } },
      async request => ({
        user: request.identity?.user.id ?? null,
      }),
    )
    app.get('/free', { config: { access: { auth: 'none' } } }, async request => ({
      identity: request.identity,
    }))
  }

  t.test('a permission, held directly or by a role', async t => {
    const app = await startApp(t, { database, routes })
    const nobody = await aUser(database)
    const direct = await aUser(database, { permissions: ['view playlist'] })
    const byRole = await aUser(database, { roles: ['Verified'] })
    t.equal((await get(app, '/may')).status, 401)
    const refused = await get(app, '/may', nobody.token)
    t.equal(refused.status, 403)
    t.strictSame(refused.json, { message: 'This action is unauthorized.' })
    t.equal((await get(app, '/may', direct.token)).status, 200)
    t.equal((await get(app, '/may', byRole.token)).status, 200)
  })

  t.test('counts for the guards of users only', async t => {
    const app = await startApp(t, { database, routes })
    const add = async (guard: string) => {
      const { id, token } = await aUser(database)
      const row = await database.kysely
        .insertInto('permissions')
        .values({ name: 'view playlist', guard_name: guard, created_at: null, updated_at: null })
        .onConflict(conflict => conflict.columns(['name', 'guard_name']).doUpdateSet({ guard_name: guard }))
        .returning('id')
        .executeTakeFirstOrThrow()
      await database.kysely
        .insertInto('model_has_permissions')
        .values({ permission_id: row.id, model_type: USER_TYPE, model_id: id })
        .execute()
      return (await get(app, '/may', token)).status
    }
    t.equal(await add('web'), 200)
    t.equal(await add('api'), 200)
    t.equal(await add('admin'), 403)
  })

  t.test('a prohibition, direct or by a sanction, until it ends', async t => {
    const app = await startApp(t, { database, routes })
    const prohibition = await database.kysely
      .selectFrom('prohibitions')
      .select('id')
      .where('name', '=', 'view playlist')
      .executeTakeFirstOrThrow()
    const ban = async (expires_at: string | null, model_type = USER_TYPE) => {
      const user = await aUser(database, { roles: ['Verified'] })
      await database.kysely
        .insertInto('model_prohibitions')
        .values({ ...RESTRICTION, model_type, model_id: user.id, prohibition_id: prohibition.id, expires_at })
        .execute()
      return get(app, '/may', user.token)
    }
    const banned = await ban(null)
    t.equal(banned.status, 403)
    t.strictSame(banned.json, {
      message: 'You have been banned from performing this action. Please check your email for more details.',
    })
    t.equal((await ban('2026-03-01 12:00:01')).status, 403)
    t.equal((await ban('2026-03-01 12:00:00')).status, 200, 'over at that moment')
    t.equal(
      (await ban(null, 'App\\Models\\User')).status,
      403,
      "under the class name of stock Laravel's user",
    )
    t.equal((await ban(null, 'App\\Models\\Robot')).status, 200, 'of somebody who is no user')

    const sanction = await database.kysely
      .insertInto('sanctions')
      .values({ name: 'silence', created_at: null, updated_at: null })
      .returning('id')
      .executeTakeFirstOrThrow()
    await database.kysely
      .insertInto('sanction_prohibition')
      .values({
        sanction_id: sanction.id,
        prohibition_id: prohibition.id,
        created_at: null,
        updated_at: null,
      })
      .execute()
    const sanctioned = async (expires_at: string | null, permissions: string[] = []) => {
      const user = await aUser(database, { roles: ['Verified'], permissions })
      await database.kysely
        .insertInto('model_sanctions')
        .values({
          ...RESTRICTION,
          model_type: USER_TYPE,
          model_id: user.id,
          sanction_id: sanction.id,
          expires_at,
        })
        .execute()
      return (await get(app, '/may', user.token)).status
    }
    t.equal(await sanctioned(null), 403)
    t.equal(await sanctioned('2026-03-01 11:59:59'), 200)
    t.equal(await sanctioned(null, ['bypass authorization']), 200, 'bypass authorization outweighs it')
  })

  t.test('bypass authorization needs nothing else', async t => {
    const app = await startApp(t, { database, routes })
    const { token } = await aUser(database, { permissions: ['bypass authorization'] })
    t.equal((await get(app, '/may', token)).status, 200)
  })

  t.test('where nobody has to be known, a wrong token is nobody and a user needs the permission', async t => {
    const app = await startApp(t, { database, routes })
    const nobody = await aUser(database)
    const user = await aUser(database, { permissions: ['view playlist'] })
    t.strictSame((await get(app, '/open')).json, { user: null })
    t.strictSame((await get(app, '/open', '1|wrong')).json, { user: null })
    t.equal((await get(app, '/open', '1|wrong')).status, 200)
    t.strictSame((await get(app, '/open', user.token)).json, { user: user.id })
    t.equal((await get(app, '/open', nobody.token)).status, 403)
  })

  t.test('where it does not matter, nobody is looked up', async t => {
    const app = await startApp(t, { database, routes })
    const { token } = await aUser(database)
    database.statements.length = 0
    t.strictSame((await get(app, '/free', token)).json, { identity: null })
    t.strictSame(database.statements, [])
  })

  t.test('a route that loads a row cannot forget to check the permission', async t => {
    const load = rowLoader({ find: async () => ({ secret: true }), allows: () => true })
    const access = { auth: 'required', permission: 'view playlist', load } as const
    const app = await startApp(t, {
      database,
      routes: app => {
        app.get('/checks', { config: { access } }, async request => rowOf(request))
        app.get('/forgets', { config: { access } }, async () => ({ secret: true }))
      },
    })
    const may = await aUser(database, { permissions: ['view playlist'] })
    const mayNot = await aUser(database)
    for (const path of ['/checks', '/forgets']) {
      t.equal((await get(app, path)).status, 401)
      const refused = await get(app, path, mayNot.token)
      t.equal(refused.status, 403)
      t.notMatch(refused.text, 'secret')
      t.equal((await get(app, path, may.token)).status, 200)
    }
  })

  t.test('a route that does not say who may call it stops the start', async t => {
    await t.rejects(
      startApp(t, { database, routes: app => app.get('/undeclared', async () => 'x') }),
      /The route GET \/undeclared does not say who may call it/,
    )
  })
})

const RESTRICTION = {
  moderator_type: null,
  moderator_id: null,
  reason: null,
  created_at: null,
  updated_at: null,
}

t.test('errors', async t => {
  const access = { auth: 'none' } as const
  const routes = (app: FastifyInstance) => {
    app.get('/boom', { config: { access } }, async () => {
      throw new Error('select secret from somewhere')
    })
    app.get('/gone', { config: { access } }, async () => {
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
  const json = (app: FastifyInstance, url: string, payload: string, type = 'application/json') =>
    send(app, 'POST', url, { payload, headers: { 'content-type': type } })

  t.test('an unknown path is 404, whatever the method, the body and the type', async t => {
    const app = await startApp(t, { database, routes })
    for (const [method, path] of [
      ['GET', '/api/nope'],
      ['DELETE', '/api/nope'],
      ['GET', '/nope/at/all'],
      ['OPTIONS', '/nope'],
      ['GET', '/api/me/unknown'],
      ['GET', '//api/me'],
      ['GET', '/API/ME'],
      ['GET', '/api/me;x'],
    ] as const) {
      const answer = await send(app, method, path)
      t.equal(answer.status, 404, `${method} ${path}`)
      t.strictSame(answer.json, { message: `The route ${path.slice(1)} could not be found.` })
    }
    t.equal((await json(app, '/api/nope', '{ not json')).status, 404)
    t.equal((await json(app, '/api/nope', 'x', 'image/png')).status, 404)
    t.strictSame((await get(app, '/nope?token=1')).json, { message: 'The route nope could not be found.' })
  })

  t.test('another method on a known path is 405 and says which there are', async t => {
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
    t.equal((await json(app, '/api/me', '{ not json')).status, 405)
    const options = await send(app, 'OPTIONS', '/api/me')
    t.equal(options.status, 200)
    t.equal(options.headers.allow, 'GET, HEAD')
    t.equal(options.text, '')
  })

  t.test('an encoded path meets the same guard', async t => {
    const app = await startApp(t, { database })
    const answer = await get(app, '/%61pi/me')
    t.equal(answer.status, 401)
    t.ok('x-ratelimit-limit' in answer.headers)
  })

  t.test('what cannot be read is 400, 413 or 415, never 500', async t => {
    const app = await startApp(t, { database, routes })
    for (const [status, message, answer] of [
      [400, 'The request body is not valid JSON.', await json(app, '/echo', '{"a":')],
      [400, 'The request body is not valid JSON.', await json(app, '/echo', '{"__proto__":{"x":1}}')],
      [
        400,
        'The request body is not valid JSON.',
        await json(app, '/echo', '{"constructor":{"prototype":{}}}'),
      ],
      [
        413,
        'The request body is larger than 65536 bytes.',
        await json(app, '/echo', `"${'x'.repeat(65_536)}"`),
      ],
      [415, 'The media type image/png is not supported.', await json(app, '/echo', 'x', 'image/png')],
      [400, 'Bad request.', await get(app, '/%zz')],
      [400, 'Bad request.', await get(app, '/api/%c0%ae')],
    ] as const) {
      t.equal(answer.status, status, message)
      t.strictSame(answer.json, { message })
      t.equal(answer.headers['x-content-type-options'], 'nosniff')
    }
    const unreadable = await get(app, '/%zz')
    t.equal(unreadable.headers.vary, 'Origin', 'which does not depend on the page that asks')
    t.ok(
      app.logged.find(({ reqId, status }) => reqId === unreadable.headers['x-request-id'] && status === 400),
    )
    t.strictSame((await json(app, '/echo', '{"a":1}')).json, { a: 1 })
    for (const type of ['application/vnd.api+json', 'application/problem+json; charset=utf-8']) {
      t.strictSame((await json(app, '/echo', '{"a":1}', type)).json, { a: 1 }, type)
    }
    for (const type of ['text/plain+jsonp', 'application/json+x', 'image/x+png']) {
      t.equal((await json(app, '/echo', '{"a":1}', type)).status, 415, type)
    }
    t.equal((await json(app, '/echo', '')).status, 200, 'no body is no fault, whatever its type')
    const form = 'application/x-www-form-urlencoded'
    t.strictSame((await json(app, '/echo', 'a[b]=1&c=+x+&d=', form)).json, {
      a: { b: '1' },
      c: ' x ',
      d: null,
    })
    t.strictSame(
      (await json(app, '/echo', '__proto__[x]=1', form)).json,
      JSON.parse('{"__proto__":{"x":"1"}}'),
    )
    t.equal(({} as { x?: string }).x, undefined)
    t.equal((await json(app, '/echo', 'a=1&'.repeat(101), form)).status, 400)
  })

  t.test("a schema's faults are all told, in Laravel's form", async t => {
    const app = await startApp(t, { database, routes })
    const answer = await json(
      app,
      '/form',
      JSON.stringify({ age: 'x', email: 'nobody', kind: 'c', deep: { flag: 'maybe' } }),
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

    const one = await json(app, '/form', '{"user_name":"too long"}')
    t.strictSame(one.json, {
      message: 'The user name must not be greater than 5 characters.',
      errors: { user_name: ['The user name must not be greater than 5 characters.'] },
    })
    t.strictSame((await json(app, '/form', '{"user_name":"","age":0}')).json, {
      message: 'The user name field is required. (and 1 more error)',
      errors: { user_name: ['The user name field is required.'], age: ['The age must be at least 1.'] },
    })
    t.match((await json(app, '/form', '{"user_name":"a","age":101}')).json.errors, {
      age: ['The age must not be greater than 100.'],
    })
    t.match((await json(app, '/form', '{"user_name":["a"]}')).json.errors, {
      user_name: ['The user name must be a string.'],
    })
    t.equal((await json(app, '/form', '[]')).status, 422)
  })

  t.test('an error inside is 500 without a word of it, and all of it in the log', async t => {
    const app = await startApp(t, { database, routes })
    const answer = await get(app, '/boom')
    t.equal(answer.status, 500)
    t.strictSame(answer.json, { message: 'Server Error' })
    t.match(JSON.stringify(app.logged), 'select secret from somewhere')
    const line = app.logged.find(({ msg }) => msg === 'request failed')
    t.equal(line?.reqId, answer.headers['x-request-id'], 'found by the id that the client was given')
  })

  t.test('a database that is gone is 503, and says when to come back', async t => {
    const app = await startApp(t, { database, routes })
    const answer = await get(app, '/gone')
    t.equal(answer.status, 503)
    t.equal(answer.headers['retry-after'], '5')
    t.strictSame(answer.json, { message: 'Service Unavailable' })
  })
})

t.test('hosts', async t => {
  t.test('in production only ours are answered, save for health checks', async t => {
    const app = await startApp(t, {
      database,
      environment: { ...PRODUCTION, APP_HOSTS: 'me.example.org, *.preview.example.org' },
    })
    const refusals = () =>
      app.logged.filter(({ msg }) => /^a request was refused: its host/.test(String(msg)))
    for (const [host, status] of [
      ['api.example.org', 401],
      ['API.example.org:443', 401],
      ['me.example.org', 401],
      ['a.preview.example.org', 401],
      ['preview.example.org', 400],
      ['evil.example', 400],
      ['api.example.org.evil.example', 400],
      ['evilpreview.example.org', 400],
      ['', 400],
    ] as const) {
      const answer = await send(app, 'GET', '/api/me', { headers: { host } })
      t.equal(answer.status, status, host)
      if (status === 400) {
        t.strictSame(answer.json, { message: 'The host that the request names is not one of this server.' })
      }
    }
    t.match(refusals(), [
      {
        level: 40,
        host: 'preview.example.org',
        msg: 'a request was refused: its host is neither that of APP_URL (api.example.org) nor in APP_HOSTS (me.example.org,*.preview.example.org)',
      },
    ])
    t.equal(refusals().length, 1, 'one line, however many there are')
    app.clock.advance(MINUTE)
    t.match(app.logged.at(-1), { count: 4, msg: /further requests were refused/ })
    app.clock.advance(MINUTE)
    await send(app, 'GET', '/api/me', { headers: { host: `${'x'.repeat(3000)}.example` } })
    t.equal(refusals().length, 2)
    t.equal(String(refusals()[1]?.host).length, 260, 'of a host of any length a part is told')
    const forged = { host: 'api.example.org', 'x-forwarded-host': 'evil.example' }
    t.equal(
      (await send(app, 'GET', '/api/me', { headers: forged })).status,
      401,
      'a forwarded host is not believed',
    )
    for (const url of ['/health/live', '/health/ready']) {
      t.equal((await send(app, 'GET', url, { headers: { host: '10.0.0.1:8000' } })).status, 200, url)
    }
    t.equal((await send(app, 'GET', '/nope', { headers: { host: 'evil.example' } })).status, 400)
  })

  t.test('elsewhere any host is', async t => {
    const app = await startApp(t, { database })
    t.equal((await send(app, 'GET', '/api/me', { headers: { host: 'anything.test' } })).status, 401)
  })

  t.test('two Host headers, or another host in the target, are 400, whatever the route', async t => {
    for (const environment of [{}, PRODUCTION]) {
      const app = await startApp(t, { database, environment: { ...environment, APP_HOSTS: 'localhost' } })
      const client = await RawClient.connect(t, app)
      const statusOf = async (head: string) => {
        client.write(`${head}\r\n\r\n`)
        return (await client.answer()).status
      }
      for (const path of ['/api/me', '/health/live', '/nope', '/api/playlist?page[size]=1']) {
        for (const hosts of [
          ['localhost', 'evil.test'],
          ['evil.test', 'localhost'],
          ['localhost', 'localhost'],
        ]) {
          const lines = hosts.map((host, i) => `${i ? 'hOST' : 'Host'}: ${host}`).join('\r\n')
          t.equal(await statusOf(`GET ${path} HTTP/1.1\r\n${lines}`), 400, `${path} ${hosts}`)
        }
        for (const target of [
          'http://evil.test',
          'https://evil.test',
          'http://localhost@evil.test',
          'http://user@localhost',
          'http://localhost:81',
          'http://',
          'HTTP://evil.test',
        ]) {
          t.equal(await statusOf(`GET ${target}${path} HTTP/1.1\r\nHost: localhost`), 400, target + path)
        }
      }
      t.equal(await statusOf('GET http://localhost/api/me HTTP/1.1\r\nHost: localhost'), 401)
      t.equal(await statusOf('GET http://LOCALHOST/health/live HTTP/1.1\r\nHost: localhost'), 200)
      t.equal(await statusOf('GET http://localhost?x=1 HTTP/1.1\r\nHost: localhost'), 302)
      const form = 'Content-Type: application/x-www-form-urlencoded\r\nContent-Length: 14'
      client.write(`POST http://evil.test/login HTTP/1.1\r\nHost: localhost\r\n${form}\r\n\r\n_method=DELETE`)
      t.equal((await client.answer()).status, 400)
    }
  })
})

t.test('CORS', async t => {
  const app = await startApp(t, {
    database,
    environment: {
      APP_URL: 'https://api.example.org',
      SANCTUM_STATEFUL_DOMAINS: 'http://localhost:3000,*.example.org',
      CORS_ALLOWED_ORIGINS: 'https://partner.test',
    },
  })
  const open = await startApp(t, {
    database,
    environment: { SANCTUM_STATEFUL_DOMAINS: 'localhost:3000', CORS_ALLOWED_ORIGINS: '*' },
  })
  const corsOf = ({ headers }: Answer) =>
    Object.fromEntries(Object.entries(headers).filter(([name]) => /^access-control-|^vary$/.test(name)))
  const EXPOSED =
    'X-RateLimit-Limit, X-RateLimit-Remaining, X-RateLimit-Reset, Retry-After, X-Retry-After, X-Request-Id, X-Revoked-Tokens'
  const preflight = (server: FastifyInstance, origin: string, url = '/api/me') =>
    send(server, 'OPTIONS', url, {
      headers: {
        origin,
        'access-control-request-method': 'PUT',
        'access-control-request-headers': 'x-xsrf-token,content-type',
      },
    })

  t.test('lets pages of ours, and those that are named, read answers with cookies', async t => {
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

  t.test('lets nobody else', async t => {
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
      const { status } = await preflight(app, origin)
      t.equal(status, 204)
      const allowed = Object.keys((await preflight(app, origin)).headers).filter(name =>
        /^access-control/.test(name),
      )
      t.strictSame(allowed, [], `preflight: ${origin}`)
    }
    t.strictSame(corsOf(await get(app, '/api/me')), { vary: 'Origin' }, 'and always says what it depends on')
  })

  t.test('answers a preflight before anything else does, whatever the path', async t => {
    for (const url of ['/api/me', '/login', '/api/unknown']) {
      const answer = await preflight(app, 'http://localhost:3000', url)
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
    t.equal(plain.status, 200, 'without the header of a preflight it is none')
    t.equal(plain.headers.allow, 'GET, HEAD')
  })

  t.test('with CORS_ALLOWED_ORIGINS=* lets others read, but never with cookies', async t => {
    t.strictSame(corsOf(await get(open, '/api/me', undefined, { origin: 'https://evil.test' })), {
      vary: 'Origin',
      'access-control-allow-origin': '*',
      'access-control-expose-headers': EXPOSED,
    })
    t.notOk('access-control-allow-credentials' in (await preflight(open, 'https://evil.test')).headers)
    t.match(await get(open, '/api/me', undefined, { origin: 'http://localhost:3000' }), {
      headers: { 'access-control-allow-credentials': 'true' },
    })
  })

  t.test('is there on answers that say no', async t => {
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

t.test('what is logged by its name has its secrets taken out', async t => {
  const app = await startApp(t, { database })
  const secrets = {
    authorization: 's3cret',
    cookie: 's3cret',
    'set-cookie': 's3cret',
    password: 's3cret',
    token: 's3cret',
  }
  app.log.info({ ...secrets, user: secrets, request: { headers: secrets } }, 'with secrets')
  app.log.error(
    { err: Object.assign(new Error('failed'), { params: ['s3cret'], cause: secrets }) },
    'with an error',
  )
  const lines = JSON.stringify(app.logged.filter(({ msg }) => /^with /.test(String(msg))))
  t.match(lines, '[redacted]')
  t.notMatch(lines, 's3cret')
})

t.test('LOG_REQUESTS says which requests get a line', async t => {
  for (const [setting, expected] of [
    ['all', 20],
    ['errors', 10],
    ['0.5', 15],
    ['0.1', 11],
  ] as const) {
    const app = await startApp(t, { database, environment: { LOG_REQUESTS: setting } })
    for (let n = 0; n < 10; n += 1) {
      await get(app, '/health/live')
      await get(app, '/api/me')
    }
    const lines = app.logged.filter(({ msg }) => msg === 'request')
    t.equal(lines.length, expected, setting)
    t.equal(lines.filter(({ status }) => status === 401).length, 10, 'what went wrong always does')
    t.ok(lines.every(({ reqId }) => typeof reqId === 'string'))
  }
})

t.test('the log of a request', async t => {
  const app = await startApp(t, {
    database,
    environment: { LOG_LEVEL: 'info' },
    routes: app => {
      app.get('/logs', { config: { access: { auth: 'none' } } }, async ({ log, id }) => {
        log.debug('not written')
        log.info({ n: 1 }, 'written')
        log.child({ part: 'x' }).warn('below')
        return { id, level: log.level }
      })
    },
  })
  const { json } = await get(app, '/logs')
  t.equal(json.level, 'info')
  const lines = app.logged.filter(({ reqId }) => reqId === json.id)
  t.match(lines, [
    { msg: 'written', n: 1 },
    { msg: 'below', part: 'x', level: 40 },
    { msg: 'request', status: 200 },
  ])
  t.equal(lines.length, 3)
})

t.test('with HTTPS the browser is told to stay with it', async t => {
  const https = await startApp(t, { database, environment: PRODUCTION })
  const answer = await send(https, 'GET', '/api/me', { headers: { host: 'api.example.org' } })
  t.equal(answer.headers['strict-transport-security'], 'max-age=31536000')
  for (const [settings, expected] of [
    [{ HSTS_MAX_AGE: '0' }, 'max-age=0'],
    [{ HSTS_MAX_AGE: '600', HSTS_INCLUDE_SUBDOMAINS: 'true' }, 'max-age=600; includeSubDomains'],
    [
      { HSTS_MAX_AGE: '63072000', HSTS_INCLUDE_SUBDOMAINS: 'true', HSTS_PRELOAD: 'true' },
      'max-age=63072000; includeSubDomains; preload',
    ],
  ] as const) {
    const app = await startApp(t, { database, environment: { ...PRODUCTION, ...settings } })
    const { headers } = await send(app, 'GET', '/api/me', { headers: { host: 'api.example.org' } })
    t.equal(headers['strict-transport-security'], expected)
  }
  const http = await startApp(t, { database })
  t.notOk('strict-transport-security' in (await get(http, '/api/me')).headers)
})

t.test("API_PATH=/ with AUTH_PATH=/auth, as AnimeThemes' website expects", async t => {
  const app = await startApp(t, {
    database,
    environment: { API_PATH: '/', AUTH_PATH: '/auth', RATE_LIMIT_ANONYMOUS: '3' },
  })
  const { token } = await aUser(database)
  const answer = await get(app, '/me', token)
  t.equal(answer.status, 200)
  t.ok('x-ratelimit-limit' in answer.headers)
  t.equal((await get(app, '/me')).status, 401)
  t.equal((await get(app, '/api/me')).status, 404)
  t.ok('x-ratelimit-limit' in (await get(app, '/unknown')).headers)
  t.equal((await get(app, '/unknown')).status, 429)
  for (const [url, status] of [
    ['/auth/unknown', 404],
    ['/auth', 404],
    ['/docs/', 200],
    ['/health/live', 200],
    ['/openapi.json', 200],
    ['/', 302],
  ] as const) {
    const other = await get(app, url)
    t.equal(other.status, status, url)
    t.notOk('x-ratelimit-limit' in other.headers, url)
  }
  t.ok('/me' in (await get(app, '/openapi.json')).json.paths)
})

t.test('what is not HTTP is told so, and hung up on', async t => {
  const app = await startApp(t, { database })
  await app.listen({ host: '127.0.0.1', port: 0 })
  const address = app.server.address()
  const port = typeof address === 'object' && address !== null ? address.port : 0
  const talk = (bytes: string) =>
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
    ['no HTTP at all', 'what is this\r\n\r\n', /^HTTP\/1.1 400 /],
    [
      'two lengths',
      'POST /api/me HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nxx',
      /^HTTP\/1.1 400 /,
    ],
    [
      'a length and chunks',
      'POST /api/me HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n',
      /^HTTP\/1.1 400 /,
    ],
    [
      'odd chunks',
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
    const answer = await talk(bytes)
    t.match(answer, expected, name)
    t.match(answer, /\r\n\r\n\{"message":"[^"]+"\}$/, `${name}: Laravel's body`)
  }
  const twice =
    'GET /api/me HTTP/1.1\r\nHost: a\r\nConnection: close\r\nAuthorization: Bearer x\r\nAuthorization: Bearer'
  const { token } = await aUser(database)
  t.match(
    await talk(`${twice} ${token}\r\n\r\n`),
    /^HTTP\/1.1 401 /,
    'of two Authorization headers the first counts',
  )
})
