import t from 'tap'
import { TestBrowser } from '../../../fixtures/browser.ts'
import { MINUTE } from '../../../fixtures/clock.ts'
import { aPanelUser, textOf } from '../../../fixtures/panel.ts'
import { startUnlimited } from '../../../fixtures/server.ts'
import { aMember, aToken, aUser, PASSWORD } from '../../../fixtures/users.ts'
import { type Answer, get, send } from '../../../support/app.ts'
import { beforeStatement, createDatabase, ENGINES } from '../../../support/databases.ts'

for (const engine of ENGINES) {
  t.test(`tokens on the panel on ${engine}`, async t => {
    const database = await createDatabase(t, engine)
    t.teardown(() => database.close())
    const app = await startUnlimited(t, database)

    await t.test('a token is created, shown once, renamed, rotated and revoked', async t => {
      const { browser } = await aPanelUser(app, database)
      const page = await browser.open('/admin')
      t.match(page.text, 'name="current_password"', 'the form asks for the password')
      const fields = {
        name: 'my laptop',
        scope: 'some',
        'abilities[]': ['read:playlist', 'read:token'],
        allowed_ips: '127.0.0.1\n192.0.2.0/24',
        expires_at: '2027-01-31',
      }
      const wrong = await browser.submit(page, '/admin/tokens', { ...fields, current_password: 'wrong' })
      t.equal(wrong.status, 422)
      t.match(textOf(wrong), 'The provided password was incorrect.')
      t.match(wrong.text, 'value="my laptop"', 'the name is kept in the form')
      t.match(wrong.text, '192.0.2.0/24')
      t.match(wrong.text, /value="read:playlist" checked/)

      const issued = await browser.submit(wrong, '/admin/tokens', { ...fields, current_password: PASSWORD })
      t.equal(issued.status, 201)
      t.equal(issued.headers['cache-control'], 'no-store, private')
      const [, plain = ''] = /<code id="secret">([^<]+)</.exec(issued.text) ?? []
      const id = Number(plain.split('|')[0])
      t.equal((await get(app, '/api/me', plain)).status, 200)
      t.equal((await get(app, '/api/me/notification', plain)).status, 403, 'it has the chosen abilities only')
      const row = (await get(app, `/api/me/token/${id}`, plain)).json.token
      t.match(row, {
        name: 'my laptop',
        abilities: ['read:playlist', 'read:token'],
        allowed_ips: ['127.0.0.1', '192.0.2.0/24'],
        expires_at: /^2027-01-31/,
      })

      await app.lastUse.flush()
      const list = await browser.open('/admin')
      t.match(
        textOf(list),
        /my laptop Last used: 2026-03-01 12:00 UTC from 127.0.0.1 Expires: 2027-01-31 00:00 UTC/,
      )
      t.notMatch(list.text, plain.split('|')[1] ?? '-', 'the secret is not shown again')
      t.notMatch(list.text, 'name="current_password"', 'a confirmed password is not asked for again')

      let tokenPage = await browser.open(`/admin/tokens/${id}`)
      tokenPage = await browser.submit(tokenPage, `/admin/tokens/${id}/rename`, { name: '' })
      t.equal(tokenPage.status, 422)
      t.match(textOf(tokenPage), 'The name field is required.')
      tokenPage = await browser.submit(tokenPage, `/admin/tokens/${id}/rename`, { name: 'my desk' })
      t.match(textOf(tokenPage), /The token was renamed.*my desk|my desk.*The token was renamed/)

      const replaced = await browser.submit(tokenPage, `/admin/tokens/${id}/rotate`, { grace: '0' })
      t.equal(replaced.status, 201)
      const [, next = ''] = /<code id="secret">([^<]+)</.exec(replaced.text) ?? []
      t.equal((await get(app, '/api/me', plain)).status, 401)
      t.equal((await get(app, '/api/me', next)).status, 200)

      const newId = next.split('|')[0]
      const last = await browser.open('/admin')
      const revoked = await browser.submitConfirmed(last, `/admin/tokens/${newId}/revoke`)
      t.match(textOf(revoked), 'The token was revoked')
      t.equal((await get(app, '/api/me', next)).status, 401, 'the token is refused at once')
    })

    await t.test("revoke-all revokes the user's tokens and no others", async t => {
      const { browser, user } = await aPanelUser(app, database)
      const second = await aToken(database, user.id)
      const other = await aUser(database)
      const done = await browser.submitConfirmed(await browser.open('/admin'), '/admin/tokens/revoke-all')
      t.match(textOf(done), 'All tokens were revoked.')
      for (const token of [user.token, second.token]) t.equal((await get(app, '/api/me', token)).status, 401)
      t.equal((await get(app, '/api/me', other.token)).status, 200)
    })
  })
}

