import { randomBytes } from 'node:crypto'
import t from 'tap'
import { hashidEncoder, randomHashid } from '#src/auth/hashid.ts'
import { UNLIMITED } from '../../fixtures/settings.ts'
import { aUser } from '../../fixtures/users.ts'
import { get, send, startApp } from '../../support/app.ts'
import { createDatabase, ENGINES } from '../../support/databases.ts'

const ALL = ['view playlist', 'create playlist', 'update playlist']
const RANDOM = /^[A-Za-z0-9]{22}$/

for (const engine of ENGINES) {
  t.test(`ids of unlisted playlists on ${engine}`, async t => {
    const database = await createDatabase(t, engine)
    t.teardown(() => database.close())
    const app = await startApp(t, { database, environment: UNLIMITED })
    const hashids = hashidEncoder('')
    const user = await aUser(database, { permissions: ALL })
    const by = (method: string, url: string, payload: object, { token } = user) =>
      send(app, method, url, { headers: { authorization: `Bearer ${token}` }, payload })
    const create = async (visibility: string) => {
      const { status, json } = await by('POST', '/api/playlist', { name: 'A playlist', visibility })
      t.equal(status, 201)
      return json.playlist.id as string
    }
    const numberOf = async (hashid: string) =>
      (
        await database.kysely
          .selectFrom('playlists')
          .select('playlist_id as id')
          .where('hashid', '=', hashid)
          .executeTakeFirstOrThrow()
      ).id
    const change = async (id: string, payload: object) => {
      const { status, json } = await by('PUT', `/api/playlist/${id}`, payload)
      t.equal(status, 200)
      return json.playlist.id as string
    }

    t.test('are random, and those of others follow from their numbers', async t => {
      const ids = new Set<string>()
      for (const visibility of ['Unlisted', 'unlisted', 2]) {
        const { json } = await by('POST', '/api/playlist', { name: 'x', visibility })
        t.match(json.playlist.id, RANDOM)
        t.equal(
          (await get(app, `/api/playlist/${json.playlist.id}`)).status,
          200,
          'whoever knows it finds it',
        )
        ids.add(json.playlist.id)
        const guess = hashids.playlist(user.id, await numberOf(json.playlist.id))
        t.equal((await get(app, `/api/playlist/${guess}`)).status, 404, 'and nobody guesses it')
      }
      t.equal(ids.size, 3)
      for (const visibility of ['Public', 'Private']) {
        const id = await create(visibility)
        t.equal(id, hashids.playlist(user.id, await numberOf(id)), visibility)
      }
    })

    t.test('stay, whoever can see the playlist then', async t => {
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

    t.test('change when their owner asks', async t => {
      const first = await create('Public')
      const ids = [first]
      for (const regenerate_id of [true, 'true', 1, '1', 'on']) {
        const before = ids.at(-1) as string
        const id = await change(before, { visibility: 'Unlisted', regenerate_id })
        t.match(id, RANDOM)
        t.equal((await get(app, `/api/playlist/${before}`)).status, 404, 'the old one leads nowhere')
        t.equal((await get(app, `/api/playlist/${id}`)).status, 200)
        ids.push(id)
      }
      const last = ids.at(-1) as string
      const further = await change(last, { regenerate_id: true })
      t.match(further, RANDOM, 'when it is unlisted already')
      t.equal(new Set([...ids, further]).size, 7)
      const back = await change(further, { visibility: 'Public', regenerate_id: true })
      t.equal(back, first, 'that of one which others find follows from its numbers')
      t.equal(await change(back, { regenerate_id: true }), first)
    })

    t.test('change for nobody else, and for nothing else', async t => {
      const id = await create('Unlisted')
      const other = await aUser(database, { permissions: ALL })
      const refused = await by('PUT', `/api/playlist/${id}`, { regenerate_id: true }, other)
      t.equal(refused.status, 403)
      for (const wrong of ['maybe', [], {}, 2, [true]]) {
        const { status, json } = await by('PUT', `/api/playlist/${id}`, { regenerate_id: wrong })
        t.equal(status, 422, JSON.stringify(wrong))
        t.strictSame(json.errors, { regenerate_id: ['The regenerate id field must be true or false.'] })
      }
      t.equal((await get(app, `/api/playlist/${id}`)).status, 200, 'it is where it was')
    })

    t.test('are random as well where another playlist has the id already', async t => {
      const taken = await create('Public')
      const rename = (hashid: string) =>
        database.kysely.updateTable('playlists').set({ hashid }).where('hashid', '=', taken).execute()
      // As if it had been made with another salt.
      const next = hashids.playlist(user.id, (await numberOf(taken)) + 1)
      await rename(next)
      const id = await create('Public')
      t.match(id, RANDOM)
      t.equal(await numberOf(id), (await numberOf(next)) + 1)
      t.match(await change(id, { regenerate_id: true }), RANDOM)
      t.equal((await get(app, `/api/playlist/${next}`)).status, 200, 'the other stays where it is')
    })
  })
}

t.test('random ids', async t => {
  const ids = Array.from({ length: 1000 }, () => randomHashid(randomBytes))
  t.equal(new Set(ids).size, 1000)
  for (const id of ids) if (!RANDOM.test(id)) t.fail(id)
  t.equal(new Set(ids.join('')).size, 62, 'of all letters and digits')
})
