import t, { type Test } from 'tap'
import { grant } from '#src/database/permissions.ts'
import { SPA, TestBrowser } from '../../fixtures/browser.ts'
import { MINUTE } from '../../fixtures/clock.ts'
import { aNotification } from '../../fixtures/lists.ts'
import { formsOf, PanelBrowser, textOf } from '../../fixtures/panel.ts'
import { UNLIMITED } from '../../fixtures/settings.ts'
import { aMember, aToken, aUser, PASSWORD, USER_TYPE } from '../../fixtures/users.ts'
import { ODD_VALUES } from '../../fixtures/values.ts'
import { type Answer, get, send, startApp, type TestApp } from '../../support/app.ts'
import { beforeStatement, createDatabase, type TestDatabase } from '../../support/databases.ts'

t.test('attacks on the panel', async t => {
  const database = await createDatabase(t, 'postgres')
  t.teardown(() => database.close())
  await forgery(t, database)
  await foreignIds(t, database)
  await widening(t, database)
  await injection(t, database)
  await headers(t, database)
})

const start = (t: Test, database: TestDatabase, environment = {}) =>
  startApp(t, { database, environment: { ...UNLIMITED, ...environment } })

async function loggedIn(
  app: TestApp,
  database: TestDatabase,
  options: { roles?: string[]; permissions?: string[] } = {},
) {
  const user = await aMember(database, options)
  const browser = new PanelBrowser(app)
  await browser.logIn(user)
  return { user, browser }
}

/** What everybody's and an administrator's pages have forms for. */
async function allForms(browser: PanelBrowser, own: { tokenId: number }, other: { id: number }) {
  const paths = ['/admin', `/admin/tokens/${own.tokenId}`, '/admin/devices', '/admin/password']
  const pages = [...paths, `/admin/users/${other.id}`, '/admin/roles/1']
  const found = new Map<string, Record<string, string>>()
  for (const path of pages) {
    for (const { action, hidden } of formsOf(await browser.open(path))) found.set(action ?? '', hidden)
  }
  return found
}

/** Everything that a form of the panel can change. */
const changeable = async ({ kysely }: TestDatabase) => {
  const tables = [
    'personal_access_tokens',
    'users',
    'model_has_roles',
    'role_has_permissions',
    'model_sanctions',
    'model_prohibitions',
    'notifications',
  ] as const
  const rows = []
  for (const table of tables) rows.push(await kysely.selectFrom(table).selectAll().execute())
  const sessions = await kysely
    .selectFrom('sessions')
    .select(['id'])
    .where('user_id', 'is not', null)
    .execute()
  return JSON.stringify([rows, sessions.map(({ id }) => id).sort()])
}

