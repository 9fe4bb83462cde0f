import t from 'tap'
import { errorsOf } from '../../../fixtures/answers.ts'
import { asGuest, withToken } from '../../../fixtures/callers.ts'
import { addTracks, aPlaylist } from '../../../fixtures/lists.ts'
import {
  addVariedPlaylists,
  deletePlaylists,
  onePlaylist,
  PLAYLIST_PATH,
  PRIVATE,
  playlistIds,
  playlistNames,
  UNLISTED,
  type VariedPlaylist,
  VISIBILITIES,
} from '../../../fixtures/playlists.ts'
import { urlOf } from '../../../fixtures/queries.ts'
import { startUnlimited } from '../../../fixtures/server.ts'
import { jsonTime } from '../../../fixtures/timestamps.ts'
import { aUser } from '../../../fixtures/users.ts'
import { createDatabase, ENGINES } from '../../../support/databases.ts'

type Query = Readonly<Record<string, string | number>>

const listUrl = (query: Query) => urlOf(PLAYLIST_PATH, query)
const oneUrl = (hashid: string, query: Query) => urlOf(onePlaylist(hashid), query)

const SORTS = [
  ...['created_at', 'updated_at', 'id', 'name', 'description', 'visibility'],
  ...['tracks_exists', 'tracks_count'],
]

/** The ids of playlists in an order: null first, texts other than ids without regard to case, equal rows by age. */
function sortedIds(rows: readonly VariedPlaylist[], sort: string): string[] {
  const comparable = (row: VariedPlaylist, key: keyof VariedPlaylist) => {
    const value = row[key]
    return typeof value === 'string' && key !== 'id' ? value.toLowerCase() : value
  }
  const sorted = rows.toSorted((one, other) => {
    for (const item of [...sort.split(','), 'key']) {
      const key = item.replace(/^-/, '') as keyof VariedPlaylist
      const [a, b] = [comparable(one, key), comparable(other, key)]
      const difference = a === b ? 0 : a === null || (b !== null && a < b) ? -1 : 1
      if (difference !== 0) return item.startsWith('-') ? -difference : difference
    }
    return 0
  })
  return sorted.map(({ id }) => id)
}

const FIELDS = [
  ...['created_at', 'updated_at', 'playlist_id', 'id', 'first_id', 'last_id', 'name', 'description'],
  ...['user_id', 'visibility', 'tracks_exists', 'tracks_count'],
]

/** The JSON of a playlist with a sparse fieldset: keys of the database are accepted and not shown. */
function fieldsOf(row: VariedPlaylist, fields: readonly string[]) {
  const values = {
    created_at: jsonTime(row.created_at),
    updated_at: jsonTime(row.updated_at),
    ...{ id: row.id, name: row.name, description: row.description },
    visibility: VISIBILITIES[row.visibility],
    ...{ tracks_exists: row.tracks_exists, tracks_count: row.tracks_count },
  }
  return Object.fromEntries(Object.entries(values).filter(([name]) => fields.includes(name)))
}

const UNKNOWN_TYPE = { fields: ['The fields must be an array.'] }
const UNKNOWN_FILTER = { filter: ['The filter must be an array.'] }
const UNKNOWN_FIELD = { 'fields.playlist': ['The selected playlist is invalid.'] }
const UNKNOWN_INCLUDE = { include: ['The selected include is invalid.'] }
const UNKNOWN_SORT = { sort: ['The selected sort is invalid.'] }
const UNTYPED_SORT = { sort: ['The sort must be an array.'] }
const PROHIBITED_PAGE = { page: ['The page field is prohibited.'] }
const DUPLICATES = ['You may not specify duplicates.']
const INVALID_VISIBILITY = { 'filter.visibility': ['The selected filter.visibility is invalid.'] }

type Case = readonly [query: Query, errors: object]

