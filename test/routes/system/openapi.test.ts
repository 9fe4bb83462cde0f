import { readFileSync } from 'node:fs'
import t from 'tap'
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

  await t.test('every operation has an id, descriptions, security, headers and examples', async t => {
    t.equal(json.openapi, '3.1.0')
    const ids = new Set<string>()
    for (const [path, item] of Object.entries<Record<string, unknown>>(json.paths)) {
      // biome-ignore lint/suspicious/noExplicitAny: the document is untyped JSON
      for (const [method, operation] of Object.entries<any>(item)) {
        const name = `${method} ${path}`
        t.ok(operation.operationId && !ids.has(operation.operationId), `${name}: a unique operationId`)
        ids.add(operation.operationId)
        t.ok(operation.summary && operation.description, `${name}: summary and description`)
        t.ok(operation.tags?.length > 0, `${name}: a tag`)
        t.ok(Array.isArray(operation.security), `${name}: security`)
        // biome-ignore lint/suspicious/noExplicitAny: as above
        for (const [code, response] of Object.entries<any>(operation.responses)) {
          t.ok(response.description && response.headers, `${name}: ${code}`)
          // biome-ignore lint/suspicious/noExplicitAny: as above
          for (const content of Object.values<any>(response.content ?? {}))
            t.ok('example' in content || 'examples' in content, `${name}: ${code} has an example`)
          t.equal('content' in response, !['204', '302'].includes(code), `${name}: ${code} has a body`)
        }
      }
    }
  })

  await t.test('it matches the responses and the settings of the server', async t => {
    const operation = json.paths['/api/me'].get
    t.strictSame(operation.security, [{ token: [] }, { session: [] }])
    t.strictSame(json.components.securitySchemes.session.name, 'animethemes_session')
    t.strictSame(json.paths['/logout'].post.security, [{ session: [] }])
    t.strictSame(json.paths['/login'].post.security, [])
    t.strictSame(Object.keys(json.paths['/login'].post.responses), [
      '200',
      '400',
      '413',
      '415',
      '419',
      '422',
      '429',
      '500',
      '503',
    ])
    const strictApp = await startApp(t, {
      database,
      environment: { CSRF_MODE: 'origin-only', AUTH_PATH: '/auth' },
    })
    const strictDocument = (await get(strictApp, '/openapi.json')).json
    t.match(
      Object.keys(strictDocument.paths['/auth/login'].post.responses).join(),
      /,403,.*422/,
      'responses under CSRF_MODE=origin-only',
    )
    t.notOk('419' in strictDocument.paths['/auth/login'].post.responses)
    t.match(strictDocument.info.description, 'then `POST /auth/login`, and')
    const user = await aUser(database)
    for (const answer of [await get(app, '/api/me', user.token), await get(app, '/api/me')]) {
      const response = operation.responses[answer.status]
      t.ok(response, `${answer.status} is described`)
      for (const name of Object.keys(response.headers))
        t.ok(name.toLowerCase() in answer.headers, `${answer.status}: ${name}`)
      const schema = response.content['application/json'].schema
      t.strictSame(Object.keys(answer.json), Object.keys(schema.properties))
    }
    const { user: userSchema } = operation.responses[200].content['application/json'].schema.properties
    t.strictSame(userSchema, { $ref: '#/components/schemas/me' })
    const { properties } = json.components.schemas.me
    const fields = operation.parameters.find(({ name }: { name: string }) => name === 'fields').schema
      .properties
    const include = operation.parameters.find(({ name }: { name: string }) => name === 'include').schema.items
      .enum
    const complete = await get(
      app,
      `/api/me?fields[user]=${fields.user.description.replaceAll(', ', ',')}&include=${include}`,
      user.token,
    )
    t.strictSame(
      Object.keys(complete.json.user),
      Object.keys(properties),
      'a request for all fields and includes',
    )
    t.strictSame(Object.keys(operation.responses), ['200', '400', '401', '403', '422', '429', '500', '503'])
    const marking = json.paths['/api/me/notification/{notification}/read'].put
    t.strictSame(Object.keys(marking.responses), [
      '200',
      '400',
      '401',
      '403',
      '404',
      '419',
      '429',
      '500',
      '503',
    ])
  })
})

t.test('the documentation page has a Content-Security-Policy and loads nothing from other hosts', async t => {
  const app = await startApp(t, { database })
  t.match((await get(app, '/')).headers, { location: '/docs/' })
  const page = await get(app, '/docs/')
  t.equal(page.headers['referrer-policy'], 'same-origin')
  t.match(page.headers['content-security-policy'], "script-src 'self';")
  t.notMatch(page.text, /https?:\/\//, 'no absolute URLs')
})

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

  await page.goto(`${base}/docs`)
  await page.getByText('Show the authenticated user').waitFor()
  t.strictSame(consoleErrors, [], 'the Content-Security-Policy blocks nothing')

  await page.getByRole('button', { name: 'Authorize', exact: true }).first().click()
  await page.locator('#auth-bearer-value').fill(user.token)
  await page.locator('.auth-container').first().getByRole('button', { name: 'Apply credentials' }).click()
  await page.getByRole('button', { name: 'Close' }).first().click()
  await page.getByText('Show the authenticated user').click()
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
  t.match(decodeURIComponent((await listed).url()), 'fields[playlist]=id,name,description,visibility')

  t.strictSame(
    [...hosts].filter(host => host !== new URL(base).host && host !== ''),
    [],
    'requests to other hosts',
  )
})
