import t, { type Test } from 'tap'
import { ABILITIES } from '#src/auth/ability.ts'
import { SessionId } from '#src/auth/session.ts'
import { TestBrowser } from '../../fixtures/browser.ts'
import { DAY, MINUTE } from '../../fixtures/clock.ts'
import { PanelBrowser, textOf } from '../../fixtures/panel.ts'
import { UNLIMITED } from '../../fixtures/settings.ts'
import { aMember, aToken, PASSWORD } from '../../fixtures/users.ts'
import { get, send, startApp, type TestApp } from '../../support/app.ts'
import {
  beforeStatement,
  createDatabase,
  PRODUCTION_ENGINE,
  type TestDatabase,
} from '../../support/databases.ts'

const UNVERIFIED = {
  message:
    'Your e-mail address is not verified yet. Follow the link in the mail that we sent you, or request a new one, before you create tokens.',
}

for (const engine of PRODUCTION_ENGINE) {
  t.test(`issuing tokens on ${engine}`, async t => {
    const database = await createDatabase(t, engine)
    t.teardown(() => database.close())
    await verifying(t, database)
    await naming(t, database)
    await ending(t, database)
  })
}

/** A user in a session that has confirmed the password, and a way to ask with a token. */
async function start(
  t: Test,
  database: TestDatabase,
  { environment = {}, verified = true }: { environment?: Record<string, string>; verified?: boolean } = {},
) {
  const app = await startApp(t, { database, environment: { ...UNLIMITED, ...environment } })
  const user = await aMember(database, { verified })
  const browser = new TestBrowser(app)
  await browser.logIn(user)
  await browser.post('/user/confirm-password', { password: PASSWORD })
  return { app, user, browser }
}

const ask = (app: TestApp, token: string, method: string, path: string, payload?: object) =>
  send(app, method, `/api/me/token${path}`, {
    headers: { authorization: `Bearer ${token}` },
    ...(payload && { payload }),
  })

const countOf = async ({ kysely }: TestDatabase, { id }: { id: number }) =>
  (await kysely.selectFrom('personal_access_tokens').select('id').where('tokenable_id', '=', id).execute())
    .length

