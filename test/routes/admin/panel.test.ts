import { Secret as OneTimeSecret, TOTP } from 'otpauth'
import t, { type Test } from 'tap'
import { TestBrowser } from '../../fixtures/browser.ts'
import { DAY, MINUTE } from '../../fixtures/clock.ts'
import { PanelBrowser, textOf } from '../../fixtures/panel.ts'
import { UNLIMITED } from '../../fixtures/settings.ts'
import { aMember, aToken, aUser, PASSWORD } from '../../fixtures/users.ts'
import { get, startApp, type TestApp } from '../../support/app.ts'
import { createDatabase, ENGINES, type TestDatabase } from '../../support/databases.ts'

const NEW = 'Another-horse-2'

for (const engine of ENGINES) {
  t.test(`the panel on ${engine}`, async t => {
    const database = await createDatabase(t, engine)
    t.teardown(() => database.close())
    await entrance(t, database)
    await tokens(t, database)
    await account(t, database)
    await users(t, database)
    await roles(t, database)
  })
}

const start = (t: Test, database: TestDatabase, environment = {}) =>
  startApp(t, { database, environment: { ...UNLIMITED, ...environment } })

/** Somebody on the panel. */
async function loggedIn(app: TestApp, database: TestDatabase, roles: string[] = []) {
  const user = await aMember(database, { roles })
  const browser = new PanelBrowser(app)
  const page = await browser.logIn(user)
  return { user, browser, page }
}

