import { sql } from 'kysely'
import t, { type Test } from 'tap'
import { tokensEndingWith } from '#src/database/token-endings.ts'
import { MINUTE } from '../../fixtures/clock.ts'
import { PanelBrowser } from '../../fixtures/panel.ts'
import { addChain, issuerOf, tokenNames, tokenWorld } from '../../fixtures/tokens.ts'
import { aToken, aUser, type TestUser, USER_TYPE } from '../../fixtures/users.ts'
import { get, send, type TestApp } from '../../support/app.ts'
import { createDatabase, ENGINES, type TestDatabase } from '../../support/databases.ts'

for (const engine of ENGINES) {
  t.test(`which token issued which on ${engine}`, async t => {
    const database = await createDatabase(t, engine)
    t.teardown(() => database.close())
    await revoking(t, database)
    await rotating(t, database)
  })
}

const events = async (app: TestApp, { kysely }: TestDatabase, { id }: TestUser) => {
  await app.events.stored()
  const rows = await kysely
    .selectFrom('account_events')
    .select('details')
    .where('user_id', '=', id)
    .where('event', '=', 'token revoked')
    .orderBy('id')
    .execute()
  return rows.map(({ details }) => JSON.parse(details))
}

async function revoking(t: Test, database: TestDatabase) {
  await t.test('a token shows the id of the token that issued it', async t => {
    const { root, ask, issue } = await tokenWorld(t, database)
    const child = await issue(root, 'child')
    t.match((await ask(root, 'GET', `/${child.id}`)).json.token, { issued_by: root.id })
    t.match((await ask(root, 'GET', `/${root.id}`)).json.token, { issued_by: null })
    const found = await ask(root, 'GET', `?filter[issued_by]=${root.id}&fields[token]=name`)
    t.strictSame(found.json.tokens, [{ name: 'child' }])
  })

  /** A way of revoking `root` and what it leaves of root, child, grandchild and other. */
  type Way = (world: Awaited<ReturnType<typeof family>>) => Promise<{ headers: Record<string, string> }>
  const family = async (t: Test) => {
    const given = await tokenWorld(t, database)
    const child = await given.issue(given.root, 'child')
    const grandchild = await given.issue(child, 'grandchild')
    return { ...given, child, grandchild, other: await given.named('other') }
  }
  const panel = async (app: TestApp, user: { email: string; password: string }, path: string) => {
    const browser = new PanelBrowser(app)
    await browser.logIn(user)
    return browser.submitConfirmed(await browser.open('/admin'), path)
  }
  const ways: [name: string, way: Way, left: string[], count: string | undefined][] = [
    ['its id', ({ other, root, ask }) => ask(other, 'DELETE', `/${root.id}`), ['other'], '3'],
    ['itself', ({ root, ask }) => ask(root, 'DELETE', '/current'), ['other'], '3'],
    ['"all others" of another one', ({ other, ask }) => ask(other, 'DELETE', '/others'), ['other'], '3'],
    [
      '"all others" of its descendant',
      ({ grandchild, ask }) => ask(grandchild, 'DELETE', '/others'),
      ['grandchild'],
      '3',
    ],
    ['all', ({ child, ask }) => ask(child, 'DELETE', ''), [], '4'],
    [
      'the panel',
      ({ app, user, root }) => panel(app, user, `/admin/tokens/${root.id}/revoke`),
      ['other'],
      undefined,
    ],
    ['all in the panel', ({ app, user }) => panel(app, user, '/admin/tokens/revoke-all'), [], undefined],
    [
      'a report that it leaked',
      ({ app, root }) => send(app, 'POST', '/api/leaked-token', { payload: { token: root.plain } }),
      ['other'],
      undefined,
    ],
  ]
  for (const [name, revoke, remaining, count] of ways) {
    await t.test(`a token that is revoked by ${name} ends its descendants`, async t => {
      const given = await family(t)
      const { headers } = await revoke(given)
      t.equal(headers['x-revoked-tokens'], count, 'the answer tells how many')
      t.strictSame(await given.left(), remaining)
      const { app, child, grandchild } = given
      for (const { plain } of [child, grandchild].slice(0, remaining.includes('grandchild') ? 1 : 2)) {
        t.equal((await get(app, '/api/me', plain)).status, 401)
      }
    })
  }

  await t.test('a revocation leaves ancestors and siblings alone', async t => {
    const { root, ask, issue, left } = await tokenWorld(t, database)
    const first = await issue(root, 'first')
    await issue(first, 'below')
    await issue(root, 'second')
    t.equal((await ask(root, 'DELETE', `/${first.id}`)).headers['x-revoked-tokens'], '2')
    t.strictSame(await left(), ['root', 'second'])
    t.equal((await ask(root, 'DELETE', `/${first.id}`)).status, 404)
  })

  await t.test('the token that revokes all others has no issuer afterwards', async t => {
    const { root, ask, issue } = await tokenWorld(t, database)
    const child = await issue(root, 'child')
    t.equal((await ask(child, 'DELETE', '/others')).status, 204)
    t.equal(await issuerOf(database, child), null)
  })

  await t.test('a session has no token to revoke as the current one', async t => {
    const { app, user } = await tokenWorld(t, database)
    const browser = new PanelBrowser(app)
    await browser.logIn(user)
    browser.page = { referer: 'http://localhost:3000/' }
    const answer = await browser.send('DELETE', '/api/me/token/current')
    t.strictSame([answer.status, answer.headers['x-revoked-tokens']], [204, '0'])
  })

  await t.test('the event names the tokens that ended, twenty at most', async t => {
    const { app, user, root, ask, issue } = await tokenWorld(t, database)
    const child = await issue(root, 'laptop')
    const grandchild = await issue(child, 'player')
    await ask(root, 'DELETE', `/${child.id}`)
    for (let n = 1; n <= 24; n += 1) await issue(root, `n${n}`)
    await send(app, 'POST', '/api/leaked-token', { payload: { token: root.plain } })
    const [first, second] = await events(app, database, user)
    t.strictSame(first, {
      which: child.id,
      count: 2,
      tokens: `laptop (${child.id}), player (${grandchild.id})`,
    })
    t.match(second, {
      count: 25,
      cause: 'leaked',
      tokens: /^root \(\d+\), n1 \(\d+\), .*n19 \(\d+\) and 5 more$/,
    })
  })

  await t.test('what a revocation would end can be asked before', async t => {
    const { user, root, issue, named } = await tokenWorld(t, database)
    const stranger = await aUser(database)
    const child = await issue(root, 'child')
    const grandchild = await issue(child, 'grandchild')
    const other = await named('other')
    const owner = { userId: user.id, types: [USER_TYPE] }
    const names = async (which: Parameters<typeof tokensEndingWith>[2]) =>
      (await tokensEndingWith(database.kysely, owner, which)).map(({ name }) => name)
    t.strictSame(await tokensEndingWith(database.kysely, owner, { id: child.id }), [
      { id: child.id, name: 'child' },
      { id: grandchild.id, name: 'grandchild' },
    ])
    t.strictSame(await names({ except: null }), ['root', 'child', 'grandchild', 'other'])
    t.strictSame(await names({ except: other.id }), ['root', 'child', 'grandchild'])
    t.strictSame(await names({ id: stranger.tokenId }), [], "another user's tokens are not told")
  })

  await t.test('no link leads to the tokens of another user', async t => {
    const { root, ask } = await tokenWorld(t, database)
    const victim = await aUser(database)
    await database.kysely
      .updateTable('personal_access_tokens')
      .set({ issued_by: root.id, inherited_issuers: [root.id] })
      .where('id', '=', victim.tokenId)
      .execute()
    await ask(root, 'DELETE', '/current')
    t.strictSame(await tokenNames(database, victim), ['test'])
  })

  await t.test('hundreds of descendants end, however deep they are', async t => {
    const { user, root, ask, left } = await tokenWorld(t, database)
    await addChain(database, user, root, 600, null)
    const { headers } = await ask(root, 'DELETE', '/current')
    t.equal(headers['x-revoked-tokens'], '601')
    t.strictSame(await left(), [])
  })
}

