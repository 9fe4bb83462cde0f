import { sql } from 'kysely'
import t from 'tap'
import { errorsOf } from '../../../fixtures/answers.ts'
import { aNotification, anExternalProfile, aPlaylist, PANEL_NOTIFICATION } from '../../../fixtures/lists.ts'
import { namesOf, urlOf } from '../../../fixtures/queries.ts'
import { UNLIMITED } from '../../../fixtures/settings.ts'
import { aUser } from '../../../fixtures/users.ts'
import { get, send, startApp } from '../../../support/app.ts'
import { createDatabase, ENGINES } from '../../../support/databases.ts'

for (const engine of ENGINES) {
  t.test(`GET /api/me on ${engine}`, async t => {
    const database = await createDatabase(t, engine)
    t.teardown(() => database.close())
    const app = await startApp(t, { database, environment: UNLIMITED })
    const showMe = async (token: string, query: Record<string, string> = {}) =>
      get(app, urlOf('/api/me', query), token)

    await t.test('the answer has the fields and headers of the API', async t => {
      const user = await aUser(database, { verified: false })
      await database.kysely
        .updateTable('users')
        .set({ two_factor_confirmed_at: '2026-03-01 12:34:56' })
        .where('id', '=', user.id)
        .execute()
      const answer = await get(app, '/api/me', user.token)
      t.equal(answer.status, 200)
      t.strictSame(answer.json, {
        user: {
          id: user.id,
          name: user.name,
          email: user.email,
          email_verified_at: null,
          two_factor_confirmed_at: '2026-03-01 12:34:56',
        },
      })
      t.strictSame(Object.keys(answer.json.user), [
        'id',
        'name',
        'email',
        'email_verified_at',
        'two_factor_confirmed_at',
      ])
      t.match(answer.headers, {
        'content-type': /^application\/json/,
        'cache-control': 'no-store, private',
        'referrer-policy': 'no-referrer',
        'x-content-type-options': 'nosniff',
      })
      t.notOk(answer.headers['set-cookie'])
    })

    await t.test('HEAD is answered without a body, and a trailing slash is ignored', async t => {
      const { token } = await aUser(database)
      const head = await send(app, 'HEAD', '/api/me', { headers: { authorization: `Bearer ${token}` } })
      t.equal(head.status, 200)
      t.equal(head.text, '')
      t.equal((await send(app, 'HEAD', '/api/me')).status, 401)
      t.equal((await get(app, '/api/me/', token)).status, 200)
      t.equal((await get(app, '/api/me/')).status, 401)
    })

    await t.test('a guest gets 401, before the query is validated', async t => {
      for (const query of ['', '?include=images']) {
        t.equal((await get(app, `/api/me${query}`)).status, 401, query)
      }
    })

    await t.test('email_verified_at is null for an unverified user', async t => {
      const { token } = await aUser(database, { verified: false })
      t.match((await showMe(token)).json, { user: { email_verified_at: null } })
    })

    await t.test('fields[user] selects the fields', async t => {
      const user = await aUser(database)
      const created = await showMe(user.token, { 'fields[user]': 'created_at' })
      t.strictSame(created.json, { user: { created_at: '2026-03-01T12:00:00.000000Z' } })
      const deleted = await showMe(user.token, { 'fields[user]': 'deleted_at,id' })
      t.strictSame(deleted.json, { user: { deleted_at: null, id: user.id } })
    })

    await t.test('secret and unknown fields cannot be selected', async t => {
      const { token } = await aUser(database)
      const errors = async (field: string) => errorsOf(await showMe(token, { 'fields[user]': field }))
      t.strictSame(await errors('password'), { 'fields.user': ['The selected user is invalid.'] })
      for (const name of [
        'remember_token',
        'two_factor_secret',
        'two_factor_recovery_codes',
        'password',
        '__proto__',
        'constructor',
      ]) {
        t.ok((await errors(name))['fields.user'], name)
      }
    })

    await t.test('include=playlists shows private playlists, too, without a permission', async t => {
      const user = await aUser(database)
      const hidden = await aPlaylist(database, user.id, { visibility: 1, name: 'b' })
      const shown = await aPlaylist(database, user.id, { name: 'a' })
      t.strictSame((await showMe(user.token, { include: 'playlists' })).json.user.playlists, [
        { id: hidden.hashid, name: 'b', description: null, visibility: 'Private' },
        { id: shown.hashid, name: 'a', description: null, visibility: 'Public' },
      ])
    })

    await t.test('sort[playlist] sorts included playlists', async t => {
      const user = await aUser(database)
      for (const name of ['b', 'a']) await aPlaylist(database, user.id, { name })
      const sorted = await showMe(user.token, { include: 'playlists', 'sort[playlist]': 'name' })
      t.strictSame(namesOf(sorted.json.user.playlists), ['a', 'b'])
    })

    await t.test('a filter by name applies to included playlists, and not to the user', async t => {
      const user = await aUser(database)
      for (const name of ['b', 'a']) await aPlaylist(database, user.id, { name })
      const filtered = await showMe(user.token, { include: 'playlists', 'filter[name]': 'A' })
      t.equal(filtered.json.user.playlists.length, 1)
      t.equal(filtered.json.user.name, user.name)
    })

    await t.test('a single user cannot be sorted, filtered, paged or searched', async t => {
      const { token } = await aUser(database)
      const errors = async (query: Record<string, string>) => errorsOf(await showMe(token, query))
      t.strictSame(await errors({ sort: 'name' }), { sort: ['The sort must be an array.'] })
      t.strictSame(await errors({ 'sort[user]': 'name' }), { sort: ['The sort must be an array.'] })
      t.strictSame(await errors({ 'page[size]': '1' }), { page: ['The page field is prohibited.'] })
      t.strictSame(await errors({ q: 'x' }), { q: ['The q field is prohibited.'] })
      const notAnArray = { filter: ['The filter must be an array.'] }
      t.strictSame(await errors({ 'filter[has]': 'playlists' }), notAnArray)
      t.strictSame(await errors({ 'filter[user][name]': 'x' }), notAnArray)
      t.strictSame(await errors({ 'filter[email]': 'x' }), notAnArray)
    })

    await t.test('unknown includes are invalid, and unknown parameters are ignored', async t => {
      const { token } = await aUser(database)
      const invalid = { include: ['The selected include is invalid.'] }
      t.strictSame(errorsOf(await showMe(token, { include: 'images' })), invalid)
      t.strictSame(errorsOf(await showMe(token, { include: 'playlists.tracks' })), invalid)
      t.equal((await showMe(token, { unknown: '1', 'un[known]': '2' })).status, 200)
    })

    await t.test('permissions are those given directly, and roles have their own', async t => {
      const user = await aUser(database, { roles: ['Verified', 'Admin'], permissions: ['view pulse'] })
      await sql`insert into model_has_roles (model_type, model_id, role_id)
      select 'App\\Models\\User', ${user.id}::bigint, id from roles where name = 'Admin'`.execute(
        database.kysely,
      )
      const { json } = await showMe(user.token, {
        'fields[user]': 'id,name,created_at',
        include: 'permissions,roles.permissions',
        'sort[role]': '-priority',
      })
      t.strictSame(Object.keys(json.user), ['created_at', 'id', 'name', 'permissions', 'roles'])
      t.match(json.user.permissions, [{ id: Number, name: 'view pulse' }])
      t.equal(json.user.permissions.length, 1, 'permissions of roles are not among them')
      t.strictSame(
        namesOf(json.user.roles),
        ['Admin', 'Verified'],
        'a role granted under both class names is listed once',
      )
      t.match(json.user.roles[1], { default: true, color: null, priority: 0 })
      t.strictSame(Object.keys(json.user.roles[1]), [
        'id',
        'name',
        'default',
        'color',
        'priority',
        'permissions',
      ])
      t.equal(json.user.roles[1].permissions.length, 25)
    })

    await t.test('filters apply to included roles and their permissions', async t => {
      const user = await aUser(database, { roles: ['Verified', 'Admin'] })
      const { json } = await showMe(user.token, {
        include: 'roles.permissions',
        'filter[permission][name-like]': 'VIEW%',
        'filter[role][default]': 'yes',
      })
      t.equal(json.user.roles.length, 1)
      t.ok(namesOf(json.user.roles[0].permissions).every(name => name.startsWith('view ')))
    })

    await t.test('notifications of the panel are not included', async t => {
      const user = await aUser(database)
      await anExternalProfile(database, user.id, { name: 'x', visibility: 1 })
      await aNotification(database, user.id, { data: '{"profileId":1}' })
      await aNotification(database, user.id, { type: PANEL_NOTIFICATION })
      const { json } = await showMe(user.token, { include: 'notifications,externalprofiles' })
      t.match(json.user.externalprofiles, [{ name: 'x', site: 'AniList', visibility: 'Private' }])
      t.match(json.user.notifications, [{ data: { profileId: 1 }, read_at: null }])
      t.equal(json.user.notifications.length, 1)
    })

    await t.test('a filter without a type applies to every included type that has the field', async t => {
      const user = await aUser(database)
      await anExternalProfile(database, user.id, { visibility: 1 })
      const ids = await showMe(user.token, {
        include: 'playlists,externalprofiles,notifications',
        'filter[id]': '999999',
      })
      t.strictSame(ids.json.user.externalprofiles, [], 'a number is an id of every type')
      const labels = await showMe(user.token, {
        include: 'externalprofiles',
        'filter[visibility]': 'Unlisted',
      })
      t.equal(labels.json.user.externalprofiles.length, 1, 'a label of playlists does not filter profiles')
      t.strictSame(errorsOf(await showMe(user.token, { 'filter[visibility]': 'x' })), {
        'filter.visibility': ['The selected filter.visibility is invalid.'],
      })
    })

    await t.test('each include takes one statement', async t => {
      const user = await aUser(database, { roles: ['Verified'] })
      await aPlaylist(database, user.id)
      // The first look-up also reads the permissions.
      await showMe(user.token)
      const count = async (path: string) => {
        database.statements.length = 0
        t.equal((await get(app, path, user.token)).status, 200, path)
        return database.statements.length
      }
      t.equal(await count('/api/me'), 1)
      t.equal(await count('/api/me?fields[user]=created_at,deleted_at'), 1)
      t.equal(await count('/api/me?include=playlists,roles.permissions,permissions'), 1 + 4)
    })
  })
}
