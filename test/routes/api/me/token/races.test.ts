import { once } from 'node:events'
import { request as httpRequest, type IncomingMessage } from 'node:http'
import type { AddressInfo } from 'node:net'
import t, { type Test } from 'tap'
import { hashPassword } from '#src/auth/password.ts'
import { SessionId } from '#src/auth/session.ts'
import { changePassword } from '#src/database/passwords.ts'
import { deleteOwnTokens } from '#src/database/token-endings.ts'
import { aLoggedInUser, SPA, type TestBrowser } from '../../../../fixtures/browser.ts'
import { PanelBrowser } from '../../../../fixtures/panel.ts'
import { NEW_PASSWORD } from '../../../../fixtures/passwords.ts'
import { requestWith } from '../../../../fixtures/requests.ts'
import { UNLIMITED } from '../../../../fixtures/settings.ts'
import {
  aTokenIssuer,
  aTokenOwner,
  countTokens,
  deleteTokensOf,
  type IssuedToken,
  tokenNames,
} from '../../../../fixtures/tokens.ts'
import { aToken, aUser, TEST_ROUNDS, USER_TYPE } from '../../../../fixtures/users.ts'
import { send, startApp, type TestApp } from '../../../../support/app.ts'
import { beforeStatement, createDatabase, ENGINES, PRODUCTION_ENGINE } from '../../../../support/databases.ts'

const PATH = '/api/me/token'

/** The headers of a browser's request. */
const sessionHeaders = (browser: TestBrowser) => ({
  cookie: [...browser.cookies].map(([name, value]) => `${name}=${value}`).join('; '),
  referer: `${SPA}/`,
  'x-xsrf-token': browser.cookies.get('XSRF-TOKEN') ?? '',
})

for (const engine of ENGINES) {
  t.test(`a request whose caller loses its authority on ${engine}`, async t => {
    const database = await createDatabase(t, engine)
    t.teardown(() => database.close())
    const app = await startApp(t, { database, environment: UNLIMITED })
    await app.listen({ host: '127.0.0.1', port: 0 })
    const { port } = app.server.address() as AddressInfo

    /** Sends the head of a request, and its body once its caller was authenticated and something else has happened. */
    const sendSlowly = async (
      method: string,
      path: string,
      headers: Record<string, string>,
      meanwhile: () => Promise<unknown> = async () => {},
    ) => {
      const body = '{"name":"late"}'
      const sent = httpRequest({
        port,
        path,
        method,
        headers: { ...headers, 'content-type': 'application/json', 'content-length': body.length },
      })
      const answered = once(sent, 'response')
      database.completed.length = 0
      sent.flushHeaders()
      while (!database.completed.some(text => text.includes('permission_versions'))) {
        await new Promise(setImmediate)
      }
      await meanwhile()
      sent.end(body)
      const [response] = (await answered) as [IncomingMessage]
      response.resume()
      return response.statusCode
    }
    /** The same, after the time for which an identity is cached. */
    const sendLate = (
      method: string,
      path: string,
      headers: Record<string, string>,
      meanwhile: () => Promise<unknown> = async () => {},
    ) =>
      sendSlowly(method, path, headers, async () => {
        await meanwhile()
        app.clock.advance(51)
      })
    const bearer = (token: string) => ({ authorization: `Bearer ${token}` })
    const revokeTokens = (userId: number, except: number | null = null) =>
      deleteOwnTokens(database.kysely, { userId, types: [USER_TYPE] }, { except })
    const endSessions = async (userId: number) =>
      changePassword(database.kysely, userId, await hashPassword(NEW_PASSWORD, TEST_ROUNDS), {
        keep: null,
        revokeTokens: [USER_TYPE],
        now: app.clock(),
      })

    await t.test('a slow request is accepted while its token is valid', async t => {
      const { token } = await aUser(database)
      t.equal(await sendSlowly('POST', PATH, bearer(token)), 201)
    })

    await t.test('a token that is revoked during the request neither issues nor rotates one', async t => {
      const user = await aUser(database)
      for (const path of [PATH, `${PATH}/${user.tokenId}/rotate`]) {
        const { token } = await aToken(database, user.id)
        const status = await sendSlowly('POST', path, bearer(token), () =>
          revokeTokens(user.id, user.tokenId),
        )
        t.equal(status, 401, path)
      }
      t.equal(await countTokens(database, user), 1)
    })

    await t.test('a token that is revoked during the request does not rename itself', async t => {
      const user = await aUser(database)
      const headers = bearer(user.token)
      const revoke = () => revokeTokens(user.id)
      t.equal(await sendLate('PATCH', `${PATH}/${user.tokenId}`, headers, revoke), 401)
      t.equal(await countTokens(database, user), 0)
    })

    await t.test('a session that ends during the request issues no token', async t => {
      const { user, browser } = await aTokenIssuer(app, database)
      const status = await sendSlowly('POST', PATH, sessionHeaders(browser), () => endSessions(user.id))
      t.equal(status, 401)
      t.equal(await countTokens(database, user), 0)
    })

    await t.test('a session that ends during the request does not change the profile', async t => {
      const { user, browser } = await aLoggedInUser(app, database)
      const path = '/user/profile-information'
      t.equal(await sendLate('PUT', path, sessionHeaders(browser)), 200)
      t.equal(await sendLate('PUT', path, sessionHeaders(browser), () => endSessions(user.id)), 401)
    })

    await t.test('a user who loses a role during the request creates no playlist', async t => {
      const user = await aUser(database, { roles: ['Verified'] })
      const create = (meanwhile?: () => Promise<unknown>) =>
        sendLate('POST', '/api/playlist', bearer(user.token), meanwhile)
      t.equal(await create(), 422, 'the body has no visibility')
      const removeRoles = () =>
        database.kysely.deleteFrom('model_has_roles').where('model_id', '=', user.id).execute()
      t.equal(await create(removeRoles), 403)
    })

    await t.test('of concurrent rotations of a token one gets a successor, and the others 404', async t => {
      const { browser } = await aTokenIssuer(app, database)
      const { token } = (await browser.post(PATH, { name: 'x' })).json
      const answers = await Promise.all(
        [1, 2, 3].map(() => browser.clone().post(`${PATH}/${token.id}/rotate`)),
      )
      t.strictSame(answers.map(({ status }) => status).sort(), [201, 404, 404])
      t.equal((await browser.get(PATH)).json.tokens.length, 1)
    })
  })
}

