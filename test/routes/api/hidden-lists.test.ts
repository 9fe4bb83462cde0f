import t from 'tap'
import { setFeature } from '#src/database/features.ts'
import { NOW } from '../../fixtures/clock.ts'
import { addTracks, anExternalProfile, aPlaylist } from '../../fixtures/lists.ts'
import { UNLIMITED } from '../../fixtures/settings.ts'
import { aUser } from '../../fixtures/users.ts'
import { type Answer, send, startApp, type TestApp } from '../../support/app.ts'
import { createDatabase, ENGINES, type TestDatabase } from '../../support/databases.ts'

const [PUBLIC, PRIVATE, UNLISTED] = [0, 1, 2] as const
const UNAUTHENTICATED = [401, { message: 'Unauthenticated.' }]
const FORBIDDEN = [403, { message: 'This action is unauthorized.' }]
const NOT_FOUND = [404, { message: 'Not Found.' }]

/** What can be asked of a list and of what is below it, by the ids of both. */
const READS = [
  (list: string, _below: string) => `/api/playlist/${list}`,
  (list: string) => `/api/playlist/${list}?include=tracks,user`,
  (list: string) => `/api/playlist/${list}/track`,
  (list: string) => `/api/playlist/${list}/track?page[size]=abc`,
  (list: string) => `/api/playlist/${list}/forward`,
  (list: string) => `/api/playlist/${list}/backward`,
  (list: string, track: string) => `/api/playlist/${list}/track/${track}`,
  (list: string, track: string) => `/api/playlist/${list}/track/${track}/forward`,
  (list: string, track: string) => `/api/playlist/${list}/track/${track}/backward`,
] as const
const WRITES = [
  ['PUT', (list: string, _below: string) => `/api/playlist/${list}`],
  ['PATCH', (list: string) => `/api/playlist/${list}`],
  ['DELETE', (list: string) => `/api/playlist/${list}`],
  ['POST', (list: string) => `/api/playlist/${list}/track`],
  ['PUT', (list: string, track: string) => `/api/playlist/${list}/track/${track}`],
  ['PATCH', (list: string, track: string) => `/api/playlist/${list}/track/${track}`],
  ['DELETE', (list: string, track: string) => `/api/playlist/${list}/track/${track}`],
] as const
const PROFILE_READS = [
  (profile: string, _below: string) => `/api/externalprofile/${profile}`,
  (profile: string) => `/api/externalprofile/${profile}?fields[externalprofile]=nope`,
  (profile: string) => `/api/externalprofile/${profile}/externalentry`,
  (profile: string, entry: string) => `/api/externalprofile/${profile}/externalentry/${entry}`,
] as const
const PROFILE_WRITES = [
  ['PUT', (profile: string, _below: string) => `/api/externalprofile/${profile}`],
  ['PATCH', (profile: string) => `/api/externalprofile/${profile}`],
  ['DELETE', (profile: string) => `/api/externalprofile/${profile}`],
  ['POST', (profile: string) => `/api/externalprofile/${profile}/externalentry`],
  ['PUT', (profile: string, entry: string) => `/api/externalprofile/${profile}/externalentry/${entry}`],
  ['PATCH', (profile: string, entry: string) => `/api/externalprofile/${profile}/externalentry/${entry}`],
  ['DELETE', (profile: string, entry: string) => `/api/externalprofile/${profile}/externalentry/${entry}`],
] as const

const ALL = [
  'view playlist',
  'update playlist',
  'delete playlist',
  'view playlist track',
  'create playlist track',
  'update playlist track',
  'delete playlist track',
  'view external profile',
  'update external profile',
  'delete external profile',
  'view external entry',
]

const outcome = ({ status, json }: Answer) => [status, json]

const ask = (app: TestApp, method: string, url: string, token?: string) =>
  send(app, method, url, {
    headers: { accept: 'application/json', ...(token && { authorization: `Bearer ${token}` }) },
    ...(method !== 'GET' && { payload: { name: 'taken over', visibility: 'Public' } }),
  })

async function addEntry({ kysely }: TestDatabase, profileId: number): Promise<string> {
  const { entry_id } = await kysely
    .insertInto('external_entries')
    .values({ profile_id: profileId, anime_id: null, status: 0, is_favorite: false, score: null } as never)
    .returning('entry_id')
    .executeTakeFirstOrThrow()
  return String(entry_id)
}

/** Lists of a user's with something below them, by their ids. */
async function addLists(database: TestDatabase, userId: number) {
  const playlistOf = async (visibility: number) => {
    const { id, hashid } = await aPlaylist(database, userId, { visibility })
    const [track] = await addTracks(database, id, [1, 2])
    return { list: hashid, below: track?.hashid as string }
  }
  const profileOf = async (visibility: number) => {
    const id = await anExternalProfile(database, userId, { visibility })
    return { list: String(id), below: await addEntry(database, id) }
  }
  return {
    playlists: {
      reads: READS,
      writes: WRITES,
      hidden: await playlistOf(PRIVATE),
      open: await playlistOf(PUBLIC),
      unlisted: await playlistOf(UNLISTED),
      none: { list: 'nope', below: 'nope' },
    },
    profiles: {
      reads: PROFILE_READS,
      writes: PROFILE_WRITES,
      hidden: await profileOf(PRIVATE),
      open: await profileOf(PUBLIC),
      unlisted: await profileOf(PUBLIC),
      none: { list: '999999999', below: '999999999' },
    },
  }
}

