import t, { type Test } from 'tap'
import {
  BANNED,
  INVALID_ABILITY,
  NOT_FOUND,
  UNAUTHENTICATED,
  UNAUTHORIZED,
} from '../../../fixtures/answers.ts'
import { prohibit, sanction } from '../../../fixtures/bans.ts'
import { asGuest, CREDENTIALS, inSession, statusAndBody, withToken } from '../../../fixtures/callers.ts'
import { DAY } from '../../../fixtures/clock.ts'
import { PLAYLIST_FEATURE, PROFILE_FEATURE, setFeature } from '../../../fixtures/features.ts'
import { aPlaylist } from '../../../fixtures/lists.ts'
import {
  deletePlaylists,
  NEW_PLAYLIST,
  onePlaylist,
  PLAYLIST_PATH,
  PLAYLIST_WRITES,
  PRIVATE,
  playlistRow,
  writePayload,
  writeUrl,
} from '../../../fixtures/playlists.ts'
import { urlOf } from '../../../fixtures/queries.ts'
import type { SendRequest } from '../../../fixtures/requests.ts'
import { startUnlimited } from '../../../fixtures/server.ts'
import { databaseTime } from '../../../fixtures/timestamps.ts'
import { aMember, aToken, aUser, type TestUser, USER_TYPE } from '../../../fixtures/users.ts'
import { createDatabase, ENGINES } from '../../../support/databases.ts'

const UNKNOWN = onePlaylist('unknownHashid')
const INVALID_INPUT = { name: 7, visibility: 'secret' }
const INVALID_QUERY = { 'page[size]': 'x', 'fields[x]': 'y' }

/** All requests: method, whether it names a playlist, permission, ability of tokens, status of success. */
const REQUESTS = [
  ['GET', false, 'view playlist', 'read', 200],
  ['GET', true, 'view playlist', 'read', 200],
  ...PLAYLIST_WRITES.map(
    ([method, verb, status]) => [method, true, `${verb} playlist`, 'write', status] as const,
  ),
] as const

const refused = (status: number, json: object) => ({ status, json, changed: false })
const UNAUTHENTICATED_401 = refused(401, UNAUTHENTICATED)
const UNAUTHORIZED_403 = refused(403, UNAUTHORIZED)

