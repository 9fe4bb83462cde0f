import t, { type Test } from 'tap'
import { pruneTokens } from '#src/database/token-pruning.ts'
import { PanelBrowser } from '../../fixtures/panel.ts'
import { type Held, tokenNames, tokenWorld } from '../../fixtures/tokens.ts'
import { aToken, aUser } from '../../fixtures/users.ts'
import { get, send } from '../../support/app.ts'
import { createDatabase, ENGINES, type TestDatabase } from '../../support/databases.ts'

for (const engine of ENGINES) {
  t.test(`reports of leaked tokens on ${engine}`, async t => {
    const database = await createDatabase(t, engine)
    t.teardown(() => database.close())
    await rotated(t, database)
    await kept(t, database)
    await honest(t, database)
  })
}

async function reportWorld(t: Test, database: TestDatabase, environment: Record<string, string> = {}) {
  const world = await tokenWorld(t, database, environment)
  const other = await world.named('other')
  const { app, user } = world
  const report = async (token: string) =>
    (await send(app, 'POST', '/api/leaked-token', { payload: { token } })).status
  const revocations = async () => {
    await app.events.stored()
    const rows = await database.kysely
      .selectFrom('account_events')
      .select('details')
      .where('user_id', '=', user.id)
      .where('event', '=', 'token revoked')
      .orderBy('id')
      .execute()
    return rows.map(({ details }) => JSON.parse(details))
  }
  const isOver = async ({ plain }: Held) => (await get(app, '/api/me', plain)).status === 401
  return { ...world, other, report, revocations, isOver }
}

const secretOf = ({ plain }: Held) => plain.slice(plain.indexOf('|') + 1)

async function rotated(t: Test, database: TestDatabase) {
  await t.test('a report of a token that was rotated ends its successor and what that issued', async t => {
    const { app, user, root, rotate, issue, report, revocations, isOver, left } = await reportWorld(
      t,
      database,
    )
    const successor = await rotate(root, root)
    const child = await issue(successor, 'child')
    t.equal(await report(root.plain), 204)
    t.ok(await isOver(successor))
    t.ok(await isOver(child))
    t.strictSame(await left(), ['other'])
    t.match(await revocations(), [{ which: successor.id, count: 2, cause: 'leaked' }])
    t.strictSame((await app.mailbox.next()).to, { name: user.name, address: user.email })
  })

  await t.test('the secret alone is enough, and so it is behind any id', async t => {
    for (const prefix of ['', '1|', '999999999|']) {
      const { root, rotate, report, left } = await reportWorld(t, database)
      await rotate(root, root)
      t.equal(await report(`${prefix}${secretOf(root)}`), 204)
      t.strictSame(await left(), ['other'], prefix)
    }
  })

  await t.test('a report within the grace ends the token and its successor', async t => {
    const { root, rotate, issue, report, revocations, left } = await reportWorld(t, database)
    await rotate(root, root, 60)
    await issue(root, 'late')
    t.equal(await report(root.plain), 204)
    t.strictSame(await left(), ['other'])
    t.match(await revocations(), [{ which: root.id, count: 3, cause: 'leaked' }])
  })

  await t.test('a report of any token of a chain of rotations ends the last', async t => {
    for (const grace of [0, 60]) {
      for (const reported of [0, 1]) {
        const { root, rotate, report, left } = await reportWorld(t, database)
        const second = await rotate(root, root, grace)
        await rotate(second, second, grace)
        t.equal(await report([root, second][reported]?.plain ?? ''), 204)
        t.strictSame(await left(), ['other'], `${reported}, grace ${grace}`)
      }
    }
  })

  await t.test('a report ends both successors of a token that was rotated again in its grace', async t => {
    for (const grace of [0, 60]) {
      const { root, rotate, report, left } = await reportWorld(t, database)
      await rotate(root, root, 60)
      await rotate(root, root, grace)
      t.equal(await report(root.plain), 204)
      t.strictSame(await left(), ['other'])
    }
  })

  await t.test('a report of a token that a session rotated ends its successor', async t => {
    const { app, user, root, report, revocations, left } = await reportWorld(t, database)
    const browser = new PanelBrowser(app)
    await browser.logIn(user)
    const page = await browser.open(`/admin/tokens/${root.id}`)
    const answer = await browser.sendForm(page, `/admin/tokens/${root.id}/rotate`, {
      grace: '0',
      current_password: user.password,
    })
    const id = Number(/(\d+)\|/.exec(answer.text)?.[1])
    t.equal(await report(root.plain), 204)
    t.strictSame(await left(), ['other'])
    t.match(await revocations(), [{ which: id, cause: 'leaked' }])
  })

  await t.test('a secret that only its successor is known by is no wrong guess', async t => {
    const { root, rotate, report } = await reportWorld(t, database, { RATE_LIMIT_FAILED_AUTH: '1' })
    await rotate(root, root)
    t.equal(await report(root.plain), 204)
    t.strictSame([await report('1|guess'), await report('2|guess')], [204, 429])
  })
}

