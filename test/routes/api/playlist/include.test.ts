import { sql } from 'kysely'
import t from 'tap'
import { asGuest, statusAndBody } from '../../../fixtures/callers.ts'
import { aResource, withIncludes } from '../../../fixtures/includes.ts'
import { addTracks, aPlaylist } from '../../../fixtures/lists.ts'
import { addImages, aPlaylistWiki, FILE_URLS } from '../../../fixtures/playlist-wiki.ts'
import {
  deletePlaylists,
  onePlaylist,
  PLAYLIST_PATH,
  playlistJson,
  playlistNames,
} from '../../../fixtures/playlists.ts'
import { urlOf } from '../../../fixtures/queries.ts'
import { startUnlimited } from '../../../fixtures/server.ts'
import { aUser } from '../../../fixtures/users.ts'
import { createDatabase, ENGINES } from '../../../support/databases.ts'

type Query = Readonly<Record<string, string | number>>

/** Every path that can be included, in the order of the JSON. */
const PATHS = [
  ...['images', 'first', 'last', 'tracks', 'user'],
  ...['tracks.animethemeentry', 'tracks.animethemeentry.animetheme'],
  ...['tracks.animethemeentry.animetheme.anime', 'tracks.animethemeentry.animetheme.anime.images'],
  ...['tracks.animethemeentry.animetheme.song', 'tracks.animethemeentry.animetheme.song.artists'],
  ...['tracks.animethemeentry.animetheme.group', 'tracks.next', 'tracks.previous'],
  ...['tracks.video', 'tracks.video.audio'],
]
const ALL_PATHS = PATHS.join()

/** Columns of a video, and the tags that the API derives from them. */
const VIDEO_TAGS = [
  [{}, ''],
  [{ nc: true }, 'NC'],
  [{ source: 0 }, ''],
  [{ source: 1 }, ''],
  [{ source: 2 }, 'BD'],
  [{ source: 3 }, 'DVD'],
  [{ source: 4 }, ''],
  [{ source: 5 }, ''],
  [{ resolution: 720 }, ''],
  [{ resolution: 480 }, '480'],
  [{ subbed: true }, 'Subbed'],
  [{ lyrics: true }, 'Lyrics'],
  [{ subbed: true, lyrics: true }, 'Subbed'],
  [{ uncen: true, overlap: 1 }, ''],
  [{ nc: true, source: 2, resolution: 1080 }, 'NCBD1080'],
  [{ source: 3, resolution: 480, lyrics: true }, 'DVD480Lyrics'],
] as const

