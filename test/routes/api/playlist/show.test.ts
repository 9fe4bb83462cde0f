import { sql } from 'kysely'
import t from 'tap'
import { NOT_FOUND, UNAUTHORIZED } from '../../../fixtures/answers.ts'
import { asGuest, CREDENTIALS, statusAndBody, withToken } from '../../../fixtures/callers.ts'
import { aPlaylist } from '../../../fixtures/lists.ts'
import {
  encodeHashid,
  onePlaylist,
  PLAYLIST_PATH,
  PRIVATE,
  PUBLIC,
  playlistJson,
  playlistRow,
  UNLISTED,
} from '../../../fixtures/playlists.ts'
import { startUnlimited } from '../../../fixtures/server.ts'
import { aMember, aUser, type TestUser } from '../../../fixtures/users.ts'
import { createDatabase, ENGINES } from '../../../support/databases.ts'

const NONE = { permissions: [], roles: [] }
const VIEWER = { permissions: ['view playlist'], roles: [] }
const ADMIN = { permissions: [], roles: ['Admin'] }
const BYPASS = { permissions: ['bypass authorization'], roles: [] }

const ACCESS = [
  ['a guest cannot see a private playlist', PRIVATE, 'guest', NONE, 403],
  ['another user cannot see a private playlist', PRIVATE, 'other', VIEWER, 403],
  ['the owner sees a private playlist', PRIVATE, 'owner', VIEWER, 200],
  ['a guest sees an unlisted playlist', UNLISTED, 'guest', NONE, 200],
  ['a guest sees a public playlist', PUBLIC, 'guest', NONE, 200],
  ['another user sees an unlisted playlist', UNLISTED, 'other', VIEWER, 200],
  ['the owner sees an unlisted playlist', UNLISTED, 'owner', VIEWER, 200],
  ['another user sees a public playlist', PUBLIC, 'other', VIEWER, 200],
  ['another user without the permission cannot see a public playlist', PUBLIC, 'other', NONE, 403],
  ['another user without the permission cannot see an unlisted playlist', UNLISTED, 'other', NONE, 403],
  ['the owner without the permission cannot see a private playlist', PRIVATE, 'owner', NONE, 403],
  ['an administrator cannot see a private playlist of another user', PRIVATE, 'other', ADMIN, 403],
  ['a user with the bypass of authorization sees any private playlist', PRIVATE, 'other', BYPASS, 200],
] as const

/** Paths in the place of a hashid that no playlist has. */
const UNKNOWN_HASHIDS = [
  ...['%00', 'jR%00', '%2E%2E%2F', '..%2F..%2Fme', '-', '_', '%25', '%20', 'a%20b', "';--", '%27'],
  ...['%F0%9F%98%80', '%C3%A4', '0', '-1', '1.5', 'null', 'undefined', '__proto__', 'unknownHashid'],
  ...['x'.repeat(100), 'x'.repeat(255), 'x'.repeat(256), 'x'.repeat(300), 'jR*', '%7Bplaylist%7D'],
]

// Computed by another implementation of hashids, without a salt and with that of the second server.
const HASHIDS = { '1,1': 'kRfO', '5,12': 'DqtX', '12,345': 'vDTL1', '42,1000000': 'vXcq8lv' }
const SALTED_HASHIDS = { '1,1': 'QOIL', '5,12': 'BOcR', '12,345': 'Oat96', '42,1000000': 'OOu0dvZ' }

