import Hashids from 'hashids'
import { sql } from 'kysely'
import t, { type Test } from 'tap'
import { TestBrowser } from '../../fixtures/browser.ts'
import { DAY, MINUTE } from '../../fixtures/clock.ts'
import { addTracks, aPlaylist } from '../../fixtures/lists.ts'
import { aToken, aUser, PASSWORD, type TestUser, USER_TYPE } from '../../fixtures/users.ts'
import { type Answer, send, startApp, type TestApp } from '../../support/app.ts'
import { createDatabase, ENGINES, type TestDatabase } from '../../support/databases.ts'

/** Neither limits nor, as in AnimeThemes, private lists that are 404 to others. */
const UNLIMITED = {
  HIDE_PRIVATE: 'off',
  RATE_LIMIT_AUTHENTICATED: '100000',
  RATE_LIMIT_ANONYMOUS: '100000',
  RATE_LIMIT_FAILED_AUTH: '100000',
  LOGIN_RATE_LIMIT: '100000',
}
const FILES = {
  VIDEO_URL: 'https://v.example.org',
  AUDIO_URL: 'https://a.example.org/',
  IMAGE_URL: 'https://i.example.org/files',
}
/** Other settings of all that matters here, and no addresses of files. */
const OTHERWISE = {
  HASHIDS_SALT_PLAYLISTS: 'playlists-salt',
  TOKEN_ABILITIES: 'off',
  USER_MAX_PLAYLISTS: '3',
}

for (const engine of ENGINES) {
  t.test(`playlists on ${engine}`, async t => {
    const database = await createDatabase(t, engine)
    t.teardown(() => database.close())
    const app = await open(t, database, FILES)
    const other = await open(t, database, OTHERWISE)
    await hashids(t, app, other, database)
    await index(t, app, database)
    await sorts(t, app, database)
    await filters(t, app, database)
    await pages(t, app, database)
    await faults(t, app, database)
    await search(t, app, database)
    await show(t, app, database)
    await wiki(t, app, other, database)
    await fieldsets(t, app, database)
    await writes(t, app, database)
    await store(t, app, database)
    await limits(t, other, database)
    await update(t, app, database)
    await destroy(t, app, database)
    await precedence(t, app, database)
    await restrictions(t, app, database)
    await abilities(t, app, other, database)
  })
}

const PATH = '/api/playlist'
const VISIBILITIES = ['Public', 'Private', 'Unlisted'] as const
const [PUBLIC, PRIVATE, UNLISTED] = [0, 1, 2] as const
const VIEW = ['view playlist']

const UNAUTHENTICATED = [401, { message: 'Unauthenticated.' }]
const FORBIDDEN = [403, { message: 'This action is unauthorized.' }]
const INCAPABLE = [403, { message: 'Invalid ability provided.' }]
const BANNED = [
  403,
  {
    message: 'You have been banned from performing this action. Please check your email for more details.',
  },
]
const NOT_FOUND = [404, { message: 'Not Found.' }]

const outcome = ({ status, json }: Answer) => [status, json]

/** The errors of an answer, when it is a 422. */
const errorsOf = ({ status, json }: Answer) => (status === 422 ? json.errors : status)

const open = (t: Test, database: TestDatabase, environment: Record<string, string> = {}) =>
  startApp(t, { database, environment: { ...UNLIMITED, ...environment } })

/** Somebody who can log in, too. */
const addPerson = (database: TestDatabase, permissions: string[] = [], roles: string[] = []) =>
  aUser(database, { permissions, roles, password: PASSWORD })

/** Sends a request as somebody. */
type Caller = (method: string, url: string, payload?: object) => Promise<Answer>

const guest =
  (app: TestApp): Caller =>
  (method, url, payload) =>
    send(app, method, url, payload && { payload })

const bearer =
  (app: TestApp, { token }: Pick<TestUser, 'token'>): Caller =>
  (method, url, payload) =>
    send(app, method, url, { headers: { authorization: `Bearer ${token}` }, ...(payload && { payload }) })

async function session(app: TestApp, { email }: TestUser): Promise<Caller> {
  const browser = new TestBrowser(app)
  await browser.logIn({ email, password: PASSWORD })
  return (method, url, payload) => browser.send(method, url, payload && { payload })
}

const CALLERS = [
  ['with a token', bearer],
  ['in a session', session],
] as const

type Query = Readonly<Record<string, string | number>>

const url = (query: Query = {}, path = PATH) =>
  `${path}?${Object.entries(query)
    .map(([name, value]) => `${encodeURIComponent(name)}=${encodeURIComponent(value)}`)
    .join('&')}`

const one = (hashid: string) => `${PATH}/${hashid}`

const namesOf = ({ json }: Answer): string[] =>
  json.playlists?.map(({ name }: { name: string }) => name) ?? json

/** A timestamp of the database's, as JSON has it. */
function dateOf(timestamp: string) {
  const [seconds = '', fraction = ''] = timestamp.split('.')
  return `${seconds.replace(' ', 'T')}.${fraction.padEnd(6, '0')}Z`
}

/** The moment at which a server is, or one that comes so many milliseconds later, as the database has it. */
const momentOf = ({ clock }: TestApp, later = 0) =>
  new Date(clock() + later).toISOString().slice(0, 19).replace('T', ' ')

/** Deletes all playlists, for a test of what is listed. */
const clear = ({ kysely }: TestDatabase) => kysely.deleteFrom('playlists').execute()

const allRows = ({ kysely }: TestDatabase) =>
  kysely.selectFrom('playlists').selectAll().orderBy('playlist_id').execute()

const rowOf = ({ kysely }: TestDatabase, hashid: string) =>
  kysely.selectFrom('playlists').selectAll().where('hashid', '=', hashid).executeTakeFirstOrThrow()

const countOf = async ({ kysely }: TestDatabase, userId: number) =>
  (await kysely.selectFrom('playlists').select('playlist_id').where('user_id', '=', userId).execute()).length

/** Sets the one row of the flags that there is, or none. */
async function setFlag(
  { kysely }: TestDatabase,
  value: 'true' | 'false' | null,
  { name = 'App\\Features\\AllowPlaylistManagement', scope = '__laravel_null' } = {},
) {
  await kysely.deleteFrom('features').execute()
  if (value === null) return
  await kysely
    .insertInto('features')
    .values({ name, scope, value, created_at: null, updated_at: null })
    .execute()
}

/** How a playlist looks unless anything else is asked for. */
const shape = (
  id: string,
  { name = 'A playlist', description = null, visibility = 0 }: Partial<Record<string, unknown>> = {},
) => ({ id, name, description, visibility: VISIBILITIES[visibility as number] })

async function hashids(t: Test, app: TestApp, other: TestApp, database: TestDatabase) {
  const { kysely } = database

  // Computed by another implementation: with no salt, and with that of the other settings.
  const VECTORS = [
    [app, { '1,1': 'kRfO', '5,12': 'DqtX', '12,345': 'vDTL1', '42,1000000': 'vXcq8lv' }],
    [other, { '1,1': 'QOIL', '5,12': 'BOcR', '12,345': 'Oat96', '42,1000000': 'OOu0dvZ' }],
  ] as const

  t.test('hashids are those of AnimeThemes', async t => {
    const setNext = (table: string, key: string, next: number) =>
      sql`select setval(pg_get_serial_sequence(${table}, ${key}), ${next}, false)`.execute(kysely)
    const users = new Map<number, TestUser>()
    for (const id of [1, 5, 12, 42]) {
      await setNext('users', 'id', id)
      users.set(id, await addPerson(database, ['create playlist']))
    }
    for (const [app, vectors] of VECTORS) {
      for (const [numbers, expected] of Object.entries(vectors)) {
        const [userId = 0, playlistId = 0] = numbers.split(',').map(Number)
        await setNext('playlists', 'playlist_id', playlistId)
        const by = bearer(app, users.get(userId)!)
        const { json } = await by('POST', PATH, { name: 'x', visibility: 0 })
        t.equal(json.playlist.id, expected, `hashids non null user: [${numbers}] is ${expected}`)
        await clear(database)
      }
    }
  })

  t.test('after the creation of a playlist', async t => {
    const user = await addPerson(database, ['create playlist'])
    const by = bearer(app, user)
    const { json } = await by('POST', PATH, { name: 'x', visibility: 'Public' })
    const row = await rowOf(database, json.playlist.id)
    const { encode } = encoder()
    t.equal(row.hashid, encode(user.id, row.playlist_id), 'playlist created assigns non null user hashids')
    t.equal(json.playlist.id, row.hashid, 'P7 and the answer has it')
    await t.rejects(
      kysely
        .insertInto('playlists')
        .values({ name: 'x', visibility: 0, user_id: null as never, hashid: null, ...NO_TRACKS })
        .execute(),
      { code: '23502' },
      'playlist created assigns nullable user hashids, hashids nullable user: there is none without a user',
    )
    await t.rejects(
      kysely
        .insertInto('playlists')
        .values({ name: 'x', visibility: 0, user_id: user.id, hashid: row.hashid, ...NO_TRACKS })
        .execute(),
      { code: '23505' },
      'and none with the hashid of another',
    )
    const found = await guest(other)('GET', one(json.playlist.id))
    t.equal(found.json.playlist.id, json.playlist.id, 'what is stored counts, whatever the salt is now')
  })

  t.test('P10 a hashid is case-sensitive', async t => {
    const user = await addPerson(database)
    for (const hashid of ['CaseOf1', 'cASEoF1']) {
      const { id } = await aPlaylist(database, user.id, { name: hashid })
      await kysely.updateTable('playlists').set({ hashid }).where('playlist_id', '=', id).execute()
    }
    for (const hashid of ['CaseOf1', 'cASEoF1']) {
      t.equal((await guest(app)('GET', one(hashid))).json.playlist.name, hashid)
    }
    t.strictSame(outcome(await guest(app)('GET', one('CASEOF1'))), NOT_FOUND)
  })
}

const NO_TRACKS = { description: null, first_id: null, last_id: null }

/** The package that the server uses, with the alphabet of Laravel's. */
function encoder(salt = '') {
  const hashids = new Hashids(salt, 0, 'abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ1234567890')
  return { encode: (userId: number, playlistId: number) => hashids.encode([userId, playlistId]) }
}

async function index(t: Test, app: TestApp, database: TestDatabase) {
  t.test(`GET ${PATH}`, async t => {
    await clear(database)
    const owner = await addPerson(database, VIEW)
    const other = await addPerson(database)
    const made = []
    for (const [index, visibility] of [PRIVATE, PUBLIC, UNLISTED, PUBLIC, PRIVATE, PUBLIC].entries()) {
      const { id } = index % 2 ? owner : other
      // The newest first, so that no date gives the order.
      const row = { name: `n${index}`, visibility, createdAt: `2026-02-0${9 - index} 00:00:00` }
      made.push({ ...row, ...(await aPlaylist(database, id, row)) })
    }
    await aPlaylist(database, owner.id, { name: 'mine', visibility: PRIVATE })
    await aPlaylist(database, owner.id, { name: 'mine', visibility: UNLISTED })
    const expected = made
      .filter(({ visibility }) => visibility === PUBLIC)
      .map(row => shape(row.hashid, { name: row.name }))

    const { status, json } = await guest(app)('GET', PATH)
    t.equal(status, 200)
    t.strictSame(json.playlists, expected, 'default')
    t.strictSame(Object.keys(json), ['playlists', 'links', 'meta'], 'paginated')
    t.strictSame(Object.keys(json.playlists[0]), ['id', 'name', 'description', 'visibility'])
    t.equal((await guest(app)('HEAD', PATH)).status, 200)

    const bypass = await addPerson(database, ['bypass authorization'])
    const admin = await addPerson(database, [], ['Admin'])
    for (const [how, as] of CALLERS) {
      t.strictSame(
        (await (await as(app, owner))('GET', PATH)).json.playlists,
        expected,
        `P1 nothing but what is public, for an owner ${how}`,
      )
      for (const user of [bypass, admin]) {
        t.strictSame(
          (await (await as(app, user))('GET', PATH)).json.playlists,
          expected,
          `nor for others ${how}`,
        )
      }
      t.strictSame(
        outcome(await (await as(app, other))('GET', PATH)),
        FORBIDDEN,
        `P2 forbidden if missing permission ${how}, where a guest is not`,
      )
    }
  })
}

