import t from 'tap'
import { ABILITIES } from '#src/auth/ability.ts'
import { INVALID_ABILITY, UNAUTHENTICATED } from '../../../../fixtures/answers.ts'
import { aLoggedInUser, SPA } from '../../../../fixtures/browser.ts'
import { DAY } from '../../../../fixtures/clock.ts'
import { aNotification, aPlaylist } from '../../../../fixtures/lists.ts'
import { PanelBrowser, textOf } from '../../../../fixtures/panel.ts'
import { requestWith } from '../../../../fixtures/requests.ts'
import { UNLIMITED } from '../../../../fixtures/settings.ts'
import { aTokenIssuer, countTokens } from '../../../../fixtures/tokens.ts'
import { aMember, aToken, aUser, PASSWORD } from '../../../../fixtures/users.ts'
import { get, send, startApp } from '../../../../support/app.ts'
import { createDatabase, ENGINES, PRODUCTION_ENGINE } from '../../../../support/databases.ts'

const PATH = '/api/me/token'

for (const engine of ENGINES) {
  t.test(`what a token may do on ${engine}`, async t => {
    const database = await createDatabase(t, engine)
    t.teardown(() => database.close())
    const app = await startApp(t, { database, environment: UNLIMITED })
    /** Requests with a new token of a user. */
    const requestWithAbilities = async (userId: number, abilities: string[]) =>
      requestWith(app, (await aToken(database, userId, { abilities })).token)

    await t.test('a route needs its ability, or `*`', async t => {
      const user = await aUser(database, { roles: ['Verified'] })
      await aPlaylist(database, user.id)
      const notification = await aNotification(database, user.id)
      const routes: [method: string, url: string, ability: keyof typeof ABILITIES][] = [
        ['GET', '/api/me/playlist', 'read:playlist'],
        ['HEAD', '/api/me/playlist', 'read:playlist'],
        ['GET', '/api/me/externalprofile', 'read:externalprofile'],
        ['GET', '/api/me/notification', 'read:notification'],
        ['PUT', `/api/me/notification/${notification}/read`, 'write:notification'],
        ['PATCH', `/api/me/notification/${notification}/unread`, 'write:notification'],
        ['PUT', '/api/me/notification/readall', 'write:notification'],
        ['GET', '/api/me/activity', 'read:me'],
        ['GET', '/api/me/session', 'read:me'],
        ['DELETE', '/api/me/session', 'write:me'],
        ['GET', '/api/me/token', 'read:token'],
        ['GET', `/api/me/token/${user.tokenId}`, 'read:token'],
        ['PATCH', `/api/me/token/${user.tokenId}`, 'write:token'],
        ['GET', '/api/me?include=playlists', 'read:playlist'],
        ['GET', '/api/me?include=notifications', 'read:notification'],
        ['GET', '/api/me?include=externalprofiles', 'read:externalprofile'],
      ]
      const all = Object.keys(ABILITIES)
      for (const [method, url, ability] of routes) {
        const label = `${method} ${url}`
        const payload = method === 'PATCH' && url.includes('/token/') ? { name: 'x' } : undefined
        const request = async (abilities: string[]) =>
          (await requestWithAbilities(user.id, abilities))(method, url, payload)
        for (const abilities of [[ability], ['*'], ['x', ability]]) {
          t.ok((await request(abilities)).status < 300, label)
        }
        const others = all.filter(other => other !== ability)
        for (const abilities of [
          others,
          [],
          [ability.toUpperCase()],
          [`${ability} `],
          [ability.slice(0, -1)],
          ['read:*'],
        ]) {
          const refused = await request(abilities)
          t.equal(refused.status, 403, `${label} with ${abilities}`)
          if (method !== 'HEAD') t.strictSame(refused.json, INVALID_ABILITY)
        }
      }
    })

    await t.test('GET /api/me needs no ability', async t => {
      const user = await aUser(database, { roles: ['Verified'] })
      for (const abilities of [[], ['x'], ['read:playlist']]) {
        const request = await requestWithAbilities(user.id, abilities)
        t.equal((await request('GET', '/api/me')).json.user.id, user.id)
        t.equal((await request('HEAD', '/api/me')).status, 200)
        t.equal((await request('GET', '/api/me?include=roles.permissions')).status, 200)
      }
    })

    await t.test('abilities of NULL are none', async t => {
      const user = await aUser(database, { roles: ['Verified'] })
      await database.kysely
        .updateTable('personal_access_tokens')
        .set({ abilities: null })
        .where('id', '=', user.tokenId)
        .execute()
      t.equal((await get(app, '/api/me', user.token)).status, 200)
      t.equal((await get(app, '/api/me/playlist', user.token)).status, 403)
    })

    await t.test('TOKEN_ABILITIES=off allows everything, and issues no more than requested', async t => {
      const app = await startApp(t, { database, environment: { ...UNLIMITED, TOKEN_ABILITIES: 'off' } })
      const user = await aUser(database, { roles: ['Verified'] })
      const { token } = await aToken(database, user.id, { abilities: [] })
      t.equal((await get(app, '/api/me/playlist', token)).status, 200)
      const made = await requestWith(app, token)('POST', PATH, { name: 'x' })
      t.equal(made.status, 201)
      t.strictSame(made.json.token.abilities, [])
      const short = await aToken(database, user.id, { expiresAt: app.clock() + DAY })
      t.equal(
        (await requestWith(app, short.token)('POST', PATH, { name: 'x' })).json.token.expires_at,
        '2026-03-02T12:00:00.000000Z',
        'a new token does not outlive its issuer',
      )
    })

    /** A token that may issue tokens and read playlists, with requests by it. */
    const aLimitedToken = async () => {
      const user = await aUser(database, { roles: ['Verified'] })
      const abilities = ['write:token', 'read:token', 'read:playlist']
      const limited = await aToken(database, user.id, { abilities })
      return { user, limited, abilities, request: requestWith(app, limited.token) }
    }

    await t.test('a token issues none with more abilities than it has', async t => {
      const { abilities: own, limited, request } = await aLimitedToken()
      for (const abilities of [['*'], ['read:notification'], ['read:playlist', 'write:notification']]) {
        const refused = await request('POST', PATH, { name: 'wider', abilities })
        t.equal(refused.status, 422, String(abilities))
        t.strictSame(refused.json.errors, {
          abilities: ['The abilities must not give more than your own token has.'],
        })
      }
      for (const ability of ['read:*', 'READ:PLAYLIST']) {
        const refused = await request('POST', PATH, { name: 'wider', abilities: [ability] })
        t.equal(refused.status, 422, ability)
        t.match(refused.json.errors.abilities, [`The abilities ${ability} are unknown.`])
      }
      const same = await request('POST', PATH, { name: 'same' })
      t.equal(same.status, 201)
      t.strictSame(same.json.token.abilities, own, 'by default it issues one with its own abilities')
      t.strictSame((await request('POST', PATH, { name: 'none', abilities: [] })).json.token.abilities, [])
      const fromPage = await send(app, 'POST', PATH, {
        headers: {
          authorization: `Bearer ${limited.token}`,
          referer: `${SPA}/`,
          'sec-fetch-site': 'same-origin',
        },
        payload: { name: 'x', abilities: ['*'] },
      })
      t.ok(fromPage.status >= 400, 'a request of a first party gets no more')
    })

    await t.test('a token rotates itself, and none with more abilities', async t => {
      const { user, limited, request } = await aLimitedToken()
      const rotated = await request('POST', `${PATH}/${user.tokenId}/rotate`, {})
      t.equal(rotated.status, 403)
      t.strictSame(rotated.json, INVALID_ABILITY)
      t.equal((await get(app, '/api/me', user.token)).status, 200, 'the other token is still valid')
      t.equal((await request('POST', `${PATH}/${limited.tokenId}/rotate`, {})).status, 201)
    })

    await t.test('a token without write:token issues none', async t => {
      const user = await aUser(database)
      const request = await requestWithAbilities(user.id, ['read:token'])
      t.equal((await request('POST', PATH, { name: 'x' })).status, 403)
    })

    await t.test('a token issues and rotates none that expires after it', async t => {
      const user = await aUser(database)
      const end = app.clock() + DAY
      const short = await aToken(database, user.id, { expiresAt: end })
      const request = requestWith(app, short.token)
      const tooLong = await request('POST', '/api/me/token', {
        name: 'x',
        expires_at: '2026-03-03T00:00:00Z',
      })
      t.equal(tooLong.status, 422)
      t.strictSame(tooLong.json.errors, {
        expires_at: ['The expires at must not give more than your own token has.'],
      })
      const plain = await request('POST', '/api/me/token', { name: 'x' })
      t.equal(plain.json.token.expires_at, '2026-03-02T12:00:00.000000Z')
      const endless = await aToken(database, user.id)
      const rotated = await request('POST', `/api/me/token/${endless.tokenId}/rotate`, {})
      t.equal(rotated.json.token.expires_at, '2026-03-02T12:00:00.000000Z')

      const yearOld = await aToken(database, user.id, { createdAt: app.clock() - 364 * DAY })
      const made = await requestWith(app, yearOld.token)('POST', '/api/me/token', { name: 'x' })
      t.equal(
        made.json.token.expires_at,
        '2026-03-02T12:00:00.000000Z',
        'SANCTUM_EXPIRATION limits it as well',
      )
    })

    await t.test('a token with allowed_ips is valid from those addresses alone', async t => {
      const app = await startApp(t, { database, environment: { ...UNLIMITED, TRUSTED_PROXIES: 'loopback' } })
      const { browser } = await aTokenIssuer(app, database)
      const { json } = await browser.post(PATH, {
        name: 'x',
        allowed_ips: ['192.0.2.0/24', '2001:db8::1'],
      })
      t.strictSame(json.token.allowed_ips, ['192.0.2.0/24', '2001:db8::1'])
      const from = (address: string) =>
        get(app, '/api/me', json.plain_text_token, { 'x-forwarded-for': address })
      for (const address of ['192.0.2.7', '2001:db8::1']) t.equal((await from(address)).status, 200, address)
      for (const address of ['192.0.3.7', '2001:db8::2', '127.0.0.1', 'x']) {
        const refused = await from(address)
        t.equal(refused.status, 401, address)
        t.strictSame(refused.json, UNAUTHENTICATED)
      }
    })

    await t.test('invalid allowed_ips return 422', async t => {
      const { browser } = await aTokenIssuer(app, database)
      for (const allowed_ips of [
        ['x'],
        ['1.2.3.4/33'],
        [],
        [1],
        '192.0.2.1',
        [''],
        Array.from({ length: 51 }, () => '::1'),
      ]) {
        const { status } = await browser.post(PATH, { name: 'x', allowed_ips })
        t.equal(status, 422, JSON.stringify(allowed_ips).slice(0, 40))
      }
    })

    await t.test('a token with allowed_ips issues and rotates none for other addresses', async t => {
      const app = await startApp(t, { database, environment: { ...UNLIMITED, TRUSTED_PROXIES: 'loopback' } })
      const { browser } = await aTokenIssuer(app, database)
      const own = ['192.0.2.0/24', '2001:db8::1']
      const issue = async (allowed_ips: unknown) =>
        (await browser.post(PATH, { name: 'x', allowed_ips })).json
      const { token, plain_text_token } = await issue(own)
      const headers = { authorization: `Bearer ${plain_text_token}`, 'x-forwarded-for': '192.0.2.7' }
      const request = (payload: object) =>
        send(app, 'POST', PATH, { headers, payload: { name: 'x', ...payload } })
      t.strictSame((await request({})).json.token.allowed_ips, own)
      t.strictSame((await request({ allowed_ips: ['192.0.2.9'] })).json.token.allowed_ips, ['192.0.2.9'])
      for (const allowed_ips of [['0.0.0.0/0'], ['192.0.2.0/23'], ['192.0.2.1', '::/0']]) {
        t.strictSame((await request({ allowed_ips })).json.errors, {
          allowed_ips: ['The allowed ips must not give more than your own token has.'],
        })
      }
      const unlimited = await issue(null)
      const rotated = await send(app, 'POST', `${PATH}/${unlimited.token.id}/rotate`, { headers })
      t.equal(rotated.status, 403)
      const successor = await browser.post(`${PATH}/${token.id}/rotate`)
      t.strictSame(successor.json.token.allowed_ips, own, 'a successor has the same addresses')
      const elsewhere = { 'x-forwarded-for': '192.0.3.7' }
      t.equal((await get(app, '/api/me', successor.json.plain_text_token, elsewhere)).status, 401)
    })
  })
}

