import { once } from 'node:events'
import { type IncomingMessage, request } from 'node:http'
import type { AddressInfo } from 'node:net'
import t, { type Test } from 'tap'
import { ABILITIES } from '#src/auth/ability.ts'
import { hashPassword } from '#src/auth/password.ts'
import { changePassword } from '#src/database/passwords.ts'
import { deleteOwnTokens } from '#src/database/token-endings.ts'
import { INVALID_ABILITY } from '../../fixtures/answers.ts'
import { SPA, TestBrowser } from '../../fixtures/browser.ts'
import { DAY, MINUTE } from '../../fixtures/clock.ts'
import { aNotification, aPlaylist } from '../../fixtures/lists.ts'
import { UNLIMITED } from '../../fixtures/settings.ts'
import { aMember, aToken, aUser, PASSWORD, TEST_ROUNDS, USER_TYPE } from '../../fixtures/users.ts'
import { get, send, startApp, type TestApp } from '../../support/app.ts'
import { createDatabase, ENGINES, type TestDatabase } from '../../support/databases.ts'

for (const engine of ENGINES) {
  t.test(`tokens and devices in the user's hands on ${engine}`, async t => {
    const database = await createDatabase(t, engine)
    t.teardown(() => database.close())
    await issuing(t, database)
    await limiting(t, database)
    await handling(t, database)
    await sessions(t, database)
    await activity(t, database)
  })
}

/** Somebody in a session that has confirmed the password. */
async function confirmed(t: Test, database: TestDatabase, environment: Record<string, string> = {}) {
  const app = await startApp(t, { database, environment: { ...UNLIMITED, ...environment } })
  const user = await aMember(database)
  const browser = new TestBrowser(app)
  await browser.logIn(user)
  await browser.post('/user/confirm-password', { password: PASSWORD })
  const { kysely } = database
  await kysely.deleteFrom('personal_access_tokens').where('id', '=', user.tokenId).execute()
  return { app, user, browser }
}

/** A request with a bearer token. */
const by = (app: TestApp, token: string) => (method: string, url: string, payload?: object) =>
  send(app, method, url, { headers: { authorization: `Bearer ${token}` }, ...(payload && { payload }) })

const names = (json: { tokens: { name: string }[] }) => json.tokens.map(({ name }) => name)