interface Row {
  key: number
  id: string
  name: string
  description: string | null
  visibility: number
  created_at: string
  updated_at: string
  tracks_count: number
  tracks_exists: boolean
}

/** Adds public playlists that differ in everything, and in some of it not; their ids are in no order of letters. */
async function addVaried(database: TestDatabase): Promise<Row[]> {
  const user = await addPerson(database)
  const rows: Row[] = []
  for (const [id, name, description, createdAt, updatedAt, tracks_count] of [
    ['Bb1', 'delta', null, '2026-01-03 00:00:00', '2026-01-07 00:00:00', 0],
    ['aB2', 'Alpha', 'b', '2026-01-01 00:00:00.000001', '2026-01-09 00:00:00', 2],
    ['AA3', 'charlie', 'A', '2026-01-05 00:00:00', '2026-01-05 00:00:00', 1],
    ['bA4', 'Bravo', null, '2026-01-01 00:00:00', '2026-01-08 00:00:00', 3],
    ['Ab5', 'echo', 'c', '2026-01-02 00:00:00', '2026-01-08 00:00:00', 0],
    ['aa6', 'alpha', 'B', '2026-01-05 00:00:00', '2026-01-06 12:00:00', 1],
  ] as const) {
    const row = { name, description, createdAt, updatedAt }
    const { id: key } = await aPlaylist(database, user.id, row)
    await database.kysely
      .updateTable('playlists')
      .set({ hashid: id })
      .where('playlist_id', '=', key)
      .execute()
    await addTracks(database, key, Array(tracks_count).fill(2712))
    const tracks_exists = tracks_count > 0
    rows.push({
      ...{ key, id, name, description, visibility: PUBLIC, tracks_count, tracks_exists },
      ...{ created_at: createdAt, updated_at: updatedAt },
    })
  }
  return rows
}

async function sorts(t: Test, app: TestApp, database: TestDatabase) {
  const KEYS = [
    ...['created_at', 'updated_at', 'id', 'name', 'description', 'visibility'],
    ...['tracks_exists', 'tracks_count'],
  ] as (keyof Row)[]

  type Value = Row[keyof Row]

  /** What a row is compared by: texts without regard to case, save for ids. */
  const valueIn = (row: Row, key: keyof Row) => {
    const value = row[key]
    return typeof value === 'string' && key !== 'id' ? value.toLowerCase() : value
  }
  /** Compares two values, of which null is the least. */
  const compare = (a: Value, b: Value) => (a === b ? 0 : a === null || (b !== null && a < b) ? -1 : 1)
  const ordered = (rows: readonly Row[], sort: string) =>
    rows.toSorted((a, b) => {
      for (const item of [...sort.split(','), 'key']) {
        const key = item.replace(/^-/, '') as keyof Row
        const difference = compare(valueIn(a, key), valueIn(b, key))
        if (difference !== 0) return item.startsWith('-') ? -difference : difference
      }
      return 0
    })

  t.test('sorts', async t => {
    await clear(database)
    const rows = await addVaried(database)
    const ids = async (query: Query) =>
      (await guest(app)('GET', url(query))).json.playlists.map(({ id }: { id: string }) => id)

    for (const sort of [
      ...KEYS.flatMap(key => [key, `-${key}`]),
      ...['tracks_count,-name', '-description,-created_at', 'tracks_exists,updated_at,id'],
    ]) {
      const expected = ordered(rows, sort).map(({ id }) => id)
      t.strictSame(await ids({ sort }), expected, `sorts ${sort}`)
    }
    t.strictSame((await ids({ sort: 'random' })).sort(), rows.map(({ id }) => id).sort(), 'sorts random')

    t.strictSame(
      await ids({ 'sort[playlist]': '-name' }),
      ordered(rows, '-name').map(({ id }) => id),
      'sorts by type',
    )
    const counts = { 'filter[track][video_id]': 1, sort: '-tracks_count,name' }
    t.strictSame(
      await ids(counts),
      ordered(rows, 'name').map(({ id }) => id),
      'by the count of the tracks that a filter leaves',
    )
    const { json } = await guest(app)('GET', url({ include: 'tracks', sort: '-id' }))
    for (const { tracks } of json.playlists) {
      const shown = tracks.map(({ id }: { id: string }) => id)
      t.strictSame(shown, shown.toSorted().reverse(), 'a sort without a type is one of what is included, too')
    }
  })
}

async function filters(t: Test, app: TestApp, database: TestDatabase) {
  for (const field of ['created_at', 'updated_at']) {
    t.test(`${field.replace('_', ' ')} filter`, async t => {
      await clear(database)
      const user = await addPerson(database)
      for (const day of ['2026-01-10', '2026-01-11']) {
        for (let i = 0; i < 20; i += 1) {
          const at = { createdAt: '2026-01-01 00:00:00', updatedAt: '2026-01-01 00:00:00' }
          at[field === 'created_at' ? 'createdAt' : 'updatedAt'] = `${day} 00:00:00`
          await aPlaylist(database, user.id, { name: day, ...at })
        }
      }
      const found = await guest(app)('GET', url({ [`filter[${field}]`]: '2026-01-10', 'page[size]': 100 }))
      t.strictSame(namesOf(found), Array(20).fill('2026-01-10'))
      const none = await guest(app)('GET', url({ [`filter[${field}]`]: '2026-01-12' }))
      t.strictSame(namesOf(none), [])
    })
  }

  t.test('filters', async t => {
    await clear(database)
    const rows = await addVaried(database)
    const owner = await addPerson(database, VIEW)
    await aPlaylist(database, owner.id, { name: 'alpha secret', visibility: PRIVATE })
    await aPlaylist(database, owner.id, { name: 'alpha unlisted', visibility: UNLISTED })
    const all = rows.map(({ name }) => name)

    for (const [query, expected, label] of [
      [{ 'filter[playlist][tracks_count-gte]': 1 }, ['Alpha', 'charlie', 'Bravo', 'alpha'], 'P14'],
      [{ 'filter[tracks_count]': 3 }, ['Bravo']],
      [{ 'filter[tracks_exists]': 'false' }, ['delta', 'echo']],
      [{ 'filter[has]': 'tracks' }, ['Alpha', 'charlie', 'Bravo', 'alpha'], 'P15'],
      [{ 'filter[has-lt]': 'tracks' }, ['delta', 'echo'], 'P15'],
      [{ 'filter[has]': 'images' }, []],
      [{ 'filter[name-like]': 'alp%' }, ['Alpha', 'alpha'], 'P16'],
      [{ 'filter[name-like]': '%a' }, ['delta', 'Alpha', 'alpha'], 'P16'],
      [{ 'filter[name-like]': 'a' }, [], 'P16 without one it is the whole name'],
      [{ 'filter[name]': 'ALPHA' }, ['Alpha', 'alpha']],
      [{ 'filter[id]': 'aB2' }, ['Alpha']],
      [{ 'filter[id]': 'AB2' }, [], 'P10 an id is case-sensitive'],
      [{ 'filter[description-ne]': 'b' }, ['charlie', 'echo']],
      [{ 'filter[created_at-gte]': '2026-01-03', 'filter[created_at-lt]': '2026-01-05' }, ['delta']],
      [{ 'filter[visibility]': 'PUBLIC' }, all],
      [{ 'filter[visibility]': 'private' }, [], 'nothing but what is public'],
      [{ 'filter[visibility]': 'public,private,unlisted' }, all, 'nothing but what is public'],
      [{ 'filter[visibility-ne]': 'public' }, [], 'nothing but what is public'],
      [
        { 'filter[name]': 'x', 'filter[name-like-or]': 'alpha%' },
        ['Alpha', 'alpha'],
        'an or reaches no others',
      ],
      [{ 'filter[visibility-or]': 'private', 'filter[has-lt-or]': 'tracks' }, ['delta', 'echo'], 'an or'],
    ] as [Query, string[], string?][]) {
      // Whose private ones there are to be found.
      const found = await bearer(app, owner)('GET', url(query))
      t.strictSame(namesOf(found), expected, `${label ?? 'filter'} ${JSON.stringify(query)}`)
    }
  })

  t.test('P13 tracks_count counts the tracks of the filter', async t => {
    await clear(database)
    const user = await addPerson(database)
    const { id, hashid } = await aPlaylist(database, user.id)
    await addTracks(database, id, [2712, 3814, 2712])
    await aPlaylist(database, user.id)
    const query = { 'fields[playlist]': 'tracks_count,tracks_exists', 'filter[track][video_id]': 2712 }
    const [two, none] = [
      { tracks_exists: true, tracks_count: 2 },
      { tracks_exists: false, tracks_count: 0 },
    ]
    t.strictSame((await guest(app)('GET', url(query))).json.playlists, [two, none])
    t.strictSame((await guest(app)('GET', url(query, one(hashid)))).json, { playlist: two })
    const other = { ...query, 'filter[track][video_id]': 99 }
    t.strictSame((await guest(app)('GET', url(other, one(hashid)))).json, { playlist: none })
  })
}

async function pages(t: Test, app: TestApp, database: TestDatabase) {
  t.test('pages', async t => {
    await clear(database)
    const user = await addPerson(database)
    const made: string[] = []
    for (let i = 0; i < 7; i += 1) {
      made.push((await aPlaylist(database, user.id, { name: `n${i % 2}` })).hashid)
      await aPlaylist(database, user.id, { visibility: i % 2 ? PRIVATE : UNLISTED })
    }
    const base = `http://localhost:80${PATH}`
    const page = (query: Query) => guest(app)('GET', url(query))

    const { json } = await page({ 'page[size]': 3, 'page[number]': 2 })
    t.strictSame(
      json.playlists.map(({ id }: { id: string }) => id),
      made.slice(3, 6),
      'paginated',
    )
    t.strictSame(json.links, {
      first: `${base}?page%5Bsize%5D=3&page%5Bnumber%5D=1`,
      last: null,
      prev: `${base}?page%5Bsize%5D=3&page%5Bnumber%5D=1`,
      next: `${base}?page%5Bsize%5D=3&page%5Bnumber%5D=3`,
    })
    t.strictSame(json.meta, {
      current_page: 2,
      current_page_url: `${base}?page%5Bsize%5D=3&page%5Bnumber%5D=2`,
      from: 4,
      path: base,
      per_page: 3,
      to: 6,
    })
    const rest = await page({ 'page[size]': 3, 'page[number]': 3 })
    t.match(rest.json, { links: { next: null }, meta: { from: 7, to: 7 } })

    const everything = {
      'fields[playlist]': 'id,name',
      include: 'tracks',
      'filter[name-like]': 'n%',
      sort: '-name',
      'page[number]': 2,
      'page[size]': 2,
      utm: 'x',
    }
    const kept = (await page(everything)).json.links
    const { 'page[number]': _, ...others } = everything
    t.strictSame(
      [...new URL(kept.next).searchParams].toSorted(),
      [
        ...Object.entries(others).map(([name, value]) => [name, String(value)]),
        ['page[number]', '3'],
      ].toSorted(),
      'P18 the next link has all that was asked for',
    )
    t.match(kept.next, /&page%5Bnumber%5D=3$/, 'P18 the page last')
    t.equal(kept.last, null, 'P18 last is null')

    for (const sort of ['name', '-name', 'visibility', undefined]) {
      const seen: string[] = []
      let next: string | null = url({ 'page[size]': 2, ...(sort && { sort }) })
      while (next !== null) {
        const { json }: Answer = await guest(app)('GET', next)
        seen.push(...json.playlists.map(({ id }: { id: string }) => id))
        next = json.links.next
      }
      t.strictSame(seen.toSorted(), made.toSorted(), `by ${sort}: none twice and none dropped`)
    }

    const beyond = await page({ 'page[number]': 99 })
    t.strictSame(beyond.json.playlists, [], 'P17 a page beyond the end')
    t.match(beyond.json, { links: { next: null }, meta: { from: null, to: null, current_page: 99 } }, 'P17')
  })
}

