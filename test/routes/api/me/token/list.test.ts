import t from 'tap'
import { DAY, MINUTE } from '../../../../fixtures/clock.ts'
import { namesOf } from '../../../../fixtures/queries.ts'
import { requestWith } from '../../../../fixtures/requests.ts'
import { UNLIMITED } from '../../../../fixtures/settings.ts'
import { aTokenIssuer } from '../../../../fixtures/tokens.ts'
import { aToken, aUser } from '../../../../fixtures/users.ts'
import { get, startApp, type TestApp } from '../../../../support/app.ts'
import { createDatabase, ENGINES, PRODUCTION_ENGINE } from '../../../../support/databases.ts'

const PATH = '/api/me/token'

for (const engine of ENGINES) {
  t.test(`GET and PATCH /api/me/token on ${engine}`, async t => {
    const database = await createDatabase(t, engine)
    t.teardown(() => database.close())
    const app = await startApp(t, { database, environment: UNLIMITED })

    await t.test('the list is sorted, paged and filtered by the query language', async t => {
      const { browser } = await aTokenIssuer(app, database)
      for (const name of ['b', 'a', 'c']) await browser.post(PATH, { name })
      const names = async (query = '') => namesOf((await browser.get(`${PATH}${query}`)).json.tokens)
      t.strictSame(await names(), ['b', 'a', 'c'])
      t.strictSame(await names('?sort=-name&page[size]=2'), ['c', 'b'])
      const filtered = await browser.get(`${PATH}?filter[name]=a&fields[token]=name`)
      t.strictSame(filtered.json.tokens, [{ name: 'a' }])
    })

    await t.test('the digest and the owner are no fields', async t => {
      const { browser } = await aTokenIssuer(app, database)
      for (const field of ['token', 'tokenable_id']) {
        t.equal((await browser.get(`${PATH}?filter[${field}]=x`)).status, 422, `filter by ${field}`)
        t.equal((await browser.get(`${PATH}?fields[token]=${field},name`)).status, 422, `field ${field}`)
      }
    })

    await t.test('PATCH renames a token', async t => {
      const { browser } = await aTokenIssuer(app, database)
      const { token } = (await browser.post(PATH, { name: 'a' })).json
      const renamed = await browser.send('PATCH', `${PATH}/${token.id}`, { payload: { name: 'desk' } })
      t.equal(renamed.json.token.name, 'desk')
    })

    await t.test('a token of another user and a malformed id are 404', async t => {
      const { browser } = await aTokenIssuer(app, database)
      const victim = await aUser(database)
      const ofRobot = await aToken(database, victim.id, { userType: 'App\\Models\\Robot' })
      for (const id of [
        victim.tokenId,
        ofRobot.tokenId,
        0,
        -1,
        'x',
        '1e3',
        '9'.repeat(30),
        '%00',
        `${victim.tokenId}%20`,
      ]) {
        const url = `${PATH}/${id}`
        t.equal((await browser.get(url)).status, 404, `GET ${url}`)
        t.equal((await browser.send('PATCH', url, { payload: { name: 'mine' } })).status, 404)
        t.equal((await browser.post(`${url}/rotate`, {})).status, 404)
        t.equal((await browser.send('DELETE', url)).status, 404)
      }
      t.equal((await get(app, '/api/me', victim.token)).status, 200)
    })

    await t.test('a token expires when it is not used for SANCTUM_IDLE_EXPIRATION', async t => {
      const app = await startApp(t, {
        database,
        environment: { ...UNLIMITED, SANCTUM_IDLE_EXPIRATION: '60', SESSION_LIFETIME: '10000' },
      })
      const { user, browser } = await aTokenIssuer(app, database)

      const [used, unused] = [await aToken(database, user.id), await aToken(database, user.id)]
      for (let n = 0; n < 3; n += 1) {
        app.clock.advance(50 * MINUTE)
        t.equal((await get(app, '/api/me', used.token)).status, 200)
        await app.lastUse.flush()
      }
      t.equal((await get(app, '/api/me', unused.token)).status, 401)
      app.clock.advance(61 * MINUTE)
      t.equal((await get(app, '/api/me', used.token)).status, 401)
      t.equal((await browser.get('/api/me')).status, 200, 'sessions have their own lifetime')
    })

    await t.test('an expired token is deleted a day later', async t => {
      const app = await startApp(t, {
        database,
        environment: { ...UNLIMITED, SESSION_LIFETIME: '100000' },
      })
      const { browser } = await aTokenIssuer(app, database)
      await browser.post(PATH, { name: 'short', expires_at: '2026-03-01T13:00:00Z' })
      await browser.post(PATH, { name: 'long' })
      const names = async () => namesOf((await browser.get(PATH)).json.tokens)
      app.clock.advance(DAY)
      await app.lastUse.prune()
      t.strictSame(await names(), ['short', 'long'])
      app.clock.advance(61 * MINUTE)
      await app.lastUse.prune()
      t.strictSame(await names(), ['long'])
    })
  })
}