for (const engine of ENGINES) {
  t.test(`one playlist on ${engine}`, async t => {
    const database = await createDatabase(t, engine)
    t.teardown(() => database.close())
    const { kysely } = database
    const app = await startUnlimited(t, database, { HIDE_PRIVATE: 'off' })
    const salted = await startUnlimited(t, database, { HASHIDS_SALT_PLAYLISTS: 'playlists-salt' })
    const guest = asGuest(app)

    /** Sets the id that the next row of a table gets. */
    const setNextId = (table: string, key: string, next: number) =>
      sql`select setval(pg_get_serial_sequence(${table}, ${key}), ${next}::bigint, false)`.execute(kysely)

    t.test('the hashid of a new playlist encodes the ids of user and playlist with the salt', async t => {
      await kysely.deleteFrom('users').execute()
      const users = new Map<number, TestUser>()
      for (const id of [1, 5, 12, 42]) {
        await setNextId('users', 'id', id)
        users.set(id, await aUser(database, { permissions: ['create playlist'] }))
      }
      for (const [server, hashids] of [
        [app, HASHIDS],
        [salted, SALTED_HASHIDS],
      ] as const) {
        await kysely.deleteFrom('playlists').execute()
        for (const [ids, expected] of Object.entries(hashids)) {
          const [userId = 0, playlistId = 0] = ids.split(',').map(Number)
          await setNextId('playlists', 'playlist_id', playlistId)
          const user = withToken(server, users.get(userId)!)
          const { json } = await user('POST', PLAYLIST_PATH, { name: 'x', visibility: 0 })
          t.equal(json.playlist.id, expected, `[${ids}]`)
        }
      }
    })

    t.test('the answer to a creation has the hashid that is stored', async t => {
      const user = await aUser(database, { permissions: ['create playlist'] })
      const input = { name: 'x', visibility: 'Public' }
      const { json } = await withToken(app, user)('POST', PLAYLIST_PATH, input)
      const row = await playlistRow(database, json.playlist.id)
      t.equal(row.hashid, encodeHashid([user.id, row.playlist_id]))
      t.equal(json.playlist.id, row.hashid)
      const found = await asGuest(salted)('GET', onePlaylist(json.playlist.id))
      t.equal(found.json.playlist.id, json.playlist.id, 'a server with another salt finds it as it is stored')
    })

    t.test('the database refuses a playlist without a user, and a hashid twice', async t => {
      const user = await aUser(database)
      const { hashid } = await aPlaylist(database, user.id)
      const values = { name: 'x', visibility: 0, description: null, first_id: null, last_id: null }
      await t.rejects(
        kysely
          .insertInto('playlists')
          .values({ ...values, user_id: null as never, hashid: null })
          .execute(),
        { code: '23502' },
        'without a user',
      )
      await t.rejects(
        kysely
          .insertInto('playlists')
          .values({ ...values, user_id: user.id, hashid })
          .execute(),
        { code: '23505' },
        'with the hashid of another playlist',
      )
    })

    t.test('a hashid is case-sensitive', async t => {
      const user = await aUser(database)
      for (const hashid of ['CaseOf1', 'cASEoF1']) {
        const { id } = await aPlaylist(database, user.id, { name: hashid })
        await kysely.updateTable('playlists').set({ hashid }).where('playlist_id', '=', id).execute()
      }
      for (const hashid of ['CaseOf1', 'cASEoF1'])
        t.equal((await guest('GET', onePlaylist(hashid))).json.playlist.name, hashid)
      t.strictSame(statusAndBody(await guest('GET', onePlaylist('CASEOF1'))), [404, NOT_FOUND])
    })

    t.test('an unknown or malformed hashid returns 404', async t => {
      const user = withToken(app, await aUser(database, { roles: ['Verified'] }))
      for (const path of UNKNOWN_HASHIDS) {
        const label = path.length > 50 ? `${path.length} characters` : path
        t.strictSame(statusAndBody(await guest('GET', onePlaylist(path))), [404, NOT_FOUND], `GET ${label}`)
        t.strictSame(
          statusAndBody(await user('PUT', onePlaylist(path), {})),
          [404, NOT_FOUND],
          `PUT ${label}`,
        )
      }
      t.strictSame(statusAndBody(await user('DELETE', onePlaylist('%00'))), [404, NOT_FOUND], 'DELETE %00')
    })

    for (const [name, visibility, who, { permissions, roles }, status] of ACCESS) {
      t.test(name, async t => {
        const user = await aMember(database, { permissions: [...permissions], roles: [...roles] })
        const owner = who === 'owner' ? user : await aUser(database)
        const description = 'What of'
        const { hashid } = await aPlaylist(database, owner.id, { visibility, description })
        const playlist = playlistJson(hashid, { visibility, description })
        const expected = status === 200 ? [200, { playlist }] : [403, UNAUTHORIZED]
        if (who === 'guest') {
          t.strictSame(statusAndBody(await guest('GET', onePlaylist(hashid))), expected)
          return
        }
        for (const [how, as] of CREDENTIALS) {
          const answer = await (await as(app, user))('GET', onePlaylist(hashid))
          t.strictSame(statusAndBody(answer), expected, how)
        }
      })
    }

    t.test('a playlist is shown with id, name, description and visibility', async t => {
      const user = await aUser(database)
      const { hashid } = await aPlaylist(database, user.id)
      const { json } = await guest('GET', onePlaylist(hashid))
      t.strictSame(json, { playlist: playlistJson(hashid) })
      t.strictSame(Object.keys(json.playlist), ['id', 'name', 'description', 'visibility'])
      t.equal((await guest('HEAD', onePlaylist(hashid))).status, 200, 'HEAD is allowed')
      t.strictSame((await guest('GET', `${onePlaylist(hashid)}/`)).json, json, 'with a slash at the end')
    })
  })
}