/** Queries that are invalid for the list and for one playlist. */
const INVALID: readonly Case[] = [
  [{ 'fields[unknown]': 'id' }, UNKNOWN_TYPE],
  [{ 'fields[notification]': 'id' }, UNKNOWN_TYPE],
  [{ fields: 'id' }, UNKNOWN_TYPE],
  [{ 'fields[playlist]': 'views_count' }, UNKNOWN_FIELD],
  [{ 'fields[playlist]': 'Name' }, UNKNOWN_FIELD],
  [{ 'fields[playlist]': 'id,id' }, { 'fields.playlist': DUPLICATES }],
  [{ include: 'user,user' }, { include: DUPLICATES }],
  [{ 'fields[playlist]': '' }, { 'fields.playlist': ['The fields.playlist field is required.'] }],
  [{ include: '' }, { include: ['The include field is required.'] }],
  ...[
    ...['Tracks', 'playlist', 'tracks.playlist', 'tracks.user', 'first.video', 'user.playlists'],
    ...['tracks.animethemeentry.videos', 'tracks.animethemeentry.animetheme.animethemeentries'],
    ...['tracks.video.animethemeentries', 'tracks.animethemeentry.animetheme.song.artists.images'],
    ...['tracks.next.next', 'views'],
  ].map(include => [{ include }, UNKNOWN_INCLUDE] as const),
  [{ 'filter[trashed]': 'with' }, UNKNOWN_FILTER],
  [{ 'filter[user_id]': 1 }, UNKNOWN_FILTER],
  [{ 'filter[tracks.video_id]': 1 }, UNKNOWN_FILTER],
  [{ 'filter[facet]': 'Sideways' }, { 'filter.facet': ['The selected filter.facet is invalid.'] }],
  [{ 'sort[role]': 'id' }, UNTYPED_SORT],
  [{ 'sort[track]': 'name' }, { 'sort.track': ['The selected track is invalid.'] }],
  [{ 'sort[track]': 'id,-id' }, { 'sort.track': ['The sort.track field has a duplicate value.'] }],
]

const INVALID_FOR_LIST: readonly Case[] = [
  [
    { 'filter[tracks_count]': '1,2' },
    { 'filter.tracks_count': ['The filter.tracks count field is prohibited.'] },
  ],
  [{ 'page[size]': 101 }, { 'page.size': ['The page.size must not be greater than 100.'] }],
  [{ 'page[size]': 0 }, { 'page.size': ['The page.size must be at least 1.'] }],
  [{ 'page[size]': 'abc' }, { 'page.size': ['The page.size must be an integer.'] }],
  [{ 'page[number]': 0 }, { 'page.number': ['The page.number must be at least 1.'] }],
  [{ 'page[number]': 'abc' }, { 'page.number': ['The page.number must be an integer.'] }],
  [{ 'page[limit]': 5 }, { page: ['The page must be an array.'] }],
  [{ sort: 'name,name' }, { sort: DUPLICATES }],
  [{ sort: 'name,-name' }, { sort: ['The sort field has a duplicate value.'] }],
  [{ sort: 'random,name' }, { sort: ['The sort field prohibits random unless it is the sole value.'] }],
  [{ sort: '-random' }, UNKNOWN_SORT],
  [{ sort: 'user_id' }, UNKNOWN_SORT],
  [{ sort: 'tracks.id' }, UNKNOWN_SORT],
  [{ 'filter[visibility]': 'secret' }, INVALID_VISIBILITY],
  [{ 'filter[visibility]': 0 }, INVALID_VISIBILITY],
  [
    { 'filter[created_at]': 'today' },
    { 'filter.created_at': ['The filter.created at does not match the format Y-m-d\\TH:i:s.u.'] },
  ],
  [{ 'filter[has]': 'views' }, { 'filter.has': ['The selected filter.has is invalid.'] }],
  [{ 'filter[track][has]': 'next' }, { 'filter.track': ['The filter.track must be an array.'] }],
]

const INVALID_FOR_ONE: readonly Case[] = [
  [{ 'page[size]': 1 }, PROHIBITED_PAGE],
  [{ 'page[number]': 1 }, PROHIBITED_PAGE],
  [{ q: 'x' }, { q: ['The q field is prohibited.'] }],
  [{ sort: 'name' }, UNTYPED_SORT],
  [{ 'sort[playlist]': 'name' }, UNTYPED_SORT],
  [{ 'filter[playlist][name]': 'x' }, UNKNOWN_FILTER],
  [{ 'filter[visibility]': 'public' }, UNKNOWN_FILTER],
  [{ 'filter[has]': 'tracks' }, UNKNOWN_FILTER],
]

