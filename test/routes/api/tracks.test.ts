import { sql } from 'kysely'
import t, { type Test } from 'tap'
import { hashidEncoder } from '#src/auth/hashid.ts'
import { BANNED, INVALID_ABILITY, NOT_FOUND, UNAUTHENTICATED, UNAUTHORIZED } from '../../fixtures/answers.ts'
import { TestBrowser } from '../../fixtures/browser.ts'
import { MINUTE } from '../../fixtures/clock.ts'
import { anEntryVideo, aPlaylist, chainOf } from '../../fixtures/lists.ts'
import { aToken, aUser, type TestUser, USER_TYPE } from '../../fixtures/users.ts'
import { type Answer, get, send, startApp, type TestApp } from '../../support/app.ts'
import { createDatabase, ENGINES, type TestDatabase } from '../../support/databases.ts'

const ENVIRONMENT = {
  // As in AnimeThemes, private lists of others are 403.
  HIDE_PRIVATE: 'off',
  RATE_LIMIT_AUTHENTICATED: '100000',
  RATE_LIMIT_ANONYMOUS: '100000',
  RATE_LIMIT_FAILED_AUTH: '100000',
  LOGIN_RATE_LIMIT: '1000',
  LOG_LEVEL: 'error',
  VIDEO_URL: 'https://v.example.org',
  AUDIO_URL: 'https://a.example.org/',
  IMAGE_URL: 'https://i.example.org',
  PLAYLIST_MAX_TRACKS: '25',
}
const FULL = { message: "Playlists cannot contain more than '25' tracks." }

const [PUBLIC, PRIVATE, UNLISTED] = [0, 1, 2]

const { track: hashidOf } = hashidEncoder('')

/** What a rule says of a field. */
const required = (name: string) => [`The ${name} field is required.`]
const selected = (name: string) => [`The selected ${name} is invalid.`]
const integer = (name: string) => [`The ${name} must be an integer.`]
const prohibits = (name: string, other: string) => [
  `The ${name} field prohibits ${other} from being present.`,
]
const NOT_LINKED = { entry_id: selected('entry id'), video_id: selected('video id') }

interface World {
  database: TestDatabase
  app: TestApp
  /** Another server on the same database, which has another salt. */
  twin: TestApp
  /** An entry with a video, and another. */
  pair: Pair
  otherPair: Pair
}

interface Pair {
  entry_id: number
  video_id: number
}

for (const engine of ENGINES) {
  t.test(`the tracks of playlists on ${engine}`, async t => {
    const database = await createDatabase(t, engine)
    t.teardown(() => database.close())
    const app = await startApp(t, { database, environment: ENVIRONMENT })
    const twin = await startApp(t, {
      database,
      environment: { ...ENVIRONMENT, HASHIDS_SALT_PLAYLISTS: 'playlists-salt' },
    })
    await hashids(t, database, app, twin)
    const pair = await anEntryVideo(database)
    const otherPair = await anEntryVideo(database)
    const world = { database, app, twin, pair, otherPair }
    const wiki = await addWiki(database)
    const shelf = await addShelf(database, wiki.pair)
    const scene = await addScene(database)
    for (const route of READS) await reading(t, world, { ...wiki, shelf }, scene, route)
    for (const route of WRITES) await writing(t, world, route)
    await storing(t, world)
    for (const method of ['PUT', 'PATCH']) await updating(t, world, method)
    await destroying(t, world)
    await listActions(t, world)
    await inputs(t, world)
    await repairs(t, world)
    await concurrency(t, world)
    await around(t, world)
    t.strictSame([...app.logged, ...twin.logged], [], 'nothing was a fault of the server')
  })
}

/** Sends requests as somebody, or as a guest. */
const as =
  (app: TestApp, token?: string) =>
  (method: string, url: string, payload?: object | string, headers: Record<string, string> = {}) =>
    send(app, method, url, {
      headers: { ...(token !== undefined && { authorization: `Bearer ${token}` }), ...headers },
      ...(payload !== undefined && { payload }),
    })

const FORM = { 'content-type': 'application/x-www-form-urlencoded' }
const JSON_TYPE = { 'content-type': 'application/json' }

const encoded = (values: object) =>
  Object.entries(values)
    .map(pair => pair.map(part => encodeURIComponent(String(part))).join('='))
    .join('&')

const withQuery = (url: string, values: object) => `${url}?${encoded(values)}`

/** The errors of a 422, and the status of anything else. */
const errorsOf = ({ status, json }: Answer) => (status === 422 ? json.errors : status)

/** The fields that a 422 is about, and the status of anything else. */
const faultsOf = (answer: Answer) =>
  answer.status === 422 ? Object.keys(answer.json.errors).sort() : answer.status

const flipCase = (text: string) =>
  text.replace(/[a-z]/i, letter =>
    letter === letter.toLowerCase() ? letter.toUpperCase() : letter.toLowerCase(),
  )

interface TestTrack {
  id: number
  hashid: string
}

interface TestPlaylist {
  id: number
  hashid: string
  /** In the order in which they were added: they are A, B, C and so on. */
  tracks: TestTrack[]
}

const trackAt = ({ tracks }: TestPlaylist, index: number) => tracks.at(index) as TestTrack

/** The track that a letter means. */
const trackOf = (playlist: TestPlaylist, letter: string) => trackAt(playlist, letter.charCodeAt(0) - 65)

/** A playlist with as many tracks, of a pair each if one is given. */
async function makePlaylist(
  database: TestDatabase,
  { id: userId }: Pick<TestUser, 'id'>,
  {
    count = 3,
    visibility = PUBLIC,
    pair,
    order,
  }: { count?: number; visibility?: number; pair?: Pair; order?: string } = {},
): Promise<TestPlaylist> {
  const { id, hashid } = await aPlaylist(database, userId, { visibility })
  const { rows } = await sql<{ id: string }>`
    select nextval(pg_get_serial_sequence('playlist_tracks', 'track_id')) as id
    from generate_series(1, ${count}::integer)`.execute(database.kysely)
  const ids = rows.map(({ id }) => Number(id)).sort((one, other) => one - other)
  const tracks = ids.map(trackId => ({ id: trackId, hashid: hashidOf(id, trackId) }))
  const playlist = { id, hashid, tracks }
  if (count === 0) return playlist
  await database.kysely
    .insertInto('playlist_tracks')
    .values(tracks.map(track => ({ track_id: track.id, hashid: track.hashid, playlist_id: id, ...pair })))
    .execute()
  await arrange(database, playlist, order ?? String.fromCharCode(...ids.map((_, index) => 65 + index)))
  return playlist
}

/** Gives a playlist's tracks another order. */
async function arrange({ kysely }: TestDatabase, playlist: TestPlaylist, order: string) {
  const chain = [...order].map(letter => trackOf(playlist, letter).id)
  await sql`
    with ordered as (
      select id, n, lag(id) over (order by n) as previous_id, lead(id) over (order by n) as next_id
      from unnest(${chain}::bigint[]) with ordinality as chain (id, n)
    )
    update playlist_tracks set position = n, previous_id = ordered.previous_id, next_id = ordered.next_id
    from ordered where track_id = id`.execute(kysely)
  await kysely
    .updateTable('playlists')
    .set({ first_id: chain[0], last_id: chain.at(-1) })
    .where('playlist_id', '=', playlist.id)
    .execute()
}

/** A playlist's order in letters, `+` for what it did not have at first; throws unless everything about it is right. */
async function orderOf(database: TestDatabase, playlist: TestPlaylist): Promise<string> {
  const chain = await chainOf(database, playlist.id)
  return chain
    .map(hashid => {
      const index = playlist.tracks.findIndex(track => track.hashid === hashid)
      return index === -1 ? '+' : String.fromCharCode(65 + index)
    })
    .join('')
}

/** What the row of a track holds. */
const rowOf = ({ kysely }: TestDatabase, id: number) =>
  kysely
    .selectFrom('playlist_tracks')
    .select(['entry_id', 'video_id', 'created_at', 'updated_at'])
    .where('track_id', '=', id)
    .executeTakeFirst()

/** The address of something of a playlist. */
const urlIn = ({ hashid }: Pick<TestPlaylist, 'hashid'>, path: string, track?: Pick<TestTrack, 'hashid'>) =>
  `/api/playlist/${hashid}${path.replace('{track}', track?.hashid ?? 'nope')}`

const toTracks = (playlist: TestPlaylist) => urlIn(playlist, '/track')
const toTrack = (playlist: TestPlaylist, letter = 'A') =>
  urlIn(playlist, '/track/{track}', trackOf(playlist, letter))

async function setFeature({ kysely }: TestDatabase, value: string, scope = '__laravel_null') {
  const name = 'App\\Features\\AllowPlaylistManagement'
  await kysely
    .insertInto('features')
    .values({ name, scope, value })
    .onConflict(conflict => conflict.columns(['name', 'scope']).doUpdateSet({ value }))
    .execute()
}

/** Does something while nobody may change playlists. */
async function whileOff<T>(database: TestDatabase, work: () => Promise<T>): Promise<T> {
  await setFeature(database, 'false')
  try {
    return await work()
  } finally {
    await database.kysely.deleteFrom('features').execute()
  }
}

async function ban(database: TestDatabase, { id }: TestUser, name: string, expiresAt: string | null = null) {
  await sql`insert into model_prohibitions (model_type, model_id, prohibition_id, expires_at)
    select ${USER_TYPE}, ${id}::bigint, id, ${expiresAt}::timestamp from prohibitions where name = ${name}`.execute(
    database.kysely,
  )
}

/** The next id of a table to be this one. */
const nextIdIs = ({ kysely }: TestDatabase, table: string, key: string, id: number) =>
  sql`select setval(pg_get_serial_sequence(${table}, ${key}), ${id}::bigint, false)`.execute(kysely)

async function hashids(t: Test, database: TestDatabase, app: TestApp, salted: TestApp) {
  await t.test('hashids', async t => {
    const user = await aUser(database, { permissions: ['create playlist track'] })
    const pair = await anEntryVideo(database)
    for (const [server, playlistId, trackId, expected] of [
      [app, 12, 345, 'vDTL1'],
      [salted, 42, 1_000_000, 'OOu0dvZ'],
    ] as const) {
      await nextIdIs(database, 'playlists', 'playlist_id', playlistId)
      const playlist = await aPlaylist(database, user.id)
      t.equal(playlist.id, playlistId)
      await nextIdIs(database, 'playlist_tracks', 'track_id', trackId)
      const { json } = await as(server, user.token)('POST', urlIn(playlist, '/track'), pair)
      t.strictSame(
        json,
        { track: { id: expected } },
        'the hashid of the numbers of the playlist and the track',
      )
      t.strictSame(
        await chainOf(database, playlistId),
        [expected],
        'playlist created assigns hashids: a track has one',
      )
      t.equal((await get(app, urlIn(playlist, `/track/${expected}`))).status, 200, 'found by any server')
    }

    const playlist = await makePlaylist(database, user)
    const { json } = await as(app, user.token)('POST', toTracks(playlist), pair)
    const { track_id } = await database.kysely
      .selectFrom('playlist_tracks')
      .select('track_id')
      .where('hashid', '=', json.track.id)
      .executeTakeFirstOrThrow()
    t.equal(json.track.id, hashidOf(playlist.id, track_id))

    await sql`update playlist_tracks set hashid = 'AnyText0' where track_id = ${track_id}::bigint`.execute(
      database.kysely,
    )
    t.strictSame(
      (await get(app, urlIn(playlist, '/track/AnyText0'))).json,
      { track: { id: 'AnyText0' } },
      'the text is looked up, not decoded',
    )
  })
}

const DATES = { created_at: '2026-01-02 03:04:05.000006', updated_at: '2026-01-02 03:04:05.000006' }

interface Wiki {
  pair: Pair
  /** What a track of the pair shows with everything included that the wiki knows. */
  shown: { animethemeentry: object; video: object }
}

