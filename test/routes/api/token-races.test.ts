import t, { type Test } from 'tap'
import { testClock } from '../../fixtures/clock.ts'
import { PanelBrowser } from '../../fixtures/panel.ts'
import { type Held, tokenNames, tokenWorld } from '../../fixtures/tokens.ts'
import { send, startApp, type TestApp } from '../../support/app.ts'
import { createDatabase } from '../../support/databases.ts'

/** Rounds of what happens at the same time. */
const ROUNDS = 100

t.test('tokens in the hands of two instances', async t => {
  const database = await createDatabase(t, 'postgres')
  t.teardown(() => database.close())
  const environment = {
    RATE_LIMIT_AUTHENTICATED: '100000',
    RATE_LIMIT_ANONYMOUS: '100000',
    RATE_LIMIT_FAILED_AUTH: '100000',
    LEAKED_TOKENS: 'on',
    CONFIRM_PASSWORD_RATE_LIMIT: '1000',
  }
  const clock = testClock()
  const second = await startApp(t, { database, environment, clock })
  const world = await tokenWorld(t, database, environment)
  const { app: first, user, named } = world

  const ask = (app: TestApp, by: Held, method: string, path: string, payload: object = {}) =>
    send(app, method, `/api/me/token${path}`, { headers: { authorization: `Bearer ${by.plain}` }, payload })
  const issue = (app: TestApp, by: Held) => ask(app, by, 'POST', '', { name: 'child' })
  const statuses = async (answers: Promise<{ status: number }>[]) =>
    (await Promise.all(answers)).map(({ status }) => status)
  const allowed = (t: Test, found: number[], ...expected: number[]) =>
    t.ok(
      found.every(status => expected.includes(status)),
      found.join(),
    )
  await ask(first, world.root, 'DELETE', '/current')

  const revocations: [name: string, revoke: (parent: Held, other: Held) => Promise<{ status: number }>][] = [
    ['revoked', (parent, other) => ask(second, other, 'DELETE', `/${parent.id}`)],
    ['revoked by itself', parent => ask(second, parent, 'DELETE', '/current')],
    ['reported', ({ plain }) => send(second, 'POST', '/api/leaked-token', { payload: { token: plain } })],
  ]
  for (const [name, revoke] of revocations) {
    await t.test(`no child outlives a token that is ${name} while it issues`, async t => {
      const other = await named('other')
      let born = 0
      for (let round = 0; round < ROUNDS; round += 1) {
        const parent = await named('parent')
        const issuing = [issue(first, parent), issue(first, parent)]
        const [, ...issued] = await statuses([revoke(parent, other), ...issuing, issue(second, parent)])
        // 404 is for one that was revoked before it could be shown.
        allowed(t, issued, 201, 401, 404)
        born += issued.filter(status => status !== 401).length
      }
      t.strictSame(await tokenNames(database, user), ['other'])
      t.comment(`${born} of ${3 * ROUNDS} were issued before the revocation`)
      await ask(first, other, 'DELETE', '/current')
    })
  }

  await t.test('of many who rotate one token at once, one gets its successor', async t => {
    for (let round = 0; round < 20; round += 1) {
      const [token, other] = [await named('token'), await named('other')]
      const answers = await statuses(
        Array.from({ length: 8 }, (_, n) =>
          ask(n % 2 === 0 ? first : second, n < 4 ? token : other, 'POST', `/${token.id}/rotate`),
        ),
      )
      t.equal(answers.filter(status => status === 201).length, 1)
      allowed(t, answers, 201, 401, 404)
      t.strictSame((await tokenNames(database, user)).sort(), ['other', 'token'])
      await ask(first, other, 'DELETE', '')
    }
  })

  await t.test('tokens that rotate each other at once do not wait for each other for ever', async t => {
    for (let round = 0; round < 20; round += 1) {
      const [one, two] = [await named('one'), await named('two')]
      const answers = await statuses([
        ask(first, one, 'POST', `/${two.id}/rotate`),
        ask(second, two, 'POST', `/${one.id}/rotate`),
      ])
      t.strictSame(answers.sort(), [201, 401], 'the second has been replaced by the first')
      t.equal((await tokenNames(database, user)).length, 2)
      const last = await named('last')
      await ask(first, last, 'DELETE', '')
    }
  })

  await t.test('pruning and revoking at once lose no descendant', async t => {
    for (let round = 0; round < 20; round += 1) {
      const [other, top] = [await named('other'), await named('top')]
      const middle = (await issue(first, top)).json
      const bottom = await issue(first, { id: middle.token.id, plain: middle.plain_text_token })
      t.equal(bottom.status, 201)
      await database.kysely
        .updateTable('personal_access_tokens')
        .set({ expires_at: '2026-02-01 00:00:00' })
        .where('id', '=', middle.token.id)
        .execute()
      await Promise.all([first.activity.prune(), ask(second, other, 'DELETE', `/${top.id}`)])
      t.strictSame(await tokenNames(database, user), ['other'])
      await ask(first, other, 'DELETE', '/current')
    }
  })

  await t.test('a session that ends while it issues issues before its end or not at all', async t => {
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
      await database.kysely.deleteFrom('personal_access_tokens').where('tokenable_id', '=', user.id).execute()
      await database.kysely.deleteFrom('sessions').where('user_id', '=', user.id).execute()
    }
    t.ok(endings > 0)
  })
})
