import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import type { FastifyInstance } from 'fastify'
import { sql } from 'kysely'
import t, { type Test } from 'tap'
import { ConfigError, loadConfig } from '#src/config/load.ts'
import type { Schema } from '#src/database/schema.ts'
import { BANNED, INVALID_ABILITY, NOT_FOUND, UNAUTHENTICATED, UNAUTHORIZED } from '../../fixtures/answers.ts'
import { TestBrowser } from '../../fixtures/browser.ts'
import { anExternalProfile } from '../../fixtures/lists.ts'
import { aToken, aUser, PASSWORD, type TestUser, USER_TYPE } from '../../fixtures/users.ts'
import { type Answer, send, startApp, TEST_KEY, type TestApp } from '../../support/app.ts'
import { createDatabase, ENGINES, type TestDatabase } from '../../support/databases.ts'

/** Neither limits nor, as in AnimeThemes, private lists that are 404 to others. */
const UNLIMITED = {
  HIDE_PRIVATE: 'off',
  RATE_LIMIT_AUTHENTICATED: '100000',
  RATE_LIMIT_ANONYMOUS: '100000',
  LOGIN_RATE_LIMIT: '1000',
}
/** Requests can come from any address, and those of one network are ours. */
const ANYWHERE = { TRUSTED_PROXIES: '127.0.0.1', LOCAL_IPS: '10.0.0.0/8' }

const PATH = '/api/externalprofile'
const VIEW = 'view external profile'
const VIEW_ENTRY = 'view external entry'
const CREATE = 'create external profile'
const UPDATE = 'update external profile'
const DELETE = 'delete external profile'
const BYPASS = 'bypass authorization'
const BYPASS_FLAGS = 'bypass feature flags'
const FLAG = 'App\\Features\\AllowExternalProfileManagement'

const LOCAL_ONLY = { message: 'Route only available for localhost' }
const tooMany = (most: number) => ({
  message: `User cannot have more than '${most}' external profiles.`,
})

const SITES = ['MyAnimeList', 'AniList', 'Kitsu']
const VISIBILITIES = ['Public', 'Private']
const STATUSES = ['Watching', 'Completed', 'Paused', 'Dropped', 'Plan to Watch', 'Rewatching']
const [PUBLIC, PRIVATE] = [0, 1]

const INPUT = { name: 'alice', site: 'AniList', visibility: 'Private' }

const PROFILE_INCLUDES = [
  'externalentries',
  'externalentries.anime',
  'user',
  'externalentries.anime.animethemes',
  'externalentries.anime.animethemes.group',
  'externalentries.anime.animethemes.animethemeentries',
  'externalentries.anime.animethemes.animethemeentries.videos',
  'externalentries.anime.animethemes.song',
  'externalentries.anime.images',
]
const ENTRY_INCLUDES = ['anime', 'externalprofile', 'externalprofile.user']

const PROFILE_SORTS = ['created_at', 'updated_at', 'id', 'name', 'site', 'visibility'] as const
const PROFILE_FIELDS = [...PROFILE_SORTS, 'user_id']
const ENTRY_SORTS = ['created_at', 'updated_at', 'id', 'score', 'is_favorite', 'status'] as const
const ENTRY_FIELDS = [...ENTRY_SORTS, 'anime_id', 'profile_id']

/** What no row has for an id. */
const NO_IDS = ['0', '-1', '1.5', 'abc', '99999999999999999999', '%00', '1e0', '9007199254740993']

interface World {
  database: TestDatabase
  app: TestApp
  /** One that knows its own machines, and lets a user have two profiles. */
  other: TestApp
  /** One where external profiles are for its own machines alone. */
  gated: TestApp
  moderation: Moderation
}

for (const engine of ENGINES) {
  t.test(`external profiles on ${engine}`, async t => {
    const database = await createDatabase(t, engine)
    t.teardown(() => database.close())
    const moderation = await startModeration(t)
    const start = (environment: Record<string, string>) =>
      startApp(t, { database, environment: { ...UNLIMITED, ...environment } })
    const world: World = {
      database,
      moderation,
      app: await start({
        VIDEO_URL: 'https://v.example.org/',
        IMAGE_URL: 'https://i.example.org',
        MODERATION_URL: moderation.url,
        MODERATION_TOKEN: 'a-token',
      }),
      other: await start({ ...ANYWHERE, USER_MAX_PROFILES: '2' }),
      gated: await start({ ...ANYWHERE, EXTERNAL_PROFILES_LOCAL_ONLY: 'true' }),
    }
    for (const part of [index, filters, search, show, store, limits, update, destroy]) await part(t, world)
    for (const part of [entries, oneEntry, entryChanges, checks, callers, gate]) await part(t, world)
  })
}

t.test('profiles for our own machines alone need to know which these are', async t => {
  const environment = { APP_KEY: TEST_KEY, EXTERNAL_PROFILES_LOCAL_ONLY: 'true' }
  try {
    loadConfig(environment)
    t.fail('it starts')
  } catch (error) {
    t.type(error, ConfigError)
    t.match((error as Error).message, /LOCAL_IPS/)
  }
  t.equal(loadConfig({ ...environment, LOCAL_IPS: '127.0.0.1' }).externalProfilesLocalOnly, true)
  t.equal(loadConfig({ APP_KEY: TEST_KEY }).externalProfilesLocalOnly, false, 'and nobody has to')
})

interface Sent {
  /** As it is meant, without any encoding. */
  query?: string
  payload?: string | object | undefined
  headers?: Record<string, string>
}

/** Sends a request as somebody, or as a guest. */
const call = (
  app: FastifyInstance,
  method: string,
  path: string,
  caller?: { token: string } | null,
  { query, payload, headers }: Sent = {},
): Promise<Answer> =>
  send(app, method, query ? `${path}?${new URLSearchParams(query)}` : path, {
    headers: { ...(caller && { authorization: `Bearer ${caller.token}` }), ...headers },
    ...(payload !== undefined && { payload }),
  })

/** The errors of a 422; the status of anything else. */
const errorsOf = ({ status, json }: Answer) => (status === 422 ? json.errors : status)

const found = ({ status, json }: Answer, plural = 'externalprofiles') =>
  status === 200 ? json[plural].map(({ id }: { id: number }) => id) : json

const ids = (rows: readonly { id: number }[]) => rows.map(({ id }) => id)

/** Forgets every profile, so that a list has only those of a test. */
const clear = ({ kysely }: TestDatabase) => kysely.deleteFrom('external_profiles').execute()

interface Profile {
  id: number
  /** Null for nobody's. */
  owner: number | null
  name: string
  site: number
  visibility: number
  created_at: string
  updated_at: string
}

/** Adds a profile, and says what is in its row. */
async function profileOf(
  database: TestDatabase,
  owner: { id: number } | null,
  row: Partial<Omit<Profile, 'id' | 'owner'>> = {},
): Promise<Profile> {
  const { created_at = '2026-02-01 12:34:56.123456', updated_at = '2026-02-02 00:00:00', ...own } = row
  const values = { name: 'somebody', site: 1, visibility: PUBLIC, ...own }
  const id = await anExternalProfile(database, owner?.id ?? null, values)
  await database.kysely
    .updateTable('external_profiles')
    .set({ created_at, updated_at })
    .where('profile_id', '=', id)
    .execute()
  return { id, owner: owner?.id ?? null, ...values, created_at, updated_at }
}

interface Entry {
  id: number
  score: number | null
  status: number
  is_favorite: boolean
  anime_id: number | null
  created_at: string
  updated_at: string
}

/** Adds an entry of a profile, and says what is in its row. */
async function entryOf(
  { kysely }: TestDatabase,
  { id: profile_id }: { id: number },
  row: Partial<Omit<Entry, 'id'>> = {},
): Promise<Entry> {
  const at = '2026-02-01 00:00:00'
  const none = { score: null, status: 0, is_favorite: false, anime_id: null, created_at: at, updated_at: at }
  const values = { ...none, ...row }
  const { entry_id } = await kysely
    .insertInto('external_entries')
    .values({ ...values, profile_id })
    .returning('entry_id')
    .executeTakeFirstOrThrow()
  return { id: entry_id, ...values }
}

const profileRow = ({ kysely }: TestDatabase, id: number) =>
  kysely.selectFrom('external_profiles').selectAll().where('profile_id', '=', id).executeTakeFirst()

const countOf = async ({ kysely }: TestDatabase, table: keyof Schema, column: string, value: number) => {
  const { rows } = await sql<{ count: number }>`select count(*)::int as count
    from ${sql.table(table)} where ${sql.ref(column)} = ${value}`.execute(kysely)
  return rows[0]?.count
}

/** A moment of the database's as the API writes it. */
const iso = (text: string) => `${text.replace(' ', 'T')}${text.includes('.') ? '' : '.000000'}Z`

/** A thing that can be shown, with all that can be included with it. */
interface Node {
  /** What is shown unless something else is asked for. */
  shown: Record<string, unknown>
  /** What is shown if it is asked for as well. */
  more?: Record<string, unknown>
  related?: Record<string, Node | Node[] | null>
}

const moreOf = ({ created_at, updated_at }: Profile | Entry) => ({
  created_at: iso(created_at),
  updated_at: iso(updated_at),
})

/** What is shown of a profile or an entry. */
const shown = (row: Profile | Entry) =>
  'site' in row
    ? { id: row.id, name: row.name, site: SITES[row.site], visibility: VISIBILITIES[row.visibility] }
    : { id: row.id, score: row.score, is_favorite: row.is_favorite, status: STATUSES[row.status] }

const nodeOf = (row: Profile | Entry, related: Node['related'] = {}): Node => ({
  shown: shown(row),
  more: moreOf(row),
  related,
})

/** What is shown of a thing when paths are included. */
function including({ shown, related = {} }: Node, paths: readonly string[]): Record<string, unknown> {
  const result = { ...shown }
  for (const [name, found] of Object.entries(related)) {
    if (!paths.some(path => path === name || path.startsWith(`${name}.`))) continue
    const below = paths.filter(path => path.startsWith(`${name}.`)).map(path => path.slice(name.length + 1))
    result[name] = Array.isArray(found)
      ? found.map(one => including(one, below))
      : found && including(found, below)
  }
  return result
}

const pick = ({ shown, more }: Node, names: readonly string[]) =>
  Object.fromEntries(Object.entries({ ...more, ...shown }).filter(([name]) => names.includes(name)))

/** Asks for each include and each field alone, and for all of them at once. */
async function shows(
  t: Test,
  things: Node | Node[],
  type: 'externalprofile' | 'externalentry',
  ask: (query: string) => Promise<unknown>,
) {
  const [paths, fields] =
    type === 'externalprofile' ? [PROFILE_INCLUDES, PROFILE_FIELDS] : [ENTRY_INCLUDES, ENTRY_FIELDS]
  const each = (one: (thing: Node) => object) => (Array.isArray(things) ? things.map(one) : one(things))
  for (const some of [...paths.map(path => [path]), paths]) {
    const expected = each(thing => including(thing, some))
    t.strictSame(await ask(`include=${some}`), expected, `allowed include paths: ${some}`)
  }
  for (const some of [...fields.map(field => [field]), fields]) {
    const expected = each(thing => pick(thing, some))
    t.strictSame(await ask(`fields[${type}]=${some}`), expected, `sparse fieldsets: ${some}`)
  }
}

