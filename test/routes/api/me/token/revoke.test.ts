import t from 'tap'
import { findTokensEndingWith } from '#src/database/token-endings.ts'
import { aLoggedInUser } from '../../../../fixtures/browser.ts'
import { PanelBrowser } from '../../../../fixtures/panel.ts'
import { requestWith } from '../../../../fixtures/requests.ts'
import { UNLIMITED } from '../../../../fixtures/settings.ts'
import {
  addChain,
  aTokenIssuer,
  aTokenOwner,
  issuerOf,
  revocationsOf,
  tokenNames,
} from '../../../../fixtures/tokens.ts'
import { aToken, aUser, USER_TYPE } from '../../../../fixtures/users.ts'
import { get, send, startApp, type TestApp } from '../../../../support/app.ts'
import { createDatabase, ENGINES, type TestDatabase } from '../../../../support/databases.ts'

const PATH = '/api/me/token'

/** A user with tokens of three generations, `root`, `child` and `grandchild`, and one named `other`. */
async function aTokenFamily(app: TestApp, database: TestDatabase) {
  const owner = await aTokenOwner(app, database)
  const child = await owner.issue(owner.root, 'child')
  const grandchild = await owner.issue(child, 'grandchild')
  return { app, ...owner, child, grandchild, other: await owner.addToken('other') }
}

type TokenFamily = Awaited<ReturnType<typeof aTokenFamily>>

async function revokeInPanel({ app, user }: TokenFamily, path: string) {
  const browser = new PanelBrowser(app)
  await browser.logIn(user)
  return browser.submitConfirmed(await browser.open('/admin'), path)
}

/** The ways to revoke `root`, the tokens that they leave, and how many the answer counts. */
const REVOCATIONS: readonly {
  name: string
  revoke(family: TokenFamily): Promise<{ headers: Record<string, string> }>
  left: string[]
  count?: string
}[] = [
  {
    name: 'by its id',
    revoke: ({ other, root, request }) => request(other, 'DELETE', `/${root.id}`),
    left: ['other'],
    count: '3',
  },
  {
    name: 'as the current one',
    revoke: ({ root, request }) => request(root, 'DELETE', '/current'),
    left: ['other'],
    count: '3',
  },
  {
    name: 'with all others of an unrelated token',
    revoke: ({ other, request }) => request(other, 'DELETE', '/others'),
    left: ['other'],
    count: '3',
  },
  {
    name: 'with all others of its descendant',
    revoke: ({ grandchild, request }) => request(grandchild, 'DELETE', '/others'),
    left: ['grandchild'],
    count: '3',
  },
  {
    name: 'with all tokens',
    revoke: ({ child, request }) => request(child, 'DELETE', ''),
    left: [],
    count: '4',
  },
  {
    name: 'in the panel',
    revoke: family => revokeInPanel(family, `/admin/tokens/${family.root.id}/revoke`),
    left: ['other'],
  },
  {
    name: 'with all tokens in the panel',
    revoke: family => revokeInPanel(family, '/admin/tokens/revoke-all'),
    left: [],
  },
  {
    name: 'by a report that it leaked',
    revoke: ({ app, root }) => send(app, 'POST', '/api/leaked-token', { payload: { token: root.plain } }),
    left: ['other'],
  },
]

