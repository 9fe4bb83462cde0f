import { sql } from 'kysely'
import t from 'tap'
import { errorsOf } from '../../../../fixtures/answers.ts'
import { anEntryVideo } from '../../../../fixtures/lists.ts'
import { PRIVATE } from '../../../../fixtures/playlists.ts'
import { urlOf } from '../../../../fixtures/queries.ts'
import {
  aPlaylistWithTracks,
  ORDER,
  type PlaylistWithTracks,
  TRACK_READS,
  TRACK_SETTINGS,
  type TrackRead,
  trackOf,
  trackUrl,
  urlIn,
} from '../../../../fixtures/tracks.ts'
import { aUser } from '../../../../fixtures/users.ts'
import { aWiki, type Wiki } from '../../../../fixtures/wiki.ts'
import { get, startApp } from '../../../../support/app.ts'
import { createDatabase, ENGINES, type TestDatabase } from '../../../../support/databases.ts'

const NEIGHBOURS = ['playlist', 'next', 'previous']
const CONTENT = [
  'animethemeentry',
  'video',
  'animethemeentry.animetheme',
  'animethemeentry.animetheme.song',
  'animethemeentry.animetheme.song.artists',
  'video.audio',
  'animethemeentry.animetheme.group',
  'animethemeentry.animetheme.anime',
  'animethemeentry.animetheme.anime.images',
]
const RELATIONS = new Set([...NEIGHBOURS, ...CONTENT].flatMap(path => path.split('.')))

const SEQUENCE_FIELDS = ['created_at', 'updated_at', 'track_id', 'id', 'entry_id', 'video_id']
const TRACK_FIELDS = [...SEQUENCE_FIELDS, 'next_id', 'playlist_id', 'previous_id', 'next', 'previous']
/** The fields that have a value of their own in JSON; others are allowed and show nothing. */
const SHOWN_FIELDS = ['created_at', 'updated_at', 'id']

const includesOf = ({ isSequence }: TrackRead) => (isSequence ? CONTENT : [...NEIGHBOURS, ...CONTENT])
const fieldsOf = ({ isSequence }: TrackRead) => (isSequence ? SEQUENCE_FIELDS : TRACK_FIELDS)

/** The JSON of a resource with everything included, reduced to some include paths. */
function prune(whole: unknown, paths: readonly string[]): unknown {
  if (Array.isArray(whole)) return whole.map(item => prune(item, paths))
  if (typeof whole !== 'object' || whole === null) return whole
  return Object.fromEntries(
    Object.entries(whole).flatMap(([name, value]) => {
      if (!RELATIONS.has(name)) return [[name, value]]
      const below = paths.filter(path => path.startsWith(`${name}.`)).map(path => path.slice(name.length + 1))
      return paths.includes(name) || below.length > 0 ? [[name, prune(value, below)]] : []
    }),
  )
}

/** The tracks of {@link addPlaylist} by their dates, the earliest first. */
const BY_DATE = 'DBAC'

/** Adds a playlist with the order CADB, whose track A has neither entry nor video, and playlists that must not be shown. */
async function addPlaylist(database: TestDatabase, { content }: Wiki): Promise<PlaylistWithTracks> {
  const owner = await aUser(database)
  const playlist = await aPlaylistWithTracks(database, owner, { count: 4, content, order: ORDER })
  await aPlaylistWithTracks(database, owner, { content })
  await aPlaylistWithTracks(database, await aUser(database), { content, visibility: PRIVATE })
  for (const [index, letter] of [...BY_DATE].entries()) {
    await database.kysely
      .updateTable('playlist_tracks')
      .set({
        created_at: `2026-01-0${index + 1} 00:00:00.000001`,
        updated_at: `2026-02-0${index + 1} 00:00:00`,
        ...(letter === 'A' && { entry_id: null, video_id: null }),
      })
      .where('track_id', '=', trackOf(playlist, letter).id)
      .execute()
  }
  return playlist
}

