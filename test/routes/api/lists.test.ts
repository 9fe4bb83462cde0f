import { randomUUID } from 'node:crypto'
import { sql } from 'kysely'
import t, { type Test } from 'tap'
import {
  addTracks,
  aNotification,
  anExternalProfile,
  aPlaylist,
  PANEL_NOTIFICATION,
} from '../../fixtures/lists.ts'
import { UNLIMITED } from '../../fixtures/settings.ts'
import { aUser } from '../../fixtures/users.ts'
import { get, send, startApp, type TestApp } from '../../support/app.ts'
import { createDatabase, ENGINES, type TestDatabase } from '../../support/databases.ts'

for (const engine of ENGINES) {
  t.test(`the lists of a user on ${engine}`, async t => {
    const database = await createDatabase(t, engine)
    t.teardown(() => database.close())
    const app = await startApp(t, { database, environment: UNLIMITED })
    await access(t, app, database)
    await me(t, app, database)
    await playlists(t, app, database)
    await filters(t, app, database)
    await sorts(t, app, database)
    await pages(t, app, database)
    await profiles(t, app, database)
    await notifications(t, app, database)
    await website(t, app, database)
    await cost(t, app, database)
  })
}

const LISTS = [
  ['/api/me/playlist', 'view playlist', 'playlists'],
  ['/api/me/externalprofile', 'view external profile', 'externalprofiles'],
  ['/api/me/notification', 'view notification', 'notifications'],
] as const

const url = (path: string, query: Record<string, string | number> = {}) =>
  `${path}?${Object.entries(query)
    .map(([name, value]) => `${encodeURIComponent(name)}=${encodeURIComponent(value)}`)
    .join('&')}`

/** The errors that a request gets, when it gets a 422. */
async function errorsOf(app: TestApp, token: string, path: string, query: Record<string, string | number>) {
  const { status, json } = await get(app, url(path, query), token)
  return status === 422 ? json.errors : status
}

async function access(t: Test, app: TestApp, database: TestDatabase) {
  for (const [path, permission, plural] of LISTS) {
    t.test(`GET ${path}`, async t => {
      t.equal((await get(app, path)).status, 401, 'protected')
      const nobody = await aUser(database)
      t.equal((await get(app, path, nobody.token)).status, 403, 'forbidden if missing permission')
      t.equal((await get(app, `${path}?page[size]=x`, nobody.token)).status, 403, 'before any fault is told')
      t.equal((await get(app, `${path}?page[size]=x`)).status, 401)
      const user = await aUser(database, { permissions: [permission] })
      const { json, status } = await get(app, path, user.token)
      t.equal(status, 200)
      t.strictSame(json[plural], [])
      t.match(json.meta, { from: null, to: null, current_page: 1, per_page: 15 })
      const head = await send(app, 'HEAD', path, { headers: { authorization: `Bearer ${user.token}` } })
      t.equal(head.status, 200)
    })
  }

  t.test('P23 a prohibition applies', async t => {
    const user = await aUser(database, { roles: ['Verified'] })
    await sql`insert into model_prohibitions (model_type, model_id, prohibition_id)
      select 'App\\Models\\Auth\\User', ${user.id}::bigint, id from prohibitions where name = 'view playlist'`.execute(
      database.kysely,
    )
    const { status, json } = await get(app, '/api/me/playlist', user.token)
    t.equal(status, 403)
    t.match(json.message, /^You have been banned/)
    t.equal((await get(app, '/api/me/notification', user.token)).status, 200)
  })
}