async function verifying(t: Test, database: TestDatabase) {
  const { kysely } = database

  await t.test('a user whose e-mail address is not verified gets no token through the API', async t => {
    const { app, user, browser } = await start(t, database, { verified: false })
    const rotation = `/${user.tokenId}/rotate`
    for (const answer of [
      await browser.post('/api/me/token', { name: 'x' }),
      await browser.post(`/api/me/token${rotation}`),
      await ask(app, user.token, 'POST', '', { name: 'x' }),
      await ask(app, user.token, 'POST', rotation, {}),
    ]) {
      t.equal(answer.status, 403)
      t.strictSame(answer.json, UNVERIFIED)
    }
    t.equal(await countOf(database, user), 1)
  })

  await t.test('nor in the panel, which says why', async t => {
    const { app, user } = await start(t, database, { verified: false })
    const browser = new PanelBrowser(app)
    await browser.logIn(user)
    const fields = { name: 'x', scope: 'all', current_password: PASSWORD }
    const refused = await browser.sendForm(await browser.open('/admin'), '/admin/tokens', fields)
    t.equal(refused.status, 403)
    t.match(textOf(refused), UNVERIFIED.message)
    const page = await browser.open(`/admin/tokens/${user.tokenId}`)
    const rotation = await browser.sendForm(page, `/admin/tokens/${user.tokenId}/rotate`, {
      grace: '0',
      current_password: PASSWORD,
    })
    t.equal(rotation.status, 403)
    t.equal(await countOf(database, user), 1)
  })

  await t.test('the tokens that there are keep working, and can be renamed and revoked', async t => {
    const { app, user } = await start(t, database, { verified: false })
    t.equal((await get(app, '/api/me', user.token)).status, 200)
    t.equal((await ask(app, user.token, 'PATCH', `/${user.tokenId}`, { name: 'y' })).status, 200)
    t.equal((await ask(app, user.token, 'DELETE', '/current')).status, 204)
  })

  await t.test('what counts is whether it is verified when the token is stored', async t => {
    const { app, user } = await start(t, database)
    await get(app, '/api/me', user.token)
    await kysely.updateTable('users').set({ email_verified_at: null }).where('id', '=', user.id).execute()
    t.equal((await ask(app, user.token, 'POST', '', { name: 'x' })).status, 403)
    const other = await start(t, database)
    const skip = database.source.constructor.name === 'PgliteSource'
    if (skip) return
    const came = beforeStatement(t, database, /for no key update/, connection =>
      connection.query('update users set email_verified_at = null where id = $1', [other.user.id]),
    )
    t.strictSame((await other.browser.post('/api/me/token', { name: 'x' })).json, UNVERIFIED)
    t.equal(came(), true)
    t.equal(await countOf(database, other.user), 1)
  })

  await t.test('a session that ends before the token is stored gets none', async t => {
    if (database.source.constructor.name === 'PgliteSource') return
    const { user, browser } = await start(t, database)
    const digest = new SessionId(browser.sessionId).digest()
    const came = beforeStatement(t, database, /for no key update/, connection =>
      connection.query('delete from sessions where id = $1', [digest]),
    )
    t.equal((await browser.post('/api/me/token', { name: 'x' })).status, 401)
    t.equal(came(), true)
    t.equal(await countOf(database, user), 1)
  })

  await t.test('what a token may give is what it has when the new one is stored', async t => {
    if (database.source.constructor.name === 'PgliteSource') return
    const narrowed: [column: string, value: string, status: number, payload: object][] = [
      ['abilities', '["write:token"]', 422, { abilities: ['read:playlist'] }],
      ['allowed_ips', '["192.0.2.1"]', 401, {}],
      ['expires_at', '2026-03-01 12:30:00', 422, { expires_at: '2026-03-02T00:00:00Z' }],
    ]
    for (const [column, value, status, payload] of narrowed) {
      const { app, user } = await start(t, database)
      const came = beforeStatement(t, database, /for no key update/, connection =>
        connection.query(`update personal_access_tokens set ${column} = $1 where id = $2`, [
          value,
          user.tokenId,
        ]),
      )
      const answer = await ask(app, user.token, 'POST', '', { name: 'x', ...payload })
      t.equal(answer.status, status, column)
      t.equal(came(), true)
      t.equal(await countOf(database, user), 1)
    }
  })

  await t.test('a token that lost write:token meanwhile renames and revokes nothing', async t => {
    if (database.source.constructor.name === 'PgliteSource') return
    for (const [method, payload] of [
      ['PATCH', { name: 'y' }],
      ['DELETE', undefined],
    ] as const) {
      const { app, user } = await start(t, database)
      const other = await aToken(database, user.id)
      const came = beforeStatement(t, database, /for no key update/, connection =>
        connection.query(`update personal_access_tokens set abilities = '["read:token"]' where id = $1`, [
          user.tokenId,
        ]),
      )
      t.equal((await ask(app, user.token, method, `/${other.tokenId}`, payload)).status, 403, method)
      t.equal(came(), true)
      t.equal(await countOf(database, user), 2)
    }
  })
}

async function naming(t: Test, database: TestDatabase) {
  await t.test('abilities that nothing knows are refused by name', async t => {
    const { app, user, browser } = await start(t, database)
    const known = `*, ${Object.keys(ABILITIES).join(', ')}`
    const cases: [abilities: string[], unknown: string][] = [
      [['reed:me'], 'reed:me'],
      [['read:me', 'x', 'y'], 'x, y'],
      [['*', 'READ:ME'], 'READ:ME'],
      [['read:*'], 'read:*'],
      [['__proto__', 'constructor'], '__proto__, constructor'],
    ]
    for (const [abilities, unknown] of cases) {
      const errors = { abilities: [`The abilities ${unknown} are unknown. Known abilities are ${known}.`] }
      const answer = await browser.post('/api/me/token', { name: 'x', abilities })
      t.strictSame([answer.status, answer.json.errors], [422, errors], unknown)
      t.equal((await ask(app, user.token, 'POST', '', { name: 'x', abilities })).status, 422)
    }
    t.equal(await countOf(database, user), 1)
    for (const ability of ['*', ...Object.keys(ABILITIES)]) {
      t.equal((await browser.post('/api/me/token', { name: 'x', abilities: [ability] })).status, 201, ability)
    }
  })

  await t.test('also in the panel', async t => {
    const { app, user } = await start(t, database)
    const browser = new PanelBrowser(app)
    await browser.logIn(user)
    const fields = {
      name: 'x',
      scope: 'some',
      'abilities[]': ['read:me', 'reed:me'],
      current_password: PASSWORD,
    }
    const refused = await browser.sendForm(await browser.open('/admin'), '/admin/tokens', fields)
    t.equal(refused.status, 422)
    t.match(textOf(refused), 'The abilities reed:me are unknown.')
    t.equal(await countOf(database, user), 1)
  })

  await t.test(
    'those that a token of Laravel has already stay with its successor and its children',
    async t => {
      const { app, user, browser } = await start(t, database)
      const abilities = ['write:token', 'app:own']
      const { token, tokenId } = await aToken(database, user.id, { abilities })
      t.strictSame((await ask(app, token, 'POST', '', { name: 'x' })).json.token.abilities, abilities)
      t.equal((await ask(app, token, 'POST', '', { name: 'x', abilities: ['app:own'] })).status, 422)
      t.strictSame((await browser.post(`/api/me/token/${tokenId}/rotate`)).json.token.abilities, abilities)
    },
  )
}