for (const engine of PRODUCTION_ENGINE) {
  t.test(`ends_at of a token on ${engine}`, async t => {
    const database = await createDatabase(t, engine)
    t.teardown(() => database.close())
    const start = (environment: Record<string, string> = {}) =>
      startApp(t, { database, environment: { ...UNLIMITED, ...environment } })
    const app = await start()
    const endOf = async (server: TestApp, { token, tokenId }: { token: string; tokenId: number }) => {
      const { status, json } = await get(server, `${PATH}/${tokenId}`, token)
      return [status, json.token?.ends_at]
    }

    await t.test('ends_at is the earliest of all dates at which the token expires', async t => {
      const cases: [environment: Record<string, string>, expiresAt: string | null, endsAt: string | null][] =
        [
          [{}, null, '2027-03-01T12:00:00.000000Z'],
          [{}, '2026-04-01T00:00:00Z', '2026-04-01T00:00:00.000000Z'],
          [{}, '2028-01-01T00:00:00Z', '2027-03-01T12:00:00.000000Z'],
          [{ SANCTUM_EXPIRATION: 'null' }, null, null],
          [{ SANCTUM_EXPIRATION: 'null' }, '2028-01-01T00:00:00Z', '2028-01-01T00:00:00.000000Z'],
          [{ SANCTUM_IDLE_EXPIRATION: '60' }, null, '2026-03-01T13:00:00.000000Z'],
          [{ SANCTUM_EXPIRATION: '30', SANCTUM_IDLE_EXPIRATION: '60' }, null, '2026-03-01T12:30:00.000000Z'],
        ]
      for (const [environment, expires_at, ends_at] of cases) {
        const { browser } = await aTokenIssuer(await start(environment), database)
        const { json } = await browser.post(PATH, { name: 'x', expires_at })
        t.equal(json.token.ends_at, ends_at, JSON.stringify({ environment, expires_at }))
        const { id } = json.token
        const shown = await browser.get(`${PATH}/${id}?fields[token]=ends_at`)
        t.strictSame(shown.json.token, { ends_at })
        const listed = await browser.get(`${PATH}?filter[id]=${id}&fields[token]=ends_at`)
        t.strictSame(listed.json.tokens, [{ ends_at }])
      }
    })

    await t.test('a use of a token moves the date at which it expires unused', async t => {
      const app = await start({ SANCTUM_IDLE_EXPIRATION: '60' })
      const user = await aUser(database)
      app.clock.advance(30 * MINUTE)
      await get(app, '/api/me', user.token)
      await app.lastUse.flush()
      t.strictSame(await endOf(app, user), [200, '2026-03-01T13:30:00.000000Z'])
    })

    await t.test('dates at infinity, before Christ or of NULL are no errors', async t => {
      const { user, browser } = await aTokenIssuer(app, database)
      const { tokenId } = await aToken(database, user.id)
      for (const [expires_at, created_at, ends_at] of [
        ['infinity', '2026-03-01', '2027-03-01T00:00:00.000000Z'],
        ['-infinity', '2026-03-01', null],
        ['infinity', 'infinity', null],
        ['0044-03-15 00:00:00 BC', '2026-03-01', null],
        ['10000-01-01 00:00:00', '2026-03-01', null],
        [null, null, '1971-01-01T00:00:00.000000Z'],
      ] as const) {
        await database.kysely
          .updateTable('personal_access_tokens')
          .set({ expires_at, created_at })
          .where('id', '=', tokenId)
          .execute()
        const { status, json } = await browser.get(`${PATH}/${tokenId}`)
        t.strictSame([status, json.token?.ends_at], [200, ends_at], `${expires_at}, ${created_at}`)
        const shown = json.token?.expires_at
        if (shown !== null) t.ok(Number.isFinite(Date.parse(shown)), shown)
      }
    })

    await t.test('ends_at can be neither filtered nor sorted by', async t => {
      const { token } = await aUser(database)
      for (const query of ['sort=ends_at', 'filter[ends_at]=2026']) {
        t.equal((await get(app, `${PATH}?${query}`, token)).status, 422, query)
      }
    })

    await t.test('a token that another one issues ends with it', async t => {
      const user = await aUser(database)
      const { token } = await aToken(database, user.id, { createdAt: app.clock() - 364 * DAY })
      const { json } = await requestWith(app, token)('POST', PATH, { name: 'x' })
      t.equal(json.token.ends_at, '2026-03-02T12:00:00.000000Z')
    })
  })
}