/** Adds an anime with a theme, and everything that hangs on it, among what is deleted or belongs to others. */
async function addWiki({ kysely }: TestDatabase): Promise<Wiki> {
  const deleted = { deleted_at: '2026-01-03 00:00:00' }
  const add = async (table: string, key: string, values: object): Promise<number> => {
    const row = await kysely
      .insertInto(table as 'videos')
      .values({ ...DATES, ...values } as never)
      .returning(sql<number>`${sql.ref(key)}`.as('id'))
      .executeTakeFirstOrThrow()
    return Number(row.id)
  }
  const anime = {
    name: 'Bakemonogatari',
    media_format: 'TV',
    season: 'Summer',
    slug: 'bakemonogatari',
    synopsis: 'A student meets a girl.',
    year: 2009,
  }
  const animeId = await add('anime', 'anime_id', {
    ...{ title: anime.name, slug: anime.slug, synopsis: anime.synopsis, year: anime.year },
    ...{ format: 0, season: 2 },
  })
  const imageIds = [
    await add('images', 'image_id', { path: 'anime/large cover.jpg', facet: 1 }),
    await add('images', 'image_id', { path: 'anime/small.jpg', facet: 0 }),
    await add('images', 'image_id', { path: 'somebody/else.jpg', facet: 0 }),
    await add('images', 'image_id', { path: 'gone.jpg', facet: 0, ...deleted }),
  ]
  for (const [index, type] of ['anime', 'anime', 'artist', 'anime'].entries()) {
    const values = { image_id: imageIds[index] as number, imageable_type: type, imageable_id: animeId }
    await kysely.insertInto('imageables').values(values).execute()
  }
  const song = { title: 'staple stable' }
  const songId = await add('songs', 'song_id', song)
  const artists = [
    { name: 'Chiwa Saito', slug: 'chiwa_saito', information: 'A voice.' },
    { name: 'Emiri Kato', slug: 'emiri_kato', information: null },
  ]
  const artistIds: number[] = []
  for (const artist of artists) artistIds.push(await add('artists', 'artist_id', artist))
  const gone = await add('artists', 'artist_id', { name: 'x', slug: 'x', ...deleted })
  const left = await add('artists', 'artist_id', { name: 'y', slug: 'y' })
  const performances = [
    { alias: 'Hitagi', as: 'Hitagi Senjougahara', member_alias: null, member_as: null, relevance: 2 },
    { alias: null, as: null, member_alias: 'Mayoi', member_as: 'Mayoi Hachikuji', relevance: 1 },
  ]
  const artistSongs: object[] = []
  for (const [index, performance] of performances.entries()) {
    const values = { song_id: songId, artist_id: artistIds[index], ...performance }
    artistSongs.push({ id: await add('performances', 'performance_id', values), ...performance })
  }
  await add('performances', 'performance_id', { song_id: songId, artist_id: gone })
  await add('performances', 'performance_id', { song_id: songId, artist_id: left, ...deleted })
  const group = { name: 'English Version', slug: 'EN' }
  const groupId = await add('groups', 'group_id', group)
  const theme = { sequence: 1, slug: 'OP1', type: 'OP' }
  const themeId = await add('anime_themes', 'theme_id', {
    ...theme,
    ...{ type: 0, anime_id: animeId, song_id: songId, group_id: groupId },
  })
  const entry = {
    episodes: '1-2, 12',
    notes: 'Spoken',
    nsfw: true,
    spoiler: false,
    version: 2,
    tracks_count: 7,
  }
  const entryId = await add('anime_theme_entries', 'entry_id', { ...entry, theme_id: themeId })
  const audio = {
    basename: 'Bakemonogatari-OP1.ogg',
    filename: 'Bakemonogatari-OP1',
    mimetype: 'audio/ogg',
    path: '2009/Summer/Bakemonogatari-OP1.ogg',
    size: 3_609_183,
  }
  const audioId = await add('audios', 'audio_id', audio)
  const video = {
    basename: 'Bakemonogatari-OP1.webm',
    filename: 'Bakemonogatari-OP1',
    lyrics: false,
    mimetype: 'video/webm',
    nc: true,
    path: '2009/Summer/Bakemonogatari-OP1.webm',
    resolution: 1080,
    size: 65_950_223,
    subbed: false,
    uncen: true,
  }
  const videoId = await add('videos', 'video_id', { ...video, overlap: 1, source: 2, audio_id: audioId })
  const pair = { entry_id: entryId, video_id: videoId }
  await kysely.insertInto('anime_theme_entry_video').values(pair).execute()
  return {
    pair,
    shown: {
      animethemeentry: {
        id: entryId,
        ...entry,
        animetheme: {
          id: themeId,
          ...theme,
          anime: {
            id: animeId,
            ...anime,
            images: [
              {
                id: imageIds[0],
                facet: 'Large Cover',
                path: 'anime/large cover.jpg',
                link: 'https://i.example.org/anime/large%20cover.jpg',
              },
              {
                id: imageIds[1],
                facet: 'Small Cover',
                path: 'anime/small.jpg',
                link: 'https://i.example.org/anime/small.jpg',
              },
            ],
          },
          song: {
            id: songId,
            ...song,
            artists: artists.map((artist, index) => ({
              id: artistIds[index],
              ...artist,
              artistsong: artistSongs[index],
            })),
          },
          group: { id: groupId, ...group },
        },
      },
      video: {
        id: videoId,
        ...video,
        overlap: 'Transition',
        source: 'BD',
        tags: 'NCBD1080',
        link: 'https://v.example.org/Bakemonogatari-OP1.webm',
        audio: { id: audioId, ...audio, link: 'https://a.example.org/Bakemonogatari-OP1.ogg' },
      },
    },
  }
}

