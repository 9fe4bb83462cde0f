import t from 'tap'
import { setFeature } from '#src/database/features.ts'
import { NOT_FOUND, UNAUTHENTICATED, UNAUTHORIZED } from '../../fixtures/answers.ts'
import { statusAndBody } from '../../fixtures/callers.ts'
import { NOW } from '../../fixtures/clock.ts'
import { addTracks, anExternalProfile, aPlaylist } from '../../fixtures/lists.ts'
import { PRIVATE, PUBLIC, UNLISTED } from '../../fixtures/playlists.ts'
import { requestWith } from '../../fixtures/requests.ts'
import { UNLIMITED } from '../../fixtures/settings.ts'
import { aUser, type TestUser } from '../../fixtures/users.ts'
import { startApp, type TestApp } from '../../support/app.ts'
import { createDatabase, ENGINES, type TestDatabase } from '../../support/databases.ts'

const MISSING = [404, NOT_FOUND]
const FORBIDDEN = [403, UNAUTHORIZED]
const GUEST = [401, UNAUTHENTICATED]

const PERMISSIONS = [
  ...['view playlist', 'update playlist', 'delete playlist'],
  ...['view playlist track', 'create playlist track', 'update playlist track', 'delete playlist track'],
  ...['view external profile', 'update external profile', 'delete external profile', 'view external entry'],
]

/** A playlist with a track or a profile with an entry, by the ids in their URLs. */
interface TestList {
  list: string
  item: string
}

interface Kind {
  name: string
  add(database: TestDatabase, user: TestUser, visibility: number): Promise<TestList>
  missing: TestList
  /** The visibilities of lists that others can see. */
  visible: readonly number[]
  reads: readonly string[]
  writes: readonly (readonly [method: string, path: string])[]
}

const PLAYLISTS: Kind = {
  name: 'playlists',
  async add(database, user, visibility) {
    const { id, hashid } = await aPlaylist(database, user.id, { visibility })
    const [track] = await addTracks(database, id, [1, 2])
    return { list: hashid, item: track?.hashid as string }
  },
  missing: { list: 'nope', item: 'nope' },
  visible: [PUBLIC, UNLISTED],
  reads: [
    '/api/playlist/{list}',
    '/api/playlist/{list}?include=tracks,user',
    '/api/playlist/{list}/track',
    '/api/playlist/{list}/track?page[size]=abc',
    '/api/playlist/{list}/forward',
    '/api/playlist/{list}/backward',
    '/api/playlist/{list}/track/{item}',
    '/api/playlist/{list}/track/{item}/forward',
    '/api/playlist/{list}/track/{item}/backward',
  ],
  writes: [
    ['PUT', '/api/playlist/{list}'],
    ['PATCH', '/api/playlist/{list}'],
    ['DELETE', '/api/playlist/{list}'],
    ['POST', '/api/playlist/{list}/track'],
    ['PUT', '/api/playlist/{list}/track/{item}'],
    ['PATCH', '/api/playlist/{list}/track/{item}'],
    ['DELETE', '/api/playlist/{list}/track/{item}'],
  ],
}

const PROFILES: Kind = {
  name: 'external profiles',
  async add(database, user, visibility) {
    const profile_id = await anExternalProfile(database, user.id, { visibility })
    const { entry_id } = await database.kysely
      .insertInto('external_entries')
      .values({ profile_id, anime_id: null, status: 0, is_favorite: false, score: null } as never)
      .returning('entry_id')
      .executeTakeFirstOrThrow()
    return { list: String(profile_id), item: String(entry_id) }
  },
  missing: { list: '999999999', item: '999999999' },
  visible: [PUBLIC],
  reads: [
    '/api/externalprofile/{list}',
    '/api/externalprofile/{list}?fields[externalprofile]=nope',
    '/api/externalprofile/{list}/externalentry',
    '/api/externalprofile/{list}/externalentry/{item}',
  ],
  writes: [
    ['PUT', '/api/externalprofile/{list}'],
    ['PATCH', '/api/externalprofile/{list}'],
    ['DELETE', '/api/externalprofile/{list}'],
    ['POST', '/api/externalprofile/{list}/externalentry'],
    ['PUT', '/api/externalprofile/{list}/externalentry/{item}'],
    ['PATCH', '/api/externalprofile/{list}/externalentry/{item}'],
    ['DELETE', '/api/externalprofile/{list}/externalentry/{item}'],
  ],
}