for (const engine of ENGINES) {
  t.test(`includes of playlists on ${engine}`, async t => {
    const database = await createDatabase(t, engine)
    t.teardown(() => database.close())
    const { kysely } = database
    const app = await startUnlimited(t, database, { HIDE_PRIVATE: 'off', ...FILE_URLS })
    const withoutFiles = await startUnlimited(t, database, { HIDE_PRIVATE: 'off' })
    const wiki = await aPlaylistWiki(database)
    t.beforeEach(() => deletePlaylists(database))
    const list = (query: Query) => asGuest(app)('GET', urlOf(PLAYLIST_PATH, query))
    const show = (hashid: string, query: Query) => asGuest(app)('GET', urlOf(onePlaylist(hashid), query))

    /** Adds a playlist with everything that can be included and an empty one, and returns the expected resources. */
    async function aFullAndAnEmptyPlaylist() {
      const user = await aUser(database)
      const { id, hashid } = await aPlaylist(database, user.id, { name: 'full' })
      const empty = await aPlaylist(database, user.id, { name: 'empty' })
      await addImages(database, id, [811, 813, 814])
      await addImages(database, id, [812], 'anime')
      const added = await addTracks(database, id, [7001, 7002, null, 7001])
      const tracks = added.map(({ hashid }) => aResource({ id: hashid }))
      const entries = [wiki.entry, wiki.bareEntry, null, wiki.entry]
      const videos = [wiki.video, wiki.bareVideo, null, wiki.video]
      for (const [index, track] of tracks.entries()) {
        const [animethemeentry = null, video = null] = [entries[index], videos[index]]
        const [next = null, previous = null] = [tracks[index + 1], tracks[index - 1]]
        track.related = { animethemeentry, next, previous, video }
      }
      const [first = null, last = null] = [tracks[0], tracks.at(-1)]
      const images = [wiki.cover, wiki.plain]
      const owner = aResource({ name: user.name })
      return {
        ...{ hashid, empty: empty.hashid },
        ...{ user, owner },
        playlists: [
          aResource(playlistJson(hashid, { name: 'full' }), { images, first, last, tracks, user: owner }),
          aResource(playlistJson(empty.hashid, { name: 'empty' }), {
            ...{ images: [], first: null, last: null, tracks: [], user: owner },
          }),
        ] as const,
      }
    }

    t.test('each path can be included alone and with all others', async t => {
      const { hashid, empty, playlists } = await aFullAndAnEmptyPlaylist()
      for (const paths of [...PATHS.map(path => [path]), PATHS, PATHS.toReversed(), PATHS.slice(5)]) {
        const include = paths.join()
        const expected = playlists.map(playlist => withIncludes(playlist, paths))
        const label = paths.length === 1 ? include : `${paths.length} paths, from ${paths[0]}`
        t.strictSame((await list({ include })).json.playlists, expected, `the list with ${label}`)
        const [playlist] = expected
        const one = await show(hashid, { include })
        t.strictSame(statusAndBody(one), [200, { playlist }], `one playlist with ${label}`)
      }
      const { json } = await show(empty, { include: ALL_PATHS })
      t.strictSame(json, { playlist: withIncludes(playlists[1], PATHS) }, 'the empty playlist')
    })

    t.test('the order of included relations is fixed', async t => {
      await aFullAndAnEmptyPlaylist()
      const { json } = await list({ include: ALL_PATHS })
      const [{ tracks, ...playlist }] = json.playlists
      t.strictSame(Object.keys(playlist), [
        ...['id', 'name', 'description', 'visibility'],
        ...['images', 'first', 'last', 'user'],
      ])
      t.equal(Object.keys(json.playlists[0]).indexOf('tracks'), Object.keys(playlist).indexOf('user'))
      t.strictSame(Object.keys(tracks[0].video), Object.keys(withIncludes(wiki.video, ['audio'])))
    })

    t.test('links of files are null without the URLs of files in the settings', async t => {
      const { hashid } = await aFullAndAnEmptyPlaylist()
      const url = urlOf(onePlaylist(hashid), { include: ALL_PATHS })
      const { json } = await asGuest(withoutFiles)('GET', url)
      const [{ video, animethemeentry }] = json.playlist.tracks
      const { images } = animethemeentry.animetheme.anime
      for (const file of [video, video.audio, ...json.playlist.images, ...images])
        t.equal(file.link, null, file.path)
    })

    t.test('the tags of a video tell its source, resolution and subtitles', async t => {
      const user = await aUser(database)
      const { id, hashid } = await aPlaylist(database, user.id)
      const videoIds = VIDEO_TAGS.map((_, index) => 8001 + index)
      await addTracks(database, id, videoIds)
      for (const [index, [values]] of VIDEO_TAGS.entries()) {
        if (Object.keys(values).length === 0) continue
        await kysely
          .updateTable('videos')
          .set(values)
          .where('video_id', '=', 8001 + index)
          .execute()
      }
      const query = { include: 'tracks.video', 'fields[track]': 'video_id', 'fields[video]': 'tags' }
      const { json } = await show(hashid, query)
      t.strictSame(
        json.playlist.tracks,
        VIDEO_TAGS.map(([, tags]) => ({ video: { tags } })),
      )
    })

    const DELETED = sql`deleted_at = '2026-02-03 04:05:06'`
    const RESTORED = sql`deleted_at = null`
    for (const [table, key, id, deleted, path, change = DELETED, undo = RESTORED] of [
      ['users', 'id', null, null, 'user'],
      ['anime_theme_entries', 'entry_id', 7001, wiki.entry],
      ['anime_themes', 'theme_id', 3102, wiki.theme],
      [
        ...([
          'anime_themes',
          'theme_id',
          3102,
          wiki.theme,
          'tracks.animethemeentry.animetheme.song',
        ] as const),
        ...[sql`type = 2`, sql`type = 0`],
      ],
      ['anime', 'anime_id', 170, wiki.anime],
      ['groups', 'group_id', 4, wiki.group, 'tracks.animethemeentry.animetheme.group'],
      ['songs', 'song_id', 2871, wiki.song, 'tracks.animethemeentry.animetheme.song'],
      ['artists', 'artist_id', 53, wiki.artist],
      ['performances', 'artist_id', 53, wiki.artist],
      ['images', 'image_id', 811, wiki.cover],
      ['videos', 'video_id', 7001, wiki.video, 'tracks.video.audio'],
      ['audios', 'audio_id', 4512, wiki.audio, 'tracks.video.audio'],
    ] as const) {
      const what = change === DELETED ? 'deleted rows' : 'insert songs'
      t.test(`${what} of ${table} are neither included nor found by filter[has]`, async t => {
        const { user, owner, playlists } = await aFullAndAnEmptyPlaylist()
        const set = (assignment: typeof change) =>
          sql`update ${sql.table(table)} set ${assignment} where ${sql.ref(key)} = ${id ?? user.id}`.execute(
            kysely,
          )
        t.teardown(() => set(undo))
        const includeAll = async () => (await list({ include: ALL_PATHS })).json.playlists
        const findByPath = async () => playlistNames(await list({ 'filter[has]': path ?? '' }))
        if (path !== undefined) t.ok((await findByPath()).includes('full'), `filter[has]=${path} before`)
        await set(change)
        t.strictSame(
          await includeAll(),
          playlists.map(playlist => withIncludes(playlist, PATHS, deleted ?? owner)),
          'everything else is included',
        )
        if (path !== undefined) t.strictSame(await findByPath(), [], `filter[has]=${path} after`)
        await set(undo)
        t.strictSame(
          await includeAll(),
          playlists.map(playlist => withIncludes(playlist, PATHS)),
          'restored rows are included again',
        )
      })
    }

    t.test('filter[facet] selects included images', async t => {
      const user = await aUser(database)
      const FACETS = ['Small Cover', 'Large Cover', 'Grill', 'Document', 'Avatar', 'Banner']
      const ids = FACETS.map((_, facet) => 900 + facet)
      for (const [facet, image_id] of ids.entries()) {
        const image = { image_id, facet, path: `${facet}.jpg`, deleted_at: null }
        await kysely.insertInto('images').values(image).execute()
      }
      const hashids: string[] = []
      for (const images of [ids, ids, []]) {
        const { id, hashid } = await aPlaylist(database, user.id)
        if (images.length > 0) await addImages(database, id, images)
        hashids.push(hashid)
      }
      const facetsOf = ({ images }: { images: { facet: string }[] }) => images.map(({ facet }) => facet)
      for (const [filter, expected] of [
        ...FACETS.map(facet => [facet, [facet]] as const),
        ['GRILL', ['Grill']],
        ['Grill,Avatar', ['Grill', 'Avatar']],
      ] as const) {
        const query = { include: 'images', 'filter[facet]': filter }
        const { json } = await list(query)
        t.strictSame(json.playlists.map(facetsOf), [expected, expected, []], `the list, ${filter}`)
        const one = await show(hashids[0] ?? '', query)
        t.strictSame(facetsOf(one.json.playlist), expected, `one playlist, ${filter}`)
      }
    })

    t.test('fields, sorts and filters apply to included relations', async t => {
      const { hashid } = await aFullAndAnEmptyPlaylist()
      const { name, artistsong } = wiki.artist.fields
      const link = 'https://v.example.org/B%C3%A4ke%23OP1.webm'
      for (const [query, expected] of [
        [
          {
            include: 'tracks.video',
            'fields[video]': 'link',
            'fields[track]': 'video_id',
            'fields[playlist]': 'name',
          },
          {
            name: 'full',
            tracks: [{ video: { link } }, { video: { link: null } }, { video: null }, { video: { link } }],
          },
        ],
        [
          { include: 'images', 'sort[image]': '-id', 'fields[image]': 'id', 'fields[playlist]': 'user_id' },
          { images: [{ id: 814 }, { id: 811 }] },
        ],
        [
          {
            include: 'tracks.animethemeentry',
            'filter[animethemeentry][nsfw]': 'yes',
            'filter[track][entry_id]': '7001,7002',
            'fields[animethemeentry]': 'id,deleted_at',
            'fields[track]': 'entry_id',
            'fields[playlist]': 'first_id',
          },
          {
            tracks: [
              { animethemeentry: { deleted_at: null, id: 7001 } },
              { animethemeentry: null },
              { animethemeentry: { deleted_at: null, id: 7001 } },
            ],
          },
        ],
        [
          {
            include: 'tracks.animethemeentry.animetheme.song.artists',
            'filter[track][entry_id]': 7001,
            'filter[name]': 'CHIWA SAITO',
            'fields[track]': 'track_id',
            'fields[animethemeentry]': 'theme_id',
            'fields[animetheme]': 'song_id',
            'fields[song]': 'title',
            'fields[artist]': 'name',
          },
          {
            ...playlistJson(hashid, { name: 'full' }),
            tracks: Array(2).fill({
              animethemeentry: {
                animetheme: { song: { title: 'staple stable', artists: [{ name, artistsong }] } },
              },
            }),
          },
        ],
        [
          { include: 'user', 'fields[user]': 'id' },
          { ...playlistJson(hashid, { name: 'full' }), user: {} },
        ],
      ] as [Query, object][]) {
        t.strictSame((await show(hashid, query)).json.playlist, expected, JSON.stringify(query))
      }
    })
  })
}