async function issuing(t: Test, database: TestDatabase) {
  await t.test('a session issues a token, whose secret is shown once', async t => {
    const { app, user, browser } = await confirmed(t, database)
    const answer = await browser.post('/api/me/token', { name: 'laptop' })
    t.equal(answer.status, 201)
    const { token, plain_text_token: plain } = answer.json
    t.match(plain, new RegExp(`^${token.id}\\|[A-Za-z0-9]{40}[0-9a-f]{8}$`))
    t.strictSame(token, {
      created_at: '2026-03-01T12:00:00.000000Z',
      id: token.id,
      name: 'laptop',
      abilities: ['*'],
      allowed_ips: null,
      last_used_at: null,
      last_used_ip: null,
      last_used_agent: null,
      expires_at: null,
      ends_at: '2027-03-01T12:00:00.000000Z',
      issued_by: null,
    })
    t.equal((await get(app, '/api/me', plain)).json.user.id, user.id)
    await app.activity.flush()
    const { json, text } = await browser.get('/api/me/token')
    t.match(json.tokens, [
      {
        id: token.id,
        last_used_at: '2026-03-01T12:00:00.000000Z',
        last_used_ip: '127.0.0.1',
        last_used_agent: 'lightMyRequest',
      },
    ])
    const shown = await browser.get(`/api/me/token/${token.id}`)
    t.strictSame(shown.json.token, json.tokens[0])
    for (const text of [(await browser.get('/api/me/token')).text, shown.text, JSON.stringify(app.logged)]) {
      t.notOk(text.includes(plain.split('|')[1]), 'nowhere else')
    }
    t.notMatch(text, /"token":"[0-9a-f]{64}"/, 'nor its digest')
  })

  await t.test('with abilities and a date', async t => {
    const { app, browser } = await confirmed(t, database)
    const { json } = await browser.post('/api/me/token', {
      name: 'player',
      abilities: ['read:playlist', 'read:playlist', 'read:me'],
      expires_at: '2026-04-01T02:00:00+02:00',
    })
    t.match(json.token, {
      abilities: ['read:playlist', 'read:me'],
      expires_at: '2026-04-01T00:00:00.000000Z',
    })
    t.equal((await get(app, '/api/me', json.plain_text_token)).status, 200)
    app.clock.advance(31 * DAY)
    t.equal((await get(app, '/api/me', json.plain_text_token)).status, 401)
  })

  await t.test('by a form, too', async t => {
    const { browser } = await confirmed(t, database)
    const headers = { 'content-type': 'application/x-www-form-urlencoded' }
    const issue = async (payload: string) =>
      (await browser.send('POST', '/api/me/token', { headers, payload })).json.token?.abilities
    t.strictSame(await issue('name=x&abilities[]=read:me&abilities[]=write:me'), ['read:me', 'write:me'])
    t.strictSame(await issue('name=x&abilities%5B0%5D=read:me'), ['read:me'])
    t.equal(
      await issue('name=x&abilities[1]=read:me'),
      undefined,
      'what is not numbered from nought on is no list',
    )
  })

  await t.test('what is wrong is told', async t => {
    const { browser } = await confirmed(t, database)
    const cases: [payload: object, field: string][] = [
      [{}, 'name'],
      [{ name: '' }, 'name'],
      [{ name: ' ' }, 'name'],
      [{ name: null }, 'name'],
      [{ name: 1 }, 'name'],
      [{ name: 'x'.repeat(256) }, 'name'],
      [{ name: 'x', abilities: 'read:me' }, 'abilities'],
      [{ name: 'x', abilities: [''] }, 'abilities.0'],
      [{ name: 'x', abilities: [1] }, 'abilities.0'],
      [{ name: 'x', abilities: Array.from({ length: 101 }, (_, n) => `a${n}`) }, 'abilities'],
      [{ name: 'x', expires_at: 'tomorrow' }, 'expires_at'],
      [{ name: 'x', expires_at: '2026-03-01T12:00:00Z' }, 'expires_at'],
      [{ name: 'x', expires_at: '2026-02-30T12:00:00Z' }, 'expires_at'],
      [{ name: 'x', expires_at: 1 }, 'expires_at'],
      [{ name: 'x', expires_at: '9999-12-31T23:59:59-01:00' }, 'expires_at'],
      [{ name: 'x', expires_at: '0000-01-01' }, 'expires_at'],
    ]
    for (const [payload, field] of cases) {
      const { status, json } = await browser.post('/api/me/token', payload)
      t.equal(status, 422, JSON.stringify(payload).slice(0, 60))
      t.strictSame(Object.keys(json?.errors ?? {}), [field])
    }
    t.strictSame((await browser.get('/api/me/token')).json.tokens, [])
    t.equal((await browser.post('/api/me/token', { name: 'NUL\0' })).status, 422)
    const odd = await browser.post('/api/me/token', { name: `${'\ud800'}<script>` })
    t.equal(odd.status, 201)
    t.equal(
      (await browser.send('PATCH', `/api/me/token/${odd.json.token.id}`, { payload: { name: '\0' } })).status,
      422,
    )
  })

  await t.test('42 a session has to have confirmed the password, to issue and to rotate', async t => {
    const { app, user, browser } = await confirmed(t, database)
    const { json } = await browser.post('/api/me/token', { name: 'x' })
    const other = new TestBrowser(app)
    await other.logIn(user)
    for (const url of ['/api/me/token', `/api/me/token/${json.token.id}/rotate`]) {
      const refused = await other.post(url, { name: 'y' })
      t.equal(refused.status, 423, url)
      t.strictSame(refused.json, { message: 'Password confirmation required.' })
      t.equal((await browser.bare('POST', url, { payload: { name: 'y' } })).status, 419)
    }
    t.strictSame(names((await browser.get('/api/me/token')).json), ['x'])
    t.equal((await other.get('/api/me/token')).status, 200, 'to look does not take it')
    t.equal((await new TestBrowser(app).get('/api/me/token')).status, 401)
  })

  await t.test('39 nothing else can be set', async t => {
    const { browser, user } = await confirmed(t, database)
    const victim = await aUser(database)
    const { json } = await browser.post('/api/me/token', {
      name: 'x',
      id: 1,
      token: 'a'.repeat(64),
      tokenable_id: victim.id,
      user_id: victim.id,
      created_at: '2020-01-01',
      last_used_at: '2020-01-01',
    })
    const row = await database.kysely
      .selectFrom('personal_access_tokens')
      .selectAll()
      .where('id', '=', json.token.id)
      .executeTakeFirstOrThrow()
    t.match(row, { tokenable_id: user.id, last_used_at: null, created_at: /^2026/ })
    t.not(row.token, 'a'.repeat(64))
    const changed = await browser.send('PATCH', `/api/me/token/${row.id}`, {
      payload: { name: 'y', abilities: ['z'], expires_at: '2030-01-01', tokenable_id: victim.id },
    })
    t.match(changed.json.token, { name: 'y', abilities: ['*'], expires_at: null })
    const url = `/api/me/token/${row.id}?fields[token]=bogus`
    t.equal((await browser.send('PATCH', url, { payload: { name: 'z' } })).status, 422)
    t.equal(
      (await browser.get(`/api/me/token/${row.id}`)).json.token.name,
      'y',
      'what is refused changes nothing',
    )
  })

  await t.test('a user has as many as TOKENS_PER_USER, however quickly they are asked for', async t => {
    const { browser } = await confirmed(t, database, { TOKENS_PER_USER: '3' })
    const answers = await Promise.all(
      [1, 2, 3, 4, 5].map(n => browser.clone().post('/api/me/token', { name: `n${n}` })),
    )
    t.strictSame(answers.map(({ status }) => status).sort(), [201, 201, 201, 403, 403])
    t.strictSame(answers.find(({ status }) => status === 403)?.json, {
      message: 'You may not have more than 3 tokens.',
    })
    t.equal((await browser.get('/api/me/token')).json.tokens.length, 3)
  })
}