for (const engine of PRODUCTION_ENGINE) {
  t.test(`what changes before the transaction locks its rows on ${engine}`, async t => {
    const database = await createDatabase(t, engine)
    t.teardown(() => database.close())
    const app = await startApp(t, { database, environment: UNLIMITED })
    /** Runs a statement on another connection before the transaction locks its rows. */
    const beforeLock = (t: Test, text: string, parameters: readonly unknown[]) =>
      beforeStatement(t, database, /for no key update/, connection => connection.query(text, parameters))

    await t.test('an address that is not verified any more issues no token', async t => {
      const { user, browser } = await aTokenIssuer(app, database)
      const hasRun = beforeLock(t, 'update users set email_verified_at = null where id = $1', [user.id])
      const { status, json } = await browser.post(PATH, { name: 'x' })
      t.equal(status, 403)
      t.match(json, { message: /^Your e-mail address is not verified yet/ })
      t.equal(hasRun(), true)
      t.equal(await countTokens(database, user), 0)
    })

    await t.test('a session that has ended issues no token', async t => {
      const { user, browser } = await aTokenIssuer(app, database)
      const digest = new SessionId(browser.sessionId).digest()
      const hasRun = beforeLock(t, 'delete from sessions where id = $1', [digest])
      t.equal((await browser.post(PATH, { name: 'x' })).status, 401)
      t.equal(hasRun(), true)
      t.equal(await countTokens(database, user), 0)
    })

    const LIMITS: [column: string, value: string, status: number, payload: object][] = [
      ['abilities', '["write:token"]', 422, { abilities: ['read:playlist'] }],
      ['allowed_ips', '["192.0.2.1"]', 401, {}],
      ['expires_at', '2026-03-01 12:30:00', 422, { expires_at: '2026-03-02T00:00:00Z' }],
    ]
    for (const [column, value, status, payload] of LIMITS) {
      await t.test(`a token issues no more than its ${column} are at that time`, async t => {
        const user = await aUser(database)
        const hasRun = beforeLock(t, `update personal_access_tokens set ${column} = $1 where id = $2`, [
          value,
          user.tokenId,
        ])
        const answer = await requestWith(app, user.token)('POST', PATH, { name: 'x', ...payload })
        t.equal(answer.status, status)
        t.equal(hasRun(), true)
        t.equal(await countTokens(database, user), 1)
      })
    }

    for (const [method, payload] of [
      ['PATCH', { name: 'y' }],
      ['DELETE', undefined],
    ] as const) {
      await t.test(`${method} by a token that has lost write:token is 403`, async t => {
        const user = await aUser(database)
        const other = await aToken(database, user.id)
        const hasRun = beforeLock(
          t,
          `update personal_access_tokens set abilities = '["read:token"]' where id = $1`,
          [user.tokenId],
        )
        const request = requestWith(app, user.token)
        t.equal((await request(method, `${PATH}/${other.tokenId}`, payload)).status, 403)
        t.equal(hasRun(), true)
        t.equal(await countTokens(database, user), 2)
      })
    }
  })
}

/** How often a race is run. */
const ROUNDS = 100