async function faults(t: Test, app: TestApp, database: TestDatabase) {
  const noFields = { fields: ['The fields must be an array.'] }
  const noFilter = { filter: ['The filter must be an array.'] }
  const noField = { 'fields.playlist': ['The selected playlist is invalid.'] }
  const noInclude = { include: ['The selected include is invalid.'] }
  const noSort = { sort: ['The sort must be an array.'] }
  const noPage = { page: ['The page field is prohibited.'] }

  /** What is wrong with a list and with one playlist. */
  const ANYWHERE = [
    ['P19', { 'fields[unknown]': 'id' }, noFields],
    ['P19 a type that nothing includes', { 'fields[notification]': 'id' }, noFields],
    ['P19 no type', { fields: 'id' }, noFields],
    ['a field that was', { 'fields[playlist]': 'views_count' }, noField],
    ['another case', { 'fields[playlist]': 'Name' }, noField],
    [
      'P20 a duplicate field',
      { 'fields[playlist]': 'id,id' },
      { 'fields.playlist': ['You may not specify duplicates.'] },
    ],
    ['P20 a duplicate include', { include: 'user,user' }, { include: ['You may not specify duplicates.'] }],
    [
      'no fields',
      { 'fields[playlist]': '' },
      { 'fields.playlist': ['The fields.playlist field is required.'] },
    ],
    ['no include', { include: '' }, { include: ['The include field is required.'] }],
    ...[
      ...['Tracks', 'playlist', 'tracks.playlist', 'tracks.user', 'first.video', 'user.playlists'],
      ...['tracks.animethemeentry.videos', 'tracks.animethemeentry.animetheme.animethemeentries'],
      ...['tracks.video.animethemeentries', 'tracks.animethemeentry.animetheme.song.artists.images'],
      ...['tracks.next.next', 'views'],
    ].map(include => [`the include ${include}`, { include }, noInclude] as const),
    ['trashed', { 'filter[trashed]': 'with' }, noFilter],
    ['a filter that there is not', { 'filter[user_id]': 1 }, noFilter],
    ['a filter on a relation', { 'filter[tracks.video_id]': 1 }, noFilter],
    [
      'a facet that there is not',
      { 'filter[facet]': 'Sideways' },
      { 'filter.facet': ['The selected filter.facet is invalid.'] },
    ],
    ['a sort of a type that there is not', { 'sort[role]': 'id' }, noSort],
    [
      'a sort that a type does not have',
      { 'sort[track]': 'name' },
      { 'sort.track': ['The selected track is invalid.'] },
    ],
    [
      'P21 by type',
      { 'sort[track]': 'id,-id' },
      { 'sort.track': ['The sort.track field has a duplicate value.'] },
    ],
  ] as [string, Query, object][]

  const IN_A_LIST = [
    [
      'P14 a list',
      { 'filter[tracks_count]': '1,2' },
      { 'filter.tracks_count': ['The filter.tracks count field is prohibited.'] },
    ],
    ['P17 101', { 'page[size]': 101 }, { 'page.size': ['The page.size must not be greater than 100.'] }],
    ['P17 0', { 'page[size]': 0 }, { 'page.size': ['The page.size must be at least 1.'] }],
    ['P17 abc', { 'page[size]': 'abc' }, { 'page.size': ['The page.size must be an integer.'] }],
    ['P17 page 0', { 'page[number]': 0 }, { 'page.number': ['The page.number must be at least 1.'] }],
    ['P17 page abc', { 'page[number]': 'abc' }, { 'page.number': ['The page.number must be an integer.'] }],
    ['another key', { 'page[limit]': 5 }, { page: ['The page must be an array.'] }],
    ['P20 a duplicate sort', { sort: 'name,name' }, { sort: ['You may not specify duplicates.'] }],
    ['P21', { sort: 'name,-name' }, { sort: ['The sort field has a duplicate value.'] }],
    [
      'P22',
      { sort: 'random,name' },
      { sort: ['The sort field prohibits random unless it is the sole value.'] },
    ],
    ['random backwards', { sort: '-random' }, { sort: ['The selected sort is invalid.'] }],
    ['an unknown sort', { sort: 'user_id' }, { sort: ['The selected sort is invalid.'] }],
    ['a sort by a relation', { sort: 'tracks.id' }, { sort: ['The selected sort is invalid.'] }],
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
      'no date',
      { 'filter[created_at]': 'today' },
      { 'filter.created_at': ['The filter.created at does not match the format Y-m-d\\TH:i:s.u.'] },
    ],
    [
      'P15 has of nothing',
      { 'filter[has]': 'views' },
      { 'filter.has': ['The selected filter.has is invalid.'] },
    ],
    [
      'P15 has of another type',
      { 'filter[track][has]': 'next' },
      { 'filter.track': ['The filter.track must be an array.'] },
    ],
  ] as [string, Query, object][]

  const OF_ONE = [
    ['a page', { 'page[size]': 1 }, noPage],
    ['a page number', { 'page[number]': 1 }, noPage],
    ['a search', { q: 'x' }, { q: ['The q field is prohibited.'] }],
    ['a sort', { sort: 'name' }, noSort],
    ['a sort by its own type', { 'sort[playlist]': 'name' }, noSort],
    ['a filter by its own type', { 'filter[playlist][name]': 'x' }, noFilter],
    ['a filter that nothing included has', { 'filter[visibility]': 'public' }, noFilter],
    ['has', { 'filter[has]': 'tracks' }, noFilter],
  ] as [string, Query, object][]

  t.test('what is wrong is said', async t => {
    const user = await addPerson(database)
    const { hashid } = await aPlaylist(database, user.id)
    for (const [name, query, expected] of [...ANYWHERE, ...IN_A_LIST]) {
      t.strictSame(errorsOf(await guest(app)('GET', url(query))), expected, `GET ${PATH}: ${name}`)
    }
    for (const [name, query, expected] of [...ANYWHERE, ...OF_ONE]) {
      const answer = await guest(app)('GET', url(query, one(hashid)))
      t.strictSame(errorsOf(answer), expected, `GET ${PATH}/{id}: ${name}`)
    }
    const { json } = await guest(app)('GET', url({ 'page[size]': 0, sort: 'x', 'filter[nope]': 1 }))
    t.equal(json.message, 'The filter must be an array. (and 2 more errors)')
    for (const path of [PATH, one(hashid)]) {
      t.equal((await guest(app)('GET', url({ unknown: 1, 'un[known]': 2 }, path))).status, 200)
    }
  })
}

async function search(t: Test, app: TestApp, database: TestDatabase) {
  t.test('a search', async t => {
    await clear(database)
    const user = await addPerson(database, VIEW)
    const bypass = await addPerson(database, ['bypass authorization'])
    // The worst first, so that the order is none of the ids'.
    for (const name of [
      'All of the best openings there are',
      'The best opening',
      'BEST OPENINGS OF 2026',
      'Best openings',
      'Bestopenings',
      'Endings 100%',
      'Endings 1000',
      '% of everything',
      'under_score',
      'underXscore',
      'back\\slash',
      'backslash',
      "o'clock",
    ]) {
      await aPlaylist(database, user.id, { name })
    }
    await aPlaylist(database, user.id, { name: 'Best openings', visibility: PRIVATE })
    await aPlaylist(database, user.id, { name: 'Best openings', visibility: UNLISTED })
    await aPlaylist(database, user.id, { name: 'Some others', description: 'openings' })

    for (const [q, expected, label] of [
      [
        'best openings',
        ['Best openings', 'BEST OPENINGS OF 2026', 'Bestopenings', 'All of the best openings there are'],
        'the best first',
      ],
      [
        'BEST  oPen',
        [
          'Bestopenings',
          'Best openings',
          'The best opening',
          'BEST OPENINGS OF 2026',
          'All of the best openings there are',
        ],
        'parts of words',
      ],
      ['openings best 2026', ['BEST OPENINGS OF 2026'], 'every word must occur, in any order'],
      ['openings endings', [], 'every word must occur'],
      ['100%', ['Endings 100%'], 'no wildcard'],
      ['%', ['% of everything', 'Endings 100%'], 'no wildcard'],
      ['r_s', ['under_score'], 'no wildcard'],
      ['_', ['under_score'], 'no wildcard'],
      ['k\\s', ['back\\slash'], 'no escape'],
      ['\\', ['back\\slash'], 'no escape'],
      ["o'clock", ["o'clock"], 'no end of a literal'],
      ['others', ['Some others']],
      ['nobody has this', []],
      [' slash ', ['backslash', 'back\\slash'], 'without the white space around it'],
      ['x'.repeat(100), []],
    ] as [string, string[], string?][]) {
      // Whose private ones there are to be found.
      const found = await bearer(app, user)('GET', url({ q }))
      t.strictSame(namesOf(found), expected, `q=${q}: ${label ?? 'found'}`)
    }
    const stopless = await bearer(app, bypass)('GET', url({ q: 'best openings' }))
    t.equal(stopless.json.playlists.length, 4, 'nor others for whom no policy stops')

    const found = async (query: Query) => namesOf(await guest(app)('GET', url(query)))
    const byName = [
      'All of the best openings there are',
      'Best openings',
      'BEST OPENINGS OF 2026',
      'Bestopenings',
    ]
    t.strictSame(await found({ q: 'best openings', sort: 'name' }), byName, 'in the order that is asked for')
    t.strictSame(await found({ q: 'best openings', sort: '-name' }), byName.toReversed())
    t.strictSame(await found({ q: 'best openings', 'sort[playlist]': 'name' }), byName)
    t.strictSame(
      await found({ q: 'best', 'filter[name-like]': 'the%' }),
      ['The best opening'],
      'and a filter',
    )
    t.strictSame(await found({ q: 'best', 'filter[visibility]': 'private' }), [])
    t.strictSame(
      await found({ q: 'nobody', 'filter[name-or]': 'x', 'filter[visibility-or]': 'private' }),
      [],
      'an or reaches no others',
    )
    const shown = await guest(app)('GET', url({ q: 'clock', 'fields[playlist]': 'name', include: 'user' }))
    t.strictSame(shown.json.playlists, [{ name: "o'clock", user: { name: user.name } }])

    const seen: string[] = []
    let next: string | null = url({ q: 'best openings', 'page[size]': 1 })
    while (next !== null) {
      const { json }: Answer = await guest(app)('GET', next)
      seen.push(...json.playlists.map(({ name }: { name: string }) => name))
      next = json.links.next
      for (const link of [json.links.first, json.meta.current_page_url, next ?? '?q=best%20openings']) {
        t.match(link, /[?&]q=best%20openings/, 'links keep it')
      }
    }
    t.strictSame(seen, await found({ q: 'best openings' }), 'page by page')

    for (const [name, query, expected] of [
      ['nothing', 'q=', { q: ['The q field is required.'] }],
      ['no value', 'q', { q: ['The q field is required.'] }],
      ['white space', 'q=%20+', { q: ['The q field is required.'] }],
      ['too long', `q=${'x'.repeat(101)}`, { q: ['The q must not be greater than 100 characters.'] }],
      ['a list', 'q[]=x', { q: ['The q must be a string.'] }],
      ['a NUL', 'q=a%00b', { q: ['The q must be a string.'] }],
    ] as const) {
      t.strictSame(errorsOf(await guest(app)('GET', `${PATH}?${query}`)), expected, `q: ${name}`)
    }
  })

  t.test('what can be searched', async t => {
    const user = await addPerson(database, ['view playlist', 'update playlist', 'delete playlist'])
    const by = bearer(app, user)
    const { hashid } = await aPlaylist(database, user.id, { name: 'zebra', visibility: PRIVATE })
    for (const [visibility, expected, label] of [
      ['Private', [], 'not searchable if not public'],
      ['Public', ['zebra'], 'searchable if public'],
      ['Unlisted', [], 'not searchable if not public'],
      ['Public', ['zebra'], 'searchable if public'],
    ] as const) {
      await by('PUT', one(hashid), { visibility })
      for (const as of [by, guest(app)]) {
        t.strictSame(namesOf(await as('GET', url({ q: 'zebra' }))), expected, `${label}: ${visibility}`)
      }
    }
    await by('PUT', one(hashid), { name: 'giraffe' })
    t.strictSame(namesOf(await by('GET', url({ q: 'zebra' }))), [], 'by the name that it has now')
    t.strictSame(namesOf(await by('GET', url({ q: 'giraffe' }))), ['giraffe'])
    await by('DELETE', one(hashid))
    t.strictSame(namesOf(await by('GET', url({ q: 'giraffe' }))), [])
  })
}