async function forgery(t: Test, database: TestDatabase) {
  await t.test('no form counts without its token, whatever page sends it', async t => {
    const app = await start(t, database)
    const { browser, user } = await loggedIn(app, database, { roles: ['Admin'] })
    const other = await aUser(database, { verified: false })
    await new PanelBrowser(app).logIn(user)
    const forms = await allForms(browser, user, other)
    t.ok(forms.size >= 14, `${forms.size} forms`)
    const stranger = new PanelBrowser(app)
    const theirs = formsOf(await stranger.open('/admin/login'))[0]?.hidden._token ?? ''
    const before = await changeable(database)

    for (const [action, { _token: own = '', ...hidden }] of forms) {
      const fields = {
        ...hidden,
        current_password: PASSWORD,
        name: 'x',
        scope: 'all',
        ban: 'everything',
        permanent: '1',
        confirmed: '1',
      }
      for (const _token of ['', theirs, `${own.slice(0, -1)}x`]) {
        const answer = await browser.clone().post(action, { ...fields, ...(_token && { _token }) })
        t.equal(answer.status, 419, `${action} with ${_token === '' ? 'no token' : 'another token'}`)
      }
      for (const [name, page] of Object.entries<Record<string, string>>({
        'another site': { origin: 'https://evil.example', 'sec-fetch-site': 'cross-site' },
        'a sibling': { origin: 'http://evil.localhost', 'sec-fetch-site': 'same-site' },
        'the SPA': { origin: SPA, 'sec-fetch-site': 'same-site', referer: `${SPA}/` },
        'the SPA in an old browser': { origin: SPA },
        'no page': { origin: 'null' },
      })) {
        const answer = await browser.clone().post(action, { ...fields, _token: own }, { headers: page })
        t.equal(answer.status, 403, `${action} from ${name}, with the right token`)
      }
    }
    t.equal(await changeable(database), before, 'and nothing has changed')
    const answer = await browser.submit(await browser.open('/admin'), '/admin/tokens', {
      name: 'x',
      scope: 'all',
      current_password: PASSWORD,
    })
    t.equal(answer.status, 201, 'while the page itself gets through')
  })

  await t.test('a browser that does not say whose page it is on says where that is from', async t => {
    const app = await start(t, database, { APP_URL: 'http://accounts.example' })
    const { browser, user } = await loggedIn(app, database)
    const page = await browser.open(`/admin/tokens/${user.tokenId}`)
    for (const [origin, status] of [
      ['http://accounts.example', 303],
      ['http://accounts.internal:3000', 303],
      ['http://accounts.internal', 403],
      ['http://accounts.example.evil.example', 403],
      ['https://evil.example', 403],
      [SPA, 403],
      ['null', 403],
    ] as [string, number][]) {
      // As behind a proxy that asks under another name.
      const headers = { host: 'accounts.internal:3000', origin }
      const answer = await browser.sendForm(
        page,
        `/admin/tokens/${user.tokenId}/rename`,
        { name: 'x' },
        headers,
      )
      t.equal(answer.status, status, origin)
    }
  })

  await t.test('nobody is logged in by a page of somebody else', async t => {
    const app = await start(t, database)
    const user = await aUser(database, { password: PASSWORD })
    const browser = new PanelBrowser(app)
    await browser.open('/admin/login')
    const answer = await browser.post('/admin/login', { email: user.email, password: PASSWORD })
    t.equal(answer.status, 419)
    t.equal((await browser.bare('GET', '/admin')).status, 303)
  })

  await t.test('no page of another origin reads it', async t => {
    const app = await start(t, database)
    const { browser } = await loggedIn(app, database)
    for (const path of ['/admin', '/admin/nothing']) {
      const answer = await browser.bare('GET', path, { headers: { origin: SPA, referer: `${SPA}/` } })
      t.equal(answer.headers['access-control-allow-origin'], undefined, path)
      t.equal(answer.headers['access-control-allow-credentials'], undefined)
    }
  })

  await t.test('a bearer token opens no page', async t => {
    const app = await start(t, database)
    const user = await aUser(database, { roles: ['Admin'] })
    t.equal((await get(app, '/admin', user.token)).status, 303)
    t.equal((await get(app, '/admin/users', user.token)).status, 303)
  })
}

