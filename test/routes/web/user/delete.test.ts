import t from 'tap'
import { PASSWORD_CONFIRMATION_REQUIRED } from '../../../fixtures/answers.ts'
import { aLoggedInUser, TestBrowser } from '../../../fixtures/browser.ts'
import { DAY, MINUTE } from '../../../fixtures/clock.ts'
import { aNotification, anExternalProfile, aPlaylist } from '../../../fixtures/lists.ts'
import { UNLIMITED } from '../../../fixtures/settings.ts'
import { aToken, aUser, PASSWORD } from '../../../fixtures/users.ts'
import { get, send, startApp } from '../../../support/app.ts'
import { createDatabase, ENGINES, type TestDatabase } from '../../../support/databases.ts'

const deleteAccount = (browser: TestBrowser) => browser.send('DELETE', '/user')

/** How many rows a user has as its own row, playlists, notifications and tokens. */
async function countRows({ kysely }: TestDatabase, userId: number): Promise<number[]> {
  const counts: number[] = []
  for (const [table, column] of [
    ['users', 'id'],
    ['playlists', 'user_id'],
    ['notifications', 'notifiable_id'],
    ['personal_access_tokens', 'tokenable_id'],
  ] as const) {
    const rows = await kysely
      .selectFrom(table)
      .select(column as never)
      .where(column as never, '=', userId as never)
      .execute()
    counts.push(rows.length)
  }
  return counts
}

for (const engine of ENGINES) {
  t.test(`DELETE /user on ${engine}`, async t => {
    const database = await createDatabase(t, engine)
    t.teardown(() => database.close())
    const app = await startApp(t, { database, environment: UNLIMITED })

    await t.test('a session that has not confirmed the password gets 423', async t => {
      const { user, browser } = await aLoggedInUser(app, database)
      const other = new TestBrowser(app)
      await other.logIn(user)
      const refused = await deleteAccount(browser)
      t.equal(refused.status, 423)
      t.strictSame(refused.json, PASSWORD_CONFIRMATION_REQUIRED)
      t.equal((await browser.post('/user/confirm-password', { password: 'wrong' })).status, 422)
      t.equal((await deleteAccount(browser)).status, 423)
      t.equal((await browser.post('/user/confirm-password', { password: PASSWORD })).status, 201)
      t.equal((await deleteAccount(other)).status, 423, 'a confirmation is for its session alone')
    })

    await t.test('a deletion ends all access, and deletes external profiles', async t => {
      const app = await startApp(t, { database, environment: UNLIMITED })
      const { user, browser } = await aLoggedInUser(app, database, { confirmed: true })
      const other = new TestBrowser(app)
      await other.logIn(user)
      await anExternalProfile(database, user.id)
      const copy = browser.clone()
      t.equal((await deleteAccount(browser)).status, 204)
      for (const one of [browser, other, copy]) t.equal((await one.get('/api/me')).status, 401)
      t.equal((await get(app, '/api/me', user.token)).status, 401)
      t.equal((await new TestBrowser(app).logIn(user)).status, 422)
      const profiles = database.kysely
        .selectFrom('external_profiles')
        .select('profile_id')
        .where('user_id', '=', user.id)
      t.strictSame(await profiles.execute(), [])
      t.match(
        app.logged.find(({ msg }) => msg === 'account deleted'),
        { userId: user.id },
      )
    })

    await t.test('a confirmation of the password expires after three hours', async t => {
      const app = await startApp(t, { database, environment: { ...UNLIMITED, SESSION_LIFETIME: '1000' } })
      const { browser } = await aLoggedInUser(app, database, { confirmed: true })
      app.clock.advance(180 * MINUTE + 1000)
      t.equal((await deleteAccount(browser)).status, 423)
      app.clock.advance(-1000)
      t.equal((await deleteAccount(browser)).status, 204)
    })

    await t.test('a request without a CSRF token is 419, and with a bearer token 401', async t => {
      const { user, browser } = await aLoggedInUser(app, database, { confirmed: true })
      t.equal((await browser.bare('DELETE', '/user')).status, 419)
      const headers = { authorization: `Bearer ${user.token}`, 'sec-fetch-site': 'same-origin' }
      t.equal((await send(app, 'DELETE', '/user', { headers })).status, 401)
      t.equal((await browser.get('/api/me')).status, 200)
    })

    await t.test('the remaining rows of a deleted user are deleted after thirty days', async t => {
      const app = await startApp(t, { database, environment: UNLIMITED })
      const { user, browser } = await aLoggedInUser(app, database, { confirmed: true })
      const other = await aUser(database, { roles: ['Verified'], permissions: ['view playlist'] })
      await aPlaylist(database, user.id)
      await aNotification(database, user.id)
      await aToken(database, user.id)
      await deleteAccount(browser)
      app.clock.advance(30 * DAY)
      await app.lastUse.prune()
      t.strictSame(await countRows(database, user.id), [1, 1, 1, 2])
      app.clock.advance(1)
      await app.lastUse.prune()
      t.strictSame(await countRows(database, user.id), [0, 0, 0, 0])
      t.strictSame(await countRows(database, other.id), [1, 0, 0, 1])
      const roles = database.kysely
        .selectFrom('model_has_roles')
        .select('role_id')
        .where('model_id', '=', other.id)
      t.equal((await roles.execute()).length, 1)
    })
  })
}