async function show(t: Test, app: TestApp, database: TestDatabase) {
  const NOBODY = { permissions: [], roles: [] }
  const VIEWER = { permissions: VIEW, roles: [] }
  const CASES = [
    ['private playlist cannot be publicly viewed', PRIVATE, 'guest', NOBODY, 403],
    ['private playlist cannot be publicly if not owned', PRIVATE, 'other', VIEWER, 403],
    ['private playlist can be viewed by owner', PRIVATE, 'owner', VIEWER, 200],
    ['unlisted playlist can be viewed', UNLISTED, 'guest', NOBODY, 200],
    ['public playlist can be viewed', PUBLIC, 'guest', NOBODY, 200],
    ['unlisted playlist can be viewed by others', UNLISTED, 'other', VIEWER, 200],
    ['unlisted playlist can be viewed by owner', UNLISTED, 'owner', VIEWER, 200],
    ['public playlist can be viewed by others', PUBLIC, 'other', VIEWER, 200],
    ['public playlist cannot be viewed without the permission', PUBLIC, 'other', NOBODY, 403],
    ['unlisted playlist cannot be viewed without the permission', UNLISTED, 'other', NOBODY, 403],
    ['private playlist cannot be viewed by owner without the permission', PRIVATE, 'owner', NOBODY, 403],
    [
      'private playlist cannot be viewed by an administrator',
      PRIVATE,
      'other',
      { ...NOBODY, roles: ['Admin'] },
      403,
    ],
    [
      'private playlist can be viewed by whom no policy stops',
      PRIVATE,
      'other',
      { ...NOBODY, permissions: ['bypass authorization'] },
      200,
    ],
  ] as const

  t.test(`GET ${PATH}/{id}`, async t => {
    for (const [name, visibility, who, { permissions, roles }, status] of CASES) {
      const user = await addPerson(database, [...permissions], [...roles])
      const owner = who === 'owner' ? user : await addPerson(database)
      const { hashid } = await aPlaylist(database, owner.id, { visibility, description: 'What of' })
      const expected =
        status === 200
          ? [200, { playlist: shape(hashid, { visibility, description: 'What of' }) }]
          : FORBIDDEN
      if (who === 'guest') {
        t.strictSame(outcome(await guest(app)('GET', one(hashid))), expected, name)
        continue
      }
      for (const [how, as] of CALLERS) {
        t.strictSame(outcome(await (await as(app, user))('GET', one(hashid))), expected, `${name} ${how}`)
      }
    }
    const user = await addPerson(database)
    const { hashid } = await aPlaylist(database, user.id)
    const { json } = await guest(app)('GET', one(hashid))
    t.strictSame(json, { playlist: shape(hashid) }, 'default')
    t.strictSame(Object.keys(json.playlist), ['id', 'name', 'description', 'visibility'], 'default')
    t.equal((await guest(app)('HEAD', one(hashid))).status, 200)
    t.strictSame((await guest(app)('GET', `${one(hashid)}/`)).json, json)
  })

  t.test('hashids that are none', async t => {
    const by = bearer(app, await addPerson(database, [], ['Verified']))
    for (const path of [
      ...['%00', 'jR%00', '%2E%2E%2F', '..%2F..%2Fme', '-', '_', '%25', '%20', 'a%20b', "';--", '%27'],
      ...['%F0%9F%98%80', '%C3%A4', '0', '-1', '1.5', 'null', 'undefined', '__proto__', 'nobodyHasThis'],
      ...['x'.repeat(100), 'x'.repeat(255), 'x'.repeat(256), 'x'.repeat(300), 'jR*', '%7Bplaylist%7D'],
    ]) {
      const label = path.length > 50 ? `${path.length} characters` : path
      t.strictSame(outcome(await guest(app)('GET', one(path))), NOT_FOUND, `GET ${label}`)
      t.strictSame(outcome(await by('PUT', one(path), {})), NOT_FOUND, `PUT ${label}`)
    }
    t.strictSame(outcome(await by('DELETE', one('%00'))), NOT_FOUND, 'DELETE %00')
  })
}

/** Something that the API shows: its fields, and what it is related to. */
interface Thing {
  fields: Record<string, unknown>
  related: Record<string, Thing | Thing[] | null>
}

const thing = (fields: Thing['fields'], related: Thing['related'] = {}): Thing => ({ fields, related })

/** How a thing looks with what some paths include, when something is not there any more. */
function shown({ fields, related }: Thing, paths: readonly string[], gone?: Thing): Record<string, unknown> {
  const result = { ...fields }
  for (const [name, other] of Object.entries(related)) {
    const own = paths.filter(path => path === name || path.startsWith(`${name}.`))
    if (own.length === 0) continue
    const below = own.filter(path => path !== name).map(path => path.slice(name.length + 1))
    const left = [other ?? []].flat().filter(item => item !== gone)
    const all = left.map(item => shown(item, below, gone))
    result[name] = Array.isArray(other) ? all : (all[0] ?? null)
  }
  return result
}

/** Adds what a track can show of the wiki, twice: with all of it, and with as little of it as there can be. */
async function addWiki(database: TestDatabase) {
  const { kysely } = database
  const deleted_at = '2026-01-01 00:00:00'
  await kysely
    .insertInto('images')
    .values([
      { image_id: 811, path: 'anime/large cover/Bake#1.jpg', facet: 1 },
      { image_id: 812, path: '/anime/grill.jpg', facet: 2 },
      { image_id: 813, path: 'deleted.jpg', facet: 0, deleted_at },
      { image_id: 814, path: 'plain.jpg', facet: null },
    ])
    .execute()
  await kysely
    .insertInto('anime')
    .values([
      {
        ...{
          anime_id: 170,
          slug: 'bakemonogatari',
          title: 'Bakemonogatari',
          year: 2009,
          season: 2,
          format: 0,
        },
        ...{ synopsis: 'A student meets a girl.', title_english: 'Ghostory', title_native: '化物語' },
      },
      { anime_id: 171, slug: 'bare', title: 'Bare' } as never,
    ])
    .execute()
  await addImages(database, 170, [811, 813], 'anime')
  await addImages(database, 170, [812], 'App\\Models\\Wiki\\Anime')
  await addImages(database, 170, [814])
  await addImages(database, 170, [814], 'artist')
  await kysely
    .insertInto('artists')
    .values([
      {
        artist_id: 53,
        slug: 'chiwa_saito',
        name: 'Chiwa Saito',
        name_native: '斎藤千和',
        information: 'Sings.',
      },
      { artist_id: 54, slug: 'another', name: 'Another' } as never,
      { artist_id: 55, slug: 'deleted', name: 'Deleted', deleted_at } as never,
      { artist_id: 56, slug: 'former', name: 'Former' } as never,
    ])
    .execute()
  await kysely
    .insertInto('songs')
    .values([
      { song_id: 2871, title: 'staple stable', title_native: 'ステイプル' },
      { song_id: 2872 } as never,
    ])
    .execute()
  const unnamed = { alias: null, as: null, member_alias: null, member_as: null, relevance: 1 }
  const named = { alias: 'Chiwa', as: 'Hitagi', member_alias: 'C.', member_as: 'H.', relevance: 2 }
  await kysely
    .insertInto('performances')
    .values([
      { performance_id: 61, song_id: 2871, artist_id: 53, ...named },
      { performance_id: 62, song_id: 2871, artist_id: 54, ...unnamed },
      { performance_id: 63, song_id: 2871, artist_id: 55, ...unnamed },
      { performance_id: 64, song_id: 2871, artist_id: 56, ...unnamed, deleted_at },
    ] as never)
    .execute()
  await kysely
    .insertInto('groups')
    .values({ group_id: 4, name: 'English Version', slug: 'EN' } as never)
    .execute()
  await kysely
    .insertInto('anime_themes')
    .values([
      { theme_id: 3102, type: 0, sequence: 1, slug: 'OP1', anime_id: 170, song_id: 2871, group_id: 4 },
      { theme_id: 3103, type: 1, sequence: null, slug: 'ED', anime_id: 171, song_id: null, group_id: null },
    ] as never)
    .execute()
  await kysely
    .insertInto('anime_theme_entries')
    .values([
      {
        ...{ entry_id: 7001, version: 2, episodes: '1-2, 12', nsfw: true, spoiler: true, notes: 'Long' },
        ...{ theme_id: 3102, tracks_count: 12, likes_count: 3 },
      },
      { entry_id: 7002, theme_id: 3103 } as never,
    ] as never)
    .execute()
  await kysely
    .insertInto('audios')
    .values({
      ...{ audio_id: 4512, basename: 'Bake OP1.ogg', filename: 'Bake OP1', path: '2009/Bake OP1.ogg' },
      ...{ size: 3_609_183, mimetype: 'audio/ogg' },
    } as never)
    .execute()
  await kysely
    .insertInto('videos')
    .values([
      {
        ...{ video_id: 7001, basename: 'Bäke#OP1.webm', filename: 'Bäke#OP1', path: '2009/Bäke#OP1.webm' },
        ...{ size: 65_950_223, mimetype: 'video/webm', resolution: 1080, nc: true, subbed: true },
        ...{ lyrics: true, uncen: true, overlap: 2, source: 2, audio_id: 4512 },
      },
      { video_id: 7002 },
    ] as never)
    .execute()

  const cover = thing({
    ...{ id: 811, facet: 'Large Cover', path: 'anime/large cover/Bake#1.jpg' },
    link: 'https://i.example.org/files/anime/large%20cover/Bake%231.jpg',
  })
  const grill = thing({
    ...{ id: 812, facet: 'Grill', path: '/anime/grill.jpg' },
    link: 'https://i.example.org/files/anime/grill.jpg',
  })
  const plain = thing({
    ...{ id: 814, facet: null, path: 'plain.jpg' },
    link: 'https://i.example.org/files/plain.jpg',
  })
  const anime = thing(
    {
      ...{ id: 170, name: 'Bakemonogatari', media_format: 'TV', season: 'Summer', slug: 'bakemonogatari' },
      ...{ synopsis: 'A student meets a girl.', year: 2009 },
    },
    { images: [cover, grill] },
  )
  const artist = thing({
    ...{ id: 53, name: 'Chiwa Saito', slug: 'chiwa_saito', information: 'Sings.' },
    artistsong: { id: 61, ...named },
  })
  const another = thing({
    ...{ id: 54, name: 'Another', slug: 'another', information: null },
    artistsong: { id: 62, ...unnamed },
  })
  const song = thing({ id: 2871, title: 'staple stable' }, { artists: [artist, another] })
  const group = thing({ id: 4, name: 'English Version', slug: 'EN' })
  const theme = thing({ id: 3102, sequence: 1, slug: 'OP1', type: 'OP' }, { anime, song, group })
  const entry = thing(
    {
      ...{ id: 7001, episodes: '1-2, 12', notes: 'Long', nsfw: true, spoiler: true, version: 2 },
      tracks_count: 12,
    },
    { animetheme: theme },
  )
  const audio = thing({
    ...{ id: 4512, basename: 'Bake OP1.ogg', filename: 'Bake OP1', mimetype: 'audio/ogg' },
    ...{ path: '2009/Bake OP1.ogg', size: 3_609_183, link: 'https://a.example.org/Bake%20OP1.ogg' },
  })
  const video = thing(
    {
      ...{ id: 7001, basename: 'Bäke#OP1.webm', filename: 'Bäke#OP1', lyrics: true },
      ...{ mimetype: 'video/webm', nc: true, overlap: 'Over', path: '2009/Bäke#OP1.webm' },
      ...{ resolution: 1080, size: 65_950_223, source: 'BD', subbed: true, uncen: true },
      ...{ tags: 'NCBD1080Subbed', link: 'https://v.example.org/B%C3%A4ke%23OP1.webm' },
    },
    { audio },
  )
  const bareAnime = thing(
    { id: 171, name: 'Bare', media_format: null, season: null, slug: 'bare', synopsis: null, year: null },
    { images: [] },
  )
  const bareTheme = thing(
    { id: 3103, sequence: null, slug: 'ED', type: 'ED' },
    { anime: bareAnime, song: null, group: null },
  )
  const bareEntry = thing(
    {
      ...{ id: 7002, episodes: null, notes: null, nsfw: false, spoiler: false, version: 1 },
      tracks_count: 0,
    },
    { animetheme: bareTheme },
  )
  const bareVideo = thing(
    {
      ...{ id: 7002, basename: null, filename: null, lyrics: false, mimetype: null, nc: false },
      ...{ overlap: 'None', path: null, resolution: null, size: null, source: null, subbed: false },
      ...{ uncen: false, tags: '', link: null },
    },
    { audio: null },
  )
  return { cover, plain, anime, artist, song, group, theme, entry, audio, video, bareEntry, bareVideo }
}

