import { createHash } from 'node:crypto'
import { sql } from 'kysely'
import t, { type Test } from 'tap'
import { UNAUTHENTICATED } from '../../../fixtures/answers.ts'
import { DAY, MINUTE, NOW, type TestClock, testClock } from '../../../fixtures/clock.ts'
import { laravelAnswers, laravelRows, loadLaravelRows, parseCurl } from '../../../fixtures/laravel.ts'
import { UNLIMITED } from '../../../fixtures/settings.ts'
import { aToken, aUser, USER_TYPE } from '../../../fixtures/users.ts'
import { get, send, startApp, type TestApp } from '../../../support/app.ts'
import { createDatabase, ENGINES, type TestDatabase } from '../../../support/databases.ts'

for (const engine of ENGINES) {
  t.test(`GET /api/me authenticates a bearer token on ${engine}`, async t => {
    const database = await createDatabase(t, engine)
    t.teardown(() => database.close())
    const app = await startApp(t, { database, environment: UNLIMITED })
    await testLaravelTokens(t, database)
    await testCredentials(t, app, database)
    await testLifetimes(t, app, database)
    await testOwners(t, app, database)
    await testStatements(t, database)
  })
}

async function testLaravelTokens(t: Test, database: TestDatabase) {
  await loadLaravelRows(database.kysely)
  const recordedAt = Date.parse('2026-11-24T07:00:00Z')

  await t.test('each token that Laravel issued gets the recorded answer of Laravel', async t => {
    const app = await startApp(t, {
      database,
      clock: testClock(recordedAt),
      environment: { SANCTUM_EXPIRATION: 'null' },
    })
    for (const { plain, note, status, user_id } of laravelRows.cases) {
      const answer = await get(app, '/api/me', plain)
      t.equal(answer.status, status, note)
      t.equal(answer.json.user?.id ?? null, user_id, `${note}: user`)
    }
    const { json } = await get(app, '/api/me', laravelRows.cases[0]?.plain)
    t.strictSame(json, {
      user: {
        id: 500001,
        name: 'hikari',
        email: 'hikari@example.org',
        email_verified_at: '2026-03-01T12:00:00.000000Z',
        two_factor_confirmed_at: null,
      },
    })
  })

  await t.test('a token that is 400 days old has expired under the default of a year', async t => {
    const app = await startApp(t, { database, clock: testClock(recordedAt) })
    const old = laravelRows.cases.find(({ id }) => id === 100024)
    t.equal((await get(app, '/api/me', old?.plain)).status, 401)
    t.equal((await get(app, '/api/me', laravelRows.cases[0]?.plain)).status, 200)
  })

  await t.test('the requests that were recorded with Laravel get the recorded status', async t => {
    const app = await startApp(t, { database, clock: testClock(recordedAt) })
    const user = await aUser(database)
    const [, secret = ''] = user.token.split('|')
    // Deliberate differences from Laravel: JSON in any case and no redirects (A2, A2b), the scheme in any case (A14),
    // and no error for an id beyond bigint (A6, A6c, A27).
    const deliberate = new Map([
      ['A2', 401],
      ['A2b', 401],
      ['A6', 401],
      ['A6c', 401],
      ['A14', 200],
    ])
    const skipped = new Set(['A23', 'A24', 'A25', 'A26', 'A27'])
    let count = 0
    for (const { case: name, request, status } of laravelAnswers) {
      const [id = ''] = name.split(' ')
      if (!/^A\d/.test(id) || skipped.has(id) || typeof request === 'string') continue
      const { url, headers, method } = parseCurl(request, text =>
        text
          .replaceAll('654qXmQcAmpifp9o4mz9kdHkKl9wS7D33bEM0jsC96b81cba', secret)
          .replaceAll('100001', String(user.tokenId)),
      )
      const answer = await send(app, method, url, { headers })
      t.equal(answer.status, deliberate.get(id) ?? status, name)
      if (answer.status === 200 && method !== 'HEAD') t.equal(answer.json.user.id, user.id, `${name}: user`)
      count += 1
    }
    t.equal(count, 28)
  })
}

