import t, { type Test } from 'tap'
import {
  BANNED,
  INVALID_ABILITY,
  NOT_FOUND,
  UNAUTHENTICATED,
  UNAUTHORIZED,
} from '../../../../fixtures/answers.ts'
import { prohibit } from '../../../../fixtures/bans.ts'
import { TestBrowser } from '../../../../fixtures/browser.ts'
import { PLAYLIST_FEATURE, setFeature, whileFeatureIsOff } from '../../../../fixtures/features.ts'
import { anEntryVideo } from '../../../../fixtures/lists.ts'
import { PRIVATE, PUBLIC, UNLISTED } from '../../../../fixtures/playlists.ts'
import { flipCase, requestWith } from '../../../../fixtures/requests.ts'
import {
  ALL_TRACK_PERMISSIONS,
  aPlaylistWithTracks,
  type EntryVideo,
  orderOf,
  type PlaylistWithTracks,
  TRACK_READS,
  TRACK_SETTINGS,
  trackAt,
  trackOf,
  trackRow,
  tracksUrl,
  trackUrl,
  urlIn,
} from '../../../../fixtures/tracks.ts'
import { aMember, aToken, aUser, type TestUser, USER_TYPE } from '../../../../fixtures/users.ts'
import { get, send, startApp, type TestApp } from '../../../../support/app.ts'
import { createDatabase, ENGINES, type TestDatabase } from '../../../../support/databases.ts'

const VIEW = ['view playlist track']

interface Context {
  database: TestDatabase
  app: TestApp
}

for (const engine of ENGINES) {
  t.test(`access to playlist tracks on ${engine}`, async t => {
    const database = await createDatabase(t, engine)
    t.teardown(() => database.close())
    const app = await startApp(t, { database, environment: TRACK_SETTINGS })
    testReads(t, { database, app })
    for (const write of WRITES) testWrite(t, { database, app }, write)

    t.test('a session gives the same access as a token, with a CSRF token for writes', async t => {
      const owner = await aMember(database, { permissions: ALL_TRACK_PERMISSIONS })
      const content = await anEntryVideo(database)
      const playlist = await aPlaylistWithTracks(database, owner, { visibility: PRIVATE, content })
      const browser = new TestBrowser(app)
      await browser.logIn(owner)
      for (const { path } of TRACK_READS) {
        const url = urlIn(playlist, path, trackAt(playlist, 0))
        t.equal((await browser.get(url)).status, 200, path)
        t.equal((await new TestBrowser(app).get(url)).status, 403, `${path} without a session`)
      }
      const withoutCsrf = await browser.bare('POST', tracksUrl(playlist), { payload: content })
      t.equal(withoutCsrf.status, 419)
      t.equal((await browser.post(tracksUrl(playlist), content)).status, 201)
      const next = trackOf(playlist, 'A').hashid
      t.equal((await browser.send('PATCH', trackUrl(playlist, 'C'), { payload: { next } })).status, 200)
      t.equal((await browser.send('DELETE', trackUrl(playlist, 'B'))).status, 200)
      t.equal(await orderOf(database, playlist), 'CA+')
    })

    t.test('other methods return 405 with the allowed methods', async t => {
      const owner = await aUser(database)
      const playlist = await aPlaylistWithTracks(database, owner)
      for (const [path, methods, allowed] of [
        ['/forward', ['POST', 'PUT', 'PATCH', 'DELETE'], 'GET, HEAD'],
        ['/backward', ['POST', 'PUT', 'PATCH', 'DELETE'], 'GET, HEAD'],
        ['/track/{track}/forward', ['POST', 'PUT', 'PATCH', 'DELETE'], 'GET, HEAD'],
        ['/track/{track}/backward', ['POST', 'PUT', 'PATCH', 'DELETE'], 'GET, HEAD'],
        ['/track', ['PUT', 'PATCH', 'DELETE'], 'GET, HEAD, POST'],
        ['/track/{track}', ['POST'], 'DELETE, GET, HEAD, PATCH, PUT'],
      ] as const) {
        for (const method of methods) {
          const url = urlIn(playlist, path, trackAt(playlist, 0))
          const { status, headers } = await requestWith(app, owner.token)(method, url)
          t.equal(status, 405, `${method} ${path}`)
          t.equal(headers.allow, allowed)
        }
      }
      t.equal(await orderOf(database, playlist), 'ABC')
    })

    t.test('the server logs no error', async t => t.strictSame(app.logged, []))
  })
}