async function entrance(t: Test, database: TestDatabase) {
  await t.test('leads whoever is not logged in to the login, and then to where they were going', async t => {
    const app = await start(t, database)
    const user = await aUser(database, { password: PASSWORD })
    const browser = new PanelBrowser(app)
    const refused = await browser.bare('GET', '/admin/devices')
    t.equal(refused.status, 303)
    t.equal(refused.headers.location, '/admin/login?to=/admin/devices')
    t.match(refused.headers['content-security-policy'], /default-src 'none'/)

    const page = await browser.open('/admin/devices')
    const wrong = await browser.submit(page, '/admin/login', { email: user.email, password: 'wrong' })
    t.equal(wrong.status, 422)
    t.match(textOf(wrong), 'These credentials do not match our records.')
    t.match(wrong.text, `value="${user.email}"`, 'keeps what was entered')
    t.notMatch(wrong.text, 'value="wrong"', 'but no password')
    const right = await browser.submit(wrong, '/admin/login', { email: user.email, password: PASSWORD })
    t.equal(right.status, 200)
    t.match(textOf(right), /Devices.*this browser/)
    t.equal(
      (await browser.bare('GET', '/admin/login')).headers.location,
      '/admin',
      'and has no more to do there',
    )

    const out = await browser.submit(right, '/admin/logout')
    t.match(textOf(out), 'You are logged out.')
    t.equal((await browser.bare('GET', '/admin')).status, 303)
  })

  await t.test('leads to its own pages alone', async t => {
    const app = await start(t, database)
    const user = await aUser(database, { password: PASSWORD })
    for (const to of ['//evil.example', 'https://evil.example', '/admin/../x', '/adminx', '/admin\\x', '/']) {
      const browser = new PanelBrowser(app)
      const page = await browser.open(`/admin/login?to=${encodeURIComponent(to)}`)
      const fields = { email: user.email, password: PASSWORD, to }
      t.equal((await browser.sendForm(page, '/admin/login', fields)).headers.location, '/admin', to)
    }
  })

  await t.test('waits ten minutes for a second factor', async t => {
    const app = await start(t, database)
    const user = await aMember(database)
    const client = new TestBrowser(app)
    await client.logIn(user)
    await client.post('/user/confirm-password', { password: PASSWORD })
    await client.post('/user/two-factor-authentication')
    const { secretKey } = (await client.get('/user/two-factor-secret-key')).json
    const totp = new TOTP({ secret: OneTimeSecret.fromBase32(secretKey) })
    const code = () => totp.generate({ timestamp: app.clock() })
    await client.post('/user/confirmed-two-factor-authentication', { code: code() })
    app.clock.advance(MINUTE)

    const [inTime, late] = [new PanelBrowser(app), new PanelBrowser(app)]
    const [page, latePage] = [await inTime.logIn(user), await late.logIn(user)]
    t.match(textOf(latePage), 'Second factor')
    t.equal((await late.bare('GET', '/admin')).status, 303, 'the password alone opens nothing')
    app.clock.advance(10 * MINUTE)
    t.equal((await late.bare('GET', '/admin/two-factor')).status, 200)
    const answer = await inTime.sendForm(page, '/admin/two-factor', { code: code() })
    t.equal(answer.headers.location, '/admin')
    t.equal((await inTime.bare('GET', '/admin')).status, 200)

    app.clock.advance(MINUTE)
    t.equal((await late.bare('GET', '/admin/two-factor')).headers.location, '/admin/login')
    const refused = await late.sendForm(latePage, '/admin/two-factor', { code: code() })
    t.equal(refused.headers.location, '/admin/login', 'and whoever comes later begins again')
    t.equal((await late.bare('GET', '/admin')).status, 303)
  })

  await t.test('a user without any permission gets in, and sees nothing of others', async t => {
    const app = await start(t, database)
    const { browser, page } = await loggedIn(app, database)
    t.equal(page.status, 200)
    t.notMatch(page.text, '/admin/users')
    for (const path of ['/admin/users', '/admin/users/1', '/admin/roles', '/admin/roles/1']) {
      const answer = await browser.bare('GET', path)
      t.equal(answer.status, 403, path)
      t.match(textOf(answer), 'You may not do that.')
    }
  })

  await t.test('what is not there is said on a page', async t => {
    const app = await start(t, database)
    const answer = await new PanelBrowser(app).bare('GET', '/admin/nothing')
    t.equal(answer.status, 404)
    t.match(answer.headers['content-type'], 'text/html')
    t.match(textOf(answer), 'There is no such page')
  })

  await t.test('its files may be kept, and bring no session along', async t => {
    const app = await start(t, database)
    const { text } = await new PanelBrowser(app).open('/admin/login')
    const paths = [...text.matchAll(/(?:href|src)="(\/admin\/panel[^"]+)"/g)].map(([, path]) => path ?? '')
    t.equal(paths.length, 2)
    for (const path of paths) {
      const answer = await get(app, path)
      t.equal(answer.status, 200)
      t.equal(answer.headers['cache-control'], 'public, max-age=31536000, immutable')
      t.strictSame(answer.setCookies, [])
      const other = await get(app, path.replace(/v=.*/, 'v=another'))
      t.equal(other.status, 200)
      t.equal(other.headers['cache-control'], 'no-store, private', 'but not as what it is not')
    }
    for (const path of [
      '/admin/other.css',
      '/admin/panel.css/x',
      '/admin/panel.js.map',
      '/admin/panel.txt',
    ]) {
      const answer = await get(app, path)
      t.equal(answer.status, 404, path)
      t.equal(answer.headers['cache-control'], 'no-store, private', 'so that it can come to be')
    }
  })
}