t.test('attacks on token forms', async t => {
  const database = await createDatabase(t, 'postgres')
  t.teardown(() => database.close())
  const app = await startUnlimited(t, database)

  await t.test('tokens and sessions of another user are 404', async t => {
    const { browser } = await aPanelUser(app, database)
    const victim = await aPanelUser(app, database)
    const page = await browser.open('/admin')
    t.match(page.text, 'name="_token"')
    t.equal((await browser.bare('GET', `/admin/tokens/${victim.user.tokenId}`)).status, 404)
    const [session] = await database.kysely
      .selectFrom('sessions')
      .select('id')
      .where('user_id', '=', victim.user.id)
      .execute()
    for (const action of [
      `/admin/tokens/${victim.user.tokenId}/revoke`,
      `/admin/tokens/${victim.user.tokenId}/rename`,
      `/admin/tokens/${victim.user.tokenId}/rotate`,
      `/admin/devices/${session?.id}/end`,
      '/admin/devices/%00/end',
    ]) {
      for (const confirmed of ['', '1']) {
        const fields = { _token: await browser.csrfToken(), name: 'mine now', current_password: PASSWORD }
        t.equal((await browser.post(action, { ...fields, confirmed })).status, 404, `${action} ${confirmed}`)
      }
    }
    t.equal((await get(app, '/api/me', victim.user.token)).status, 200)
    t.match(textOf(await victim.browser.open('/admin')), /test Last used/)
  })

  await t.test('a token of another owner type with the same owner id is 404', async t => {
    const { browser, user } = await aPanelUser(app, database)
    const { tokenId } = await aToken(database, user.id, { userType: 'App\\Models\\Robot' })
    const page = await browser.open('/admin')
    t.match(page.text, `"/admin/tokens/${user.tokenId}"`)
    t.notMatch(page.text, `"/admin/tokens/${tokenId}"`)
    t.equal((await browser.bare('GET', `/admin/tokens/${tokenId}`)).status, 404)
    for (const action of ['rename', 'rotate', 'revoke']) {
      for (const confirmed of ['', '1']) {
        const fields = { _token: await browser.csrfToken(), name: 'x', current_password: PASSWORD, confirmed }
        const answer = await browser.post(`/admin/tokens/${tokenId}/${action}`, fields)
        t.equal(answer.status, 404, action)
      }
    }
  })

  await t.test('unknown fields of the token form, such as an owner id, are ignored', async t => {
    const { browser, user } = await aPanelUser(app, database)
    const victim = await aUser(database)
    const answer = await browser.submit(await browser.open('/admin'), '/admin/tokens', {
      name: 'x',
      scope: 'all',
      current_password: PASSWORD,
      tokenable_id: String(victim.id),
      user_id: String(victim.id),
      id: '1000000',
      token: '0'.repeat(64),
      last_used_at: '2020-01-01',
      __proto__: 'x',
    })
    const plain = /<code id="secret">([^<]+)</.exec(answer.text)?.[1] ?? ''
    t.equal((await get(app, '/api/me', plain)).json.user.id, user.id)
    t.not(plain.split('|')[0], '1000000')
  })

  await t.test('a token request that races with revoking the user issues nothing', async t => {
    const { browser } = await aPanelUser(app, database, { roles: ['Admin'] })
    const other = await aMember(database)
    const session = new TestBrowser(app)
    await session.logIn({ email: other.email, password: PASSWORD })
    await session.post('/user/confirm-password', { password: PASSWORD })
    const page = await browser.open(`/admin/users/${other.id}`)
    let issued: Promise<Answer> | undefined
    const came = beforeStatement(t, database, /delete from "?personal_access_tokens/, async () => {
      // It waits until the sessions and tokens are gone.
      issued = session.post('/api/me/token', { name: 'x' })
    })
    await browser.submitConfirmed(page, `/admin/users/${other.id}/revoke`)
    t.equal(came(), true)
    t.match((await issued)?.status, /401|419/, 'its session has ended')
    const left = await database.kysely
      .selectFrom('personal_access_tokens')
      .select('id')
      .where('tokenable_id', '=', other.id)
      .execute()
    t.strictSame(left, [])
  })

  await t.test('a password confirmation expires after three hours', async t => {
    const app = await startUnlimited(t, database, { SESSION_LIFETIME: '600' })
    const { browser } = await aPanelUser(app, database)
    const fields = { name: 'x', scope: 'all' }
    const issue = async (more = {}) =>
      (await browser.submit(await browser.open('/admin'), '/admin/tokens', { ...fields, ...more })).status
    t.equal(await issue(), 422, 'a login is no password confirmation')
    t.equal(await issue({ current_password: 'wrong' }), 422)
    t.equal(await issue({ current_password: PASSWORD }), 201)
    t.equal(await issue(), 201)
    app.clock.advance(181 * MINUTE)
    t.equal(await issue(), 422)
  })

  await t.test('guesses of the password in the token form are rate limited', async t => {
    const app = await startUnlimited(t, database, { CONFIRM_PASSWORD_RATE_LIMIT: '2' })
    const { browser } = await aPanelUser(app, database)
    const page = await browser.open('/admin')
    const guess = { name: 'x', scope: 'all', current_password: 'wrong' }
    for (const status of [422, 422, 429]) {
      t.equal((await browser.sendForm(page, '/admin/tokens', guess)).status, status)
    }
    t.equal(
      (await browser.sendForm(page, '/admin/tokens', { ...guess, current_password: PASSWORD })).status,
      429,
    )
  })

  await t.test('the question before revoking a token lists its descendants', async t => {
    const { browser, user } = await aPanelUser(app, database)
    const issue = async (name: string, token: string): Promise<string> => {
      const headers = { authorization: `Bearer ${token}` }
      const issued = await send(app, 'POST', '/api/me/token', { headers, payload: { name } })
      return issued.json.plain_text_token
    }
    const child = await issue('a <child>', user.token)
    const grandchild = await issue('a grandchild', child)
    const action = `/admin/tokens/${user.tokenId}/revoke`
    const question = await browser.submit(await browser.open('/admin'), action)
    t.match(
      textOf(question),
      /3 tokens will be revoked: this one, .*: a <child> \(begins with \d+\|\) a grandchild .* Revoke 3 tokens/,
    )
    await browser.submit(question, action)
    for (const token of [user.token, child, grandchild]) {
      t.equal((await get(app, '/api/me', token)).status, 401)
    }
  })
})