function testReads(t: Test, { app, database }: Context) {
  const aListOf = (user: TestUser, visibility: number = PUBLIC) =>
    aPlaylistWithTracks(database, user, { visibility })
  /** Requests each path that reads tracks. */
  const readAll = async (playlist: PlaylistWithTracks, token?: string) => {
    const answers = []
    for (const { path } of TRACK_READS) {
      const answer = await get(app, urlIn(playlist, path, trackAt(playlist, 0)), token)
      answers.push({ path, ...answer })
    }
    return answers
  }

  t.test('tracks of a private playlist are shown to its owner only', async t => {
    const owner = await aUser(database, { permissions: VIEW })
    const other = await aUser(database, { permissions: VIEW })
    const playlist = await aListOf(owner, PRIVATE)
    for (const token of [undefined, other.token]) {
      for (const { path, status, json } of await readAll(playlist, token)) {
        t.equal(status, 403, `GET ${path} by ${token ? 'another user' : 'a guest'}`)
        t.strictSame(json, UNAUTHORIZED)
      }
    }
    for (const { path, status } of await readAll(playlist, owner.token)) t.equal(status, 200, path)
  })

  t.test('tracks of public and unlisted playlists are shown to guests and other users', async t => {
    const owner = await aUser(database, { permissions: VIEW })
    const other = await aUser(database, { permissions: VIEW })
    for (const playlist of [await aListOf(owner, PUBLIC), await aListOf(owner, UNLISTED)]) {
      for (const token of [undefined, other.token]) {
        for (const { path, status } of await readAll(playlist, token)) t.equal(status, 200, path)
      }
    }
  })

  t.test('a user without the permission gets 403, even for tracks that guests can see', async t => {
    const owner = await aUser(database, { permissions: VIEW })
    const powerless = await aUser(database)
    const viewer = await aUser(database, { permissions: ['view playlist'] })
    const playlist = await aListOf(owner)
    for (const [user, list] of [
      [powerless, playlist],
      [viewer, playlist],
      [powerless, await aListOf(powerless)],
      [powerless, await aListOf(owner, UNLISTED)],
    ] as const) {
      for (const { path, status, json } of await readAll(list, user.token)) {
        t.equal(status, 403, path)
        t.strictSame(json, UNAUTHORIZED)
      }
    }
  })

  t.test("'bypass authorization' shows tracks of another user's private playlist", async t => {
    const bypassing = await aUser(database, { permissions: ['bypass authorization'] })
    const playlist = await aListOf(await aUser(database), PRIVATE)
    for (const { path, status } of await readAll(playlist, bypassing.token)) t.equal(status, 200, path)
  })

  t.test('a banned user gets 403 until the ban expires', async t => {
    const owner = await aUser(database)
    const banned = await aUser(database, { permissions: VIEW })
    await prohibit(database, banned, 'view playlist track')
    for (const playlist of [await aListOf(owner), await aListOf(owner, PRIVATE)]) {
      for (const { path, status, json } of await readAll(playlist, banned.token)) {
        t.equal(status, 403, path)
        t.strictSame(json, BANNED)
      }
    }
    const formerlyBanned = await aUser(database, { permissions: VIEW })
    await prohibit(database, formerlyBanned, 'view playlist track', '2026-02-28 00:00:00')
    for (const { path, status } of await readAll(await aListOf(owner), formerlyBanned.token)) {
      t.equal(status, 200, path)
    }
  })

  t.test('tracks can be read while the management of playlists is turned off', async t => {
    const owner = await aUser(database, { permissions: VIEW })
    const [visible, hidden] = [await aListOf(owner), await aListOf(owner, PRIVATE)]
    await whileFeatureIsOff(database, PLAYLIST_FEATURE, async () => {
      for (const { path, status } of await readAll(visible)) t.equal(status, 200, `${path} by a guest`)
      for (const { path, status } of await readAll(hidden, owner.token)) t.equal(status, 200, path)
    })
  })

  t.test("a token needs the ability 'read:playlist'", async t => {
    const owner = await aUser(database, { permissions: VIEW })
    const playlists = [await aListOf(owner), await aListOf(owner, PRIVATE)]
    for (const [abilities, expected] of [
      [['read:playlist'], 200],
      [['write:playlist'], 403],
      [['read:me', 'read:externalprofile'], 403],
      [[], 403],
    ] as [string[], number][]) {
      const { token } = await aToken(database, owner.id, { abilities })
      for (const playlist of playlists) {
        for (const { path, status, json } of await readAll(playlist, token)) {
          t.equal(status, expected, `GET ${path} with the abilities [${abilities}]`)
          if (expected === 403) t.strictSame(json, INVALID_ABILITY)
        }
      }
    }
  })

  t.test('HEAD requires the same access as GET', async t => {
    const owner = await aUser(database)
    for (const [visibility, expected] of [
      [PUBLIC, 200],
      [PRIVATE, 403],
    ] as const) {
      const playlist = await aListOf(owner, visibility)
      for (const { path } of TRACK_READS) {
        const { status } = await send(app, 'HEAD', urlIn(playlist, path, trackAt(playlist, 0)))
        t.equal(status, expected, path)
      }
    }
  })

  t.test('access is checked before query parameters', async t => {
    const owner = await aUser(database)
    const [visible, hidden] = [await aListOf(owner), await aListOf(owner, PRIVATE)]
    for (const { path } of TRACK_READS) {
      for (const query of ['page[size]=0', 'include=nope', 'fields[track]=nope']) {
        const read = (playlist: PlaylistWithTracks) =>
          get(app, `${urlIn(playlist, path, trackAt(playlist, 0))}?${query}`)
        t.equal((await read(hidden)).status, 403, `private: GET ${path}?${query}`)
        t.equal((await read(visible)).status, 422, `public: GET ${path}?${query}`)
      }
    }
  })

  t.test('missing playlists and tracks are 404 before access is checked', async t => {
    const owner = await aUser(database, { permissions: VIEW })
    const banned = await aUser(database, { permissions: VIEW })
    await prohibit(database, banned, 'view playlist track')
    const [playlist, hidden] = [await aListOf(owner), await aListOf(owner, PRIVATE)]
    const track = trackAt(playlist, 0)
    for (const { path, of } of TRACK_READS) {
      const urls = [
        ...['nope', flipCase(playlist.hashid), String(playlist.id), '%00', '%27%3B--'].map(hashid =>
          urlIn({ hashid }, path, track),
        ),
        ...(of === undefined
          ? []
          : [
              ...['nope', flipCase(track.hashid), String(track.id), '%00'].map(hashid =>
                urlIn(playlist, path, { hashid }),
              ),
              urlIn(hidden, path, { hashid: 'nope' }),
            ]),
      ]
      for (const url of urls) {
        for (const user of [undefined, owner, banned]) {
          const { status, json } = await get(app, `${url}?page[size]=0`, user?.token)
          t.equal(status, 404, url)
          t.strictSame(json, NOT_FOUND)
        }
      }
    }
  })

  t.test('a track of another playlist is 404', async t => {
    const owner = await aUser(database, { permissions: VIEW })
    const [playlist, hidden] = [await aListOf(owner), await aListOf(owner, PRIVATE)]
    const foreign = await aListOf(await aUser(database))
    for (const { path } of TRACK_READS.filter(({ of }) => of !== undefined)) {
      for (const [list, track] of [
        [playlist, trackAt(hidden, 0)],
        [playlist, trackAt(foreign, 0)],
        [foreign, trackAt(playlist, 0)],
      ] as const) {
        for (const user of [undefined, owner]) {
          const { status, json } = await get(app, urlIn(list, path, track), user?.token)
          t.equal(status, 404, `GET ${path} by ${user ? 'the owner' : 'a guest'}`)
          t.strictSame(json, NOT_FOUND)
        }
      }
    }
  })
}