/** Rows in the order of a field; those that are equal by id. */
function ordered<Row extends Profile | Entry>(rows: readonly Row[], field: keyof Row, descending: boolean) {
  const keyOf = (row: Row) => {
    const value = row[field] as string | number | boolean | null
    return typeof value === 'string' ? value.toLowerCase() : value
  }
  return [...rows].sort((a, b) => {
    const [x, y] = [keyOf(a), keyOf(b)] as const
    const order = x === y ? 0 : x === null || (y !== null && x < y) ? -1 : 1
    return (descending ? -order : order) || a.id - b.id
  })
}

/** Asks for the rows in each order. */
async function sorts<Row extends Profile | Entry>(
  t: Test,
  rows: readonly Row[],
  type: 'externalprofile' | 'externalentry',
  ask: (query: string) => Promise<number[]>,
) {
  for (const field of type === 'externalprofile' ? PROFILE_SORTS : ENTRY_SORTS) {
    for (const sign of ['', '-']) {
      const expected = ids(ordered(rows, field as keyof Row, sign === '-'))
      t.strictSame(await ask(`sort=${sign}${field}`), expected, `sorts: ${sign}${field}`)
      t.strictSame(await ask(`sort[${type}]=${sign}${field}`), expected, `sorts by type: ${sign}${field}`)
    }
  }
  const any = await ask('sort=random')
  t.strictSame(
    any.sort((a, b) => a - b),
    ids(rows),
    'sorts: random',
  )
}

/** Asks for what is not understood: each query, and what is said of which of its parameters. */
async function faults(
  t: Test,
  ask: (query: string) => Promise<Answer>,
  cases: readonly (readonly [query: string, key: string, sentence: string])[],
) {
  for (const [query, key, sentence] of cases)
    t.strictSame(errorsOf(await ask(query)), { [key]: [sentence] }, query)
}

const WRONG_INCLUDE = ['include', 'The selected include is invalid.'] as const
const WRONG_FILTER = ['filter', 'The filter must be an array.'] as const
const WRONG_SORT = ['sort', 'The selected sort is invalid.'] as const
const TYPED_SORT = ['sort', 'The sort must be an array.'] as const
const NO_PAGE = ['page', 'The page field is prohibited.'] as const
const NO_SEARCH = ['q', 'The q field is prohibited.'] as const
const wrongField = (type: string) => [`fields.${type}`, `The selected ${type} is invalid.`] as const

/** Adds an anime with all that the wiki knows of one, and some that it does not show. */
async function addAnime({ kysely }: TestDatabase): Promise<Node & { id: number }> {
  const insert = async (table: keyof Schema, key: string, values: object): Promise<number> => {
    const query = kysely.insertInto(table).values(values as never)
    return ((await query.returning(key as never).executeTakeFirstOrThrow()) as Record<string, number>)[key]!
  }
  const deleted_at = '2026-01-01 00:00:00'
  const anime = { slug: 'bakemonogatari', year: 2009, season: 2, synopsis: 'A crab.' }
  const id = await insert('anime', 'anime_id', { ...anime, title: 'Bakemonogatari', format: 0 })

  const images: Node[] = []
  for (const [imageable_type, values, label] of [
    ['anime', { path: 'anime/large cover.jpg', facet: 1 }, 'Large Cover'],
    ['App\\Models\\Wiki\\Anime', { path: 'anime/grill.jpg', facet: null }, null],
    ['artist', { path: 'artist/cover.jpg', facet: 0 }, undefined],
    ['anime', { path: 'anime/deleted.jpg', facet: 0, deleted_at }, undefined],
  ] as const) {
    const image_id = await insert('images', 'image_id', values)
    await insert('imageables', 'id', { image_id, imageable_type, imageable_id: id })
    const link = `https://i.example.org/${values.path.replace(' ', '%20')}`
    if (label !== undefined) images.push({ shown: { id: image_id, facet: label, path: values.path, link } })
  }

  const song_id = await insert('songs', 'song_id', { title: 'staple stable' })
  const group_id = await insert('groups', 'group_id', { name: 'English Version', slug: 'EN' })
  const song = { shown: { id: song_id, title: 'staple stable' } }
  const group = { shown: { id: group_id, name: 'English Version', slug: 'EN' } }
  const animethemes: Node[] = []
  for (const [type, slug, sequence, more, label, linked] of [
    [0, 'OP1', 1, { song_id, group_id }, 'OP', { song, group }],
    [1, 'ED1', null, {}, 'ED', { song: null, group: null }],
    [2, 'IN1', 1, { song_id, group_id }, null, {}],
    [0, 'OP2', 2, { deleted_at }, null, {}],
  ] as const) {
    const theme_id = await insert('anime_themes', 'theme_id', { type, slug, sequence, anime_id: id, ...more })
    const full = { episodes: '1-2, 12', notes: 'x', nsfw: true, spoiler: true, version: 2, tracks_count: 4 }
    const bare = { episodes: null, notes: null, nsfw: false, spoiler: false, version: 1, tracks_count: 0 }
    const entry_id = await insert('anime_theme_entries', 'entry_id', { ...full, theme_id })
    const bare_id = await insert('anime_theme_entries', 'entry_id', { theme_id })
    const video = {
      basename: `Bakemonogatari-${slug}.webm`,
      filename: `Bakemonogatari-${slug}`,
      path: `2009/Summer/Bakemonogatari-${slug}.webm`,
      ...{ mimetype: 'video/webm', size: 65_950_223, resolution: 1080 },
      ...{ nc: true, subbed: false, lyrics: false, uncen: true },
    }
    const video_id = await insert('videos', 'video_id', { ...video, source: 2, overlap: 1 })
    await insert('anime_theme_entry_video', 'id', { entry_id, video_id })
    if (label === null) continue
    const link = `https://v.example.org/${video.basename}`
    const tagged = { id: video_id, source: 'BD', overlap: 'Transition', tags: 'NCBD1080', link }
    const animethemeentries = [
      { shown: { ...full, id: entry_id }, related: { videos: [{ shown: { ...video, ...tagged } }] } },
      { shown: { ...bare, id: bare_id }, related: { videos: [] } },
    ]
    animethemes.push({
      shown: { id: theme_id, sequence, slug, type: label },
      related: { ...linked, animethemeentries },
    })
  }
  return {
    id,
    shown: { ...anime, id, name: 'Bakemonogatari', media_format: 'TV', season: 'Summer' },
    related: { animethemes, images },
  }
}

/** Adds a public profile with entries, one of an anime and one of none, and says what can be shown of it. */
async function fullProfile(database: TestDatabase, owner: TestUser) {
  const anime = await addAnime(database)
  const profile = await profileOf(database, owner, { name: 'full' })
  const values = { anime_id: anime.id, score: 8.5, status: 4, is_favorite: true }
  const known = await entryOf(database, profile, values)
  const unknown = await entryOf(database, profile)
  const user = { shown: { name: owner.name } }
  const externalentries = [nodeOf(known, { anime }), nodeOf(unknown, { anime: null })]
  const externalprofile = nodeOf(profile, { user })
  return {
    profile,
    known,
    unknown,
    node: nodeOf(profile, { externalentries, user }),
    entryNodes: [
      nodeOf(known, { anime, externalprofile }),
      nodeOf(unknown, { anime: null, externalprofile }),
    ],
  }
}

/** Adds a row about the feature, for everybody unless told otherwise. */
const addFlag = ({ kysely }: TestDatabase, value: string, name = FLAG, scope = '__laravel_null') =>
  kysely.insertInto('features').values({ name, scope, value, created_at: null, updated_at: null }).execute()

/** Turns the feature off or on for everybody; null forgets that it was ever turned. */
async function turn(database: TestDatabase, value: boolean | null) {
  await database.kysely.deleteFrom('features').execute()
  if (value !== null) await addFlag(database, String(value))
}

/** Does something while the feature is off. */
async function turnedOff(database: TestDatabase, work: () => Promise<void>) {
  await turn(database, false)
  await work()
  await turn(database, null)
}

interface Moderation {
  url: string
  /** How often it was asked. */
  asked: number
  answer: [status: number, body: unknown]
}