async function rotating(t: Test, database: TestDatabase) {
  await t.test('the successor of a token that rotates itself keeps issuer and children', async t => {
    const { root, ask, issue, rotate, left } = await tokenWorld(t, database)
    const child = await issue(root, 'child')
    const grandchild = await issue(child, 'grandchild')
    const successor = await rotate(child, child)
    t.equal(await issuerOf(database, successor), root.id)
    t.equal(await issuerOf(database, grandchild), successor.id)
    t.equal((await ask(root, 'DELETE', '/current')).headers['x-revoked-tokens'], '3')
    t.strictSame(await left(), [])
  })

  await t.test('the successor of a token that a session rotates does so as well', async t => {
    const { app, user, root, issue } = await tokenWorld(t, database)
    const child = await issue(root, 'child')
    const grandchild = await issue(child, 'grandchild')
    const browser = new PanelBrowser(app)
    await browser.logIn(user)
    const page = await browser.open(`/admin/tokens/${child.id}`)
    const rotated = await browser.sendForm(page, `/admin/tokens/${child.id}/rotate`, {
      grace: '0',
      current_password: user.password,
    })
    const id = Number(/(\d+)\|/.exec(rotated.text)?.[1])
    t.equal(await issuerOf(database, { id, plain: '' }), root.id)
    t.equal(await issuerOf(database, grandchild), id)
  })

  await t.test('the successor of a token that another one rotates ends with either issuer', async t => {
    for (const revoked of ['leaked', 'rotating'] as const) {
      const { root: leaked, ask, issue, rotate, named, left } = await tokenWorld(t, database)
      const rotating = await named('rotating')
      const old = await issue(leaked, 'old')
      const child = await issue(old, 'child')
      const successor = await rotate(rotating, old)
      t.equal(await issuerOf(database, successor), rotating.id, 'which knows its secret')
      t.equal(await issuerOf(database, child), successor.id)
      await ask(revoked === 'leaked' ? leaked : rotating, 'DELETE', '/current')
      t.strictSame(await left(), [revoked === 'leaked' ? 'rotating' : 'root'])
    }
  })

  await t.test(
    'a token that counts for a grace ends with its successor, and so does what it issues',
    async t => {
      const { app, root, ask, issue, rotate, named, left } = await tokenWorld(t, database)
      const other = await named('other')
      const successor = await rotate(root, root, 60)
      t.equal(await issuerOf(database, root), successor.id)
      const late = await issue(root, 'late')
      t.equal((await get(app, '/api/me', late.plain)).status, 200)
      t.equal((await ask(other, 'DELETE', `/${successor.id}`)).headers['x-revoked-tokens'], '3')
      t.strictSame(await left(), ['other'])
    },
  )

  await t.test('so does one that would end before its grace does', async t => {
    const { app, user, root, rotate } = await tokenWorld(t, database)
    const { tokenId, token } = await aToken(database, user.id, { expiresAt: app.clock() + MINUTE })
    const old = { id: tokenId, plain: token }
    const successor = await rotate(root, old, 600)
    t.equal(await issuerOf(database, old), successor.id)
  })

  await t.test('a token that rotates its issuer ends with it, and it with the token', async t => {
    for (const revoked of ['child', 'successor'] as const) {
      const { root, ask, issue, rotate, named, left } = await tokenWorld(t, database)
      const other = await named('other')
      const child = await issue(root, 'child')
      await issue(root, 'sibling')
      const successor = await rotate(child, root, 60)
      t.equal(await issuerOf(database, successor), child.id)
      t.equal(await issuerOf(database, child), successor.id)
      const { id } = { child, successor }[revoked]
      t.equal((await ask(other, 'DELETE', `/${id}`)).headers['x-revoked-tokens'], '4', revoked)
      t.strictSame(await left(), ['other'])
    }
  })

  await t.test('no rotation by a descendant detaches tokens from what issued them', async t => {
    const { root, ask, issue, rotate, left } = await tokenWorld(t, database)
    const child = await issue(root, 'child')
    const grandchild = await issue(child, 'grandchild')
    const second = await rotate(grandchild, child)
    const third = await rotate(grandchild, second)
    const fourth = await rotate(third, grandchild)
    await rotate(fourth, fourth)
    t.equal((await left()).length, 3)
    const { headers } = await ask(root, 'DELETE', '/current')
    t.equal(headers['x-revoked-tokens'], '3')
    t.strictSame(await left(), [])
  })

  await t.test('rotations without end leave no trail', async t => {
    const { root, issue, rotate } = await tokenWorld(t, database)
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
}
