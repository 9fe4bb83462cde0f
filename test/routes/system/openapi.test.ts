import { readFileSync } from 'node:fs'
import type { Request } from 'playwright-core'
import t from 'tap'
import { type Json, operationsOf, resolvePart } from '../../fixtures/openapi.ts'
import { launch, skip } from '../../fixtures/spa.ts'
import { aUser } from '../../fixtures/users.ts'
import { get, startApp } from '../../support/app.ts'
import { createDatabase } from '../../support/databases.ts'

const database = await createDatabase(t, 'postgres')
t.teardown(() => database.close())

t.test('the OpenAPI document', async t => {
  const app = await startApp(t, { database })
  const { status, json, headers } = await get(app, '/openapi.json')
  t.equal(status, 200)
  t.match(headers['content-type'], /^application\/json/)

  await t.test('it equals openapi/openapi.json in the repository', async t => {
    const file = readFileSync(new URL('../../../../openapi/openapi.json', import.meta.url), 'utf8')
    t.strictSame(json, JSON.parse(file))
  })

  const resolve = (part: Json): Json => resolvePart(json, part)
  const parametersOf = (path: string, method = 'get') =>
    new Map<string, Json>(
      operationsOf(json)
        .find(one => one.path === path && one.method === method)
        ?.parameters.map(one => [one.name, one]),
    )

  await t.test('every operation has an id, descriptions, headers and examples', async t => {
    t.equal(json.openapi, '3.1.0')
    const ids = new Set<string>()
    for (const { path, method, operation } of operationsOf(json)) {
      const name = `${method} ${path}`
      t.ok(operation.operationId && !ids.has(operation.operationId), `${name}: a unique operationId`)
      ids.add(operation.operationId)
      t.ok(operation.summary && operation.description, `${name}: summary and description`)
      t.ok(operation.tags?.length > 0, `${name}: a tag`)
      for (const [code, part] of Object.entries<Json>(operation.responses)) {
        const response = resolve(part)
        t.ok(response.description && response.headers, `${name}: ${code}`)
        t.equal('content' in response, !['204', '302', '304'].includes(code), `${name}: ${code} has a body`)
      }
    }
    for (const [name, { content = {} }] of Object.entries<Json>(json.components.responses)) {
      for (const { schema, example } of Object.values<Json>(content)) {
        const isRow = Object.values<Json>(schema.properties ?? {}).some(({ $ref, items }) => $ref ?? items)
        t.ok(isRow || example !== undefined, `${name} has an example`)
      }
    }
  })

  await t.test('it is small: no part is repeated', async t => {
    t.ok(
      Buffer.byteLength(JSON.stringify(json)) < 200_000,
      `${Buffer.byteLength(JSON.stringify(json))} bytes`,
    )
    const used = JSON.stringify(json)
    for (const [kind, parts] of Object.entries<object>(json.components)) {
      if (kind === 'securitySchemes') continue
      for (const name of Object.keys(parts))
        t.ok(used.includes(`"#/components/${kind}/${name}"`), `${kind} ${name}`)
    }
  })

  await t.test('query parameters have their literal names and types', async t => {
    const parameters = parametersOf('/api/playlist')
    for (const [name, schema] of Object.entries({
      'filter[name]': { type: 'array', items: { type: 'string' } },
      'filter[name-like]': { type: 'string' },
      'filter[visibility]': {
        type: 'array',
        items: { type: 'string', enum: ['Public', 'Private', 'Unlisted'] },
      },
      'filter[created_at-gte]': { type: 'string', pattern: /^\^/ },
      'filter[track][video_id]': { type: 'array', items: { type: 'integer' }, uniqueItems: true },
      'filter[video]': {
        type: 'object',
        properties: { resolution: { type: 'integer' }, 'resolution-gte': { type: 'integer' } },
      },
      'page[number]': { type: 'integer', minimum: 1 },
      'page[size]': { type: 'integer', minimum: 1, maximum: 100 },
      q: { type: 'string' },
    })) {
      t.match(resolve(parameters.get(name)?.schema), schema, name)
    }
    for (const name of ['fields[playlist]', 'fields[track]', 'include', 'sort', 'filter[has]']) {
      const { explode, schema } = parameters.get(name)
      t.equal(explode, false, `${name} is a comma-separated list`)
      t.ok(schema.items.enum.length > 1, `${name} is enumerated`)
    }
    t.ok(parameters.get('sort').schema.items.enum.includes('-name'))
    t.notOk(parameters.has('X-XSRF-TOKEN'))
    t.ok(parametersOf('/api/playlist', 'post').has('X-XSRF-TOKEN'))
    t.match(parametersOf('/api/me/token/{token}').get('token')?.schema, { type: 'integer' })
    t.match(parametersOf('/api/playlist/{playlist}').get('playlist')?.schema, { type: 'string' })
  })

  await t.test('every filter, field, include and sort that it names is accepted', async t => {
    const { token } = await aUser(database, { roles: ['Admin'] })
    const VALUES: Record<string, string> = { integer: '1', number: '1', boolean: 'true', string: 'x' }
    const textOf = (part: Json): string => {
      const schema = resolve(part)
      if (schema.enum) return schema.enum[0]
      if (schema.pattern) return '2026'
      return schema.type === 'array' ? textOf(schema.items) : (VALUES[schema.type] ?? '')
    }
    for (const path of [
      '/api/me',
      '/api/me/playlist',
      '/api/playlist',
      '/api/me/externalprofile',
      '/api/me/token',
      '/api/me/activity',
      '/api/me/notification',
    ]) {
      for (const [name, { schema }] of parametersOf(path)) {
        const properties = schema.properties ?? (schema.additionalProperties ? {} : { '': schema })
        for (const [key, part] of Object.entries<Json>(properties)) {
          const query = `${name}${key && `[${key}]`}=${textOf(part)}`
          const { status } = await get(app, `${path}?${query}`, token)
          t.equal(status, 200, `${path}?${query}`)
        }
      }
    }
  })

  await t.test('bodies are JSON or forms, in which brackets mark lists', async t => {
    for (const { path, method, operation } of operationsOf(json)) {
      if (operation.requestBody === undefined) continue
      t.strictSame(
        Object.keys(resolve(operation.requestBody).content),
        ['application/json', 'application/x-www-form-urlencoded', 'multipart/form-data'],
        `${method} ${path}`,
      )
    }
    const { content } = json.paths['/api/me/token'].post.requestBody
    const [asJson, asForm] = Object.values<Json>(content).map(({ schema }) =>
      Object.keys(resolve(schema).properties),
    )
    t.strictSame(asJson, ['name', 'abilities', 'allowed_ips', 'expires_at'])
    t.strictSame(asForm, ['name', 'abilities[]', 'allowed_ips[]', 'expires_at'])
  })

  await t.test('rows have their default fields, and others on request', async t => {
    const { Token, Playlist, CurrentUser } = json.components.schemas
    t.match(Token.properties.abilities, { type: ['array', 'null'], items: { type: 'string' } })
    t.ok(Token.required.includes('abilities'))
    t.notOk(Playlist.required.includes('tracks_count'))
    const issued = resolve(json.paths['/api/me/token'].post.responses[201]).content['application/json'].schema
    t.strictSame(issued.properties.token, { $ref: '#/components/schemas/Token' })
    const user = await aUser(database)
    const parameters = parametersOf('/api/me')
    const fields = parameters.get('fields[user]').schema.items.enum
    const include = parameters.get('include').schema.items.enum
    const complete = await get(app, `/api/me?fields[user]=${fields}&include=${include}`, user.token)
    t.strictSame(
      Object.keys(complete.json.user),
      Object.keys(CurrentUser.properties),
      'all fields and includes',
    )
  })

  await t.test('fields that only the use-case requires are required', async t => {
    const { RegisterInput, LoginInput, ResetPasswordInput, TwoFactorConfirmInput } = json.components.schemas
    t.strictSame(RegisterInput.required, ['name', 'email', 'password', 'password_confirmation', 'terms'])
    t.strictSame(LoginInput.required, ['email', 'password'])
    t.strictSame(ResetPasswordInput.required, ['token', 'email', 'password', 'password_confirmation'])
    t.strictSame(TwoFactorConfirmInput.required, ['code'])
    t.strictSame(RegisterInput.properties.name, { type: 'string' })
    t.strictSame(LoginInput.properties.remember.type, ['boolean', 'integer', 'string', 'null'])
  })

  await t.test('the one for Swagger UI is without the headers that all responses have', async t => {
    const pages = (await get(app, '/docs/json')).json
    t.strictSame(pages.servers, [{ url: '..' }])
    t.strictSame(Object.keys(pages.components.responses.Unauthenticated.headers), ['WWW-Authenticate'])
    t.notOk('headers' in pages.components.responses.NotFound)
    t.ok('X-Request-Id' in json.components.responses.NotFound.headers)
    t.strictSame(pages.components.parameters.include, json.components.parameters.include)
    t.notOk('example' in pages.components.parameters['path.playlist'])
    const { content } = pages.components.requestBodies.PlaylistUpdate
    t.strictSame(Object.keys(content), ['application/json'])
    t.strictSame(pages.components.schemas.PlaylistUpdateInput.examples, [{}], 'nothing optional is filled in')
    t.strictSame(pages.components.schemas.TwoFactorChallengeInput.examples, [{ code: '123456' }])
  })

  await t.test('it follows the settings of the server', async t => {
    t.strictSame(json.security, [{ token: [] }, { session: [] }])
    t.notOk('security' in json.paths['/api/me'].get)
    t.strictSame(json.components.securitySchemes.session.name, 'animethemes_session')
    t.strictSame(json.paths['/logout'].post.security, [{ session: [] }])
    t.strictSame(json.paths['/login'].post.security, [])
    t.strictSame(json.servers, [{ url: 'http://localhost:8000' }])
    const codesOf = (document: Json, path: string, method: string) =>
      Object.keys(document.paths[path][method].responses)
    t.strictSame(codesOf(json, '/login', 'post'), ['200', '419', '422', '429', 'default'])
    t.strictSame(codesOf(json, '/api/me', 'get'), ['200', '401', '403', '422', '429', 'default'])
    t.strictSame(codesOf(json, '/register', 'post'), ['200', '201', '419', '422', '429', 'default'])
    const marking = '/api/me/notification/{notification}/read'
    t.strictSame(codesOf(json, marking, 'put'), ['200', '401', '403', '404', '419', '429', 'default'])
    const strictApp = await startApp(t, {
      database,
      environment: { CSRF_MODE: 'origin-only', AUTH_PATH: '/auth', APP_URL: 'https://api.example.org' },
    })
    const strict = (await get(strictApp, '/openapi.json', undefined, { host: 'api.example.org' })).json
    t.strictSame(codesOf(strict, '/auth/login', 'post'), ['200', '403', '422', '429', 'default'])
    t.match(strict.info.description, 'then `POST /auth/login`, and')
    t.strictSame(strict.servers, [{ url: 'https://api.example.org' }])
  })
})

