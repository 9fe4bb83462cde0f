import t from 'tap'
import { PASSWORD_CONFIRMATION_REQUIRED } from '../../../../fixtures/answers.ts'
import { aLoggedInUser, TestBrowser } from '../../../../fixtures/browser.ts'
import { DAY } from '../../../../fixtures/clock.ts'
import { PanelBrowser, textOf } from '../../../../fixtures/panel.ts'
import { namesOf } from '../../../../fixtures/queries.ts'
import { FORM, requestWith } from '../../../../fixtures/requests.ts'
import { UNLIMITED } from '../../../../fixtures/settings.ts'
import { aTokenIssuer, countTokens } from '../../../../fixtures/tokens.ts'
import { aUser, PASSWORD } from '../../../../fixtures/users.ts'
import { get, startApp } from '../../../../support/app.ts'
import { createDatabase, ENGINES, PRODUCTION_ENGINE } from '../../../../support/databases.ts'

const PATH = '/api/me/token'

for (const engine of ENGINES) {
  t.test(`POST /api/me/token on ${engine}`, async t => {
    const database = await createDatabase(t, engine)
    t.teardown(() => database.close())
    const app = await startApp(t, { database, environment: UNLIMITED })

    await t.test('a session issues a token, and its secret is shown once', async t => {
      const app = await startApp(t, { database, environment: UNLIMITED })
      const { user, browser } = await aTokenIssuer(app, database)

      const answer = await browser.post('/api/me/token', { name: 'laptop' })
      t.equal(answer.status, 201)
      const { token, plain_text_token: plain } = answer.json
      t.match(plain, new RegExp(`^${token.id}\\|[A-Za-z0-9]{40}[0-9a-f]{8}$`))
      t.strictSame(token, {
        created_at: '2026-03-01T12:00:00.000000Z',
        id: token.id,
        name: 'laptop',
        abilities: ['*'],
        allowed_ips: null,
        last_used_at: null,
        last_used_ip: null,
        last_used_agent: null,
        expires_at: null,
        ends_at: '2027-03-01T12:00:00.000000Z',
        issued_by: null,
      })
      t.equal((await get(app, '/api/me', plain)).json.user.id, user.id)
      await app.lastUse.flush()
      const { json, text } = await browser.get('/api/me/token')
      t.match(json.tokens, [
        {
          id: token.id,
          last_used_at: '2026-03-01T12:00:00.000000Z',
          last_used_ip: '127.0.0.1',
          last_used_agent: 'lightMyRequest',
        },
      ])
      const shown = await browser.get(`/api/me/token/${token.id}`)
      t.strictSame(shown.json.token, json.tokens[0])
      for (const text of [
        (await browser.get('/api/me/token')).text,
        shown.text,
        JSON.stringify(app.logged),
      ]) {
        t.notOk(text.includes(plain.split('|')[1]), 'the secret is not shown or logged again')
      }
      t.notMatch(text, /"token":"[0-9a-f]{64}"/, 'the digest is not shown')
    })

    await t.test('a token is issued with abilities and a date of expiry', async t => {
      const app = await startApp(t, { database, environment: UNLIMITED })
      const { browser } = await aTokenIssuer(app, database)

      const { json } = await browser.post('/api/me/token', {
        name: 'player',
        abilities: ['read:playlist', 'read:playlist', 'read:me'],
        expires_at: '2026-04-01T02:00:00+02:00',
      })
      t.match(json.token, {
        abilities: ['read:playlist', 'read:me'],
        expires_at: '2026-04-01T00:00:00.000000Z',
      })
      t.equal((await get(app, '/api/me', json.plain_text_token)).status, 200)
      app.clock.advance(31 * DAY)
      t.equal((await get(app, '/api/me', json.plain_text_token)).status, 401)
    })

    await t.test('a form issues a token, with abilities numbered from zero', async t => {
      const { browser } = await aTokenIssuer(app, database)

      const issue = async (payload: string) =>
        (await browser.send('POST', '/api/me/token', { headers: FORM, payload })).json.token?.abilities
      t.strictSame(await issue('name=x&abilities[]=read:me&abilities[]=write:me'), ['read:me', 'write:me'])
      t.strictSame(await issue('name=x&abilities%5B0%5D=read:me'), ['read:me'])
      t.equal(await issue('name=x&abilities[1]=read:me'), undefined, 'a gap in the numbers is no list')
    })

    await t.test('invalid input returns 422 with the field', async t => {
      const { browser } = await aTokenIssuer(app, database)

      const cases: [payload: object, field: string][] = [
        [{}, 'name'],
        [{ name: '' }, 'name'],
        [{ name: ' ' }, 'name'],
        [{ name: null }, 'name'],
        [{ name: 1 }, 'name'],
        [{ name: 'x'.repeat(256) }, 'name'],
        [{ name: 'x', abilities: 'read:me' }, 'abilities'],
        [{ name: 'x', abilities: [''] }, 'abilities.0'],
        [{ name: 'x', abilities: [1] }, 'abilities.0'],
        [{ name: 'x', abilities: Array.from({ length: 101 }, (_, n) => `a${n}`) }, 'abilities'],
        [{ name: 'x', expires_at: 'tomorrow' }, 'expires_at'],
        [{ name: 'x', expires_at: '2026-03-01T12:00:00Z' }, 'expires_at'],
        [{ name: 'x', expires_at: '2026-02-30T12:00:00Z' }, 'expires_at'],
        [{ name: 'x', expires_at: 1 }, 'expires_at'],
        [{ name: 'x', expires_at: '9999-12-31T23:59:59-01:00' }, 'expires_at'],
        [{ name: 'x', expires_at: '0000-01-01' }, 'expires_at'],
      ]
      for (const [payload, field] of cases) {
        const { status, json } = await browser.post('/api/me/token', payload)
        t.equal(status, 422, JSON.stringify(payload).slice(0, 60))
        t.strictSame(Object.keys(json?.errors ?? {}), [field])
      }
      t.strictSame((await browser.get('/api/me/token')).json.tokens, [])
    })

    await t.test('a name with a NUL character returns 422, and any other text is accepted', async t => {
      const { browser } = await aTokenIssuer(app, database)
      t.equal((await browser.post(PATH, { name: 'NUL\0' })).status, 422)
      const odd = await browser.post(PATH, { name: `${'\ud800'}<script>` })
      t.equal(odd.status, 201)
      const renamed = await browser.send('PATCH', `${PATH}/${odd.json.token.id}`, { payload: { name: '\0' } })
      t.equal(renamed.status, 422)
    })

    await t.test('to issue and to rotate, a session has to have confirmed the password', async t => {
      const { user, browser } = await aTokenIssuer(app, database)

      const { json } = await browser.post('/api/me/token', { name: 'x' })
      const other = new TestBrowser(app)
      await other.logIn(user)
      for (const url of ['/api/me/token', `/api/me/token/${json.token.id}/rotate`]) {
        const refused = await other.post(url, { name: 'y' })
        t.equal(refused.status, 423, url)
        t.strictSame(refused.json, PASSWORD_CONFIRMATION_REQUIRED)
        t.equal((await browser.bare('POST', url, { payload: { name: 'y' } })).status, 419)
      }
      t.strictSame(namesOf((await browser.get(PATH)).json.tokens), ['x'])
      t.equal((await other.get('/api/me/token')).status, 200, 'a list needs no confirmation')
      t.equal((await new TestBrowser(app).get('/api/me/token')).status, 401)
    })

    await t.test('other columns of a token cannot be set', async t => {
      const { user, browser } = await aTokenIssuer(app, database)

      const victim = await aUser(database)
      const { json } = await browser.post('/api/me/token', {
        name: 'x',
        id: 1,
        token: 'a'.repeat(64),
        tokenable_id: victim.id,
        user_id: victim.id,
        created_at: '2020-01-01',
        last_used_at: '2020-01-01',
      })
      const row = await database.kysely
        .selectFrom('personal_access_tokens')
        .selectAll()
        .where('id', '=', json.token.id)
        .executeTakeFirstOrThrow()
      t.match(row, { tokenable_id: user.id, last_used_at: null, created_at: /^2026/ })
      t.not(row.token, 'a'.repeat(64))
      const changed = await browser.send('PATCH', `/api/me/token/${row.id}`, {
        payload: { name: 'y', abilities: ['z'], expires_at: '2030-01-01', tokenable_id: victim.id },
      })
      t.match(changed.json.token, { name: 'y', abilities: ['*'], expires_at: null })
      const url = `/api/me/token/${row.id}?fields[token]=bogus`
      t.equal((await browser.send('PATCH', url, { payload: { name: 'z' } })).status, 422)
      t.equal(
        (await browser.get(`/api/me/token/${row.id}`)).json.token.name,
        'y',
        'an invalid query changes nothing',
      )
    })

    await t.test('concurrent requests issue no more than TOKENS_PER_USER tokens', async t => {
      const app = await startApp(t, { database, environment: { ...UNLIMITED, TOKENS_PER_USER: '3' } })
      const { browser } = await aTokenIssuer(app, database)

      const answers = await Promise.all(
        [1, 2, 3, 4, 5].map(n => browser.clone().post('/api/me/token', { name: `n${n}` })),
      )
      t.strictSame(answers.map(({ status }) => status).sort(), [201, 201, 201, 403, 403])
      t.strictSame(answers.find(({ status }) => status === 403)?.json, {
        message: 'You may not have more than 3 tokens.',
      })
      t.equal((await browser.get('/api/me/token')).json.tokens.length, 3)
    })
  })
}