for (const engine of PRODUCTION_ENGINE) {
  t.test(`unknown abilities on ${engine}`, async t => {
    const database = await createDatabase(t, engine)
    t.teardown(() => database.close())
    const app = await startApp(t, { database, environment: UNLIMITED })

    await t.test('the API refuses unknown abilities and names them', async t => {
      const { user, browser } = await aLoggedInUser(app, database, { confirmed: true })

      const known = `*, ${Object.keys(ABILITIES).join(', ')}`
      const cases: [abilities: string[], unknown: string][] = [
        [['reed:me'], 'reed:me'],
        [['read:me', 'x', 'y'], 'x, y'],
        [['*', 'READ:ME'], 'READ:ME'],
        [['read:*'], 'read:*'],
        [['__proto__', 'constructor'], '__proto__, constructor'],
      ]
      for (const [abilities, unknown] of cases) {
        const errors = { abilities: [`The abilities ${unknown} are unknown. Known abilities are ${known}.`] }
        const answer = await browser.post('/api/me/token', { name: 'x', abilities })
        t.strictSame([answer.status, answer.json.errors], [422, errors], unknown)
        t.equal((await requestWith(app, user.token)('POST', PATH, { name: 'x', abilities })).status, 422)
      }
      t.equal(await countTokens(database, user), 1)
      for (const ability of ['*', ...Object.keys(ABILITIES)]) {
        t.equal(
          (await browser.post('/api/me/token', { name: 'x', abilities: [ability] })).status,
          201,
          ability,
        )
      }
    })

    await t.test('the panel refuses unknown abilities and names them', async t => {
      const user = await aMember(database)

      const browser = new PanelBrowser(app)
      await browser.logIn(user)
      const fields = {
        name: 'x',
        scope: 'some',
        'abilities[]': ['read:me', 'reed:me'],
        current_password: PASSWORD,
      }
      const refused = await browser.sendForm(await browser.open('/admin'), '/admin/tokens', fields)
      t.equal(refused.status, 422)
      t.match(textOf(refused), 'The abilities reed:me are unknown.')
      t.equal(await countTokens(database, user), 1)
    })

    await t.test(
      'an unknown ability of a Laravel token stays with its successor and its children',
      async t => {
        const { user, browser } = await aLoggedInUser(app, database, { confirmed: true })
        const abilities = ['write:token', 'app:own']
        const { token, tokenId } = await aToken(database, user.id, { abilities })
        const request = requestWith(app, token)
        t.strictSame((await request('POST', PATH, { name: 'x' })).json.token.abilities, abilities)
        t.equal((await request('POST', PATH, { name: 'x', abilities: ['app:own'] })).status, 422)
        t.strictSame((await browser.post(`${PATH}/${tokenId}/rotate`)).json.token.abilities, abilities)
      },
    )
  })
}
