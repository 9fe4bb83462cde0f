import t from 'tap'
import { errorsOf } from '../../../../fixtures/answers.ts'
import { anEntryVideo } from '../../../../fixtures/lists.ts'
import { urlOf } from '../../../../fixtures/queries.ts'
import { flipCase } from '../../../../fixtures/requests.ts'
import {
  aPlaylistWithTracks,
  lettersOf,
  ORDER,
  type PlaylistWithTracks,
  TRACK_READS,
  TRACK_SETTINGS,
  trackAt,
  trackOf,
  tracksUrl,
  urlIn,
} from '../../../../fixtures/tracks.ts'
import { aUser } from '../../../../fixtures/users.ts'
import { aWiki } from '../../../../fixtures/wiki.ts'
import { type Answer, get, startApp } from '../../../../support/app.ts'
import { createDatabase, ENGINES, type TestDatabase } from '../../../../support/databases.ts'

type Query = Record<string, string | number>

const idsOf = ({ json }: Answer): string[] => json.tracks.map(({ id }: { id: string }) => id)

/** The listed tracks of a playlist in letters; the body of an answer that is not 200. */
const listed = (playlist: PlaylistWithTracks, answer: Answer) =>
  answer.status === 200 ? lettersOf(playlist, idsOf(answer)).join('') : answer.json

/** Adds a playlist whose tracks A to F differ in dates, entries and videos, and another playlist. */
async function addVariedTracks(database: TestDatabase) {
  const owner = await aUser(database)
  const [content, other] = [await anEntryVideo(database), await anEntryVideo(database)]
  const wiki = (await aWiki(database)).content
  const playlist = await aPlaylistWithTracks(database, owner, { count: 6, order: 'FBDACE' })
  await aPlaylistWithTracks(database, owner, { content })
  for (const [letter, created, updated, values] of [
    ['A', '2024-05-06 00:00:00', '2025-01-01 00:00:00', content],
    ['B', '2024-05-06 00:00:00', '2025-01-02 00:00:00', other],
    ['C', '2023-01-01 00:00:00', '2025-01-02 00:00:00', { entry_id: null, video_id: null }],
    ['D', '2026-01-01 00:00:00.000001', '2025-06-01 00:00:00', { ...content, video_id: other.video_id }],
    ['E', '2026-01-01 00:00:00', '2024-01-01 00:00:00', content],
    ['F', '2022-01-01 00:00:00', '2026-01-01 00:00:00', wiki],
  ] as const) {
    await database.kysely
      .updateTable('playlist_tracks')
      .set({ created_at: created, updated_at: updated, ...values })
      .where('track_id', '=', trackOf(playlist, letter).id)
      .execute()
  }
  return { playlist, content, other, wiki }
}