async function foreignIds(t: Test, database: TestDatabase) {
  await t.test("other people's tokens and devices are not there", async t => {
    const app = await start(t, database)
    const { browser } = await loggedIn(app, database)
    const victim = await loggedIn(app, database)
    const page = await browser.open('/admin')
    t.match(page.text, 'name="_token"')
    t.equal((await browser.bare('GET', `/admin/tokens/${victim.user.tokenId}`)).status, 404)
    const [session] = await database.kysely
      .selectFrom('sessions')
      .select('id')
      .where('user_id', '=', victim.user.id)
      .execute()
    for (const action of [
      `/admin/tokens/${victim.user.tokenId}/revoke`,
      `/admin/tokens/${victim.user.tokenId}/rename`,
      `/admin/tokens/${victim.user.tokenId}/rotate`,
      `/admin/devices/${session?.id}/end`,
      '/admin/devices/%00/end',
    ]) {
      for (const confirmed of ['', '1']) {
        const fields = { _token: await browser.csrfToken(), name: 'mine now', current_password: PASSWORD }
        t.equal((await browser.post(action, { ...fields, confirmed })).status, 404, `${action} ${confirmed}`)
      }
    }
    t.equal((await get(app, '/api/me', victim.user.token)).status, 200)
    t.match(textOf(await victim.browser.open('/admin')), /test Last used/)
  })

  await t.test('nor are those of something else that has the same id', async t => {
    const app = await start(t, database)
    const { browser, user } = await loggedIn(app, database)
    const { tokenId } = await aToken(database, user.id, { userType: 'App\\Models\\Robot' })
    const page = await browser.open('/admin')
    t.match(page.text, `"/admin/tokens/${user.tokenId}"`)
    t.notMatch(page.text, `"/admin/tokens/${tokenId}"`)
    t.equal((await browser.bare('GET', `/admin/tokens/${tokenId}`)).status, 404)
    for (const action of ['rename', 'rotate', 'revoke']) {
      for (const confirmed of ['', '1']) {
        const fields = { _token: await browser.csrfToken(), name: 'x', current_password: PASSWORD, confirmed }
        const answer = await browser.post(`/admin/tokens/${tokenId}/${action}`, fields)
        t.equal(answer.status, 404, action)
      }
    }
  })

  await t.test('whoever is cut off issues no token meanwhile', async t => {
    const app = await start(t, database)
    const { browser } = await loggedIn(app, database, { roles: ['Admin'] })
    const other = await aUser(database, { password: PASSWORD })
    const session = new TestBrowser(app)
    await session.logIn({ email: other.email, password: PASSWORD })
    await session.post('/user/confirm-password', { password: PASSWORD })
    const page = await browser.open(`/admin/users/${other.id}`)
    let issued: Promise<Answer> | undefined
    const came = beforeStatement(t, database, /delete from "?personal_access_tokens/, async () => {
      // It waits until the sessions and tokens are gone.
      issued = session.post('/api/me/token', { name: 'x' })
    })
    await browser.submitConfirmed(page, `/admin/users/${other.id}/revoke`)
    t.equal(came(), true)
    t.match((await issued)?.status, /401|419/, 'its session is over by then')
    const left = await database.kysely
      .selectFrom('personal_access_tokens')
      .select('id')
      .where('tokenable_id', '=', other.id)
      .execute()
    t.strictSame(left, [])
  })

  await t.test('two moderators at once ban one user once', async t => {
    const app = await start(t, database)
    const { browser } = await loggedIn(app, database, { roles: ['Admin'] })
    const other = await aUser(database)
    const page = await browser.open(`/admin/users/${other.id}`)
    const prohibition = /value="(prohibition:\d+)">view playlist</.exec(page.text)?.[1] ?? ''
    // Without `_once`: as by two moderators, and not by one who clicks twice.
    const fields = { ban: prohibition, reason: 'x', permanent: '1', confirmed: '1', _once: '' }
    const ban = () => browser.sendForm(page, `/admin/users/${other.id}/ban`, fields)
    const statuses = (await Promise.all(Array.from({ length: 20 }, ban))).map(({ status }) => status)
    t.strictSame(new Set(statuses), new Set([303]))
    const { length } = await database.kysely
      .selectFrom('model_prohibitions')
      .select('prohibition_id')
      .where('model_id', '=', other.id)
      .execute()
    t.equal(length, 1)
  })

  await t.test('no field of any form is an error of ours, whatever its type', async t => {
    const app = await start(t, database)
    const { browser, user } = await loggedIn(app, database, { roles: ['Admin'] })
    const other = await aUser(database)
    const token = `/admin/tokens/${user.tokenId}`
    const paths = ['/admin', token, '/admin/password', `/admin/users/${other.id}`, '/admin/roles/1']
    let asked = 0
    for (const path of paths) {
      const page = await browser.open(path)
      for (const [form, action = ''] of page.text.matchAll(/<form[^>]*action="([^"]*)"[\s\S]*?<\/form>/g)) {
        if (action === '/admin/logout') continue
        const { hidden = {} } = formsOf(page).find(one => one.action === action) ?? {}
        const names = [...form.matchAll(/ name="([^"]*)"/g)].map(([, name = '']) => name.replace('[]', ''))
        for (const name of new Set([...names, 'current_password'])) {
          if (name === '_token') continue
          for (const value of ODD_VALUES) {
            const answer = await browser.bare('POST', action, { payload: { ...hidden, [name]: value } })
            t.ok(answer.status < 500, `${action} ${name} ${JSON.stringify(value)}: ${answer.status}`)
            asked += 1
          }
        }
      }
    }
    t.ok(asked > 200, `${asked} forms were sent`)
  })

  await t.test('a form changes nothing that it does not have, such as whose a token is', async t => {
    const app = await start(t, database)
    const { browser, user } = await loggedIn(app, database)
    const victim = await aUser(database)
    const answer = await browser.submit(await browser.open('/admin'), '/admin/tokens', {
      name: 'x',
      scope: 'all',
      current_password: PASSWORD,
      tokenable_id: String(victim.id),
      user_id: String(victim.id),
      id: '1000000',
      token: '0'.repeat(64),
      last_used_at: '2020-01-01',
      __proto__: 'x',
    })
    const plain = /<code id="secret">([^<]+)</.exec(answer.text)?.[1] ?? ''
    t.equal((await get(app, '/api/me', plain)).json.user.id, user.id)
    t.not(plain.split('|')[0], '1000000')
  })
}