/** Gives images to something, which is a playlist unless told otherwise. */
async function addImages(
  { kysely }: TestDatabase,
  imageable_id: number,
  images: readonly number[],
  imageable_type = 'App\\Models\\List\\Playlist',
) {
  const rest = { imageable_type, imageable_id, depth: null, created_at: null, updated_at: null }
  await kysely
    .insertInto('imageables')
    .values(images.map(image_id => ({ image_id, ...rest })))
    .execute()
}

/** Every path that can be included, in the order of the JSON. */
const PATHS = [
  ...['images', 'first', 'last', 'tracks', 'user'],
  ...['tracks.animethemeentry', 'tracks.animethemeentry.animetheme'],
  ...['tracks.animethemeentry.animetheme.anime', 'tracks.animethemeentry.animetheme.anime.images'],
  ...['tracks.animethemeentry.animetheme.song', 'tracks.animethemeentry.animetheme.song.artists'],
  ...['tracks.animethemeentry.animetheme.group', 'tracks.next', 'tracks.previous'],
  ...['tracks.video', 'tracks.video.audio'],
]

async function wiki(t: Test, app: TestApp, other: TestApp, database: TestDatabase) {
  const { kysely } = database
  const wiki = await addWiki(database)

  /** Adds a playlist with all that can be included, and one with nothing. */
  const addPlaylists = async () => {
    await clear(database)
    const user = await addPerson(database)
    const { id, hashid } = await aPlaylist(database, user.id, { name: 'full' })
    const empty = await aPlaylist(database, user.id, { name: 'empty' })
    await addImages(database, id, [811, 813, 814])
    await addImages(database, id, [812], 'anime')
    const tracks = (await addTracks(database, id, [7001, 7002, null, 7001])).map(({ hashid }) =>
      thing({ id: hashid }),
    )
    const entries = [wiki.entry, wiki.bareEntry, null, wiki.entry]
    const videos = [wiki.video, wiki.bareVideo, null, wiki.video]
    for (const [index, track] of tracks.entries()) {
      const [animethemeentry = null, video = null] = [entries[index], videos[index]]
      const [next = null, previous = null] = [tracks[index + 1], tracks[index - 1]]
      track.related = { animethemeentry, next, previous, video }
    }
    const [first = null, last = null] = [tracks[0], tracks.at(-1)]
    const images = [wiki.cover, wiki.plain]
    const owner = thing({ name: user.name })
    return {
      ...{ hashid, empty: empty.hashid },
      ...{ user, owner },
      playlists: [
        thing(shape(hashid, { name: 'full' }), { images, first, last, tracks, user: owner }),
        thing(shape(empty.hashid, { name: 'empty' }), {
          ...{ images: [], first: null, last: null, tracks: [], user: owner },
        }),
      ],
    }
  }

  t.test('allowed include paths', async t => {
    const { hashid, empty, playlists } = await addPlaylists()
    for (const paths of [...PATHS.map(path => [path]), PATHS, PATHS.toReversed(), PATHS.slice(5)]) {
      const include = paths.join()
      const expected = playlists.map(playlist => shown(playlist, paths))
      const label = paths.length === 1 ? include : `${paths.length} at once`
      const { json } = await guest(app)('GET', url({ include }))
      t.strictSame(json.playlists, expected, `GET ${PATH}: allowed include paths ${label}`)
      const [playlist] = expected
      t.strictSame(
        outcome(await guest(app)('GET', url({ include }, one(hashid)))),
        [200, { playlist }],
        `GET ${PATH}/{id}: allowed include paths ${label}`,
      )
    }
    const bare = await guest(app)('GET', url({ include: PATHS.join() }, one(empty)))
    t.strictSame(
      bare.json,
      { playlist: shown(playlists[1]!, PATHS) },
      'allowed include paths with nothing there',
    )
    const { json } = await guest(app)('GET', url({ include: PATHS.join() }))
    const [{ tracks, ...full }] = json.playlists
    t.strictSame(Object.keys(full), [
      ...['id', 'name', 'description', 'visibility'],
      ...['images', 'first', 'last', 'user'],
    ])
    t.strictSame(
      Object.keys(json.playlists[0]).indexOf('tracks'),
      Object.keys(full).indexOf('user'),
      'in the order of the declaration',
    )
    t.strictSame(Object.keys(tracks[0].video), Object.keys(shown(wiki.video, ['audio'])))
  })

  t.test('no links where nobody has said where the files are', async t => {
    const { hashid } = await addPlaylists()
    const include = PATHS.join()
    const { json } = await guest(other)('GET', url({ include }, one(hashid)))
    const [{ video, animethemeentry }] = json.playlist.tracks
    for (const file of [
      video,
      video.audio,
      ...json.playlist.images,
      ...animethemeentry.animetheme.anime.images,
    ]) {
      t.equal(file.link, null, file.path)
    }
  })

  t.test('tags of videos', async t => {
    const user = await addPerson(database)
    const { id, hashid } = await aPlaylist(database, user.id)
    const CASES = [
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
    await addTracks(
      database,
      id,
      CASES.map((_, index) => 8001 + index),
    )
    for (const [index, [values]] of CASES.entries()) {
      if (Object.keys(values).length === 0) continue
      await kysely
        .updateTable('videos')
        .set(values)
        .where('video_id', '=', 8001 + index)
        .execute()
    }
    const query = { include: 'tracks.video', 'fields[track]': 'video_id', 'fields[video]': 'tags' }
    const { json } = await guest(app)('GET', url(query, one(hashid)))
    t.strictSame(
      json.playlist.tracks,
      CASES.map(([, tags]) => ({ video: { tags } })),
    )
  })

  t.test('what is deleted is not shown', async t => {
    const { user, owner, playlists } = await addPlaylists()
    const include = PATHS.join()
    const look = async () => (await guest(app)('GET', url({ include }))).json.playlists
    const has = async (path: string) => namesOf(await guest(app)('GET', url({ 'filter[has]': path })))
    const complete = playlists.map(playlist => shown(playlist, PATHS))
    const deleted = sql`deleted_at = '2026-02-03 04:05:06'`
    for (const [table, key, id, gone, path, change = deleted] of [
      ['users', 'id', user.id, owner, 'user'],
      ['anime_theme_entries', 'entry_id', 7001, wiki.entry],
      ['anime_themes', 'theme_id', 3102, wiki.theme],
      ['anime_themes', 'theme_id', 3102, wiki.theme, 'tracks.animethemeentry.animetheme.song', sql`type = 2`],
      ['anime', 'anime_id', 170, wiki.anime],
      ['groups', 'group_id', 4, wiki.group, 'tracks.animethemeentry.animetheme.group'],
      ['songs', 'song_id', 2871, wiki.song, 'tracks.animethemeentry.animetheme.song'],
      ['artists', 'artist_id', 53, wiki.artist],
      ['performances', 'artist_id', 53, wiki.artist],
      ['images', 'image_id', 811, wiki.cover],
      ['videos', 'video_id', 7001, wiki.video, 'tracks.video.audio'],
      ['audios', 'audio_id', 4512, wiki.audio, 'tracks.video.audio'],
    ] as const) {
      const set = (assignment: typeof change) =>
        sql`update ${sql.table(table)} set ${assignment} where ${sql.ref(key)} = ${id}`.execute(
          database.kysely,
        )
      if (path !== undefined) t.ok((await has(path)).includes('full'), `${path} is there`)
      await set(change)
      t.strictSame(
        await look(),
        playlists.map(playlist => shown(playlist, PATHS, gone)),
        `none of the ${table}, and all else`,
      )
      if (path !== undefined) t.strictSame(await has(path), [], `${path} is not`)
      await set(change === deleted ? sql`deleted_at = null` : sql`type = 0`)
      t.strictSame(await look(), complete, `${table} again`)
    }
  })

  t.test('images by facet', async t => {
    await clear(database)
    const user = await addPerson(database)
    const FACETS = ['Small Cover', 'Large Cover', 'Grill', 'Document', 'Avatar', 'Banner']
    const ids = FACETS.map((_, facet) => 900 + facet)
    for (const [facet, image_id] of ids.entries()) {
      const image = { image_id, facet, path: `${facet}.jpg`, deleted_at: null }
      await database.kysely.insertInto('images').values(image).execute()
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
      const { json } = await guest(app)('GET', url(query))
      t.strictSame(json.playlists.map(facetsOf), [expected, expected, []], `images by facet ${filter}`)
      const shown = await guest(app)('GET', url(query, one(hashids[0] ?? '')))
      t.strictSame(facetsOf(shown.json.playlist), expected, `images by facet ${filter}, of one`)
    }
  })

  t.test('fields, sorts and filters of what is included', async t => {
    const { hashid } = await addPlaylists()
    const { name, artistsong } = wiki.artist.fields
    const chiwa = { name, artistsong }
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
          tracks: [
            { video: { link: 'https://v.example.org/B%C3%A4ke%23OP1.webm' } },
            { video: { link: null } },
            { video: null },
            { video: { link: 'https://v.example.org/B%C3%A4ke%23OP1.webm' } },
          ],
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
          ...shape(hashid, { name: 'full' }),
          tracks: Array(2).fill({
            animethemeentry: { animetheme: { song: { title: 'staple stable', artists: [chiwa] } } },
          }),
        },
      ],
      [
        { include: 'user', 'fields[user]': 'id' },
        { ...shape(hashid, { name: 'full' }), user: {} },
      ],
    ] as [Query, object][]) {
      const { json } = await guest(app)('GET', url(query, one(hashid)))
      t.strictSame(json.playlist, expected, JSON.stringify(query))
    }
  })
}

async function fieldsets(t: Test, app: TestApp, database: TestDatabase) {
  const FIELDS = [
    ...['created_at', 'updated_at', 'playlist_id', 'id', 'first_id', 'last_id', 'name', 'description'],
    ...['user_id', 'visibility', 'tracks_exists', 'tracks_count'],
  ]

  t.test('sparse fieldsets', async t => {
    await clear(database)
    const rows = await addVaried(database)
    /** Some fields of a row, in the order of the declaration. */
    const some = (row: Row, fields: readonly string[]) => {
      const values = {
        created_at: dateOf(row.created_at),
        updated_at: dateOf(row.updated_at),
        ...{ id: row.id, name: row.name, description: row.description },
        visibility: VISIBILITIES[row.visibility],
        ...{ tracks_exists: row.tracks_exists, tracks_count: row.tracks_count },
      }
      return Object.fromEntries(Object.entries(values).filter(([name]) => fields.includes(name)))
    }
    for (const fields of [
      ...FIELDS.map(field => [field]),
      ...FIELDS.map(field => FIELDS.filter(name => name !== field)),
      ...[FIELDS, FIELDS.toReversed()],
    ]) {
      const query = { 'fields[playlist]': fields.join() }
      const label = fields.length === 1 ? fields[0] : `${fields.length} of ${FIELDS.length}`
      const { json } = await guest(app)('GET', url(query))
      const expected = rows.map(row => some(row, fields))
      t.strictSame(json.playlists, expected, `sparse fieldsets ${label}`)
      t.strictSame(Object.keys(json.playlists[0]), Object.keys(expected[0] ?? {}))
      const [row] = rows as [Row]
      const shown = await guest(app)('GET', url(query, one(row.id)))
      t.strictSame(shown.json, { playlist: some(row, fields) }, `sparse fieldsets ${label}, of one`)
    }
  })
}

/** What a new playlist can be made of. */
const NEW = { name: 'Best OPs', visibility: 'Unlisted' }

/** The requests that change something, with the permission that each needs. */
const WRITES = [
  ['POST', 'create', 201, 'create permitted for bypass'],
  ['PUT', 'update', 200, 'update permitted for bypass'],
  ['PATCH', 'update', 200, 'update permitted for bypass'],
  ['DELETE', 'delete', 200, 'destroy permitted for bypass'],
] as const

