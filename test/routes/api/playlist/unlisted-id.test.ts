import { randomBytes } from 'node:crypto'
import t, { type Test } from 'tap'
import { hashidEncoder, randomHashid } from '#src/auth/hashid.ts'
import { playlistRow } from '../../../fixtures/playlists.ts'
import { requestWith } from '../../../fixtures/requests.ts'
import { UNLIMITED } from '../../../fixtures/settings.ts'
import { aUser } from '../../../fixtures/users.ts'
import { get, startApp } from '../../../support/app.ts'
import { createDatabase, ENGINES } from '../../../support/databases.ts'

const permissions = ['view playlist', 'create playlist', 'update playlist']
const RANDOM_ID = /^[A-Za-z0-9]{22}$/
const hashids = hashidEncoder('')

for (const engine of ENGINES) {
  t.test(`ids of unlisted playlists on ${engine}`, async t => {
    const database = await createDatabase(t, engine)
    t.teardown(() => database.close())
    const app = await startApp(t, { database, environment: { ...UNLIMITED, LOG_LEVEL: 'error' } })

    /** A user, and requests that create and change playlists and return their ids. */
    const prepare = async (t: Test) => {
      const user = await aUser(database, { permissions })
      const request = requestWith(app, user.token)
      const create = async (visibility: string | number) => {
        const { status, json } = await request('POST', '/api/playlist', { name: 'A playlist', visibility })
        t.equal(status, 201)
        return json.playlist.id as string
      }
      const change = async (id: string, payload: object) => {
        const { status, json } = await request('PUT', `/api/playlist/${id}`, payload)
        t.equal(status, 200)
        return json.playlist.id as string
      }
      return { user, request, create, change }
    }
    const rowIdOf = async (hashid: string) => (await playlistRow(database, hashid)).playlist_id
    const statusOf = async (id: string) => (await get(app, `/api/playlist/${id}`)).status

    t.test('a new unlisted playlist has a random id, and no id that can be computed', async t => {
      const { user, create } = await prepare(t)
      const ids = new Set<string>()
      for (const visibility of ['Unlisted', 'unlisted', 2]) {
        const id = await create(visibility)
        t.match(id, RANDOM_ID)
        t.equal(await statusOf(id), 200, 'a guest with the id can see the playlist')
        ids.add(id)
        t.equal(await statusOf(hashids.playlist(user.id, await rowIdOf(id))), 404, 'the hashid finds nothing')
      }
      t.equal(ids.size, 3)
    })

    t.test('a new public or private playlist has the hashid of user and playlist', async t => {
      const { user, create } = await prepare(t)
      for (const visibility of ['Public', 'Private']) {
        const id = await create(visibility)
        t.equal(id, hashids.playlist(user.id, await rowIdOf(id)), visibility)
      }
    })

    t.test('a change of the visibility does not change the id', async t => {
      const { create, change } = await prepare(t)
      for (const [before, after] of [
        ['Public', 'Unlisted'],
        ['Private', 'Unlisted'],
        ['Unlisted', 'Public'],
        ['Unlisted', 'Private'],
      ] as const) {
        const id = await create(before)
        t.equal(await change(id, { visibility: after }), id, `${before} to ${after}`)
        t.equal(await change(id, { regenerate_id: false }), id)
        t.equal(await change(id, { regenerate_id: null }), id)
        t.equal(await change(id, { visibility: after, name: 'Another name' }), id)
      }
    })

    t.test('the owner can regenerate the id', async t => {
      const { create, change } = await prepare(t)
      const first = await create('Public')
      const ids = [first]
      for (const regenerate_id of [true, 'true', 1, '1', 'on']) {
        const before = ids.at(-1) as string
        const id = await change(before, { visibility: 'Unlisted', regenerate_id })
        t.match(id, RANDOM_ID)
        t.equal(await statusOf(before), 404, 'the old id finds nothing')
        t.equal(await statusOf(id), 200)
        ids.push(id)
      }
      const last = await change(ids.at(-1) as string, { regenerate_id: true })
      t.match(last, RANDOM_ID, 'the id of a playlist that is unlisted already')
      t.equal(new Set([...ids, last]).size, 7)
      const publicId = await change(last, { visibility: 'Public', regenerate_id: true })
      t.equal(publicId, first, 'the new id of a public playlist is its hashid')
      t.equal(await change(publicId, { regenerate_id: true }), first)
    })

    t.test('another user gets 403, and an invalid value 422', async t => {
      const { request, create } = await prepare(t)
      const id = await create('Unlisted')
      const other = await aUser(database, { permissions })
      const url = `/api/playlist/${id}`
      const byOther = await requestWith(app, other.token)('PUT', url, { regenerate_id: true })
      t.equal(byOther.status, 403)
      for (const regenerate_id of ['maybe', [], {}, 2, [true]]) {
        const { status, json } = await request('PUT', url, { regenerate_id })
        t.equal(status, 422, JSON.stringify(regenerate_id))
        t.strictSame(json.errors, { regenerate_id: ['The regenerate id field must be true or false.'] })
      }
      t.equal(await statusOf(id), 200, 'the id stays')
    })

    t.test('a public playlist has a random id if another playlist has its hashid', async t => {
      const { user, create, change } = await prepare(t)
      const taken = await create('Public')
      // As if the other playlist had been added under another salt.
      const next = hashids.playlist(user.id, (await rowIdOf(taken)) + 1)
      await database.kysely
        .updateTable('playlists')
        .set({ hashid: next })
        .where('hashid', '=', taken)
        .execute()
      const id = await create('Public')
      t.match(id, RANDOM_ID)
      t.equal(await rowIdOf(id), (await rowIdOf(next)) + 1)
      t.match(await change(id, { regenerate_id: true }), RANDOM_ID)
      t.equal(await statusOf(next), 200, 'the id of the other playlist stays')
    })
  })
}

t.test('random ids consist of 22 letters and digits, and differ', async t => {
  const ids = Array.from({ length: 1000 }, () => randomHashid(randomBytes))
  t.equal(new Set(ids).size, 1000)
  t.strictSame(
    ids.filter(id => !RANDOM_ID.test(id)),
    [],
  )
  t.equal(new Set(ids.join('')).size, 62, 'all letters and digits occur')
})