async function tokens(t: Test, database: TestDatabase) {
  await t.test('a token is generated, shown once, used, renamed, replaced and revoked', async t => {
    const app = await start(t, database)
    const { browser, page } = await loggedIn(app, database)
    t.match(page.text, 'name="current_password"', 'the password is asked for')
    const fields = {
      name: 'my laptop',
      scope: 'some',
      'abilities[]': ['read:playlist', 'read:token'],
      allowed_ips: '127.0.0.1\n192.0.2.0/24',
      expires_at: '2027-01-31',
    }
    const wrong = await browser.submit(page, '/admin/tokens', { ...fields, current_password: 'wrong' })
    t.equal(wrong.status, 422)
    t.match(textOf(wrong), 'The provided password was incorrect.')
    t.match(wrong.text, 'value="my laptop"', 'loses nothing')
    t.match(wrong.text, '192.0.2.0/24')
    t.match(wrong.text, /value="read:playlist" checked/)

    const issued = await browser.submit(wrong, '/admin/tokens', { ...fields, current_password: PASSWORD })
    t.equal(issued.status, 201)
    t.equal(issued.headers['cache-control'], 'no-store, private')
    const [, plain = ''] = /<code id="secret">([^<]+)</.exec(issued.text) ?? []
    const id = Number(plain.split('|')[0])
    t.equal((await get(app, '/api/me', plain)).status, 200)
    t.equal((await get(app, '/api/me/notification', plain)).status, 403, 'it allows what was ticked')
    const row = (await get(app, `/api/me/token/${id}`, plain)).json.token
    t.match(row, {
      name: 'my laptop',
      abilities: ['read:playlist', 'read:token'],
      allowed_ips: ['127.0.0.1', '192.0.2.0/24'],
      expires_at: /^2027-01-31/,
    })

    await app.activity.flush()
    const list = await browser.open('/admin')
    t.match(
      textOf(list),
      /my laptop Last used: 2026-03-01 12:00 UTC from 127.0.0.1 Ends: 2027-01-31 00:00 UTC/,
    )
    t.notMatch(list.text, plain.split('|')[1] ?? '-', 'and the secret is nowhere any more')
    t.notMatch(list.text, 'name="current_password"', 'nor is the password asked for again')

    let one = await browser.open(`/admin/tokens/${id}`)
    one = await browser.submit(one, `/admin/tokens/${id}/rename`, { name: '' })
    t.equal(one.status, 422)
    t.match(textOf(one), 'The name field is required.')
    one = await browser.submit(one, `/admin/tokens/${id}/rename`, { name: 'my desk' })
    t.match(textOf(one), /The token has its new name.*my desk|my desk.*The token has its new name/)

    const replaced = await browser.submit(one, `/admin/tokens/${id}/rotate`, { grace: '0' })
    t.equal(replaced.status, 201)
    const [, next = ''] = /<code id="secret">([^<]+)</.exec(replaced.text) ?? []
    t.equal((await get(app, '/api/me', plain)).status, 401)
    t.equal((await get(app, '/api/me', next)).status, 200)

    const newId = next.split('|')[0]
    const last = await browser.open('/admin')
    const revoked = await browser.submitConfirmed(last, `/admin/tokens/${newId}/revoke`)
    t.match(textOf(revoked), 'The token is revoked')
    t.equal((await get(app, '/api/me', next)).status, 401, 'the very next request is refused')
  })

  await t.test('what is wrong is said, and nothing is issued', async t => {
    const app = await start(t, database, { TOKENS_PER_USER: '1' })
    const { browser, user } = await loggedIn(app, database)
    const right = { name: 'x', scope: 'all', current_password: PASSWORD }
    for (const [fields, sentence] of [
      [{ name: '' }, 'The name field is required.'],
      [{ name: 'x'.repeat(256) }, 'The name must not be greater than 255 characters.'],
      [{ name: 'a\0b' }, 'The selected name is invalid.'],
      [{ scope: 'none' }, 'The selected scope is invalid.'],
      [{ expires_at: '2020-01-01' }, 'The expires at must be a date after now.'],
      [{ expires_at: 'tomorrow' }, 'The expires at must be a date such as'],
      [{ allowed_ips: 'home' }, 'The allowed ips must be addresses'],
      [{ allowed_ips: ',', name: '' }, 'The name field is required.'],
      [{ allowed_ips: '127.0.0.1 '.repeat(51) }, 'The allowed ips must not have more than 50 items.'],
      [{ expires_at: '+275760-09-13' }, 'The expires at must be a date such as'],
      [{ expires_at: '9999-12-31\0' }, 'The expires at must be a date such as'],
    ] as [Record<string, string>, string][]) {
      const answer = await browser.submit(await browser.open('/admin'), '/admin/tokens', {
        ...right,
        ...fields,
      })
      t.equal(answer.status, 422, JSON.stringify(fields))
      t.match(textOf(answer), sentence)
    }
    const fifty = '127.0.0.1 '.repeat(50)
    const many = await browser.submit(await browser.open('/admin'), '/admin/tokens', {
      ...right,
      allowed_ips: fifty,
    })
    t.equal(many.status, 403)
    t.match(textOf(many), 'You may not have more than 1 tokens.')
    t.equal((await get(app, '/api/me/token', user.token)).json.tokens.length, 1)
  })

  await t.test('all are revoked at once', async t => {
    const app = await start(t, database)
    const { browser, user } = await loggedIn(app, database)
    const second = await aToken(database, user.id)
    const other = await aUser(database)
    const done = await browser.submitConfirmed(await browser.open('/admin'), '/admin/tokens/revoke-all')
    t.match(textOf(done), 'All tokens are revoked.')
    for (const token of [user.token, second.token]) t.equal((await get(app, '/api/me', token)).status, 401)
    t.equal((await get(app, '/api/me', other.token)).status, 200)
  })
}