/** A request that changes tracks of a playlist with the order ABC. */
interface Write {
  method: string
  path: string
  permission: string
  status: number
  /** The order after the request. */
  order: string
}

const CREATE = { path: '/track', permission: 'create playlist track', status: 201, order: 'ABC+' }
const UPDATE = { path: '/track/{track}', permission: 'update playlist track', status: 200, order: 'ABC' }
const DELETE = { path: '/track/{track}', permission: 'delete playlist track', status: 200, order: 'BC' }
const WRITES: readonly Write[] = [
  { method: 'POST', ...CREATE },
  { method: 'PUT', ...UPDATE },
  { method: 'PATCH', ...UPDATE },
  { method: 'DELETE', ...DELETE },
]

const FORBIDDEN = [403, UNAUTHORIZED] as const
const INVALID_INPUT = { entry_id: 'x', next: 1 }

function testWrite(t: Test, { app, database }: Context, { method, path, permission, status, order }: Write) {
  const name = `${method} ${path}`
  const permissions = [permission]

  /** The content of new tracks and that of the request, and checks of what the request does. */
  const prepare = async (t: Test) => {
    const [content, newContent] = [await anEntryVideo(database), await anEntryVideo(database)]
    const aListOf = (user: TestUser, visibility: number = PUBLIC) =>
      aPlaylistWithTracks(database, user, { content, visibility })
    const write = (list: PlaylistWithTracks, token?: string, payload: object = newContent) =>
      requestWith(app, token)(method, urlIn(list, path, trackAt(list, 0)), payload)
    /** Asserts that a request is denied and changes nothing. */
    const expectDenied = async (
      list: PlaylistWithTracks,
      token: string | undefined,
      [expected, body]: readonly [number, object],
      message: string,
      payload?: object,
    ) => {
      const answer = await write(list, token, payload)
      t.equal(answer.status, expected, message)
      t.strictSame(answer.json, body, message)
      await expectUnchanged(t, list, content, message)
    }
    /** Asserts that a request is allowed and does what it says. */
    const expectAllowed = async (list: PlaylistWithTracks, token: string, message: string) => {
      t.equal((await write(list, token)).status, status, message)
      t.equal(await orderOf(database, list), order, message)
    }
    return { content, newContent, aListOf, expectDenied, expectAllowed }
  }
  const expectUnchanged = async (t: Test, list: PlaylistWithTracks, content: EntryVideo, message: string) => {
    t.equal(await orderOf(database, list), 'ABC', message)
    t.match(await trackRow(database, trackAt(list, 0).id), content, message)
  }

  t.test(`${name} requires authentication, ownership and the permission`, async t => {
    const { aListOf, expectDenied, expectAllowed } = await prepare(t)
    const owner = await aUser(database, { permissions })
    const other = await aUser(database, { permissions })
    const admin = await aUser(database, { roles: ['Admin'] })
    const bypassing = await aUser(database, { permissions: ['bypass authorization'] })
    const otherPermissions = WRITES.map(({ permission }) => permission).filter(name => name !== permission)
    const withoutPermission = await aUser(database, {
      permissions: ['view playlist track', 'update playlist', ...otherPermissions],
    })
    const [playlist, hidden] = [await aListOf(owner), await aListOf(owner, PRIVATE)]
    await expectDenied(playlist, undefined, [401, UNAUTHENTICATED], 'a guest')
    await expectDenied(hidden, undefined, [401, UNAUTHENTICATED], 'a guest, private playlist')
    await expectDenied(playlist, 'unknown|token', [401, UNAUTHENTICATED], 'an unknown token')
    await expectDenied(await aListOf(withoutPermission), withoutPermission.token, FORBIDDEN, 'no permission')
    await expectDenied(playlist, other.token, FORBIDDEN, 'another user, public playlist')
    await expectDenied(hidden, other.token, FORBIDDEN, 'another user, private playlist')
    await expectDenied(
      await aListOf(owner, UNLISTED),
      other.token,
      FORBIDDEN,
      'another user, unlisted playlist',
    )
    await expectDenied(playlist, admin.token, FORBIDDEN, 'an administrator is not the owner')
    await expectDenied(playlist, other.token, FORBIDDEN, 'access is checked before input', INVALID_INPUT)
    await expectDenied(playlist, undefined, [401, UNAUTHENTICATED], 'so is authentication', INVALID_INPUT)
    await expectAllowed(await aListOf(owner), bypassing.token, "'bypass authorization'")
    await expectAllowed(
      await aListOf(owner, PRIVATE),
      bypassing.token,
      "'bypass authorization', private playlist",
    )
    await expectAllowed(await aListOf(owner), owner.token, 'the owner')
    await expectAllowed(await aListOf(owner, PRIVATE), owner.token, 'the owner, private playlist')
  })

  t.test(`${name} is 403 for a banned user until the ban expires`, async t => {
    const { aListOf, expectDenied, expectAllowed } = await prepare(t)
    const banned = await aUser(database, { permissions })
    await prohibit(database, banned, permission)
    await expectDenied(await aListOf(banned), banned.token, [403, BANNED], 'banned')
    const formerlyBanned = await aUser(database, { permissions })
    await prohibit(database, formerlyBanned, permission, '2026-02-28 00:00:00')
    await expectAllowed(await aListOf(formerlyBanned), formerlyBanned.token, 'the ban has expired')
  })

  t.test(`${name} is 403 while the management of playlists is turned off`, async t => {
    const { aListOf, expectDenied, expectAllowed } = await prepare(t)
    const owner = await aUser(database, { permissions })
    const bypassing = await aUser(database, { permissions: ['bypass authorization'] })
    const exempt = await aUser(database, { permissions: [permission, 'bypass feature flags'] })
    const playlist = await aListOf(owner)
    const userScope = `${USER_TYPE}|${owner.id}`
    await expectAllowed(await aListOf(exempt), exempt.token, "'bypass feature flags' with the flag on")
    await whileFeatureIsOff(database, PLAYLIST_FEATURE, async () => {
      await expectDenied(playlist, owner.token, FORBIDDEN, 'the owner')
      await expectDenied(playlist, owner.token, FORBIDDEN, 'the flag is checked before input', INVALID_INPUT)
      await expectDenied(
        playlist,
        bypassing.token,
        FORBIDDEN,
        "'bypass authorization' does not bypass the flag",
      )
      await setFeature(database, PLAYLIST_FEATURE, true, userScope)
      await expectDenied(playlist, owner.token, FORBIDDEN, 'a value for the user does not turn it on')
      await expectAllowed(await aListOf(exempt), exempt.token, "'bypass feature flags' with the flag off")
      await setFeature(database, PLAYLIST_FEATURE, true)
      await setFeature(database, PLAYLIST_FEATURE, false, userScope)
      await expectAllowed(await aListOf(owner), owner.token, 'a value for the user does not turn it off')
    })
  })

  t.test(`${name} needs a token with the ability 'write:playlist'`, async t => {
    const { aListOf, expectDenied, expectAllowed } = await prepare(t)
    const owner = await aUser(database, { permissions })
    for (const abilities of [['write:playlist'], ['*'], ['read:playlist', 'write:playlist']]) {
      const { token } = await aToken(database, owner.id, { abilities })
      await expectAllowed(await aListOf(owner), token, `the abilities [${abilities}]`)
    }
    const playlist = await aListOf(owner)
    for (const abilities of [['read:playlist'], ['write:externalprofile', 'write:me'], []]) {
      const { token } = await aToken(database, owner.id, { abilities })
      await expectDenied(playlist, token, [403, INVALID_ABILITY], `the abilities [${abilities}]`)
    }
  })

  t.test(`${name} is 404 for missing playlists and tracks, and 401 for guests`, async t => {
    const { content, newContent, aListOf } = await prepare(t)
    const owner = await aUser(database, { permissions })
    const powerless = await aUser(database)
    const bypassing = await aUser(database, { permissions: ['bypass authorization'] })
    const banned = await aUser(database, { permissions })
    await prohibit(database, banned, permission)
    const [playlist, foreign] = [await aListOf(owner), await aListOf(owner)]
    const track = trackAt(playlist, 0)
    for (const url of [
      ...['nope', flipCase(playlist.hashid)].map(hashid => urlIn({ hashid }, path, track)),
      ...(method === 'POST'
        ? []
        : ['nope', flipCase(track.hashid), String(track.id), trackAt(foreign, 0).hashid].map(hashid =>
            urlIn(playlist, path, { hashid }),
          )),
    ]) {
      for (const { token } of [owner, powerless, banned, bypassing]) {
        const answer = await requestWith(app, token)(method, url, newContent)
        t.equal(answer.status, 404, url)
        t.strictSame(answer.json, NOT_FOUND)
      }
      t.equal((await requestWith(app)(method, url, newContent)).status, 401, `${url} by a guest`)
    }
    await expectUnchanged(t, foreign, content, 'the other playlist')
  })
}
