import t, { type Test } from 'tap'
import { TestBrowser } from '../../fixtures/browser.ts'
import { DAY, MINUTE } from '../../fixtures/clock.ts'
import { aNotification, anExternalProfile, aPlaylist } from '../../fixtures/lists.ts'
import { UNLIMITED } from '../../fixtures/settings.ts'
import { aMember, aToken, aUser, PASSWORD } from '../../fixtures/users.ts'
import { get, send, startApp, type TestApp } from '../../support/app.ts'
import { createDatabase, ENGINES, type TestDatabase } from '../../support/databases.ts'

const NEW = 'Another-horse-2'

for (const engine of ENGINES) {
  t.test(`accounts on ${engine}`, async t => {
    const database = await createDatabase(t, engine)
    t.teardown(() => database.close())
    await passwordChange(t, database)
    await deletion(t, database)
  })
}

/** Somebody who is logged in. */
async function loggedIn(app: TestApp, database: TestDatabase) {
  const user = await aMember(database)
  const browser = new TestBrowser(app)
  await browser.logIn(user)
  return { user, browser }
}

async function passwordChange(t: Test, database: TestDatabase) {
  const change = (browser: TestBrowser, payload: object) => browser.send('PUT', '/user/password', { payload })
  const right = { current_password: PASSWORD, password: NEW, password_confirmation: NEW }

  await t.test('a new password', async t => {
    const app = await startApp(t, { database, environment: UNLIMITED })
    const { user, browser } = await loggedIn(app, database)
    const other = new TestBrowser(app)
    await other.logIn(user)
    const copy = browser.clone()

    const answer = await change(browser, right)
    t.equal(answer.status, 200)
    t.equal(answer.text, '""')
    t.equal((await browser.get('/api/me')).status, 200, 'keeps the session in which it was entered')
    t.not(browser.sessionId, copy.sessionId, 'under another id')
    t.equal((await copy.get('/api/me')).status, 401, 'so that a copy of its cookie is worth nothing')
    t.equal((await other.get('/api/me')).status, 401, 'ends the others')
    t.equal((await get(app, '/api/me', user.token)).status, 200, 'leaves tokens alone')
    t.match(
      app.logged.find(({ msg }) => msg === 'password changed'),
      { userId: user.id, revokedTokens: false },
    )
    t.notOk(JSON.stringify(app.logged).includes(NEW))

    const stranger = new TestBrowser(app)
    t.equal((await stranger.logIn(user)).status, 422, 'closes the door to the old one')
    t.equal((await stranger.logIn({ ...user, password: NEW })).status, 200, 'and opens it')
  })

  await t.test('of two who change it at once one does, and the other is out', async t => {
    const app = await startApp(t, { database, environment: UNLIMITED })
    for (let round = 0; round < 5; round += 1) {
      const { user, browser } = await loggedIn(app, database)
      const other = new TestBrowser(app)
      await other.logIn(user)
      const entered = ['One-horse-1', 'Two-horse-2']
      const answers = await Promise.all(
        [browser, other].map((one, n) =>
          change(one, { ...right, password: entered[n], password_confirmation: entered[n] }),
        ),
      )
      const statuses = answers.map(({ status }) => status)
      t.strictSame([...statuses].sort()[0], 200)
      t.equal(statuses.filter(status => status === 200).length, 1)
      const winner = statuses.indexOf(200)
      t.equal((await [browser, other][winner]?.get('/api/me'))?.status, 200)
      t.equal((await new TestBrowser(app).logIn({ ...user, password: entered[winner] ?? '' })).status, 200)
    }
  })

  await t.test('revokes tokens if that is asked for', async t => {
    const app = await startApp(t, { database, environment: UNLIMITED })
    const { user, browser } = await loggedIn(app, database)
    const stranger = await aUser(database)
    const form = new URLSearchParams({ ...right, revoke_tokens: '1' })
    const answer = await browser.send('PUT', '/user/password', {
      headers: { 'content-type': 'application/x-www-form-urlencoded' },
      payload: form.toString(),
    })
    t.equal(answer.status, 200, 'by a form as by JSON')
    t.equal((await get(app, '/api/me', user.token)).status, 401)
    t.equal((await get(app, '/api/me', stranger.token)).status, 200)
    t.equal((await browser.get('/api/me')).status, 200)
  })

  await t.test('revokes tokens if that is the rule, unless the request says otherwise', async t => {
    const app = await startApp(t, {
      database,
      environment: { ...UNLIMITED, REVOKE_TOKENS_ON_PASSWORD_CHANGE: 'true' },
    })
    const { user, browser } = await loggedIn(app, database)
    t.equal((await change(browser, { ...right, revoke_tokens: 'perhaps' })).status, 422)
    await change(browser, { ...right, revoke_tokens: false })
    t.equal((await get(app, '/api/me', user.token)).status, 200)
    await change(browser, { current_password: NEW, password: PASSWORD, password_confirmation: PASSWORD })
    t.equal((await get(app, '/api/me', user.token)).status, 401)
  })

  await t.test('what is wrong is told at once', async t => {
    const app = await startApp(t, { database, environment: UNLIMITED })
    const { user, browser } = await loggedIn(app, database)
    const mismatch = 'The provided password does not match your current password.'
    const required = 'The password field is required.'
    const unequal = 'The password confirmation does not match.'
    const cases: [payload: object, errors: Record<string, string[]>][] = [
      [{}, { current_password: ['The current password field is required.', mismatch], password: [required] }],
      [
        { current_password: '', password: '', password_confirmation: '' },
        { current_password: ['The current password field is required.', mismatch], password: [required] },
      ],
      [{ ...right, current_password: 'wrong' }, { current_password: [mismatch] }],
      [{ ...right, current_password: ` ${PASSWORD}` }, { current_password: [mismatch] }],
      [{ ...right, password_confirmation: `${NEW} ` }, { password: [unequal] }],
      [{ current_password: PASSWORD, password: NEW }, { password: [unequal] }],
      [
        { ...right, password: 'abc', password_confirmation: 'abc' },
        {
          password: [
            'The password must be at least 8 characters.',
            'The password must contain at least one uppercase and one lowercase letter.',
            'The password must contain at least one symbol.',
            'The password must contain at least one number.',
          ],
        },
      ],
      [
        { ...right, password: `Aa1-${'x'.repeat(69)}`, password_confirmation: `Aa1-${'x'.repeat(69)}` },
        { password: ['The password must not be longer than 72 bytes.'] },
      ],
      [
        { ...right, password: 'Aa1-xxxx\0', password_confirmation: 'Aa1-xxxx\0' },
        { password: ['The password must not contain a NUL character.'] },
      ],
      [{ ...right, password: ['Aa1-xxxx'] }, { password: ['The password must be a string.'] }],
    ]
    for (const [payload, errors] of cases) {
      const { status, json } = await change(browser, payload)
      t.equal(status, 422, JSON.stringify(payload))
      t.match(json.errors, errors)
      t.strictSame(Object.keys(json.errors), Object.keys(errors))
    }
    const first = 'The current password field is required.'
    t.equal((await change(browser, {})).json.message, `${first} (and 2 more errors)`)
    t.equal((await new TestBrowser(app).logIn(user)).status, 200, 'and nothing has changed')
  })

  await t.test('is for the session that proves itself alone', async t => {
    const app = await startApp(t, { database })
    const { user, browser } = await loggedIn(app, database)
    t.equal((await browser.bare('PUT', '/user/password', { payload: right })).status, 419)
    const headers = { authorization: `Bearer ${user.token}`, 'sec-fetch-site': 'same-origin' }
    t.equal((await send(app, 'PUT', '/user/password', { headers, payload: right })).status, 401)
  })

  await t.test('guessing the current one is limited', async t => {
    const app = await startApp(t, { database, environment: { CONFIRM_PASSWORD_RATE_LIMIT: '2' } })
    const { browser } = await loggedIn(app, database)
    const wrong = { ...right, current_password: 'wrong' }
    for (const status of [422, 422, 429]) t.equal((await change(browser, wrong)).status, status)
    t.equal((await change(browser, right)).status, 429)
    app.clock.advance(MINUTE)
    t.equal((await change(browser, right)).status, 200)
  })
}

