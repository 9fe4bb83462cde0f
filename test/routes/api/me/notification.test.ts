import { randomUUID } from 'node:crypto'
import t from 'tap'
import { errorsOf, NOT_FOUND } from '../../../fixtures/answers.ts'
import { prohibit } from '../../../fixtures/bans.ts'
import { MINUTE, testClock } from '../../../fixtures/clock.ts'
import { aNotification, PANEL_NOTIFICATION } from '../../../fixtures/lists.ts'
import { urlOf } from '../../../fixtures/queries.ts'
import { aRole } from '../../../fixtures/roles.ts'
import { UNLIMITED } from '../../../fixtures/settings.ts'
import { aToken, aUser } from '../../../fixtures/users.ts'
import { get, send, startApp } from '../../../support/app.ts'
import { createDatabase, ENGINES } from '../../../support/databases.ts'

const PATH = '/api/me/notification'

for (const engine of ENGINES) {
  t.test(`notifications on ${engine}`, async t => {
    const database = await createDatabase(t, engine)
    t.teardown(() => database.close())
    const app = await startApp(t, { database, environment: UNLIMITED })
    const list = (token: string, query: Record<string, string> = {}) => get(app, urlOf(PATH, query), token)
    const mark = (path: string, token?: string, method = 'PUT') =>
      send(app, method, `${PATH}${path}`, {
        headers: token === undefined ? {} : { authorization: `Bearer ${token}` },
      })
    const timesOf = async (id: string) =>
      await database.kysely
        .selectFrom('notifications')
        .select(['read_at', 'updated_at'])
        .where('id', '=', id)
        .executeTakeFirstOrThrow()
    const aViewer = () => aUser(database, { permissions: ['view notification'] })
    /** A user who may mark notifications, with one that is unread. */
    const aUserWithNotification = async () => {
      const user = await aUser(database, { permissions: ['update notification'] })
      return { user, id: await aNotification(database, user.id) }
    }

    await t.test('GET: a guest gets 401, and a user without the permission 403', async t => {
      t.equal((await get(app, PATH)).status, 401)
      t.equal((await get(app, `${PATH}?page[size]=x`)).status, 401, 'before the query is validated')
      const { token } = await aUser(database)
      t.equal((await get(app, PATH, token)).status, 403)
      t.equal((await get(app, `${PATH}?page[size]=x`, token)).status, 403, 'before the query is validated')
    })

    await t.test('GET: a user without notifications gets an empty list, to HEAD as well', async t => {
      const { token } = await aViewer()
      const { json, status } = await list(token)
      t.equal(status, 200)
      t.strictSame(json.notifications, [])
      t.match(json.meta, { from: null, to: null, current_page: 1, per_page: 15 })
      const head = await send(app, 'HEAD', PATH, { headers: { authorization: `Bearer ${token}` } })
      t.equal(head.status, 200)
    })

    await t.test('GET: the list has the own notifications, without those of the panel', async t => {
      const user = await aViewer()
      const other = await aUser(database)
      await aNotification(database, other.id)
      await aNotification(database, user.id, { type: PANEL_NOTIFICATION })
      await aNotification(database, user.id, { userType: 'App\\Models\\Robot' })
      const old = await aNotification(database, user.id, {
        createdAt: '2026-01-01 00:00:00',
        userType: 'App\\Models\\User',
      })
      const id = await aNotification(database, user.id, {
        data: '{"profileId":3,"profileName":"älice/x"}',
        readAt: '2026-02-03 04:05:06',
      })
      t.strictSame((await list(user.token)).json.notifications, [
        { id, data: { profileId: 3, profileName: 'älice/x' }, read_at: '2026-02-03T04:05:06.000000Z' },
        { id: old, data: [], read_at: null },
      ])
      const dates = await list(user.token, { 'fields[notification]': 'created_at,updated_at,type' })
      t.strictSame(dates.json.notifications[1], {
        created_at: '2026-01-01T00:00:00.000000Z',
        updated_at: '2026-01-01T00:00:00.000000Z',
      })
    })

    await t.test('GET: includes and searches are prohibited, and the id cannot be sorted by', async t => {
      const { token } = await aViewer()
      t.strictSame(errorsOf(await list(token, { include: 'x' })), {
        include: ['The include field is prohibited.'],
      })
      t.strictSame(errorsOf(await list(token, { q: 'x' })), { q: ['The q field is prohibited.'] })
      t.strictSame(errorsOf(await list(token, { sort: 'id' })), { sort: ['The selected sort is invalid.'] })
    })

    await t.test('GET: the list is filtered by id and by read_at', async t => {
      const user = await aViewer()
      await aNotification(database, user.id)
      const id = await aNotification(database, user.id, { readAt: '2026-02-03 04:05:06' })
      const count = async (query: Record<string, string>) =>
        (await list(user.token, query)).json.notifications.length
      t.equal(await count({ 'filter[id]': id.toUpperCase() }), 1)
      t.equal(await count({ 'filter[id]': 'no uuid' }), 0)
      t.equal(await count({ 'filter[id-like]': `${id.slice(0, 8)}%` }), 1)
      t.equal(await count({ 'filter[read_at-gt]': '2026' }), 1)
    })

    await t.test('PUT: a guest gets 401, and a user without the permission 403', async t => {
      const { id } = await aUserWithNotification()
      const user = await aUser(database)
      const viewer = await aViewer()
      for (const path of ['/readall', `/${id}/read`, `/${id}/unread`]) {
        t.equal((await mark(path)).status, 401, path)
        t.equal((await mark(path, user.token)).status, 403, path)
        t.equal((await mark(path, viewer.token)).status, 403, `${path} with the permission to view`)
      }
      const own = await aNotification(database, viewer.id)
      t.equal((await mark(`/${own}/read`, viewer.token)).status, 403)
      t.equal((await timesOf(own)).read_at, null)
      t.strictSame(await timesOf(id), { read_at: null, updated_at: '2026-02-01 00:00:00' })
    })

    await t.test('POST returns 405', async t => {
      const { user, id } = await aUserWithNotification()
      for (const path of ['/readall', `/${id}/read`, `/${id}/unread`]) {
        const { status, headers } = await mark(path, user.token, 'POST')
        t.equal(status, 405, path)
        t.equal(headers.allow, 'PATCH, PUT')
      }
    })

    await t.test('PUT read sets read_at once, and PUT unread clears it', async t => {
      const clock = testClock()
      const app = await startApp(t, { database, clock, environment: UNLIMITED })
      const { user, id } = await aUserWithNotification()
      const mark = (path: string, method: string) =>
        send(app, method, `${PATH}/${id}${path}`, { headers: { authorization: `Bearer ${user.token}` } })
      const done = await mark('/read', 'PUT')
      t.equal(done.status, 200)
      t.strictSame(done.json, { message: 'Notification was marked as read.' })
      t.strictSame(await timesOf(id), { read_at: '2026-03-01 12:00:00', updated_at: '2026-03-01 12:00:00' })

      clock.advance(MINUTE)
      t.equal((await mark('/read', 'PATCH')).status, 200)
      t.equal((await timesOf(id)).read_at, '2026-03-01 12:00:00', 'the first time is kept')

      const undone = await mark('/unread', 'PUT')
      t.strictSame(undone.json, { message: 'Notification was marked as unread.' })
      t.equal((await timesOf(id)).read_at, null)
      t.equal((await mark('/unread', 'PATCH')).status, 200)
    })

    await t.test('PUT read: a notification of another user is 403', async t => {
      const { id } = await aUserWithNotification()
      const other = await aUser(database, { permissions: ['update notification'] })
      t.equal((await mark(`/${id}/read`, other.token)).status, 403)
      t.equal((await timesOf(id)).read_at, null)
    })

    await t.test(
      "'bypass authorization' marks the notifications of all users, and lists the own ones",
      async t => {
        const { user, id } = await aUserWithNotification()
        const bypass = await aUser(database, { permissions: ['bypass authorization'] })
        const own = await aNotification(database, bypass.id)
        const panel = await aNotification(database, user.id, { type: PANEL_NOTIFICATION })
        t.equal((await mark(`/${id}/read`, bypass.token)).status, 200)
        t.ok((await timesOf(id)).read_at)
        t.equal((await mark(`/${id}/unread`, bypass.token, 'PATCH')).status, 200)
        t.equal((await timesOf(id)).read_at, null)
        t.equal((await mark(`/${panel}/read`, bypass.token)).status, 404, 'of the panel')
        t.equal((await mark(`/${randomUUID()}/read`, bypass.token)).status, 404)
        const { json } = await list(bypass.token)
        t.strictSame(
          json.notifications.map((one: { id: string }) => one.id),
          [own],
        )
        t.equal((await mark('/readall', bypass.token)).status, 200)
        t.ok((await timesOf(own)).read_at)
        t.equal((await timesOf(id)).read_at, null, 'readall marks the own ones')

        const byRole = await aUser(database, {
          roles: [(await aRole(database, ['bypass authorization'])).name],
        })
        t.equal((await mark(`/${id}/read`, byRole.token)).status, 200, 'by a role')
      },
    )

    await t.test("no other permission, and no ban, marks another user's notifications", async t => {
      const { id } = await aUserWithNotification()
      const admin = await aUser(database, { roles: ['Admin'] })
      t.equal((await mark(`/${id}/read`, admin.token)).status, 403, 'an admin')
      const banned = await aUser(database, { permissions: ['update notification'] })
      await prohibit(database, banned, 'update notification')
      const ofBanned = await aNotification(database, banned.id)
      for (const target of [id, ofBanned]) t.equal((await mark(`/${target}/read`, banned.token)).status, 403)
      t.equal((await timesOf(ofBanned)).read_at, null)
      const overruled = await aUser(database, { permissions: ['bypass authorization'] })
      await prohibit(database, overruled, 'update notification')
      t.equal((await mark(`/${id}/read`, overruled.token)).status, 200, 'it overrules a ban')
      const { token } = await aToken(database, overruled.id, { abilities: ['read:notification'] })
      t.equal((await mark(`/${id}/unread`, token)).status, 403, 'a token without the ability')
      t.ok((await timesOf(id)).read_at)
    })

    await t.test('PUT read: an unknown or malformed id is 404, before the permission is checked', async t => {
      const { user, id } = await aUserWithNotification()
      t.equal((await mark(`/${randomUUID()}/read`, user.token)).status, 404)
      t.strictSame((await mark(`/${randomUUID()}/unread`, user.token)).json, NOT_FOUND)
      for (const malformed of ['1', 'x', `${id}0`, id.replaceAll('-', ''), `{${id}}`, '%00', "';--"]) {
        t.equal((await mark(`/${encodeURIComponent(malformed)}/read`, user.token)).status, 404, malformed)
      }
      const withoutPermission = await aUser(database)
      t.equal((await mark(`/${randomUUID()}/read`, withoutPermission.token)).status, 404)
      t.equal((await mark(`/${randomUUID()}/read`)).status, 401, 'a guest is refused before')
      t.equal((await mark(`/${id.toUpperCase()}/read`, user.token)).status, 200)
    })

    await t.test('PUT read: a notification of the panel is 404', async t => {
      const { user } = await aUserWithNotification()
      const panel = await aNotification(database, user.id, { type: PANEL_NOTIFICATION })
      t.equal((await mark(`/${panel}/read`, user.token)).status, 404)
      t.equal((await timesOf(panel)).read_at, null)
    })

    await t.test('PUT readall marks the own unread notifications alone', async t => {
      const { user, id: unread } = await aUserWithNotification()
      const other = await aUser(database)
      const already = await aNotification(database, user.id, { readAt: '2026-01-01 00:00:00' })
      const panel = await aNotification(database, user.id, { type: PANEL_NOTIFICATION })
      const ofRobot = await aNotification(database, user.id, { userType: 'App\\Models\\Robot' })
      const ofOther = await aNotification(database, other.id)
      const message = { message: 'All unread notifications were marked as read.' }
      t.strictSame((await mark('/readall', user.token)).json, message)
      t.strictSame((await mark('/readall', user.token, 'PATCH')).json, message, 'with none left')
      t.equal((await timesOf(already)).read_at, '2026-01-01 00:00:00')
      t.ok((await timesOf(unread)).read_at)
      for (const id of [panel, ofRobot, ofOther]) t.equal((await timesOf(id)).read_at, null)
    })

    await t.test('PUT readall ignores its body', async t => {
      const { user } = await aUserWithNotification()
      for (const [type, payload] of [
        ['application/json', ''],
        ['application/json', '{}'],
        ['application/x-www-form-urlencoded', ''],
        ['application/x-www-form-urlencoded', '_method=PUT'],
      ] as const) {
        const headers = { authorization: `Bearer ${user.token}`, 'content-type': type }
        const { status } = await send(app, 'PUT', `${PATH}/readall`, { headers, payload })
        t.equal(status, 200, `${type} ${payload}`)
      }
    })

    await t.test('a list and a mark take one statement each', async t => {
      const user = await aUser(database, { roles: ['Verified'] })
      const id = await aNotification(database, user.id)
      // The first look-up also reads the permissions.
      await list(user.token)
      const count = async (path: string, method: string) => {
        database.statements.length = 0
        const { status } = await mark(path, user.token, method)
        t.equal(status, 200, path)
        return database.statements.length
      }
      const authentication = 1
      t.equal(await count('', 'GET'), authentication + 1)
      t.equal(await count(`/${id}/read`, 'PUT'), authentication + 1)
      t.equal(await count(`/${id}/unread`, 'PUT'), authentication + 1)
      t.equal(await count('/readall', 'PUT'), authentication + 1)
    })
  })
}