/** A service that says whether texts are fit to be seen. */
async function startModeration(t: Test): Promise<Moderation> {
  const moderation: Moderation = { url: '', asked: 0, answer: [200, {}] }
  const server = createServer((_request, response) => {
    moderation.asked += 1
    response.writeHead(moderation.answer[0]).end(JSON.stringify(moderation.answer[1]))
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.teardown(() => server.close())
  moderation.url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/`
  return moderation
}

async function prohibit({ kysely }: TestDatabase, user: TestUser, name: string, until: string | null) {
  await sql`insert into model_prohibitions (model_type, model_id, prohibition_id, expires_at)
    select ${USER_TYPE}, ${user.id}::bigint, id, ${until}::timestamp
    from prohibitions where name = ${name}`.execute(kysely)
}

async function sanction({ kysely }: TestDatabase, user: TestUser, name: string) {
  await sql`with sanction as (insert into sanctions (name) values (${`${name} ${user.id}`}) returning id),
      content as (insert into sanction_prohibition (sanction_id, prohibition_id)
        select sanction.id, prohibitions.id from sanction, prohibitions where prohibitions.name = ${name})
    insert into model_sanctions (model_type, model_id, sanction_id)
      select ${USER_TYPE}, ${user.id}::bigint, id from sanction`.execute(kysely)
}

/** Every way of doing something, with what it takes. The last one deletes the profile. */
const routesOf = (profile: { id: number }, entry: { id: number }) => {
  const one = `${PATH}/${profile.id}`
  const payload = { visibility: 'public' }
  return [
    { method: 'GET', path: PATH, permission: VIEW, status: 200 },
    { method: 'GET', path: one, permission: VIEW, status: 200 },
    { method: 'GET', path: `${one}/externalentry`, permission: VIEW_ENTRY, status: 200 },
    { method: 'GET', path: `${one}/externalentry/${entry.id}`, permission: VIEW_ENTRY, status: 200 },
    { method: 'POST', path: PATH, permission: CREATE, status: 201, payload: INPUT },
    { method: 'PUT', path: one, permission: UPDATE, status: 200, payload },
    { method: 'PATCH', path: one, permission: UPDATE, status: 200, payload },
    { method: 'DELETE', path: one, permission: DELETE, status: 200 },
  ]
}

/** Every way of changing entries, which nobody may. */
const entryChangesOf = (profile: { id: number | string }, entry: { id: number | string }) => {
  const entries = `${PATH}/${profile.id}/externalentry`
  return [
    { method: 'POST', path: entries },
    { method: 'PUT', path: `${entries}/${entry.id}` },
    { method: 'PATCH', path: `${entries}/${entry.id}` },
    { method: 'DELETE', path: `${entries}/${entry.id}` },
  ]
}

async function index(t: Test, { app, database }: World) {
  const list = (caller: TestUser | null, query = '') => call(app, 'GET', PATH, caller, { query })
  const shownTo = async (caller: TestUser | null, query = '') =>
    (await list(caller, query)).json.externalprofiles

  await t.test('GET /api/externalprofile', async t => {
    await clear(database)
    const viewer = await aUser(database, { permissions: [VIEW] })
    const other = await aUser(database, { permissions: [VIEW] })
    const nobody = await aUser(database)
    const mighty = await aUser(database, { permissions: [BYPASS] })
    const a = await profileOf(database, other, { name: 'a', site: 0 })
    await profileOf(database, other, { visibility: PRIVATE })
    const b = await profileOf(database, null, { name: 'b', site: 2 })
    await profileOf(database, null, { visibility: PRIVATE })
    const c = await profileOf(database, viewer, { name: 'c', visibility: PRIVATE })
    const d = await profileOf(database, viewer, { name: 'd' })
    const { status, json } = await list(null)
    t.equal(status, 200)
    t.strictSame(json.externalprofiles, [a, b, d].map(shown), 'default')
    t.strictSame(Object.keys(json), ['externalprofiles', 'links', 'meta'], 'paginated')
    t.match(json.links, { first: String, last: null, prev: null, next: null })
    t.match(json.meta, { current_page: 1, per_page: 15, from: 1, to: 3 })
    t.strictSame(await shownTo(viewer), [a, b, c, d].map(shown), 'and the own private ones')
    t.strictSame(await shownTo(mighty), [a, b, d].map(shown), 'and nobody sees those of others')
    for (const query of ['', 'page[size]=x']) {
      const refused = await list(nobody, query)
      t.equal(refused.status, 403, 'whoever is known needs the permission, before any fault is told')
      t.strictSame(refused.json, UNAUTHORIZED)
    }
    t.equal((await call(app, 'HEAD', PATH)).status, 200)
    await clear(database)
    t.strictSame(await shownTo(null), [])
  })

  await t.test('GET /api/externalprofile: pages', async t => {
    await clear(database)
    const viewer = await aUser(database, { permissions: [VIEW] })
    const other = await aUser(database)
    const made: Profile[] = []
    for (let i = 0; i < 17; i += 1) {
      const visibility = i % 4 === 0 ? PRIVATE : PUBLIC
      made.push(await profileOf(database, i % 2 === 0 ? viewer : other, { name: `n${i % 3}`, visibility }))
      await profileOf(database, other, { visibility: PRIVATE })
    }
    const first = await list(viewer)
    t.equal(first.json.externalprofiles.length, 15, 'paginated')
    t.match(first.json.meta, { from: 1, to: 15, per_page: 15 })
    for (const sort of ['id', '-name']) {
      const seen: number[] = []
      let next: string | null = `${PATH}?page[size]=5&sort=${sort}`
      let pages = 0
      while (next !== null) {
        const answer: Answer = await call(app, 'GET', next, viewer)
        seen.push(...found(answer))
        next = answer.json.links.next
        pages += 1
      }
      t.equal(pages, 4)
      const all = seen.sort((a, b) => a - b)
      t.strictSame(all, ids(made), `paginated: by ${sort} to the end, none twice and none dropped`)
    }
    const beyond = await list(viewer, 'page[number]=9')
    t.match(beyond.json, { externalprofiles: [], links: { next: null }, meta: { from: null, to: null } })
  })

  await t.test('GET /api/externalprofile: what is shown', async t => {
    await clear(database)
    const owner = await aUser(database, { permissions: [VIEW] })
    const { node } = await fullProfile(database, owner)
    const nodes = [node, nodeOf(await profileOf(database, null), { externalentries: [], user: null })]
    await shows(t, nodes, 'externalprofile', query => shownTo(null, query))
    const hidden = await profileOf(database, owner, { visibility: PRIVATE })
    nodes.push(nodeOf(hidden, { externalentries: [], user: { shown: { name: owner.name } } }))
    await shows(t, nodes, 'externalprofile', query => shownTo(owner, query))
    t.strictSame(
      await shownTo(
        null,
        'include=externalentries,user&fields[externalprofile]=user_id&fields[externalentry]=status&fields[user]=id',
      ),
      [
        { externalentries: [{ status: 'Plan to Watch' }, { status: 'Watching' }], user: {} },
        { externalentries: [], user: null },
      ],
      'sparse fieldsets of what is included',
    )
    await faults(t, query => list(null, query), [
      ['include=externalentries.externalprofile', ...WRONG_INCLUDE],
      ['include=externalentries.anime.animethemes.song.artists', ...WRONG_INCLUDE],
      ['include=externaltoken', ...WRONG_INCLUDE],
      ['fields[externalprofile]=synced_at', ...wrongField('externalprofile')],
      ['fields[externalprofile]=external_user_id', ...wrongField('externalprofile')],
      ['fields[user]=email', ...wrongField('user')],
      ['fields[playlist]=id', 'fields', 'The fields must be an array.'],
      ['sort=user_id', ...WRONG_SORT],
      ['filter[user_id]=1', ...WRONG_FILTER],
      ['filter[site]=1', 'filter.site', 'The selected filter.site is invalid.'],
      ['filter[visibility]=unlisted', 'filter.visibility', 'The selected filter.visibility is invalid.'],
      ['filter[id]=x', 'filter.id', 'The filter.id must be an integer.'],
      ['filter[has]=externaltoken', 'filter.has', 'The selected filter.has is invalid.'],
      ['page[size]=101', 'page.size', 'The page.size must not be greater than 100.'],
      ['q=', 'q', 'The q field is required.'],
    ])
  })

  await t.test('GET /api/externalprofile: sorts and dates', async t => {
    await clear(database)
    const owner = await aUser(database, { permissions: [VIEW] })
    const rows: Profile[] = []
    for (const [name, site, visibility, created_at, updated_at] of [
      ['b', 2, PUBLIC, '2025-01-01 00:00:00', '2025-06-01 00:00:00'],
      ['C', 0, PRIVATE, '2025-02-01 00:00:00', '2025-05-01 00:00:00.000001'],
      ['a', 1, PUBLIC, '2025-02-01 00:00:00', '2025-05-01 00:00:00'],
      ['D', 1, PRIVATE, '2025-01-01 00:00:00', '2025-06-01 00:00:00'],
      ['B', 0, PUBLIC, '2025-02-01 00:00:00.000001', '2025-05-01 00:00:00'],
    ] as const) {
      rows.push(await profileOf(database, owner, { name, site, visibility, created_at, updated_at }))
    }
    const ask = async (query: string) => found(await list(owner, query))
    await sorts(t, rows, 'externalprofile', ask)
    const names = (await shownTo(owner, 'sort=-site,name')).map(({ name }: Profile) => name)
    t.strictSame(names, ['b', 'a', 'D', 'B', 'C'], 'sorts: one after the other')
    for (const [field, day] of [
      ['created_at', '2025-02-01'],
      ['updated_at', '2025-05-01'],
    ] as const) {
      const name = `${field.replace('_', ' ')} filter`
      const at = `${day} 00:00:00`
      t.strictSame(
        await ask(`filter[${field}]=${day}&page[size]=100`),
        ids(rows.filter(row => row[field] === at)),
        name,
      )
      t.strictSame(await ask(`filter[${field}-gt]=${day}`), ids(rows.filter(row => row[field] > at)), name)
    }
  })
}

async function filters(t: Test, { app, database }: World) {
  await t.test('GET /api/externalprofile: filters stay among what whoever calls may see', async t => {
    await clear(database)
    const alice = await aUser(database, { permissions: [VIEW] })
    const bob = await aUser(database, { permissions: [VIEW] })
    const anime = await addAnime(database)
    const add = (
      owner: TestUser | null,
      name: string,
      site: number,
      visibility = PUBLIC,
      created_at?: string,
    ) => profileOf(database, owner, { name, site, visibility, ...(created_at && { created_at }) })
    const alpha = await add(alice, 'Alpha', 1)
    const hidden = await add(alice, 'hidden', 2, PRIVATE)
    const beta = await add(bob, 'Beta', 2, PUBLIC, '2024-01-01 00:00:00')
    const secret = await add(bob, 'secret', 2, PRIVATE)
    const gamma = await add(null, 'Gamma', 0)
    const lost = await add(null, 'lost', 2, PRIVATE)
    const rows = [alpha, hidden, beta, secret, gamma, lost]
    for (const [profile, status, anime_id] of [
      [alpha, 1, null],
      [hidden, 1, null],
      [hidden, 3, null],
      [beta, 3, anime.id],
      [secret, 3, null],
    ] as const) {
      await entryOf(database, profile, { status, anime_id })
    }
    const hides = [hidden, secret, lost]
    const kitsu = [hidden, beta, secret, lost]
    const others = [alpha, gamma]
    const withEntries = [alpha, hidden, beta, secret]

    for (const [query, meant] of [
      ['', rows],
      ['filter[site]=KITSU', kitsu],
      ['filter[site-ne]=kitsu', others],
      ['filter[site]=anilist,myanimelist', others],
      ['filter[site-not]=anilist,myanimelist', kitsu],
      ['filter[site]=anilist,myanimelist,kitsu', rows],
      ['filter[name]=ALPHA', [alpha]],
      ['filter[name-ne]=alpha', [hidden, beta, secret, gamma, lost]],
      ['filter[name-like]=%E%', [hidden, beta, secret]],
      ['filter[name-notlike]=%e%', [alpha, gamma, lost]],
      ['filter[visibility]=private', hides],
      ['filter[visibility]=Public', [alpha, beta, gamma]],
      ['filter[visibility]=public,private', rows],
      [`filter[id]=${ids([alpha, secret, lost])}`, [alpha, secret, lost]],
      [`filter[id]=${secret.id}`, [secret]],
      ['filter[id-gte]=0', rows],
      ['filter[created_at-lt]=2025', [beta]],
      ['filter[externalprofile][site]=kitsu', kitsu],
      ['filter[name]=nobody', []],
      ['filter[name-or]=secret', [secret]],
      ['filter[name]=alpha&filter[name-or]=secret', [alpha, secret]],
      ['filter[name]=nobody&filter[visibility-or]=private', hides],
      ['filter[name]=nobody&filter[site-or]=kitsu', kitsu],
      ['filter[name]=nobody&filter[id-gt-or]=0', rows],
      ['filter[name]=nobody&filter[name-or]=secret,lost,beta', [beta, secret, lost]],
      ['filter[externalprofile][name]=nobody&filter[externalprofile][visibility-or]=private', hides],
      ['filter[name]=alpha&filter[visibility-or]=private&filter[site]=anilist', [alpha]],
      ['filter[name]=nobody&filter[has-or]=externalentries', withEntries],
      ['filter[has]=externalentries', withEntries],
      ['filter[has-lt]=externalentries', [gamma, lost]],
      ['filter[has-eq]=externalentries', [alpha, beta, secret]],
      ['filter[has-gt]=externalentries', [hidden]],
      ['filter[externalprofile][has]=externalentries', withEntries],
      ['filter[has]=externalentries.anime.animethemes', [beta]],
      ['filter[has]=user', [alpha, hidden, beta, secret]],
      ['filter[has]=externalentries&filter[status]=dropped', [hidden, beta, secret]],
      ['filter[has]=externalentries&filter[externalentry][status]=completed', [alpha, hidden]],
      ['filter[externalentry][status]=completed', rows],
    ] as [string, Profile[]][]) {
      for (const [who, caller] of [
        ['a guest', null],
        ['alice', alice],
        ['bob', bob],
      ] as const) {
        const seen = meant.filter(({ visibility, owner }) => visibility === PUBLIC || owner === caller?.id)
        const answer = await call(app, 'GET', PATH, caller, { query })
        t.strictSame(found(answer), ids(seen), `${who}: ${query}`)
      }
    }
    const query = 'include=externalentries&filter[name]=hidden&filter[status]=dropped'
    const { json } = await call(app, 'GET', PATH, alice, { query })
    t.strictSame(
      json.externalprofiles.map(({ externalentries }: { externalentries: { status: string }[] }) =>
        externalentries.map(({ status }) => status),
      ),
      [['Dropped']],
      'what is included is filtered as well',
    )
  })
}

async function search(t: Test, { app, database }: World) {
  await t.test('GET /api/externalprofile?q', async t => {
    await clear(database)
    const owner = await aUser(database, { permissions: [VIEW, UPDATE], password: PASSWORD })
    const other = await aUser(database, { permissions: [VIEW] })
    const long = await profileOf(database, other, { name: 'The monogatari' })
    const begins = await profileOf(database, owner, { name: 'Monogatari fan', site: 2 })
    const exact = await profileOf(database, null, { name: 'monogatari' })
    const hidden = await profileOf(database, owner, { name: 'monogatari secret', visibility: PRIVATE })
    await profileOf(database, other, { name: '100% kitsu' })
    const browser = new TestBrowser(app)
    await browser.logIn({ email: owner.email, password: PASSWORD })
    const check = async (query: string, expected: Profile[], name = 'searchable if public') => {
      for (const caller of [null, owner, other])
        t.strictSame(
          found(await call(app, 'GET', PATH, caller, { query })),
          ids(expected),
          `${name}: ${query}`,
        )
      const answer = await browser.get(`${PATH}?${new URLSearchParams(query)}`)
      t.strictSame(found(answer), ids(expected), `${name}: ${query} in a session`)
    }
    await check('q=MONOGATARI', [exact, begins, long])
    await check('q=secret', [], 'not searchable if not public')
    await check('q=monogatari secret', [], 'not searchable if not public')
    await check('q=fan mono', [begins], 'every word somewhere')
    await check('q=nobody', [])
    await check('q=o%t', [], 'a sign is that sign')
    await check('q=monogatari&sort=-name', [long, begins, exact])
    await check('q=monogatari&filter[site]=kitsu', [begins])
    await check(
      'q=monogatari&filter[site]=kitsu&filter[visibility-or]=private',
      [begins],
      'not searchable if not public',
    )
    await check('q=monogatari&page[size]=1&page[number]=2', [begins])
    const payload = { visibility: 'Public' }
    t.equal((await call(app, 'PUT', `${PATH}/${hidden.id}`, owner, { payload })).status, 200)
    await check('q=secret', [hidden], 'searchable if public, from then on')
  })
}

async function show(t: Test, { app, database }: World) {
  await t.test('GET /api/externalprofile/{id}', async t => {
    const owner = await aUser(database, { permissions: [VIEW] })
    const other = await aUser(database, { permissions: [VIEW] })
    const powerless = await aUser(database)
    const admin = await aUser(database, { roles: ['Admin'] })
    const mighty = await aUser(database, { permissions: [BYPASS] })
    const open = await profileOf(database, owner, { name: 'älice/x', site: 2 })
    const hidden = await profileOf(database, owner, { visibility: PRIVATE })
    const hiddenOfPowerless = await profileOf(database, powerless, { visibility: PRIVATE })
    const lone = await profileOf(database, null)
    const lost = await profileOf(database, null, { visibility: PRIVATE })
    for (const [name, profile, caller, status] of [
      ['private external profile cannot be publicly viewed', hidden, null, 403],
      ['private external profile cannot be publicly if not owned', hidden, other, 403],
      ['private external profile can be viewed by owner', hidden, owner, 200],
      ['public external profile can be viewed', open, null, 200],
      ['a public one by others', open, other, 200],
      ['a public one by somebody without the permission', open, powerless, 403],
      ['an own private one without the permission', hiddenOfPowerless, powerless, 403],
      ['a private one by an administrator', hidden, admin, 403],
      ['a private one by a holder of the bypass', hidden, mighty, 200],
      ["nobody's public one by a guest", lone, null, 200],
      ["nobody's public one by a user", lone, owner, 200],
      ["nobody's private one by a guest", lost, null, 403],
      ["nobody's private one by a user", lost, owner, 403],
    ] as const) {
      const answer = await call(app, 'GET', `${PATH}/${profile.id}`, caller)
      t.equal(answer.status, status, name)
      if (status === 403) t.strictSame(answer.json, UNAUTHORIZED, name)
      else t.strictSame(answer.json, { externalprofile: shown(profile) }, `default: ${name}`)
    }
    t.equal((await call(app, 'HEAD', `${PATH}/${open.id}`)).status, 200)
  })

  await t.test('GET /api/externalprofile/{id}: what is shown', async t => {
    const owner = await aUser(database, { permissions: [VIEW] })
    const { profile, node, known } = await fullProfile(database, owner)
    const ask = (query: string) => call(app, 'GET', `${PATH}/${profile.id}`, null, { query })
    await shows(t, node, 'externalprofile', async query => (await ask(query)).json.externalprofile)
    const all = await ask(`include=${PROFILE_INCLUDES}`)
    t.notMatch(
      all.text,
      /IN1|OP2|deleted\.jpg|artist\//,
      'songs in between and what is deleted are never shown',
    )
    for (const query of [
      'filter[animetheme][type]=IN',
      'filter[animetheme][slug]=x&filter[animetheme][type-or]=IN',
      'filter[animetheme][slug]=OP2',
    ]) {
      const { json } = await ask(`include=externalentries.anime.animethemes&${query}`)
      t.strictSame(json.externalprofile.externalentries[0].anime.animethemes, [], `nor with ${query}`)
    }
    const entriesOf = async (query: string) =>
      (await ask(`include=externalentries&${query}`)).json.externalprofile.externalentries
    t.strictSame(await entriesOf('filter[externalentry][score-gte]=8.5'), [shown(known)])
    t.strictSame(await entriesOf('filter[is_favorite]=yes'), [shown(known)])
    t.equal((await entriesOf('sort[externalentry]=score'))[1].id, known.id)
    t.equal((await entriesOf('sort[externalentry]=-score'))[0].id, known.id)
    const lone = await profileOf(database, null)
    const { json } = await call(app, 'GET', `${PATH}/${lone.id}?include=user`)
    t.equal(json.externalprofile.user, null, "nobody's has no user")
    await faults(t, ask, [
      ['include=users', ...WRONG_INCLUDE],
      ['sort=name', ...TYPED_SORT],
      ['page[size]=1', ...NO_PAGE],
      ['q=x', ...NO_SEARCH],
      ['filter[site]=kitsu', ...WRONG_FILTER],
      ['filter[externalprofile][name]=x', ...WRONG_FILTER],
      ['filter[has]=user', ...WRONG_FILTER],
      ['fields[externalprofile]=name,name', 'fields.externalprofile', 'You may not specify duplicates.'],
    ])
  })
}

async function store(t: Test, { app, database, moderation }: World) {
  const post = (caller: TestUser | null, payload?: string | object) =>
    call(app, 'POST', PATH, caller, { payload })

  await t.test('POST /api/externalprofile', async t => {
    const user = await aUser(database, { permissions: [CREATE] })
    const powerless = await aUser(database, { permissions: [VIEW, UPDATE, DELETE] })
    const guest = await post(null, INPUT)
    t.equal(guest.status, 401, 'protected')
    t.strictSame(guest.json, UNAUTHENTICATED)
    for (const payload of [INPUT, {}]) {
      const refused = await post(powerless, payload)
      t.equal(refused.status, 403, 'forbidden if missing permission')
      t.strictSame(refused.json, UNAUTHORIZED)
    }
    await turnedOff(database, async () => {
      for (const payload of [INPUT, {}]) {
        const off = await post(user, payload)
        t.equal(off.status, 403, 'forbidden if flag disabled')
        t.strictSame(off.json, UNAUTHORIZED)
      }
    })
    t.equal(await countOf(database, 'external_profiles', 'user_id', user.id), 0, 'nothing was made')

    const required = await post(user)
    t.equal(required.status, 422, 'required fields')
    t.strictSame(
      required.json,
      {
        message: 'The name field is required. (and 2 more errors)',
        errors: {
          name: ['The name field is required.'],
          site: ['The site field is required.'],
          visibility: ['The visibility field is required.'],
        },
      },
      'required fields',
    )

    const created = await post(user, { ...INPUT, user_id: powerless.id, id: 1, synced_at: '2020-01-01' })
    t.equal(created.status, 201, 'create')
    const { id } = created.json.externalprofile
    t.strictSame(created.json, { externalprofile: { id, ...INPUT } })
    const rows = await database.kysely
      .selectFrom('external_profiles')
      .selectAll()
      .where('user_id', 'in', [user.id, powerless.id])
      .execute()
    const at = '2026-03-01 12:00:00'
    const values = { name: 'alice', site: 1, visibility: 1, user_id: user.id, created_at: at, updated_at: at }
    t.strictSame(rows, [{ profile_id: id, ...values, synced_at: null, external_user_id: null }], 'create')
    t.equal((await post(user, INPUT)).status, 201, 'a name may be there twice')
  })

  await t.test('POST /api/externalprofile: whether the feature is on is asked each time', async t => {
    const user = await aUser(database, { permissions: [CREATE] })
    const exempt = await aUser(database, { permissions: [CREATE, BYPASS_FLAGS] })
    const mighty = await aUser(database, { permissions: [BYPASS] })
    const statuses: number[] = []
    for (const value of [null, false, true, false, null]) {
      await turn(database, value)
      statuses.push((await post(user, INPUT)).status)
      t.equal((await post(exempt, INPUT)).status, 201, `create permitted for bypass: ${value}`)
      t.equal((await post(mighty, INPUT)).status, value === false ? 403 : 201, 'the other bypass is another')
    }
    t.strictSame(statuses, [201, 403, 201, 403, 201])
    await addFlag(database, 'false', FLAG, `${USER_TYPE}|${user.id}`)
    await addFlag(database, 'false', 'App\\Features\\AllowPlaylistManagement')
    t.equal((await post(user, INPUT)).status, 201, 'what was found for a user, or is of playlists, is not it')
    await turn(database, null)
  })

  await t.test('POST /api/externalprofile: what is understood', async t => {
    const user = await aUser(database, { permissions: [CREATE, BYPASS_FLAGS] })
    const made = async (change: object) => (await post(user, { ...INPUT, ...change })).json.externalprofile
    const wrong = async (change: object) => errorsOf(await post(user, { ...INPUT, ...change }))
    for (const [field, labels] of [
      ['site', SITES],
      ['visibility', VISIBILITIES],
    ] as const) {
      for (const [value, label] of labels.entries()) {
        for (const input of [
          label,
          label.toLowerCase(),
          label.toUpperCase(),
          ` ${label} `,
          value,
          `${value}`,
        ])
          t.equal((await made({ [field]: input }))?.[field], label, `${field}: ${JSON.stringify(input)}`)
      }
      const selected = { [field]: [`The selected ${field} is invalid.`] }
      for (const input of [labels.length, `${labels.length}`, -1, '-1', 1.5, 'Unlisted', 'x', '__proto__'])
        t.strictSame(await wrong({ [field]: input }), selected, `${field}: ${JSON.stringify(input)}`)
      const required = { [field]: [`The ${field} field is required.`] }
      for (const input of [null, '', ' '])
        t.strictSame(await wrong({ [field]: input }), required, `${field}: ${JSON.stringify(input)}`)
      for (const input of [[0], ['AniList'], {}, { label: 'Public' }])
        t.strictSame(
          Object.keys(await wrong({ [field]: input })),
          [field],
          `${field}: ${JSON.stringify(input)}`,
        )
    }
    for (const name of ['x'.repeat(192), '😀'.repeat(192), ' älice ', "<b>'\\;--"])
      t.equal((await made({ name }))?.name, name.trim(), `name: ${name.slice(0, 12)}`)
    for (const [name, message] of [
      ['x'.repeat(193), 'The name must not be greater than 192 characters.'],
      ['😀'.repeat(193), 'The name must not be greater than 192 characters.'],
      [7, 'The name must be a string.'],
      [['x'], 'The name must be a string.'],
      [null, 'The name field is required.'],
      ['', 'The name field is required.'],
      ['  ', 'The name field is required.'],
    ]) {
      t.strictSame(await wrong({ name }), { name: [message] }, `name: ${JSON.stringify(name).slice(0, 12)}`)
    }
    t.strictSame(Object.keys(await wrong({ name: 'a\0b' })), ['name'])
    const several = Object.keys(await wrong({ name: 1, site: 'x', visibility: null }))
    t.strictSame(several.sort(), ['name', 'site', 'visibility'], 'all at once')
  })

  await t.test('POST /api/externalprofile: where parameters may be', async t => {
    const user = await aUser(database, { permissions: [CREATE, BYPASS_FLAGS] })
    const form = { 'content-type': 'application/x-www-form-urlencoded' }
    const json = { 'content-type': 'application/json' }
    const values = { name: 'al ice', site: 'kitsu', visibility: '0' }
    const [text, other] = ['name=al ice&site=kitsu&visibility=0', 'name=bob&site=anilist&visibility=private']
    const ignored = 'include=user&fields[externalprofile]=id&filter[x]=1&page[size]=0&q=&user_id=1'
    for (const [name, sent] of [
      ['the query string alone', { query: text }],
      ['with an empty body', { query: text, payload: '', headers: json }],
      ['a form', { payload: text, headers: form }],
      ['some here and some there', { query: 'name=al ice&site=kitsu', payload: { visibility: 'public' } }],
      ['the body before the query string', { query: other, payload: values }],
      ['a form before the query string', { query: other, payload: text, headers: form }],
      ['a shape that is asked for is not given', { query: `${text}&${ignored}` }],
    ] as [string, Sent][]) {
      const answer = await call(app, 'POST', PATH, user, sent)
      t.equal(answer.status, 201, name)
      const id = answer.json.externalprofile?.id
      const expected = { id, name: 'al ice', site: 'Kitsu', visibility: 'Public' }
      t.strictSame(answer.json, { externalprofile: expected }, name)
      t.equal((await profileRow(database, id))?.user_id, user.id)
    }
    const answer = await call(app, 'POST', PATH, user, { query: 'name=x&site=x&visibility=0' })
    t.strictSame(errorsOf(answer), { site: ['The selected site is invalid.'] })
  })

  await t.test('POST /api/externalprofile: a moderation service is for the names of users', async t => {
    const user = await aUser(database, { permissions: [CREATE] })
    for (const [name, answer] of [
      ['created if not flagged by open ai', [200, { results: [{ flagged: false }] }]],
      ['created if open ai fails', [404, {}]],
      ['created whatever it would say', [200, { results: [{ flagged: true }] }]],
    ] as [string, Moderation['answer']][]) {
      moderation.answer = answer
      t.equal((await post(user, INPUT)).status, 201, name)
    }
    t.equal(await countOf(database, 'external_profiles', 'user_id', user.id), 3)
    t.equal(moderation.asked, 0, 'and is not asked')
  })
}

async function limits(t: Test, { app, other, database }: World) {
  await t.test('POST /api/externalprofile: how many a user can have', async t => {
    const user = await aUser(database, { permissions: [CREATE, DELETE] })
    const exempt = await aUser(database, { permissions: [CREATE, BYPASS_FLAGS] })
    const neighbour = await aUser(database, { permissions: [CREATE] })
    const mighty = await aUser(database, { permissions: [BYPASS] })
    const made: Profile[] = []
    for (const owner of [exempt, mighty, user]) {
      for (let i = 0; i < 5; i += 1) made.push(await profileOf(database, owner, { visibility: i % 2 }))
    }
    const post = (caller: TestUser, payload: object = INPUT, to = app) =>
      call(to, 'POST', PATH, caller, { payload })
    for (const payload of [INPUT, {}]) {
      const refused = await post(user, payload)
      t.equal(refused.status, 403, 'max profile limit')
      t.strictSame(refused.json, tooMany(5), 'max profile limit')
    }
    t.equal(await countOf(database, 'external_profiles', 'user_id', user.id), 5)
    t.strictSame((await post(mighty)).json, tooMany(5), 'the bypass of policies is none of limits')
    t.equal((await post(exempt)).status, 201, 'max profile limit permitted for bypass')
    t.equal((await post(neighbour)).status, 201, 'those of others do not count')
    t.equal((await call(app, 'DELETE', `${PATH}/${made.at(-1)?.id}`, user)).status, 200)
    t.equal((await post(user)).status, 201, 'when one is gone there is room')
    await turnedOff(database, async () => {
      t.strictSame((await post(user)).json, UNAUTHORIZED, 'whether the feature is on comes first')
    })
    t.equal((await post(neighbour, INPUT, other)).status, 201)
    t.strictSame((await post(neighbour, INPUT, other)).json, tooMany(2), 'as many as is set')
  })

  await t.test('POST /api/externalprofile: ten at once are not more', async t => {
    const user = await aUser(database, { permissions: [CREATE] })
    const atOnce = <T>(work: () => Promise<T>) => Promise.all(Array.from({ length: 10 }, work))
    // None is held up by a connection that has to be made first.
    await atOnce(() => profileRow(database, 0))
    const answers = await atOnce(() => call(app, 'POST', PATH, user, { payload: INPUT }))
    const refused = answers.filter(({ status }) => status !== 201)
    t.strictSame(
      refused.map(({ json }) => json),
      Array.from({ length: 5 }, () => tooMany(5)),
      'max profile limit',
    )
    t.equal(await countOf(database, 'external_profiles', 'user_id', user.id), 5, 'max profile limit')
  })
}

async function update(t: Test, { app, database }: World) {
  for (const method of ['PUT', 'PATCH']) {
    await t.test(`${method} /api/externalprofile/{id}`, async t => {
      const owner = await aUser(database, { permissions: [UPDATE] })
      const other = await aUser(database, { permissions: [UPDATE] })
      const powerless = await aUser(database, { permissions: [VIEW, CREATE, DELETE] })
      const admin = await aUser(database, { roles: ['Admin'] })
      const mighty = await aUser(database, { permissions: [BYPASS] })
      const exempt = await aUser(database, { permissions: [UPDATE, BYPASS_FLAGS] })
      const profile = await profileOf(database, owner, { name: 'alice', site: 1 })
      const lone = await profileOf(database, null)
      const ofPowerless = await profileOf(database, powerless)
      const hide = { visibility: 'Private' }
      const change = ({ id }: Profile, caller: TestUser | null, payload: object = hide) =>
        call(app, method, `${PATH}/${id}`, caller, { payload })

      const guest = await change(profile, null)
      t.equal(guest.status, 401, 'protected')
      t.strictSame(guest.json, UNAUTHENTICATED)
      const refuses = async (name: string, row: Profile, caller: TestUser) => {
        for (const payload of [hide, { visibility: 'x' }, {}]) {
          const refused = await change(row, caller, payload)
          t.equal(refused.status, 403, name)
          t.strictSame(refused.json, UNAUTHORIZED, name)
        }
      }
      await refuses('forbidden if missing permission', ofPowerless, powerless)
      await refuses('forbidden if not own external profile', profile, other)
      await refuses('forbidden if not own external profile, by an administrator', profile, admin)
      await refuses("forbidden if not own external profile but nobody's", lone, owner)
      await refuses("forbidden if not own external profile but nobody's, by an administrator", lone, admin)
      await turnedOff(database, () => refuses('forbidden if flag disabled', profile, owner))
      for (const { id, updated_at } of [profile, lone, ofPowerless])
        t.match(await profileRow(database, id), { visibility: PUBLIC, updated_at }, 'nothing has changed')

      const updated = await change(profile, owner)
      t.equal(updated.status, 200, 'update')
      t.strictSame(updated.json, { externalprofile: { id: profile.id, ...INPUT } }, 'update')
      t.match(await profileRow(database, profile.id), { visibility: PRIVATE, user_id: owner.id }, 'update')
      for (const row of [lone, ofPowerless])
        t.equal((await change(row, mighty)).status, 200, 'with the bypass')
      const exempted = await profileOf(database, exempt)
      for (const value of [false, true, null]) {
        await turn(database, value)
        t.equal((await change(exempted, exempt)).status, 200, `update permitted for bypass: ${value}`)
      }
    })

    await t.test(`${method} /api/externalprofile/{id}: what is understood`, async t => {
      const owner = await aUser(database, { permissions: [UPDATE] })
      const profile = await profileOf(database, owner, { name: 'alice', site: 1 })
      const change = (sent: Sent) => call(app, method, `${PATH}/${profile.id}`, owner, sent)
      const row = () => profileRow(database, profile.id)
      const before = await row()
      const json = { 'content-type': 'application/json' }
      const form = { 'content-type': 'application/x-www-form-urlencoded' }

      for (const sent of [
        { payload: {} },
        {},
        { payload: '', headers: json },
        { payload: { visibility: 'public' } },
        { payload: { visibility: 0 } },
        { query: 'visibility=public' },
      ]) {
        app.clock.advance(1000)
        const answer = await change(sent)
        t.equal(answer.status, 200, `${JSON.stringify(sent)} changes nothing`)
        t.strictSame(answer.json, { externalprofile: shown(profile) })
        t.strictSame(await row(), before, 'nor when it was last changed')
      }
      let visibility = PUBLIC
      for (const input of ['Private', 'PUBLIC', 'private', 'public', 1, 0, '1', '0', ' pRiVaTe ']) {
        app.clock.advance(1000)
        visibility = 1 - visibility
        const answer = await change({ payload: { visibility: input } })
        const expected = { externalprofile: shown({ ...profile, visibility }) }
        t.strictSame(answer.json, expected, `visibility: ${JSON.stringify(input)}`)
        const updated_at = new Date(app.clock()).toISOString().slice(0, 19).replace('T', ' ')
        t.strictSame(await row(), { ...before, visibility, updated_at }, 'and it is known when')
      }
      for (const payload of [
        { name: 'bob', site: 'Kitsu' },
        { name: ['x'], site: 'nowhere' },
        { name: null, site: null, user_id: 1, id: 1, profile_id: 1, created_at: 'x' },
        { name: 'x'.repeat(1000), site: 99 },
      ]) {
        for (const sent of [{ ...payload, visibility: 'private' }, payload]) {
          const answer = await change({ payload: sent })
          t.equal(answer.status, 200, 'E2')
          t.match(answer.json.externalprofile, { name: 'alice', site: 'AniList' }, 'E2')
          t.match(await row(), { name: 'alice', site: 1, user_id: owner.id }, 'E2')
        }
      }
      const ignored = await change({
        query: 'name=bob&site=x&include=user&fields[externalprofile]=id&sort=x',
      })
      t.strictSame(Object.keys(ignored.json.externalprofile), ['id', 'name', 'site', 'visibility'])
      const becomes = async (sent: Sent, label: string, name: string) =>
        t.equal((await change(sent)).json.externalprofile?.visibility, label, name)
      const query = 'visibility=public'
      await becomes({ query }, 'Public', 'in the query string')
      await becomes({ query, payload: { visibility: 'private' } }, 'Private', 'the body comes first')
      await becomes({ payload: query, headers: form }, 'Public', 'by a form')

      const wrong = async (input: unknown) => errorsOf(await change({ payload: { visibility: input } }))
      const selected = { visibility: ['The selected visibility is invalid.'] }
      for (const input of ['Unlisted', 2, '2', -1, 'secret'])
        t.strictSame(await wrong(input), selected, `visibility: ${JSON.stringify(input)}`)
      const required = { visibility: ['The visibility field is required.'] }
      for (const input of [null, '', ' '])
        t.strictSame(await wrong(input), required, `visibility: ${JSON.stringify(input)}`)
      t.equal((await row())?.visibility, PUBLIC)
    })
  }
}

async function destroy(t: Test, { app, database }: World) {
  await t.test('DELETE /api/externalprofile/{id}', async t => {
    const owner = await aUser(database, { permissions: [DELETE] })
    const other = await aUser(database, { permissions: [DELETE] })
    const powerless = await aUser(database, { permissions: [VIEW, CREATE, UPDATE] })
    const admin = await aUser(database, { roles: ['Admin'] })
    const mighty = await aUser(database, { permissions: [BYPASS] })
    const exempt = await aUser(database, { permissions: [DELETE, BYPASS_FLAGS] })
    const profile = await profileOf(database, owner, { name: "al'ice" })
    const kept = await profileOf(database, owner)
    const lone = await profileOf(database, null)
    const ofPowerless = await profileOf(database, powerless, { visibility: PRIVATE })
    for (const { id: profile_id } of [profile, kept]) {
      await entryOf(database, { id: profile_id })
      const token = { access_token: 'x', refresh_token: 'y', profile_id }
      await database.kysely.insertInto('external_tokens').values(token).execute()
    }
    const remove = ({ id }: Profile, caller: TestUser | null) => call(app, 'DELETE', `${PATH}/${id}`, caller)

    const guest = await remove(profile, null)
    t.equal(guest.status, 401, 'protected')
    t.strictSame(guest.json, UNAUTHENTICATED)
    const refuses = async (name: string, row: Profile, caller: TestUser) => {
      const refused = await remove(row, caller)
      t.equal(refused.status, 403, name)
      t.strictSame(refused.json, UNAUTHORIZED, name)
      t.ok(await profileRow(database, row.id), name)
    }
    await refuses('forbidden if missing permission', ofPowerless, powerless)
    await refuses('forbidden if not own external profile', profile, other)
    await refuses('forbidden if not own external profile, by an administrator', profile, admin)
    await refuses("forbidden if not own external profile but nobody's", lone, owner)
    await refuses("forbidden if not own external profile but nobody's, by an administrator", lone, admin)
    await turnedOff(database, () => refuses('forbidden if flag disabled', profile, owner))

    const deleted = await remove(profile, owner)
    t.equal(deleted.status, 200, 'deleted')
    t.strictSame(deleted.json, { message: "External Profile 'al'ice' was deleted." }, 'deleted')
    for (const [{ id }, count] of [
      [profile, 0],
      [kept, 1],
    ] as const) {
      for (const table of ['external_profiles', 'external_entries', 'external_tokens'] as const)
        t.equal(await countOf(database, table, 'profile_id', id), count, `deleted: ${table}`)
    }
    const again = await remove(profile, owner)
    t.equal(again.status, 404, 'deleted once and for all')
    t.strictSame(again.json, NOT_FOUND)
    for (const row of [lone, ofPowerless]) t.equal((await remove(row, mighty)).status, 200, 'with the bypass')
    for (const value of [false, true, null]) {
      await turn(database, value)
      const own = await profileOf(database, exempt)
      t.equal((await remove(own, exempt)).status, 200, `destroy permitted for bypass: ${value}`)
      t.equal(await profileRow(database, own.id), undefined)
    }
    const both = await Promise.all([remove(kept, owner), remove(kept, owner)])
    t.strictSame(both.map(({ status }) => status).sort(), [200, 404], 'two at once delete it once')
  })
}

/** Who may see an entry, or a list of them, by the visibility of the profile. */
async function entryAccess(
  t: Test,
  { app, database }: World,
  path: (profile: Profile, entry: Entry) => string,
) {
  const owner = await aUser(database, { permissions: [VIEW_ENTRY] })
  const other = await aUser(database, { permissions: [VIEW_ENTRY] })
  const powerless = await aUser(database, { permissions: [VIEW] })
  const admin = await aUser(database, { roles: ['Admin'] })
  const mighty = await aUser(database, { permissions: [BYPASS] })
  const hidden = await profileOf(database, owner, { visibility: PRIVATE })
  const open = await profileOf(database, owner)
  const lone = await profileOf(database, null)
  const lost = await profileOf(database, null, { visibility: PRIVATE })
  for (const [name, profile, caller, status] of [
    ['private external entry cannot be publicly viewed', hidden, null, 403],
    ['private external entry cannot be publicly viewed if not owned', hidden, other, 403],
    ['private external entry can be viewed by owner', hidden, owner, 200],
    ['public external entry can be viewed', open, null, 200],
    ['a public one by others', open, other, 200],
    ['a public one by somebody without the permission', open, powerless, 403],
    ['a private one by an administrator', hidden, admin, 403],
    ['a private one by a holder of the bypass', hidden, mighty, 200],
    ["one of nobody's", lone, null, 200],
    ["one of nobody's private one", lost, owner, 403],
  ] as const) {
    const answer = await call(app, 'GET', path(profile, await entryOf(database, profile)), caller)
    t.equal(answer.status, status, name)
    if (status === 403) t.strictSame(answer.json, UNAUTHORIZED, name)
  }
}

async function entries(t: Test, world: World) {
  const { app, database } = world
  const lister =
    ({ id }: Profile) =>
    (query = '') =>
      call(app, 'GET', `${PATH}/${id}/externalentry`, null, { query })

  await t.test('GET /api/externalprofile/{id}/externalentry', async t => {
    await entryAccess(t, world, ({ id }) => `${PATH}/${id}/externalentry`)
    const owner = await aUser(database)
    const { profile, known, unknown, entryNodes } = await fullProfile(database, owner)
    await entryOf(database, await profileOf(database, owner))
    const list = lister(profile)
    const { json } = await list()
    t.strictSame(json.externalentries, [known, unknown].map(shown), 'default')
    t.match(json.externalentries, [
      { score: 8.5, is_favorite: true, status: 'Plan to Watch' },
      { score: null, is_favorite: false, status: 'Watching' },
    ])
    t.strictSame(Object.keys(json), ['externalentries', 'links', 'meta'], 'paginated')
    t.strictSame((await lister(await profileOf(database, null))()).json.externalentries, [])
    await shows(t, entryNodes, 'externalentry', async query => (await list(query)).json.externalentries)
    await faults(t, list, [
      ['include=anime.images', ...WRONG_INCLUDE],
      ['include=user', ...WRONG_INCLUDE],
      ['q=x', ...NO_SEARCH],
      ['sort=anime_id', ...WRONG_SORT],
      ['fields[externalentry]=entry_id', ...wrongField('externalentry')],
      ['filter[anime_id]=1', ...WRONG_FILTER],
      ['filter[profile_id]=1', ...WRONG_FILTER],
      ['filter[score]=x', 'filter.score', 'The filter.score must be a number.'],
      ['filter[status]=1', 'filter.status', 'The selected filter.status is invalid.'],
      ['filter[is_favorite]=2', 'filter.is_favorite', 'The filter.is favorite field must be true or false.'],
      ['filter[has]=externalentries', 'filter.has', 'The selected filter.has is invalid.'],
    ])
  })

  await t.test('GET /api/externalprofile/{id}/externalentry: sorts and filters', async t => {
    const anime = await addAnime(database)
    const profile = await profileOf(database, null)
    const other = await profileOf(database, null)
    const rows: Entry[] = []
    for (const [score, status, is_favorite, created_at, updated_at, anime_id] of [
      [7, 0, false, '2025-02-01 00:00:00', '2025-06-01 00:00:00', anime.id],
      [8.5, 1, true, '2025-01-01 00:00:00', '2025-05-01 00:00:00', null],
      [null, 2, false, '2025-02-01 00:00:00', '2025-05-01 00:00:00.000001', 999_999],
      [10, 3, true, '2025-02-01 00:00:00.000001', '2025-06-01 00:00:00', anime.id],
      [0.1, 4, false, '2025-03-01 00:00:00', '2025-05-01 00:00:00', null],
      [0, 5, false, '2025-01-01 00:00:00', '2025-07-01 00:00:00', null],
      [7, 1, true, '2025-04-01 00:00:00', '2025-05-01 00:00:00', null],
    ] as const) {
      const row = { score, status, is_favorite, created_at, updated_at, anime_id }
      rows.push(await entryOf(database, profile, row))
      await entryOf(database, other, row)
    }
    const list = lister(profile)
    const ask = async (query: string) => found(await list(query), 'externalentries')
    t.strictSame((await list()).json.externalentries, rows.map(shown), 'default: scores, truths and labels')
    await sorts(t, rows, 'externalentry', ask)
    const last = await list('page[size]=3&page[number]=3&sort=-id')
    t.strictSame(found(last, 'externalentries'), ids(rows.slice(0, 1)), 'paginated')
    t.match(last.json, { links: { next: null }, meta: { from: 7, to: 7 } }, 'paginated')

    const scored = (test: (score: number) => boolean) => (entry: Entry) =>
      entry.score !== null && test(entry.score)
    const favorite = ({ is_favorite }: Entry) => is_favorite
    const unloved = ({ is_favorite }: Entry) => !is_favorite
    const among =
      (...labels: string[]) =>
      ({ status }: Entry) =>
        labels.includes(STATUSES[status] ?? '')
    for (const [query, meets, name = 'filter'] of [
      ['filter[score]=7', scored(score => score === 7)],
      ['filter[score]=7.0,0.1', scored(score => [7, 0.1].includes(score))],
      ['filter[score-ne]=7', scored(score => score !== 7)],
      ['filter[score-not]=7,8.5', scored(score => ![7, 8.5].includes(score))],
      ['filter[score-gte]=8.5', scored(score => score >= 8.5)],
      ['filter[score-gt]=8.5', scored(score => score > 8.5)],
      ['filter[score-lt]=1e1', scored(score => score < 10)],
      ['filter[score-lte]=.1', scored(score => score <= 0.1)],
      ['filter[score-gte]=7&filter[score-lt]=9', scored(score => score >= 7 && score < 9)],
      ['filter[externalentry][score-gte]=8.5', scored(score => score >= 8.5)],
      ...['true', '1', 'on', 'YES'].map(value => [`filter[is_favorite]=${value}`, favorite]),
      ...['false', '0', 'off', 'no'].map(value => [`filter[is_favorite]=${value}`, unloved]),
      ['filter[is_favorite-ne]=true', unloved],
      ['filter[is_favorite]=true,false', () => true],
      ...STATUSES.map(label => [`filter[status]=${label.toUpperCase()}`, among(label)]),
      ['filter[status]=completed,Dropped', among('Completed', 'Dropped')],
      ['filter[status-ne]=completed', ({ status }) => status !== 1],
      ['filter[status-not]=completed,dropped', ({ status }) => status !== 1 && status !== 3],
      [`filter[id-gt]=${rows[2]?.id}`, entry => rows.indexOf(entry) > 2],
      ['filter[score-gte]=10&filter[status-or]=paused', among('Dropped', 'Paused')],
      ['filter[score]=99&filter[id-gt-or]=0', () => true, 'none of another profile'],
      [
        'filter[created_at]=2025-02-01&page[size]=100',
        entry => [0, 2].includes(rows.indexOf(entry)),
        'created at filter',
      ],
      ['filter[created_at-gte]=2025-03', entry => [4, 6].includes(rows.indexOf(entry)), 'created at filter'],
      [
        'filter[updated_at]=2025-05-01&page[size]=100',
        entry => [1, 4, 6].includes(rows.indexOf(entry)),
        'updated at filter',
      ],
      ['filter[has]=anime', ({ anime_id }) => anime_id === anime.id],
      ['filter[has-lt]=anime', ({ anime_id }) => anime_id !== anime.id],
      ['filter[has]=anime&filter[anime][name]=bakemonogatari', ({ anime_id }) => anime_id === anime.id],
      ['filter[has]=anime&filter[anime][name]=nothing', () => false],
    ] as [string, (entry: Entry) => boolean, string?][]) {
      t.strictSame(await ask(query), ids(rows.filter(meets)), `${name}: ${query}`)
    }
  })
}

async function oneEntry(t: Test, world: World) {
  const { app, database } = world
  await t.test('GET /api/externalprofile/{id}/externalentry/{id}', async t => {
    const pathOf = ({ id }: Profile, entry: Entry) => `${PATH}/${id}/externalentry/${entry.id}`
    await entryAccess(t, world, pathOf)
    const owner = await aUser(database, { permissions: [VIEW_ENTRY] })
    const { profile, known, unknown, entryNodes } = await fullProfile(database, owner)
    const other = await profileOf(database, owner)
    const hidden = await profileOf(database, owner, { visibility: PRIVATE })
    const secret = await entryOf(database, hidden)
    for (const [name, of, entry, caller] of [
      ['scoped', other, known, null],
      ['scoped, for the owner of both', other, known, owner],
      ['scoped, a private one', other, secret, null],
      ['scoped, before it is known who may see the profile', hidden, known, null],
    ] as const) {
      const answer = await call(app, 'GET', pathOf(of, entry), caller)
      t.equal(answer.status, 404, name)
      t.strictSame(answer.json, NOT_FOUND, name)
    }
    for (const [index, entry] of [known, unknown].entries()) {
      const ask = (query = '') => call(app, 'GET', pathOf(profile, entry), null, { query })
      t.strictSame((await ask()).json, { externalentry: shown(entry) }, 'default')
      const node = entryNodes[index] as Node
      await shows(t, node, 'externalentry', async query => (await ask(query)).json.externalentry)
      await faults(t, ask, [
        ['include=externalentries', ...WRONG_INCLUDE],
        ['sort=score', ...TYPED_SORT],
        ['page[number]=1', ...NO_PAGE],
        ['q=x', ...NO_SEARCH],
        ['filter[score]=1', ...WRONG_FILTER],
        ['fields[user]=email', ...wrongField('user')],
      ])
    }
  })
}

async function entryChanges(t: Test, { app, database }: World) {
  await t.test('POST, PUT, PATCH and DELETE …/externalentry: nobody may', async t => {
    const owner = await aUser(database, { roles: ['Verified'] })
    const other = await aUser(database, { roles: ['Verified'] })
    const nobody = await aUser(database)
    const admin = await aUser(database, { roles: ['Admin'] })
    const mighty = await aUser(database, { permissions: [BYPASS, BYPASS_FLAGS] })
    const profile = await profileOf(database, owner)
    const hidden = await profileOf(database, owner, { visibility: PRIVATE })
    const entry = await entryOf(database, profile, { score: 8.5 })
    const secret = await entryOf(database, hidden)
    const all = () => database.kysely.selectFrom('external_entries').selectAll().orderBy('entry_id').execute()
    const before = await all()
    const payload = { score: 1, status: 'Completed', is_favorite: true, anime_id: 1, profile_id: hidden.id }
    const nothing = { id: profile.id + 1_000_000 }

    for (const { method, path } of [
      ...entryChangesOf(profile, entry),
      ...entryChangesOf(hidden, secret),
      ...entryChangesOf(nothing, entry),
    ]) {
      const answer = await call(app, method, path, null, { payload })
      t.equal(answer.status, 401, `${method}: protected`)
      t.strictSame(answer.json, UNAUTHENTICATED)
    }
    for (const [who, caller] of Object.entries({ owner, other, nobody, admin, mighty })) {
      for (const { method, path } of [...entryChangesOf(profile, entry), ...entryChangesOf(hidden, secret)]) {
        for (const sent of [{ payload }, {}]) {
          const answer = await call(app, method, path, caller, sent)
          t.equal(answer.status, 403, `E3 ${method} by ${who}`)
          t.strictSame(answer.json, UNAUTHORIZED, `E3 ${method} by ${who}`)
        }
      }
      const missing = [
        ...entryChangesOf(nothing, entry),
        // There is no entry to miss where one would be added.
        ...[...entryChangesOf(profile, secret), ...entryChangesOf(profile, nothing)].filter(
          ({ method }) => method !== 'POST',
        ),
      ]
      for (const { method, path } of missing) {
        const answer = await call(app, method, path, caller, { payload })
        t.equal(answer.status, 404, `scoped: ${method} by ${who}`)
        t.strictSame(answer.json, NOT_FOUND)
      }
    }
    t.strictSame(await all(), before, 'and the rows stay')
  })
}

async function checks(t: Test, { app, database }: World) {
  await t.test('what is no id is missing', async t => {
    const mighty = await aUser(database, { permissions: [BYPASS] })
    const profile = await profileOf(database, mighty)
    await entryOf(database, profile)
    const one = `${PATH}/${profile.id}/externalentry`
    for (const id of NO_IDS) {
      for (const { method, path } of [
        ...['GET', 'PUT', 'PATCH', 'DELETE'].map(method => ({ method, path: `${PATH}/${id}` })),
        { method: 'GET', path: `${PATH}/${id}/externalentry` },
        { method: 'GET', path: `${one}/${id}` },
        ...entryChangesOf(profile, { id }).slice(1),
        ...entryChangesOf({ id }, { id: 1 }),
      ]) {
        const { status, json } = await call(app, method, path, mighty)
        t.equal(status, 404, `${method} ${path}`)
        t.strictSame(json, NOT_FOUND, `${method} ${path}`)
      }
    }
    t.ok(await profileRow(database, profile.id))
  })

  await t.test('who calls comes first, then whether it is there, who may, and what is wrong', async t => {
    const nobody = await aUser(database)
    const profile = await profileOf(database, null)
    const entry = await entryOf(database, profile)
    const missing = { id: profile.id + 1_000_000 }
    const wrong = { query: 'include=x', payload: { visibility: 'x' } }
    for (const [index, { method, path }] of [
      ...routesOf(profile, entry),
      ...entryChangesOf(profile, entry),
    ].entries()) {
      const sent = method === 'GET' ? { query: wrong.query } : wrong
      const statusOf = async (to: string, caller: TestUser | null) =>
        (await call(app, method, to, caller, sent)).status
      const absent = [...routesOf(missing, entry), ...entryChangesOf(missing, entry)][index]?.path ?? ''
      const [name, byGuest] = [`${method} ${path}`, method === 'GET' ? 422 : 401]
      t.equal(await statusOf(path, null), byGuest, name)
      t.equal(await statusOf(path, nobody), 403, name)
      if (path === PATH) continue
      t.equal(await statusOf(absent, null), method === 'GET' ? 404 : 401, `${name}: missing, to a guest`)
      t.equal(await statusOf(absent, nobody), 404, `${name}: missing`)
    }
    for (const [method, path] of [
      ['PUT', PATH],
      ['DELETE', PATH],
      ['POST', `${PATH}/${profile.id}`],
      ['DELETE', `${PATH}/${profile.id}/externalentry`],
      ['POST', `${PATH}/${profile.id}/externalentry/${entry.id}`],
    ] as const) {
      t.equal((await call(app, method, path, nobody, { payload: {} })).status, 405, `${method} ${path}`)
    }
  })
}

async function callers(t: Test, { app, database }: World) {
  await t.test('a session and a token see the own private profiles', async t => {
    await clear(database)
    const owner = await aUser(database, { roles: ['Verified'], password: PASSWORD })
    const other = await aUser(database, { roles: ['Verified'] })
    const hidden = await profileOf(database, owner, { visibility: PRIVATE })
    const open = await profileOf(database, other)
    await profileOf(database, other, { visibility: PRIVATE })
    const entry = await entryOf(database, hidden)
    const browser = new TestBrowser(app)
    t.equal((await browser.logIn({ email: owner.email, password: PASSWORD })).status, 200)
    t.strictSame(found(await browser.get(PATH)), ids([hidden, open]), 'E4 in a session')
    t.strictSame(found(await call(app, 'GET', PATH, owner)), ids([hidden, open]), 'E4 with a token')
    t.strictSame(found(await call(app, 'GET', PATH)), ids([open]), 'E4 and nobody else does')
    t.strictSame(found(await browser.get(`${PATH}?filter[visibility]=private`)), ids([hidden]))
    const one = `${PATH}/${hidden.id}`
    for (const path of [one, `${one}/externalentry`, `${one}/externalentry/${entry.id}`]) {
      t.equal((await browser.get(path)).status, 200, path)
      t.equal((await new TestBrowser(app).get(path)).status, 403, path)
    }
    const created = await browser.post(PATH, INPUT)
    t.equal(created.status, 201)
    t.equal((await profileRow(database, created.json.externalprofile.id))?.user_id, owner.id)
    t.equal((await browser.bare('POST', PATH, { payload: INPUT })).status, 419, 'no other page does that')
    const updated = await browser.send('PUT', one, { payload: { visibility: 'Public' } })
    t.equal(updated.json.externalprofile.visibility, 'Public')
    t.equal((await browser.send('DELETE', `${one}/externalentry/${entry.id}`)).status, 403, 'E3 in a session')
    t.equal((await browser.send('DELETE', one)).status, 200)
    t.strictSame(found(await call(app, 'GET', PATH)), ids([open]))
  })

  await t.test('what a token may do', async t => {
    const user = await aUser(database, { roles: ['Verified'] })
    const profile = await profileOf(database, user)
    const entry = await entryOf(database, profile)
    const missing = { id: profile.id + 1_000_000 }
    const readers = await aToken(database, user.id, {
      abilities: ['read:externalprofile', 'write:playlist'],
    })
    const writers = await aToken(database, user.id, {
      abilities: ['write:externalprofile', 'read:playlist'],
    })
    for (const { method, path } of entryChangesOf(profile, entry)) {
      t.strictSame((await call(app, method, path, readers)).json, INVALID_ABILITY, `${method} ${path}`)
      t.strictSame((await call(app, method, path, writers)).json, UNAUTHORIZED, `${method} ${path}`)
    }
    for (const [index, { method, path, status, payload }] of routesOf(profile, entry).entries()) {
      const [having, lacking] = method === 'GET' ? [readers, writers] : [writers, readers]
      for (const to of [path, routesOf(missing, entry)[index]!.path]) {
        const refused = await call(app, method, to, lacking, { payload })
        t.equal(refused.status, 403, `${method} ${to} without the ability`)
        t.strictSame(refused.json, INVALID_ABILITY, `${method} ${to} without the ability`)
      }
      const allowed = await call(app, method, path, having, { payload })
      t.equal(allowed.status, status, `${method} ${path} with the ability`)
    }
  })

  await t.test('bans', async t => {
    for (const [index, { permission }] of routesOf({ id: 0 }, { id: 0 }).entries()) {
      for (const [how, isFree, ban] of [
        ['forever', false, user => prohibit(database, user, permission, null)],
        ['for a time', false, user => prohibit(database, user, permission, '2027-01-01')],
        ['by a sanction', false, user => sanction(database, user, permission)],
        ['that is over', true, user => prohibit(database, user, permission, '2026-01-01')],
        ['from something else', true, user => prohibit(database, user, 'view playlist', null)],
        ['that is bypassed', true, user => prohibit(database, user, permission, null)],
      ] as [string, boolean, (user: TestUser) => Promise<void>][]) {
        const user = await aUser(
          database,
          how === 'that is bypassed' ? { permissions: [BYPASS] } : { roles: ['Verified'] },
        )
        await ban(user)
        const profile = await profileOf(database, user)
        const entry = await entryOf(database, profile)
        const { method, path, payload, status } = routesOf(profile, entry)[index]!
        const answer = await call(app, method, path, user, { payload })
        t.equal(answer.status, isFree ? status : 403, `${method} ${permission}: a ban ${how}`)
        if (!isFree) t.strictSame(answer.json, BANNED, `${method} ${permission}: a ban ${how}`)
      }
    }
  })
}

async function gate(t: Test, { other: open, gated, database }: World) {
  const from = (ip: string, passedOn?: string) => ({
    'x-forwarded-for': ip,
    ...(passedOn && { 'x-forwarded-ip': passedOn }),
  })
  const OURS = from('10.1.2.3')
  const STRANGER = from('198.51.100.7')

  await t.test('E1 external profiles for our own machines alone', async t => {
    const owner = await aUser(database, { roles: ['Verified'] })
    const mighty = await aUser(database, { permissions: [BYPASS, BYPASS_FLAGS] })
    const profile = await profileOf(database, owner)
    const entry = await entryOf(database, profile)
    const before = await profileRow(database, profile.id)
    for (const { method, path, status, payload } of routesOf(profile, entry)) {
      for (const [who, caller, headers] of [
        ['a stranger', owner, STRANGER],
        ['a stranger with every bypass', mighty, STRANGER],
        ['a visitor passed on by our machine', owner, from('10.1.2.3', '203.0.113.1')],
        ['a visitor passed on as one of ours', owner, from('10.1.2.3', '10.1.2.4')],
        ['a stranger who claims to be ours', owner, from('198.51.100.7', '10.1.2.3')],
        ['a stranger behind a claim', owner, from('10.1.2.3, 198.51.100.7')],
        ...(method === 'GET' ? ([['a guest', null, STRANGER]] as const) : []),
      ] as const) {
        const refused = await call(gated, method, path, caller, { payload, headers })
        t.equal(refused.status, 403, `E1 ${method} ${path}: ${who}`)
        t.strictSame(refused.json, LOCAL_ONLY, `E1 ${method} ${path}: ${who}`)
      }
      t.strictSame(await profileRow(database, profile.id), before, 'nothing has changed')
      const seen = await call(gated, method, path, owner, { payload, headers: OURS })
      t.equal(seen.status, status, `E1 ${method} ${path}: one of our own machines`)
    }
    t.equal(
      (await call(gated, 'GET', PATH, null, { headers: OURS })).status,
      200,
      'our own machine as a guest',
    )
    t.equal((await call(gated, 'HEAD', PATH, null, { headers: STRANGER })).status, 403)
    const mine = await call(gated, 'GET', '/api/me/externalprofile', owner, { headers: STRANGER })
    t.equal(mine.status, 200, 'E1 /api/me/externalprofile is not affected')
    t.equal(mine.json.externalprofiles.length, 1, 'the one that was made from our own machine')
  })

  await t.test('E1 what comes before it, and what after', async t => {
    const owner = await aUser(database, { roles: ['Verified'] })
    const other = await aUser(database, { roles: ['Verified'] })
    const nobody = await aUser(database)
    for (let i = 0; i < 4; i += 1) await profileOf(database, owner)
    const hidden = await profileOf(database, owner, { visibility: PRIVATE })
    const entry = await entryOf(database, hidden)
    const missing = { id: hidden.id + 1_000_000 }
    const ask = async (
      { method, path, payload }: { method: string; path: string; payload?: object | undefined },
      caller: TestUser | null,
      { headers = STRANGER, query }: Sent = {},
    ) => (await call(gated, method, path, caller, { payload, headers, ...(query && { query }) })).json

    for (const route of [
      ...routesOf(missing, entry),
      ...routesOf(hidden, missing),
      ...entryChangesOf(missing, entry),
    ]) {
      const { method, path } = route
      if (method !== 'GET') t.strictSame(await ask(route, null), UNAUTHENTICATED, `${method} ${path}`)
      if (path.includes(`${missing.id}`))
        t.strictSame(await ask(route, owner), NOT_FOUND, `${method} ${path}`)
    }
    for (const route of routesOf(hidden, entry)) {
      const { method, path } = route
      t.strictSame(await ask(route, nobody), UNAUTHORIZED, `${method} ${path} without the permission`)
      if (path === PATH) continue
      t.strictSame(await ask(route, other), UNAUTHORIZED, `${method} ${path} of somebody else`)
      if (method === 'GET') t.strictSame(await ask(route, null), UNAUTHORIZED, `${method} ${path} by a guest`)
    }
    for (const route of entryChangesOf(hidden, entry))
      t.strictSame(await ask(route, owner), UNAUTHORIZED, `${route.method} ${route.path}`)
    for (const route of routesOf(hidden, entry).filter(({ method }) => method === 'GET')) {
      const query = 'include=x'
      t.strictSame(await ask(route, owner, { query }), LOCAL_ONLY, `GET ${route.path}: before any fault`)
      t.ok((await ask(route, owner, { query, headers: OURS })).errors, `GET ${route.path}: then the fault`)
    }
    const one = `${PATH}/${hidden.id}`
    const changes = [
      { method: 'POST', path: PATH, payload: INPUT },
      { method: 'POST', path: PATH, payload: {} },
      { method: 'PUT', path: one, payload: { visibility: 'x' } },
      { method: 'PATCH', path: one, payload: {} },
      { method: 'DELETE', path: one },
    ]
    await turnedOff(database, async () => {
      for (const route of changes) {
        const { method, path } = route
        t.strictSame(await ask(route, owner), LOCAL_ONLY, `${method} ${path}: before the feature`)
        t.strictSame(
          await ask(route, owner, { headers: OURS }),
          UNAUTHORIZED,
          `${method} ${path}: the feature`,
        )
      }
    })
    for (const route of changes)
      t.strictSame(
        await ask(route, owner),
        LOCAL_ONLY,
        `${route.method} ${route.path}: before limit and faults`,
      )
    for (const route of changes.slice(0, 2))
      t.strictSame(await ask(route, owner, { headers: OURS }), tooMany(5), 'then the limit')
    t.ok((await ask(changes[2]!, owner, { headers: OURS })).errors, 'then the faults')
    t.ok(await profileRow(database, hidden.id))
  })

  await t.test('E1 it is off unless it is turned on', async t => {
    const owner = await aUser(database, { roles: ['Verified'] })
    const profile = await profileOf(database, owner)
    const entry = await entryOf(database, profile)
    for (const { method, path, status, payload } of routesOf(profile, entry)) {
      const answer = await call(open, method, path, owner, { payload, headers: STRANGER })
      t.equal(answer.status, status, `${method} ${path}`)
    }
  })
}