async function widening(t: Test, database: TestDatabase) {
  const VIEWER = ['view filament', 'view user', 'view role']

  /** What somebody with some permissions can do to somebody else. */
  const attempt = async (
    app: TestApp,
    permissions: string[],
    action: string,
    fields: Record<string, string | string[]>,
  ) => {
    const { browser } = await loggedIn(app, database, { permissions })
    const post = async (more = {}) => {
      const all = { _token: await browser.csrfToken(), current_password: PASSWORD, ...fields, ...more }
      return browser.post(action, all)
    }
    const asked = await post()
    const answer = await post({ confirmed: '1' })
    if (asked.status < 400) throw new Error(`${action} is asked about, and answered ${answer.status}`)
    return answer
  }

  await t.test('each thing needs its permission, and the one for the panel', async t => {
    const app = await start(t, database)
    const other = await aUser(database)
    const path = `/admin/users/${other.id}`
    const before = await database.kysely.selectFrom('model_has_roles').selectAll().execute()
    for (const [permission, action, fields] of [
      ['update user', `${path}/verify`, {}],
      ['update user', `${path}/roles`, { 'roles[]': ['Verified'] }],
      ['update user', `${path}/revoke`, {}],
      ['update user', `${path}/notify`, { type: 'x', data: '{}' }],
      ['create sanction', `${path}/ban`, { ban: 'everything' }],
      ['delete sanction', `${path}/lift`, { ban: 'sanction:1' }],
      ['update role', '/admin/roles/1', { version: '1' }],
    ] as [string, string, Record<string, string | string[]>][]) {
      t.equal((await attempt(app, VIEWER, action, fields)).status, 403, `${action} without ${permission}`)
      t.equal((await attempt(app, [permission], action, fields)).status, 403, `${action} without the panel's`)
      const status = (await attempt(app, [...VIEWER, permission], action, { ...fields, _token: '' })).status
      t.equal(status, 419, `${action} gets further with both`)
    }
    for (const path of ['/admin/users', '/admin/roles']) {
      const { browser } = await loggedIn(app, database, { permissions: ['view user', 'view role'] })
      t.equal((await browser.bare('GET', path)).status, 403, path)
    }
    t.strictSame(await database.kysely.selectFrom('model_has_roles').selectAll().execute(), before)
    t.equal((await get(app, '/api/me', other.token)).status, 200)
  })

  await t.test('a form that comes back shows nobody whom its sender may not see', async t => {
    const app = await start(t, database)
    const other = await aUser(database)
    const powers = ['view filament', 'update user', 'create sanction', 'update role']
    for (const [action, fields] of [
      [`/admin/users/${other.id}/notify`, { type: '', data: '' }],
      [`/admin/users/${other.id}/ban`, { ban: '' }],
      [`/admin/users/${other.id}/roles`, { current_password: 'wrong' }],
      ['/admin/roles/1', { version: 'x' }],
    ] as [string, Record<string, string>][]) {
      const answer = await attempt(app, powers, action, fields)
      t.equal(answer.status, 403, action)
      t.notMatch(answer.text, other.email)
    }
  })

  await t.test('nobody gives a role that may do more than they', async t => {
    const app = await start(t, database)
    const other = await aUser(database)
    const roles = `/admin/users/${other.id}/roles`
    const powers = [...VIEWER, 'update user']
    t.equal((await attempt(app, powers, roles, { 'roles[]': ['Admin'] })).status, 403)
    t.equal((await attempt(app, powers, roles, { 'roles[]': ['Verified'] })).status, 403)
    t.equal((await get(app, '/api/me?include=roles', other.token)).json.user.roles.length, 0)
  })

  await t.test('nobody does anything to somebody who may do more, or to themselves', async t => {
    const app = await start(t, database)
    const admin = await aUser(database, { roles: ['Admin'] })
    const powers = [...VIEWER, 'update user', 'create sanction', 'delete sanction']
    const actions = {
      verify: {},
      revoke: {},
      ban: { ban: 'everything', permanent: '1' },
      lift: { ban: 'sanction:1' },
    }
    for (const [action, fields] of Object.entries(actions)) {
      const answer = await attempt(app, powers, `/admin/users/${admin.id}/${action}`, fields)
      t.equal(answer.status, 403, action)
      t.match(textOf(answer), 'more than you may do yourself')
    }
    t.equal((await get(app, '/api/me', admin.token)).status, 200)

    const self = await loggedIn(app, database, { roles: ['Admin'] })
    for (const action of ['verify', 'roles', 'revoke', 'ban', 'notify']) {
      const fields = { current_password: PASSWORD, ban: 'everything', type: 'x', data: '{}' }
      for (const confirmed of ['', '1']) {
        const all = { ...fields, _token: await self.browser.csrfToken(), permanent: '1', confirmed }
        const answer = await self.browser.post(`/admin/users/${self.user.id}/${action}`, all)
        t.equal(answer.status, 403, `${action} oneself`)
      }
    }
  })

  await t.test('nobody has a role allow what they may not do', async t => {
    const app = await start(t, database)
    const { browser } = await loggedIn(app, database, { roles: ['Admin'] })
    const matrix = await browser.open('/admin/roles')
    const path = /href="(\/admin\/roles\/\d+)">Admin</.exec(matrix.text)?.[1] ?? ''
    const page = await browser.open(path)
    const ticked = [...page.text.matchAll(/value="([^"]+)" checked/g)].map(([, name]) => name ?? '')
    const wider = [...ticked, 'bypass authorization']
    const fields = { 'permissions[]': wider, current_password: PASSWORD }
    for (const confirmed of ['', '1']) {
      t.equal((await browser.submit(await browser.open(path), path, { ...fields, confirmed })).status, 403)
    }
    const rows = await database.kysely
      .selectFrom('role_has_permissions')
      .innerJoin('permissions', 'permissions.id', 'permission_id')
      .select('role_id')
      .where('permissions.name', '=', 'bypass authorization')
      .execute()
    t.strictSame(rows, [])
  })

  await t.test('whoever is banned from a permission uses it here no more either', async t => {
    const app = await start(t, database)
    const { browser, user } = await loggedIn(app, database, { roles: ['Admin'] })
    t.equal((await browser.bare('GET', '/admin/users')).status, 200)
    const { id } = await database.kysely
      .selectFrom('prohibitions')
      .select('id')
      .where('name', '=', 'view user')
      .executeTakeFirstOrThrow()
    await database.kysely
      .insertInto('model_prohibitions')
      .values({ prohibition_id: id, model_type: USER_TYPE, model_id: user.id })
      .execute()
    t.equal((await browser.bare('GET', '/admin/users')).status, 403)
  })

  await t.test('a password that was confirmed long ago has to be entered again', async t => {
    const app = await start(t, database, { SESSION_LIFETIME: '600' })
    const { browser } = await loggedIn(app, database)
    const fields = { name: 'x', scope: 'all' }
    const issue = async (more = {}) =>
      (await browser.submit(await browser.open('/admin'), '/admin/tokens', { ...fields, ...more })).status
    t.equal(await issue(), 422, 'logging in does not count')
    t.equal(await issue({ current_password: 'wrong' }), 422)
    t.equal(await issue({ current_password: PASSWORD }), 201)
    t.equal(await issue(), 201)
    app.clock.advance(181 * MINUTE)
    t.equal(await issue(), 422)
  })

  await t.test('guessing it there is limited', async t => {
    const app = await start(t, database, { CONFIRM_PASSWORD_RATE_LIMIT: '2' })
    const { browser } = await loggedIn(app, database)
    const page = await browser.open('/admin')
    const guess = { name: 'x', scope: 'all', current_password: 'wrong' }
    for (const status of [422, 422, 429]) {
      t.equal((await browser.sendForm(page, '/admin/tokens', guess)).status, status)
    }
    t.equal(
      (await browser.sendForm(page, '/admin/tokens', { ...guess, current_password: PASSWORD })).status,
      429,
    )
  })
}