async function limiting(t: Test, database: TestDatabase) {
  await t.test('a token does what its abilities say, and tells whose it is in any case', async t => {
    const app = await startApp(t, { database, environment: UNLIMITED })
    const user = await aUser(database, { roles: ['Verified'] })
    await aPlaylist(database, user.id)
    const notification = await aNotification(database, user.id)
    const routes: [method: string, url: string, ability: keyof typeof ABILITIES][] = [
      ['GET', '/api/me/playlist', 'read:playlist'],
      ['HEAD', '/api/me/playlist', 'read:playlist'],
      ['GET', '/api/me/externalprofile', 'read:externalprofile'],
      ['GET', '/api/me/notification', 'read:notification'],
      ['PUT', `/api/me/notification/${notification}/read`, 'write:notification'],
      ['PATCH', `/api/me/notification/${notification}/unread`, 'write:notification'],
      ['PUT', '/api/me/notification/readall', 'write:notification'],
      ['GET', '/api/me/activity', 'read:me'],
      ['GET', '/api/me/session', 'read:me'],
      ['DELETE', '/api/me/session', 'write:me'],
      ['GET', '/api/me/token', 'read:token'],
      ['GET', `/api/me/token/${user.tokenId}`, 'read:token'],
      ['PATCH', `/api/me/token/${user.tokenId}`, 'write:token'],
      ['GET', '/api/me?include=playlists', 'read:playlist'],
      ['GET', '/api/me?include=notifications', 'read:notification'],
      ['GET', '/api/me?include=externalprofiles', 'read:externalprofile'],
    ]
    const tokenWith = async (abilities: string[]) => (await aToken(database, user.id, { abilities })).token
    const all = Object.keys(ABILITIES)
    for (const [method, url, ability] of routes) {
      const label = `${method} ${url}`
      const payload = method === 'PATCH' && url.includes('/token/') ? { name: 'x' } : undefined
      const ask = async (abilities: string[]) => by(app, await tokenWith(abilities))(method, url, payload)
      for (const abilities of [[ability], ['*'], ['x', ability]])
        t.ok((await ask(abilities)).status < 300, label)
      const others = all.filter(other => other !== ability)
      for (const abilities of [
        others,
        [],
        [ability.toUpperCase()],
        [`${ability} `],
        [ability.slice(0, -1)],
        ['read:*'],
      ]) {
        const refused = await ask(abilities)
        t.equal(refused.status, 403, `${label} with ${abilities}`)
        if (method !== 'HEAD') t.strictSame(refused.json, INVALID_ABILITY)
      }
    }
    for (const abilities of [[], ['x'], ['read:playlist']]) {
      t.equal((await by(app, await tokenWith(abilities))('GET', '/api/me')).json.user.id, user.id)
      t.equal((await by(app, await tokenWith(abilities))('HEAD', '/api/me')).status, 200)
      t.equal(
        (await by(app, await tokenWith(abilities))('GET', '/api/me?include=roles.permissions')).status,
        200,
      )
    }
    const { token, tokenId } = await aToken(database, user.id)
    await database.kysely
      .updateTable('personal_access_tokens')
      .set({ abilities: null })
      .where('id', '=', tokenId)
      .execute()
    t.equal((await get(app, '/api/me', token)).status, 200, 'NULL is none')
    t.equal((await get(app, '/api/me/playlist', token)).status, 403)
  })

  await t.test('unless that is turned off', async t => {
    const app = await startApp(t, { database, environment: { ...UNLIMITED, TOKEN_ABILITIES: 'off' } })
    const user = await aUser(database, { roles: ['Verified'] })
    const { token } = await aToken(database, user.id, { abilities: [] })
    t.equal((await get(app, '/api/me/playlist', token)).status, 200)
    const made = await by(app, token)('POST', '/api/me/token', { name: 'x' })
    t.equal(made.status, 201)
    t.strictSame(made.json.token.abilities, [], 'nor is more given than is asked for')
    const short = await aToken(database, user.id, { expiresAt: app.clock() + DAY })
    t.equal(
      (await by(app, short.token)('POST', '/api/me/token', { name: 'x' })).json.token.expires_at,
      '2026-03-02T12:00:00.000000Z',
      'and nobody gives time that there is not',
    )
  })

  await t.test('40 a token cannot make a wider one, by no way', async t => {
    const app = await startApp(t, { database, environment: UNLIMITED })
    const user = await aUser(database, { roles: ['Verified'] })
    const limited = await aToken(database, user.id, {
      abilities: ['write:token', 'read:token', 'read:playlist'],
    })
    const ask = by(app, limited.token)
    for (const abilities of [['*'], ['read:notification'], ['read:playlist', 'write:notification']]) {
      const refused = await ask('POST', '/api/me/token', { name: 'wider', abilities })
      t.equal(refused.status, 422, String(abilities))
      t.strictSame(refused.json.errors, {
        abilities: ['The abilities must not give more than your own token has.'],
      })
    }
    for (const ability of ['read:*', 'READ:PLAYLIST']) {
      const refused = await ask('POST', '/api/me/token', { name: 'wider', abilities: [ability] })
      t.equal(refused.status, 422, ability)
      t.match(refused.json.errors.abilities, [`The abilities ${ability} are unknown.`])
    }
    const same = await ask('POST', '/api/me/token', { name: 'same' })
    t.equal(same.status, 201)
    t.strictSame(
      same.json.token.abilities,
      ['write:token', 'read:token', 'read:playlist'],
      'what it is given is its own',
    )
    t.strictSame(
      (await ask('POST', '/api/me/token', { name: 'none', abilities: [] })).json.token.abilities,
      [],
    )
    const rotated = await ask('POST', `/api/me/token/${user.tokenId}/rotate`, {})
    t.equal(rotated.status, 403, 'nor have the secret of one')
    t.strictSame(rotated.json, INVALID_ABILITY)
    t.equal((await get(app, '/api/me', user.token)).status, 200, 'which goes on')
    t.equal(
      (await ask('POST', `/api/me/token/${limited.tokenId}/rotate`, {})).status,
      201,
      'its own it may have',
    )
    const reader = by(app, (await aToken(database, user.id, { abilities: ['read:token'] })).token)
    t.equal((await reader('POST', '/api/me/token', { name: 'x' })).status, 403)

    const both = await send(app, 'POST', '/api/me/token', {
      headers: {
        authorization: `Bearer ${limited.token}`,
        referer: `${SPA}/`,
        'sec-fetch-site': 'same-origin',
      },
      payload: { name: 'x', abilities: ['*'] },
    })
    t.ok(both.status >= 400, 'a page around it gives it nothing')
  })

  await t.test('40 nor one that lives longer', async t => {
    const app = await startApp(t, { database, environment: UNLIMITED })
    const user = await aUser(database)
    const end = app.clock() + DAY
    const short = await aToken(database, user.id, { expiresAt: end })
    const ask = by(app, short.token)
    const tooLong = await ask('POST', '/api/me/token', { name: 'x', expires_at: '2026-03-03T00:00:00Z' })
    t.equal(tooLong.status, 422)
    t.strictSame(tooLong.json.errors, {
      expires_at: ['The expires at must not give more than your own token has.'],
    })
    const plain = await ask('POST', '/api/me/token', { name: 'x' })
    t.equal(plain.json.token.expires_at, '2026-03-02T12:00:00.000000Z')
    const endless = await aToken(database, user.id)
    const rotated = await ask('POST', `/api/me/token/${endless.tokenId}/rotate`, {})
    t.equal(rotated.json.token.expires_at, '2026-03-02T12:00:00.000000Z')

    const yearOld = await aToken(database, user.id, { createdAt: app.clock() - 364 * DAY })
    const made = await by(app, yearOld.token)('POST', '/api/me/token', { name: 'x' })
    t.equal(
      made.json.token.expires_at,
      '2026-03-02T12:00:00.000000Z',
      'the end that all tokens have counts as well',
    )
  })
}