async function deletion(t: Test, database: TestDatabase) {
  const { kysely } = database
  const remove = (browser: TestBrowser) => browser.send('DELETE', '/user')

  await t.test('an account is deleted by whoever confirms the password', async t => {
    const app = await startApp(t, { database, environment: UNLIMITED })
    const { user, browser } = await loggedIn(app, database)
    const other = new TestBrowser(app)
    await other.logIn(user)
    await anExternalProfile(database, user.id)

    const refused = await remove(browser)
    t.equal(refused.status, 423)
    t.strictSame(refused.json, { message: 'Password confirmation required.' })
    t.equal((await browser.post('/user/confirm-password', { password: 'wrong' })).status, 422)
    t.equal((await remove(browser)).status, 423)
    t.equal((await browser.post('/user/confirm-password', { password: PASSWORD })).status, 201)
    t.equal((await remove(other)).status, 423, 'it is the session that is confirmed')
    const stolen = browser.clone()
    t.equal((await remove(browser)).status, 204)

    for (const one of [browser, other, stolen]) t.equal((await one.get('/api/me')).status, 401)
    t.equal((await get(app, '/api/me', user.token)).status, 401)
    t.equal((await new TestBrowser(app).logIn(user)).status, 422)
    const profiles = kysely
      .selectFrom('external_profiles')
      .select('profile_id')
      .where('user_id', '=', user.id)
    t.strictSame(await profiles.execute(), [])
    t.match(
      app.logged.find(({ msg }) => msg === 'account deleted'),
      { userId: user.id },
    )
  })

  await t.test('a confirmation lasts three hours', async t => {
    const app = await startApp(t, { database, environment: { ...UNLIMITED, SESSION_LIFETIME: '1000' } })
    const { browser } = await loggedIn(app, database)
    await browser.post('/user/confirm-password', { password: PASSWORD })
    app.clock.advance(180 * MINUTE + 1000)
    t.equal((await remove(browser)).status, 423)
    app.clock.advance(-1000)
    t.equal((await remove(browser)).status, 204)
  })

  await t.test('not without proof that a page of ours asks for it, nor by a token', async t => {
    const app = await startApp(t, { database })
    const { user, browser } = await loggedIn(app, database)
    await browser.post('/user/confirm-password', { password: PASSWORD })
    t.equal((await browser.bare('DELETE', '/user')).status, 419)
    const headers = { authorization: `Bearer ${user.token}`, 'sec-fetch-site': 'same-origin' }
    t.equal((await send(app, 'DELETE', '/user', { headers })).status, 401)
    t.equal((await browser.get('/api/me')).status, 200)
  })

  await t.test('what is left of it goes after a month', async t => {
    const app = await startApp(t, { database, environment: UNLIMITED })
    const { user, browser } = await loggedIn(app, database)
    const stays = await aUser(database, { roles: ['Verified'], permissions: ['view playlist'] })
    await aPlaylist(database, user.id)
    await aNotification(database, user.id)
    await aToken(database, user.id)
    await browser.post('/user/confirm-password', { password: PASSWORD })
    await remove(browser)
    const counts = async (userId: number) => {
      const count = async (table: 'users' | 'playlists' | 'notifications' | 'personal_access_tokens') => {
        const column = {
          users: 'id',
          playlists: 'user_id',
          notifications: 'notifiable_id',
          personal_access_tokens: 'tokenable_id',
        }[table]
        const rows = await kysely
          .selectFrom(table)
          .select(column as never)
          .where(column as never, '=', userId as never)
          .execute()
        return rows.length
      }
      return [
        await count('users'),
        await count('playlists'),
        await count('notifications'),
        await count('personal_access_tokens'),
      ]
    }
    app.clock.advance(30 * DAY)
    await app.activity.prune()
    t.strictSame(await counts(user.id), [1, 1, 1, 2])
    app.clock.advance(1)
    await app.activity.prune()
    t.strictSame(await counts(user.id), [0, 0, 0, 0])
    t.strictSame(await counts(stays.id), [1, 0, 0, 1])
    const roles = kysely.selectFrom('model_has_roles').select('role_id').where('model_id', '=', stays.id)
    t.equal((await roles.execute()).length, 1)
  })
}
