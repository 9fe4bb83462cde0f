import { sql } from 'kysely'
import t from 'tap'
import { MINUTE } from '../../../../fixtures/clock.ts'
import { FORM } from '../../../../fixtures/requests.ts'
import { UNLIMITED } from '../../../../fixtures/settings.ts'
import { aTokenIssuer, aTokenOwner, issuerOf, rotateInPanel } from '../../../../fixtures/tokens.ts'
import { aToken } from '../../../../fixtures/users.ts'
import { get, startApp } from '../../../../support/app.ts'
import { createDatabase, ENGINES } from '../../../../support/databases.ts'

const PATH = '/api/me/token'

for (const engine of ENGINES) {
  t.test(`POST /api/me/token/{id}/rotate on ${engine}`, async t => {
    const database = await createDatabase(t, engine)
    t.teardown(() => database.close())
    const app = await startApp(t, { database, environment: UNLIMITED })
    const isValid = async (plain: string, server = app) =>
      (await get(server, '/api/me', plain)).status === 200
    /** A user in a session, with a token that reads the own data. */
    const aUserWithToken = async (server = app, change: object = {}) => {
      const { user, browser } = await aTokenIssuer(server, database)
      const { json } = await browser.post(PATH, { name: 'bot', abilities: ['read:me'], ...change })
      const plain = json.plain_text_token as string
      const rotate = (payload?: object, id = json.token.id) => browser.post(`${PATH}/${id}/rotate`, payload)
      return { user, browser, token: json.token, plain, rotate }
    }

    await t.test('a successor has the name, the abilities and the expiry of the old token', async t => {
      const { token, rotate } = await aUserWithToken(app, { expires_at: '2026-06-01' })
      const { status, json } = await rotate()
      t.equal(status, 201)
      t.match(json.token, {
        name: 'bot',
        abilities: ['read:me'],
        expires_at: '2026-06-01T00:00:00.000000Z',
      })
      t.not(json.token.id, token.id)
    })

    await t.test('without a grace the old token is invalid at once', async t => {
      const { plain, rotate } = await aUserWithToken()
      const { json } = await rotate()
      t.notOk(await isValid(plain))
      t.ok(await isValid(json.plain_text_token))
    })

    await t.test('with a grace both tokens are valid until it ends', async t => {
      const app = await startApp(t, { database, environment: UNLIMITED })
      const { plain, rotate } = await aUserWithToken(app)
      const { json } = await rotate({ grace: 60 })
      for (const token of [plain, json.plain_text_token]) t.ok(await isValid(token, app))
      app.clock.advance(MINUTE + 1000)
      t.notOk(await isValid(plain, app))
      t.ok(await isValid(json.plain_text_token, app))
    })

    await t.test('a grace does not extend the old token', async t => {
      const app = await startApp(t, { database, environment: UNLIMITED })
      const { plain, rotate } = await aUserWithToken(app, { expires_at: '2026-03-01T12:02:00Z' })
      await rotate({ grace: 600 })
      app.clock.advance(3 * MINUTE)
      t.notOk(await isValid(plain, app))
    })

    await t.test('an invalid grace returns 422, and a form may send it as text', async t => {
      const { browser, token, plain, rotate } = await aUserWithToken()
      for (const grace of [-1, 1.5, 604_801, '60 s', {}]) t.equal((await rotate({ grace })).status, 422)
      const { status } = await browser.send('POST', `${PATH}/${token.id}/rotate`, {
        headers: FORM,
        payload: 'grace=60',
      })
      t.equal(status, 201)
      t.ok(await isValid(plain))
    })

    await t.test('an expired token returns 422', async t => {
      const { user, rotate } = await aUserWithToken()
      const { tokenId } = await aToken(database, user.id, { expiresAt: app.clock() - 1 })
      const { status, json } = await rotate({}, tokenId)
      t.equal(status, 422)
      t.strictSame(json.errors, { token: ['The token has ended, and so would its successor.'] })
    })

    await t.test('a token whose expiry is infinity rotates', async t => {
      const { user, browser, rotate } = await aUserWithToken()
      const { tokenId } = await aToken(database, user.id)
      await database.kysely
        .updateTable('personal_access_tokens')
        .set({ expires_at: 'infinity' })
        .where('id', '=', tokenId)
        .execute()
      t.equal((await browser.get(`${PATH}/${tokenId}`)).json.token.expires_at, null)
      for (const grace of [60, 0]) t.equal((await rotate({ grace }, tokenId)).status, 201)
    })

    await t.test('a grace does not exceed TOKENS_PER_USER', async t => {
      const app = await startApp(t, { database, environment: { ...UNLIMITED, TOKENS_PER_USER: '2' } })
      const { rotate } = await aUserWithToken(app)
      t.strictSame([(await rotate({ grace: 60 })).status, (await rotate({ grace: 60 })).status], [201, 403])
      t.equal((await rotate({})).status, 201, 'a successor without a grace replaces the old token')
    })

    await t.test(
      'a token that rotates itself hands its issuer and its children to its successor',
      async t => {
        const { root, request, issue, rotate, remaining } = await aTokenOwner(app, database)

        const child = await issue(root, 'child')
        const grandchild = await issue(child, 'grandchild')
        const successor = await rotate(child, child)
        t.equal(await issuerOf(database, successor), root.id)
        t.equal(await issuerOf(database, grandchild), successor.id)
        t.equal((await request(root, 'DELETE', '/current')).headers['x-revoked-tokens'], '3')
        t.strictSame(await remaining(), [])
      },
    )

    await t.test('a token that a session rotates hands them over as well', async t => {
      const { user, root, issue } = await aTokenOwner(app, database)
      const child = await issue(root, 'child')
      const grandchild = await issue(child, 'grandchild')
      const successor = await rotateInPanel(app, user, child)
      t.equal(await issuerOf(database, successor), root.id)
      t.equal(await issuerOf(database, grandchild), successor.id)
    })

    await t.test('the successor of a token that another one rotates ends with either issuer', async t => {
      for (const revoked of ['leaked', 'rotating'] as const) {
        const { root: leaked, request, issue, rotate, addToken, remaining } = await aTokenOwner(app, database)
        const rotating = await addToken('rotating')
        const old = await issue(leaked, 'old')
        const child = await issue(old, 'child')
        const successor = await rotate(rotating, old)
        t.equal(await issuerOf(database, successor), rotating.id, 'the token that knows its secret')
        t.equal(await issuerOf(database, child), successor.id)
        await request(revoked === 'leaked' ? leaked : rotating, 'DELETE', '/current')
        t.strictSame(await remaining(), [revoked === 'leaked' ? 'rotating' : 'root'])
      }
    })

    await t.test('in its grace a token is a child of its successor, and so is what it issues', async t => {
      const { root, request, issue, rotate, addToken, remaining } = await aTokenOwner(app, database)

      const other = await addToken('other')
      const successor = await rotate(root, root, 60)
      t.equal(await issuerOf(database, root), successor.id)
      const late = await issue(root, 'late')
      t.equal((await get(app, '/api/me', late.plain)).status, 200)
      t.equal((await request(other, 'DELETE', `/${successor.id}`)).headers['x-revoked-tokens'], '3')
      t.strictSame(await remaining(), ['other'])
    })

    await t.test('a token that expires within its grace is a child of its successor, too', async t => {
      const { user, root, rotate } = await aTokenOwner(app, database)

      const { tokenId, token } = await aToken(database, user.id, { expiresAt: app.clock() + MINUTE })
      const old = { id: tokenId, plain: token }
      const successor = await rotate(root, old, 600)
      t.equal(await issuerOf(database, old), successor.id)
    })

    await t.test(
      'a token that rotates its issuer ends with its successor, and the other way round',
      async t => {
        for (const revoked of ['child', 'successor'] as const) {
          const { root, request, issue, rotate, addToken, remaining } = await aTokenOwner(app, database)
          const other = await addToken('other')
          const child = await issue(root, 'child')
          await issue(root, 'sibling')
          const successor = await rotate(child, root, 60)
          t.equal(await issuerOf(database, successor), child.id)
          t.equal(await issuerOf(database, child), successor.id)
          const { id } = { child, successor }[revoked]
          t.equal((await request(other, 'DELETE', `/${id}`)).headers['x-revoked-tokens'], '4', revoked)
          t.strictSame(await remaining(), ['other'])
        }
      },
    )

    await t.test('no rotation by a descendant detaches tokens from their issuer', async t => {
      const { root, request, issue, rotate, remaining } = await aTokenOwner(app, database)
      const child = await issue(root, 'child')
      const grandchild = await issue(child, 'grandchild')
      const second = await rotate(grandchild, child)
      const third = await rotate(grandchild, second)
      const fourth = await rotate(third, grandchild)
      await rotate(fourth, fourth)
      t.equal((await remaining()).length, 3)
      const { headers } = await request(root, 'DELETE', '/current')
      t.equal(headers['x-revoked-tokens'], '3')
      t.strictSame(await remaining(), [])
    })

    await t.test('repeated rotations do not let the list of inherited issuers grow', async t => {
      const { root, issue, rotate } = await aTokenOwner(app, database)
      let child = await issue(root, 'child')
      let other = await issue(root, 'other')
      for (let n = 0; n < 10; n += 1) {
        child = await rotate(other, child)
        other = await rotate(child, other)
      }
      const rows = await database.kysely
        .selectFrom('personal_access_tokens')
        .select(sql<number>`coalesce(cardinality(inherited_issuers), 0)`.as('count'))
        .where('id', 'in', [child.id, other.id])
        .execute()
      for (const { count } of rows) t.ok(count <= 2)
    })
  })
}