/** The expected JSON of a track of {@link addPlaylist} with everything included. */
function wholeTrack({ isSequence }: TrackRead, playlist: PlaylistWithTracks, wiki: Wiki, letter: string) {
  const neighbour = (by: number) => {
    const other = ORDER[ORDER.indexOf(letter) + by]
    return other === undefined ? null : { id: trackOf(playlist, other).hashid }
  }
  // Three tracks of this playlist, and three of each of the others.
  const animethemeentry = { ...wiki.shown.animethemeentry, tracks_count: 9 }
  return {
    id: trackOf(playlist, letter).hashid,
    ...(letter === 'A' ? { animethemeentry: null, video: null } : { ...wiki.shown, animethemeentry }),
    ...(!isSequence && {
      playlist: { id: playlist.hashid, name: 'A playlist', description: null, visibility: 'Public' },
      next: neighbour(1),
      previous: neighbour(-1),
    }),
  }
}

for (const engine of ENGINES) {
  t.test(`the JSON of playlist tracks on ${engine}`, async t => {
    const database = await createDatabase(t, engine)
    t.teardown(() => database.close())
    const app = await startApp(t, { database, environment: TRACK_SETTINGS })

    for (const read of TRACK_READS) {
      const { path, shows, of, isOne = false, isSequence = false } = read
      const name = `GET ${path}`
      const fields = fieldsOf(read)
      const includes = includesOf(read)

      /** A playlist, and what a query of this path shows of it. */
      const prepare = async () => {
        const wiki = await aWiki(database)
        const playlist = await addPlaylist(database, wiki)
        const url = urlIn(playlist, path, of === undefined ? undefined : trackOf(playlist, of))
        const request = (query: Record<string, string> = {}) => get(app, urlOf(url, query))
        const tracks = async (query: Record<string, string>) => {
          const { json } = await request(isOne ? query : { 'page[size]': '100', ...query })
          return isOne ? [json.track] : json.tracks
        }
        const expected = (map: (letter: string) => unknown) => [...shows].map(map)
        const whole = (letter: string) => wholeTrack(read, playlist, wiki, letter)
        return { wiki, playlist, url, request, tracks, expected, whole }
      }

      t.test(`${name} shows ids${isOne ? '' : ' in pages of 15'} by default`, async t => {
        const { playlist, url, expected } = await prepare()
        const { json } = await get(app, url)
        const ids = expected(letter => ({ id: trackOf(playlist, letter).hashid }))
        if (isOne) {
          t.strictSame(json, { track: ids[0] })
          return
        }
        t.strictSame(json.tracks, ids)
        t.strictSame(Object.keys(json), ['tracks', 'links', 'meta'])
        const base = `http://localhost:80${url}`
        const first = `${base}?page%5Bnumber%5D=1`
        t.strictSame(json.links, { first, last: null, prev: null, next: null })
        t.strictSame(json.meta, {
          current_page: 1,
          current_page_url: first,
          from: 1,
          path: base,
          per_page: 15,
          to: shows.length,
        })
      })

      t.test(`${name} includes each allowed relation, and all at once`, async t => {
        const { tracks, expected, whole } = await prepare()
        for (const chosen of [...includes.map(one => [one]), includes, includes.toReversed()]) {
          const include = chosen.join()
          t.strictSame(
            await tracks({ include }),
            expected(letter => prune(whole(letter), chosen)),
            include,
          )
        }
        const [everything] = (await tracks({ include: includes.join() })).slice(-1)
        t.strictSame(
          Object.keys(everything),
          isSequence
            ? ['id', 'animethemeentry', 'video']
            : ['id', 'animethemeentry', 'playlist', 'next', 'previous', 'video'],
          'in the order of the declaration',
        )
      })

      t.test(`${name} rejects other includes`, async t => {
        const { request } = await prepare()
        for (const include of [
          ...(isSequence ? NEIGHBOURS : []),
          ...['nope', 'Video', 'animetheme', 'video.animethemeentries', 'playlist.user', 'next.video'],
          ...['tracks', 'video.audio.x', 'animethemeentry.videos'],
        ]) {
          const errors = errorsOf(await request({ include: `video,${include}` }))
          t.strictSame(errors, { include: ['The selected include is invalid.'] }, include)
        }
      })

      t.test(`${name} shows the fields of a sparse fieldset`, async t => {
        const { playlist, tracks, expected, whole } = await prepare()
        for (const chosen of [
          ...fields.map(one => [one]),
          fields,
          ['updated_at', 'id'],
          ['id', 'entry_id'],
        ]) {
          const names = SHOWN_FIELDS.filter(name => chosen.includes(name))
          t.strictSame(
            await tracks({ 'fields[track]': chosen.join() }),
            expected(letter => {
              const day = `0${BY_DATE.indexOf(letter) + 1}`
              const values: Record<string, unknown> = {
                created_at: `2026-01-${day}T00:00:00.000001Z`,
                updated_at: `2026-02-${day}T00:00:00.000000Z`,
                id: trackOf(playlist, letter).hashid,
              }
              return Object.fromEntries(names.map(name => [name, values[name]]))
            }),
            chosen.join(),
          )
        }
        const [first] = await tracks({ 'fields[track]': 'id,updated_at,created_at' })
        t.strictSame(Object.keys(first), SHOWN_FIELDS, 'in the order of the declaration')
        t.strictSame(
          await tracks({ include: includes.join(), 'fields[track]': 'track_id' }),
          expected(letter => {
            const { id: _, ...rest } = whole(letter)
            // The fieldset of tracks applies to neighbours, which are tracks.
            return { ...rest, ...(!isSequence && { next: rest.next && {}, previous: rest.previous && {} }) }
          }),
          'included relations are shown with any fieldset',
        )
      })

      t.test(`${name} rejects other fields and types`, async t => {
        const { request } = await prepare()
        const unknown = ['position', 'hashid', 'nope', 'ID', '__proto__']
        for (const field of [...unknown, ...TRACK_FIELDS.filter(name => !fields.includes(name))]) {
          const errors = errorsOf(await request({ 'fields[track]': `id,${field}` }))
          t.strictSame(errors, { 'fields.track': ['The selected track is invalid.'] }, field)
        }
        for (const type of ['user', 'notification', 'nope', ...(isSequence ? ['playlist'] : [])]) {
          const errors = errorsOf(await request({ [`fields[${type}]`]: 'id' }))
          t.strictSame(errors, { fields: ['The fields must be an array.'] }, type)
        }
        t.strictSame(errorsOf(await request({ q: 'x' })), { q: ['The q field is prohibited.'] }, 'search')
      })

      t.test(`${name} shows the fields of sparse fieldsets of included resources`, async t => {
        const { wiki, playlist, tracks, expected, whole } = await prepare()
        t.strictSame(
          await tracks({ include: 'video,animethemeentry', 'fields[video]': 'id,basename' }),
          expected(letter => {
            const pruned = prune(whole(letter), ['video', 'animethemeentry'])
            const { id, animethemeentry, video } = pruned as Record<string, unknown>
            const { video_id } = wiki.content
            const reduced = video && { id: video_id, basename: 'Bakemonogatari-OP1.webm' }
            return { id, animethemeentry, video: reduced }
          }),
        )
        const date = '2026-01-02T03:04:05.000006Z'
        const dates = { created_at: date, updated_at: date, deleted_at: null }
        t.strictSame(
          await tracks({
            include: 'video.audio',
            'fields[video]': [...Object.keys(dates), 'mimetype'].join(),
            'fields[audio]': 'link,mimetype',
          }),
          expected(letter => {
            const link = 'https://a.example.org/Bakemonogatari-OP1.ogg'
            const audio = { mimetype: 'audio/ogg', link }
            const video = letter === 'A' ? null : { ...dates, mimetype: 'video/webm', audio }
            return { id: trackOf(playlist, letter).hashid, video }
          }),
          'dates and MIME types are shown if a fieldset names them',
        )
      })

      t.test(`${name} shows null for deleted wiki rows and for the themes of insert songs`, async t => {
        const { wiki, request } = await prepare()
        const { content, themeId, audioId } = wiki
        const trackD = async () => {
          const { json } = await request({ include: 'animethemeentry.animetheme,video.audio' })
          return isOne ? json.track : json.tracks[shows.indexOf('D')]
        }
        for (const [table, key, id, change, restore, expected] of [
          [
            ...(['videos', 'video_id', content.video_id] as const),
            ...([{ deleted_at: '2026-02-01' }, { deleted_at: null }] as const),
            { video: null, animethemeentry: { animetheme: { slug: 'OP1' } } },
          ],
          [
            ...(['audios', 'audio_id', audioId] as const),
            ...([{ deleted_at: '2026-02-01' }, { deleted_at: null }] as const),
            { video: { audio: null } },
          ],
          [
            ...(['anime_theme_entries', 'entry_id', content.entry_id] as const),
            ...([{ deleted_at: '2026-02-01' }, { deleted_at: null }] as const),
            { video: { id: content.video_id }, animethemeentry: null },
          ],
          [
            ...(['anime_themes', 'theme_id', themeId] as const),
            ...([{ type: 2 }, { type: 0 }] as const),
            { animethemeentry: { id: content.entry_id, animetheme: null } },
          ],
        ] as const) {
          const set = (values: object) =>
            database.kysely
              .updateTable(table)
              .set(values as never)
              .where(sql.ref(key), '=', id)
              .execute()
          await set(change)
          t.match(await trackD(), expected, `${table} ${JSON.stringify(change)}`)
          await set(restore)
        }
      })
    }

    t.test('GET /track/{track} rejects pages, sorts and filters of tracks', async t => {
      const playlist = await aPlaylistWithTracks(database, await aUser(database))
      for (const [query, errors] of [
        [{ 'page[size]': 1 }, { page: ['The page field is prohibited.'] }],
        [{ sort: 'id' }, { sort: ['The sort must be an array.'] }],
        [{ 'sort[track]': 'id' }, { sort: ['The sort must be an array.'] }],
        [{ 'filter[track][id]': 'x' }, { filter: ['The filter must be an array.'] }],
        [{ 'filter[video_id]': '1' }, { filter: ['The filter must be an array.'] }],
        [{ 'filter[has]': 'video' }, { filter: ['The filter must be an array.'] }],
      ] as [Record<string, string | number>, object][]) {
        const answer = await get(app, urlOf(trackUrl(playlist, 'B'), query))
        t.strictSame(errorsOf(answer), errors, JSON.stringify(query))
      }
    })

    t.test('GET /track/{track} filters and sorts included images', async t => {
      const { content } = await aWiki(database)
      const playlist = await aPlaylistWithTracks(database, await aUser(database), { content })
      const facets = async (query: Record<string, string>) => {
        const include = 'animethemeentry.animetheme.anime.images'
        const { json } = await get(app, urlOf(trackUrl(playlist, 'B'), { include, ...query }))
        return json.track.animethemeentry.animetheme.anime.images.map(({ facet }: { facet: string }) => facet)
      }
      t.strictSame(await facets({ 'filter[facet]': 'small cover' }), ['Small Cover'])
      t.strictSame(await facets({ 'filter[image][facet]': 'Large Cover' }), ['Large Cover'])
      t.strictSame(await facets({ 'sort[image]': '-id' }), ['Small Cover', 'Large Cover'])
    })

    t.test('GET /track/{track} shows null for relations that do not exist', async t => {
      const content = await anEntryVideo(database)
      const playlist = await aPlaylistWithTracks(database, await aUser(database), { content, count: 1 })
      const include = 'animethemeentry.animetheme.song.artists,video.audio,next,previous'
      const { json } = await get(app, urlOf(trackUrl(playlist), { include }))
      t.match(json.track, {
        animethemeentry: { animetheme: null },
        video: { audio: null, basename: null },
      })
      t.equal(json.track.next, null)
      t.equal(json.track.previous, null)
    })

    t.test('the server logs no error', async t => t.strictSame(app.logged, []))
  })
}
