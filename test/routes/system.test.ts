import { readFileSync } from 'node:fs'
import { sql } from 'kysely'
import { chromium } from 'playwright-core'
import t from 'tap'
import { migrate } from '#src/database/migrate.ts'
import { aUser } from '../fixtures/users.ts'
import { get, startApp } from '../support/app.ts'
import { createDatabase, type TestDatabase } from '../support/databases.ts'

const CHROMIUM = process.env.TEST_CHROMIUM

let database: TestDatabase
t.before(async () => {
  database = await createDatabase(t, 'postgres')
})
t.teardown(() => database.close())

t.test('the specification', async t => {
  const app = await startApp(t, { database })
  const { status, json, headers } = await get(app, '/openapi.json')
  t.equal(status, 200)
  t.match(headers['content-type'], /^application\/json/)

  t.test('is the one in the repository', async t => {
    const file = readFileSync(new URL('../../../openapi/openapi.json', import.meta.url), 'utf8')
    t.strictSame(json, JSON.parse(file))
  })

  t.test('describes every operation whole', async t => {
    t.equal(json.openapi, '3.1.0')
    const ids = new Set<string>()
    for (const [path, item] of Object.entries<Record<string, unknown>>(json.paths)) {
      // biome-ignore lint/suspicious/noExplicitAny: the document is read as what it is, JSON
      for (const [method, operation] of Object.entries<any>(item)) {
        const name = `${method} ${path}`
        t.ok(operation.operationId && !ids.has(operation.operationId), `${name}: a name of its own`)
        ids.add(operation.operationId)
        t.ok(operation.summary && operation.description, `${name}: told in words`)
        t.ok(operation.tags?.length > 0, `${name}: a tag`)
        t.ok(Array.isArray(operation.security), `${name}: who may call it`)
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

  t.test('says what the server does', async t => {
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
    const strict = await startApp(t, {
      database,
      environment: { CSRF_MODE: 'origin-only', AUTH_PATH: '/auth' },
    })
    const other = (await get(strict, '/openapi.json')).json
    t.match(Object.keys(other.paths['/auth/login'].post.responses).join(), /,403,.*422/, 'of these settings')
    t.notOk('419' in other.paths['/auth/login'].post.responses)
    t.match(other.info.description, 'then `POST /auth/login`, and')
    const user = await aUser(database)
    for (const answer of [await get(app, '/api/me', user.token), await get(app, '/api/me')]) {
      const response = operation.responses[answer.status]
      t.ok(response, `${answer.status} is described`)
      for (const name of Object.keys(response.headers))
        t.ok(name.toLowerCase() in answer.headers, `${answer.status}: ${name}`)
      const schema = response.content['application/json'].schema
      t.strictSame(Object.keys(answer.json), Object.keys(schema.properties))
    }
    const { user: shown } = operation.responses[200].content['application/json'].schema.properties
    t.strictSame(shown, { $ref: '#/components/schemas/me' })
    const { properties } = json.components.schemas.me
    const fields = operation.parameters.find(({ name }: { name: string }) => name === 'fields').schema
      .properties
    const include = operation.parameters.find(({ name }: { name: string }) => name === 'include').schema.items
      .enum
    const whole = await get(
      app,
      `/api/me?fields[user]=${fields.user.description.replaceAll(', ', ',')}&include=${include}`,
      user.token,
    )
    t.strictSame(Object.keys(whole.json.user), Object.keys(properties), 'with all that may be asked for')
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

t.test('health', async t => {
  t.test('is ready once all migrations have run', async t => {
    const empty = await createDatabase(t, 'postgres', { empty: true })
    t.teardown(() => empty.close())
    const app = await startApp(t, { database: empty })
    t.equal((await get(app, '/health/live')).status, 200)
    const before = await get(app, '/health/ready')
    t.equal(before.status, 503)
    t.equal(before.headers['retry-after'], '5')
    const request = await get(app, '/api/me', '1|x')
    t.equal(request.status, 503, 'and until then nobody is told that a token is wrong')
    await migrate(empty.migrations)
    app.clock.advance(1_001)
    t.strictSame((await get(app, '/health/ready')).json, { status: 'ready' })
    await sql`delete from kysely_migration where name = (select max(name) from kysely_migration)`.execute(
      empty.kysely,
    )
    app.clock.advance(1_001)
    t.equal((await get(app, '/health/ready')).status, 503, 'all of them')
  })
})

t.test('metrics', async t => {
  const app = await startApp(t, { database })
  for (const url of ['/api/me', '/api/me', '/unknown/1', '/unknown/2']) await get(app, url)
  const { text, headers } = await get(app, '/metrics')
  t.match(headers['content-type'], /^text\/plain/)
  t.match(text, 'http_request_duration_seconds_count{method="GET",route="/api/me",status="401"} 2')
  t.match(
    text,
    'http_request_duration_seconds_count{method="GET",route="none",status="404"} 2',
    'unknown paths are one',
  )
})

t.test('pages', async t => {
  const app = await startApp(t, { database })
  t.match((await get(app, '/')).headers, { location: '/docs/' })
  const page = await get(app, '/docs/')
  t.equal(page.headers['referrer-policy'], 'same-origin')
  t.match(page.headers['content-security-policy'], "script-src 'self';")
  t.notMatch(page.text, /https?:\/\//, 'and load nothing from elsewhere')
})

t.test('Swagger UI in a browser', { skip: CHROMIUM ? false : 'no Chromium was found' }, async t => {
  const user = await aUser(database, { roles: ['Verified'] })
  const app = await startApp(t, { database })
  const base = await app.listen({ host: '127.0.0.1', port: 0 })
  const browser = await chromium.launch({
    executablePath: CHROMIUM ?? '',
    args: ['--no-sandbox', '--disable-gpu', '--disable-background-networking', '--disable-component-update'],
  })
  t.teardown(() => browser.close())
  const page = await browser.newPage()
  const complaints: string[] = []
  const hosts = new Set<string>()
  page.on('console', message => message.type() === 'error' && complaints.push(message.text()))
  page.on('pageerror', error => complaints.push(error.message))
  page.on('request', request => hosts.add(new URL(request.url()).host))

  await page.goto(`${base}/docs`)
  await page.getByText('Show the authenticated user').waitFor()
  t.strictSame(complaints, [], 'the page is whole under its content security policy')

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
  t.pass('a tried-out call shows the user to whom the token belongs')
  const list = page.locator('.opblock', { hasText: "List the user's playlists" })
  await list.getByText("List the user's playlists").click()
  const listed = page.waitForResponse(response => response.url().startsWith(`${base}/api/me/playlist`))
  await list.getByRole('button', { name: 'Execute' }).click()
  t.equal((await listed).status(), 200, 'the parameters that the page offers are those of the language')
  t.match(decodeURIComponent((await listed).url()), 'fields[playlist]=id,name,description,visibility')

  t.strictSame(
    [...hosts].filter(host => host !== new URL(base).host && host !== ''),
    [],
    'all of it comes from here',
  )
})