async function injection(t: Test, database: TestDatabase) {
  await t.test('what people write stays text, wherever it is shown', async t => {
    const app = await start(t, database)
    const { kysely } = database
    const evil = `</textarea></pre>'"><script>alert(1)</script><img src=x onerror=alert(1)>`
    const browser = new PanelBrowser(app)
    const user = {
      ...(await aUser(database, { password: PASSWORD, roles: ['Admin'] })),
      password: PASSWORD,
    }
    await browser.logIn(user)
    const agent = { 'user-agent': evil }
    await new PanelBrowser(app).bare('GET', '/admin', { headers: agent })
    await get(app, '/api/me', user.token, agent)
    await app.activity.flush()
    await kysely.updateTable('sessions').set({ user_agent: evil, ip_address: '<b>1</b>' }).execute()
    await kysely
      .updateTable('personal_access_tokens')
      .set({ name: evil, abilities: JSON.stringify([evil]) })
      .execute()
    const other = await aUser(database)
    await kysely
      .updateTable('users')
      .set({ name: `${evil}x` })
      .where('id', '=', other.id)
      .execute()
    const notification = await aNotification(database, other.id)
    await kysely
      .updateTable('notifications')
      .set({ data: evil, type: evil })
      .where('id', '=', notification)
      .execute()
    await kysely
      .insertInto('account_events')
      .values(
        [user.id, other.id].map(user_id => ({
          user_id,
          event: '<script>alert(1)</script>',
          details: JSON.stringify({ [evil]: evil }),
          ip_address: '<i>',
          user_agent: evil,
          created_at: '2026-03-01 12:00:00',
        })),
      )
      .execute()
    await kysely.updateTable('roles').set({ name: evil }).where('name', '=', 'Patron').execute()
    await kysely.updateTable('prohibitions').set({ name: evil }).where('name', '=', 'view dump').execute()
    const prohibition = await kysely
      .selectFrom('prohibitions')
      .select('id')
      .where('name', '=', evil)
      .executeTakeFirstOrThrow()
    await kysely
      .insertInto('model_prohibitions')
      .values({ prohibition_id: prohibition.id, model_type: USER_TYPE, model_id: other.id, reason: evil })
      .execute()
    const role = await kysely
      .selectFrom('roles')
      .select('id')
      .where('name', '=', evil)
      .executeTakeFirstOrThrow()

    const q = encodeURIComponent(evil)
    const pages = [
      '/admin',
      `/admin/tokens/${user.tokenId}`,
      '/admin/devices',
      '/admin/activity',
      `/admin/users?q=${q}`,
      `/admin/users/${other.id}`,
      '/admin/roles',
      `/admin/roles/${role.id}`,
      `/admin/nothing${q}`,
      `/admin/login?to=${q}`,
      `/admin?done=${q}`,
    ]
    for (const path of pages) {
      const { text, status } = await browser.open(path)
      t.ok(status < 500, path)
      t.notMatch(text, /<script>|<img|<b>1|<i>/, path)
      t.match(text, /<\/main><\/body><\/html>$/, `${path} is whole`)
    }
    t.match((await browser.open(`/admin/users/${other.id}`)).text, '&lt;script>alert(1)')

    const returned = await browser.submit(await browser.open('/admin'), '/admin/tokens', {
      name: evil,
      scope: evil,
      allowed_ips: evil,
      expires_at: evil,
      'abilities[]': [evil],
    })
    t.equal(returned.status, 422)
    t.notMatch(returned.text, /<script>|<img/, 'nor what comes back')
    const issued = await browser.submit(await browser.open('/admin'), '/admin/tokens', {
      name: evil,
      scope: 'all',
      current_password: PASSWORD,
    })
    t.equal(issued.status, 201)
    t.notMatch(issued.text, /<script>|<img/)
  })

  await t.test('a mail of a ban carries its reason as text', async t => {
    const app = await start(t, database)
    const { browser } = await loggedIn(app, database, { roles: ['Admin'] })
    const other = await aUser(database)
    await grant(database.kysely, 'role', { userId: other.id, types: [USER_TYPE] }, ['Verified'])
    const path = `/admin/users/${other.id}`
    const fields = { ban: 'everything', permanent: '1', reason: '<img src=x>\r\nBcc: x@example.org' }
    await browser.submitConfirmed(await browser.open(path), `${path}/ban`, fields)
    const mail = await app.mailbox.next()
    t.notMatch(mail.html, '<img')
    t.notMatch(mail.subject, 'Bcc')
  })
}