async function handling(t: Test, database: TestDatabase) {
  await t.test('is listed in the query language, renamed, and revoked at once', async t => {
    const { app, browser } = await confirmed(t, database)
    for (const name of ['b', 'a', 'c']) await browser.post('/api/me/token', { name })
    t.strictSame(names((await browser.get('/api/me/token')).json), ['b', 'a', 'c'])
    t.strictSame(names((await browser.get('/api/me/token?sort=-name&page[size]=2')).json), ['c', 'b'])
    const filtered = await browser.get('/api/me/token?filter[name]=a&fields[token]=name')
    t.strictSame(filtered.json.tokens, [{ name: 'a' }])
    for (const field of ['token', 'tokenable_id']) {
      t.equal(
        (await browser.get(`/api/me/token?filter[${field}]=x`)).status,
        422,
        `${field} is none of its fields`,
      )
      t.strictSame((await browser.get(`/api/me/token?fields[token]=${field},name`)).status, 422)
    }
    const [{ id }] = filtered.json.tokens.length
      ? (await browser.get('/api/me/token?filter[name]=a')).json.tokens
      : []
    const renamed = await browser.send('PATCH', `/api/me/token/${id}`, { payload: { name: 'desk' } })
    t.equal(renamed.json.token.name, 'desk')
    const { plain_text_token: plain, token } = (await browser.post('/api/me/token', { name: 'gone' })).json
    t.equal((await get(app, '/api/me', plain)).status, 200)
    t.equal((await browser.send('DELETE', `/api/me/token/${token.id}`)).status, 204)
    t.equal((await get(app, '/api/me', plain)).status, 401)
    t.equal((await browser.send('DELETE', `/api/me/token/${token.id}`)).status, 404)
  })

  await t.test('38 those of others do not exist', async t => {
    const { app, browser } = await confirmed(t, database)
    const victim = await aUser(database)
    const foreign = await aToken(database, victim.id, { userType: 'App\\Models\\Robot' })
    for (const id of [
      victim.tokenId,
      foreign.tokenId,
      0,
      -1,
      'x',
      '1e3',
      '9'.repeat(30),
      '%00',
      `${victim.tokenId}%20`,
    ]) {
      const url = `/api/me/token/${id}`
      t.equal((await browser.get(url)).status, 404, `GET ${url}`)
      t.equal((await browser.send('PATCH', url, { payload: { name: 'mine' } })).status, 404)
      t.equal((await browser.post(`${url}/rotate`, {})).status, 404)
      t.equal((await browser.send('DELETE', url)).status, 404)
    }
    t.equal((await browser.send('DELETE', '/api/me/token')).status, 204)
    t.equal((await browser.send('DELETE', '/api/me/token/others')).status, 204)
    t.equal((await get(app, '/api/me', victim.token)).status, 200)
  })

  await t.test('is rotated: at once, or with a grace', async t => {
    const { app, browser } = await confirmed(t, database)
    const issue = async (more: object = {}) =>
      (await browser.post('/api/me/token', { name: 'bot', abilities: ['read:me'], ...more })).json
    const first = await issue({ expires_at: '2026-06-01' })
    const answer = await browser.post(`/api/me/token/${first.token.id}/rotate`)
    t.equal(answer.status, 201)
    t.match(answer.json.token, {
      name: 'bot',
      abilities: ['read:me'],
      expires_at: '2026-06-01T00:00:00.000000Z',
    })
    t.not(answer.json.token.id, first.token.id)
    t.equal((await get(app, '/api/me', first.plain_text_token)).status, 401)
    t.equal((await get(app, '/api/me', answer.json.plain_text_token)).status, 200)

    const second = await issue()
    const graced = await browser.post(`/api/me/token/${second.token.id}/rotate`, { grace: 60 })
    for (const plain of [second.plain_text_token, graced.json.plain_text_token]) {
      t.equal((await get(app, '/api/me', plain)).status, 200)
    }
    app.clock.advance(MINUTE + 1000)
    t.equal((await get(app, '/api/me', second.plain_text_token)).status, 401)
    t.equal((await get(app, '/api/me', graced.json.plain_text_token)).status, 200)

    const ending = await issue({ expires_at: '2026-03-01T12:02:00Z' })
    await browser.post(`/api/me/token/${ending.token.id}/rotate`, { grace: 600 })
    app.clock.advance(2 * MINUTE)
    t.equal(
      (await get(app, '/api/me', ending.plain_text_token)).status,
      401,
      'a grace makes none live longer',
    )
    for (const grace of [-1, 1.5, 604_801, '60 s', {}]) {
      t.equal((await browser.post(`/api/me/token/${graced.json.token.id}/rotate`, { grace })).status, 422)
    }
    const form = await browser.send('POST', `/api/me/token/${graced.json.token.id}/rotate`, {
      headers: { 'content-type': 'application/x-www-form-urlencoded' },
      payload: 'grace=60',
    })
    t.equal(form.status, 201, 'a form has nothing but text')
    t.equal((await get(app, '/api/me', graced.json.plain_text_token)).status, 200)
  })

  await t.test('one can be for some addresses alone', async t => {
    const { app, browser } = await confirmed(t, database, { TRUSTED_PROXIES: 'loopback' })
    const issue = async (allowed_ips: unknown) => browser.post('/api/me/token', { name: 'x', allowed_ips })
    const { json } = await issue(['192.0.2.0/24', '2001:db8::1'])
    t.strictSame(json.token.allowed_ips, ['192.0.2.0/24', '2001:db8::1'])
    const from = (address: string, token = json.plain_text_token) =>
      get(app, '/api/me', token, { 'x-forwarded-for': address })
    for (const address of ['192.0.2.7', '2001:db8::1']) t.equal((await from(address)).status, 200, address)
    for (const address of ['192.0.3.7', '2001:db8::2', '127.0.0.1', 'x']) {
      const refused = await from(address)
      t.equal(refused.status, 401, address)
      t.strictSame(refused.json, { message: 'Unauthenticated.' })
    }
    for (const wrong of [
      ['x'],
      ['1.2.3.4/33'],
      [],
      [1],
      '192.0.2.1',
      [''],
      Array.from({ length: 51 }, () => '::1'),
    ]) {
      t.equal((await issue(wrong)).status, 422, JSON.stringify(wrong).slice(0, 40))
    }
    const ask = (payload: object) =>
      send(app, 'POST', '/api/me/token', {
        headers: { authorization: `Bearer ${json.plain_text_token}`, 'x-forwarded-for': '192.0.2.7' },
        payload: { name: 'x', ...payload },
      })
    t.strictSame(
      (await ask({})).json.token.allowed_ips,
      ['192.0.2.0/24', '2001:db8::1'],
      '40 what it makes is for no others',
    )
    t.strictSame((await ask({ allowed_ips: ['192.0.2.9'] })).json.token.allowed_ips, ['192.0.2.9'])
    for (const allowed_ips of [['0.0.0.0/0'], ['192.0.2.0/23'], ['192.0.2.1', '::/0']]) {
      t.strictSame((await ask({ allowed_ips })).json.errors, {
        allowed_ips: ['The allowed ips must not give more than your own token has.'],
      })
    }
    const wide = (await issue(null)).json
    const rotated = await send(app, 'POST', `/api/me/token/${wide.token.id}/rotate`, {
      headers: { authorization: `Bearer ${json.plain_text_token}`, 'x-forwarded-for': '192.0.2.7' },
    })
    t.equal(rotated.status, 403)
    const successor = await browser.post(`/api/me/token/${json.token.id}/rotate`)
    t.strictSame(successor.json.token.allowed_ips, ['192.0.2.0/24', '2001:db8::1'])
    t.equal((await from('192.0.3.7', successor.json.plain_text_token)).status, 401)
  })

  await t.test('one that nobody uses ends, if that is wanted', async t => {
    const { app, user, browser } = await confirmed(t, database, {
      SANCTUM_IDLE_EXPIRATION: '60',
      SESSION_LIFETIME: '10000',
    })
    const [used, unused] = [await aToken(database, user.id), await aToken(database, user.id)]
    for (let n = 0; n < 3; n += 1) {
      app.clock.advance(50 * MINUTE)
      t.equal((await get(app, '/api/me', used.token)).status, 200)
      await app.activity.flush()
    }
    t.equal((await get(app, '/api/me', unused.token)).status, 401)
    app.clock.advance(61 * MINUTE)
    t.equal((await get(app, '/api/me', used.token)).status, 401)
    t.equal((await browser.get('/api/me')).status, 200, 'sessions have their own time')
  })

  await t.test('whoever finds one can revoke it, if that is wanted', async t => {
    const { app, user, browser } = await confirmed(t, database, { LEAKED_TOKENS: 'on' })
    const [first, second] = [await aToken(database, user.id), await aToken(database, user.id)]
    const report = (token: unknown) =>
      send(app, 'POST', '/api/leaked-token', { payload: { token } as object })
    for (const wrong of [
      'x',
      '|',
      `${first.tokenId}|wrong`,
      `${second.tokenId}|${first.secret}x`,
      '9'.repeat(40),
      'x|y|z',
    ]) {
      t.equal((await report(wrong)).status, 204, wrong)
    }
    for (const wrong of [null, 1, '', {}]) t.equal((await report(wrong)).status, 422)
    t.equal((await get(app, '/api/me', first.token)).status, 200)
    t.equal((await report(first.token)).status, 204)
    t.equal((await get(app, '/api/me', first.token)).status, 401)
    t.equal((await report(first.token)).status, 204)
    t.equal((await report(second.secret)).status, 204, 'the secret alone is enough')
    t.equal((await get(app, '/api/me', second.token)).status, 401)
    t.strictSame((await app.mailbox.next()).to, { name: user.name, address: user.email })
    await app.events.stored()
    const { json } = await browser.get('/api/me/activity?filter[event]=token%20revoked')
    t.match(json.activities, [
      { details: { which: second.tokenId, cause: 'leaked' } },
      { details: { which: first.tokenId } },
    ])
    const off = await startApp(t, { database, environment: UNLIMITED })
    t.equal((await send(off, 'POST', '/api/leaked-token', { payload: { token: 'x' } })).status, 404)
    const limited = await startApp(t, {
      database,
      environment: { ...UNLIMITED, LEAKED_TOKENS: 'on', RATE_LIMIT_FAILED_AUTH: '2' },
    })
    const guess = (n: number) =>
      send(limited, 'POST', '/api/leaked-token', { payload: { token: `${n}|guess` } })
    t.strictSame([(await guess(1)).status, (await guess(2)).status, (await guess(3)).status], [204, 204, 429])
  })

  await t.test('one that has ended has no successor, and one without end may', async t => {
    const { app, user, browser } = await confirmed(t, database)
    const ended = await aToken(database, user.id, { expiresAt: app.clock() - 1 })
    const refused = await browser.post(`/api/me/token/${ended.tokenId}/rotate`)
    t.equal(refused.status, 422)
    t.strictSame(refused.json.errors, { token: ['The token has ended, and so would its successor.'] })
    const endless = await aToken(database, user.id)
    await database.kysely
      .updateTable('personal_access_tokens')
      .set({ expires_at: 'infinity' })
      .where('id', '=', endless.tokenId)
      .execute()
    t.equal((await browser.get(`/api/me/token/${endless.tokenId}`)).json.token.expires_at, null)
    for (const grace of [60, 0]) {
      t.equal((await browser.post(`/api/me/token/${endless.tokenId}/rotate`, { grace })).status, 201)
    }
  })

  await t.test('a grace is no way around TOKENS_PER_USER', async t => {
    const { user, browser } = await confirmed(t, database, { TOKENS_PER_USER: '2' })
    const { tokenId } = await aToken(database, user.id)
    const rotate = async (payload: object) =>
      (await browser.post(`/api/me/token/${tokenId}/rotate`, payload)).status
    t.strictSame([await rotate({ grace: 60 }), await rotate({ grace: 60 })], [201, 403])
    t.equal(await rotate({}), 201, 'one in the place of another is no more')
  })

  await t.test('what was revoked while a request was under way gives birth to nothing', async t => {
    const { app, user, browser } = await confirmed(t, database)
    const { token } = await aToken(database, user.id)
    await app.listen({ host: '127.0.0.1', port: 0 })
    const { port } = app.server.address() as AddressInfo
    /** Sends the head of a request, and its body once something else has happened. */
    const late = async (
      path: string,
      headers: Record<string, string>,
      meanwhile: () => Promise<unknown>,
      method = 'POST',
    ) => {
      const body = '{"name":"late"}'
      const sent = request({
        port,
        path,
        method,
        headers: { ...headers, 'content-type': 'application/json', 'content-length': body.length },
      })
      const answered = once(sent, 'response')
      database.statements.length = 0
      sent.flushHeaders()
      // Once who is calling was asked for, it is known.
      while (!database.statements.some(text => text.includes('permission_versions'))) {
        await new Promise(setImmediate)
      }
      await meanwhile()
      sent.end(body)
      const [response] = (await answered) as [IncomingMessage]
      response.resume()
      return response.statusCode
    }
    const cookie = [...browser.cookies].map(([name, value]) => `${name}=${value}`).join('; ')
    const inSession = {
      cookie,
      referer: `${SPA}/`,
      'x-xsrf-token': browser.cookies.get('XSRF-TOKEN') ?? '',
    }
    const bearer = { authorization: `Bearer ${token}` }
    const other = await aToken(database, user.id)
    const { kysely } = database
    const owner = { userId: user.id, types: [USER_TYPE] }
    t.equal(await late('/api/me/token', bearer, async () => {}), 201, 'late alone is no fault')
    for (const path of ['/api/me/token', `/api/me/token/${other.tokenId}/rotate`]) {
      const { token } = await aToken(database, user.id)
      const status = await late(path, { authorization: `Bearer ${token}` }, () =>
        deleteOwnTokens(kysely, owner, { except: other.tokenId }),
      )
      t.equal(status, 401, path)
    }
    const hash = await hashPassword('Another-horse-2', TEST_ROUNDS)
    const change = { keep: null, revokeTokens: [USER_TYPE], now: app.clock() }
    const seconds = async (work: () => Promise<unknown>) => {
      await work()
      app.clock.advance(51)
    }
    const renamed = await late('/user/profile-information', inSession, () => seconds(async () => {}), 'PUT')
    t.equal(renamed, 200)
    const maker = await aUser(database, { roles: ['Verified'] })
    const making = (meanwhile: () => Promise<unknown>) =>
      late('/api/playlist', { authorization: `Bearer ${maker.token}` }, () => seconds(meanwhile))
    t.equal(await making(async () => {}), 422, 'which lacks its visibility')
    const taken = () => kysely.deleteFrom('model_has_roles').where('model_id', '=', maker.id).execute()
    t.equal(await making(taken), 403, 'what may be done no longer is refused')
    t.equal(await late('/api/me/token', inSession, () => changePassword(kysely, user.id, hash, change)), 401)
    const second = new TestBrowser(app)
    await second.logIn({ ...user, password: 'Another-horse-2' })
    const again = {
      ...inSession,
      cookie: [...second.cookies].map(([name, value]) => `${name}=${value}`).join('; '),
      'x-xsrf-token': second.cookies.get('XSRF-TOKEN') ?? '',
    }
    const ended = () => seconds(() => changePassword(kysely, user.id, hash, change))
    t.equal(await late('/user/profile-information', again, ended, 'PUT'), 401, 'nor changes anything')
    const last = await aToken(database, user.id)
    const revoked = () => seconds(() => deleteOwnTokens(kysely, owner, { except: null }))
    const headers = { authorization: `Bearer ${last.token}` }
    t.equal(await late(`/api/me/token/${last.tokenId}`, headers, revoked, 'PATCH'), 401)
    const left = await kysely
      .selectFrom('personal_access_tokens')
      .select('id')
      .where('tokenable_id', '=', user.id)
      .execute()
    t.strictSame(left, [])
  })

  await t.test('of two who rotate at the same time, one gets the successor', async t => {
    const { browser } = await confirmed(t, database)
    const { token } = (await browser.post('/api/me/token', { name: 'x' })).json
    const answers = await Promise.all(
      [1, 2, 3].map(() => browser.clone().post(`/api/me/token/${token.id}/rotate`)),
    )
    t.strictSame(answers.map(({ status }) => status).sort(), [201, 404, 404])
    t.equal((await browser.get('/api/me/token')).json.tokens.length, 1)
  })

  await t.test('all, all others, and the one that asks', async t => {
    const { app, user, browser } = await confirmed(t, database)
    const tokens = await Promise.all([1, 2, 3, 4].map(() => aToken(database, user.id)))
    const [first, second, third, fourth] = tokens.map(({ token }) => token) as [
      string,
      string,
      string,
      string,
    ]
    const alive = async () => {
      const statuses = await Promise.all(
        [first, second, third, fourth].map(token => get(app, '/api/me', token)),
      )
      return statuses.map(({ status }) => status)
    }
    t.equal((await by(app, first)('DELETE', '/api/me/token/current')).status, 204)
    t.strictSame(await alive(), [401, 200, 200, 200])
    t.equal((await browser.send('DELETE', '/api/me/token/current')).status, 204, 'a session has none')
    t.strictSame(await alive(), [401, 200, 200, 200])
    t.equal((await by(app, second)('DELETE', '/api/me/token/others')).status, 204)
    t.strictSame(await alive(), [401, 200, 401, 401])
    t.equal((await browser.send('DELETE', '/api/me/token')).status, 204)
    t.strictSame(await alive(), [401, 401, 401, 401])
    const { token } = await aToken(database, user.id, { abilities: [] })
    t.equal((await by(app, token)('DELETE', '/api/me/token')).status, 403)
    t.equal(
      (await by(app, token)('DELETE', '/api/me/token/current')).status,
      204,
      'to end itself takes nothing',
    )
    t.equal((await get(app, '/api/me', token)).status, 401)
  })

  await t.test('one that ended is deleted a day later', async t => {
    const { app, browser } = await confirmed(t, database, { SESSION_LIFETIME: '100000' })
    await browser.post('/api/me/token', { name: 'short', expires_at: '2026-03-01T13:00:00Z' })
    await browser.post('/api/me/token', { name: 'long' })
    const left = async () => names((await browser.get('/api/me/token')).json)
    app.clock.advance(24 * 60 * MINUTE)
    await app.activity.prune()
    t.strictSame(await left(), ['short', 'long'])
    app.clock.advance(61 * MINUTE)
    await app.activity.prune()
    t.strictSame(await left(), ['long'])
  })
}

