import { sql } from 'kysely'
import t from 'tap'
import { addTracks, aPlaylist } from '../../../fixtures/lists.ts'
import { urlOf } from '../../../fixtures/queries.ts'
import { UNLIMITED } from '../../../fixtures/settings.ts'
import { aUser } from '../../../fixtures/users.ts'
import { get, send, startApp } from '../../../support/app.ts'
import { createDatabase, ENGINES } from '../../../support/databases.ts'

const PATH = '/api/me/playlist'
const permissions = ['view playlist']

for (const engine of ENGINES) {
  t.test(`GET /api/me/playlist on ${engine}`, async t => {
    const database = await createDatabase(t, engine)
    t.teardown(() => database.close())
    const app = await startApp(t, { database, environment: UNLIMITED })
    const list = (token: string, query: Record<string, string | number> = {}) =>
      get(app, urlOf(PATH, query), token)
    /** A user with a playlist of three tracks, and an older one without tracks. */
    const aUserWithPlaylists = async () => {
      const user = await aUser(database, { permissions })
      await aPlaylist(database, user.id, { name: 'empty', createdAt: '2026-01-01 00:00:00' })
      const full = await aPlaylist(database, user.id, {
        name: 'full',
        createdAt: '2026-02-01 12:34:56.123456',
      })
      const tracks = await addTracks(database, full.id, [2712, 2712, 3814])
      return { user, tracks: tracks.map(({ hashid }) => hashid) }
    }

    await t.test('a guest gets 401', async t => {
      t.equal((await get(app, PATH)).status, 401)
      t.equal((await get(app, `${PATH}?page[size]=x`)).status, 401, 'before the query is validated')
    })

    await t.test('a user without the permission gets 403', async t => {
      const { token } = await aUser(database)
      t.equal((await get(app, PATH, token)).status, 403)
      t.equal((await get(app, `${PATH}?page[size]=x`, token)).status, 403, 'before the query is validated')
    })

    await t.test('a user with a prohibition is banned, and may use what is not prohibited', async t => {
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

    await t.test('of several users with the same query each gets the own playlists', async t => {
      const [first, second] = [await aUserWithPlaylists(), await aUser(database, { permissions })]
      await aPlaylist(database, second.id, { name: 'of the second' })
      const namesOf = async (token: string, query = {}) =>
        (await list(token, query)).json.playlists.map(({ name }: { name: string }) => name)
      for (const query of [{}, { 'page[size]': 1 }, { 'filter[name-ne]': 'x' }, { include: 'tracks' }]) {
        const size = 'page[size]' in query ? 1 : 2
        t.strictSame(await namesOf(first.user.token, query), ['full', 'empty'].slice(0, size))
        t.strictSame(await namesOf(second.token, query), ['of the second'])
        t.strictSame(await namesOf(first.user.token, query), ['full', 'empty'].slice(0, size))
      }
    })

    await t.test('a user without playlists gets an empty list, to HEAD as well', async t => {
      const user = await aUser(database, { permissions })
      const { json, status } = await list(user.token)
      t.equal(status, 200)
      t.strictSame(json.playlists, [])
      t.match(json.meta, { from: null, to: null, current_page: 1, per_page: 15 })
      const head = await send(app, 'HEAD', PATH, { headers: { authorization: `Bearer ${user.token}` } })
      t.equal(head.status, 200)
    })

    await t.test('the list has the own playlists of every visibility, newest first', async t => {
      const user = await aUser(database, { permissions })
      const other = await aUser(database)
      await aPlaylist(database, other.id)
      const made = []
      for (const [index, visibility] of [0, 1, 2].entries()) {
        made.push(
          await aPlaylist(database, user.id, { visibility, createdAt: `2026-02-0${index + 1} 00:00:00` }),
        )
      }
      const { json } = await list(user.token)
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

    await t.test('tracks, their neighbours, the first, the last and the owner can be included', async t => {
      const {
        user,
        tracks: [first, second, third],
      } = await aUserWithPlaylists()
      const { json } = await list(user.token, {
        include: 'first,last,tracks.previous,tracks.next,user',
        'fields[playlist]': 'created_at,name,tracks_exists,tracks_count,user_id',
      })
      t.strictSame(json.playlists, [
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
    })

    await t.test('fields that are never shown leave objects empty', async t => {
      const { user } = await aUserWithPlaylists()
      const { json } = await list(user.token, {
        'fields[playlist]': 'user_id',
        'fields[track]': 'video_id',
        include: 'tracks',
      })
      t.strictSame(json.playlists, [{ tracks: [{}, {}, {}] }, { tracks: [] }])
    })

    await t.test('a filter on tracks filters included tracks, and not the playlists', async t => {
      const { user, tracks } = await aUserWithPlaylists()
      const { json } = await list(user.token, {
        include: 'tracks',
        'filter[track][video_id]': '2712',
        'sort[track]': '-id',
        'fields[track]': 'id,created_at',
      })
      t.equal(json.playlists.length, 2)
      t.strictSame(
        json.playlists[0].tracks.map(({ id }: { id: string }) => id),
        tracks.slice(0, 2).sort().reverse(),
      )
      t.match(json.playlists[0].tracks[0].created_at, /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z$/)
    })

    await t.test('tracks_count counts the tracks that a filter matches', async t => {
      const user = await aUser(database, { permissions })
      const { id } = await aPlaylist(database, user.id)
      await addTracks(database, id, [2712, 2712, 5])
      const { json } = await list(user.token, {
        'fields[playlist]': 'id,name,tracks_count',
        'filter[track][video_id]': 2712,
      })
      t.match(json.playlists, [{ tracks_count: 2 }])
      const nothing = { 'fields[playlist]': 'tracks_count,tracks_exists', 'filter[video_id]': 777 }
      const none = await list(user.token, nothing)
      t.match(
        none.json.playlists,
        [{ tracks_count: 0, tracks_exists: false }],
        'by a filter without a type as well',
      )
    })

    await t.test('a list takes one statement, and one for each include', async t => {
      const user = await aUser(database, { roles: ['Verified'] })
      const { id } = await aPlaylist(database, user.id)
      await addTracks(database, id, [1, 2, 3])
      await aPlaylist(database, user.id)
      // The first look-up also reads the permissions.
      await list(user.token)
      const count = async (path: string) => {
        database.statements.length = 0
        t.equal((await get(app, path, user.token)).status, 200, path)
        return database.statements.length
      }
      const authentication = 1
      t.equal(await count(PATH), authentication + 1)
      t.equal(
        await count(`${PATH}?fields[playlist]=tracks_count&filter[has]=tracks&sort=tracks_count`),
        authentication + 1,
      )
      t.equal(
        await count(`${PATH}?include=tracks.next,tracks.previous,first,last,user`),
        authentication + 1 + 6,
      )
    })
  })
}

t.test('of ten thousand playlists a page reads no more rows than it shows', async t => {
  const database = await createDatabase(t, 'postgres')
  t.teardown(() => database.close())
  const app = await startApp(t, { database, environment: UNLIMITED })
  const user = await aUser(database, { permissions })
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
    const { json } = await get(app, urlOf(PATH, { 'page[number]': page }), user.token)
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
        t.equal(node['Rows Removed by Filter'] ?? 0, 0, 'no row is read and discarded')
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
      `page ${page}: the rows that it shows, and one that tells whether there is another page`,
    )
    const skipped = page === 1 ? 0 : page * 15 + 1
    t.equal(keys, skipped, `page ${page}: the others are skipped in the index`)
  }
})