async function kept(t: Test, database: TestDatabase) {
  await t.test('a report ends the descendant that revoked all others', async t => {
    for (const by of ['child', 'grandchild'] as const) {
      const { root, ask, issue, report, revocations, isOver, left } = await reportWorld(t, database)
      const child = await issue(root, 'child')
      const grandchild = await issue(child, 'grandchild')
      const remaining = { child, grandchild }[by]
      t.equal((await ask(remaining, 'DELETE', '/others')).status, 204)
      t.strictSame(await left(), [by])
      t.equal(await report(root.plain), 204)
      t.ok(await isOver(remaining))
      t.match((await revocations()).at(-1), { which: remaining.id, count: 1, cause: 'leaked' })
    }
  })

  await t.test('rotations before and after do not hide it', async t => {
    const { root, ask, issue, rotate, report, left } = await reportWorld(t, database)
    const second = await rotate(root, root, 60)
    const third = await rotate(second, second)
    const child = await issue(third, 'child')
    await ask(child, 'DELETE', '/others')
    await rotate(child, child)
    t.strictSame(await left(), ['child'])
    t.equal(await report(root.plain), 204)
    t.strictSame(await left(), [])
  })

  await t.test('a report of a token that the kept one does not descend from ends nothing', async t => {
    const { root, other, ask, issue, report, left } = await reportWorld(t, database)
    const child = await issue(root, 'child')
    const sibling = await issue(root, 'sibling')
    await ask(child, 'DELETE', '/others')
    for (const { plain } of [other, sibling]) t.equal(await report(plain), 204)
    t.strictSame(await left(), ['child'])
  })
}

async function honest(t: Test, database: TestDatabase) {
  await t.test("a report leaves another user's tokens alone", async t => {
    const { root, rotate, report, ask, issue } = await reportWorld(t, database)
    const neighbour = await aUser(database)
    await aToken(database, neighbour.id)
    await database.kysely
      .updateTable('personal_access_tokens')
      .set({ issued_by: root.id })
      .where('id', '=', neighbour.tokenId)
      .execute()
    const before = await tokenNames(database, neighbour)
    const successor = await rotate(root, root)
    const child = await issue(successor, 'child')
    await ask(child, 'DELETE', '/others')
    for (const { plain } of [root, successor]) t.equal(await report(plain), 204)
    t.strictSame(await tokenNames(database, neighbour), before)
  })

  await t.test("a report of another user's token ends nothing that a link leads to", async t => {
    const { root, ask, report, left } = await reportWorld(t, database)
    const neighbour = await aUser(database)
    await database.kysely
      .updateTable('personal_access_tokens')
      .set({ issued_by: neighbour.tokenId })
      .where('id', '=', root.id)
      .execute()
    await ask(root, 'DELETE', '/others')
    t.equal(await report(neighbour.token), 204)
    t.strictSame(await left(), ['root'])
    t.strictSame(await tokenNames(database, neighbour), [])
  })

  await t.test('an unknown secret does nothing', async t => {
    const { root, rotate, report, revocations, left } = await reportWorld(t, database)
    const successor = await rotate(root, root)
    for (const token of ['x', `${root.id}|x`, `${successor.id}|${secretOf(root)}x`]) {
      t.equal(await report(token), 204)
    }
    t.strictSame(await left(), ['other', 'root'])
    t.strictSame(await revocations(), [])
  })

  await t.test('what is remembered is pruned once the token is gone', async t => {
    const { root, rotate, report, ask } = await reportWorld(t, database)
    const successor = await rotate(root, root)
    const remembered = async () =>
      (
        await database.kysely
          .selectFrom('token_successors')
          .selectAll()
          .where('token_id', '=', successor.id)
          .execute()
      ).length
    t.equal(await remembered(), 1)
    await pruneTokens(database.kysely, 0, null)
    t.equal(await remembered(), 1)
    await ask(successor, 'DELETE', '/current')
    t.equal(await report(root.plain), 204)
    await pruneTokens(database.kysely, 0, null)
    t.equal(await remembered(), 0)
  })
}