const urlOf = (path: string, { list, item }: TestList) => path.replace('{list}', list).replace('{item}', item)

/** Requests a path of a list, with a valid body for writes. */
const request = (app: TestApp, method: string, path: string, list: TestList, token?: string) => {
  const payload = method === 'GET' ? undefined : { name: 'taken over', visibility: 'Public' }
  const headers = { accept: 'application/json' }
  return requestWith(app, token)(method, urlOf(path, list), payload, headers)
}

for (const engine of ENGINES) {
  t.test(`private lists of other users on ${engine}`, async t => {
    const database = await createDatabase(t, engine)
    t.teardown(() => database.close())
    // With the features off no write succeeds, so that each list can be requested repeatedly.
    for (const feature of ['playlists', 'externalprofiles'] as const) {
      await setFeature(database.kysely, feature, false, NOW)
    }
    const settings = { ...UNLIMITED, LOG_LEVEL: 'error' }
    const app = await startApp(t, { database, environment: settings })

    /** Whether a list and its item exist under the name that {@link request} would change. */
    const isComplete = async (kind: Kind, list: TestList, { token }: TestUser) => {
      const paths = [kind.reads[0], kind.reads.find(path => path.endsWith('{item}'))] as string[]
      const answers = []
      for (const path of paths) answers.push(await request(app, 'GET', path, list, token))
      return answers.every(({ status, text }) => status === 200 && !text.includes('taken over'))
    }

    for (const kind of [PLAYLISTS, PROFILES]) {
      const { name, missing, visible, reads, writes } = kind
      const anOwner = () => aUser(database, { permissions: PERMISSIONS })
      /** A private list, a public list and one that does not exist. */
      const addEach = async (owner: TestUser) => [
        await kind.add(database, owner, PRIVATE),
        await kind.add(database, owner, PUBLIC),
        missing,
      ]

      t.test(`private ${name} get the same 404 as missing ones from guests and other users`, async t => {
        const owner = await anOwner()
        const hidden = await kind.add(database, owner, PRIVATE)
        const other = await aUser(database, { permissions: PERMISSIONS })
        const missingItem = { ...hidden, item: missing.item }
        for (const path of reads) {
          for (const token of [undefined, other.token]) {
            const answer = await request(app, 'GET', path, hidden, token)
            t.strictSame(statusAndBody(answer), MISSING, path)
            const missingAnswer = await request(app, 'GET', path, missing, token)
            t.strictSame(statusAndBody(answer), statusAndBody(missingAnswer), `${path}: the same answer`)
            t.strictSame(Object.keys(answer.headers), Object.keys(missingAnswer.headers), 'the same headers')
            const itemAnswer = await request(app, 'GET', path, missingItem, token)
            t.strictSame(statusAndBody(itemAnswer), MISSING, `${path} with a missing item`)
          }
        }
        for (const [method, path] of writes) {
          for (const list of [hidden, missingItem, missing]) {
            const answer = await request(app, method, path, list, other.token)
            t.strictSame(statusAndBody(answer), MISSING, `${method} ${urlOf(path, list)}`)
          }
        }
        t.ok(await isComplete(kind, hidden, owner), 'no write took effect')
      })

      t.test(`writes to visible ${name} of another user are 403`, async t => {
        const owner = await anOwner()
        const other = await aUser(database, { permissions: PERMISSIONS })
        for (const visibility of visible) {
          const list = await kind.add(database, owner, visibility)
          for (const [method, path] of writes) {
            const answer = await request(app, method, path, list, other.token)
            t.strictSame(statusAndBody(answer), FORBIDDEN, `${method} ${path}`)
          }
          t.ok(await isComplete(kind, list, owner), 'no write took effect')
        }
      })

      t.test(`writes of a guest to private, public and missing ${name} are 401`, async t => {
        const owner = await anOwner()
        const lists = await addEach(owner)
        for (const list of lists) {
          for (const [method, path] of writes) {
            const answer = await request(app, method, path, list)
            t.strictSame(statusAndBody(answer), GUEST, `${method} ${path}`)
          }
        }
        for (const list of lists.slice(0, 2)) {
          t.ok(await isComplete(kind, list, owner), 'no write took effect')
        }
      })

      t.test(`without the permission, private, public and missing ${name} are 403`, async t => {
        const powerless = await aUser(database)
        const owner = await anOwner()
        const lists = await addEach(owner)
        for (const list of lists) {
          for (const path of reads) {
            const answer = await request(app, 'GET', path, list, powerless.token)
            t.strictSame(statusAndBody(answer), FORBIDDEN, path)
          }
          for (const [method, path] of writes) {
            // Entries have no permissions for writes.
            if (path.includes('externalentry')) continue
            const answer = await request(app, method, path, list, powerless.token)
            t.strictSame(statusAndBody(answer), FORBIDDEN, `${method} ${path}`)
          }
        }
        for (const list of lists.slice(0, 2)) {
          t.ok(await isComplete(kind, list, owner), 'no write took effect')
        }
      })

      t.test(`private ${name} are visible to their owner and with 'bypass authorization'`, async t => {
        const owner = await anOwner()
        const bypassing = await aUser(database, { permissions: [...PERMISSIONS, 'bypass authorization'] })
        const hidden = await kind.add(database, owner, PRIVATE)
        for (const { token } of [owner, bypassing]) {
          for (const path of reads) {
            const expected = path.includes('=abc') || path.includes('=nope') ? 422 : 200
            t.equal((await request(app, 'GET', path, hidden, token)).status, expected, path)
          }
          for (const [method, path] of writes) {
            const answer = await request(app, method, path, hidden, token)
            t.strictSame(statusAndBody(answer), FORBIDDEN, `${method} ${path} with the feature off`)
          }
        }
      })

      t.test(`HIDE_PRIVATE=off: private ${name} of another user are 403`, async t => {
        const hidden = await kind.add(database, await anOwner(), PRIVATE)
        const other = await aUser(database, { permissions: PERMISSIONS })
        const open = await startApp(t, { database, environment: { ...settings, HIDE_PRIVATE: 'off' } })
        for (const [method, path] of [...reads.map(path => ['GET', path] as const), ...writes]) {
          const answer = await request(open, method, path, hidden, other.token)
          t.strictSame(statusAndBody(answer), FORBIDDEN, `${method} ${path}`)
        }
      })
    }

    t.test('EXTERNAL_PROFILES_LOCAL_ONLY: profiles are 403 for other addresses, missing or not', async t => {
      const local = await startApp(t, {
        database,
        environment: { ...settings, EXTERNAL_PROFILES_LOCAL_ONLY: 'true', LOCAL_IPS: '10.0.0.0/8' },
      })
      const owner = await aUser(database, { permissions: PERMISSIONS })
      const other = await aUser(database, { permissions: PERMISSIONS })
      const lists = [
        await PROFILES.add(database, owner, PRIVATE),
        await PROFILES.add(database, owner, PUBLIC),
        PROFILES.missing,
      ]
      const requests = [...PROFILES.reads.map(path => ['GET', path] as const), ...PROFILES.writes]
      const answers = new Set<string>()
      for (const list of lists) {
        for (const [method, path] of requests) {
          answers.add(JSON.stringify(statusAndBody(await request(local, method, path, list, other.token))))
        }
      }
      t.strictSame([...answers], [JSON.stringify([403, { message: 'Route only available for localhost' }])])
    })
  })
}
