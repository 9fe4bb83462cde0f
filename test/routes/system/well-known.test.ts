import t, { type Test } from 'tap'
import { DAY, NOW, testClock } from '../../fixtures/clock.ts'
import { aPanelUser } from '../../fixtures/panel.ts'
import { get, send, startApp } from '../../support/app.ts'
import { createDatabase } from '../../support/databases.ts'

const database = await createDatabase(t, 'postgres')
t.teardown(() => database.close())

const SECURITY_TXT = '/.well-known/security.txt'
const CHANGE_PASSWORD = '/.well-known/change-password'

const startServer = (t: Test, environment: Record<string, string> = {}, clock = testClock()) =>
  startApp(t, { database, environment, clock })

t.test('security.txt', async t => {
  await t.test('it lists SECURITY_CONTACT and expires in less than a year', async t => {
    const clock = testClock()
    const app = await startServer(
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
    t.ok(ahead > 0 && ahead < 365 * DAY, 'Expires moves with the clock')
  })

  await t.test('it is 404 without SECURITY_CONTACT', async t => {
    const answer = await get(await startServer(t), SECURITY_TXT)
    t.equal(answer.status, 404)
    t.strictSame(answer.json, { message: 'The route .well-known/security.txt could not be found.' })
    t.equal(answer.headers['cache-control'], 'no-store, private')
  })
})

t.test('change-password', async t => {
  await t.test('it redirects to the password page of the panel', async t => {
    const app = await startServer(t, { APP_URL: 'http://accounts.example' })
    for (const method of ['GET', 'HEAD'] as const) {
      const answer = await send(app, method, CHANGE_PASSWORD)
      t.equal(answer.status, 302)
      t.equal(answer.headers.location, 'http://accounts.example/admin/password')
    }
    const { browser } = await aPanelUser(app, database)
    t.equal((await browser.bare('GET', '/admin/password')).status, 200)
  })

  await t.test('it redirects to WIKI_CHANGE_PASSWORD if that is set', async t => {
    const app = await startServer(t, { WIKI_CHANGE_PASSWORD: 'https://www.example.org/settings#password' })
    t.equal((await get(app, CHANGE_PASSWORD)).headers.location, 'https://www.example.org/settings#password')
  })

  await t.test('an unknown well-known path is 404, as password managers probe', async t => {
    const probe = '/.well-known/resource-that-should-not-exist-whose-status-code-should-not-be-200'
    t.equal((await get(await startServer(t), probe)).status, 404)
    t.equal((await get(await startServer(t, { API_PATH: '/' }), probe)).status, 404)
  })
})

t.test('well-known paths check the host, are rate limited, and are documented', async t => {
  const app = await startServer(t, {
    APP_ENV: 'production',
    APP_URL: 'https://api.example.org',
    SECURITY_CONTACT: 'mailto:security@example.org',
    RATE_LIMIT_ANONYMOUS: '1',
  })
  const request = (path: string, host: string) => get(app, path, undefined, { host })
  const { paths } = (await request('/openapi.json', 'api.example.org')).json
  for (const path of [SECURITY_TXT, CHANGE_PASSWORD]) {
    t.equal((await request(path, 'example.com')).status, 400, 'another host is 400')
    t.match(paths[path].get, { tags: ['system'], security: [] })
  }
  let status = 200
  for (let count = 0; count < 30 && status === 200; count++) {
    status = (await request(SECURITY_TXT, 'api.example.org')).status
  }
  t.equal(status, 429, 'the limit of the address applies')
})