for (const engine of ENGINES) {
  t.test(`access to playlists on ${engine}`, async t => {
    const database = await createDatabase(t, engine)
    t.teardown(() => database.close())
    const app = await startUnlimited(t, database, { HIDE_PRIVATE: 'off' })
    const withoutAbilities = await startUnlimited(t, database, { TOKEN_ABILITIES: 'off' })
    const guest = asGuest(app)
    t.beforeEach(() => deletePlaylists(database))

    /** Sets the flag of the feature; it is deleted after the test. */
    async function setFlag(t: Test, value: boolean | null) {
      t.teardown(() => setFeature(database, PLAYLIST_FEATURE, null))
      await setFeature(database, PLAYLIST_FEATURE, value)
    }

    const allRows = () => database.kysely.selectFrom('playlists').selectAll().orderBy('playlist_id').execute()

    /** Sends a request that writes, about a new private playlist, and tells whether any row has changed. */
    async function attempt(
      caller: SendRequest,
      owner: TestUser,
      method: string,
      payload: object | undefined = writePayload(method),
    ) {
      const { hashid } = await aPlaylist(database, owner.id, { visibility: PRIVATE })
      const before = await allRows()
      const { status, json } = await caller(method, writeUrl(method, hashid), payload)
      return { status, json, changed: JSON.stringify(before) !== JSON.stringify(await allRows()) }
    }

    for (const [method, verb, success] of PLAYLIST_WRITES) {
      const permission = `${verb} playlist`
      const done = { status: success, changed: true }

      t.test(`${method} by a guest returns 401, also with invalid input or with the feature off`, async t => {
        const owner = await aUser(database)
        t.strictSame(await attempt(guest, owner, method), UNAUTHENTICATED_401)
        t.strictSame(await attempt(guest, owner, method, {}), UNAUTHENTICATED_401, 'with an empty body')
        await setFlag(t, false)
        t.strictSame(await attempt(guest, owner, method), UNAUTHENTICATED_401, 'with the feature off')
      })

      t.test(
        `${method} by a user with the permission needs the feature, unless the user bypasses it`,
        async t => {
          const owner = await aMember(database, { permissions: [permission] })
          const exempt = await aMember(database, { permissions: [permission, 'bypass feature flags'] })
          const bypass = await aUser(database, { permissions: ['bypass authorization'] })
          for (const [how, as] of CREDENTIALS) {
            const [byOwner, byExempt] = [await as(app, owner), await as(app, exempt)]
            for (const flag of [true, null, false]) {
              await setFlag(t, flag)
              const result = await attempt(byOwner, owner, method)
              if (flag === false) t.strictSame(result, UNAUTHORIZED_403, `flag off, ${how}`)
              else t.match(result, done, `flag ${flag}, ${how}`)
              const exempted = await attempt(byExempt, exempt, method)
              t.equal(exempted.status, success, `flag ${flag}, with the bypass of features, ${how}`)
              t.ok(exempted.changed, `flag ${flag}, with the bypass of features, ${how}`)
            }
          }
          await setFlag(t, false)
          const byBypass = withToken(app, bypass)
          t.strictSame(
            await attempt(byBypass, bypass, method),
            UNAUTHORIZED_403,
            'flag off, with the bypass of authorization',
          )
        },
      )

      t.test(`${method} ignores flags of another feature and of a user`, async t => {
        const owner = await aUser(database, { permissions: [permission] })
        const scope = `${USER_TYPE}|${owner.id}`
        t.teardown(() => setFeature(database, PROFILE_FEATURE, null))
        t.teardown(() => setFeature(database, PLAYLIST_FEATURE, null, scope))
        await setFeature(database, PROFILE_FEATURE, false)
        t.match(await attempt(withToken(app, owner), owner, method), done, 'the feature of external profiles')
        await setFeature(database, PLAYLIST_FEATURE, false, scope)
        t.match(await attempt(withToken(app, owner), owner, method), done, 'a flag with the user as scope')
      })

      t.test(`${method} by a user without the permission returns 403`, async t => {
        const powerless = await aMember(database)
        const others = PLAYLIST_WRITES.map(([, verb]) => `${verb} playlist`).filter(
          name => name !== permission,
        )
        const reader = await aMember(database, {
          permissions: [
            ...['view playlist', 'create playlist track', 'update playlist track', 'delete playlist track'],
            ...others,
          ],
        })
        for (const [how, as] of CREDENTIALS) {
          for (const [who, user] of Object.entries({ 'no permissions': powerless, 'all others': reader }))
            t.strictSame(await attempt(await as(app, user), user, method), UNAUTHORIZED_403, `${who}, ${how}`)
        }
      })

      if (method === 'POST') continue
      t.test(`${method} of a playlist of another user returns 403, except with the bypass`, async t => {
        const owner = await aUser(database, { permissions: [permission] })
        const other = await aMember(database, { permissions: [permission] })
        const admin = await aMember(database, { roles: ['Admin'] })
        const bypass = await aMember(database, { permissions: ['bypass authorization'] })
        for (const [how, as] of CREDENTIALS) {
          for (const [who, user] of Object.entries({ other, admin }))
            t.strictSame(
              await attempt(await as(app, user), owner, method),
              UNAUTHORIZED_403,
              `${who}, ${how}`,
            )
          t.match(
            await attempt(await as(app, bypass), owner, method),
            done,
            `bypass of authorization, ${how}`,
          )
        }
      })
    }

    t.test('no role may change a playlist of another user, and the bypass keeps its owner', async t => {
      const owner = await aUser(database)
      const bypass = withToken(app, await aUser(database, { permissions: ['bypass authorization'] }))
      const { hashid } = await aPlaylist(database, owner.id, { visibility: PRIVATE })
      for (const role of ['Admin', 'Content Moderator', 'Encoder', 'Developer', 'Patron']) {
        const user = withToken(app, await aUser(database, { roles: [role] }))
        const answer = await user('PUT', onePlaylist(hashid), { name: 'Mine' })
        t.strictSame(statusAndBody(answer), [403, UNAUTHORIZED], role)
      }
      const changed = await bypass('PUT', onePlaylist(hashid), { name: 'Ours' })
      t.equal(changed.json.playlist?.name, 'Ours')
      t.match(await playlistRow(database, hashid), { name: 'Ours', user_id: owner.id })
    })

    t.test('an unknown playlist is 401 for a guest and 404 for users, before 403 and 422', async t => {
      const permitted = await aMember(database, { roles: ['Verified'] })
      const powerless = await aMember(database)
      for (const method of ['PUT', 'PATCH', 'DELETE']) {
        const payload = method === 'DELETE' ? undefined : INVALID_INPUT
        const answer = await guest(method, UNKNOWN, payload)
        t.strictSame(statusAndBody(answer), [401, UNAUTHENTICATED], `${method} by a guest`)
        for (const [how, as] of CREDENTIALS) {
          for (const [who, user] of Object.entries({ permitted, powerless })) {
            const answer = await (await as(app, user))(method, UNKNOWN, payload)
            t.strictSame(statusAndBody(answer), [404, NOT_FOUND], `${method}, ${who} ${how}`)
          }
        }
      }
      const url = urlOf(UNKNOWN, INVALID_QUERY)
      t.strictSame(statusAndBody(await guest('GET', url)), [404, NOT_FOUND], 'GET with an invalid query')
      for (const [how, as] of CREDENTIALS) {
        const answer = await (await as(app, powerless))('GET', UNKNOWN)
        t.strictSame(statusAndBody(answer), [404, NOT_FOUND], `GET without the permission ${how}`)
      }
    })

    t.test('403 comes before 422', async t => {
      const owner = await aUser(database)
      const other = await aMember(database, { roles: ['Verified'] })
      const powerless = await aMember(database)
      const { hashid } = await aPlaylist(database, owner.id, { visibility: PRIVATE })
      const one = onePlaylist(hashid)
      for (const [how, as] of CREDENTIALS) {
        const [byPowerless, byOther] = [await as(app, powerless), await as(app, other)]
        for (const method of ['PUT', 'PATCH', 'DELETE']) {
          const payload = method === 'DELETE' ? undefined : INVALID_INPUT
          for (const [who, by] of Object.entries({ powerless: byPowerless, 'another user': byOther })) {
            const answer = await by(method, one, payload)
            t.strictSame(statusAndBody(answer), [403, UNAUTHORIZED], `${method}, ${who} ${how}`)
          }
        }
        for (const [method, url, payload] of [
          ['GET', urlOf(one, INVALID_QUERY), undefined],
          ['GET', urlOf(PLAYLIST_PATH, INVALID_QUERY), undefined],
          ['POST', PLAYLIST_PATH, INVALID_INPUT],
        ] as const) {
          const answer = await byPowerless(method, url, payload)
          t.strictSame(statusAndBody(answer), [403, UNAUTHORIZED], `${method} ${url} ${how}`)
        }
      }
      const answer = await guest('GET', urlOf(one, INVALID_QUERY))
      t.strictSame(statusAndBody(answer), [403, UNAUTHORIZED], 'GET of a private playlist by a guest')
    })

    t.test('a feature that is off is 403 after 404 and before 422', async t => {
      const user = await aUser(database, { roles: ['Verified'] })
      const owner = withToken(app, user)
      const { hashid } = await aPlaylist(database, user.id)
      await setFlag(t, false)
      for (const [method] of PLAYLIST_WRITES) {
        const payload = method === 'DELETE' ? undefined : INVALID_INPUT
        const answer = await owner(method, writeUrl(method, hashid), payload)
        t.strictSame(statusAndBody(answer), [403, UNAUTHORIZED], `${method} with invalid input`)
        if (method === 'POST') continue
        const unknown = await owner(method, UNKNOWN, payload)
        t.strictSame(statusAndBody(unknown), [404, NOT_FOUND], `${method} of an unknown playlist`)
      }
    })

    for (const [method, isOne, permission, , success] of REQUESTS) {
      const what = `${method} of ${isOne ? 'a playlist' : 'the list'}`

      /** Sends the request about a new playlist of the caller. */
      async function request(user: TestUser, as: SendRequest = withToken(app, user)) {
        const { hashid } = await aPlaylist(database, user.id)
        return as(
          method,
          isOne ? writeUrl(method, hashid) : PLAYLIST_PATH,
          method === 'GET' ? undefined : writePayload(method),
        )
      }

      t.test(`${what} by a user who is banned from it returns 403`, async t => {
        const later = databaseTime(app.clock() + 1_000)
        for (const [ban, expiresAt] of [
          [prohibit, null],
          [prohibit, later],
          [sanction, null],
        ] as const) {
          const user = await aUser(database, { roles: ['Verified'] })
          await ban(database, user, permission, expiresAt)
          t.strictSame(
            statusAndBody(await request(user)),
            [403, BANNED],
            `by a ${ban.name} until ${expiresAt}`,
          )
        }
        const member = await aMember(database, { roles: ['Verified'] })
        await prohibit(database, member, permission)
        const inBrowser = await request(member, await inSession(app, member))
        t.strictSame(statusAndBody(inBrowser), [403, BANNED], 'in a session')
        const powerless = await aUser(database)
        await prohibit(database, powerless, permission)
        t.strictSame(statusAndBody(await request(powerless)), [403, BANNED], 'without the permission')
      })

      t.test(`${what} is not affected by expired, other and bypassed bans`, async t => {
        const now = databaseTime(app.clock())
        for (const [ban, expiresAt] of [
          [prohibit, now],
          [prohibit, '2026-02-01 00:00:00'],
          [sanction, now],
        ] as const) {
          const user = await aUser(database, { roles: ['Verified'] })
          await ban(database, user, permission, expiresAt)
          t.equal((await request(user)).status, success, `by a ${ban.name} until ${expiresAt}`)
        }
        const user = await aUser(database, { roles: ['Verified'] })
        await prohibit(database, user, `${permission} track`)
        t.equal((await request(user)).status, success, 'a ban from tracks')
        const bypass = await aUser(database, { permissions: ['bypass authorization'] })
        await prohibit(database, bypass, permission)
        t.equal((await request(bypass)).status, success, 'the bypass of authorization')
      })
    }

    t.test('a ban ends when it expires', async t => {
      const server = await startUnlimited(t, database)
      const user = await aUser(database, { permissions: ['create playlist'] })
      const create = () => withToken(server, user)('POST', PLAYLIST_PATH, NEW_PLAYLIST)
      await prohibit(database, user, 'create playlist', databaseTime(server.clock() + DAY))
      t.strictSame(statusAndBody(await create()), [403, BANNED])
      server.clock.advance(DAY)
      t.equal((await create()).status, 201)
    })

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
      t.test(
        `a token with the abilities [${abilities}] may ${allowed.join(' and ') || 'do nothing'}`,
        async t => {
          const user = await aUser(database, { roles: ['Verified'] })
          const { token } = await aToken(database, user.id, { abilities: [...abilities] })
          for (const [method, isOne, , ability, success] of REQUESTS) {
            const request = async (server: typeof app) => {
              const { hashid } = await aPlaylist(database, user.id)
              const url = isOne ? writeUrl(method, hashid) : PLAYLIST_PATH
              return withToken(server, { token })(
                method,
                url,
                method === 'GET' ? undefined : writePayload(method),
              )
            }
            const label = `${method}${isOne ? '' : ' of the list'}`
            const answer = await request(app)
            if ((allowed as readonly string[]).includes(ability)) t.equal(answer.status, success, label)
            else t.strictSame(statusAndBody(answer), [403, INVALID_ABILITY], label)
            if (abilities.length > 0) continue
            const { status } = await request(withoutAbilities)
            t.equal(status, success, `${label} on a server with TOKEN_ABILITIES=off`)
          }
        },
      )
    }
  })
}