for (const engine of ENGINES) {
  t.test(`queries of playlists on ${engine}`, async t => {
    const database = await createDatabase(t, engine)
    t.teardown(() => database.close())
    const app = await startUnlimited(t, database, { HIDE_PRIVATE: 'off' })
    t.beforeEach(() => deletePlaylists(database))
    const guest = asGuest(app)
    const list = (query: Query) => guest('GET', listUrl(query))

    t.test('sort orders the list by each field in both directions, and by several', async t => {
      const rows = await addVariedPlaylists(database)
      for (const sort of [
        ...SORTS.flatMap(key => [key, `-${key}`]),
        ...['tracks_count,-name', '-description,-created_at', 'tracks_exists,updated_at,id'],
      ]) {
        t.strictSame(playlistIds(await list({ sort })), sortedIds(rows, sort), `sort=${sort}`)
      }
      const random = playlistIds(await list({ sort: 'random' }))
      t.strictSame(random.sort(), rows.map(({ id }) => id).sort(), 'sort=random lists the same rows')
      const typed = await list({ 'sort[playlist]': '-name' })
      t.strictSame(playlistIds(typed), sortedIds(rows, '-name'), 'sort[playlist]=-name')
    })

    t.test('sort by tracks_count counts the tracks that match a filter of tracks', async t => {
      const rows = await addVariedPlaylists(database)
      const found = await list({ 'filter[track][video_id]': 1, sort: '-tracks_count,name' })
      t.strictSame(playlistIds(found), sortedIds(rows, 'name'))
    })

    t.test('sort without a type also orders included tracks', async t => {
      await addVariedPlaylists(database)
      const { json } = await list({ include: 'tracks', sort: '-id' })
      for (const { tracks } of json.playlists) {
        const ids = tracks.map(({ id }: { id: string }) => id)
        t.strictSame(ids, ids.toSorted().reverse())
      }
    })

    for (const [field, key] of [
      ['created_at', 'createdAt'],
      ['updated_at', 'updatedAt'],
    ] as const) {
      t.test(`filter[${field}] finds the playlists of a day`, async t => {
        const user = await aUser(database)
        for (const day of ['2026-01-10', '2026-01-11']) {
          for (let i = 0; i < 20; i += 1) {
            const at = { createdAt: '2026-01-01 00:00:00', updatedAt: '2026-01-01 00:00:00' }
            await aPlaylist(database, user.id, { name: day, ...at, [key]: `${day} 00:00:00` })
          }
        }
        const found = await list({ [`filter[${field}]`]: '2026-01-10', 'page[size]': 100 })
        t.strictSame(playlistNames(found), Array(20).fill('2026-01-10'))
        t.strictSame(playlistNames(await list({ [`filter[${field}]`]: '2026-01-12' })), [])
      })
    }

    t.test('filters never find private or unlisted playlists, even for their owner', async t => {
      const rows = await addVariedPlaylists(database)
      const owner = await aUser(database, { permissions: ['view playlist'] })
      await aPlaylist(database, owner.id, { name: 'alpha secret', visibility: PRIVATE })
      await aPlaylist(database, owner.id, { name: 'alpha unlisted', visibility: UNLISTED })
      const all = rows.map(({ name }) => name)
      const withTracks = ['Alpha', 'charlie', 'Bravo', 'alpha']
      for (const [query, expected] of [
        [{ 'filter[playlist][tracks_count-gte]': 1 }, withTracks],
        [{ 'filter[tracks_count]': 3 }, ['Bravo']],
        [{ 'filter[tracks_exists]': 'false' }, ['delta', 'echo']],
        [{ 'filter[has]': 'tracks' }, withTracks],
        [{ 'filter[has-lt]': 'tracks' }, ['delta', 'echo']],
        [{ 'filter[has]': 'images' }, []],
        [{ 'filter[name-like]': 'alp%' }, ['Alpha', 'alpha']],
        [{ 'filter[name-like]': '%a' }, ['delta', 'Alpha', 'alpha']],
        [{ 'filter[name-like]': 'a' }, []],
        [{ 'filter[name]': 'ALPHA' }, ['Alpha', 'alpha']],
        [{ 'filter[id]': 'aB2' }, ['Alpha']],
        [{ 'filter[id]': 'AB2' }, []],
        [{ 'filter[description-ne]': 'b' }, ['charlie', 'echo']],
        [{ 'filter[created_at-gte]': '2026-01-03', 'filter[created_at-lt]': '2026-01-05' }, ['delta']],
        [{ 'filter[visibility]': 'PUBLIC' }, all],
        [{ 'filter[visibility]': 'private' }, []],
        [{ 'filter[visibility]': 'public,private,unlisted' }, all],
        [{ 'filter[visibility-ne]': 'public' }, []],
        [{ 'filter[name]': 'x', 'filter[name-like-or]': 'alpha%' }, ['Alpha', 'alpha']],
        [{ 'filter[visibility-or]': 'private', 'filter[has-lt-or]': 'tracks' }, ['delta', 'echo']],
      ] as [Query, string[]][]) {
        const found = await withToken(app, owner)('GET', listUrl(query))
        t.strictSame(playlistNames(found), expected, JSON.stringify(query))
      }
    })

    t.test('tracks_count and tracks_exists count the tracks that match a filter of tracks', async t => {
      const user = await aUser(database)
      const { id, hashid } = await aPlaylist(database, user.id)
      await addTracks(database, id, [2712, 3814, 2712])
      await aPlaylist(database, user.id)
      const fields = { 'fields[playlist]': 'tracks_count,tracks_exists' }
      const query = { ...fields, 'filter[track][video_id]': 2712 }
      const two = { tracks_exists: true, tracks_count: 2 }
      const none = { tracks_exists: false, tracks_count: 0 }
      t.strictSame((await list(query)).json.playlists, [two, none])
      t.strictSame((await guest('GET', oneUrl(hashid, query))).json, { playlist: two })
      const other = { ...fields, 'filter[track][video_id]': 99 }
      t.strictSame((await guest('GET', oneUrl(hashid, other))).json, { playlist: none })
    })

    t.test('fields[playlist] selects the fields of the list and of one playlist', async t => {
      const rows = await addVariedPlaylists(database)
      const [row] = rows as [VariedPlaylist]
      for (const fields of [
        ...FIELDS.map(field => [field]),
        ...FIELDS.map(field => FIELDS.filter(name => name !== field)),
        ...[FIELDS, FIELDS.toReversed()],
      ]) {
        const query = { 'fields[playlist]': fields.join() }
        const label = fields.length === 1 ? fields.join() : `${fields.length} of ${FIELDS.length} fields`
        const { json } = await list(query)
        const expected = rows.map(row => fieldsOf(row, fields))
        t.strictSame(json.playlists, expected, label)
        t.strictSame(Object.keys(json.playlists[0]), Object.keys(expected[0] ?? {}), 'their order is fixed')
        const one = await guest('GET', oneUrl(row.id, query))
        t.strictSame(one.json, { playlist: fieldsOf(row, fields) }, `one playlist, ${label}`)
      }
    })

    t.test('an invalid query returns 422 with the error of the parameter', async t => {
      const user = await aUser(database)
      const { hashid } = await aPlaylist(database, user.id)
      for (const [query, errors] of [...INVALID, ...INVALID_FOR_LIST])
        t.strictSame(errorsOf(await list(query)), errors, `the list with ${JSON.stringify(query)}`)
      for (const [query, errors] of [...INVALID, ...INVALID_FOR_ONE]) {
        const answer = await guest('GET', oneUrl(hashid, query))
        t.strictSame(errorsOf(answer), errors, `one playlist with ${JSON.stringify(query)}`)
      }
      const { json } = await list({ 'page[size]': 0, sort: 'x', 'filter[nope]': 1 })
      t.equal(json.message, 'The filter must be an array. (and 2 more errors)')
    })

    t.test('unknown parameters are ignored', async t => {
      const user = await aUser(database)
      const { hashid } = await aPlaylist(database, user.id)
      for (const path of [PLAYLIST_PATH, onePlaylist(hashid)])
        t.equal((await guest('GET', urlOf(path, { unknown: 1, 'un[known]': 2 }))).status, 200, path)
    })
  })
}