t.test('requests to two instances of the server at the same time', async t => {
  const database = await createDatabase(t, 'postgres')
  t.teardown(() => database.close())
  const environment = { ...UNLIMITED, LEAKED_TOKENS: 'on' }
  const first = await startApp(t, { database, environment })
  const second = await startApp(t, { database, environment })

  /** A user without tokens, and a function that adds one. */
  const aUserWithoutTokens = async () => {
    const { user, addToken } = await aTokenOwner(first, database)
    await deleteTokensOf(database, user)
    return { user, addToken }
  }
  const request = (app: TestApp, by: IssuedToken, method: string, path: string, payload: object = {}) =>
    requestWith(app, by.plain)(method, `${PATH}${path}`, payload)
  const issue = (app: TestApp, by: IssuedToken) => request(app, by, 'POST', '', { name: 'child' })
  const statusesOf = async (answers: Promise<{ status: number }>[]) =>
    (await Promise.all(answers)).map(({ status }) => status)
  const assertStatuses = (t: Test, found: number[], ...expected: number[]) =>
    t.ok(
      found.every(status => expected.includes(status)),
      found.join(),
    )

  const REVOCATIONS: [
    name: string,
    revoke: (parent: IssuedToken, other: IssuedToken) => Promise<{ status: number }>,
  ][] = [
    ['revoked', (parent, other) => request(second, other, 'DELETE', `/${parent.id}`)],
    ['revoked by itself', parent => request(second, parent, 'DELETE', '/current')],
    ['reported', ({ plain }) => send(second, 'POST', '/api/leaked-token', { payload: { token: plain } })],
  ]
  for (const [name, revoke] of REVOCATIONS) {
    await t.test(`no child outlives a token that is ${name} while it issues`, async t => {
      const { user, addToken } = await aUserWithoutTokens()
      const other = await addToken('other')
      let issued = 0
      for (let round = 0; round < ROUNDS; round += 1) {
        const parent = await addToken('parent')
        const issuing = [issue(first, parent), issue(first, parent)]
        const [, ...statuses] = await statusesOf([revoke(parent, other), ...issuing, issue(second, parent)])
        // 404 is for one that was revoked before it could be shown.
        assertStatuses(t, statuses, 201, 401, 404)
        issued += statuses.filter(status => status !== 401).length
      }
      t.strictSame(await tokenNames(database, user), ['other'])
      t.comment(`${issued} of ${3 * ROUNDS} were issued before the revocation`)
    })
  }

  await t.test('of concurrent rotations of a token one gets a successor', async t => {
    const { user, addToken } = await aUserWithoutTokens()
    for (let round = 0; round < 20; round += 1) {
      const [token, other] = [await addToken('token'), await addToken('other')]
      const answers = await statusesOf(
        Array.from({ length: 8 }, (_, n) =>
          request(n % 2 === 0 ? first : second, n < 4 ? token : other, 'POST', `/${token.id}/rotate`),
        ),
      )
      t.equal(answers.filter(status => status === 201).length, 1)
      assertStatuses(t, answers, 201, 401, 404)
      t.strictSame((await tokenNames(database, user)).sort(), ['other', 'token'])
      await request(first, other, 'DELETE', '')
    }
  })

  await t.test('tokens that rotate each other at the same time do not deadlock', async t => {
    const { user, addToken } = await aUserWithoutTokens()
    for (let round = 0; round < 20; round += 1) {
      const [one, two] = [await addToken('one'), await addToken('two')]
      const answers = await statusesOf([
        request(first, one, 'POST', `/${two.id}/rotate`),
        request(second, two, 'POST', `/${one.id}/rotate`),
      ])
      t.strictSame(answers.sort(), [201, 401], 'the first replaces the second')
      t.equal((await tokenNames(database, user)).length, 2)
      const last = await addToken('last')
      await request(first, last, 'DELETE', '')
    }
  })

  await t.test('a revocation during pruning ends every descendant', async t => {
    const { user, addToken } = await aUserWithoutTokens()
    for (let round = 0; round < 20; round += 1) {
      const [other, top] = [await addToken('other'), await addToken('top')]
      const middle = (await issue(first, top)).json
      const bottom = await issue(first, { id: middle.token.id, plain: middle.plain_text_token })
      t.equal(bottom.status, 201)
      await database.kysely
        .updateTable('personal_access_tokens')
        .set({ expires_at: '2026-02-01 00:00:00' })
        .where('id', '=', middle.token.id)
        .execute()
      await Promise.all([first.lastUse.prune(), request(second, other, 'DELETE', `/${top.id}`)])
      t.strictSame(await tokenNames(database, user), ['other'])
      await request(first, other, 'DELETE', '/current')
    }
  })

  await t.test(
    'a session that ends while it issues a token issues it before its end or not at all',
    async t => {
      const { user } = await aUserWithoutTokens()
      let endings = 0
      for (let round = 0; round < 20; round += 1) {
        const browser = new PanelBrowser(first)
        await browser.logIn(user)
        const page = await browser.open('/admin')
        const form = browser.sendForm(page, '/admin/tokens', {
          name: 'late',
          scope: 'all',
          current_password: user.password,
        })
        const ended = database.kysely
          .deleteFrom('sessions')
          .where('user_id', '=', user.id)
          .returning('id')
          .execute()
        const [{ status }, { length }] = await Promise.all([form, ended])
        // The confirmed password gives the session another id: a deletion that waited for that finds nothing.
        if (length > 0) endings += 1
        const names = await tokenNames(database, user)
        t.strictSame(names, status === 201 ? ['late'] : [], `${status}`)
        await deleteTokensOf(database, user)
        await database.kysely.deleteFrom('sessions').where('user_id', '=', user.id).execute()
      }
      t.ok(endings > 0)
    },
  )
})