async function headers(t: Test, database: TestDatabase) {
  await t.test('every answer has a policy that lets nothing in', async t => {
    const app = await start(t, database)
    const { browser, user } = await loggedIn(app, database)
    const answers = {
      page: await browser.bare('GET', '/admin'),
      redirect: await new PanelBrowser(app).bare('GET', '/admin'),
      'after a form': await browser.sendForm(
        await browser.open('/admin'),
        `/admin/tokens/${user.tokenId}/revoke`,
        { confirmed: '1' },
      ),
      'unknown page': await browser.bare('GET', '/admin/nothing'),
      forbidden: await browser.bare('GET', '/admin/users'),
      'no token': await browser.post('/admin/logout'),
      'wrong method': await browser.bare('DELETE', '/admin'),
      'not a form': await browser.bare('POST', '/admin/login', {
        payload: '<x>',
        headers: { 'content-type': 'text/xml' },
      }),
      preflight: await send(app, 'OPTIONS', '/admin', {
        headers: { origin: SPA, 'access-control-request-method': 'POST' },
      }),
      'too much': await browser.post('/admin/logout', { x: Array(1001).fill('1') }),
      broken: await send(app, 'GET', '/admin/%zz'),
      stylesheet: await get(app, '/admin/panel.css'),
      script: await get(app, '/admin/panel.js'),
    }
    for (const [name, { headers, status }] of Object.entries(answers)) {
      const policy = headers['content-security-policy'] ?? ''
      t.ok(status < 500, name)
      t.match(policy, /default-src 'none'/, name)
      t.match(policy, /frame-ancestors 'none'/, name)
      t.notMatch(policy, /unsafe|\*|https?:|data:/, name)
      t.equal(headers['x-frame-options'], 'DENY')
    }
    t.equal(answers['too much'].status, 400)
    t.equal(
      (await browser.post('/admin/logout', { x: Array(1000).fill('1') })).status,
      419,
      'one less is read',
    )
    t.match(answers.page.headers['content-security-policy'], /form-action 'self'; base-uri 'none'/)
    t.equal(answers.page.headers['referrer-policy'], 'same-origin')
    t.equal(answers.page.headers['cache-control'], 'no-store, private')
    t.notMatch(answers.page.text, / style=|<style| on[a-z]+="/, 'and pages need no more')
    t.notMatch(answers.page.text, /https?:\/\//, 'nor anything from elsewhere')
  })
}