async function sessions(t: Test, database: TestDatabase) {
  const logIn = async (
    app: TestApp,
    user: { email: string; password: string },
    agent: string,
    remember = false,
  ) => {
    const browser = new TestBrowser(app)
    browser.page = { ...browser.page, 'user-agent': agent }
    await browser.get('/sanctum/csrf-cookie')
    await browser.post('/login', { ...user, remember })
    return browser
  }
  const list = async (browser: TestBrowser) => (await browser.get('/api/me/session')).json.sessions
  const isIn = async (browser: TestBrowser) => (await browser.get('/api/me')).status === 200

  await t.test('the browsers in which somebody is logged in', async t => {
    const { app, user, browser } = await confirmed(t, database)
    const phone = await logIn(app, user, 'Phone/1', true)
    const tablet = await logIn(app, user, 'Tablet/1')
    await confirmed(t, database)
    const all = await list(phone)
    t.equal(all.length, 3)
    t.match(
      all.find((one: { is_current: boolean }) => one.is_current),
      {
        user_agent: 'Phone/1',
        ip_address: '127.0.0.1',
        is_remembered: true,
        last_active_at: '2026-03-01T12:00:00.000000Z',
      },
    )
    t.equal(all.filter((one: { is_current: boolean }) => one.is_current).length, 1)
    for (const secret of [phone.sessionId, phone.cookies.get('remember_web')?.split('.')[1]]) {
      t.notOk(JSON.stringify(all).includes(secret ?? '?'), 'opens nothing')
    }
    const other = all.find((one: { user_agent: string }) => one.user_agent === 'Tablet/1')
    t.equal((await phone.send('DELETE', `/api/me/session/${other.id}`)).status, 204)
    t.notOk(await isIn(tablet))
    t.ok(await isIn(browser))
    t.equal((await phone.send('DELETE', `/api/me/session/${other.id}`)).status, 404)

    t.equal((await browser.send('DELETE', '/api/me/session')).status, 204)
    t.notOk(await isIn(phone), 'nor does what was remembered bring it back')
    t.ok(await isIn(browser))
    t.strictSame(
      (await list(browser)).map((one: { is_current: boolean }) => one.is_current),
      [true],
    )
  })

  await t.test('one that is remembered is among them without a session, and ends with its own', async t => {
    const { app, user, browser } = await confirmed(t, database, { SESSION_LIFETIME: '1000' })
    const phone = await logIn(app, user, 'Phone/1', true)
    await database.kysely.deleteFrom('sessions').where('user_agent', '=', 'Phone/1').execute()
    const device = (await list(browser)).find((one: { user_agent: string }) => one.user_agent === 'Phone/1')
    t.match(device, { id: /^[0-9a-f]{64}$/, is_current: false, is_remembered: true })
    const [selector = ''] = (phone.cookies.get('remember_web') ?? '').split('.')
    t.notOk(device.id.includes(selector), 'whoever reads the list cannot have it forgotten')
    t.equal((await browser.send('DELETE', `/api/me/session/${device.id}`)).status, 204)
    t.notOk(await isIn(phone))

    const again = await logIn(app, user, 'Phone/2', true)
    const session = (await list(browser)).find((one: { user_agent: string }) => one.user_agent === 'Phone/2')
    t.equal((await browser.send('DELETE', `/api/me/session/${session.id}`)).status, 204)
    t.notOk(await isIn(again), 'by its session, it is forgotten as well')
    const own = (await list(browser)).find((one: { is_current: boolean }) => one.is_current)
    t.equal((await browser.send('DELETE', `/api/me/session/${own.id}`)).status, 204)
    t.notOk(await isIn(browser), "one's own ends, too")
  })

  await t.test('a token ends them all, if it may', async t => {
    const { app, user, browser } = await confirmed(t, database)
    const { token } = await aToken(database, user.id, { abilities: ['write:me'] })
    t.equal((await by(app, token)('DELETE', '/api/me/session')).status, 204)
    t.notOk(await isIn(browser))
  })

  await t.test('38 those of others do not exist', async t => {
    const victim = await confirmed(t, database)
    const { browser } = await confirmed(t, database)
    const [{ id }] = await list(victim.browser)
    for (const one of [id, 'x', '%00', '%27', '0'.repeat(64)]) {
      t.equal((await browser.send('DELETE', `/api/me/session/${one}`)).status, 404, one)
    }
    await browser.send('DELETE', '/api/me/session')
    t.ok(await isIn(victim.browser))
    t.equal((await victim.browser.bare('DELETE', `/api/me/session/${id}`)).status, 419)
  })
}