const target = (method: string, hashid: string) => (method === 'POST' ? PATH : one(hashid))
const payloadOf = (method: string) => (method === 'DELETE' ? undefined : NEW)

async function writes(t: Test, app: TestApp, database: TestDatabase) {
  for (const [method, verb, status, bypassing] of WRITES) {
    t.test(`who may ${method} a playlist`, async t => {
      t.teardown(() => setFlag(database, null))
      await clear(database)
      const permission = `${verb} playlist`
      /** Sends the request about a new playlist of the owner's, and says whether anything has changed. */
      const attempt = async (
        by: Caller,
        owner: TestUser,
        payload: object | undefined = payloadOf(method),
      ) => {
        const { hashid } = await aPlaylist(database, owner.id, { visibility: PRIVATE })
        const before = await allRows(database)
        const answer = await by(method, target(method, hashid), payload)
        const after = await allRows(database)
        return [...outcome(answer), JSON.stringify(before) !== JSON.stringify(after)]
      }
      const refused = (expected: unknown[]) => [...expected, false]
      const isDone = ([code, , hasChanged]: unknown[]) => [code, hasChanged]

      const owner = await addPerson(database, [permission])
      const nobody = await addPerson(database)
      const reader = await addPerson(database, [
        ...['view playlist', 'create playlist track', 'update playlist track', 'delete playlist track'],
        ...WRITES.map(([, verb]) => `${verb} playlist`).filter(name => name !== permission),
      ])
      const other = await addPerson(database, [permission])
      const admin = await addPerson(database, [], ['Admin'])
      const exempt = await addPerson(database, [permission, 'bypass feature flags'])
      const almighty = await addPerson(database, ['bypass authorization'])

      t.strictSame(await attempt(guest(app), owner), refused(UNAUTHENTICATED), 'protected')
      t.strictSame(await attempt(guest(app), owner, {}), refused(UNAUTHENTICATED), 'protected in any case')
      for (const [how, as] of CALLERS) {
        const [byOwner, byNobody, byReader] = [
          await as(app, owner),
          await as(app, nobody),
          await as(app, reader),
        ]
        for (const flag of ['true', null] as const) {
          await setFlag(database, flag)
          t.strictSame(
            isDone(await attempt(byOwner, owner)),
            [status, true],
            `permitted ${how}, flag ${flag}`,
          )
        }
        for (const [by, user] of [
          [byNobody, nobody],
          [byReader, reader],
        ] as const) {
          t.strictSame(await attempt(by, user), refused(FORBIDDEN), `forbidden if missing permission ${how}`)
        }
        if (method === 'POST') continue
        for (const [user, name] of [
          [other, 'forbidden if not own playlist'],
          [admin, 'P25 forbidden for an administrator'],
        ] as const) {
          t.strictSame(await attempt(await as(app, user), owner), refused(FORBIDDEN), `${name} ${how}`)
        }
        const byAlmighty = await as(app, almighty)
        t.strictSame(isDone(await attempt(byAlmighty, owner)), [status, true], `P24 permitted ${how}`)
      }

      await setFlag(database, 'false')
      for (const [how, as] of CALLERS) {
        t.strictSame(
          await attempt(await as(app, owner), owner),
          refused(FORBIDDEN),
          `forbidden if flag disabled ${how}`,
        )
      }
      t.strictSame(
        await attempt(bearer(app, almighty), almighty),
        refused(FORBIDDEN),
        'forbidden if flag disabled for whom no policy stops',
      )
      t.strictSame(await attempt(guest(app), owner), refused(UNAUTHENTICATED), 'protected before the flag')
      for (const [how, as] of CALLERS) {
        const by = await as(app, exempt)
        for (const flag of ['false', 'true', null] as const) {
          await setFlag(database, flag)
          t.strictSame(isDone(await attempt(by, exempt)), [status, true], `${bypassing} ${how}, flag ${flag}`)
        }
      }
      for (const row of [
        { name: 'App\\Features\\AllowExternalProfileManagement' },
        { scope: `${USER_TYPE}|${owner.id}` },
      ]) {
        await setFlag(database, 'false', row)
        t.strictSame(
          isDone(await attempt(bearer(app, owner), owner)),
          [status, true],
          `no flag of this: ${JSON.stringify(row)}`,
        )
      }
    })
  }
}

/** Texts that are counted in characters, not in what they are stored as. */
const EMOJI = '😀'

/** What is accepted where a visibility is expected, and what each means. */
const MEANT = [
  ...['Public', 'public', 'PUBLIC', 'pUBLIC', ' public ', 0, '0'].map(value => [value, 0] as const),
  ...['Private', 'private', 'PRIVATE', 1, '1'].map(value => [value, 1] as const),
  ...['Unlisted', 'unlisted', 'UNLISTED', 2, '2'].map(value => [value, 2] as const),
]

/** What is refused, and in which words where they are known. */
const REFUSED = [
  ['P4 193 characters', 'name', 'x'.repeat(193), 'The name must not be greater than 192 characters.'],
  ['P4 193 emoji', 'name', EMOJI.repeat(193), 'The name must not be greater than 192 characters.'],
  ['a number', 'name', 7, 'The name must be a string.'],
  ['a truth', 'name', true, 'The name must be a string.'],
  ['a list', 'name', ['x'], 'The name must be a string.'],
  ['an object', 'name', { x: 'x' }, 'The name must be a string.'],
  ['a NUL', 'name', 'a\0b', null],
  ['null', 'name', null, 'The name field is required.'],
  ['nothing', 'name', '', 'The name field is required.'],
  ['white space', 'name', ' \t\n ', 'The name field is required.'],
  [
    'P5 1001 characters',
    'description',
    'x'.repeat(1001),
    'The description must not be greater than 1000 characters.',
  ],
  [
    'P5 1001 emoji',
    'description',
    EMOJI.repeat(1001),
    'The description must not be greater than 1000 characters.',
  ],
  ['a number', 'description', 7, 'The description must be a string.'],
  ['a list', 'description', ['x'], 'The description must be a string.'],
  ['a NUL', 'description', 'a\0b', null],
  ...['secret', 'pub', 'Public,Private', 3, -1, '3', '-1', 'null', true, false].map(
    value =>
      [`P3 ${JSON.stringify(value)}`, 'visibility', value, 'The selected visibility is invalid.'] as const,
  ),
  ...[1.5, {}, ['Public'], [], { 0: 'Public' }].map(
    value => [`P3 ${JSON.stringify(value)}`, 'visibility', value, null] as const,
  ),
  ['P3 null', 'visibility', null, 'The visibility field is required.'],
  ['P3 nothing', 'visibility', '', 'The visibility field is required.'],
] as [string, string, unknown, string | null][]

/** What is no field of a playlist that anybody could write. */
const UNKNOWN = {
  ...{ id: 'mine', hashid: 'mine', playlist_id: 1, first_id: 1, last_id: 1, created_at: '2000-01-01' },
  ...{ updated_at: '2000-01-01', tracks_count: 7, tracks: [], fields: { playlist: 'id' }, include: 'tracks' },
  constructor: 'x',
}

const FORM = { 'content-type': 'application/x-www-form-urlencoded' }

/** Sends a body that is text. */
const sendText = (
  app: TestApp,
  { token }: TestUser,
  method: string,
  url: string,
  payload: string,
  headers: Record<string, string> = {},
) => send(app, method, url, { headers: { authorization: `Bearer ${token}`, ...headers }, payload })

async function store(t: Test, app: TestApp, database: TestDatabase) {
  t.test(`POST ${PATH}`, async t => {
    const other = await addPerson(database)
    for (const [how, as] of CALLERS) {
      const user = await addPerson(database, ['create playlist'])
      const { status, json } = await (await as(app, user))('POST', PATH, { ...NEW, description: ' Weekly ' })
      t.equal(status, 201, `create ${how}`)
      const { playlist_id, ...row } = await rowOf(database, json.playlist.id)
      const hashid: string = json.playlist.id
      t.match(hashid, /^[A-Za-z0-9]{22}$/, 'the id of an unlisted one is random')
      t.not(hashid, encoder().encode(user.id, playlist_id))
      t.strictSame(
        json,
        { playlist: { id: hashid, name: 'Best OPs', description: 'Weekly', visibility: 'Unlisted' } },
        `P7 create ${how}`,
      )
      t.strictSame(Object.keys(json.playlist), ['id', 'name', 'description', 'visibility'])
      const at = momentOf(app)
      t.strictSame(
        row,
        {
          ...{ created_at: at, updated_at: at, hashid, name: 'Best OPs', visibility: 2, user_id: user.id },
          ...{ description: 'Weekly', first_id: null, last_id: null },
        },
        `create ${how}: the row`,
      )
      t.equal(await countOf(database, user.id), 1, `create ${how}: one row`)
    }

    const user = await addPerson(database, ['create playlist', 'view playlist'])
    const by = bearer(app, user)
    const create = (payload?: object, query: Query = {}) => by('POST', url(query), payload)

    for (const payload of [undefined, {}, []]) {
      t.strictSame(
        outcome(await create(payload)),
        [
          422,
          {
            message: 'The name field is required. (and 1 more error)',
            errors: {
              name: ['The name field is required.'],
              visibility: ['The visibility field is required.'],
            },
          },
        ],
        `required fields: ${JSON.stringify(payload)}`,
      )
    }
    const before = await countOf(database, user.id)
    for (const [name, field, value, message] of REFUSED) {
      const { status, json } = await create({ ...NEW, [field]: value })
      t.equal(status, 422, `${field}: ${name}`)
      t.strictSame(Object.keys(json.errors ?? {}), [field], `${field}: ${name}`)
      if (message !== null)
        t.strictSame(json, { message, errors: { [field]: [message] } }, `${field}: ${name}`)
    }
    t.equal(await countOf(database, user.id), before, 'and nothing is made of it')
    const both = await create({ name: 7, visibility: 'secret', description: 7 })
    t.strictSame(
      Object.keys(both.json.errors).toSorted(),
      ['description', 'name', 'visibility'],
      'all at once',
    )

    for (const [given, meant] of MEANT) {
      const { status, json } = await create({ name: 'x', visibility: given })
      t.equal(status, 201, `P3 ${JSON.stringify(given)}`)
      t.equal(json.playlist.visibility, VISIBILITIES[meant], `P3 ${JSON.stringify(given)}`)
      t.equal((await rowOf(database, json.playlist.id)).visibility, meant)
    }
    for (const [field, given, kept] of [
      ['name', 'x'.repeat(192), 'x'.repeat(192)],
      ['name', EMOJI.repeat(192), EMOJI.repeat(192)],
      ['name', ` ${'x'.repeat(192)} `, 'x'.repeat(192)],
      ['name', '0', '0'],
      ['name', `<b>"O'Clock"</b> \\ %`, `<b>"O'Clock"</b> \\ %`],
      ['description', 'x'.repeat(1000), 'x'.repeat(1000)],
      ['description', EMOJI.repeat(1000), EMOJI.repeat(1000)],
      ['description', 'two\nlines', 'two\nlines'],
      ['description', '', null],
      ['description', '  ', null],
      ['description', null, null],
    ] as const) {
      const label = `${field}: ${JSON.stringify(given)?.slice(0, 20)}`
      const { status, json } = await create({ ...NEW, [field]: given })
      t.equal(status, 201, `P4 P5 ${label}`)
      t.equal(json.playlist[field], kept, label)
      t.equal((await rowOf(database, json.playlist.id))[field], kept, label)
    }
    const twice = [await create(NEW), await create(NEW)].map(({ json }) => json.playlist)
    t.not(twice[0].id, twice[1].id, 'a name can be there twice')

    const ignored = await create({ ...NEW, ...UNKNOWN, user_id: other.id })
    t.equal(ignored.status, 201, 'P8')
    t.match(await rowOf(database, ignored.json.playlist.id), {
      ...{
        user_id: user.id,
        first_id: null,
        last_id: null,
        created_at: momentOf(app),
        visibility: 2,
      },
    })
    t.equal(await countOf(database, other.id), 0, 'P8 user_id in the body is ignored')
    const ofQuery = await create(NEW, { user_id: other.id, hashid: 'mine' })
    t.equal((await rowOf(database, ofQuery.json.playlist.id)).user_id, user.id, 'P8 and in the query')
  })

  t.test(`POST ${PATH} with parameters in other places`, async t => {
    const user = await addPerson(database, ['create playlist'])
    const by = bearer(app, user)
    for (const [name, query, body, expected] of [
      ['in the query', { ...NEW, description: 'Weekly' }, undefined, { ...NEW, description: 'Weekly' }],
      ['in the query with a body of nothing', { ...NEW }, {}, NEW],
      ['numbers in the query', { name: '7', visibility: 1 }, undefined, { name: '7', visibility: 'Private' }],
      [
        'white space in the query',
        { name: ' x ', visibility: ' Public ' },
        undefined,
        { name: 'x', visibility: 'Public' },
      ],
      ['in both', { name: 'query' }, { visibility: 'Public' }, { name: 'query', visibility: 'Public' }],
      [
        'the body wins',
        { name: 'query', visibility: 'Public' },
        { name: 'body' },
        { name: 'body', visibility: 'Public' },
      ],
      [
        'the body wins with nothing, too',
        { ...NEW, description: 'query' },
        { description: null },
        { ...NEW, description: null },
      ],
      ['fields have no effect', { 'fields[playlist]': 'name' }, NEW, NEW],
      ['includes have no effect', { include: 'tracks,user' }, NEW, NEW],
      ['nor have wrong ones', { 'fields[x]': 'y', include: 'x', sort: 'x', 'page[size]': 'x' }, NEW, NEW],
    ] as const) {
      const { status, json } = await by('POST', url(query), body)
      t.equal(status, 201, name)
      const { id, ...rest } = json.playlist
      t.strictSame(rest, { description: null, ...expected }, name)
      t.match(await rowOf(database, id), { name: expected.name, user_id: user.id }, name)
    }
    for (const [name, query, body, key] of [
      ['a required null wins', NEW, { name: null }, 'name'],
      ['a required nothing wins', NEW, { visibility: '' }, 'visibility'],
      ['a wrong body wins', NEW, { visibility: 'secret' }, 'visibility'],
      ['a wrong query', { ...NEW, visibility: 'secret' }, undefined, 'visibility'],
      ['a name of lists', { 'name[]': 'x', visibility: 'Public' }, undefined, 'name'],
      ['a name too long', { ...NEW, name: 'x'.repeat(193) }, {}, 'name'],
    ] as const) {
      const errors = errorsOf(await by('POST', url(query), body))
      t.strictSame(Object.keys(errors), [key], name)
    }

    const form = await sendText(app, user, 'POST', PATH, 'name=A+form+%C3%A4&visibility=1&description=', FORM)
    t.equal(form.status, 201, 'a form')
    t.match(form.json.playlist, { name: 'A form ä', visibility: 'Private', description: null }, 'a form')
    const mixed = await sendText(app, user, 'POST', url(NEW), 'name=form', FORM)
    t.match(mixed.json.playlist, { name: 'form', visibility: 'Unlisted' }, 'a form and a query')
    const empty = await sendText(app, user, 'POST', PATH, '', FORM)
    t.strictSame(Object.keys(errorsOf(empty)), ['name', 'visibility'], 'required fields of an empty form')
    const typed = await sendText(app, user, 'POST', url(NEW), '', { 'content-type': 'application/json' })
    t.equal(typed.status, 201, 'a query with an empty body of JSON')
  })
}

