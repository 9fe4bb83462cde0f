import t, { type Test } from 'tap'
import { DAY, NOW, testClock } from '../fixtures/clock.ts'
import { aPanelUser } from '../fixtures/panel.ts'
import { get, send, startApp } from '../support/app.ts'
import { createDatabase } from '../support/databases.ts'

const database = await createDatabase(t, 'postgres')
t.teardown(() => database.close())

const SECURITY_TXT = '/.well-known/security.txt'
const CHANGE_PASSWORD = '/.well-known/change-password'

const start = (t: Test, environment: Record<string, string> = {}, clock = testClock()) =>
  startApp(t, { database, environment, clock })

t.test('security.txt', async t => {
  await t.test('names whom to tell, for less than a year', async t => {
    const clock = testClock()
    const app = await start(
      t,
      {
        APP_URL: 'https://api.example.org/somewhere',
        SECURITY_CONTACT: 'mailto:security@example.org, https://example.org/report?a=b,tel:+1-201-555-0123',
      },
      clock,
    )
    const answer = await get(app, SECURITY_TXT)
    t.equal(answer.status, 200)
    t.match(answer.headers, {
      'content-type': 'text/plain; charset=utf-8',
      'cache-control': 'public, max-age=86400',
    })
    t.equal(
      answer.text,
      [
        'Contact: mailto:security@example.org',
        'Contact: https://example.org/report?a=b',
        'Contact: tel:+1-201-555-0123',
        'Expires: 2026-08-28T00:00:00.000Z',
        'Preferred-Languages: en',
        'Canonical: https://api.example.org/.well-known/security.txt',
        '',
      ].join('\n'),
    )
    const head = await send(app, 'HEAD', SECURITY_TXT)
    t.equal(head.status, 200)
    t.equal(head.text, '')
    t.equal(head.headers['content-length'], String(answer.text.length))
    t.equal((await send(app, 'POST', SECURITY_TXT)).status, 405)

    clock.advance(100 * DAY)
    const [, expires = ''] = /^Expires: (.*)$/m.exec((await get(app, SECURITY_TXT)).text) ?? []
    const ahead = Date.parse(expires) - NOW - 100 * DAY
    t.ok(ahead > 0 && ahead < 365 * DAY, 'whenever it is asked for')
  })

  await t.test('is not there without SECURITY_CONTACT', async t => {
    const answer = await get(await start(t), SECURITY_TXT)
    t.equal(answer.status, 404)
    t.strictSame(answer.json, { message: 'The route .well-known/security.txt could not be found.' })
    t.equal(answer.headers['cache-control'], 'no-store, private')
  })
})

t.test('change-password', async t => {
  await t.test("leads to the panel's page, which is there", async t => {
    const app = await start(t, { APP_URL: 'http://accounts.example' })
    for (const method of ['GET', 'HEAD'] as const) {
      const answer = await send(app, method, CHANGE_PASSWORD)
      t.equal(answer.status, 302)
      t.equal(answer.headers.location, 'http://accounts.example/admin/password')
    }
    const { browser } = await aPanelUser(app, database)
    t.equal((await browser.bare('GET', '/admin/password')).status, 200)
  })

  await t.test("or to the website's", async t => {
    const app = await start(t, { WIKI_CHANGE_PASSWORD: 'https://www.example.org/settings#password' })
    t.equal((await get(app, CHANGE_PASSWORD)).headers.location, 'https://www.example.org/settings#password')
  })

  await t.test('can be believed: what is not there is 404', async t => {
    const probe = '/.well-known/resource-that-should-not-exist-whose-status-code-should-not-be-200'
    t.equal((await get(await start(t), probe)).status, 404)
    t.equal((await get(await start(t, { API_PATH: '/' }), probe)).status, 404)
  })
})

t.test('all of them answer on our hosts, count, and are documented', async t => {
  const app = await start(t, {
    APP_ENV: 'production',
    APP_URL: 'https://api.example.org',
    SECURITY_CONTACT: 'mailto:security@example.org',
    RATE_LIMIT_ANONYMOUS: '1',
  })
  const ask = (path: string, host: string) => get(app, path, undefined, { host })
  const { paths } = (await ask('/openapi.json', 'api.example.org')).json
  for (const path of [SECURITY_TXT, CHANGE_PASSWORD]) {
    t.equal((await ask(path, 'example.com')).status, 400, 'not on others')
    t.match(paths[path].get, { tags: ['system'], security: [] })
  }
  let status = 200
  for (let count = 0; count < 30 && status === 200; count++) {
    status = (await ask(SECURITY_TXT, 'api.example.org')).status
  }
  t.equal(status, 429, 'over the ceiling of an address')
})
