import t from 'tap'
import { aLoggedInUser, TestBrowser } from '../../../fixtures/browser.ts'
import { MINUTE, testClock } from '../../../fixtures/clock.ts'
import { startUnlimited } from '../../../fixtures/server.ts'
import { sessionsOf } from '../../../fixtures/sessions.ts'
import { aMember, PASSWORD } from '../../../fixtures/users.ts'
import { get, startApp } from '../../../support/app.ts'
import { createDatabase, ENGINES, PRODUCTION_ENGINE } from '../../../support/databases.ts'

for (const engine of ENGINES) {
  t.test(`the confirmation of a password on ${engine}`, async t => {
    const database = await createDatabase(t, engine)
    t.teardown(() => database.close())

    await t.test('a password confirmation lasts three hours', async t => {
      const clock = testClock()
      const app = await startApp(t, { database, clock, environment: { SESSION_LIFETIME: '1000' } })
      const user = await aMember(database)
      const browser = new TestBrowser(app)
      const status = async (query = '') => {
        const { json, headers } = await browser.get(`/user/confirmed-password-status${query}`)
        return [json.confirmed, headers['x-retry-after']]
      }
      t.equal((await browser.get('/user/confirmed-password-status')).status, 401)
      await browser.logIn(user)
      t.strictSame(await status(), [false, undefined], 'a login is no confirmation')
      for (const body of [{ password: 'wrong' }, {}, { password: null }, { password: '' }]) {
        const answer = await browser.post('/user/confirm-password', body)
        t.equal(answer.status, 422)
        t.strictSame(answer.json.errors, { password: ['The provided password was incorrect.'] })
      }
      clock.advance(MINUTE)
      t.strictSame(await status(), [false, undefined])
      const answer = await browser.post('/user/confirm-password', { password: PASSWORD })
      t.equal(answer.status, 201)
      t.equal(answer.text, '""')
      t.match(answer.headers['content-type'], 'application/json')
      clock.advance(100_000)
      t.strictSame(await status(), [true, '100'])
      t.strictSame(await status('?seconds=100'), [false, undefined])
      t.strictSame(await status('?seconds=101'), [true, '100'])
      for (const seconds of ['x', '-1', '1.5', '99999999999', '']) {
        t.equal(
          (await browser.get(`/user/confirmed-password-status?seconds=${seconds}`)).status,
          422,
          seconds,
        )
      }
      clock.advance(10_800_000 - 100_000 - 1000)
      t.strictSame(await status(), [true, '10799'])
      clock.advance(1000)
      t.strictSame(await status(), [false, undefined])
      t.equal(
        (await get(app, '/user/confirmed-password-status', user.token)).status,
        401,
        'a token is refused',
      )
    })

    await t.test('a session has five confirmations a minute', async t => {
      const app = await startApp(t, { database })
      const user = await aMember(database)
      const browser = new TestBrowser(app)
      await browser.logIn(user)
      const statuses: number[] = []
      for (let n = 0; n < 6; n += 1) {
        statuses.push((await browser.post('/user/confirm-password', { password: `guess ${n}` })).status)
      }
      t.strictSame(statuses, [422, 422, 422, 422, 422, 429])
    })
  })
}

for (const engine of PRODUCTION_ENGINE) {
  t.test(`the session of a confirmation on ${engine}`, async t => {
    const database = await createDatabase(t, engine)
    t.teardown(() => database.close())

    await t.test('the session id changes with the confirmation', async t => {
      const app = await startUnlimited(t, database)
      const { user, browser } = await aLoggedInUser(app, database)
      const copy = browser.clone()
      const before = browser.sessionId
      t.equal((await browser.post('/user/confirm-password', { password: PASSWORD })).status, 201)
      t.not(browser.sessionId, before)
      t.equal((await browser.get('/user/confirmed-password-status')).json.confirmed, true)
      t.equal((await copy.get('/api/me')).status, 401, 'the previous id is invalid')
      t.equal((await sessionsOf(database, user.id)).length, 1)
      t.equal(
        (await browser.send('PUT', '/api/me/notification/readall')).status,
        403,
        'the CSRF token of the new session is valid',
      )
    })
  })
}