async function limits(t: Test, app: TestApp, database: TestDatabase) {
  const TOO_MANY = [403, { message: "User cannot have more than '3' playlists." }]

  t.test('how many playlists there can be', async t => {
    t.teardown(() => setFlag(database, null))
    const other = await addPerson(database)
    for (let i = 0; i < 5; i += 1) await aPlaylist(database, other.id)
    for (const [how, as] of CALLERS) {
      const user = await addPerson(database, ['create playlist', 'delete playlist'])
      const by = await as(app, user)
      for (const visibility of [0, 1, 2]) {
        t.equal((await by('POST', PATH, { name: 'x', visibility })).status, 201, `up to the limit ${how}`)
      }
      t.strictSame(outcome(await by('POST', PATH, NEW)), TOO_MANY, `max track limit ${how}`)
      t.strictSame(outcome(await by('POST', PATH, {})), TOO_MANY, `P12 before what is wrong ${how}`)
      t.equal(await countOf(database, user.id), 3, `max track limit ${how}`)
      await setFlag(database, 'false')
      t.strictSame(outcome(await by('POST', PATH, NEW)), FORBIDDEN, `after the flag ${how}`)
      await setFlag(database, null)
      const [first] = (await allRows(database)).filter(({ user_id }) => user_id === user.id)
      await by('DELETE', one(first?.hashid ?? ''))
      t.equal((await by('POST', PATH, NEW)).status, 201, `one less, one more ${how}`)

      const exempt = await addPerson(database, ['create playlist', 'bypass feature flags'])
      for (let i = 0; i < 3; i += 1) await aPlaylist(database, exempt.id)
      t.equal(
        (await (await as(app, exempt))('POST', PATH, NEW)).status,
        201,
        `max track limit permitted for bypass ${how}`,
      )
    }
    const almighty = await addPerson(database, ['bypass authorization'])
    for (let i = 0; i < 3; i += 1) await aPlaylist(database, almighty.id)
    t.strictSame(outcome(await bearer(app, almighty)('POST', PATH, NEW)), TOO_MANY, 'a limit is no policy')
  })

  t.test('the limit holds for those who create many at once', async t => {
    // Once may go well by chance, and while connections are made, all wait for each other anyway.
    for (const round of [1, 2, 3, 4, 5]) {
      const user = await addPerson(database, ['create playlist'])
      for (let i = 0; i < 2; i += 1) await aPlaylist(database, user.id)
      const by = bearer(app, user)
      const answers = await Promise.all(Array.from({ length: 10 }, () => by('POST', PATH, NEW)))
      const refused = answers.filter(({ status }) => status === 403).map(outcome)
      t.strictSame(refused, Array(9).fill(TOO_MANY), `one more, and not two: round ${round}`)
      t.equal(await countOf(database, user.id), 3, `as many as there may be: round ${round}`)
    }

    const exempt = await addPerson(database, ['create playlist', 'bypass feature flags'])
    const all = await Promise.all(Array.from({ length: 10 }, () => bearer(app, exempt)('POST', PATH, NEW)))
    t.equal(new Set(all.map(({ json }) => json.playlist.id)).size, 10, 'each with an id of its own')
  })
}

async function update(t: Test, app: TestApp, database: TestDatabase) {
  for (const method of ['PUT', 'PATCH'] as const) {
    t.test(`${method} ${PATH}/{id}`, async t => {
      const user = await addPerson(database, ['update playlist'])
      const other = await addPerson(database)
      const by = bearer(app, user)
      const START = { name: 'Before', description: 'As it was', visibility: PRIVATE }
      const MADE = '2026-02-01 00:00:00'
      const bystander = await aPlaylist(database, user.id, START)

      for (const [label, query, body, changes, hasChanged = true] of [
        ['update', {}, { name: 'After' }, { name: 'After' }],
        ['update', {}, { name: ' After ' }, { name: 'After' }],
        ['update', {}, { description: 'Another' }, { description: 'Another' }],
        ['update', {}, { visibility: 'Public' }, { visibility: 0 }],
        [
          'update',
          {},
          { name: 'After', description: 'x', visibility: 2 },
          { name: 'After', description: 'x', visibility: 2 },
        ],
        ['P5 null clears', {}, { description: null }, { description: null }],
        ['P5 nothing clears', {}, { description: '' }, { description: null }],
        ['P5 white space clears', {}, { description: '  ' }, { description: null }],
        ['P4 192 characters', {}, { name: 'x'.repeat(192) }, { name: 'x'.repeat(192) }],
        ['P4 192 emoji', {}, { name: EMOJI.repeat(192) }, { name: EMOJI.repeat(192) }],
        ['P5 1000 emoji', {}, { description: EMOJI.repeat(1000) }, { description: EMOJI.repeat(1000) }],
        ['P6 nothing', {}, {}, {}, false],
        ['P6 no body', {}, undefined, {}, false],
        ['the same name', {}, { name: 'Before' }, {}, false],
        ['the same of everything', {}, { ...START, visibility: 'private' }, {}, false],
        ['one of them another', {}, { ...START, name: 'After' }, { name: 'After' }],
        ['in the query', { name: 'After', visibility: 0 }, undefined, { name: 'After', visibility: 0 }],
        ['in the query with a body of nothing', { name: 'After' }, {}, { name: 'After' }],
        ['nothing in the query clears', { description: '' }, undefined, { description: null }],
        [
          'the body wins',
          { name: 'query', visibility: 0 },
          { name: 'body' },
          { name: 'body', visibility: 0 },
        ],
        ['a null of the body wins', { description: 'query' }, { description: null }, { description: null }],
        ['fields have no effect', { 'fields[playlist]': 'name' }, { name: 'After' }, { name: 'After' }],
        ['includes have no effect', { include: 'tracks,user' }, {}, {}, false],
        ['nor have wrong ones', { 'fields[x]': 'y', include: 'x', q: 'x', 'filter[x]': 'y' }, {}, {}, false],
        ['P8 unknown fields', {}, { ...UNKNOWN, user_id: other.id }, {}, false],
        ['P8 unknown fields of the query', { user_id: other.id, first_id: 1, id: 'mine' }, {}, {}, false],
        ['P8 and a known one', {}, { ...UNKNOWN, user_id: other.id, name: 'After' }, { name: 'After' }],
      ] as [string, Query, object | undefined, Partial<typeof START>, boolean?][]) {
        const { id, hashid } = await aPlaylist(database, user.id, START)
        const tracks = await addTracks(database, id, [2712, 3814])
        const before = await rowOf(database, hashid)
        app.clock.advance(MINUTE)
        const at = momentOf(app)
        const answer = await by(method, url(query, one(hashid)), body)
        t.strictSame(
          outcome(answer),
          [200, { playlist: shape(hashid, { ...START, ...changes }) }],
          `${label} ${JSON.stringify(body)?.slice(0, 50)}`,
        )
        t.strictSame(
          await rowOf(database, hashid),
          { ...before, ...changes, updated_at: hasChanged ? at : MADE },
          `${label}: the row`,
        )
        t.match(before, {
          created_at: MADE,
          updated_at: MADE,
          first_id: tracks[0]?.id,
          last_id: tracks[1]?.id,
        })
      }
      t.match(await rowOf(database, bystander.hashid), { ...START, updated_at: MADE }, 'and no others change')

      const { hashid } = await aPlaylist(database, user.id, START)
      const before = await rowOf(database, hashid)
      for (const [name, field, value, message] of REFUSED) {
        const { status, json } = await by(method, one(hashid), { name: 'After', [field]: value })
        t.equal(status, 422, `${field}: ${name}`)
        t.strictSame(Object.keys(json.errors ?? {}), [field], `${field}: ${name}`)
        if (message !== null)
          t.strictSame(json, { message, errors: { [field]: [message] } }, `${field}: ${name}`)
      }
      t.strictSame(await rowOf(database, hashid), before, 'what is wrong changes nothing')
      for (const [given, meant] of MEANT) {
        const { json } = await by(method, one(hashid), { visibility: given })
        t.equal(json.playlist?.visibility, VISIBILITIES[meant], `P3 ${JSON.stringify(given)}`)
        t.equal((await rowOf(database, hashid)).visibility, meant, `P3 ${JSON.stringify(given)}`)
      }

      const form = await sendText(
        app,
        user,
        method,
        one(hashid),
        'name=A+form&visibility=0&description=',
        FORM,
      )
      t.strictSame(outcome(form), [200, { playlist: shape(hashid, { name: 'A form' }) }], 'a form')
      const nothing = await sendText(app, user, method, one(hashid), '', FORM)
      t.strictSame(outcome(nothing), outcome(form), 'P6 an empty form')
      const empty = await sendText(app, user, method, one(hashid), '', { 'content-type': 'application/json' })
      t.strictSame(outcome(empty), outcome(form), 'P6 an empty body of JSON')

      const browser = await session(app, user)
      const changed = await browser(method, one(hashid), { name: 'In a session' })
      t.equal(changed.json.playlist?.name, 'In a session', 'update in a session')
    })
  }

  t.test('changes of many at once', async t => {
    const user = await addPerson(database, ['update playlist'])
    const { hashid } = await aPlaylist(database, user.id)
    const by = bearer(app, user)
    const answers = await Promise.all([
      ...Array.from({ length: 5 }, () => by('PUT', one(hashid), { name: 'After' })),
      ...Array.from({ length: 5 }, () => by('PUT', one(hashid), { description: 'Another' })),
    ])
    t.strictSame(
      answers.map(({ status }) => status),
      Array(10).fill(200),
    )
    t.match(await rowOf(database, hashid), { name: 'After', description: 'Another' }, 'none undoes another')
  })
}