t.test('the documentation page has a Content-Security-Policy and loads nothing from other hosts', async t => {
  const app = await startApp(t, { database })
  t.match((await get(app, '/')).headers, { location: '/docs/' })
  const page = await get(app, '/docs/')
  t.equal(page.headers['referrer-policy'], 'same-origin')
  t.match(page.headers['content-security-policy'], "script-src 'self';")
  t.notMatch(page.text, /https?:\/\//, 'no absolute URLs')
  t.match(await get(app, '/docs'), { status: 302, headers: { location: 'docs/' } })
})

t.test(
  'the files of the documentation page are cached for ever under the URL with their version',
  async t => {
    const app = await startApp(t, { database })
    const urls = [...(await get(app, '/docs/')).text.matchAll(/"(static\/[^"]+)"/g)].map(
      ([, url]) => url as string,
    )
    t.equal(urls.length, 3)
    for (const url of urls) {
      const file = await get(app, `/docs/${url}`)
      t.equal(file.status, 200, url)
      t.equal(file.headers['cache-control'], 'public, max-age=31536000, immutable', url)
      t.match(file.headers['content-type'], url.includes('.css') ? /^text\/css/ : /^text\/javascript/)
      for (const other of [url.replace(/\?.*/, ''), `${url}0`, `${url}&v=1`]) {
        const answer = await get(app, `/docs/${other}`)
        t.equal(answer.status, 200, other)
        t.equal(answer.headers['cache-control'], 'no-cache', other)
      }
    }
    t.equal((await get(app, '/docs/static/swagger-ui-standalone-preset.js')).status, 404)
    t.equal((await get(app, '/docs/static/..%2f..%2fpackage.json')).status, 404)
  },
)