for (const engine of ENGINES) {
  t.test(`DELETE /api/me/token on ${engine}`, async t => {
    const database = await createDatabase(t, engine)
    t.teardown(() => database.close())
    const app = await startApp(t, { database, environment: { ...UNLIMITED, LEAKED_TOKENS: 'on' } })
    /** A user in a session, with three tokens besides. */
    const aUserWithTokens = async () => {
      const { user, browser } = await aTokenIssuer(app, database)
      const tokens = await Promise.all([1, 2, 3].map(() => aToken(database, user.id)))
      const statuses = async () =>
        (await Promise.all(tokens.map(({ token }) => get(app, '/api/me', token)))).map(({ status }) => status)
      return { user, browser, first: requestWith(app, tokens[0]?.token), statuses }
    }

    await t.test('DELETE /{id} revokes a token once', async t => {
      const { browser } = await aTokenIssuer(app, database)
      const { plain_text_token: plain, token } = (await browser.post(PATH, { name: 'x' })).json
      t.equal((await get(app, '/api/me', plain)).status, 200)
      t.equal((await browser.send('DELETE', `${PATH}/${token.id}`)).status, 204)
      t.equal((await get(app, '/api/me', plain)).status, 401)
      t.equal((await browser.send('DELETE', `${PATH}/${token.id}`)).status, 404)
    })

    await t.test('DELETE /current revokes the token of the request', async t => {
      const { first, statuses } = await aUserWithTokens()
      t.equal((await first('DELETE', `${PATH}/current`)).status, 204)
      t.strictSame(await statuses(), [401, 200, 200])
    })

    await t.test('DELETE /current of a session revokes nothing', async t => {
      const { browser, statuses } = await aUserWithTokens()
      const { status, headers } = await browser.send('DELETE', `${PATH}/current`)
      t.strictSame([status, headers['x-revoked-tokens']], [204, '0'])
      t.strictSame(await statuses(), [200, 200, 200])
    })

    await t.test('DELETE /others revokes all tokens but the one of the request', async t => {
      const { first, statuses } = await aUserWithTokens()
      t.equal((await first('DELETE', `${PATH}/others`)).status, 204)
      t.strictSame(await statuses(), [200, 401, 401])
    })

    await t.test('DELETE revokes all tokens', async t => {
      const { browser, statuses } = await aUserWithTokens()
      t.equal((await browser.send('DELETE', PATH)).status, 204)
      t.strictSame(await statuses(), [401, 401, 401])
    })

    await t.test('a token without abilities may revoke itself, and no other', async t => {
      const { user } = await aLoggedInUser(app, database)
      const { token } = await aToken(database, user.id, { abilities: [] })
      const request = requestWith(app, token)
      t.equal((await request('DELETE', PATH)).status, 403)
      t.equal((await request('DELETE', `${PATH}/current`)).status, 204)
      t.equal((await get(app, '/api/me', token)).status, 401)
    })

    await t.test('a session revokes no token of another user', async t => {
      const { browser } = await aTokenIssuer(app, database)
      const victim = await aUser(database)
      t.equal((await browser.send('DELETE', PATH)).status, 204)
      t.equal((await browser.send('DELETE', `${PATH}/others`)).status, 204)
      t.equal((await get(app, '/api/me', victim.token)).status, 200)
    })

    await t.test('a token shows the id of the token that issued it', async t => {
      const { root, request, issue } = await aTokenOwner(app, database)

      const child = await issue(root, 'child')
      t.match((await request(root, 'GET', `/${child.id}`)).json.token, { issued_by: root.id })
      t.match((await request(root, 'GET', `/${root.id}`)).json.token, { issued_by: null })
      const found = await request(root, 'GET', `?filter[issued_by]=${root.id}&fields[token]=name`)
      t.strictSame(found.json.tokens, [{ name: 'child' }])
    })

    for (const { name, revoke, left, count } of REVOCATIONS) {
      await t.test(`a token that is revoked ${name} ends its descendants`, async t => {
        const family = await aTokenFamily(app, database)
        const { headers } = await revoke(family)
        t.equal(headers['x-revoked-tokens'], count, 'the number of revoked tokens')
        t.strictSame(await family.remaining(), left)
        for (const { plain } of left.includes('grandchild')
          ? [family.child]
          : [family.child, family.grandchild]) {
          t.equal((await get(app, '/api/me', plain)).status, 401)
        }
      })
    }

    await t.test('a revocation leaves ancestors and siblings valid', async t => {
      const { root, request, issue, remaining } = await aTokenOwner(app, database)

      const first = await issue(root, 'first')
      await issue(first, 'below')
      await issue(root, 'second')
      t.equal((await request(root, 'DELETE', `/${first.id}`)).headers['x-revoked-tokens'], '2')
      t.strictSame(await remaining(), ['root', 'second'])
      t.equal((await request(root, 'DELETE', `/${first.id}`)).status, 404)
    })

    await t.test('the token that revokes all others has no issuer afterwards', async t => {
      const { root, request, issue } = await aTokenOwner(app, database)

      const child = await issue(root, 'child')
      t.equal((await request(child, 'DELETE', '/others')).status, 204)
      t.equal(await issuerOf(database, child), null)
    })

    await t.test('the event names the revoked tokens, twenty at most', async t => {
      const { user, root, request, issue } = await aTokenOwner(app, database)
      const child = await issue(root, 'laptop')
      const grandchild = await issue(child, 'player')
      await request(root, 'DELETE', `/${child.id}`)
      for (let n = 1; n <= 24; n += 1) await issue(root, `n${n}`)
      await send(app, 'POST', '/api/leaked-token', { payload: { token: root.plain } })
      const [first, second] = await revocationsOf(app, database, user)
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

    await t.test('tokensEndingWith lists the tokens that a revocation would end', async t => {
      const { user, root, issue, addToken } = await aTokenOwner(app, database)
      const stranger = await aUser(database)
      const child = await issue(root, 'child')
      const grandchild = await issue(child, 'grandchild')
      const other = await addToken('other')
      const owner = { userId: user.id, types: [USER_TYPE] }
      const names = async (which: Parameters<typeof findTokensEndingWith>[2]) =>
        (await findTokensEndingWith(database.kysely, owner, which)).map(({ name }) => name)
      t.strictSame(await findTokensEndingWith(database.kysely, owner, { id: child.id }), [
        { id: child.id, name: 'child' },
        { id: grandchild.id, name: 'grandchild' },
      ])
      t.strictSame(await names({ except: null }), ['root', 'child', 'grandchild', 'other'])
      t.strictSame(await names({ except: other.id }), ['root', 'child', 'grandchild'])
      t.strictSame(await names({ id: stranger.tokenId }), [], 'no token of another user')
    })

    await t.test('no link leads to the tokens of another user', async t => {
      const { root, request } = await aTokenOwner(app, database)
      const victim = await aUser(database)
      await database.kysely
        .updateTable('personal_access_tokens')
        .set({ issued_by: root.id, inherited_issuers: [root.id] })
        .where('id', '=', victim.tokenId)
        .execute()
      await request(root, 'DELETE', '/current')
      t.strictSame(await tokenNames(database, victim), ['test'])
    })

    await t.test('hundreds of descendants end, at any depth', async t => {
      const { user, root, request, remaining } = await aTokenOwner(app, database)
      await addChain(database, user, root, 600, null)
      const { headers } = await request(root, 'DELETE', '/current')
      t.equal(headers['x-revoked-tokens'], '601')
      t.strictSame(await remaining(), [])
    })
  })
}
