import t from 'tap'
import { aLoggedInUser } from '../../fixtures/browser.ts'
import { aToken, aUser } from '../../fixtures/users.ts'
import { get, startApp } from '../../support/app.ts'
import { createDatabase } from '../../support/databases.ts'

const database = await createDatabase(t, 'postgres')
t.teardown(() => database.close())

t.test('GET /api/user is the user of GET /api/me, unwrapped', async t => {
  const app = await startApp(t, { database })
  const { browser, user } = await aLoggedInUser(app, database)
  const { user: expected } = (await get(app, '/api/me', user.token)).json
  t.strictSame((await get(app, '/api/user', user.token)).json, expected)
  t.strictSame((await browser.get('/api/user')).json, expected)
  t.strictSame((await get(app, '/api/user?fields[user]=id&include=roles', user.token)).json, expected)
  t.equal((await get(app, '/api/user')).status, 401)
  const moved = await startApp(t, { database, environment: { API_PATH: '/v1' } })
  t.equal((await get(moved, '/v1/user', user.token)).json.id, user.id)
})

t.test('a token needs the ability that it needs for GET /api/me', async t => {
  const app = await startApp(t, { database })
  const { id } = await aUser(database)
  for (const abilities of [['read:me'], ['read:playlist'], []]) {
    const { token } = await aToken(database, id, { abilities })
    const [user, me] = [await get(app, '/api/user', token), await get(app, '/api/me', token)]
    t.equal(user.status, me.status, String(abilities))
  }
})