for (const engine of ENGINES) {
  t.test(`private lists of others on ${engine}`, async t => {
    const database = await createDatabase(t, engine)
    t.teardown(() => database.close())
    for (const feature of ['playlists', 'externalprofiles'] as const) {
      await setFeature(database.kysely, feature, false, NOW)
    }
    const app = await startApp(t, { database, environment: UNLIMITED })
    const owner = await aUser(database, { permissions: ALL })
    const other = await aUser(database, { permissions: ALL })
    const powerless = await aUser(database)
    const mighty = await aUser(database, { permissions: [...ALL, 'bypass authorization'] })
    const lists = await addLists(database, owner.id)

    for (const [kind, { reads, writes, hidden, open, unlisted, none }] of Object.entries(lists)) {
      t.test(`${kind} are as if they were not there`, async t => {
        for (const path of reads) {
          const url = path(hidden.list, hidden.below)
          for (const token of [undefined, other.token]) {
            const answer = await ask(app, 'GET', url, token)
            t.strictSame(outcome(answer), NOT_FOUND, url)
            const missing = await ask(app, 'GET', path(none.list, none.below), token)
            t.strictSame(outcome(answer), outcome(missing), `${url}: the same as of none`)
            t.strictSame(Object.keys(answer.headers), Object.keys(missing.headers), url)
            const guessed = await ask(app, 'GET', path(hidden.list, none.below), token)
            t.strictSame(outcome(guessed), NOT_FOUND, `${url}: whatever is below it`)
          }
        }
        for (const [method, path] of writes) {
          const url = path(hidden.list, hidden.below)
          t.strictSame(outcome(await ask(app, method, url, other.token)), NOT_FOUND, `${method} ${url}`)
          const below = path(hidden.list, none.below)
          t.strictSame(outcome(await ask(app, method, below, other.token)), NOT_FOUND, `${method} ${below}`)
          const missing = path(none.list, none.below)
          t.strictSame(
            outcome(await ask(app, method, missing, other.token)),
            NOT_FOUND,
            `${method} ${missing}`,
          )
        }
      })

      t.test(`${kind}: what others may see stays 403 to their writes`, async t => {
        for (const { list, below } of [open, unlisted]) {
          for (const [method, path] of writes) {
            const url = path(list, below)
            t.strictSame(outcome(await ask(app, method, url, other.token)), FORBIDDEN, `${method} ${url}`)
          }
        }
      })

      t.test(`${kind}: a guest who writes is 401, whatever is there`, async t => {
        for (const { list, below } of [hidden, open, none]) {
          for (const [method, path] of writes) {
            const url = path(list, below)
            t.strictSame(outcome(await ask(app, method, url)), UNAUTHENTICATED, `${method} ${url}`)
          }
        }
      })

      t.test(`${kind}: a missing permission is 403, whatever is there`, async t => {
        for (const { list, below } of [hidden, open, none]) {
          for (const path of reads) {
            const url = path(list, below)
            t.strictSame(outcome(await ask(app, 'GET', url, powerless.token)), FORBIDDEN, url)
          }
          for (const [method, path] of writes) {
            const url = path(list, below)
            // To change entries there is no permission that somebody could lack.
            if (url.includes('externalentry')) continue
            t.strictSame(outcome(await ask(app, method, url, powerless.token)), FORBIDDEN, `${method} ${url}`)
          }
        }
      })

      t.test(`${kind} are there for their owner, and those whom no policy stops`, async t => {
        for (const { token } of [owner, mighty]) {
          for (const path of reads) {
            const url = path(hidden.list, hidden.below)
            const expected = url.includes('abc') || url.includes('=nope') ? 422 : 200
            t.equal((await ask(app, 'GET', url, token)).status, expected, url)
          }
          for (const [method, path] of writes) {
            const url = path(hidden.list, hidden.below)
            // Features are off, and entries are changed by nobody.
            t.strictSame(outcome(await ask(app, method, url, token)), FORBIDDEN, `${method} ${url}`)
          }
        }
      })
    }

    t.test('profiles for our own machines alone do not tell others what there is', async t => {
      const local = await startApp(t, {
        database,
        environment: { ...UNLIMITED, EXTERNAL_PROFILES_LOCAL_ONLY: 'true', LOCAL_IPS: '10.0.0.0/8' },
      })
      const { hidden, open, none } = lists.profiles
      const answers = new Set<string>()
      for (const { list, below } of [hidden, open, none]) {
        for (const path of PROFILE_READS) {
          answers.add(JSON.stringify(outcome(await ask(local, 'GET', path(list, below), other.token))))
        }
        for (const [method, path] of PROFILE_WRITES) {
          answers.add(JSON.stringify(outcome(await ask(local, method, path(list, below), other.token))))
        }
      }
      t.strictSame([...answers], [JSON.stringify([403, { message: 'Route only available for localhost' }])])
    })

    t.test('HIDE_PRIVATE=off tells that they are there', async t => {
      const told = await startApp(t, { database, environment: { ...UNLIMITED, HIDE_PRIVATE: 'off' } })
      for (const { reads, writes, hidden } of Object.values(lists)) {
        for (const path of reads) {
          const url = path(hidden.list, hidden.below)
          t.strictSame(outcome(await ask(told, 'GET', url, other.token)), FORBIDDEN, url)
        }
        for (const [method, path] of writes) {
          const url = path(hidden.list, hidden.below)
          t.strictSame(outcome(await ask(told, method, url, other.token)), FORBIDDEN, `${method} ${url}`)
        }
      }
    })
  })
}