async function account(t: Test, database: TestDatabase) {
  await t.test('devices are listed and logged out', async t => {
    const app = await start(t, database)
    const { browser, user } = await loggedIn(app, database)
    const others = [new PanelBrowser(app), new PanelBrowser(app), new PanelBrowser(app)]
    for (const other of others) await other.logIn(user)
    const page = await browser.open('/admin/devices')
    const action = /action="(\/admin\/devices\/[0-9a-f]{64}\/end)"/.exec(page.text)?.[1] ?? ''
    t.match(textOf(await browser.submitConfirmed(page, action)), 'The browser is logged out.')
    const alive = async () =>
      (await Promise.all(others.map(other => other.bare('GET', '/admin')))).filter(
        ({ status }) => status === 200,
      )
    t.equal((await alive()).length, 2)
    await browser.submitConfirmed(await browser.open('/admin/devices'), '/admin/devices/end-others')
    t.equal((await alive()).length, 0)
    t.equal((await browser.bare('GET', '/admin/devices')).status, 200)
  })

  await t.test('the password is changed', async t => {
    const app = await start(t, database)
    const { browser, user } = await loggedIn(app, database)
    const page = await browser.open('/admin/password')
    const weak = await browser.submit(page, '/admin/password', { current_password: 'wrong', password: 'x' })
    t.equal(weak.status, 422)
    t.match(textOf(weak), 'The provided password does not match your current password.')
    t.match(textOf(weak), 'The password must be at least 8 characters.')
    const repeated = { password: NEW, password_confirmation: NEW }
    for (const fields of [repeated, { ...repeated, current_password: '' }]) {
      const without = await browser.submit(page, '/admin/password', fields)
      t.equal(without.status, 422)
      t.match(textOf(without), 'The current password field is required.')
    }
    const fields = { current_password: PASSWORD, password: NEW, password_confirmation: NEW }
    const done = await browser.submit(weak, '/admin/password', { ...fields, revoke_tokens: '1' })
    t.match(textOf(done), 'You have a new password.')
    t.equal((await get(app, '/api/me', user.token)).status, 401)
    t.equal((await new PanelBrowser(app).logIn(user)).status, 422)
    t.equal((await new PanelBrowser(app).logIn({ ...user, password: NEW })).status, 200)
  })

  await t.test('activity is listed, page by page', async t => {
    const app = await start(t, database)
    const { browser, user, page } = await loggedIn(app, database)
    for (let n = 0; n < 60; n++) {
      await browser.sendForm(page, `/admin/tokens/${user.tokenId}/revoke`, { confirmed: '1' })
      await aToken(database, user.id)
      await browser.get('/sanctum/csrf-cookie')
    }
    const wrong = { name: 'x', scope: 'all', current_password: 'wrong' }
    for (let n = 0; n < 55; n++) await browser.sendForm(page, '/admin/tokens', wrong)
    await app.events.stored()
    const first = await browser.open('/admin/activity')
    t.equal([...first.text.matchAll(/>wrong password</g)].length, 50)
    const older = /href="(\/admin\/activity\?before=\d+)"/.exec(first.text)?.[1] ?? ''
    const second = await browser.open(older)
    t.equal([...second.text.matchAll(/>wrong password</g)].length, 5)
    t.match(second.text, />login</)
    for (const before of ['x', '-1', '999999999999999', '1%00']) {
      t.equal((await browser.open(`/admin/activity?before=${before}`)).status, 200, before)
    }
  })
}