async function me(t: Test, app: TestApp, database: TestDatabase) {
  t.test('GET /api/me', async t => {
    const user = await aUser(database, { verified: false })
    const errors = (query: Record<string, string>) => errorsOf(app, user.token, '/api/me', query)

    t.match(
      (await get(app, '/api/me', user.token)).json,
      { user: { email_verified_at: null } },
      'M1 unverified',
    )
    const created = await get(app, url('/api/me', { 'fields[user]': 'created_at' }), user.token)
    t.strictSame(
      created.json,
      { user: { created_at: '2026-03-01T12:00:00.000000Z' } },
      'M2 only what is asked for',
    )
    const deleted = await get(app, url('/api/me', { 'fields[user]': 'deleted_at,id' }), user.token)
    t.strictSame(deleted.json, { user: { deleted_at: null, id: user.id } })

    const hidden = await aPlaylist(database, user.id, { visibility: 1, name: 'b' })
    const shown = await aPlaylist(database, user.id, { name: 'a' })
    const included = await get(app, url('/api/me', { include: 'playlists' }), user.token)
    t.strictSame(
      included.json.user.playlists,
      [
        { id: hidden.hashid, name: 'b', description: null, visibility: 'Private' },
        { id: shown.hashid, name: 'a', description: null, visibility: 'Public' },
      ],
      'M3 private ones too, without a permission',
    )

    t.strictSame(await errors({ sort: 'name' }), { sort: ['The sort must be an array.'] }, 'M4')
    const sorted = await get(
      app,
      url('/api/me', { include: 'playlists', 'sort[playlist]': 'name' }),
      user.token,
    )
    t.strictSame(
      sorted.json.user.playlists.map(({ name }: { name: string }) => name),
      ['a', 'b'],
      'M4 by type',
    )
    t.strictSame(await errors({ 'sort[user]': 'name' }), { sort: ['The sort must be an array.'] })
    t.strictSame(await errors({ 'page[size]': '1' }), { page: ['The page field is prohibited.'] }, 'M5')
    t.strictSame(await errors({ q: 'x' }), { q: ['The q field is prohibited.'] }, 'M5')
    t.strictSame(
      await errors({ 'fields[user]': 'password' }),
      { 'fields.user': ['The selected user is invalid.'] },
      'M7',
    )
    for (const name of [
      'remember_token',
      'two_factor_secret',
      'two_factor_recovery_codes',
      'password',
      '__proto__',
      'constructor',
    ]) {
      t.ok((await errors({ 'fields[user]': name }))['fields.user'], name)
    }
    t.strictSame(await errors({ include: 'images' }), { include: ['The selected include is invalid.'] })
    t.strictSame(await errors({ include: 'playlists.tracks' }), {
      include: ['The selected include is invalid.'],
    })
    t.strictSame(
      await errors({ 'filter[has]': 'playlists' }),
      { filter: ['The filter must be an array.'] },
      'no has on one thing',
    )
    t.strictSame(await errors({ 'filter[user][name]': 'x' }), { filter: ['The filter must be an array.'] })
    t.strictSame(await errors({ 'filter[email]': 'x' }), { filter: ['The filter must be an array.'] })

    const filtered = await get(app, url('/api/me', { include: 'playlists', 'filter[name]': 'A' }), user.token)
    t.equal(filtered.json.user.playlists.length, 1, 'a name alone constrains what is included')
    t.equal(filtered.json.user.name, user.name, 'and not the user')
    t.equal((await get(app, url('/api/me', { unknown: '1', 'un[known]': '2' }), user.token)).status, 200)
  })

  t.test('GET /api/me with roles and permissions', async t => {
    const user = await aUser(database, { roles: ['Verified', 'Admin'], permissions: ['view pulse'] })
    await sql`insert into model_has_roles (model_type, model_id, role_id)
      select 'App\\Models\\User', ${user.id}::bigint, id from roles where name = 'Admin'`.execute(
      database.kysely,
    )
    const { json } = await get(
      app,
      url('/api/me', {
        'fields[user]': 'id,name,created_at',
        include: 'permissions,roles.permissions',
        'sort[role]': '-priority',
      }),
      user.token,
    )
    t.strictSame(Object.keys(json.user), ['created_at', 'id', 'name', 'permissions', 'roles'])
    t.match(json.user.permissions, [{ id: Number, name: 'view pulse' }])
    t.equal(json.user.permissions.length, 1, 'only those given directly')
    t.strictSame(
      json.user.roles.map(({ name }: { name: string }) => name),
      ['Admin', 'Verified'],
      'a role given twice, under both class names, is there once',
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
    const some = await get(
      app,
      url('/api/me', {
        include: 'roles.permissions',
        'filter[permission][name-like]': 'VIEW%',
        'filter[role][default]': 'yes',
      }),
      user.token,
    )
    t.equal(some.json.user.roles.length, 1)
    t.ok(some.json.user.roles[0].permissions.every(({ name }: { name: string }) => name.startsWith('view ')))
  })

  t.test('GET /api/me includes of every kind', async t => {
    const user = await aUser(database)
    await anExternalProfile(database, user.id, { name: 'x', visibility: 1 })
    await aNotification(database, user.id, { data: '{"profileId":1}' })
    await aNotification(database, user.id, { type: PANEL_NOTIFICATION })
    const { json } = await get(app, url('/api/me', { include: 'notifications,externalprofiles' }), user.token)
    t.match(json.user.externalprofiles, [{ name: 'x', site: 'AniList', visibility: 'Private' }])
    t.match(json.user.notifications, [{ data: { profileId: 1 }, read_at: null }])
    t.equal(json.user.notifications.length, 1, "the panel's own are invisible")
    const ids = await get(
      app,
      url('/api/me', { include: 'playlists,externalprofiles,notifications', 'filter[id]': '999999' }),
      user.token,
    )
    t.strictSame(ids.json.user.externalprofiles, [], 'a number is an id of every kind')
    const labels = await get(
      app,
      url('/api/me', { include: 'externalprofiles', 'filter[visibility]': 'Unlisted' }),
      user.token,
    )
    t.equal(labels.json.user.externalprofiles.length, 1, 'a label of playlists says nothing of profiles')
    t.strictSame(await errorsOf(app, user.token, '/api/me', { 'filter[visibility]': 'x' }), {
      'filter.visibility': ['The selected filter.visibility is invalid.'],
    })
  })
}

async function playlists(t: Test, app: TestApp, database: TestDatabase) {
  t.test('GET /api/me/playlist: only owned playlists, newest first', async t => {
    const user = await aUser(database, { permissions: ['view playlist'] })
    const other = await aUser(database)
    await aPlaylist(database, other.id)
    const made = []
    for (const [index, visibility] of [0, 1, 2].entries()) {
      made.push(
        await aPlaylist(database, user.id, { visibility, createdAt: `2026-02-0${index + 1} 00:00:00` }),
      )
    }
    const { json } = await get(app, '/api/me/playlist', user.token)
    t.strictSame(
      json.playlists,
      made.reverse().map(({ hashid }, index) => ({
        id: hashid,
        name: 'A playlist',
        description: null,
        visibility: ['Unlisted', 'Private', 'Public'][index],
      })),
    )
  })

  t.test('includes and sparse fieldsets', async t => {
    const user = await aUser(database, { permissions: ['view playlist'] })
    const empty = await aPlaylist(database, user.id, { name: 'empty', createdAt: '2026-01-01 00:00:00' })
    const full = await aPlaylist(database, user.id, {
      name: 'full',
      createdAt: '2026-02-01 12:34:56.123456',
    })
    const tracks = await addTracks(database, full.id, [2712, 2712, 3814])
    const [first, second, third] = tracks.map(({ hashid }) => hashid)
    const all = await get(
      app,
      url('/api/me/playlist', {
        include: 'first,last,tracks.previous,tracks.next,user',
        'fields[playlist]': 'created_at,name,tracks_exists,tracks_count,user_id',
      }),
      user.token,
    )
    t.strictSame(all.json.playlists, [
      {
        created_at: '2026-02-01T12:34:56.123456Z',
        name: 'full',
        tracks_exists: true,
        tracks_count: 3,
        first: { id: first },
        last: { id: third },
        tracks: [
          { id: first, next: { id: second }, previous: null },
          { id: second, next: { id: third }, previous: { id: first } },
          { id: third, next: null, previous: { id: second } },
        ],
        user: { name: user.name },
      },
      {
        created_at: '2026-01-01T00:00:00.000000Z',
        name: 'empty',
        tracks_exists: false,
        tracks_count: 0,
        first: null,
        last: null,
        tracks: [],
        user: { name: user.name },
      },
    ])
    t.ok(empty)

    const nothing = await get(
      app,
      url('/api/me/playlist', {
        'fields[playlist]': 'user_id',
        'fields[track]': 'video_id',
        include: 'tracks',
      }),
      user.token,
    )
    t.strictSame(
      nothing.json.playlists,
      [{ tracks: [{}, {}, {}] }, { tracks: [] }],
      'names that are never shown',
    )

    const scoped = await get(
      app,
      url('/api/me/playlist', {
        include: 'tracks',
        'filter[track][video_id]': '2712',
        'sort[track]': '-id',
        'fields[track]': 'id,created_at',
      }),
      user.token,
    )
    t.equal(scoped.json.playlists.length, 2, 'a filter on tracks leaves the playlists alone')
    t.strictSame(
      scoped.json.playlists[0].tracks.map(({ id }: { id: string }) => id),
      [first, second].sort().reverse(),
    )
    t.match(scoped.json.playlists[0].tracks[0].created_at, /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z$/)
  })

  t.test('what is wrong is said', async t => {
    const { token } = await aUser(database, { permissions: ['view playlist'] })
    const path = '/api/me/playlist'
    const unknownType = { fields: ['The fields must be an array.'] }
    for (const [name, query, expected] of [
      ['P19 an unknown type', { 'fields[unknown]': 'id' }, unknownType],
      ['a type that nothing includes', { 'fields[notification]': 'id' }, unknownType],
      ['no type', { fields: 'id' }, unknownType],
      ['an inherited name', { 'fields[__proto__]': 'id' }, unknownType],
      [
        'an unknown field',
        { 'fields[playlist]': 'id,views_count' },
        { 'fields.playlist': ['The selected playlist is invalid.'] },
      ],
      [
        'another case',
        { 'fields[playlist]': 'ID' },
        { 'fields.playlist': ['The selected playlist is invalid.'] },
      ],
      [
        'P20 a duplicate',
        { 'fields[playlist]': 'id,id' },
        { 'fields.playlist': ['You may not specify duplicates.'] },
      ],
      [
        'an empty list',
        { 'fields[playlist]': '' },
        { 'fields.playlist': ['The fields.playlist field is required.'] },
      ],
      [
        'an empty item',
        { 'fields[playlist]': 'id,,name' },
        { 'fields.playlist': ['The selected playlist is invalid.'] },
      ],
      [
        'deeper than fields go',
        { 'fields[playlist][x]': 'id' },
        { 'fields.playlist': ['The fields.playlist must be a string.'] },
      ],
      ['an unknown include', { include: 'tracks,videos' }, { include: ['The selected include is invalid.'] }],
      [
        'an include of another list',
        { include: 'externalentries' },
        { include: ['The selected include is invalid.'] },
      ],
      ['a duplicate include', { include: 'tracks,tracks' }, { include: ['You may not specify duplicates.'] }],
      ['an empty include', { include: '' }, { include: ['The include field is required.'] }],
      ['includes by type', { 'include[playlist]': 'tracks' }, { include: ['The include must be a string.'] }],
      ['an unknown sort', { sort: 'user_id' }, { sort: ['The selected sort is invalid.'] }],
      ['a sort by a relation', { sort: 'tracks.created_at' }, { sort: ['The selected sort is invalid.'] }],
      ['P21 both ways', { sort: 'name,-name' }, { sort: ['The sort field has a duplicate value.'] }],
      ['the same twice', { sort: 'name,name' }, { sort: ['You may not specify duplicates.'] }],
      [
        'P22 random and more',
        { sort: 'random,name' },
        { sort: ['The sort field prohibits random unless it is the sole value.'] },
      ],
      ['random backwards', { sort: '-random' }, { sort: ['The selected sort is invalid.'] }],
      ['a sort by an unknown type', { 'sort[role]': 'id' }, { sort: ['The sort must be an array.'] }],
      [
        'an unknown sort of a type',
        { 'sort[track]': 'video_id' },
        { 'sort.track': ['The selected track is invalid.'] },
      ],
      [
        'P17 too many',
        { 'page[size]': 101 },
        { 'page.size': ['The page.size must not be greater than 100.'] },
      ],
      ['P17 none', { 'page[size]': 0 }, { 'page.size': ['The page.size must be at least 1.'] }],
      ['P17 no number', { 'page[size]': 'abc' }, { 'page.size': ['The page.size must be an integer.'] }],
      ['page zero', { 'page[number]': 0 }, { 'page.number': ['The page.number must be at least 1.'] }],
      ['half a page', { 'page[number]': '1.5' }, { 'page.number': ['The page.number must be an integer.'] }],
      ['another key', { 'page[limit]': 1 }, { page: ['The page must be an array.'] }],
      ['no key', { page: 2 }, { page: ['The page must be an array.'] }],
      ['no filter of that name', { 'filter[user_id]': 1 }, { filter: ['The filter must be an array.'] }],
      ['trashed', { 'filter[trashed]': 'with' }, { filter: ['The filter must be an array.'] }],
      ['a relation', { 'filter[tracks.video_id]': 1 }, { filter: ['The filter must be an array.'] }],
      [
        'a comparison of another kind',
        { 'filter[name-gt]': 'a' },
        { filter: ['The filter must be an array.'] },
      ],
      ['the wrong order', { 'filter[name-or-like]': 'a' }, { filter: ['The filter must be an array.'] }],
      ['an unknown comparison', { 'filter[name-is]': 'a' }, { filter: ['The filter must be an array.'] }],
      ['a count', { 'filter[has-gte-2]': 'tracks' }, { filter: ['The filter must be an array.'] }],
      [
        'no filter of the type',
        { 'filter[track][name]': 'x' },
        { 'filter.track': ['The filter.track must be an array.'] },
      ],
      [
        'has of another type',
        { 'filter[track][has]': 'next' },
        { 'filter.track': ['The filter.track must be an array.'] },
      ],
      [
        'has of nothing',
        { 'filter[has]': 'notifications' },
        { 'filter.has': ['The selected filter.has is invalid.'] },
      ],
      [
        'no label',
        { 'filter[visibility]': 'secret' },
        { 'filter.visibility': ['The selected filter.visibility is invalid.'] },
      ],
      [
        'a number for a label',
        { 'filter[visibility]': 0 },
        { 'filter.visibility': ['The selected filter.visibility is invalid.'] },
      ],
      [
        'no truth',
        { 'filter[tracks_exists]': 2 },
        { 'filter.tracks_exists': ['The filter.tracks exists field must be true or false.'] },
      ],
      [
        'no date',
        { 'filter[created_at]': 'yesterday' },
        { 'filter.created_at': ['The filter.created at does not match the format Y-m-d\\TH:i:s.u.'] },
      ],
      [
        'no integer',
        { 'filter[track][video_id]': 'x' },
        { 'filter.track.video_id': ['The filter.track.video id must be an integer.'] },
      ],
      [
        'no integer in a list',
        { 'filter[video_id]': '1,x' },
        { 'filter.video_id': ['The video id must be an integer.'] },
      ],
      [
        'a duplicate in a list',
        { 'filter[name]': 'a,a' },
        { 'filter.name': ['You may not specify duplicates.'] },
      ],
      ['nothing in a list', { 'filter[name]': 'a,,b' }, { 'filter.name': ['The name field is required.'] }],
      ['nothing', { 'filter[name]': '' }, { 'filter.name': ['The filter.name field is required.'] }],
      [
        'P14 a list of counts',
        { 'filter[tracks_count]': '1,2' },
        { 'filter.tracks_count': ['The filter.tracks count field is prohibited.'] },
      ],
      [
        'a list to compare with',
        { 'filter[name-like]': 'a,b' },
        { 'filter.name-like': ['The filter.name-like field is prohibited.'] },
      ],
      [
        'too long',
        { 'filter[name]': 'x'.repeat(1001) },
        { 'filter.name': ['The filter.name must not be greater than 1000 characters.'] },
      ],
      [
        'too many',
        { 'filter[video_id]': Array.from({ length: 101 }, (_, i) => i).join() },
        { 'filter.video_id': ['The filter.video id must not have more than 100 items.'] },
      ],
      [
        'beyond 64 bits',
        { 'filter[video_id]': '9223372036854775808' },
        { 'filter.video_id': ['The filter.video id must be an integer.'] },
      ],
      ['a NUL', { 'filter[name]': 'a\0' }, { 'filter.name': ['The filter.name must be a string.'] }],
      [
        'too deep',
        { 'filter[a][b][c][d][e]': 'x' },
        { query: ['The query must not be nested deeper than 4 levels.'] },
      ],
    ] as const) {
      t.strictSame(await errorsOf(app, token, path, query as never), expected, name)
    }
    const both = await get(app, url(path, { 'page[size]': 0, sort: 'x', 'filter[nope]': 1 }), token)
    t.equal(both.json.message, 'The filter must be an array. (and 2 more errors)', 'all at once')
    t.equal((await get(app, `${path}?${'a=1&'.repeat(101)}`, token)).status, 422)
    t.equal(
      (await get(app, url(path, { q: 'anything', utm: 'x', 'constructor[prototype][x]': '1' }), token))
        .status,
      200,
    )
    t.equal((await get(app, `${path}?%ff=%fe&filter[name]=%ff%zz`, token)).status, 200)
  })
}

async function filters(t: Test, app: TestApp, database: TestDatabase) {
  t.test('filters', async t => {
    const user = await aUser(database, { permissions: ['view playlist'] })
    const rows = [
      { name: 'Alpha', visibility: 0, createdAt: '2024-01-01 00:00:00', description: 'first' },
      { name: 'beta', visibility: 1, createdAt: '2024-03-05 06:07:08.123456', description: null },
      { name: 'Gamma 100%', visibility: 2, createdAt: '2025-01-01 00:00:00', description: 'Third' },
      { name: 'back\\slash', visibility: 0, createdAt: '2026-01-01 00:00:00', description: null },
    ]
    const ids = new Map<string, string>()
    for (const [index, row] of rows.entries()) {
      const { id, hashid } = await aPlaylist(database, user.id, row)
      ids.set(row.name, hashid)
      await addTracks(database, id, [[2712, 2712], [2712], [], [99, null]][index] ?? [])
    }
    const names = async (query: Record<string, string>) => {
      const { json, status } = await get(
        app,
        url('/api/me/playlist', { sort: 'created_at', ...query }),
        user.token,
      )
      if (status !== 200) return json
      return json.playlists.map(({ name }: { name: string }) => name).reverse()
    }
    const all = rows.map(({ name }) => name)
    const [alpha, beta, gamma, slash] = all as [string, string, string, string]
    for (const [query, expected, label = 'filter'] of [
      [{ 'filter[name]': 'ALPHA' }, [alpha]],
      [{ 'filter[name-ne]': 'alpha' }, [beta, gamma, slash]],
      [{ 'filter[name-like]': '%A' }, [alpha, beta], 'P16'],
      [{ 'filter[name-like]': 'gamma 100\\%' }, [gamma]],
      [{ 'filter[name-like]': 'back\\' }, []],
      [{ 'filter[name-like]': '%\\\\%' }, [slash]],
      [{ 'filter[name-notlike]': '%a%' }, []],
      [{ 'filter[name]': 'alpha,BETA' }, [alpha, beta]],
      [{ 'filter[name-not]': 'alpha,beta' }, [gamma, slash]],
      [{ 'filter[name-not]': 'alpha' }, [beta, gamma, slash]],
      [{ 'filter[name-ne]': 'alpha,beta' }, [gamma, slash]],
      [{ 'filter[id]': ids.get(alpha) ?? '' }, [alpha]],
      [
        {
          'filter[id]': (ids.get(alpha) ?? '').replace(/[a-z]/i, c =>
            c === c.toLowerCase() ? c.toUpperCase() : c.toLowerCase(),
          ),
        },
        [],
      ],
      [{ 'filter[visibility]': 'PRIVATE' }, [beta]],
      [{ 'filter[visibility-ne]': 'private' }, [alpha, gamma, slash]],
      [{ 'filter[visibility]': 'public,unlisted' }, [alpha, gamma, slash]],
      [{ 'filter[visibility]': 'public,unlisted,private' }, all],
      [{ 'filter[visibility-not]': 'public,unlisted,private' }, all],
      [{ 'filter[description]': 'THIRD' }, [gamma]],
      [{ 'filter[description-ne]': 'first' }, [gamma]],
      [{ 'filter[created_at]': '2024' }, [alpha]],
      [{ 'filter[created_at]': '2024-01' }, [alpha]],
      [{ 'filter[created_at]': '2024-01-01' }, [alpha]],
      [{ 'filter[created_at]': '2024-01-01T00' }, [alpha]],
      [{ 'filter[created_at]': '2024-01-01T00:00' }, [alpha]],
      [{ 'filter[created_at]': '2024-01-01T00:00:00' }, [alpha]],
      [{ 'filter[created_at]': '2024-03-05T06:07:08.123456' }, [beta]],
      [{ 'filter[created_at]': '2024-03-05T06:07:08' }, []],
      [{ 'filter[created_at-gte]': '2024-03', 'filter[created_at-lt]': '2026' }, [beta, gamma]],
      [{ 'filter[created_at]': '2024,2025' }, [alpha, gamma]],
      [{ 'filter[tracks_count]': '2' }, [alpha, slash]],
      [{ 'filter[playlist][tracks_count-gte]': '1' }, [alpha, beta, slash], 'P14'],
      [{ 'filter[tracks_exists]': 'no' }, [gamma]],
      [{ 'filter[tracks_exists]': 'on' }, [alpha, beta, slash]],
      [{ 'filter[has]': 'tracks' }, [alpha, beta, slash], 'P15'],
      [{ 'filter[has-lt]': 'tracks' }, [gamma]],
      [{ 'filter[has-eq]': 'tracks' }, [beta]],
      [{ 'filter[has-gt]': 'tracks' }, [alpha, slash]],
      [{ 'filter[has-lte]': 'tracks' }, [beta, gamma]],
      [{ 'filter[has]': 'tracks.next' }, [alpha, slash]],
      [{ 'filter[has-lt]': 'tracks.next' }, [beta, gamma]],
      [{ 'filter[has]': 'tracks,user' }, [alpha, beta, slash]],
      [{ 'filter[playlist][has]': 'first' }, [alpha, beta, slash]],
      [{ 'filter[has]': 'tracks', 'filter[track][video_id]': '2712' }, [alpha, beta]],
      [{ 'filter[has]': 'tracks', 'filter[video_id]': '99' }, [slash]],
      [{ 'filter[tracks_count]': '1', 'filter[track][video_id]': '99' }, [slash]],
      [{ 'filter[name]': 'alpha', 'filter[visibility-or]': 'private' }, [alpha, beta]],
      [{ 'filter[name]': 'alpha', 'filter[visibility-or]': 'private', 'filter[name-like]': 'x%' }, [alpha]],
      [{ 'filter[name]': 'alpha', 'filter[name-eq-or]': 'BETA' }, [alpha, beta]],
      [{ 'filter[name]': 'nobody', 'filter[has-or]': 'tracks' }, [alpha, beta, slash]],
      [{ 'filter[name]': 'alpha', 'filter[name-or]': 'gamma 100%,beta' }, [alpha, beta, gamma]],
      [{ 'filter[name]': 'alpha', 'filter[playlist][name]': 'beta' }, []],
    ] as [Record<string, string>, string[], string?][]) {
      t.strictSame(await names(query), expected, `${label} ${JSON.stringify(query)}`)
    }
  })

  t.test('no filter reaches what is not the user’s', async t => {
    const user = await aUser(database, {
      permissions: ['view playlist', 'view notification', 'view external profile'],
    })
    const other = await aUser(database)
    await aPlaylist(database, other.id, { name: 'secret', visibility: 1 })
    await anExternalProfile(database, other.id, { name: 'secret' })
    await aNotification(database, other.id)
    for (const [path, query] of [
      ['/api/me/playlist', { 'filter[name]': 'x', 'filter[name-or]': 'secret' }],
      ['/api/me/playlist', { 'filter[name-or]': 'secret' }],
      ['/api/me/playlist', { 'filter[tracks_count-or]': '0', 'filter[has-lt-or]': 'tracks' }],
      ['/api/me/externalprofile', { 'filter[site]': 'kitsu', 'filter[name-or]': 'secret' }],
      ['/api/me/notification', { 'filter[read_at-or]': '2020', 'filter[created_at-gt-or]': '2000' }],
    ] as const) {
      const { json, status } = await get(app, url(path, query as never), user.token)
      t.equal(status, 200)
      t.equal(json.meta.from, null, JSON.stringify(query))
    }
  })

  t.test('tracks_count counts the tracks of the filter', async t => {
    const user = await aUser(database, { permissions: ['view playlist'] })
    const { id } = await aPlaylist(database, user.id)
    await addTracks(database, id, [2712, 2712, 5])
    const { json } = await get(
      app,
      url('/api/me/playlist', {
        'fields[playlist]': 'id,name,tracks_count',
        'filter[track][video_id]': 2712,
      }),
      user.token,
    )
    t.match(json.playlists, [{ tracks_count: 2 }], 'P13')
    const nothing = { 'fields[playlist]': 'tracks_count,tracks_exists', 'filter[video_id]': 777 }
    const none = await get(app, url('/api/me/playlist', nothing), user.token)
    t.match(none.json.playlists, [{ tracks_count: 0, tracks_exists: false }], 'by a name alone as well')
  })
}

async function sorts(t: Test, app: TestApp, database: TestDatabase) {
  t.test('sorts', async t => {
    const user = await aUser(database, {
      permissions: ['view playlist', 'view external profile', 'view notification'],
    })
    for (const [name, createdAt] of [
      ['b', '2026-01-02 00:00:00'],
      ['C', '2026-01-01 00:00:00'],
      ['a', '2026-01-01 00:00:00'],
      ['d', '2026-01-01 00:00:00'],
    ] as const) {
      await aPlaylist(database, user.id, { name, createdAt, description: name === 'a' ? 'x' : null })
    }
    const names = async (sort: string) =>
      (await get(app, url('/api/me/playlist', { sort }), user.token)).json.playlists
        .map(({ name }: { name: string }) => name)
        .join('')
    t.equal(await names('name'), 'baCd', 'newest first all the same, and then by name')
    t.equal(await names('-name'), 'bdCa')
    t.equal(await names('description,name'), 'bCda', 'nothing comes before anything')
    t.equal(await names('-description,name'), 'baCd')
    t.equal([...(await names('random'))].sort().join(''), 'Cabd')

    await anExternalProfile(database, user.id, { name: 'y', site: 2 })
    await anExternalProfile(database, user.id, { name: 'X', site: 0 })
    await anExternalProfile(database, user.id, { name: 'z', site: 1 })
    const profiles = async (query: Record<string, string>) =>
      (await get(app, url('/api/me/externalprofile', query), user.token)).json.externalprofiles
        .map(({ name }: { name: string }) => name)
        .join('')
    t.equal(await profiles({}), 'yXz', 'by id')
    t.equal(await profiles({ sort: 'name' }), 'Xyz')
    t.equal(await profiles({ sort: '-site' }), 'yzX', 'an enum by its value')
    t.equal(await profiles({ 'sort[externalprofile]': '-id' }), 'zXy')

    const same = '2026-02-01 00:00:00'
    const read = await aNotification(database, user.id, { createdAt: same, readAt: same })
    const unread = await aNotification(database, user.id, { createdAt: same })
    const newer = await aNotification(database, user.id, { createdAt: '2026-02-02 00:00:00' })
    const order = async (sort: string) =>
      (await get(app, url('/api/me/notification', { sort }), user.token)).json.notifications.map(
        ({ id }: { id: string }) => id,
      )
    t.strictSame(await order('-read_at'), [newer, read, unread], 'N12 only ties')
    t.strictSame(await order('read_at'), [newer, unread, read])
  })
}

async function pages(t: Test, app: TestApp, database: TestDatabase) {
  t.test('pages', async t => {
    const user = await aUser(database, { permissions: ['view playlist'] })
    const made: string[] = []
    for (let i = 0; i < 7; i += 1)
      made.push((await aPlaylist(database, user.id, { name: `n${i % 2}` })).hashid)
    const base = 'http://localhost:80/api/me/playlist'

    const { json } = await get(app, url('/api/me/playlist', { 'page[size]': 3 }), user.token)
    t.strictSame(json.links, {
      first: `${base}?page%5Bsize%5D=3&page%5Bnumber%5D=1`,
      last: null,
      prev: null,
      next: `${base}?page%5Bsize%5D=3&page%5Bnumber%5D=2`,
    })
    t.strictSame(json.meta, {
      current_page: 1,
      current_page_url: `${base}?page%5Bsize%5D=3&page%5Bnumber%5D=1`,
      from: 1,
      path: base,
      per_page: 3,
      to: 3,
    })

    const query = {
      'page[number]': 2,
      'fields[playlist]': 'id,name',
      'filter[name-like]': "n%!'()*",
      sort: '-name',
      'page[size]': 2,
    }
    const kept = await get(app, url('/api/me/playlist', query), user.token)
    t.equal(
      kept.json.links.prev,
      `${base}?fields%5Bplaylist%5D=id%2Cname&filter%5Bname-like%5D=n%25%21%27%28%29%2A&sort=-name&page%5Bsize%5D=2&page%5Bnumber%5D=1`.replace(
        /(\?)(.*?)(&page%5Bsize%5D=2)(.*)/,
        '$1page%5Bsize%5D=2&$2$4',
      ),
      'P18 all that was asked for, the page last',
    )

    for (const sort of ['name', '-name', 'visibility', undefined]) {
      const seen: string[] = []
      let next: string | null = url('/api/me/playlist', { 'page[size]': 2, ...(sort && { sort }) })
      let count = 0
      while (next !== null) {
        const page: { json: { playlists: { id: string }[]; links: { next: string | null; last: null } } } =
          await get(app, next, user.token)
        seen.push(...page.json.playlists.map(({ id }) => id))
        next = page.json.links.next
        t.equal(page.json.links.last, null)
        count += 1
      }
      t.equal(count, 4)
      t.strictSame(
        [...seen].sort(),
        [...made].sort(),
        `${sort}: followed to the end, none twice and none dropped`,
      )
    }

    const marks = await get(app, '/api/me/playlist?filter[name-ne]=a?b&page[size]=2', user.token)
    t.match(
      decodeURIComponent(marks.json.links.next),
      /\/api\/me\/playlist\?filter\[name-ne\]=a\?b&page\[size\]=2&page\[number\]=2$/,
      'a question mark in a value is no other query',
    )
    for (const name of ['constructor', '__proto__', 'toString', 'limit']) {
      t.equal((await get(app, `/api/me/playlist?page[${name}]=1`, user.token)).status, 422, name)
    }

    const beyond = await get(app, url('/api/me/playlist', { 'page[number]': 99 }), user.token)
    t.match(beyond.json, {
      playlists: [],
      links: { next: null },
      meta: { from: null, to: null, current_page: 99 },
    })
    const far = await get(
      app,
      url('/api/me/playlist', { 'page[number]': '9223372036854775807', 'page[size]': 100 }),
      user.token,
    )
    t.equal(far.status, 200)
    t.strictSame(far.json.playlists, [])
    const slash = await get(app, '/api/me/playlist/', user.token)
    t.equal(slash.json.meta.path, base)
  })

  t.test('links are built on the host of the request, which only a trusted proxy can tell', async t => {
    const user = await aUser(database, { permissions: ['view playlist'] })
    const path = async (app: TestApp, headers: Record<string, string>) =>
      (await get(app, '/api/me/playlist', user.token, headers)).json.meta?.path
    const forwarded = {
      host: 'internal',
      'x-forwarded-host': 'api.example.org',
      'x-forwarded-proto': 'http',
    }
    for (const host of ['localhost:8000', '127.0.0.1', '[::1]:3000']) {
      t.equal(await path(app, { host }), `http://${host}/api/me/playlist`)
    }
    t.equal(await path(app, { host: 'LOCALHOST:80' }), 'http://localhost:80/api/me/playlist')
    t.equal(await path(app, { host: 'localhost:' }), 'http://localhost/api/me/playlist')
    for (const host of ['internal', 'evil.example', 'localhost.evil.example', 'localhost@evil.example']) {
      const refused = await get(app, '/api/me/playlist', user.token, { host })
      t.equal(refused.status, 400, host)
      t.strictSame(refused.json, { message: 'The host that the request names is not one of this server.' })
      t.equal((await get(app, '/api/me', user.token, { host })).status, 200, 'which matters to links alone')
    }
    const environment = {
      APP_URL: 'https://api.example.org',
      APP_HOSTS: 'internal, *.preview.example.org',
      TRUSTED_PROXIES: '127.0.0.1',
    }
    const behind = await startApp(t, { database, environment })
    t.equal(await path(behind, forwarded), 'https://api.example.org/api/me/playlist')
    t.equal(
      await path(behind, { host: 'a.preview.example.org' }),
      'https://a.preview.example.org/api/me/playlist',
    )
    const direct = await startApp(t, { database, environment: { ...environment, TRUSTED_PROXIES: '' } })
    t.equal(await path(direct, forwarded), 'https://internal/api/me/playlist')
    const production = await startApp(t, {
      database,
      environment: {
        APP_ENV: 'production',
        APP_URL: 'https://api.example.org',
        TRUSTED_PROXIES: '127.0.0.1',
      },
    })
    t.equal((await get(production, '/api/me/playlist', user.token, { host: 'localhost' })).status, 400)
    t.equal(await path(production, forwarded), 'https://api.example.org/api/me/playlist')
    const evil = { ...forwarded, 'x-forwarded-host': 'evil.example' }
    t.equal((await get(production, '/api/me/playlist', user.token, evil)).status, 400)
  })
}

async function profiles(t: Test, app: TestApp, database: TestDatabase) {
  t.test('GET /api/me/externalprofile: only owned profiles', async t => {
    const user = await aUser(database, { permissions: ['view external profile'] })
    const other = await aUser(database)
    await anExternalProfile(database, other.id)
    await anExternalProfile(database, null)
    const id = await anExternalProfile(database, user.id, { name: 'mine', site: 2, visibility: 1 })
    await database.kysely
      .insertInto('external_entries')
      .values([
        { profile_id: id, status: 4, score: 8.5, is_favorite: true, anime_id: 3 },
        { profile_id: id, status: 0, score: null, is_favorite: false, anime_id: null },
      ])
      .execute()
    const list = (query: Record<string, string>) =>
      get(app, url('/api/me/externalprofile', query), user.token)
    t.strictSame((await list({})).json.externalprofiles, [
      { id, name: 'mine', site: 'Kitsu', visibility: 'Private' },
    ])
    const { json } = await list({ include: 'externalentries,user', 'sort[externalentry]': 'score' })
    t.match(json.externalprofiles[0], {
      user: { name: user.name },
      externalentries: [
        { id: Number, score: null, is_favorite: false, status: 'Watching' },
        { id: Number, score: 8.5, is_favorite: true, status: 'Plan to Watch' },
      ],
    })
    for (const [query, count] of [
      [{ 'filter[externalentry][score-gte]': '8.5' }, 1],
      [{ 'filter[externalentry][score-lt]': '1e1' }, 1],
      [{ 'filter[is_favorite]': 'false' }, 1],
      [{ 'filter[is_favorite]': 'true,false' }, 2],
      [{ 'filter[status]': 'plan to watch,Dropped' }, 1],
      [{ 'filter[score]': '8.5,9' }, 1],
    ] as const) {
      const answer = await list({ include: 'externalentries', ...query } as never)
      t.equal(answer.json.externalprofiles[0].externalentries.length, count, JSON.stringify(query))
    }
    t.strictSame(await errorsOf(app, user.token, '/api/me/externalprofile', { 'filter[score]': 'x' }), {
      'filter.score': ['The filter.score must be a number.'],
    })
    t.strictSame(await errorsOf(app, user.token, '/api/me/externalprofile', { 'filter[score]': '1e999' }), {
      'filter.score': ['The filter.score must be a number.'],
    })
  })
}

async function notifications(t: Test, app: TestApp, database: TestDatabase) {
  const put = (path: string, token?: string, method = 'PUT') =>
    send(app, method, `/api/me/notification${path}`, {
      headers: token === undefined ? {} : { authorization: `Bearer ${token}` },
    })
  const read = async (id: string) =>
    await database.kysely
      .selectFrom('notifications')
      .select(['read_at', 'updated_at'])
      .where('id', '=', id)
      .executeTakeFirstOrThrow()

  t.test('GET /api/me/notification: only owned notifications', async t => {
    const user = await aUser(database, { permissions: ['view notification'] })
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
    const list = (query: Record<string, string>) => get(app, url('/api/me/notification', query), user.token)
    t.strictSame((await list({})).json.notifications, [
      { id, data: { profileId: 3, profileName: 'älice/x' }, read_at: '2026-02-03T04:05:06.000000Z' },
      { id: old, data: [], read_at: null },
    ])
    t.strictSame(
      await errorsOf(app, user.token, '/api/me/notification', { include: 'x' }),
      {
        include: ['The include field is prohibited.'],
      },
      'N11',
    )
    t.strictSame(await errorsOf(app, user.token, '/api/me/notification', { q: 'x' }), {
      q: ['The q field is prohibited.'],
    })
    t.strictSame(await errorsOf(app, user.token, '/api/me/notification', { sort: 'id' }), {
      sort: ['The selected sort is invalid.'],
    })
    t.equal((await list({ 'filter[id]': id.toUpperCase() })).json.notifications.length, 1)
    t.equal((await list({ 'filter[id]': 'no uuid' })).json.notifications.length, 0)
    t.equal((await list({ 'filter[id-like]': `${id.slice(0, 8)}%` })).json.notifications.length, 1)
    t.equal((await list({ 'filter[read_at-gt]': '2026' })).json.notifications.length, 1)
    const dates = await list({ 'fields[notification]': 'created_at,updated_at,type' })
    t.strictSame(dates.json.notifications[1], {
      created_at: '2026-01-01T00:00:00.000000Z',
      updated_at: '2026-01-01T00:00:00.000000Z',
    })
  })

  t.test('marking', async t => {
    const user = await aUser(database, { permissions: ['update notification'] })
    const nobody = await aUser(database)
    const viewer = await aUser(database, { permissions: ['view notification'] })
    const other = await aUser(database, { permissions: ['update notification'] })
    const id = await aNotification(database, user.id)
    const routes = ['/readall', `/${id}/read`, `/${id}/unread`]

    for (const path of routes) {
      t.equal((await put(path)).status, 401, `N1 PUT ${path}`)
      t.equal((await put(path, nobody.token)).status, 403, `N2 PUT ${path}`)
      t.equal((await put(path, viewer.token)).status, 403, `N10 PUT ${path}`)
      const post = await put(path, user.token, 'POST')
      t.equal(post.status, 405, `N13 POST ${path}`)
      t.equal(post.headers.allow, 'PATCH, PUT')
    }
    const own = await aNotification(database, viewer.id)
    t.equal((await put(`/${own}/read`, viewer.token)).status, 403, 'N10')
    t.equal((await read(own)).read_at, null, 'and nothing is done')
    t.strictSame(
      await read(id),
      { read_at: null, updated_at: '2026-02-01 00:00:00' },
      'nothing has changed yet',
    )

    const done = await put(`/${id}/read`, user.token)
    t.equal(done.status, 200, 'N3')
    t.strictSame(done.json, { message: 'Notification was marked as read.' })
    t.strictSame(await read(id), { read_at: '2026-03-01 12:00:00', updated_at: '2026-03-01 12:00:00' })

    app.clock.advance(60_000)
    t.equal((await put(`/${id}/read`, user.token, 'PATCH')).status, 200, 'N4')
    t.equal((await read(id)).read_at, '2026-03-01 12:00:00', 'N5 twice is once')

    const undone = await put(`/${id}/unread`, user.token)
    t.strictSame(undone.json, { message: 'Notification was marked as unread.' }, 'N6')
    t.equal((await read(id)).read_at, null)
    t.equal((await put(`/${id}/unread`, user.token, 'PATCH')).status, 200)

    t.equal((await put(`/${id}/read`, other.token)).status, 403, 'N7')
    t.equal((await read(id)).read_at, null)
    t.equal((await put(`/${randomUUID()}/read`, user.token)).status, 404, 'N8')
    t.strictSame((await put(`/${randomUUID()}/unread`, user.token)).json, { message: 'Not Found.' })
    for (const malformed of ['1', 'x', `${id}0`, id.replaceAll('-', ''), `{${id}}`, '%00', "';--"]) {
      t.equal((await put(`/${encodeURIComponent(malformed)}/read`, user.token)).status, 404, malformed)
    }
    t.equal(
      (await put(`/${randomUUID()}/read`, nobody.token)).status,
      404,
      'a missing row comes before the permission',
    )
    t.equal((await put(`/${randomUUID()}/read`)).status, 401, 'and after who calls')
    t.equal((await put(`/${id.toUpperCase()}/read`, user.token)).status, 200)

    const panel = await aNotification(database, user.id, { type: PANEL_NOTIFICATION })
    t.equal((await put(`/${panel}/read`, user.token)).status, 404, "the panel's own are invisible")
    t.equal((await read(panel)).read_at, null)
  })

  t.test('marking all', async t => {
    const user = await aUser(database, { permissions: ['update notification'] })
    const other = await aUser(database)
    const already = await aNotification(database, user.id, { readAt: '2026-01-01 00:00:00' })
    const unread = await aNotification(database, user.id)
    const panel = await aNotification(database, user.id, { type: PANEL_NOTIFICATION })
    const robots = await aNotification(database, user.id, { userType: 'App\\Models\\Robot' })
    const theirs = await aNotification(database, other.id)
    const message = { message: 'All unread notifications were marked as read.' }
    t.strictSame((await put('/readall', user.token)).json, message, 'N9')
    t.strictSame((await put('/readall', user.token, 'PATCH')).json, message, 'N9 with none left')
    t.equal((await read(already)).read_at, '2026-01-01 00:00:00')
    t.ok((await read(unread)).read_at)
    for (const id of [panel, robots, theirs]) t.equal((await read(id)).read_at, null)
    for (const [type, payload] of [
      ['application/json', ''],
      ['application/json', '{}'],
      ['application/x-www-form-urlencoded', ''],
      ['application/x-www-form-urlencoded', '_method=PUT'],
    ] as const) {
      const headers = { authorization: `Bearer ${user.token}`, 'content-type': type }
      t.equal(
        (await send(app, 'PUT', '/api/me/notification/readall', { headers, payload })).status,
        200,
        `${type} ${payload}`,
      )
    }
  })
}

async function website(t: Test, app: TestApp, database: TestDatabase) {
  t.test("the calls of AnimeThemes' website get what it reads", async t => {
    const user = await aUser(database, { roles: ['Verified'] })
    for (let i = 0; i < 30; i += 1) {
      const { id } = await aPlaylist(database, user.id, { name: `p${i}`, visibility: i % 3 })
      if (i % 10 === 0) await addTracks(database, id, [2712])
    }
    for (const include of ['permissions,roles.permissions', 'roles.permissions,permissions']) {
      const { json } = await get(
        app,
        `/api/me?fields[user]=id,name,email,email_verified_at,created_at&include=${include}`,
        user.token,
      )
      t.match(json.user, {
        id: user.id,
        name: user.name,
        email: user.email,
        created_at: String,
        email_verified_at: String,
      })
      t.strictSame(json.user.permissions, [])
      t.ok(json.user.roles[0].permissions.some(({ name }: { name: string }) => name === 'create playlist'))
    }
    const collected: { tracks_count: number; name: string }[] = []
    let next: string | null =
      '/api/me/playlist?fields[playlist]=id,name,visibility,tracks_count&filter[track][video_id]=2712&page[size]=25'
    while (next !== null) {
      const {
        json,
      }: { json: { playlists: { tracks_count: number; name: string }[]; links: { next: string | null } } } =
        await get(app, next, user.token)
      collected.push(...json.playlists)
      next = json.links.next
    }
    t.equal(collected.length, 30)
    t.equal(collected.filter(({ tracks_count }) => tracks_count === 1).length, 3)
    t.strictSame(Object.keys(collected[0] ?? {}), ['id', 'name', 'visibility', 'tracks_count'])
    const included = await get(app, '/api/me/playlist?include=tracks&page[size]=25', user.token)
    t.equal(included.json.playlists.length, 25)
    t.equal((await get(app, '/api/me')).status, 401, 'and nobody is logged out')
  })
}

async function cost(t: Test, app: TestApp, database: TestDatabase) {
  t.test('a list costs one statement for who calls, one for the list, and one for each include', async t => {
    const user = await aUser(database, { roles: ['Verified'] })
    const { id } = await aPlaylist(database, user.id)
    await addTracks(database, id, [1, 2, 3])
    await aPlaylist(database, user.id)
    await anExternalProfile(database, user.id)
    const notification = await aNotification(database, user.id)
    const count = async (path: string, method = 'GET') => {
      database.statements.length = 0
      const { status } = await send(app, method, path, { headers: { authorization: `Bearer ${user.token}` } })
      t.equal(status, 200, path)
      return database.statements.length
    }
    t.equal(await count('/api/me'), 1)
    t.equal(await count('/api/me?fields[user]=created_at,deleted_at'), 1)
    t.equal(await count('/api/me?include=playlists,roles.permissions,permissions'), 1 + 4)
    t.equal(await count('/api/me/playlist'), 2)
    t.equal(
      await count('/api/me/playlist?fields[playlist]=tracks_count&filter[has]=tracks&sort=tracks_count'),
      2,
    )
    t.equal(await count('/api/me/playlist?include=tracks.next,tracks.previous,first,last,user'), 2 + 6)
    t.equal(await count('/api/me/externalprofile'), 2)
    t.equal(await count('/api/me/notification'), 2)
    t.equal(await count(`/api/me/notification/${notification}/read`, 'PUT'), 2)
    t.equal(await count(`/api/me/notification/${notification}/unread`, 'PUT'), 2)
    t.equal(await count('/api/me/notification/readall', 'PUT'), 2)
  })
}

t.test('of ten thousand playlists a page reads no more than it must', async t => {
  const database = await createDatabase(t, 'postgres')
  t.teardown(() => database.close())
  const app = await startApp(t, { database, environment: UNLIMITED })
  const user = await aUser(database, { permissions: ['view playlist'] })
  const other = await aUser(database)
  for (const owner of [user.id, other.id]) {
    await sql`
      insert into playlists (name, visibility, user_id, hashid, created_at, updated_at)
      select 'playlist ' || n, n % 3, ${owner}::bigint, ${owner}::bigint || '-' || n,
        timestamp '2026-01-01' + n * interval '1 second', timestamp '2026-01-01'
      from generate_series(1, 10000) as n`.execute(database.kysely)
  }
  await sql`vacuum analyze playlists`.execute(database.kysely)

  for (const page of [1, 600]) {
    database.queries.length = 0
    const { json } = await get(app, url('/api/me/playlist', { 'page[number]': page }), user.token)
    t.equal(json.playlists[0]?.name, `playlist ${10_000 - (page - 1) * 15}`)
    const query = database.queries.find(({ text }) => text.includes('from "playlists"'))
    const session = await database.source.acquire()
    const { rows } = await session.query(
      `explain (analyze, format json) ${query?.text}`,
      query?.parameters ?? [],
    )
    await session.release()
    const nodes: { type: string; rows: number }[] = []
    // biome-ignore lint/suspicious/noExplicitAny: a plan is JSON of PostgreSQL's making
    const walk = (node: any) => {
      if (node['Relation Name'] === 'playlists') {
        nodes.push({ type: node['Node Type'], rows: node['Actual Rows'] * node['Actual Loops'] })
        t.equal(node['Rows Removed by Filter'] ?? 0, 0, 'nothing is read in vain')
      }
      for (const child of node.Plans ?? []) walk(child)
    }
    // biome-ignore lint/suspicious/noExplicitAny: as above
    walk((rows[0] as any)['QUERY PLAN'][0].Plan)
    const whole = nodes
      .filter(({ type }) => type !== 'Index Only Scan')
      .reduce((sum, { rows }) => sum + rows, 0)
    const keys = nodes
      .filter(({ type }) => type === 'Index Only Scan')
      .reduce((sum, { rows }) => sum + rows, 0)
    t.equal(
      whole,
      16,
      `page ${page}: as many rows as it shows, and one to know whether there is another page`,
    )
    t.equal(keys, page * 15 + 1, `page ${page}: found in the index alone`)
  }
})