async function testCredentials(t: Test, app: TestApp, database: TestDatabase) {
  await t.test('every invalid credential gets the same 401, so that the cause is not revealed', async t => {
    const user = await aUser(database)
    const [id, secret] = user.token.split('|')
    const expired = await aToken(database, user.id, { expiresAt: NOW - 1000 })
    const orphan = await aToken(database, 987_654_321)
    const robot = await aToken(database, user.id, { userType: 'App\\Models\\Robot' })
    const deleted = await aUser(database)
    await database.kysely
      .updateTable('users')
      .set({ deleted_at: '2026-02-01 00:00:00' })
      .where('id', '=', deleted.id)
      .execute()
    const none = await get(app, '/api/me')
    t.equal(none.headers['www-authenticate'], 'Bearer')

    const { 'x-request-id': _, 'x-ratelimit-remaining': __, date: ___, ...headers } = none.headers
    for (const [cause, authorization] of Object.entries({
      'no header': undefined,
      'an empty header': '',
      'no credential': 'Bearer',
      'an empty credential': 'Bearer ',
      'another scheme': `Basic ${Buffer.from(`x:${user.token}`).toString('base64')}`,
      'two spaces': `Bearer  ${user.token}`,
      'a tab': `Bearer\t${user.token}`,
      'two credentials': `Bearer ${user.token}, Bearer ${user.token}`,
      'two credentials and another scheme': `Bearer ${user.token}, Basic Zm9v, Bearer ${user.token}`,
      'another word between the schemes': `Basic Zm9v, x, Bearer ${user.token}`,
      'a second word': `Bearer ${user.token} x`,
      'a wrong secret': `Bearer ${id}|${secret?.replace(/.$/, 'x')}X`,
      "another row's id": `Bearer ${user.tokenId + 1}|${secret}`,
      'an id that no row has': `Bearer 888888888|${secret}`,
      'the highest id': `Bearer 9223372036854775807|${secret}`,
      'an id beyond the highest': `Bearer 9223372036854775808|${secret}`,
      'an id far beyond': `Bearer 99999999999999999999999|${secret}`,
      'an id that is not a number': `Bearer abc|${secret}`,
      'a sign': `Bearer +${user.token}`,
      'a secret that no row has': 'Bearer garbage',
      'the stored digest': `Bearer ${id}|9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08`,
      'an expired token': `Bearer ${expired.token}`,
      'an owner that does not exist': `Bearer ${orphan.token}`,
      'an owner of another type': `Bearer ${robot.token}`,
      'a deleted owner': `Bearer ${deleted.token}`,
      'quotes and SQL': `Bearer 1|'or''='`,
      'high bytes': 'Bearer 1|\u00e9\u00ff',
    })) {
      const answer = await send(app, 'GET', '/api/me', {
        headers: authorization === undefined ? {} : { authorization },
      })
      const { 'x-request-id': _, 'x-ratelimit-remaining': __, date: ___, ...rest } = answer.headers
      t.equal(answer.status, 401, cause)
      t.strictSame(answer.json, UNAUTHENTICATED, cause)
      t.strictSame(rest, headers, `${cause}: headers`)
    }
  })

  await t.test('the token is read from the Authorization header and nowhere else', async t => {
    const { token } = await aUser(database)
    const encoded = encodeURIComponent(token)
    for (const url of ['token', 'access_token', 'api_token'].map(name => `/api/me?${name}=${encoded}`)) {
      t.equal((await get(app, url)).status, 401, url.slice(0, 20))
    }
    for (const [name, value] of [
      ['x-auth-token', token],
      ['cookie', `token=${encoded}`],
      ['proxy-authorization', `Bearer ${token}`],
    ] as const) {
      t.equal((await send(app, 'GET', '/api/me', { headers: { [name]: value } })).status, 401, name)
    }
  })

  await t.test('the id before the secret is optional, and the scheme is case-insensitive', async t => {
    const { id, token, tokenId } = await aUser(database)
    const [, secret] = token.split('|')
    for (const authorization of [
      `Bearer ${token}`,
      `bearer ${token}`,
      `BEARER ${token}`,
      `Bearer ${secret}`,
      `Bearer 000${tokenId}|${secret}`,
    ]) {
      const answer = await send(app, 'GET', '/api/me', { headers: { authorization } })
      t.equal(answer.json.user?.id, id, authorization.slice(0, 8))
    }
  })

  await t.test(
    'a secret may contain a pipe, and may have the length of older versions of Sanctum',
    async t => {
      const { id } = await aUser(database)

      const short = `test${id}`
      for (const secret of [`a|b${id}`, `${id}`.padEnd(40, 'x'), `${id}`.padEnd(80, 'y'), short]) {
        const { tokenId } = await aToken(database, id)
        await database.kysely
          .updateTable('personal_access_tokens')
          .set({ token: createHash('sha256').update(secret).digest('hex') })
          .where('id', '=', tokenId)
          .execute()
        t.equal(
          (await get(app, '/api/me', `${tokenId}|${secret}`)).json.user?.id,
          id,
          `${secret.length} characters`,
        )
      }
      t.equal((await get(app, '/api/me', short)).json.user?.id, id, 'without an id')
    },
  )

  await t.test('no secret is stored, and none is logged', async t => {
    const app = await startApp(t, { database })
    const { token, tokenId } = await aUser(database)
    const [, secret = ''] = token.split('|')
    await get(app, `/api/me?token=${encodeURIComponent(token)}`, token)
    await get(app, '/api/me', `${tokenId}|wrong${secret}`)
    t.ok(app.logged.length > 0)
    t.notMatch(JSON.stringify(app.logged), secret)
    const row = await database.kysely
      .selectFrom('personal_access_tokens')
      .selectAll()
      .where('id', '=', tokenId)
      .executeTakeFirstOrThrow()
    t.notMatch(JSON.stringify(row), secret)
    t.match(row.token, /^[0-9a-f]{64}$/)
  })

  await t.test('the outcome of an authentication is in the log and in the metrics', async t => {
    const app = await startApp(t, { database })
    const { token, tokenId } = await aUser(database)
    await get(app, '/api/me', token)
    await get(app, '/api/me', `${tokenId}|wrong`)
    await get(app, '/api/me', '888888888|unknown')
    await get(app, '/api/me')
    await get(app, '/api/me', '|')
    const outcomes = app.logged.filter(line => line.msg === 'request').map(line => line.authentication)
    t.strictSame(outcomes, ['authenticated', 'wrong_secret', 'unknown', 'anonymous', 'malformed'])
    const { text } = await get(app, '/metrics')
    for (const outcome of outcomes) t.match(text, `authentications_total{outcome="${outcome}"} 1`)
    t.match(text, 'http_request_duration_seconds_count{method="GET",route="/api/me",status="401"} 4')
  })
}