async function users(t: Test, database: TestDatabase) {
  await t.test('are searched for', async t => {
    const app = await start(t, database)
    const { browser } = await loggedIn(app, database, ['Admin'])
    const wanted = await aUser(database, { roles: ['Encoder'] })
    const other = await aUser(database)
    for (const q of [wanted.name.toUpperCase(), wanted.email, String(wanted.id)]) {
      const page = await browser.open(`/admin/users?q=${encodeURIComponent(q)}`)
      t.match(textOf(page), wanted.email, q)
      t.match(textOf(page), 'Encoder')
      // Digits may stand in anybody's name.
      if (q !== String(wanted.id)) t.notMatch(textOf(page), other.email)
    }
    for (const q of ['%', '_', '\\', '%00', 'x'.repeat(1000), '9'.repeat(30)]) {
      const page = await browser.open(`/admin/users?q=${encodeURIComponent(q)}&page=2`)
      t.equal(page.status, 200)
      t.match(textOf(page), 'Nobody is found.', q)
    }
    const odd = '100%_\\'
    await database.kysely.updateTable('users').set({ name: odd }).where('id', '=', other.id).execute()
    for (const q of ['%', '_', '\\', '0%_', odd]) {
      const page = await browser.open(`/admin/users?q=${encodeURIComponent(q)}`)
      t.match(textOf(page), other.email, `${q} means itself`)
      t.notMatch(textOf(page), wanted.email, q)
    }
    for (const q of ['1%0', '10_%', '%%']) {
      const page = await browser.open(`/admin/users?q=${encodeURIComponent(q)}`)
      t.match(textOf(page), 'Nobody is found.', q)
    }
    t.equal((await browser.open('/admin/users?q=%00&page=0&page=x')).status, 200)
    for (let n = 0; n < 30; n++) await aUser(database)
    const first = await browser.open('/admin/users?q=user-')
    const next = /href="(\/admin\/users\?q=user-&amp;page=2)"/.exec(first.text)?.[1] ?? ''
    t.match(textOf(await browser.open(next.replace('&amp;', '&'))), 'Newer ones')
  })

  await t.test('are verified, given roles, banned, notified and cut off', async t => {
    const app = await start(t, database)
    const { browser, user: admin } = await loggedIn(app, database, ['Admin'])
    const user = await aUser(database, { verified: false })
    const path = `/admin/users/${user.id}`
    const can = async () => (await get(app, '/api/me/playlist', user.token)).status
    t.equal(await can(), 403)

    let page = await browser.submit(await browser.open(path), `${path}/verify`)
    t.match(textOf(page), 'counts as verified')
    t.equal(await can(), 200, 'which gives the default roles')

    const roles = { 'roles[]': ['Encoder'] }
    const asked = await browser.submit(page, `${path}/roles`, { ...roles, current_password: 'wrong' })
    t.equal(asked.status, 422, 'the password is asked for')
    page = await browser.submitConfirmed(page, `${path}/roles`, { ...roles, current_password: PASSWORD })
    t.match(textOf(page), /Roles Encoder/)
    const held = (await get(app, '/api/me?include=roles', user.token)).json.user.roles
    t.strictSame(
      held.map(({ name }: { name: string }) => name),
      ['Encoder'],
    )

    page = await browser.submitConfirmed(page, `${path}/ban`, {
      ban: 'everything',
      reason: 'spam',
      expires_at: '2026-03-08',
    })
    t.match(textOf(page), /The ban counts from now on.*Banned until 2026-03-08 00:00 UTC , by .*: spam/)
    const banned = await get(app, '/api/me/playlist', user.token)
    t.equal(banned.status, 403)
    t.equal(banned.json.message, 'Your account is banned until 2026-03-08: spam.')
    const mail = await app.mailbox.next()
    t.equal(mail.to.address, user.email)
    t.match(mail.text, /Banned\..*2026-03-08T00:00:00Z.*spam/s)
    const ban = /name="ban" value="(sanction:\d+)"/.exec(page.text)?.[1] ?? ''
    page = await browser.submit(page, `${path}/lift`, { ban })
    t.match(textOf(page), 'The ban is lifted.')
    t.equal(await can(), 200)

    const prohibition = /value="(prohibition:\d+)">view playlist</.exec(page.text)?.[1] ?? ''
    page = await browser.submitConfirmed(page, `${path}/ban`, { ban: prohibition, permanent: '1' })
    t.equal(await can(), 403)
    page = await browser.submitConfirmed(page, `${path}/ban`, { ban: prohibition, expires_at: '2026-03-02' })
    t.match(textOf(page), /view playlist until 2026-03-02/, 'a ban takes the place of the same one')
    app.clock.advance(DAY)
    t.equal(await can(), 200, 'and ends by itself')

    await browser.logIn(admin)
    page = await browser.open(path)
    t.match(textOf(page), /Bans None\./, 'after which it is listed no more')
    const data = '{"title":"Hello"}'
    page = await browser.submit(page, `${path}/notify`, {
      type: 'App\\Notifications\\X',
      data,
    })
    t.match(textOf(page), data)
    t.match((await get(app, '/api/me/notification', user.token)).json.notifications, [
      { data: { title: 'Hello' } },
    ])

    page = await browser.submitConfirmed(page, `${path}/revoke`)
    t.equal((await get(app, '/api/me', user.token)).status, 401)
    await app.events.stored()
    const events = await database.kysely
      .selectFrom('account_events')
      .select(['event', 'details', 'ip_address'])
      .where('user_id', '=', user.id)
      .orderBy('id')
      .execute()
    for (const event of [
      'email verified',
      'role granted',
      'role revoked',
      'banned',
      'ban lifted',
      'token revoked',
    ]) {
      const found = events.find(one => one.event === event)
      t.ok(found, event)
      t.equal(JSON.parse(found?.details ?? '{}').by, admin.id)
      t.equal(found?.ip_address, null, 'not from where its administrators work')
    }
  })

  await t.test('are there no more once they are deleted', async t => {
    const app = await start(t, database)
    const { browser } = await loggedIn(app, database, ['Admin'])
    const gone = await aUser(database, { verified: false })
    const path = `/admin/users/${gone.id}`
    const page = await browser.open(path)
    await database.kysely
      .updateTable('users')
      .set({ deleted_at: '2026-03-01 12:00:00' })
      .where('id', '=', gone.id)
      .execute()
    for (const q of [gone.name, gone.email]) {
      t.match(textOf(await browser.open(`/admin/users?q=${q}`)), 'Nobody is found.', q)
    }
    t.notMatch(textOf(await browser.open('/admin/users')), gone.email)
    t.equal((await browser.bare('GET', path)).status, 404)
    for (const [form, fields] of Object.entries<Record<string, string | string[]>>({
      verify: {},
      revoke: {},
      roles: { 'roles[]': ['Encoder'], current_password: PASSWORD },
      ban: { ban: 'everything', permanent: '1' },
      notify: { type: 'x', data: '{}' },
    })) {
      const all = { ...fields, _token: await browser.csrfToken() }
      t.equal((await browser.sendForm(page, `${path}/${form}`, all)).status, 404, form)
    }
  })

  await t.test('what is wrong is said', async t => {
    const app = await start(t, database)
    const { browser, user: admin } = await loggedIn(app, database, ['Admin'])
    const user = await aUser(database)
    const path = `/admin/users/${user.id}`
    const page = await browser.open(path)
    for (const [form, fields, sentence] of [
      ['ban', { ban: 'prohibition:999999', permanent: '1' }, 'The selected ban is invalid.'],
      ['ban', { ban: 'nothing', permanent: '1' }, 'The selected ban is invalid.'],
      ['ban', { ban: 'everything', expires_at: '2020-01-01' }, 'The expires at must be a date after now.'],
      ['ban', { ban: 'everything', expires_at: 'soon' }, 'The expires at must be a date such as'],
      ['ban', { ban: 'everything', expires_at: '+275760-09-13' }, 'The expires at must be a date such as'],
      ['ban', { ban: 'everything', reason: 'a\0', permanent: '1' }, 'The selected reason is invalid.'],
      ['notify', { type: 'x', data: '[1]' }, 'The data must be a JSON object.'],
      ['notify', { type: 'x', data: '{' }, 'The data must be a JSON object.'],
      ['notify', { type: 'x', data: 'null' }, 'The data must be a JSON object.'],
      ['notify', { type: 'x', data: '"{}"' }, 'The data must be a JSON object.'],
      ['notify', { type: '../x', data: '{}' }, 'The selected type is invalid.'],
      [
        'notify',
        { type: 'Filament\\Notifications\\DatabaseNotification', data: '{}' },
        'The selected type is invalid.',
      ],
    ] as [string, Record<string, string>, string][]) {
      const answer = await browser.submit(page, `${path}/${form}`, fields)
      t.equal(answer.status, 422, JSON.stringify(fields))
      t.match(textOf(answer), sentence)
    }
    const odd = await browser.submit(page, `${path}/notify`, { type: 'x', data: '{"a":"\\u0000"}' })
    t.equal(odd.status, 200, 'what JSON can say is kept')

    // What was entered comes back, boxes as well.
    const boxes = { 'roles[]': ['Patron', 'Developer'], current_password: 'wrong' }
    app.clock.advance(181 * MINUTE)
    await browser.logIn({ ...admin, password: PASSWORD })
    const again = await browser.submit(await browser.open(path), `${path}/roles`, boxes)
    t.equal(again.status, 422)
    const ticked = [...again.text.matchAll(/<input[^>]*name="roles\[\]"[^>]*>/g)]
      .filter(([input]) => input.includes(' checked'))
      .map(([input]) => /value="([^"]*)"/.exec(input)?.[1])
    t.strictSame(ticked.sort(), ['Developer', 'Patron'])

    t.equal((await get(app, '/api/me/notification', user.token)).status, 403)
    for (const id of ['0', 'x', '999999999999999', '1e3', '%00']) {
      t.equal((await browser.bare('GET', `/admin/users/${id}`)).status, 404, id)
    }
  })
}