async function ending(t: Test, database: TestDatabase) {
  const { kysely } = database

  await t.test('a token shows when it ends, whichever date comes first', async t => {
    const cases: [environment: Record<string, string>, expiresAt: string | null, endsAt: string | null][] = [
      [{}, null, '2027-03-01T12:00:00.000000Z'],
      [{}, '2026-04-01T00:00:00Z', '2026-04-01T00:00:00.000000Z'],
      [{}, '2028-01-01T00:00:00Z', '2027-03-01T12:00:00.000000Z'],
      [{ SANCTUM_EXPIRATION: 'null' }, null, null],
      [{ SANCTUM_EXPIRATION: 'null' }, '2028-01-01T00:00:00Z', '2028-01-01T00:00:00.000000Z'],
      [{ SANCTUM_IDLE_EXPIRATION: '60' }, null, '2026-03-01T13:00:00.000000Z'],
      [{ SANCTUM_EXPIRATION: '30', SANCTUM_IDLE_EXPIRATION: '60' }, null, '2026-03-01T12:30:00.000000Z'],
    ]
    for (const [environment, expires_at, ends_at] of cases) {
      const { browser } = await start(t, database, { environment })
      const { json } = await browser.post('/api/me/token', { name: 'x', expires_at })
      t.equal(json.token.ends_at, ends_at, JSON.stringify({ environment, expires_at }))
      const { id } = json.token
      const shown = await browser.get(`/api/me/token/${id}?fields[token]=ends_at`)
      t.strictSame(shown.json.token, { ends_at })
      const listed = await browser.get(`/api/me/token?filter[id]=${id}&fields[token]=ends_at`)
      t.strictSame(listed.json.tokens, [{ ends_at }])
    }
  })

  await t.test('one that idles ends later when it is used', async t => {
    const { app, user, browser } = await start(t, database, {
      environment: { SANCTUM_IDLE_EXPIRATION: '60' },
    })
    app.clock.advance(30 * MINUTE)
    await get(app, '/api/me', user.token)
    await app.activity.flush()
    const { json } = await browser.get(`/api/me/token/${user.tokenId}`)
    t.equal(json.token.ends_at, '2026-03-01T13:30:00.000000Z')
  })

  await t.test('dates that Laravel or an operator wrote are no errors', async t => {
    const { user, browser } = await start(t, database)
    for (const [expires_at, created_at, ends_at] of [
      ['infinity', '2026-03-01', '2027-03-01T00:00:00.000000Z'],
      ['-infinity', '2026-03-01', null],
      ['infinity', 'infinity', null],
      ['0044-03-15 00:00:00 BC', '2026-03-01', null],
      [null, null, '1971-01-01T00:00:00.000000Z'],
    ] as const) {
      await kysely
        .updateTable('personal_access_tokens')
        .set({ expires_at, created_at })
        .where('id', '=', user.tokenId)
        .execute()
      const { status, json } = await browser.get(`/api/me/token/${user.tokenId}`)
      t.strictSame([status, json.token?.ends_at], [200, ends_at], `${expires_at}, ${created_at}`)
    }
  })

  await t.test('it can be neither filtered nor sorted by', async t => {
    const { browser } = await start(t, database)
    for (const query of ['sort=ends_at', 'filter[ends_at]=2026']) {
      t.equal((await browser.get(`/api/me/token?${query}`)).status, 422, query)
    }
  })

  await t.test('the end of a token that issues binds what it issues', async t => {
    const { app, user } = await start(t, database)
    const { token } = await aToken(database, user.id, { createdAt: app.clock() - 364 * DAY })
    const { json } = await ask(app, token, 'POST', '', { name: 'x' })
    t.equal(json.token.ends_at, '2026-03-02T12:00:00.000000Z')
  })
}