for (const engine of ENGINES) {
  t.test(`lists of playlist tracks on ${engine}`, async t => {
    const database = await createDatabase(t, engine)
    t.teardown(() => database.close())
    const app = await startApp(t, { database, environment: TRACK_SETTINGS })

    t.test('GET /track sorts by dates, by ids and at random', async t => {
      const { playlist } = await addVariedTracks(database)
      const list = async (query: Query) =>
        listed(playlist, await get(app, urlOf(tracksUrl(playlist), { 'page[size]': 100, ...query })))
      const byHashid = [...'ABCDEF']
        .sort((one, other) => (trackOf(playlist, one).hashid < trackOf(playlist, other).hashid ? -1 : 1))
        .join('')
      for (const [sort, expected] of [
        ['created_at', 'FCABED'],
        ['-created_at', 'DEABCF'],
        ['updated_at', 'EABCDF'],
        ['-updated_at', 'FDBCAE'],
        ['id', byHashid],
        ['-id', [...byHashid].reverse().join('')],
        ['created_at,-updated_at', 'FCBAED'],
        ['updated_at,-created_at', 'EABCDF'],
        ['-updated_at,created_at', 'FDCBAE'],
      ] as const) {
        t.equal(await list({ sort }), expected, sort)
        t.equal(await list({ 'sort[track]': sort }), expected, `${sort} of the type track`)
      }
      t.equal([...(await list({ sort: 'random' }))].sort().join(''), 'ABCDEF', 'random')
    })

    t.test('GET /track rejects other sorts', async t => {
      const playlist = await aPlaylistWithTracks(database, await aUser(database))
      for (const sort of [
        ...['entry_id', 'video_id', 'track_id', 'position'],
        ...['next', 'next_id', 'playlist_id', '-random'],
      ]) {
        const errors = errorsOf(await get(app, urlOf(tracksUrl(playlist), { sort })))
        t.strictSame(errors, { sort: ['The selected sort is invalid.'] }, sort)
      }
    })

    t.test('GET /track filters by dates, entries, videos, ids and relations', async t => {
      const { playlist, content, other, wiki } = await addVariedTracks(database)
      const { hashid } = trackOf(playlist, 'D')
      for (const [query, expected] of [
        [{ 'filter[created_at]': '2024-05-06' }, 'AB'],
        [{ 'filter[created_at]': '2023' }, 'C'],
        [{ 'filter[created_at-gte]': '2026' }, 'DE'],
        [{ 'filter[created_at-gt]': '2026' }, 'D'],
        [{ 'filter[created_at]': '2026-01-01T00:00:00.000001' }, 'D'],
        [{ 'filter[created_at]': '2022,2023' }, 'CF'],
        [{ 'filter[updated_at]': '2025-01-02' }, 'BC'],
        [{ 'filter[updated_at-lt]': '2025-01-02' }, 'AE'],
        [{ 'filter[updated_at-ne]': '2025-01-02' }, 'ADEF'],
        [{ 'filter[track][updated_at-gte]': '2026' }, 'F'],
        [{ 'filter[entry_id]': content.entry_id }, 'ADE'],
        [{ 'filter[video_id]': content.video_id }, 'AE'],
        [{ 'filter[video_id-ne]': content.video_id }, 'BDF'],
        [{ 'filter[video_id]': `${content.video_id},${wiki.video_id}` }, 'AEF'],
        [{ 'filter[track][video_id-gte]': other.video_id }, 'BDF'],
        [{ 'filter[id]': hashid }, 'D'],
        [{ 'filter[id]': flipCase(hashid) }, ''],
        [{ 'filter[id-not]': `${hashid},x` }, 'ABCEF'],
        [{ 'filter[has]': 'video' }, 'ABDEF'],
        [{ 'filter[has-lt]': 'video' }, 'C'],
        [{ 'filter[has]': 'animethemeentry.animetheme.song.artists' }, 'F'],
        [{ 'filter[has]': 'next' }, 'ABCDF'],
        [{ 'filter[has-lt]': 'next' }, 'E'],
        [{ 'filter[has]': 'previous' }, 'ABCDE'],
        [{ 'filter[has-lt]': 'previous' }, 'F'],
        [{ 'filter[has]': 'playlist' }, 'ABCDEF'],
        [{ 'filter[has]': 'next', 'filter[has-lt]': 'previous' }, 'F'],
        [{ 'filter[has]': 'next,previous' }, 'ABCD'],
        [{ 'filter[has]': 'animethemeentry', 'filter[animethemeentry][version]': '2' }, 'F'],
        [{ 'filter[created_at]': '2022', 'filter[updated_at-or]': '2025-06' }, 'DF'],
        // An alternative must not find tracks of other playlists.
        [{ 'filter[created_at]': '1999', 'filter[entry_id-or]': wiki.entry_id }, 'F'],
      ] as [Query, string][]) {
        const answer = await get(app, urlOf(tracksUrl(playlist), { 'page[size]': 100, ...query }))
        t.equal(listed(playlist, answer), expected, JSON.stringify(query))
      }
    })

    t.test('GET /track rejects other filters and invalid values', async t => {
      const playlist = await aPlaylistWithTracks(database, await aUser(database))
      for (const [query, errors] of [
        [{ 'filter[position]': '1' }, { filter: ['The filter must be an array.'] }],
        [{ 'filter[next_id]': '1' }, { filter: ['The filter must be an array.'] }],
        [{ 'filter[video_id]': 'x' }, { 'filter.video_id': ['The filter.video id must be an integer.'] }],
        [{ 'filter[video_id]': '1,x' }, { 'filter.video_id': ['The video id must be an integer.'] }],
        [{ 'filter[has]': 'tracks' }, { 'filter.has': ['The selected filter.has is invalid.'] }],
      ] as [Query, object][]) {
        const answer = await get(app, urlOf(tracksUrl(playlist), query))
        t.strictSame(errorsOf(answer), errors, JSON.stringify(query))
      }
    })

    t.test('GET /track is paginated, and empty for an empty playlist', async t => {
      const owner = await aUser(database)
      const playlist = await aPlaylistWithTracks(database, owner, { count: 6, order: 'FBDACE' })
      const page = await get(app, urlOf(tracksUrl(playlist), { 'page[size]': 4, 'page[number]': 2 }))
      t.equal(listed(playlist, page), 'EF', 'in the order of ids')
      const empty = await aPlaylistWithTracks(database, owner, { count: 0 })
      t.strictSame((await get(app, tracksUrl(empty))).json.tracks, [])
    })

    for (const { path, shows, of } of TRACK_READS.filter(({ isSequence }) => isSequence)) {
      const name = `GET ${path}`
      const isForward = path.endsWith('forward')
      const prepare = async () => {
        const playlist = await aPlaylistWithTracks(database, await aUser(database), {
          count: 4,
          order: ORDER,
        })
        const url = urlIn(playlist, path, of === undefined ? undefined : trackOf(playlist, of))
        return { playlist, url, request: (query: Query) => get(app, urlOf(url, query)) }
      }

      if (of === undefined) {
        t.test(`${name} of an empty playlist is empty`, async t => {
          const empty = await aPlaylistWithTracks(database, await aUser(database), { count: 0 })
          const { status, json } = await get(app, urlIn(empty, path))
          t.equal(status, 200)
          t.strictSame(json.tracks, [])
          t.match(json.meta, { from: null, to: null })
        })
      } else {
        t.test(`${name} shows the ${isForward ? 'following' : 'preceding'} tracks in order`, async t => {
          const { playlist } = await prepare()
          for (const [index, letter] of [...ORDER].entries()) {
            const expected = isForward
              ? ORDER.slice(index + 1)
              : [...ORDER.slice(0, index)].reverse().join('')
            const answer = await get(app, urlIn(playlist, path, trackOf(playlist, letter)))
            t.equal(listed(playlist, answer), expected, letter)
          }
        })
      }

      t.test(`${name} rejects sorts and filters`, async t => {
        const { playlist, request } = await prepare()
        for (const key of ['created_at', 'updated_at', 'id', '-created_at', '-updated_at', '-id', 'random']) {
          for (const parameter of ['sort', 'sort[track]']) {
            const { status, json } = await request({ [parameter]: key })
            t.equal(status, 422, `${parameter}=${key}`)
            t.strictSame(json.errors, { sort: ['The sort field is prohibited.'] })
          }
        }
        for (const query of [
          { 'filter[created_at]': '2026' },
          { 'filter[updated_at-gte]': '2026-01-01' },
          { 'filter[id]': trackAt(playlist, 0).hashid },
          { 'filter[video_id]': '1' },
          { 'filter[track][entry_id]': '1' },
          { 'filter[video][id]': '1', include: 'video' },
          { 'filter[has]': 'video' },
          { 'filter[nope]': 'x' },
        ] as Query[]) {
          const { status, json } = await request(query)
          t.equal(status, 422, JSON.stringify(query))
          t.strictSame(json.errors, { filter: ['The filter field is prohibited.'] })
        }
        t.strictSame(
          errorsOf(await request({ 'sort[video]': 'id', 'filter[id]': 'x' })),
          { filter: ['The filter field is prohibited.'], sort: ['The sort field is prohibited.'] },
          'both at once',
        )
      })

      t.test(`${name} is paginated with links to the next and previous page`, async t => {
        const { playlist, url, request } = await prepare()
        const base = `http://localhost:80${url}`
        const link = (number: number) =>
          `${base}?fields%5Btrack%5D=id&page%5Bsize%5D=2&page%5Bnumber%5D=${number}`
        let page = urlOf(url, { 'fields[track]': 'id', 'page[number]': 1, 'page[size]': 2 })
        const pages = shows.match(/..?/g) as string[]
        for (const [index, expected] of pages.entries()) {
          const answer = await get(app, page)
          t.equal(listed(playlist, answer), expected, `page ${index + 1}`)
          t.strictSame(answer.json.links, {
            first: link(1),
            last: null,
            prev: index === 0 ? null : link(index),
            next: index === pages.length - 1 ? null : link(index + 2),
          })
          t.strictSame(answer.json.meta, {
            current_page: index + 1,
            current_page_url: link(index + 1),
            from: index * 2 + 1,
            path: base,
            per_page: 2,
            to: index * 2 + expected.length,
          })
          page = (answer.json.links.next ?? '').replace('http://localhost:80', '')
        }
        const beyond = await request({ 'page[number]': 9, 'page[size]': 2 })
        t.strictSame(beyond.json.tracks, [], 'a page after the last')
        t.match(beyond.json.meta, { from: null, to: null, current_page: 9 })
        for (const [query, errors] of [
          [{ 'page[size]': 101 }, { 'page.size': ['The page.size must not be greater than 100.'] }],
          [{ 'page[size]': 0 }, { 'page.size': ['The page.size must be at least 1.'] }],
          [{ 'page[number]': 'x' }, { 'page.number': ['The page.number must be an integer.'] }],
          [{ 'page[limit]': 1 }, { page: ['The page must be an array.'] }],
        ] as [Query, object][]) {
          t.strictSame(errorsOf(await request(query)), errors, JSON.stringify(query))
        }
      })

      t.test(`${name} has pages of 15 tracks by default`, async t => {
        const playlist = await aPlaylistWithTracks(database, await aUser(database), { count: 17 })
        const ids = playlist.tracks.map(({ hashid }) => hashid)
        const ordered = isForward ? ids : [...ids].reverse()
        const answer = await get(app, urlIn(playlist, path, trackAt(playlist, isForward ? 0 : -1)))
        t.strictSame(idsOf(answer), ordered.slice(of === undefined ? 0 : 1).slice(0, 15))
        t.ok(answer.json.links.next)
      })
    }

    t.test('the server logs no error', async t => t.strictSame(app.logged, []))
  })
}