async function roles(t: Test, database: TestDatabase) {
  await t.test('are shown as a matrix, and changed one by one', async t => {
    const app = await start(t, database)
    const { browser } = await loggedIn(app, database, ['Admin'])
    const user = await aUser(database, { roles: ['Patron'] })
    const matrix = await browser.open('/admin/roles')
    t.match(textOf(matrix), /Permission Admin Encoder Developer/)
    const path = /href="(\/admin\/roles\/\d+)">Patron</.exec(matrix.text)?.[1] ?? ''
    const page = await browser.open(path)
    const ticked = [...page.text.matchAll(/value="([^"]+)" checked/g)].map(([, name]) => name ?? '')
    t.ok(ticked.includes('view playlist'))
    const without = ticked.filter(name => name !== 'view playlist')
    const fields = { 'permissions[]': [...without, 'view user'], current_password: PASSWORD }

    const other = await loggedIn(app, database, ['Admin'])
    const meanwhile = await other.browser.open(path)
    const done = await browser.submitConfirmed(page, path, fields)
    t.match(textOf(done), 'The role allows what you ticked.')
    t.equal((await get(app, '/api/me/playlist', user.token)).status, 403)

    const late = await other.browser.submit(meanwhile, path, { ...fields, 'permissions[]': ticked })
    t.equal(late.status, 409, 'nobody overwrites what they have not seen')
    t.match(textOf(late), 'Somebody has changed roles meanwhile.')
    t.equal((await get(app, '/api/me/playlist', user.token)).status, 403)
    const again = await other.browser.submitConfirmed(late, path, { 'permissions[]': ticked })
    t.equal(again.status, 200)
    t.equal((await get(app, '/api/me/playlist', user.token)).status, 200)
  })
}