async function destroy(t: Test, app: TestApp, database: TestDatabase) {
  t.test(`DELETE ${PATH}/{id}`, async t => {
    const { kysely } = database
    for (const [how, as] of CALLERS) {
      for (const name of ['Best OPs', `O'Clock "ä" 😀 <b>`]) {
        const user = await addPerson(database, ['delete playlist', 'view playlist'])
        const by = await as(app, user)
        const doomed = await aPlaylist(database, user.id, { name })
        const kept = await aPlaylist(database, user.id, { name })
        for (const { id } of [doomed, kept]) await addTracks(database, id, [2712, null, 3814])
        t.strictSame(
          outcome(await by('DELETE', one(doomed.hashid))),
          [200, { message: `Playlist '${name}' was deleted.` }],
          `P9 deleted ${how}`,
        )
        const left = (await allRows(database)).filter(({ user_id }) => user_id === user.id)
        t.strictSame(
          left.map(({ hashid }) => hashid),
          [kept.hashid],
          `deleted: the row is gone, and no other ${how}`,
        )
        const tracks = await kysely
          .selectFrom('playlist_tracks')
          .select('playlist_id')
          .where('playlist_id', 'in', [doomed.id, kept.id])
          .execute()
        t.strictSame(tracks, Array(3).fill({ playlist_id: kept.id }), `with its tracks ${how}`)
        for (const method of ['GET', 'DELETE']) {
          t.strictSame(
            outcome(await by(method, one(doomed.hashid))),
            NOT_FOUND,
            `${method} of what is deleted`,
          )
        }
        t.equal((await by('GET', one(kept.hashid))).status, 200)
      }
    }
    const user = await addPerson(database, ['delete playlist'])
    const { hashid } = await aPlaylist(database, user.id)
    const answers = await Promise.all(
      Array.from({ length: 5 }, () => bearer(app, user)('DELETE', one(hashid))),
    )
    t.strictSame(answers.map(({ status }) => status).toSorted(), [200, 404, 404, 404, 404], 'once')
  })
}

async function precedence(t: Test, app: TestApp, database: TestDatabase) {
  t.test('what is said first', async t => {
    t.teardown(() => setFlag(database, null))
    const owner = await addPerson(database, [], ['Verified'])
    const other = await addPerson(database, [], ['Verified'])
    const nobody = await addPerson(database)
    const { hashid } = await aPlaylist(database, owner.id, { visibility: PRIVATE })
    const missing = one('nobodyHasThis')
    const WRONG = { name: 7, visibility: 'secret' }

    for (const method of ['PUT', 'PATCH', 'DELETE']) {
      const payload = method === 'DELETE' ? undefined : WRONG
      t.strictSame(
        outcome(await guest(app)(method, missing, payload)),
        UNAUTHENTICATED,
        `P11 ${method} 401 before 404`,
      )
      for (const [how, as] of CALLERS) {
        const [byNobody, byOther] = [await as(app, nobody), await as(app, other)]
        t.strictSame(
          outcome(await byNobody(method, missing, payload)),
          NOT_FOUND,
          `P11 ${method} 404 before 403 ${how}`,
        )
        t.strictSame(
          outcome(await byOther(method, missing, payload)),
          NOT_FOUND,
          `P11 ${method} 404 before 422 ${how}`,
        )
        t.strictSame(outcome(await byNobody(method, one(hashid), payload)), FORBIDDEN, `P12 ${method} ${how}`)
        t.strictSame(
          outcome(await byOther(method, one(hashid), payload)),
          FORBIDDEN,
          `P12 ${method} not own ${how}`,
        )
      }
    }
    const wrong = { 'page[size]': 'x', 'fields[x]': 'y' }
    t.strictSame(outcome(await guest(app)('GET', url(wrong, missing))), NOT_FOUND, 'P11 GET 404 before 422')
    t.strictSame(
      outcome(await guest(app)('GET', url(wrong, one(hashid)))),
      FORBIDDEN,
      'P12 GET 403 before 422',
    )
    for (const [how, as] of CALLERS) {
      const byNobody = await as(app, nobody)
      t.strictSame(outcome(await byNobody('GET', missing)), NOT_FOUND, `P11 GET 404 before 403 ${how}`)
      t.strictSame(outcome(await byNobody('GET', url(wrong, one(hashid)))), FORBIDDEN, `P12 GET ${how}`)
      t.strictSame(outcome(await byNobody('GET', url(wrong))), FORBIDDEN, `P12 GET of the list ${how}`)
      t.strictSame(outcome(await byNobody('POST', PATH, WRONG)), FORBIDDEN, `P12 POST ${how}`)
    }

    await setFlag(database, 'false')
    for (const method of ['POST', 'PUT', 'PATCH', 'DELETE']) {
      const payload = method === 'DELETE' ? undefined : WRONG
      t.strictSame(
        outcome(await bearer(app, owner)(method, target(method, hashid), payload)),
        FORBIDDEN,
        `P12 ${method} the flag before 422`,
      )
      if (method === 'POST') continue
      t.strictSame(
        outcome(await bearer(app, owner)(method, missing, payload)),
        NOT_FOUND,
        `P11 ${method} 404 before the flag`,
      )
    }
  })
}

/** Bans a user from what a permission allows, directly or by a sanction that holds it with others. */
async function ban(
  { kysely }: TestDatabase,
  { id }: TestUser,
  permission: string,
  { by = 'prohibition', expiresAt = null }: { by?: string; expiresAt?: string | null } = {},
) {
  if (by === 'prohibition') {
    await sql`insert into model_prohibitions (model_type, model_id, prohibition_id, expires_at)
      select ${USER_TYPE}, ${id}::bigint, id, ${expiresAt}::timestamp from prohibitions
      where name = ${permission}`.execute(kysely)
    return
  }
  const name = `sanction ${id}`
  await sql`insert into sanctions (name) values (${name})`.execute(kysely)
  await sql`insert into sanction_prohibition (sanction_id, prohibition_id)
    select sanctions.id, prohibitions.id from sanctions, prohibitions
    where sanctions.name = ${name} and prohibitions.name in (${permission}, 'view notification')`.execute(
    kysely,
  )
  await sql`insert into model_sanctions (model_type, model_id, sanction_id, expires_at)
    select ${USER_TYPE}, ${id}::bigint, id, ${expiresAt}::timestamp from sanctions
    where name = ${name}`.execute(kysely)
}

async function restrictions(t: Test, app: TestApp, database: TestDatabase) {
  const REQUESTS = [
    ['GET', 'view playlist', false, 200],
    ['GET', 'view playlist', true, 200],
    ...WRITES.map(([method, verb, status]) => [method, `${verb} playlist`, true, status] as const),
  ] as const

  t.test('P23 bans', async t => {
    for (const [method, permission, isOne, status] of REQUESTS) {
      const label = `P23 ${method}${isOne ? '' : ' of the list'}`
      const attempt = async (as: Caller, user: TestUser) => {
        const { hashid } = await aPlaylist(database, user.id)
        return as(
          method,
          isOne ? target(method, hashid) : PATH,
          method === 'GET' ? undefined : payloadOf(method),
        )
      }
      for (const [by, expiresAt, isBanned] of [
        ['prohibition', null, true],
        ['prohibition', momentOf(app, 1_000), true],
        ['prohibition', momentOf(app), false],
        ['prohibition', '2026-02-01 00:00:00', false],
        ['sanction', null, true],
        ['sanction', momentOf(app), false],
      ] as const) {
        const user = await addPerson(database, [], ['Verified'])
        await ban(database, user, permission, { by, expiresAt })
        const answer = await attempt(bearer(app, user), user)
        if (isBanned) t.strictSame(outcome(answer), BANNED, `${label} by a ${by} until ${expiresAt}`)
        else t.equal(answer.status, status, `${label} after a ${by} until ${expiresAt}`)
      }
      const user = await addPerson(database, [], ['Verified'])
      await ban(database, user, permission)
      t.strictSame(outcome(await attempt(await session(app, user), user)), BANNED, `${label} in a session`)
      const other = await addPerson(database, [], ['Verified'])
      await ban(database, other, `${permission} track`)
      t.equal((await attempt(bearer(app, other), other)).status, status, `${label} for a ban from another`)
      const nobody = await addPerson(database)
      await ban(database, nobody, permission)
      t.strictSame(
        outcome(await attempt(bearer(app, nobody), nobody)),
        BANNED,
        `${label} without the permission`,
      )
      const almighty = await addPerson(database, ['bypass authorization'])
      await ban(database, almighty, permission)
      t.equal(
        (await attempt(bearer(app, almighty), almighty)).status,
        status,
        `${label} stops not whom nothing stops`,
      )
    }

    const user = await addPerson(database, ['create playlist'])
    await ban(database, user, 'create playlist', { expiresAt: momentOf(app, DAY) })
    t.strictSame(outcome(await bearer(app, user)('POST', PATH, NEW)), BANNED, 'P23 until it expires')
    app.clock.advance(DAY)
    t.equal((await bearer(app, user)('POST', PATH, NEW)).status, 201, 'P23 expired')
  })

  t.test('P24 P25 whom policies do not stop, and whom they do', async t => {
    const owner = await addPerson(database)
    const almighty = await addPerson(database, ['bypass authorization'])
    const { hashid } = await aPlaylist(database, owner.id, { visibility: PRIVATE })
    for (const role of ['Admin', 'Content Moderator', 'Encoder', 'Developer', 'Patron']) {
      const user = await addPerson(database, [], [role])
      t.strictSame(
        outcome(await bearer(app, user)('PUT', one(hashid), { name: 'Mine' })),
        FORBIDDEN,
        `P25 a role is no owner: ${role}`,
      )
    }
    const changed = await bearer(app, almighty)('PUT', one(hashid), { name: 'Ours' })
    t.equal(changed.json.playlist?.name, 'Ours', 'P24')
    t.match(await rowOf(database, hashid), { name: 'Ours', user_id: owner.id }, 'P24 and the owner stays')
  })
}

async function abilities(t: Test, app: TestApp, off: TestApp, database: TestDatabase) {
  const REQUESTS = [
    ['GET', false, 'read', 200],
    ['GET', true, 'read', 200],
    ...WRITES.map(([method, , status]) => [method, true, 'write', status] as const),
  ] as const

  t.test('abilities of tokens', async t => {
    const user = await addPerson(database, [], ['Verified'])
    for (const [abilities, allowed] of [
      [['*'], ['read', 'write']],
      [
        ['read:playlist', 'write:playlist'],
        ['read', 'write'],
      ],
      [['read:playlist'], ['read']],
      [['write:playlist'], ['write']],
      [['read:me', 'write:me', 'read:externalprofile', 'write:externalprofile', 'read:*'], []],
      [[], []],
    ] as const) {
      const { token } = await aToken(database, user.id, { abilities: [...abilities] })
      for (const [method, isOne, kind, status] of REQUESTS) {
        const attempt = async (app: TestApp) => {
          await clear(database)
          const { hashid } = await aPlaylist(database, user.id)
          const path = isOne ? target(method, hashid) : PATH
          return bearer(app, { token })(method, path, method === 'GET' ? undefined : payloadOf(method))
        }
        const label = `${method}${isOne ? '' : ' of the list'} with [${abilities}]`
        const answer = await attempt(app)
        if ((allowed as readonly string[]).includes(kind)) t.equal(answer.status, status, label)
        else t.strictSame(outcome(answer), INCAPABLE, label)
        if (abilities.length === 0)
          t.equal((await attempt(off)).status, status, `${label} where they are off`)
      }
    }
  })
}