const SHOWN = [
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
const BESIDES = ['playlist', 'next', 'previous']
const INCLUDED = new Set([...BESIDES, ...SHOWN].flatMap(path => path.split('.')))

/** What is left of something with everything included when only some paths are. */
function prune(whole: unknown, paths: readonly string[]): unknown {
  if (Array.isArray(whole)) return whole.map(item => prune(item, paths))
  if (typeof whole !== 'object' || whole === null) return whole
  return Object.fromEntries(
    Object.entries(whole).flatMap(([name, value]) => {
      if (!INCLUDED.has(name)) return [[name, value]]
      const below = paths.filter(path => path.startsWith(`${name}.`)).map(path => path.slice(name.length + 1))
      return paths.includes(name) || below.length > 0 ? [[name, prune(value, below)]] : []
    }),
  )
}

const SEQUENCE_FIELDS = ['created_at', 'updated_at', 'track_id', 'id', 'entry_id', 'video_id']
const TRACK_FIELDS = [...SEQUENCE_FIELDS, 'next_id', 'playlist_id', 'previous_id', 'next', 'previous']
const RENDERED = ['created_at', 'updated_at', 'id']

interface Read {
  path: string
  /** Which tracks of a playlist whose order is CADB are shown, in letters. */
  shows: string
  /** The track that the path names. */
  of?: string
  isOne?: true
  isSequence?: true
}

const ORDER = 'CADB'
const READS: readonly Read[] = [
  { path: '/forward', shows: 'CADB', isSequence: true },
  { path: '/backward', shows: 'BDAC', isSequence: true },
  { path: '/track', shows: 'ABCD' },
  { path: '/track/{track}', shows: 'D', of: 'D', isOne: true },
  { path: '/track/{track}/forward', shows: 'ADB', of: 'C', isSequence: true },
  { path: '/track/{track}/backward', shows: 'DAC', of: 'B', isSequence: true },
]

async function reading(
  t: Test,
  world: World,
  wiki: Wiki & { shelf: TestPlaylist },
  scene: Scene,
  route: Read,
) {
  await t.test(`GET /api/playlist/{playlist}${route.path}`, async t => {
    await t.test('who may see it', t => seeing(t, world, scene, route))
    await t.test('what is shown', t => shapes(t, world, wiki, route))
    if (route.isSequence) await t.test('the sequence', t => sequence(t, world, route))
    else if (route.isOne) await t.test('one track', t => one(t, world, wiki))
    else await t.test('the list', t => index(t, world, wiki))
  })
}

/** Who sees playlists, and which. */
async function addScene(database: TestDatabase) {
  const permissions = ['view playlist track']
  const owner = await aUser(database, { permissions })
  const owning = await aUser(database)
  const banned = await aUser(database, { permissions })
  await ban(database, banned, 'view playlist track')
  const forgiven = await aUser(database, { permissions })
  await ban(database, forgiven, 'view playlist track', '2026-02-28 00:00:00')
  const tokens = []
  for (const [abilities, status] of [
    [['read:playlist'], 200],
    [['write:playlist'], 403],
    [['read:me', 'read:externalprofile'], 403],
    [[], 403],
  ] as [string[], number][]) {
    tokens.push({ ...(await aToken(database, owner.id, { abilities })), abilities, status })
  }
  return {
    owner,
    other: await aUser(database, { permissions }),
    nobody: await aUser(database),
    viewer: await aUser(database, { permissions: ['view playlist'] }),
    owning,
    bypassing: await aUser(database, { permissions: ['bypass authorization'] }),
    banned,
    forgiven,
    tokens,
    hidden: await makePlaylist(database, owner, { visibility: PRIVATE }),
    unlisted: await makePlaylist(database, owner, { visibility: UNLISTED }),
    shown: await makePlaylist(database, owner, { visibility: PUBLIC }),
    theirs: await makePlaylist(database, owning),
  }
}

type Scene = Awaited<ReturnType<typeof addScene>>

async function seeing(t: Test, { app, database }: World, scene: Scene, { path, of }: Read) {
  const { owner, other, nobody, viewer, owning, bypassing, banned, forgiven, tokens } = scene
  const { hidden, unlisted, shown, theirs } = scene
  const url = (playlist: TestPlaylist) => urlIn(playlist, path, trackAt(playlist, 0))
  const ask = (playlist: TestPlaylist, user?: TestUser) => get(app, url(playlist), user?.token)

  const refused = await ask(hidden)
  const subject = path.endsWith('ward') ? 'playlist' : 'playlist track'
  t.equal(refused.status, 403, `private ${subject} cannot be publicly viewed`)
  t.strictSame(refused.json, UNAUTHORIZED)
  const another = await ask(hidden, other)
  t.equal(another.status, 403, 'private playlist track cannot be publicly viewed if not owned')
  t.strictSame(another.json, UNAUTHORIZED)
  t.equal((await ask(hidden, owner)).status, 200, 'private playlist track can be viewed by owner')
  t.equal((await ask(unlisted)).status, 200, 'unlisted playlist track can be viewed')
  t.equal((await ask(shown)).status, 200, 'public playlist track can be viewed')

  t.equal((await ask(unlisted, other)).status, 200, 'unlisted, by somebody')
  t.equal((await ask(shown, other)).status, 200, 'public, by somebody')
  for (const [user, playlist] of [
    [nobody, shown],
    [viewer, shown],
    [owning, theirs],
    [nobody, unlisted],
  ] as const) {
    const { status, json } = await ask(playlist, user)
    t.equal(status, 403, 'forbidden if missing permission, though guests see it')
    t.strictSame(json, UNAUTHORIZED)
  }
  t.equal((await ask(hidden, bypassing)).status, 200, 'bypass authorization')
  for (const playlist of [shown, hidden]) {
    const { status, json } = await ask(playlist, banned)
    t.equal(status, 403, 'a prohibition')
    t.strictSame(json, BANNED)
  }
  t.equal((await ask(shown, forgiven)).status, 200, 'a prohibition that is over')
  await whileOff(database, async () => {
    t.equal((await ask(shown)).status, 200, 'reading is never turned off')
    t.equal((await ask(hidden, owner)).status, 200, 'for nobody')
  })

  for (const { token, abilities, status } of tokens) {
    for (const playlist of [shown, hidden]) {
      const answer = await get(app, url(playlist), token)
      t.equal(answer.status, status, `a token that allows ${abilities.join() || 'nothing'}`)
      if (status === 403) t.strictSame(answer.json, INVALID_ABILITY)
    }
  }

  t.equal((await send(app, 'HEAD', url(shown))).status, 200, 'HEAD')
  t.equal((await send(app, 'HEAD', url(hidden))).status, 403)
  for (const query of ['page[size]=0', 'include=nope', 'fields[track]=nope']) {
    t.equal((await get(app, `${url(hidden)}?${query}`)).status, 403, 'before any fault is told')
    t.equal((await get(app, `${url(shown)}?${query}`)).status, 422, 'which is told')
  }

  const missing = [
    urlIn({ hashid: 'nope' }, path, trackAt(shown, 0)),
    urlIn({ hashid: flipCase(shown.hashid) }, path, trackAt(shown, 0)),
    urlIn({ hashid: String(shown.id) }, path, trackAt(shown, 0)),
    urlIn({ hashid: '%00' }, path, trackAt(shown, 0)),
    urlIn({ hashid: '%27%3B--' }, path, trackAt(shown, 0)),
    ...(of === undefined
      ? []
      : [
          urlIn(shown, path, { hashid: 'nope' }),
          urlIn(shown, path, { hashid: flipCase(trackAt(shown, 0).hashid) }),
          urlIn(shown, path, { hashid: String(trackAt(shown, 0).id) }),
          urlIn(shown, path, { hashid: '%00' }),
          urlIn(hidden, path, { hashid: 'nope' }),
        ]),
  ]
  for (const url of missing) {
    for (const user of [undefined, owner, banned]) {
      const { status, json } = await get(app, `${url}?page[size]=0`, user?.token)
      t.equal(status, 404, `what is not there comes before who may see it: ${url}`)
      t.strictSame(json, NOT_FOUND)
    }
  }
  if (of !== undefined) {
    for (const [playlist, track] of [
      [shown, trackAt(hidden, 0)],
      [shown, trackAt(theirs, 0)],
      [theirs, trackAt(shown, 0)],
    ] as const) {
      for (const user of [undefined, owner]) {
        const { status, json } = await get(app, urlIn(playlist, path, track), user?.token)
        t.equal(status, 404, path.endsWith('ward') ? 'T9 a track of another playlist' : 'scoped')
        t.strictSame(json, NOT_FOUND)
      }
    }
  }
}

/** In which order the tracks of the shelf were made. */
const SHELVED = 'DBAC'

/** A playlist of what the wiki knows, among others. */
async function addShelf(database: TestDatabase, pair: Pair): Promise<TestPlaylist> {
  const { kysely } = database
  const owner = await aUser(database)
  const playlist = await makePlaylist(database, owner, { count: 4, pair, order: ORDER })
  await makePlaylist(database, owner, { pair })
  await makePlaylist(database, await aUser(database), { pair, visibility: PRIVATE })
  for (const [index, letter] of [...SHELVED].entries()) {
    await kysely
      .updateTable('playlist_tracks')
      .set({
        created_at: `2026-01-0${index + 1} 00:00:00.000001`,
        updated_at: `2026-02-0${index + 1} 00:00:00`,
        // One of them shows nothing.
        ...(letter === 'A' && { entry_id: null, video_id: null }),
      })
      .where('track_id', '=', trackOf(playlist, letter).id)
      .execute()
  }
  return playlist
}

/** Everything that a playlist's tracks are, whatever shows them. */
async function shapes(t: Test, { app, database }: World, wiki: Wiki & { shelf: TestPlaylist }, route: Read) {
  const { path, shows, of, isOne = false, isSequence = false } = route
  const { shelf: playlist } = wiki
  const dates = (letter: string) => {
    const day = `0${SHELVED.indexOf(letter) + 1}`
    return {
      created_at: `2026-01-${day}T00:00:00.000001Z`,
      updated_at: `2026-02-${day}T00:00:00.000000Z`,
    }
  }

  const beside = (letter: string, by: number) => {
    const neighbour = ORDER[ORDER.indexOf(letter) + by]
    return neighbour === undefined ? null : { id: trackOf(playlist, neighbour).hashid }
  }
  const whole = (letter: string) => ({
    id: trackOf(playlist, letter).hashid,
    ...(letter === 'A' ? { animethemeentry: null, video: null } : wiki.shown),
    ...(!isSequence && {
      playlist: { id: playlist.hashid, name: 'A playlist', description: null, visibility: 'Public' },
      next: beside(letter, 1),
      previous: beside(letter, -1),
    }),
  })
  const url = urlIn(playlist, path, of === undefined ? undefined : trackOf(playlist, of))
  const page = isOne ? {} : { 'page[size]': 100 }
  const shown = async (query: Record<string, unknown>) => {
    const { json } = await get(app, withQuery(url, { ...page, ...query }))
    return isOne ? [json.track] : json.tracks
  }
  const expected = (map: (letter: string) => unknown) => [...shows].map(map)

  const plain = await get(app, url)
  const ids = expected(letter => ({ id: trackOf(playlist, letter).hashid }))
  if (isOne) {
    t.strictSame(plain.json, { track: ids[0] }, 'default')
  } else {
    t.strictSame(plain.json.tracks, ids, 'default')
    t.strictSame(Object.keys(plain.json), ['tracks', 'links', 'meta'], 'paginated')
    const base = `http://localhost:80${url}`
    t.strictSame(plain.json.links, {
      first: `${base}?page%5Bnumber%5D=1`,
      last: null,
      prev: null,
      next: null,
    })
    t.strictSame(plain.json.meta, {
      current_page: 1,
      current_page_url: `${base}?page%5Bnumber%5D=1`,
      from: 1,
      path: base,
      per_page: 15,
      to: shows.length,
    })
  }

  const paths = isSequence ? SHOWN : [...BESIDES, ...SHOWN]
  for (const chosen of [...paths.map(one => [one]), paths, [...paths].reverse()]) {
    const include = chosen.join()
    t.strictSame(
      await shown({ include }),
      expected(letter => prune(whole(letter), chosen)),
      `allowed include paths: ${include}`,
    )
  }
  const [everything] = (await shown({ include: paths.join() })).slice(-1)
  t.strictSame(
    Object.keys(everything),
    isSequence
      ? ['id', 'animethemeentry', 'video']
      : ['id', 'animethemeentry', 'playlist', 'next', 'previous', 'video'],
    'in the order of the declaration',
  )
  for (const include of [
    ...(isSequence ? BESIDES : []),
    ...['nope', 'Video', 'animetheme', 'video.animethemeentries', 'playlist.user', 'next.video', 'tracks'],
    'video.audio.x',
    'animethemeentry.videos',
  ]) {
    t.strictSame(
      errorsOf(await get(app, withQuery(url, { include: `video,${include}` }))),
      { include: ['The selected include is invalid.'] },
      `no include: ${include}`,
    )
  }

  const fields = isSequence ? SEQUENCE_FIELDS : TRACK_FIELDS
  for (const chosen of [...fields.map(one => [one]), fields, ['updated_at', 'id'], ['id', 'entry_id']]) {
    const names = RENDERED.filter(name => chosen.includes(name))
    t.strictSame(
      await shown({ 'fields[track]': chosen.join() }),
      expected(letter => {
        const values: Record<string, unknown> = { ...dates(letter), id: trackOf(playlist, letter).hashid }
        return Object.fromEntries(names.map(name => [name, values[name]]))
      }),
      `sparse fieldsets: ${chosen}`,
    )
  }
  t.strictSame(Object.keys((await shown({ 'fields[track]': 'id,updated_at,created_at' }))[0]), RENDERED)
  t.strictSame(
    await shown({ include: paths.join(), 'fields[track]': 'track_id' }),
    expected(letter => {
      const { id: _, ...rest } = whole(letter)
      // The neighbours are tracks, too.
      return { ...rest, ...(!isSequence && { next: rest.next && {}, previous: rest.previous && {} }) }
    }),
    'what is included is shown whatever the fields',
  )
  for (const name of [
    ...['position', 'hashid', 'nope', 'ID', '__proto__'],
    ...TRACK_FIELDS.filter(name => !fields.includes(name)),
  ]) {
    t.strictSame(
      errorsOf(await get(app, withQuery(url, { 'fields[track]': `id,${name}` }))),
      { 'fields.track': ['The selected track is invalid.'] },
      `no field: ${name}`,
    )
  }
  t.strictSame(
    await shown({ include: 'video,animethemeentry', 'fields[video]': 'id,basename' }),
    expected(letter => {
      const {
        id,
        animethemeentry,
        video: has,
      } = prune(whole(letter), ['video', 'animethemeentry']) as Record<string, unknown>
      const video = has && { id: wiki.pair.video_id, basename: 'Bakemonogatari-OP1.webm' }
      return { id, animethemeentry, video }
    }),
    'sparse fieldsets of what is included',
  )
  const moment = '2026-01-02T03:04:05.000006Z'
  const dated = { created_at: moment, updated_at: moment, deleted_at: null }
  t.strictSame(
    await shown({
      include: 'video.audio',
      'fields[video]': Object.keys(dated).join(),
      'fields[audio]': 'link',
    }),
    expected(letter => {
      const audio = { link: 'https://a.example.org/Bakemonogatari-OP1.ogg' }
      const video = letter === 'A' ? null : { ...dated, audio }
      return { id: trackOf(playlist, letter).hashid, video }
    }),
    "the wiki's dates, when asked for",
  )
  for (const name of ['user', 'notification', 'nope', ...(isSequence ? ['playlist'] : [])]) {
    t.strictSame(
      errorsOf(await get(app, withQuery(url, { [`fields[${name}]`]: 'id' }))),
      { fields: ['The fields must be an array.'] },
      `no type: ${name}`,
    )
  }
  t.strictSame(errorsOf(await get(app, withQuery(url, { q: 'x' }))), { q: ['The q field is prohibited.'] })

  await hiddenWiki(t, app, database, wiki, url, shows, isOne)
}

/** What the wiki has deleted, or does not show. */
async function hiddenWiki(
  t: Test,
  app: TestApp,
  database: TestDatabase,
  { pair }: Wiki,
  url: string,
  shows: string,
  isOne: boolean,
) {
  const { kysely } = database
  const include = 'animethemeentry.animetheme,video.audio'
  const last = async () => {
    const { json } = await get(app, withQuery(url, { include }))
    return isOne ? json.track : json.tracks[shows.indexOf('D')]
  }
  for (const [name, hide, show, seen] of [
    [
      'a deleted video',
      sql`update videos set deleted_at = now() where video_id = ${pair.video_id}::bigint`,
      sql`update videos set deleted_at = null`,
      { video: null, animethemeentry: { animetheme: { slug: 'OP1' } } },
    ],
    [
      'a deleted audio',
      sql`update audios set deleted_at = now()`,
      sql`update audios set deleted_at = null`,
      { video: { audio: null } },
    ],
    [
      'a deleted entry',
      sql`update anime_theme_entries set deleted_at = now() where entry_id = ${pair.entry_id}::bigint`,
      sql`update anime_theme_entries set deleted_at = null`,
      { video: { id: pair.video_id }, animethemeentry: null },
    ],
    [
      'an insert song',
      sql`update anime_themes set type = 2`,
      sql`update anime_themes set type = 0`,
      { animethemeentry: { id: pair.entry_id, animetheme: null } },
    ],
  ] as const) {
    await hide.execute(kysely)
    t.match(await last(), seen, name)
    await show.execute(kysely)
  }
}

/** What the forward and backward lists have in common. */
async function sequence(t: Test, { app, database }: World, { path, shows, of }: Read) {
  const owner = await aUser(database)
  const playlist = await makePlaylist(database, owner, { count: 4, order: ORDER })
  const url = urlIn(playlist, path, of === undefined ? undefined : trackOf(playlist, of))
  const isForward = path.endsWith('forward')
  const letters = ({ json }: Answer) =>
    json.tracks
      .map(
        ({ id }: { id: string }) => 'ABCD'[playlist.tracks.findIndex(({ hashid }) => hashid === id)] ?? '?',
      )
      .join('')

  if (of === undefined) {
    const empty = await makePlaylist(database, owner, { count: 0 })
    const { status, json } = await get(app, urlIn(empty, path))
    t.equal(status, 200)
    t.strictSame(json.tracks, [], 'an empty playlist')
    t.match(json.meta, { from: null, to: null })
  } else {
    for (const letter of ORDER) {
      const index = ORDER.indexOf(letter)
      const expected = isForward ? ORDER.slice(index + 1) : [...ORDER.slice(0, index)].reverse().join('')
      t.equal(
        letters(await get(app, urlIn(playlist, path, trackOf(playlist, letter)))),
        expected,
        `default: ${isForward ? 'exactly its successors' : 'its predecessors, nearest first'}`,
      )
    }
  }

  for (const key of ['created_at', 'updated_at', 'id', '-created_at', '-updated_at', '-id', 'random']) {
    for (const query of [{ sort: key }, { 'sort[track]': key }]) {
      const { status, json } = await get(app, withQuery(url, query))
      t.equal(status, 422, `sorts: ${encoded(query)}`)
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
  ]) {
    const { status, json } = await get(app, withQuery(url, query))
    t.equal(status, 422, `filters: ${encoded(query)}`)
    t.strictSame(json.errors, { filter: ['The filter field is prohibited.'] })
  }
  t.strictSame(
    errorsOf(await get(app, withQuery(url, { 'sort[video]': 'id', 'filter[id]': 'x' }))),
    { filter: ['The filter field is prohibited.'], sort: ['The sort field is prohibited.'] },
    'both at once',
  )

  const base = `http://localhost:80${url}`
  const link = (number: number) => `${base}?fields%5Btrack%5D=id&page%5Bsize%5D=2&page%5Bnumber%5D=${number}`
  let page: string = withQuery(url, { 'fields[track]': 'id', 'page[number]': 1, 'page[size]': 2 })
  const pages = shows.match(/..?/g) as string[]
  for (const [index, expected] of pages.entries()) {
    const answer = await get(app, page)
    t.equal(letters(answer), expected, `T8 page ${index + 1}`)
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
  const beyond = await get(app, withQuery(url, { 'page[number]': 9, 'page[size]': 2 }))
  t.strictSame(beyond.json.tracks, [], 'T8 beyond the end')
  t.match(beyond.json.meta, { from: null, to: null, current_page: 9 })
  for (const [query, errors] of [
    [{ 'page[size]': 101 }, { 'page.size': ['The page.size must not be greater than 100.'] }],
    [{ 'page[size]': 0 }, { 'page.size': ['The page.size must be at least 1.'] }],
    [{ 'page[number]': 'x' }, { 'page.number': ['The page.number must be an integer.'] }],
    [{ 'page[limit]': 1 }, { page: ['The page must be an array.'] }],
  ] as const) {
    t.strictSame(errorsOf(await get(app, withQuery(url, query))), errors, 'T8 no page')
  }

  const long = await makePlaylist(database, owner, { count: 17 })
  const ids = long.tracks.map(({ hashid }) => hashid)
  const from = isForward ? ids : [...ids].reverse()
  const { json } = await get(app, urlIn(long, path, trackAt(long, isForward ? 0 : -1)))
  t.strictSame(
    json.tracks.map(({ id }: { id: string }) => id),
    from.slice(of === undefined ? 0 : 1).slice(0, 15),
    'fifteen, unless told otherwise',
  )
  t.ok(json.links.next)
}

async function one(t: Test, { app, database, pair }: World, wiki: Wiki) {
  const owner = await aUser(database)
  const playlist = await makePlaylist(database, owner, { pair: wiki.pair })
  const url = toTrack(playlist, 'B')
  for (const [query, errors] of [
    [{ 'page[size]': 1 }, { page: ['The page field is prohibited.'] }],
    [{ sort: 'id' }, { sort: ['The sort must be an array.'] }],
    [{ 'sort[track]': 'id' }, { sort: ['The sort must be an array.'] }],
    [{ 'filter[track][id]': 'x' }, { filter: ['The filter must be an array.'] }],
    [{ 'filter[video_id]': '1' }, { filter: ['The filter must be an array.'] }],
    [{ 'filter[has]': 'video' }, { filter: ['The filter must be an array.'] }],
  ] as const) {
    t.strictSame(errorsOf(await get(app, withQuery(url, query))), errors, encoded(query))
  }
  const images = async (query: Record<string, string>) => {
    const include = 'animethemeentry.animetheme.anime.images'
    const { json } = await get(app, withQuery(url, { include, ...query }))
    return json.track.animethemeentry.animetheme.anime.images.map(({ facet }: { facet: string }) => facet)
  }
  t.strictSame(await images({ 'filter[facet]': 'small cover' }), ['Small Cover'], 'by facet')
  t.strictSame(await images({ 'filter[image][facet]': 'Large Cover' }), ['Large Cover'])
  t.strictSame(await images({ 'sort[image]': '-id' }), ['Small Cover', 'Large Cover'])

  const bare = await makePlaylist(database, owner, { pair, count: 1 })
  const { json } = await get(
    app,
    withQuery(toTrack(bare), {
      include: 'animethemeentry.animetheme.song.artists,video.audio,next,previous',
    }),
  )
  t.match(json.track, { animethemeentry: { animetheme: null }, video: { audio: null, basename: null } })
  t.equal(json.track.next, null)
  t.equal(json.track.previous, null)
}

async function index(t: Test, { app, database, pair, otherPair }: World, wiki: Wiki) {
  const owner = await aUser(database)
  const playlist = await makePlaylist(database, owner, { count: 6, order: 'FBDACE' })
  await makePlaylist(database, owner, { pair })
  const url = toTracks(playlist)
  for (const [letter, created, updated, content] of [
    ['A', '2024-05-06 00:00:00', '2025-01-01 00:00:00', pair],
    ['B', '2024-05-06 00:00:00', '2025-01-02 00:00:00', otherPair],
    ['C', '2023-01-01 00:00:00', '2025-01-02 00:00:00', { entry_id: null, video_id: null }],
    ['D', '2026-01-01 00:00:00.000001', '2025-06-01 00:00:00', { ...pair, video_id: otherPair.video_id }],
    ['E', '2026-01-01 00:00:00', '2024-01-01 00:00:00', pair],
    ['F', '2022-01-01 00:00:00', '2026-01-01 00:00:00', wiki.pair],
  ] as const) {
    await database.kysely
      .updateTable('playlist_tracks')
      .set({ created_at: created, updated_at: updated, ...content })
      .where('track_id', '=', trackOf(playlist, letter).id)
      .execute()
  }
  const letters = async (query: Record<string, unknown>) => {
    const answer = await get(app, withQuery(url, { 'page[size]': 100, ...query }))
    if (answer.status !== 200) return answer.json
    return answer.json.tracks
      .map(({ id }: { id: string }) => 'ABCDEF'[playlist.tracks.findIndex(({ hashid }) => hashid === id)])
      .join('')
  }

  const byText = [...'ABCDEF'].sort((one, other) =>
    trackOf(playlist, one).hashid < trackOf(playlist, other).hashid ? -1 : 1,
  )
  for (const [sort, expected] of [
    ['created_at', 'FCABED'],
    ['-created_at', 'DEABCF'],
    ['updated_at', 'EABCDF'],
    ['-updated_at', 'FDBCAE'],
    ['id', byText.join('')],
    ['-id', [...byText].reverse().join('')],
    ['created_at,-updated_at', 'FCBAED'],
    ['updated_at,-created_at', 'EABCDF'],
    ['-updated_at,created_at', 'FDCBAE'],
  ] as const) {
    t.equal(await letters({ sort }), expected, `sorts: ${sort}`)
    t.equal(await letters({ 'sort[track]': sort }), expected, `sorts: ${sort} of the track`)
  }
  t.equal([...(await letters({ sort: 'random' }))].sort().join(''), 'ABCDEF', 'sorts: random')
  for (const sort of [
    'entry_id',
    'video_id',
    'track_id',
    'position',
    'next',
    'next_id',
    'playlist_id',
    '-random',
  ]) {
    t.strictSame(
      errorsOf(await get(app, withQuery(url, { sort }))),
      { sort: ['The selected sort is invalid.'] },
      `no sort: ${sort}`,
    )
  }

  for (const [query, expected, name = ''] of [
    [{ 'filter[created_at]': '2024-05-06' }, 'AB', 'created at filter'],
    [{ 'filter[created_at]': '2023' }, 'C', 'created at filter'],
    [{ 'filter[created_at-gte]': '2026' }, 'DE', 'created at filter'],
    [{ 'filter[created_at-gt]': '2026' }, 'D', 'created at filter'],
    [{ 'filter[created_at]': '2026-01-01T00:00:00.000001' }, 'D', 'created at filter'],
    [{ 'filter[created_at]': '2022,2023' }, 'CF', 'created at filter'],
    [{ 'filter[updated_at]': '2025-01-02' }, 'BC', 'updated at filter'],
    [{ 'filter[updated_at-lt]': '2025-01-02' }, 'AE', 'updated at filter'],
    [{ 'filter[updated_at-ne]': '2025-01-02' }, 'ADEF', 'updated at filter'],
    [{ 'filter[track][updated_at-gte]': '2026' }, 'F', 'updated at filter'],
    [{ 'filter[entry_id]': pair.entry_id }, 'ADE'],
    [{ 'filter[video_id]': pair.video_id }, 'AE'],
    [{ 'filter[video_id-ne]': pair.video_id }, 'BDF'],
    [{ 'filter[video_id]': `${pair.video_id},${wiki.pair.video_id}` }, 'AEF'],
    [{ 'filter[track][video_id-gte]': otherPair.video_id }, 'BDF'],
    [{ 'filter[id]': trackOf(playlist, 'D').hashid }, 'D'],
    [{ 'filter[id]': flipCase(trackOf(playlist, 'D').hashid) }, ''],
    [{ 'filter[id-not]': `${trackOf(playlist, 'D').hashid},x` }, 'ABCEF'],
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
    [{ 'filter[created_at]': '1999', 'filter[entry_id-or]': wiki.pair.entry_id }, 'F', 'nothing of others'],
  ] as [Record<string, unknown>, string, string?][]) {
    t.equal(await letters(query), expected, `${name} ${encoded(query)}`)
  }
  for (const [query, errors] of [
    [{ 'filter[position]': '1' }, { filter: ['The filter must be an array.'] }],
    [{ 'filter[next_id]': '1' }, { filter: ['The filter must be an array.'] }],
    [{ 'filter[video_id]': 'x' }, { 'filter.video_id': ['The filter.video id must be an integer.'] }],
    [{ 'filter[video_id]': '1,x' }, { 'filter.video_id': ['The video id must be an integer.'] }],
    [{ 'filter[has]': 'tracks' }, { 'filter.has': ['The selected filter.has is invalid.'] }],
  ] as const) {
    t.strictSame(errorsOf(await get(app, withQuery(url, query))), errors, encoded(query))
  }

  const { json } = await get(app, withQuery(url, { 'page[size]': 4, 'page[number]': 2 }))
  t.strictSame(
    json.tracks.map(({ id }: { id: string }) => id),
    [...'EF'].map(letter => trackOf(playlist, letter).hashid),
    'paginated',
  )
  const empty = await makePlaylist(database, owner, { count: 0 })
  t.strictSame((await get(app, toTracks(empty))).json.tracks, [], 'an empty playlist')
}

interface Write {
  method: string
  path: string
  permission: string
  status: number
  /** What the tests call it. */
  name: string
  done: string
}

const WRITES: readonly Write[] = [
  {
    method: 'POST',
    path: '/track',
    permission: 'create playlist track',
    status: 201,
    name: 'create',
    done: 'ABC+',
  },
  ...['PUT', 'PATCH'].map(method => ({
    method,
    path: '/track/{track}',
    permission: 'update playlist track',
    status: 200,
    name: 'update',
    done: 'ABC',
  })),
  {
    method: 'DELETE',
    path: '/track/{track}',
    permission: 'delete playlist track',
    status: 200,
    name: 'destroy',
    done: 'BC',
  },
]

/** Who may change a playlist's tracks. */
async function writing(t: Test, { app, database, pair, otherPair }: World, route: Write) {
  const { method, path, permission, status, name, done } = route
  await t.test(`${method} /api/playlist/{playlist}${path}: who may`, async t => {
    const permissions = [permission]
    const owner = await aUser(database, { permissions })
    const other = await aUser(database, { permissions })
    const admin = await aUser(database, { roles: ['Admin'] })
    const bypassing = await aUser(database, { permissions: ['bypass authorization'] })
    const banned = await aUser(database, { permissions })
    await ban(database, banned, permission)
    const forgiven = await aUser(database, { permissions })
    await ban(database, forgiven, permission, '2026-02-28 00:00:00')
    const others = WRITES.map(({ permission }) => permission).filter(name => name !== permission)
    const unfit = await aUser(database, {
      permissions: ['view playlist track', 'update playlist', ...others],
    })
    const exempt = await aUser(database, { permissions: [permission, 'bypass feature flags'] })

    const make = (user: TestUser, visibility = PUBLIC) => makePlaylist(database, user, { pair, visibility })
    const ask = async (playlist: TestPlaylist, token?: string, payload: object = otherPair) =>
      as(app, token)(method, urlIn(playlist, path, trackAt(playlist, 0)), payload)
    /** That a request changes nothing, and gets this answer. */
    const refuses = async (
      playlist: TestPlaylist,
      token: string | undefined,
      [status, body]: readonly [number, object],
      message: string,
      payload?: object,
    ) => {
      const answer = await ask(playlist, token, payload)
      t.equal(answer.status, status, message)
      t.strictSame(answer.json, body, message)
      t.equal(await orderOf(database, playlist), 'ABC', message)
      t.match(await rowOf(database, trackAt(playlist, 0).id), pair, message)
    }
    const accepts = async (playlist: TestPlaylist, token: string, message: string) => {
      t.equal((await ask(playlist, token)).status, status, message)
      t.equal(await orderOf(database, playlist), done, message)
    }
    const forbidden = [403, UNAUTHORIZED] as const
    const invalid = { entry_id: 'x', next: 1 }

    const playlist = await make(owner)
    const hidden = await make(owner, PRIVATE)
    await refuses(playlist, undefined, [401, UNAUTHENTICATED], 'protected')
    await refuses(hidden, undefined, [401, UNAUTHENTICATED], 'protected')
    await refuses(playlist, 'nobodys|token', [401, UNAUTHENTICATED], 'protected')
    await refuses(await make(unfit), unfit.token, forbidden, 'forbidden if missing permission')
    await refuses(playlist, other.token, forbidden, 'forbidden if not own playlist')
    await refuses(hidden, other.token, forbidden, 'forbidden if not own playlist')
    await refuses(await make(owner, UNLISTED), other.token, forbidden, 'forbidden if not own playlist')
    await refuses(playlist, admin.token, forbidden, 'an administrator owns nothing more')
    await refuses(playlist, other.token, forbidden, 'before any fault is told', invalid)
    await refuses(playlist, undefined, [401, UNAUTHENTICATED], 'before any fault is told', invalid)
    await refuses(await make(banned), banned.token, [403, BANNED], 'a prohibition')
    await accepts(await make(forgiven), forgiven.token, 'a prohibition that is over')
    await accepts(await make(owner), bypassing.token, "bypass authorization, though it is another's")
    await accepts(await make(owner, PRIVATE), bypassing.token, 'bypass authorization, though it is private')
    await accepts(await make(owner), owner.token, name)
    await accepts(await make(owner, PRIVATE), owner.token, `${name} in a private one`)
    await accepts(await make(exempt), exempt.token, `${name} permitted for bypass, with the flag on`)

    await whileOff(database, async () => {
      await refuses(playlist, owner.token, forbidden, 'forbidden if flag disabled')
      await refuses(
        playlist,
        owner.token,
        forbidden,
        'forbidden if flag disabled, whatever the input',
        invalid,
      )
      await refuses(playlist, bypassing.token, forbidden, 'the flag is no matter of who may')
      await setFeature(database, 'true', `${USER_TYPE}|${owner.id}`)
      await refuses(playlist, owner.token, forbidden, 'what was once resolved for a user is nothing')
      await accepts(await make(exempt), exempt.token, `${name} permitted for bypass, with the flag off`)
      await setFeature(database, 'true')
      await setFeature(database, 'false', `${USER_TYPE}|${owner.id}`)
      await accepts(await make(owner), owner.token, 'turned on again')
    })

    for (const abilities of [['write:playlist'], ['*'], ['read:playlist', 'write:playlist']]) {
      const { token } = await aToken(database, owner.id, { abilities })
      await accepts(await make(owner), token, `a token that allows ${abilities}`)
    }
    for (const abilities of [['read:playlist'], ['write:externalprofile', 'write:me'], []]) {
      const { token } = await aToken(database, owner.id, { abilities })
      await refuses(playlist, token, [403, INVALID_ABILITY], `a token that allows ${abilities}`)
    }

    const foreign = await make(owner)
    for (const url of [
      urlIn({ hashid: 'nope' }, path, trackAt(playlist, 0)),
      urlIn({ hashid: flipCase(playlist.hashid) }, path, trackAt(playlist, 0)),
      ...(method === 'POST'
        ? []
        : [
            urlIn(playlist, path, { hashid: 'nope' }),
            urlIn(playlist, path, { hashid: flipCase(trackAt(playlist, 0).hashid) }),
            urlIn(playlist, path, { hashid: String(trackAt(playlist, 0).id) }),
            urlIn(playlist, path, trackAt(foreign, 0)),
          ]),
    ]) {
      for (const { token } of [owner, unfit, banned, bypassing]) {
        const answer = await as(app, token)(method, url, otherPair)
        t.equal(answer.status, 404, 'scoped, and before who may')
        t.strictSame(answer.json, NOT_FOUND)
      }
      t.equal((await as(app)(method, url, otherPair)).status, 401, 'and after who asks')
    }
    t.equal(await orderOf(database, foreign), 'ABC')
    t.match(await rowOf(database, trackAt(foreign, 0).id), pair, 'nothing was done to the other one')
  })
}

async function storing(t: Test, { app, database, pair, otherPair }: World) {
  const permissions = ['create playlist track']
  const make = async (count = 3) => {
    const owner = await aUser(database, { permissions })
    const playlist = await makePlaylist(database, owner, { count })
    const send = as(app, owner.token)
    return { owner, playlist, post: (payload?: object) => send('POST', toTracks(playlist), payload) }
  }

  await t.test('POST /api/playlist/{playlist}/track', async t => {
    const { owner, playlist, post } = await make()
    const own = (letter: string) => trackOf(playlist, letter).hashid
    const foreign = trackAt(await makePlaylist(database, owner), 0).hashid
    const missing = 999_999_999
    for (const [name, payload, errors] of [
      ['required fields', undefined, { entry_id: required('entry id'), video_id: required('video id') }],
      ['required fields', {}, { entry_id: required('entry id'), video_id: required('video id') }],
      [
        'required fields',
        { entry_id: null, video_id: '' },
        { entry_id: required('entry id'), video_id: required('video id') },
      ],
      [
        'required fields: the one that is there fails, too',
        { entry_id: pair.entry_id },
        { entry_id: selected('entry id'), video_id: required('video id') },
      ],
      [
        'required fields: the one that is there fails, too',
        { video_id: pair.video_id },
        { entry_id: required('entry id'), video_id: selected('video id') },
      ],
      [
        'anime theme entry video exists',
        { entry_id: pair.entry_id, video_id: otherPair.video_id },
        NOT_LINKED,
      ],
      ['an entry without such a video', { entry_id: pair.entry_id, video_id: missing }, NOT_LINKED],
      ['a video without such an entry', { entry_id: missing, video_id: pair.video_id }, NOT_LINKED],
      ['neither', { entry_id: missing, video_id: missing }, NOT_LINKED],
      [
        'prohibits next and previous',
        { ...pair, next: own('A'), previous: own('B') },
        { next: prohibits('next', 'previous'), previous: prohibits('previous', 'next') },
      ],
      [
        'prohibits next and previous, even where they meet',
        { ...pair, next: own('B'), previous: own('A') },
        { next: prohibits('next', 'previous'), previous: prohibits('previous', 'next') },
      ],
      ['scope next', { ...pair, next: foreign }, { next: selected('next') }],
      ['scope previous', { ...pair, previous: foreign }, { previous: selected('previous') }],
      ['T7 next null', { ...pair, next: null }, { next: required('next') }],
      ['T7 previous null', { ...pair, previous: null }, { previous: required('previous') }],
      ['T7 next empty', { ...pair, next: '  ' }, { next: required('next') }],
      [
        'T7 both null',
        { ...pair, next: null, previous: null },
        { next: required('next'), previous: required('previous') },
      ],
      ['T7 one null', { ...pair, next: null, previous: own('A') }, { next: required('next') }],
      [
        'all at once',
        { entry_id: pair.entry_id, next: foreign },
        { entry_id: selected('entry id'), video_id: required('video id'), next: selected('next') },
      ],
      [
        'all at once',
        { entry_id: pair.entry_id, video_id: otherPair.video_id, previous: foreign },
        { ...NOT_LINKED, previous: selected('previous') },
      ],
      [
        'all at once',
        { next: own('A'), previous: own('B') },
        {
          entry_id: required('entry id'),
          video_id: required('video id'),
          next: prohibits('next', 'previous'),
          previous: prohibits('previous', 'next'),
        },
      ],
    ] as const) {
      const { status, json } = await post(payload)
      t.equal(status, 422, name)
      t.strictSame(json.errors, errors, `${name} ${JSON.stringify(payload)}`)
      const [first, ...more] = Object.values<string[]>(json.errors ?? {}).flat()
      const suffix =
        more.length === 0 ? '' : ` (and ${more.length} more error${more.length === 1 ? '' : 's'})`
      t.equal(json.message, `${first}${suffix}`, 'the message counts what else there is')
      const order = ['entry_id', 'video_id', 'next', 'previous'].filter(field => field in errors)
      t.strictSame(Object.keys(json.errors ?? {}), order, 'and is the first of them')
    }
    t.equal(await orderOf(database, playlist), 'ABC', 'and nothing was added')

    for (const [name, count, place, expected] of [
      ['create', 0, {}, '+'],
      ['T4 create with no next or previous goes last', 3, {}, 'ABC+'],
      ['create after last track', 3, { previous: 'C' }, 'ABC+'],
      ['create after first track', 3, { previous: 'A' }, 'A+BC'],
      ['create before last track', 3, { next: 'C' }, 'AB+C'],
      ['create before first track', 3, { next: 'A' }, '+ABC'],
      ['create after the only track', 1, { previous: 'A' }, 'A+'],
      ['create before the only track', 1, { next: 'A' }, '+A'],
    ] as const) {
      const { playlist, post } = await make(count)
      const named = Object.entries(place).map(([side, letter]) => [side, trackOf(playlist, letter).hashid])
      const { status, json } = await post({ ...pair, ...Object.fromEntries(named) })
      t.equal(status, 201, name)
      t.strictSame(json, { track: { id: json.track.id } }, 'T5 only the id')
      t.equal(await orderOf(database, playlist), expected, name)
      const chain = await chainOf(database, playlist.id)
      t.equal(chain[expected.indexOf('+')], json.track.id, name)
    }

    const twice = await make(0)
    const made = []
    for (let i = 0; i < 3; i += 1) made.push((await twice.post(pair)).json.track.id)
    t.equal(new Set(made).size, 3, 'T1 same video twice')
    t.strictSame(await chainOf(database, twice.playlist.id), made)
    const { json } = await get(
      app,
      withQuery(urlIn(twice.playlist, '/forward'), { include: 'video', 'fields[track]': 'id,created_at' }),
    )
    t.match(
      json.tracks,
      made.map(id => ({ id, created_at: '2026-03-01T12:00:00.000000Z', video: { id: pair.video_id } })),
    )

    const ignoring = await make(1)
    const elsewhere = await makePlaylist(database, ignoring.owner)
    const odd = await ignoring.post({
      ...pair,
      ...{ playlist_id: elsewhere.id, hashid: 'x', track_id: 1, position: 1, id: 'y', unknown: [{}] },
    })
    t.equal(odd.status, 201, 'what else is said means nothing')
    t.equal(await orderOf(database, ignoring.playlist), 'A+')
    t.equal(await orderOf(database, elsewhere), 'ABC')
    t.equal((await get(app, urlIn(ignoring.playlist, `/track/${odd.json.track.id}`))).status, 200)
  })

  await t.test('POST /api/playlist/{playlist}/track: how many', async t => {
    const { owner, playlist, post } = await make(25)
    const { status, json } = await post(pair)
    t.equal(status, 403, 'max track limit')
    t.strictSame(json, FULL, 'max track limit')
    t.strictSame((await post({})).json, FULL, 'max track limit, before any fault is told')
    t.strictSame(
      await whileOff(database, async () => (await post(pair)).json),
      UNAUTHORIZED,
      'and after the flag',
    )
    const other = await aUser(database, { permissions })
    const theirs = await as(app, other.token)('POST', toTracks(playlist), pair)
    t.strictSame(theirs.json, UNAUTHORIZED, 'and after who may')
    t.equal((await chainOf(database, playlist.id)).length, 25)

    const exempt = await aUser(database, { permissions: [...permissions, 'bypass feature flags'] })
    const longer = await makePlaylist(database, exempt, { count: 25 })
    const beyond = await as(app, exempt.token)('POST', toTracks(longer), pair)
    t.equal(beyond.status, 201, 'max track limit permitted for bypass')
    t.equal((await chainOf(database, longer.id)).at(-1), beyond.json.track.id)
    const less = await makePlaylist(database, owner, { count: 24 })
    t.equal((await as(app, owner.token)('POST', toTracks(less), pair)).status, 201, 'the last that fits')
    t.strictSame((await as(app, owner.token)('POST', toTracks(less), pair)).json, FULL)
    const mover = await aUser(database, { permissions: ['update playlist track', 'delete playlist track'] })
    const crowded = await makePlaylist(database, mover, { count: 26 })
    const next = trackOf(crowded, 'A').hashid
    t.equal((await as(app, mover.token)('PUT', toTrack(crowded, 'Z'), { next })).status, 200)
    t.equal((await as(app, mover.token)('DELETE', toTrack(crowded, 'B'))).status, 200)
    t.equal(
      await orderOf(database, crowded),
      'ZACDEFGHIJKLMNOPQRSTUVWXY',
      'there may be too many, as long as none is added',
    )
  })
}

async function updating(t: Test, { app, database, pair, otherPair }: World, method: string) {
  const owner = await aUser(database, { permissions: ['update playlist track'] })
  const make = async (options: { count?: number; pair?: Pair } = { pair }) => {
    const playlist = await makePlaylist(database, owner, options)
    const put = (letter: string, payload?: object) =>
      as(app, owner.token)(method, toTrack(playlist, letter), payload)
    return { playlist, put }
  }

  await t.test(`${method} /api/playlist/{playlist}/track/{track}`, async t => {
    const { playlist, put } = await make()
    const before = await rowOf(database, trackAt(playlist, 0).id)
    const own = (letter: string) => trackOf(playlist, letter).hashid
    const foreign = trackAt(await makePlaylist(database, owner), 0).hashid
    const missing = 999_999_999
    const both = { next: prohibits('next', 'previous'), previous: prohibits('previous', 'next') }
    for (const [name, payload, errors] of [
      ['scope previous', { previous: foreign }, { previous: selected('previous') }],
      ['previous is not self', { previous: own('A') }, { previous: selected('previous') }],
      ['scope next', { next: foreign }, { next: selected('next') }],
      ['next is not self', { next: own('A') }, { next: selected('next') }],
      ['prohibits next and previous', { next: own('B'), previous: own('C') }, both],
      [
        'prohibits next and previous, which are wrong besides',
        { next: own('A'), previous: foreign },
        {
          next: [...both.next, ...selected('next')],
          previous: [...both.previous, ...selected('previous')],
        },
      ],
      ['T7 next null', { next: null }, { next: required('next') }],
      ['T7 previous null', { previous: null }, { previous: required('previous') }],
      ['T7 next empty', { next: '' }, { next: required('next') }],
      ['T7 one null', { next: own('B'), previous: null }, { previous: required('previous') }],
      ['T6 entry_id alone', { entry_id: otherPair.entry_id }, { entry_id: selected('entry id') }],
      ['T6 video_id alone', { video_id: otherPair.video_id }, { video_id: selected('video id') }],
      ['an entry that is not there', { entry_id: missing }, { entry_id: selected('entry id') }],
      ['a video that is not there', { video_id: missing }, { video_id: selected('video id') }],
      ['no entry', { entry_id: null }, { entry_id: required('entry id') }],
      ['no video', { video_id: '' }, { video_id: required('video id') }],
      [
        'no entry, and a video that only the entry before would have to have',
        { entry_id: null, video_id: otherPair.video_id },
        { entry_id: required('entry id') },
      ],
      ['both, not linked', { entry_id: pair.entry_id, video_id: otherPair.video_id }, NOT_LINKED],
      ['both, not there', { entry_id: missing, video_id: missing }, NOT_LINKED],
      ['an entry without such a video', { entry_id: pair.entry_id, video_id: missing }, NOT_LINKED],
      [
        'all at once',
        { video_id: null, next: foreign },
        { video_id: required('video id'), next: selected('next') },
      ],
      [
        'all at once',
        { ...otherPair, video_id: pair.video_id, previous: own('A') },
        { ...NOT_LINKED, previous: selected('previous') },
      ],
      ['a place that is wrong', { ...otherPair, next: foreign }, { next: selected('next') }],
      ['content that is wrong', { next: own('C'), video_id: missing }, { video_id: selected('video id') }],
    ] as const) {
      const answer = await put('A', payload)
      t.strictSame(errorsOf(answer), errors, `${name} ${JSON.stringify(payload)}`)
    }
    t.equal(await orderOf(database, playlist), 'ABC', 'nothing was moved')
    t.strictSame(await rowOf(database, trackAt(playlist, 0).id), before, 'nor changed')

    for (const [name, letter, side, other, expected] of [
      ['insert first after second', 'A', 'previous', 'B', 'BAC'],
      ['insert first after third', 'A', 'previous', 'C', 'BCA'],
      ['insert first before third', 'A', 'next', 'C', 'BAC'],
      ['insert second after third', 'B', 'previous', 'C', 'ACB'],
      ['insert second before first', 'B', 'next', 'A', 'BAC'],
      ['insert third after first', 'C', 'previous', 'A', 'ACB'],
      ['insert third before second', 'C', 'next', 'B', 'ACB'],
      ['insert third before first', 'C', 'next', 'A', 'CAB'],
      ['first before second, where it is', 'A', 'next', 'B', 'ABC'],
      ['second after first, where it is', 'B', 'previous', 'A', 'ABC'],
      ['second before third, where it is', 'B', 'next', 'C', 'ABC'],
      ['third after second, where it is', 'C', 'previous', 'B', 'ABC'],
    ] as const) {
      const { playlist, put } = await make()
      const bystander = await makePlaylist(database, owner)
      const { status, json } = await put(letter, { [side]: trackOf(playlist, other).hashid })
      t.equal(status, 200, name)
      t.strictSame(json, { track: { id: trackOf(playlist, letter).hashid } }, 'T5 only the id')
      t.equal(await orderOf(database, playlist), expected, name)
      t.match(await rowOf(database, trackOf(playlist, letter).id), pair, 'it shows what it did')
      t.equal(await orderOf(database, bystander), 'ABC')
    }
    const longer = await make({ count: 6 })
    for (const [letter, side, other, expected] of [
      ['E', 'next', 'B', 'AEBCDF'],
      ['A', 'previous', 'D', 'EBCDAF'],
      ['F', 'next', 'E', 'FEBCDA'],
      ['C', 'previous', 'A', 'FEBDAC'],
      ['D', 'previous', 'F', 'FDEBAC'],
    ] as const) {
      await longer.put(letter, { [side]: trackOf(longer.playlist, other).hashid })
      t.equal(await orderOf(database, longer.playlist), expected, 'one move after the other')
    }
  })

  await t.test(`${method} /api/playlist/{playlist}/track/{track}: what it shows`, async t => {
    const link = (values: Pair) =>
      database.kysely.insertInto('anime_theme_entry_video').values(values).execute()
    const further = await anEntryVideo(database)
    const row = async (playlist: TestPlaylist) => {
      const { entry_id, video_id } = (await rowOf(database, trackAt(playlist, 0).id)) ?? {}
      return { entry_id, video_id }
    }
    for (const [name, before, payload, after] of [
      [
        'update: a track without an entry, to a video of no entry of its',
        { entry_id: null, video_id: pair.video_id },
        { video_id: otherPair.video_id },
        { entry_id: null, video_id: otherPair.video_id },
      ],
      [
        'update: a track without anything',
        { entry_id: null, video_id: null },
        { video_id: pair.video_id },
        { entry_id: null, video_id: pair.video_id },
      ],
      [
        'update: a track without a video, to any entry',
        { entry_id: pair.entry_id, video_id: null },
        { entry_id: otherPair.entry_id },
        { ...otherPair, video_id: null },
      ],
      ['both', pair, otherPair, otherPair],
      ['both, as they are', pair, pair, pair],
      ['both, of nothing', { entry_id: null, video_id: null }, pair, pair],
    ] as const) {
      const { playlist, put } = await make({})
      await database.kysely
        .updateTable('playlist_tracks')
        .set(before)
        .where('playlist_id', '=', playlist.id)
        .execute()
      const { status, json } = await put('A', payload)
      t.equal(status, 200, name)
      t.strictSame(json, { track: { id: trackAt(playlist, 0).hashid } })
      t.strictSame(await row(playlist), after, name)
      t.match(await rowOf(database, trackAt(playlist, 1).id), before, 'and no other track')
      t.equal(await orderOf(database, playlist), 'ABC', 'without them the order stays')
    }

    const lone = await make({})
    const refused = await lone.put('A', { video_id: 999_999_999 })
    t.strictSame(errorsOf(refused), { video_id: selected('video id') }, 'a video has to be there, though')
    t.strictSame(await row(lone.playlist), { entry_id: null, video_id: null })

    await link({ entry_id: further.entry_id, video_id: pair.video_id })
    const alone = await make()
    const { status } = await alone.put('A', { entry_id: further.entry_id })
    t.equal(status, 200, 'T6 entry_id alone, linked with the current video')
    t.strictSame(await row(alone.playlist), { entry_id: further.entry_id, video_id: pair.video_id })
    t.equal((await alone.put('A', { video_id: further.video_id })).status, 200, 'T6 and video_id alone')
    t.strictSame(await row(alone.playlist), further)

    const at = await make()
    const { hashid } = trackOf(at.playlist, 'C')
    t.equal(
      (await at.put('A', { ...otherPair, previous: hashid })).status,
      200,
      'a place and content at once',
    )
    t.equal(await orderOf(database, at.playlist), 'BCA')
    t.strictSame(await row(at.playlist), otherPair)

    const still = await make()
    const before = await rowOf(database, trackAt(still.playlist, 0).id)
    for (const payload of [undefined, {}, { unknown: 1, position: 3, hashid: 'x', playlist_id: 1 }]) {
      const { status, json } = await still.put('A', payload)
      t.equal(status, 200, 'nothing changes nothing')
      t.strictSame(json, { track: { id: trackAt(still.playlist, 0).hashid } })
    }
    t.strictSame(await rowOf(database, trackAt(still.playlist, 0).id), before)
    t.equal(await orderOf(database, still.playlist), 'ABC')
  })
}

async function destroying(t: Test, { app, database, pair }: World) {
  await t.test('DELETE /api/playlist/{playlist}/track/{track}', async t => {
    const owner = await aUser(database, { permissions: ['delete playlist track'] })
    const remove = (playlist: TestPlaylist, letter: string, ...rest: [string?, Record<string, string>?]) =>
      as(app, owner.token)('DELETE', toTrack(playlist, letter), ...rest)
    for (const [name, count, letter, expected] of [
      ['deleted', 1, 'A', ''],
      ['destroy first', 3, 'A', 'BC'],
      ['destroy last', 3, 'C', 'AB'],
      ['destroy second', 3, 'B', 'AC'],
      ['destroy first of two', 2, 'A', 'B'],
      ['destroy last of two', 2, 'B', 'A'],
      ['destroy one of many', 9, 'E', 'ABCDFGHI'],
    ] as const) {
      const playlist = await makePlaylist(database, owner, { count, pair })
      const bystander = await makePlaylist(database, owner)
      const { id } = trackOf(playlist, letter)
      const { status, json } = await remove(playlist, letter)
      t.equal(status, 200, name)
      t.strictSame(json, { message: `Playlist Track '${id}' was deleted.` }, 'T2 the numeric id')
      t.equal(await orderOf(database, playlist), expected, name)
      t.equal(await rowOf(database, id), undefined, 'its row is gone')
      t.equal(await orderOf(database, bystander), 'ABC')
      t.equal((await remove(playlist, letter)).status, 404, 'once')
      t.equal((await get(app, toTrack(playlist, letter))).status, 404)
    }
    const playlist = await makePlaylist(database, owner, { order: 'CAB' })
    t.equal((await remove(playlist, 'A', '', JSON_TYPE)).status, 200, 'with an empty body of any type')
    t.equal(await orderOf(database, playlist), 'CB')
    t.equal((await remove(playlist, 'C', '', FORM)).status, 200)
    t.equal((await remove(playlist, 'B', '{"x":1}', JSON_TYPE)).status, 200)
    t.equal(await orderOf(database, playlist), '', 'down to the last')
  })
}

async function listActions(t: Test, { app, database, pair }: World) {
  const permissions = ['create playlist track', 'update playlist track', 'delete playlist track']
  const owner = await aUser(database, { permissions })
  const send = as(app, owner.token)
  const add = async (playlist: TestPlaylist, place: object = {}) => {
    const { status, json } = await send('POST', toTracks(playlist), { ...pair, ...place })
    if (status !== 201) throw new Error(JSON.stringify(json))
    return json.track.id as string
  }
  const links = async (playlist: TestPlaylist) => {
    const { json } = await get(app, withQuery(toTracks(playlist), { include: 'next,previous' }), undefined)
    const id = (track: { id: string } | null) => track?.id ?? null
    return json.tracks.map((track: Record<string, never>) => [
      id(track.previous ?? null),
      track.id,
      id(track.next ?? null),
    ])
  }
  const ends = async ({ hashid }: TestPlaylist) => {
    const { json } = await get(app, withQuery(`/api/playlist/${hashid}`, { include: 'first,last' }))
    return [json.playlist.first?.id ?? null, json.playlist.last?.id ?? null]
  }

  await t.test('InsertTrack', async t => {
    const playlist = await makePlaylist(database, owner, { count: 0 })
    t.strictSame(await ends(playlist), [null, null])
    const a = await add(playlist)
    t.strictSame(await links(playlist), [[null, a, null]], 'first track')
    t.strictSame(await ends(playlist), [a, a], 'first track')
    const b = await add(playlist)
    t.strictSame(
      await links(playlist),
      [
        [null, a, b],
        [a, b, null],
      ],
      'second track',
    )
    t.strictSame(await ends(playlist), [a, b], 'second track')
    const c = await add(playlist)
    t.strictSame(
      await links(playlist),
      [
        [null, a, b],
        [a, b, c],
        [b, c, null],
      ],
      'third track',
    )
    t.strictSame(await ends(playlist), [a, c], 'third track')
    t.strictSame(await chainOf(database, playlist.id), [a, b, c])
  })

  await t.test('InsertTrackAfter and InsertTrackBefore', async t => {
    for (const [name, place, expected] of [
      ['InsertTrackAfter last track', { previous: 'B' }, 'AB+'],
      ['InsertTrackAfter first track', { previous: 'A' }, 'A+B'],
      ['InsertTrackBefore first track', { next: 'A' }, '+AB'],
      ['InsertTrackBefore last track', { next: 'B' }, 'A+B'],
    ] as const) {
      const playlist = await makePlaylist(database, owner, { count: 2 })
      const [[side, letter]] = Object.entries(place) as [[string, string]]
      const id = await add(playlist, { [side]: trackOf(playlist, letter).hashid })
      t.equal(await orderOf(database, playlist), expected, name)
      const chain = [...expected].map(sign => (sign === '+' ? id : trackOf(playlist, sign).hashid))
      t.strictSame(await ends(playlist), [chain[0], chain[2]], name)
      t.strictSame(
        new Set((await links(playlist)).map(String)),
        new Set(
          [
            [null, chain[0], chain[1]],
            [chain[0], chain[1], chain[2]],
            [chain[1], chain[2], null],
          ].map(String),
        ),
        name,
      )
    }
  })

  await t.test('RemoveTrack', async t => {
    for (const [name, count, letter, expected] of [
      ['remove sole', 1, 'A', ''],
      ['remove first', 2, 'A', 'B'],
      ['remove last', 2, 'B', 'A'],
      ['remove second', 3, 'B', 'AC'],
    ] as const) {
      const playlist = await makePlaylist(database, owner, { count })
      await send('DELETE', toTrack(playlist, letter))
      t.equal(await orderOf(database, playlist), expected, name)
      const ids = [...expected].map(letter => trackOf(playlist, letter).hashid)
      t.strictSame(await ends(playlist), [ids[0] ?? null, ids.at(-1) ?? null], name)
      t.strictSame(
        await links(playlist),
        ids.map((id, index) => [ids[index - 1] ?? null, id, ids[index + 1] ?? null]),
        name,
      )
    }
  })

  await t.test('a long mixture of everything', async t => {
    const playlist = await makePlaylist(database, owner, { count: 0 })
    const url = toTracks(playlist)
    const model: string[] = []
    // Numbers that look like chance, and are the same each time.
    let state = 7
    const below = (most: number) => {
      state = (state * 1_103_515_245 + 12_345) % 2_147_483_648
      return Math.floor((state / 2_147_483_648) * most)
    }
    for (let step = 0; step < 40; step += 1) {
      const one = model[below(model.length)] ?? ''
      const other = model[below(model.length)] ?? ''
      const side = below(2)
      const place = { [side === 0 ? 'next' : 'previous']: other }
      const action = model.length < 3 ? 0 : below(5)
      if (action === 0) {
        model.push(await add(playlist))
      } else if (action === 1) {
        model.splice(model.indexOf(other) + side, 0, await add(playlist, place))
      } else if (action === 2) {
        t.equal((await send('DELETE', `${url}/${one}`)).status, 200)
        model.splice(model.indexOf(one), 1)
      } else if (one !== other) {
        t.equal((await send('PUT', `${url}/${one}`, place)).status, 200)
        model.splice(model.indexOf(one), 1)
        model.splice(model.indexOf(other) + side, 0, one)
      }
      t.strictSame(await chainOf(database, playlist.id), model, `after ${step + 1} changes`)
    }
    const { json } = await get(app, `${urlIn(playlist, '/forward')}?page[size]=100`)
    t.strictSame(
      json.tracks.map(({ id }: { id: string }) => id),
      model,
    )
  })
}

/** In which ways input comes, and what is none. */
async function inputs(t: Test, { app, database, pair, otherPair }: World) {
  const permissions = ['create playlist track', 'update playlist track']
  const owner = await aUser(database, { permissions })
  const request = as(app, owner.token)
  /** The ways to send fields that are text, or can be. */
  const WAYS: [
    name: string,
    send: (method: string, url: string, values: Record<string, unknown>) => Promise<Answer>,
  ][] = [
    ['JSON', (method, url, values) => request(method, url, values)],
    ['a form', (method, url, values) => request(method, url, encoded(values), FORM)],
    ['the query', (method, url, values) => request(method, withQuery(url, values))],
    [
      'the query and an empty JSON body',
      (method, url, values) => request(method, withQuery(url, values), '', JSON_TYPE),
    ],
    ['the query and an empty object', (method, url, values) => request(method, withQuery(url, values), {})],
  ]
  const texts = (values: object) =>
    Object.fromEntries(Object.entries(values).map(([name, value]) => [name, String(value)]))

  await t.test('parameters of every way in', async t => {
    for (const [way, submit] of WAYS) {
      const playlist = await makePlaylist(database, owner, { pair })
      const { hashid } = trackOf(playlist, 'B')
      const made = await submit('POST', toTracks(playlist), { ...texts(pair), next: hashid })
      t.equal(made.status, 201, `POST by ${way}`)
      t.equal(await orderOf(database, playlist), 'A+BC', way)
      for (const method of ['PUT', 'PATCH']) {
        const playlist = await makePlaylist(database, owner, { pair })
        const previous = ` ${trackOf(playlist, 'C').hashid} `
        const moved = await submit(method, toTrack(playlist, 'A'), { ...texts(otherPair), previous })
        t.equal(moved.status, 200, `${method} by ${way}`)
        t.equal(await orderOf(database, playlist), 'BCA', way)
        t.match(await rowOf(database, trackAt(playlist, 0).id), otherPair, way)
      }
      t.strictSame(
        errorsOf(await submit('POST', toTracks(playlist), texts({ ...pair, video_id: otherPair.video_id }))),
        NOT_LINKED,
        way,
      )
    }
    const playlist = await makePlaylist(database, owner, { pair })
    const url = toTracks(playlist)
    const { hashid } = trackOf(playlist, 'A')
    const mixed = await request('POST', withQuery(url, { ...otherPair, next: hashid }), pair)
    t.equal(mixed.status, 201, 'the body comes before the query')
    t.equal(await orderOf(database, playlist), '+ABC', 'which adds what it does not have')
    const shared = await request('POST', withQuery(url, { entry_id: pair.entry_id }), {
      video_id: pair.video_id,
    })
    t.equal(shared.status, 201, 'half of it here and half of it there')
    const nulled = await request('POST', withQuery(url, pair), { entry_id: null })
    t.equal(nulled.status, 422, 'a null in the body is one')
    const signed = await request('POST', url, {
      entry_id: `+${pair.entry_id}`,
      video_id: ` ${pair.video_id} `,
    })
    t.equal(signed.status, 201, 'signs and white space')
  })

  await t.test('writes answer in the default shape', async t => {
    const playlist = await makePlaylist(database, owner, { pair })
    for (const query of [
      'include=video&fields[track]=created_at',
      'include=nope&sort=x&page[size]=0&q=y&filter[z]=1',
    ]) {
      const made = await request('POST', `${toTracks(playlist)}?${query}`, pair)
      t.equal(made.status, 201, query)
      t.strictSame(Object.keys(made.json.track), ['id'], 'T5')
      const changed = await request('PUT', `${toTrack(playlist)}?${query}`, pair)
      t.strictSame(changed.json, { track: { id: trackAt(playlist, 0).hashid } }, 'T5')
    }
  })

  await t.test('numbers that are none', async t => {
    const playlist = await makePlaylist(database, owner, { pair })
    const other = { entry_id: 'video_id', video_id: 'entry_id' } as const
    for (const field of ['entry_id', 'video_id'] as const) {
      const name = field.replace('_', ' ')
      for (const [json, message] of [
        ['9007199254740993', selected(name)],
        ['9223372036854775807', selected(name)],
        ['18446744073709551617', undefined],
        ['1e300', undefined],
        ['1e999', undefined],
        ['-1', selected(name)],
        ['0', selected(name)],
        ['2147483648', selected(name)],
        ['1.5', undefined],
        ['"x"', integer(name)],
        ['"1.5"', integer(name)],
        ['"1e3"', integer(name)],
        ['"0x1"', integer(name)],
        [`"${pair[field]} or 1=1"`, integer(name)],
        ['"-1"', selected(name)],
        ['"9007199254740993"', selected(name)],
        ['"9223372036854775807"', selected(name)],
        ['"9223372036854775808"', integer(name)],
        ['"99999999999999999999999"', integer(name)],
        ['"\\u0000"', undefined],
        ['true', undefined],
        ['false', undefined],
        ['[]', undefined],
        [`[${pair[field]}]`, integer(name)],
        ['{}', undefined],
        [`{"id":${pair[field]}}`, integer(name)],
        ['null', required(name)],
        ['""', required(name)],
        ['" "', required(name)],
      ] as const) {
        const rest = JSON.stringify({ [other[field]]: pair[other[field]] }).slice(1)
        const posted = await request('POST', toTracks(playlist), `{"${field}":${json},${rest}`, JSON_TYPE)
        const [label, beside] = [`${field} ${json}`, other[field]]
        const wrong = selected(beside.replace('_', ' '))
        if (message) {
          t.strictSame(errorsOf(posted), { [field]: message, [beside]: wrong }, `POST ${label}`)
        } else {
          t.strictSame(faultsOf(posted), ['entry_id', 'video_id'], `POST ${label}`)
        }
        const put = await request('PUT', toTrack(playlist), `{"${field}":${json}}`, JSON_TYPE)
        if (message) t.strictSame(errorsOf(put), { [field]: message }, `PUT ${label}`)
        else t.strictSame(faultsOf(put), [field], `PUT ${label}`)
      }
      for (const json of ['999999999', '9007199254740993', '"99999999999999999999"', '-1', '"x"', '1.5']) {
        const rest = JSON.stringify({ [other[field]]: pair[other[field]] }).slice(1)
        const answer = await request('PUT', toTrack(playlist), `{"${field}":${json},${rest}`, JSON_TYPE)
        t.strictSame(
          faultsOf(answer),
          ['entry_id', 'video_id'],
          `both get an error when they are not linked: PUT ${field} ${json}`,
        )
      }
      for (const value of ['x', '-1', '1.5', '9007199254740993', '', '\0']) {
        for (const [way, submit] of WAYS.slice(0, 3)) {
          const values = { [field]: value, [other[field]]: pair[other[field]] }
          const label = `${field} ${JSON.stringify(value)} by ${way}`
          const posted = await submit('POST', toTracks(playlist), values)
          t.strictSame(faultsOf(posted), ['entry_id', 'video_id'], `POST ${label}`)
          const put = await submit('PUT', toTrack(playlist), { [field]: value })
          t.strictSame(faultsOf(put), [field], `PUT ${label}`)
        }
      }
      for (const query of [`${field}[]=1`, `${field}[a][b]=1`, `${field}=1&${field}[x]=2`]) {
        t.strictSame(faultsOf(await request('PUT', `${toTrack(playlist)}?${query}`)), [field], query)
      }
    }
    t.equal(await orderOf(database, playlist), 'ABC')
    t.match(await rowOf(database, trackAt(playlist, 0).id), pair)
  })

  await t.test('places that are none', async t => {
    const playlist = await makePlaylist(database, owner, { pair })
    const { hashid, id } = trackOf(playlist, 'B')
    const fields = [
      ['next', 'previous'],
      ['previous', 'next'],
    ] as const
    for (const [field, opposite] of fields) {
      const string = [`The ${field} must be a string.`]
      for (const [value, message] of [
        [id, string],
        [0, string],
        [1.5, string],
        [true, string],
        [false, string],
        [[], undefined],
        [[hashid], string],
        [{}, undefined],
        [{ id: hashid }, string],
        [String(id), selected(field)],
        ['nope', selected(field)],
        [flipCase(hashid), selected(field)],
        [`${hashid}x`, selected(field)],
        [hashid.slice(0, -1), selected(field)],
        [`${hashid}\0`, selected(field)],
        ['\0', undefined],
        ["' or true --", selected(field)],
        ['%', selected(field)],
        ['x'.repeat(10_000), selected(field)],
        ['\ud800', selected(field)],
        ['é', selected(field)],
        [null, required(field)],
        ['', required(field)],
      ] as [unknown, string[] | undefined][]) {
        const label = `${field} ${JSON.stringify(value).slice(0, 40)}`
        for (const [method, url, content] of [
          ['POST', toTracks(playlist), pair],
          ['PUT', toTrack(playlist), {}],
        ] as const) {
          const answer = await request(method, url, { ...content, [field]: value })
          if (message) t.strictSame(errorsOf(answer), { [field]: message }, `${method} ${label}`)
          else t.strictSame(faultsOf(answer), [field], `${method} ${label}`)
        }
        const both = await request('PUT', toTrack(playlist), { [field]: value, [opposite]: hashid })
        t.ok(errorsOf(both)[field], `${label} and ${opposite}`)
      }
      for (const value of ['nope', flipCase(hashid), `${hashid}\0`, '\0', '', 'é']) {
        for (const [way, submit] of WAYS.slice(1, 3)) {
          for (const [method, url, content] of [
            ['POST', toTracks(playlist), pair],
            ['PUT', toTrack(playlist), {}],
          ] as const) {
            const answer = await submit(method, url, { ...content, [field]: value })
            t.strictSame(faultsOf(answer), [field], `${method} ${field} ${JSON.stringify(value)} by ${way}`)
          }
        }
      }
      const list = await request('PUT', `${toTrack(playlist)}?${field}[]=${hashid}`)
      t.strictSame(errorsOf(list), { [field]: string }, 'a list in the query')
    }
    t.equal(await orderOf(database, playlist), 'ABC')
  })
}

/** What was wrong before is right after the next change, in the order of the positions and then of the ids. */
async function repairs(t: Test, { app, database, pair }: World) {
  const permissions = ['create playlist track', 'update playlist track', 'delete playlist track']
  const owner = await aUser(database, { permissions })
  const request = as(app, owner.token)
  const { kysely } = database
  const foreign = await makePlaylist(database, owner)
  const positions = async (playlist: TestPlaylist, values: readonly number[]) => {
    for (const [index, position] of values.entries()) {
      const { id } = trackAt(playlist, index)
      await kysely.updateTable('playlist_tracks').set({ position }).where('track_id', '=', id).execute()
    }
  }
  const links = async (playlist: TestPlaylist, target: number | null) => {
    const { id } = playlist
    await kysely
      .updateTable('playlist_tracks')
      .set({ previous_id: target, next_id: target })
      .where('playlist_id', '=', id)
      .execute()
    await kysely
      .updateTable('playlists')
      .set({ first_id: target, last_id: target })
      .where('playlist_id', '=', id)
      .execute()
  }
  const DAMAGES: [name: string, order: string, damage: (playlist: TestPlaylist) => Promise<void>][] = [
    ['positions all 1', 'ABCD', playlist => positions(playlist, [1, 1, 1, 1])],
    ['positions with gaps, twice, and below zero', 'CABD', playlist => positions(playlist, [5, 5, -7, 90])],
    [
      'no links',
      'BDCA',
      async playlist => {
        await positions(playlist, [4, 1, 3, 2])
        await links(playlist, null)
      },
    ],
    ['links that all lead to one', 'ABCD', playlist => links(playlist, trackAt(playlist, 2).id)],
    ['links to another playlist', 'ABCD', playlist => links(playlist, trackAt(foreign, 1).id)],
    [
      'no end, and no beginning',
      'ABCD',
      async ({ id }) => {
        await sql`update playlists set first_id = null, last_id = null where playlist_id = ${id}::bigint`.execute(
          kysely,
        )
      },
    ],
    [
      'links in another order, and positions all 1',
      'ABCD',
      async playlist => {
        await arrange(database, playlist, 'DBCA')
        await positions(playlist, [1, 1, 1, 1])
      },
    ],
  ]
  const id = (playlist: TestPlaylist, letter: string) => trackOf(playlist, letter).hashid
  const CHANGES: [
    name: string,
    change: (playlist: TestPlaylist) => Promise<Answer>,
    expected: (order: string) => string,
  ][] = [
    ['POST', playlist => request('POST', toTracks(playlist), pair), order => `${order}+`],
    [
      'POST before C',
      playlist => request('POST', toTracks(playlist), { ...pair, next: id(playlist, 'C') }),
      order => order.replace('C', '+C'),
    ],
    [
      'POST after B',
      playlist => request('POST', toTracks(playlist), { ...pair, previous: id(playlist, 'B') }),
      order => order.replace('B', 'B+'),
    ],
    [
      'PUT A after C',
      playlist => request('PUT', toTrack(playlist, 'A'), { previous: id(playlist, 'C') }),
      order => order.replace('A', '').replace('C', 'CA'),
    ],
    [
      'PUT C before B',
      playlist => request('PUT', toTrack(playlist, 'C'), { next: id(playlist, 'B') }),
      order => order.replace('C', '').replace('B', 'CB'),
    ],
    ['DELETE B', playlist => request('DELETE', toTrack(playlist, 'B')), order => order.replace('B', '')],
    ['DELETE A', playlist => request('DELETE', toTrack(playlist, 'A')), order => order.replace('A', '')],
  ]
  await t.test('a playlist that is not right is set right', async t => {
    for (const [damage, order, inflict] of DAMAGES) {
      for (const [name, change, expected] of CHANGES) {
        const playlist = await makePlaylist(database, owner, { count: 4 })
        await inflict(playlist)
        t.ok((await change(playlist)).status < 300, `${damage}: ${name}`)
        t.equal(await orderOf(database, playlist), expected(order), `${damage}: ${name}`)
        const { json } = await get(app, urlIn(playlist, '/forward'))
        t.strictSame(
          json.tracks.map((track: { id: string }) => track.id),
          await chainOf(database, playlist.id),
        )
      }
    }
    t.equal(await orderOf(database, foreign), 'ABC', 'and the other one stays as it is')
  })
}

async function concurrency(t: Test, { app, twin, database, pair }: World) {
  const permissions = ['create playlist track', 'update playlist track', 'delete playlist track']
  const owner = await aUser(database, { permissions })
  const one = () => as(app, owner.token)
  /** Two servers on the same database, in turn. */
  const both = (index: number) => as(index % 2 === 0 ? app : twin, owner.token)
  const statuses = (answers: Answer[]) => answers.map(({ status }) => status).sort()

  await t.test('T3 20 parallel appends', async t => {
    for (const [name, by] of [
      ['one server', one],
      ['two servers', both],
    ] as const) {
      const playlist = await makePlaylist(database, owner, { count: 0 })
      const answers = await Promise.all(
        Array.from({ length: 20 }, (_, index) => by(index)('POST', toTracks(playlist), pair)),
      )
      t.strictSame(statuses(answers), new Array(20).fill(201), `T3 ${name}`)
      const chain = await chainOf(database, playlist.id)
      t.strictSame(
        [...chain].sort(),
        answers.map(({ json }) => json.track.id).sort(),
        `T3 ${name}: one consistent chain`,
      )
    }
  })

  await t.test('parallel insertions at one place, and at the beginning', async t => {
    for (const place of [{ next: 'A' }, { previous: 'A' }, { next: 'C' }] as const) {
      const [[side, letter]] = Object.entries(place) as [[string, string]]
      const playlist = await makePlaylist(database, owner)
      const payload = { ...pair, [side]: trackOf(playlist, letter).hashid }
      const answers = await Promise.all(
        Array.from({ length: 10 }, (_, index) => both(index)('POST', toTracks(playlist), payload)),
      )
      t.strictSame(statuses(answers), new Array(10).fill(201))
      const added = '+'.repeat(10)
      const expected = 'ABC'.replace(letter, side === 'next' ? `${added}${letter}` : `${letter}${added}`)
      t.equal(await orderOf(database, playlist), expected, JSON.stringify(place))
    }
  })

  await t.test('parallel moves', async t => {
    for (const by of [one, both]) {
      const playlist = await makePlaylist(database, owner, { count: 8 })
      const moves = Array.from({ length: 24 }, (_, index) => {
        const one = index % 8
        const other = (one + 1 + (index % 5)) % 8
        return [
          trackAt(playlist, one),
          index % 2 === 0 ? 'next' : 'previous',
          trackAt(playlist, other),
        ] as const
      })
      const answers = await Promise.all(
        moves.map(([track, side, { hashid }], index) =>
          by(index)('PUT', urlIn(playlist, '/track/{track}', track), { [side]: hashid }),
        ),
      )
      t.strictSame(statuses(answers), new Array(24).fill(200))
      t.equal([...(await orderOf(database, playlist))].sort().join(''), 'ABCDEFGH', 'none is lost')
    }
  })

  await t.test('appends, moves and deletions at once', async t => {
    const playlist = await makePlaylist(database, owner, { count: 12 })
    const answers = await Promise.all(
      Array.from({ length: 6 }, (_, index) => [
        both(index)('DELETE', urlIn(playlist, '/track/{track}', trackAt(playlist, index * 2))),
        both(index + 1)('POST', toTracks(playlist), pair),
        both(index)('PUT', urlIn(playlist, '/track/{track}', trackAt(playlist, index * 2 + 1)), {
          next: trackAt(playlist, ((index * 2 + 3) % 12) as number).hashid,
        }),
      ]).flat(),
    )
    t.strictSame(statuses(answers), [...new Array(12).fill(200), ...new Array(6).fill(201)])
    t.equal([...(await orderOf(database, playlist))].sort().join(''), '++++++BDFHJL')

    const sole = await makePlaylist(database, owner, { count: 1 })
    const gone = await Promise.all(
      Array.from({ length: 6 }, (_, index) => both(index)('DELETE', toTrack(sole))),
    )
    t.strictSame(statuses(gone), [200, 404, 404, 404, 404, 404], 'only one deletes')
    t.equal(await orderOf(database, sole), '')
  })

  await t.test('no more than there may be, however quickly they are added', async t => {
    for (const by of [one, both]) {
      const playlist = await makePlaylist(database, owner, { count: 24 })
      const answers = await Promise.all(
        Array.from({ length: 10 }, (_, index) => by(index)('POST', toTracks(playlist), pair)),
      )
      t.strictSame(statuses(answers), [201, ...new Array(9).fill(403)], 'max track limit')
      for (const { json } of answers.filter(({ status }) => status === 403)) t.strictSame(json, FULL)
      t.equal(await orderOf(database, playlist), 'ABCDEFGHIJKLMNOPQRSTUVWX+')
    }
  })
}

/** What else has to do with tracks. */
async function around(t: Test, { app, database, pair, otherPair }: World) {
  const { kysely } = database
  await t.test("a playlist's date moves with its tracks", async t => {
    const permissions = ['create playlist track', 'update playlist track', 'delete playlist track']
    const owner = await aUser(database, { permissions })
    const playlist = await makePlaylist(database, owner, { pair })
    const request = as(app, owner.token)
    const date = async (url: string, type: string) => {
      const { json } = await get(app, withQuery(url, { [`fields[${type}]`]: 'updated_at' }))
      return json[type].updated_at
    }
    const now = () => new Date(app.clock()).toISOString().replace('Z', '000Z')
    const url = `/api/playlist/${playlist.hashid}`
    t.equal(await date(url, 'playlist'), '2026-02-01T00:00:00.000000Z')
    const { hashid } = trackOf(playlist, 'A')
    for (const [name, change] of [
      ['added', () => request('POST', toTracks(playlist), pair)],
      ['added in the middle', () => request('POST', toTracks(playlist), { ...pair, previous: hashid })],
      ['moved', () => request('PUT', toTrack(playlist, 'C'), { next: hashid })],
      ['deleted', () => request('DELETE', toTrack(playlist, 'B'))],
    ] as const) {
      app.clock.advance(MINUTE)
      t.ok((await change()).status < 300)
      t.equal(await date(url, 'playlist'), now(), name)
    }
    const moved = await date(toTrack(playlist, 'C'), 'track')
    app.clock.advance(MINUTE)
    const before = await date(url, 'playlist')
    await request('PUT', toTrack(playlist, 'C'), {})
    await request('PUT', toTrack(playlist, 'C'), { next: 'nope' })
    await get(app, toTrack(playlist, 'C'))
    t.equal(await date(url, 'playlist'), before, 'and with nothing else')
    t.equal(await date(toTrack(playlist, 'C'), 'track'), moved)
    await request('PUT', toTrack(playlist, 'C'), otherPair)
    t.equal(await date(toTrack(playlist, 'C'), 'track'), now(), 'a track has a date of its own')
  })

  await t.test('DELETE /api/playlist/{playlist} deletes its tracks', async t => {
    const owner = await aUser(database, { permissions: ['delete playlist', 'view playlist track'] })
    const playlist = await makePlaylist(database, owner, { pair })
    const other = await makePlaylist(database, owner, { pair })
    t.equal((await as(app, owner.token)('DELETE', `/api/playlist/${playlist.hashid}`)).status, 200)
    for (const { id } of playlist.tracks) t.equal(await rowOf(database, id), undefined)
    for (const { path } of READS) {
      t.equal((await get(app, urlIn(playlist, path, trackAt(playlist, 0)), owner.token)).status, 404)
    }
    t.equal(await orderOf(database, other), 'ABC', 'and those of no other')
  })

  await t.test('a track outlives its video and its entry', async t => {
    const owner = await aUser(database, { permissions: ['update playlist track'] })
    const mortal = await anEntryVideo(database)
    const playlist = await makePlaylist(database, owner, { pair: mortal })
    const url = withQuery(toTrack(playlist, 'B'), { include: 'video,animethemeentry' })
    await kysely.deleteFrom('videos').where('video_id', '=', mortal.video_id).execute()
    const { json } = await get(app, url)
    t.equal(json.track.video, null)
    t.equal(json.track.animethemeentry.id, mortal.entry_id)
    t.equal(await orderOf(database, playlist), 'ABC')
    await kysely.deleteFrom('anime_theme_entries').where('entry_id', '=', mortal.entry_id).execute()
    t.strictSame((await get(app, url)).json, {
      track: { id: trackOf(playlist, 'B').hashid, animethemeentry: null, video: null },
    })
    t.equal(await orderOf(database, playlist), 'ABC')
    const next = trackOf(playlist, 'A').hashid
    t.equal((await as(app, owner.token)('PUT', toTrack(playlist, 'B'), { next })).status, 200, 'and is moved')
    t.equal(await orderOf(database, playlist), 'BAC')
    t.equal((await as(app, owner.token)('PUT', toTrack(playlist, 'B'), pair)).status, 200, 'and gets others')
    t.match(await rowOf(database, trackOf(playlist, 'B').id), pair)
  })

  await t.test('in a session as with a token', async t => {
    const password = 'Correct horse 1'
    const permissions = [
      'view playlist track',
      'create playlist track',
      'update playlist track',
      'delete playlist track',
    ]
    const owner = { ...(await aUser(database, { permissions, password })), password }
    const playlist = await makePlaylist(database, owner, { visibility: PRIVATE, pair })
    const browser = new TestBrowser(app)
    await browser.logIn(owner)
    for (const { path } of READS) {
      const url = urlIn(playlist, path, trackAt(playlist, 0))
      t.equal((await browser.get(url)).status, 200, path)
      t.equal((await new TestBrowser(app).get(url)).status, 403, path)
    }
    t.equal((await browser.bare('POST', toTracks(playlist), { payload: pair })).status, 419)
    t.equal((await browser.post(toTracks(playlist), pair)).status, 201)
    const next = trackOf(playlist, 'A').hashid
    t.equal((await browser.send('PATCH', toTrack(playlist, 'C'), { payload: { next } })).status, 200)
    t.equal((await browser.send('DELETE', toTrack(playlist, 'B'))).status, 200)
    t.equal(await orderOf(database, playlist), 'CA+')
  })

  await t.test('no other methods', async t => {
    const owner = await aUser(database)
    const playlist = await makePlaylist(database, owner)
    for (const [path, methods, allowed] of [
      ['/forward', ['POST', 'PUT', 'PATCH', 'DELETE'], 'GET, HEAD'],
      ['/backward', ['POST', 'PUT', 'PATCH', 'DELETE'], 'GET, HEAD'],
      ['/track/{track}/forward', ['POST', 'PUT', 'PATCH', 'DELETE'], 'GET, HEAD'],
      ['/track/{track}/backward', ['POST', 'PUT', 'PATCH', 'DELETE'], 'GET, HEAD'],
      ['/track', ['PUT', 'PATCH', 'DELETE'], 'GET, HEAD, POST'],
      ['/track/{track}', ['POST'], 'DELETE, GET, HEAD, PATCH, PUT'],
    ] as const) {
      for (const method of methods) {
        const answer = await as(app, owner.token)(method, urlIn(playlist, path, trackAt(playlist, 0)))
        t.equal(answer.status, 405, `${method} ${path}`)
        t.equal(answer.headers.allow, allowed)
      }
    }
    t.equal(await orderOf(database, playlist), 'ABC')
  })
}