const UNVERIFIED = {
  message:
    'Your e-mail address is not verified yet. Follow the link in the mail that we sent you, or request a new one, before you create tokens.',
}

for (const engine of PRODUCTION_ENGINE) {
  t.test(`tokens of a user whose e-mail address is not verified on ${engine}`, async t => {
    const database = await createDatabase(t, engine)
    t.teardown(() => database.close())
    const app = await startApp(t, { database, environment: UNLIMITED })

    await t.test('the API neither issues nor rotates a token', async t => {
      const { user, browser } = await aLoggedInUser(app, database, { verified: false, confirmed: true })
      const request = requestWith(app, user.token)
      const rotation = `${PATH}/${user.tokenId}/rotate`
      for (const answer of [
        await browser.post(PATH, { name: 'x' }),
        await browser.post(rotation),
        await request('POST', PATH, { name: 'x' }),
        await request('POST', rotation, {}),
      ]) {
        t.equal(answer.status, 403)
        t.strictSame(answer.json, UNVERIFIED)
      }
      t.equal(await countTokens(database, user), 1)
    })

    await t.test('the panel neither issues nor rotates a token, and shows the reason', async t => {
      const { user } = await aLoggedInUser(app, database, { verified: false })

      const browser = new PanelBrowser(app)
      await browser.logIn(user)
      const fields = { name: 'x', scope: 'all', current_password: PASSWORD }
      const refused = await browser.sendForm(await browser.open('/admin'), '/admin/tokens', fields)
      t.equal(refused.status, 403)
      t.match(textOf(refused), UNVERIFIED.message)
      const page = await browser.open(`/admin/tokens/${user.tokenId}`)
      const rotation = await browser.sendForm(page, `/admin/tokens/${user.tokenId}/rotate`, {
        grace: '0',
        current_password: PASSWORD,
      })
      t.equal(rotation.status, 403)
      t.equal(await countTokens(database, user), 1)
    })

    await t.test('a token that exists works, and can be renamed and revoked', async t => {
      const user = await aUser(database, { verified: false })
      const request = requestWith(app, user.token)
      t.equal((await get(app, '/api/me', user.token)).status, 200)
      t.equal((await request('PATCH', `${PATH}/${user.tokenId}`, { name: 'y' })).status, 200)
      t.equal((await request('DELETE', `${PATH}/current`)).status, 204)
    })

    await t.test('a token issues none once the address is not verified any more', async t => {
      const user = await aUser(database)
      await get(app, '/api/me', user.token)
      await database.kysely
        .updateTable('users')
        .set({ email_verified_at: null })
        .where('id', '=', user.id)
        .execute()
      t.equal((await requestWith(app, user.token)('POST', PATH, { name: 'x' })).status, 403)
    })
  })
}
