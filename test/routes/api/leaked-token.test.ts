import t from 'tap'
import { pruneTokens } from '#src/database/token-pruning.ts'
import { aLoggedInUser } from '../../fixtures/browser.ts'
import { UNLIMITED } from '../../fixtures/settings.ts'
import {
  aTokenOwner,
  type IssuedToken,
  revocationsOf,
  rotateInPanel,
  tokenNames,
} from '../../fixtures/tokens.ts'
import { aToken, aUser } from '../../fixtures/users.ts'
import { get, send, startApp, type TestApp } from '../../support/app.ts'
import { createDatabase, ENGINES } from '../../support/databases.ts'

const ENVIRONMENT = { ...UNLIMITED, LEAKED_TOKENS: 'on' }

const secretOf = ({ plain }: IssuedToken) => plain.slice(plain.indexOf('|') + 1)

const reportTo = async (app: TestApp, token: unknown) =>
  (await send(app, 'POST', '/api/leaked-token', { payload: { token } })).status

for (const engine of ENGINES) {
  t.test(`POST /api/leaked-token on ${engine}`, async t => {
    const database = await createDatabase(t, engine)
    t.teardown(() => database.close())
    const app = await startApp(t, { database, environment: ENVIRONMENT })
    const report = (token: unknown) => reportTo(app, token)
    const isValid = async (plain: string) => (await get(app, '/api/me', plain)).status === 200
    /** A user with tokens named `root` and `other`. */
    const aReportedUser = async (server = app) => {
      const owner = await aTokenOwner(server, database)
      const other = await owner.addToken('other')
      return { ...owner, other, revocations: () => revocationsOf(server, database, owner.user) }
    }

    await t.test('a report revokes the token', async t => {
      const { user, root, revocations } = await aReportedUser()
      t.ok(await isValid(root.plain))
      t.equal(await report(root.plain), 204)
      t.notOk(await isValid(root.plain))
      t.equal(await report(root.plain), 204, 'twice')
      t.match(await revocations(), [{ which: root.id, cause: 'leaked' }])
      t.strictSame((await app.mailbox.nextTo(user.email)).to, { name: user.name, address: user.email })
    })

    await t.test('a report of the secret without the id revokes the token', async t => {
      const { root } = await aReportedUser()
      t.equal(await report(secretOf(root)), 204)
      t.notOk(await isValid(root.plain))
    })

    await t.test('the user sees the revocations in the activity of the account', async t => {
      const { user, browser } = await aLoggedInUser(app, database)
      const [first, second] = [await aToken(database, user.id), await aToken(database, user.id)]
      for (const { token } of [first, second]) t.equal(await report(token), 204)
      await app.events.drain()
      const { json } = await browser.get('/api/me/activity?filter[event]=token%20revoked')
      t.match(json.activities, [
        { details: { which: second.tokenId, cause: 'leaked' } },
        { details: { which: first.tokenId } },
      ])
    })

    await t.test('an unknown token gets 204 and revokes nothing', async t => {
      const { root, other, revocations, remaining } = await aReportedUser()
      for (const unknown of [
        'x',
        '|',
        `${root.id}|wrong`,
        `${other.id}|${secretOf(root)}x`,
        '9'.repeat(40),
        'x|y|z',
      ]) {
        t.equal(await report(unknown), 204, unknown)
      }
      t.strictSame(await remaining(), ['root', 'other'])
      t.strictSame(await revocations(), [])
    })

    await t.test('a report without a token returns 422', async t => {
      for (const invalid of [null, 1, '', {}]) t.equal(await report(invalid), 422)
    })

    await t.test('without LEAKED_TOKENS=on the route is 404', async t => {
      const app = await startApp(t, { database, environment: UNLIMITED })
      t.equal(await reportTo(app, 'x'), 404)
    })

    await t.test('unknown tokens count as failed authentications', async t => {
      const app = await startApp(t, {
        database,
        environment: { ...ENVIRONMENT, RATE_LIMIT_FAILED_AUTH: '2' },
      })
      const statuses: number[] = []
      for (const n of [1, 2, 3]) statuses.push(await reportTo(app, `${n}|guess`))
      t.strictSame(statuses, [204, 204, 429])
    })

    await t.test('the secret of a rotated token does not count as a failed authentication', async t => {
      const app = await startApp(t, {
        database,
        environment: { ...ENVIRONMENT, RATE_LIMIT_FAILED_AUTH: '1' },
      })
      const { root, rotate } = await aReportedUser(app)
      await rotate(root, root)
      t.equal(await reportTo(app, root.plain), 204)
      t.strictSame([await reportTo(app, '1|guess'), await reportTo(app, '2|guess')], [204, 429])
    })

    await t.test('a report of a rotated token revokes its successor and what that issued', async t => {
      const { user, root, rotate, issue, revocations, remaining } = await aReportedUser()
      const successor = await rotate(root, root)
      const child = await issue(successor, 'child')
      t.equal(await report(root.plain), 204)
      for (const { plain } of [successor, child]) t.notOk(await isValid(plain))
      t.strictSame(await remaining(), ['other'])
      t.match(await revocations(), [{ which: successor.id, count: 2, cause: 'leaked' }])
      t.strictSame((await app.mailbox.nextTo(user.email)).to, { name: user.name, address: user.email })
    })

    await t.test('the secret of a rotated token is enough, with any id', async t => {
      for (const prefix of ['', '1|', '999999999|']) {
        const { root, rotate, remaining } = await aReportedUser()
        await rotate(root, root)
        t.equal(await report(`${prefix}${secretOf(root)}`), 204)
        t.strictSame(await remaining(), ['other'], prefix)
      }
    })

    await t.test('a report within the grace revokes the token and its successor', async t => {
      const { root, rotate, issue, revocations, remaining } = await aReportedUser()
      await rotate(root, root, 60)
      await issue(root, 'late')
      t.equal(await report(root.plain), 204)
      t.strictSame(await remaining(), ['other'])
      t.match(await revocations(), [{ which: root.id, count: 3, cause: 'leaked' }])
    })

    await t.test('a report of any token of a chain of rotations revokes the last', async t => {
      for (const grace of [0, 60]) {
        for (const reported of [0, 1]) {
          const { root, rotate, remaining } = await aReportedUser()
          const second = await rotate(root, root, grace)
          await rotate(second, second, grace)
          t.equal(await report([root, second][reported]?.plain ?? ''), 204)
          t.strictSame(await remaining(), ['other'], `${reported}, grace ${grace}`)
        }
      }
    })

    await t.test('a report revokes both successors of a token that was rotated twice', async t => {
      for (const grace of [0, 60]) {
        const { root, rotate, remaining } = await aReportedUser()
        await rotate(root, root, 60)
        await rotate(root, root, grace)
        t.equal(await report(root.plain), 204)
        t.strictSame(await remaining(), ['other'])
      }
    })

    await t.test('a report of a token that a session rotated revokes its successor', async t => {
      const { user, root, revocations, remaining } = await aReportedUser()
      const { id } = await rotateInPanel(app, user, root)
      t.equal(await report(root.plain), 204)
      t.strictSame(await remaining(), ['other'])
      t.match(await revocations(), [{ which: id, cause: 'leaked' }])
    })

    for (const name of ['child', 'grandchild'] as const) {
      await t.test(`a report revokes a ${name} that has revoked all other tokens`, async t => {
        const { root, request, issue, revocations, remaining } = await aReportedUser()
        const child = await issue(root, 'child')
        const grandchild = await issue(child, 'grandchild')
        const kept = { child, grandchild }[name]
        t.equal((await request(kept, 'DELETE', '/others')).status, 204)
        t.strictSame(await remaining(), [name])
        t.equal(await report(root.plain), 204)
        t.notOk(await isValid(kept.plain))
        t.match((await revocations()).at(-1), { which: kept.id, count: 1, cause: 'leaked' })
      })
    }

    await t.test('rotations before and after do not protect such a descendant', async t => {
      const { root, request, issue, rotate, remaining } = await aReportedUser()
      const second = await rotate(root, root, 60)
      const third = await rotate(second, second)
      const child = await issue(third, 'child')
      await request(child, 'DELETE', '/others')
      await rotate(child, child)
      t.strictSame(await remaining(), ['child'])
      t.equal(await report(root.plain), 204)
      t.strictSame(await remaining(), [])
    })

    await t.test('a report of a token that did not issue the remaining one revokes nothing', async t => {
      const { root, other, request, issue, remaining } = await aReportedUser()
      const child = await issue(root, 'child')
      const sibling = await issue(root, 'sibling')
      await request(child, 'DELETE', '/others')
      for (const { plain } of [other, sibling]) t.equal(await report(plain), 204)
      t.strictSame(await remaining(), ['child'])
    })

    await t.test('a report revokes no token of another user', async t => {
      const { root, rotate, request, issue } = await aReportedUser()
      const stranger = await aUser(database)
      await aToken(database, stranger.id)
      await database.kysely
        .updateTable('personal_access_tokens')
        .set({ issued_by: root.id })
        .where('id', '=', stranger.tokenId)
        .execute()
      const before = await tokenNames(database, stranger)
      const successor = await rotate(root, root)
      const child = await issue(successor, 'child')
      await request(child, 'DELETE', '/others')
      for (const { plain } of [root, successor]) t.equal(await report(plain), 204)
      t.strictSame(await tokenNames(database, stranger), before)
    })

    await t.test('a token whose issuer is of another user is not revoked with it', async t => {
      const { root, request, remaining } = await aReportedUser()
      const stranger = await aUser(database)
      await database.kysely
        .updateTable('personal_access_tokens')
        .set({ issued_by: stranger.tokenId })
        .where('id', '=', root.id)
        .execute()
      await request(root, 'DELETE', '/others')
      t.equal(await report(stranger.token), 204)
      t.strictSame(await remaining(), ['root'])
      t.strictSame(await tokenNames(database, stranger), [])
    })

    await t.test('an unknown secret with the id of a rotated token revokes nothing', async t => {
      const { root, rotate, revocations, remaining } = await aReportedUser()
      const successor = await rotate(root, root)
      for (const token of ['x', `${root.id}|x`, `${successor.id}|${secretOf(root)}x`]) {
        t.equal(await report(token), 204)
      }
      t.strictSame(await remaining(), ['other', 'root'])
      t.strictSame(await revocations(), [])
    })

    await t.test('the digest of a rotated token is pruned once its successor is gone', async t => {
      const { root, rotate, request } = await aReportedUser()
      const successor = await rotate(root, root)
      const countDigests = async () =>
        (
          await database.kysely
            .selectFrom('token_successors')
            .selectAll()
            .where('token_id', '=', successor.id)
            .execute()
        ).length
      t.equal(await countDigests(), 1)
      await pruneTokens(database.kysely, 0, null)
      t.equal(await countDigests(), 1)
      await request(successor, 'DELETE', '/current')
      t.equal(await report(root.plain), 204)
      await pruneTokens(database.kysely, 0, null)
      t.equal(await countDigests(), 0)
    })
  })
}