t.test('Swagger UI in a browser', { skip }, async t => {
  const user = await aUser(database, { roles: ['Verified'] })
  const app = await startApp(t, { database })
  const base = await app.listen({ host: '127.0.0.1', port: 0 })
  const browser = await launch(t)
  const page = await browser.newPage()
  const consoleErrors: string[] = []
  const hosts = new Set<string>()
  page.on('console', message => message.type() === 'error' && consoleErrors.push(message.text()))
  page.on('pageerror', error => consoleErrors.push(error.message))
  page.on('request', request => hosts.add(new URL(request.url()).host))
  const finished: Request[] = []
  page.on('requestfinished', request => finished.push(request))

  await page.goto(`${base}/docs`)
  await page.getByText('Show the authenticated user', { exact: true }).waitFor()
  await page.waitForLoadState('networkidle')
  // Asked for the first load alone: the size of a request that finishes while the browser closes is a rejection.
  const sizes = await Promise.all(finished.map(request => request.sizes()))
  const transferred = sizes.reduce((sum, size) => sum + size.responseBodySize + size.responseHeadersSize, 0)
  t.comment(`${sizes.length} requests, ${transferred} bytes`)
  t.ok(transferred > 300_000 && transferred < 400_000, `the first load transfers ${transferred} bytes`)
  t.strictSame(consoleErrors, [], 'the Content-Security-Policy blocks nothing')

  await page.getByRole('button', { name: 'Authorize', exact: true }).first().click()
  await page.locator('#auth-bearer-value').fill(user.token)
  await page.locator('.auth-container').first().getByRole('button', { name: 'Apply credentials' }).click()
  await page.getByRole('button', { name: 'Close' }).first().click()
  await page.getByText('Show the authenticated user', { exact: true }).click()
  const answer = page.waitForResponse(response => response.url().startsWith(`${base}/api/me`))
  await page.getByRole('button', { name: 'Execute' }).click()
  t.equal((await answer).status(), 200, (await answer).url())
  await page
    .locator('.live-responses-table .response-col_description')
    .getByText(user.email)
    .first()
    .waitFor()
  t.pass('a request from the page returns the owner of the token')
  const list = page.locator('.opblock', { hasText: "List the user's playlists" })
  await list.getByText("List the user's playlists").click()
  const listed = page.waitForResponse(response => response.url().startsWith(`${base}/api/me/playlist`))
  await list.getByRole('button', { name: 'Execute' }).click()
  t.equal((await listed).status(), 200, 'the offered query parameters are valid')
  t.equal(new URL((await listed).url()).search, '', 'nothing optional is sent')

  t.strictSame(
    [...hosts].filter(host => host !== new URL(base).host && host !== ''),
    [],
    'requests to other hosts',
  )
})