async function testLifetimes(t: Test, app: TestApp, database: TestDatabase) {
  await t.test('a token expires at its own date, and at the age of SANCTUM_EXPIRATION', async t => {
    const clock = testClock()
    const app = await startApp(t, { database, clock, environment: { SANCTUM_EXPIRATION: '60' } })
    const { id } = await aUser(database)
    const tokens = {
      endless: await aToken(database, id),
      short: await aToken(database, id, { expiresAt: NOW + 10 * MINUTE }),
      long: await aToken(database, id, { expiresAt: NOW + DAY }),
    }
    const status = async (token: { token: string }) => (await get(app, '/api/me', token.token)).status
    t.strictSame(await Promise.all(Object.values(tokens).map(status)), [200, 200, 200])
    clock.advance(10 * MINUTE)
    t.equal(await status(tokens.short), 200, 'at the exact time of expiry')
    clock.advance(1000)
    t.strictSame(await Promise.all(Object.values(tokens).map(status)), [200, 401, 200])
    clock.advance(50 * MINUTE - 1000)
    t.strictSame(
      await Promise.all(Object.values(tokens).map(status)),
      [401, 401, 401],
      'an hour after its creation',
    )
  })

  await t.test('a token that is revoked is invalid at once', async t => {
    const { token, tokenId } = await aUser(database)
    t.equal((await get(app, '/api/me', token)).status, 200)
    await database.kysely.deleteFrom('personal_access_tokens').where('id', '=', tokenId).execute()
    t.equal((await get(app, '/api/me', token)).status, 401)
  })

  await t.test('times are stored in UTC in any time zone the database session is', async t => {
    const { rows } = await sql<{ zone: string }>`select current_setting('timezone') as zone`.execute(
      database.kysely,
    )
    t.ok(rows[0]?.zone)
    const { rows: made } = await sql<{ created_at: string; utc: string }>`
      with made as (
        insert into users (name, email, password) values ('zone', 'zone@example.org', '!') returning created_at
      ) select created_at, now() at time zone 'UTC' as utc from made`.execute(database.kysely)
    t.equal(made[0]?.created_at, made[0]?.utc, `a default is UTC although the session is ${rows[0]?.zone}`)
  })

  await t.test('last_used_at is written in batches, and never moves back', async t => {
    const clock = testClock()
    const app = await startApp(t, { database, clock })
    const { id, token, tokenId } = await aUser(database)
    const other = await aToken(database, id)
    const lastUsed = async () =>
      (
        await database.kysely
          .selectFrom('personal_access_tokens')
          .select('last_used_at')
          .where('id', 'in', [tokenId, other.tokenId])
          .orderBy('id')
          .execute()
      ).map(row => row.last_used_at)

    await get(app, '/api/me', token)
    await get(app, '/api/me', `${tokenId}|wrong`)
    t.strictSame(await lastUsed(), [null, null], 'the request itself writes nothing')
    clock.advance(90_000)
    await get(app, '/api/me', token)
    await get(app, '/api/me', other.token)
    await app.lastUse.flush()
    t.strictSame(await lastUsed(), ['2026-03-01 12:01:30', '2026-03-01 12:01:30'])

    app.lastUse.tokens.note(tokenId, { at: NOW, address: '::1', userAgent: 'curl' })
    await app.lastUse.flush()
    t.equal((await lastUsed())[0], '2026-03-01 12:01:30')

    clock.advance(60_000)
    await get(app, '/api/me', other.token)
    await app.close()
    t.equal((await lastUsed())[1], '2026-03-01 12:02:30', 'closing the server writes the rest')
  })

  await t.test('the last use of a token is stored at most once in LAST_USED_INTERVAL', async t => {
    const clock = testClock()
    const startServer = (environment: Record<string, string> = {}) =>
      startApp(t, { database, clock, environment: { ...UNLIMITED, ...environment } })
    const [first, second] = [await startServer(), await startServer()]
    const { token, tokenId } = await aUser(database)
    const storedBy = async (app: TestApp, agent?: string) => {
      t.equal((await get(app, '/api/me', token, agent ? { 'user-agent': agent } : {})).status, 200)
      const row = database.kysely.updateTable('personal_access_tokens').where('id', '=', tokenId)
      await row.set({ last_used_agent: 'unwritten' }).execute()
      await app.lastUse.flush()
      const stored = await lastUseOf(database, tokenId)
      return stored.last_used_agent === 'unwritten' ? null : stored
    }

    t.match(await storedBy(first, 'one'), { last_used_at: '2026-03-01 12:00:00', last_used_agent: 'one' })
    clock.advance(59_999)
    t.equal(await storedBy(first), null)
    t.equal(await storedBy(second), null, 'another server reads the stored use')
    clock.advance(1)
    t.match(await storedBy(second, 'two'), { last_used_at: '2026-03-01 12:01:00', last_used_agent: 'two' })
    t.equal(await storedBy(first), null)
    clock.advance(30_000)
    t.equal(await storedBy(await startServer()), null, 'nor does one that has just started store it')
    const seldom = await startServer({ LAST_USED_INTERVAL: '3600' })
    clock.advance(3_569_999)
    t.equal(await storedBy(seldom), null)
    clock.advance(1)
    t.match(await storedBy(seldom), { last_used_at: '2026-03-01 13:01:00' })
    const each = await startServer({ LAST_USED_INTERVAL: '0' })
    clock.advance(1_000)
    t.match(await storedBy(each), { last_used_at: '2026-03-01 13:01:01' })
    t.match(await storedBy(each, 'three'), { last_used_at: '2026-03-01 13:01:01', last_used_agent: 'three' })
  })

  await t.test('a token in use does not expire by disuse, whatever LAST_USED_INTERVAL is', async t => {
    const startServer = (clock: TestClock, environment: Record<string, string>) =>
      startApp(t, {
        database,
        clock,
        environment: { ...UNLIMITED, LAST_USED_INTERVAL: '3600', ...environment },
      })
    const status = async (app: TestApp, token: string) => {
      const answer = await get(app, '/api/me', token)
      await app.lastUse.flush()
      return answer.status
    }
    for (const cache of ['off', 'on']) {
      const clock = testClock()
      const environment = { SANCTUM_IDLE_EXPIRATION: '5', IDENTITY_CACHE: cache }
      const servers = [await startServer(clock, environment), await startServer(clock, environment)] as const
      const { token } = await aUser(database)
      // Shortly after a stored use there is one that need not be stored; the next is just in time for the stored one.
      for (const [second, server] of [
        ...[
          [0, 0],
          [4, 0],
          [300, 1],
          [304, 0],
          [600, 1],
          [604, 1],
          [900, 0],
          [1_200, 1],
        ],
      ] as const) {
        clock.advance(NOW + second * 1_000 - clock())
        const which = `at ${second} s, cache ${cache}`
        t.equal(await status(servers[server as 0 | 1], token), 200, which)
      }
      clock.advance(301_000)
      t.equal(await status(servers[0], token), 401, 'and unused it ends')
    }
  })
}