async function activity(t: Test, database: TestDatabase) {
  const happened = async (app: TestApp, browser: TestBrowser, query = '') => {
    await app.events.stored()
    return (await browser.get(`/api/me/activity${query}`)).json.activities
  }

  await t.test('what happened is kept, and shown to whom it happened', async t => {
    const { app, user, browser } = await confirmed(t, database)
    const stranger = new TestBrowser(app)
    stranger.page = { ...stranger.page, 'user-agent': 'Guesser/1' }
    await stranger.logIn({ email: user.email, password: 'a wrong guess' })
    const { json } = await browser.post('/api/me/token', { name: 'laptop' })
    await browser.post(`/api/me/token/${json.token.id}/rotate`)
    await browser.send('DELETE', '/api/me/token')
    const all = await happened(app, browser)
    t.strictSame(
      all.map(({ event, details }: { event: string; details: object }) => [event, details]),
      [
        ['token revoked', { which: 'all', count: 1, tokens: `laptop (${all[1].details.tokenId})` }],
        ['token rotated', { tokenId: all[1].details.tokenId, before: json.token.id, grace: 0 }],
        ['token created', { tokenId: json.token.id, name: 'laptop' }],
        ['wrong password', { cause: 'login' }],
        ['password confirmed', {}],
        ['login', { cause: 'password', remember: false }],
      ],
    )
    t.match(all[3], {
      ip_address: '127.0.0.1',
      user_agent: 'Guesser/1',
      created_at: '2026-03-01T12:00:00.000000Z',
    })
    const text = JSON.stringify(all)
    for (const secret of [PASSWORD, 'a wrong guess', json.plain_text_token.split('|')[1]])
      t.notOk(text.includes(secret))
    const filtered = await happened(app, browser, '?filter[event]=wrong%20password&fields[activity]=event')
    t.strictSame(filtered, [{ event: 'wrong password' }])
    const other = await confirmed(t, database)
    t.strictSame(
      (await happened(other.app, other.browser)).map(({ event }: { event: string }) => event),
      ['password confirmed', 'login'],
    )
  })

  await t.test('a token that has ended and is used is told once an hour', async t => {
    const { app, user, browser } = await confirmed(t, database)
    const { token, tokenId } = await aToken(database, user.id, { expiresAt: app.clock() - 1 })
    const used = async () =>
      (await happened(app, browser, '?filter[event]=expired%20token%20used')).map(
        ({ details }: { details: object }) => details,
      )
    for (let n = 0; n < 3; n += 1) t.equal((await get(app, '/api/me', token)).status, 401)
    t.strictSame(await used(), [{ tokenId }])
    app.clock.advance(61 * MINUTE)
    await get(app, '/api/me', token)
    t.strictSame(await used(), [{ tokenId }, { tokenId }])
  })

  await t.test('is deleted after a year, and with the account', async t => {
    const { app, user } = await confirmed(t, database)
    const count = async () =>
      (
        await database.kysely
          .selectFrom('account_events')
          .select('id')
          .where('user_id', '=', user.id)
          .execute()
      ).length
    await app.events.stored()
    app.clock.advance(365 * DAY)
    await app.activity.prune()
    t.equal(await count(), 2)
    app.clock.advance(1)
    await app.activity.prune()
    t.equal(await count(), 0)
  })

  await t.test(
    'no answer waits for it',
    { skip: database.source.constructor.name === 'PgliteSource' },
    async t => {
      const { browser } = await confirmed(t, database)
      const holder = await database.source.acquire()
      await holder.query('begin', [])
      await holder.query('lock table account_events in access exclusive mode', [])
      t.equal((await browser.post('/user/confirm-password', { password: PASSWORD })).status, 201)
      await holder.query('rollback', [])
      holder.release()
    },
  )

  await t.test('is written once the database is back', async t => {
    const { app, browser } = await confirmed(t, database)
    await app.events.stored()
    await database.kysely.schema.alterTable('account_events').renameTo('elsewhere').execute()
    await browser.post('/user/confirm-password', { password: PASSWORD })
    await app.events.stored()
    t.match(
      app.logged.find(({ msg }) => /^The database is not available: |^events could not be/.test(String(msg))),
      { level: /40|50/ },
    )
    await database.kysely.schema.alterTable('elsewhere').renameTo('account_events').execute()
    const all = await happened(app, browser, '?filter[event]=password%20confirmed')
    t.equal(all.length, 2)
  })
}