async function testOwners(t: Test, app: TestApp, database: TestDatabase) {
  await t.test('the owner of a token is a user under either class name of Laravel', async t => {
    const { id } = await aUser(database)
    for (const [userType, status] of [
      [USER_TYPE, 200],
      ['App\\Models\\User', 200],
      ['App\\Models\\Robot', 401],
      ['App\\\\Models\\\\User', 401],
      ['app\\models\\user', 401],
    ] as const) {
      const { token } = await aToken(database, id, { userType })
      t.equal((await get(app, '/api/me', token)).status, status, userType)
    }
  })

  await t.test('SANCTUM_TOKENABLE_TYPES names the types of owners', async t => {
    const environment = { SANCTUM_TOKENABLE_TYPES: 'App\\Models\\Robot' }
    const configured = await startApp(t, { database, environment })
    const { id } = await aUser(database)
    const { token } = await aToken(database, id, { userType: 'App\\Models\\Robot' })
    t.equal((await get(configured, '/api/me', token)).status, 200)
  })

  await t.test('a token without abilities gets its user', async t => {
    const { id } = await aUser(database)
    const { token, tokenId } = await aToken(database, id, { abilities: [] })
    t.equal((await get(app, '/api/me', token)).json.user.id, id)
    await database.kysely
      .updateTable('personal_access_tokens')
      .set({ abilities: null })
      .where('id', '=', tokenId)
      .execute()
    t.equal((await get(app, '/api/me', token)).json.user.id, id)
  })

  await t.test('the token of a user who was deleted works again once the user is restored', async t => {
    const { id, token } = await aUser(database)
    const setDeleted = (deleted_at: string | null) =>
      database.kysely.updateTable('users').set({ deleted_at }).where('id', '=', id).execute()
    await setDeleted('2026-02-01 00:00:00')
    t.equal((await get(app, '/api/me', token)).status, 401)
    await setDeleted(null)
    t.equal((await get(app, '/api/me', token)).status, 200)
  })
}

async function testStatements(t: Test, database: TestDatabase) {
  await t.test('an authentication takes one statement, and a malformed token takes none', async t => {
    const { statements } = database
    const app = await startApp(t, { database })
    const { token } = await aUser(database, { roles: ['Admin'] })
    const count = async (authorization?: string) => {
      statements.length = 0
      await send(app, 'GET', '/api/me', { headers: authorization === undefined ? {} : { authorization } })
      return statements.length
    }
    t.equal(await count(`Bearer ${token}`), 2, 'the first look-up also reads the permissions')
    t.equal(await count(`Bearer ${token}`), 1)
    t.equal(await count('Bearer 888888888|unknown'), 1)
    t.equal(await count(), 0)
    for (const presented of ['', '|', 'x|y', '1|', '1|0', '9223372036854775808|x', '0']) {
      t.equal(await count(`Bearer ${presented}`), 0, presented)
    }
  })
}

/** When and from where a token was last used, as stored. */
const lastUseOf = ({ kysely }: TestDatabase, tokenId: number) =>
  kysely
    .selectFrom('personal_access_tokens')
    .select(['last_used_at', 'last_used_agent'])
    .where('id', '=', tokenId)
    .executeTakeFirstOrThrow()
