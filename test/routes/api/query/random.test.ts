import fc from 'fast-check'
import t from 'tap'
import { addTracks, aNotification, anExternalProfile, aPlaylist } from '../../../fixtures/lists.ts'
import {
  DATES,
  expectedAnswer,
  invalidQueryStrings,
  type ModelRow,
  NAMES,
  pick,
  queries,
  queryUrl,
} from '../../../fixtures/query-model.ts'
import { aUser } from '../../../fixtures/users.ts'
import { get, startApp } from '../../../support/app.ts'
import { createDatabase, ENGINES, type TestDatabase } from '../../../support/databases.ts'

/** A user with 24 playlists, and the same playlists as rows of the model. */
async function aUserWithModel(database: TestDatabase) {
  const user = await aUser(database, { roles: ['Verified'] })
  const rows: ModelRow[] = []
  for (let i = 0; i < 24; i += 1) {
    const row = {
      name: pick(NAMES, i * 5),
      description: i % 3 === 0 ? null : pick(NAMES, i * 7),
      visibility: (i * 2) % 3,
      created_at: pick(DATES, Math.floor(i / 5)),
      updated_at: pick(DATES, i),
      videos: [[], [1], [1, 2], [1, 1, 3], [null, 2]][i % 5] ?? [],
    }
    const { id, hashid } = await aPlaylist(database, user.id, {
      ...row,
      createdAt: row.created_at,
      updatedAt: row.updated_at,
    })
    await addTracks(database, id, row.videos)
    rows.push({ ...row, key: id, id: hashid })
  }
  await database.kysely
    .updateTable('playlist_tracks')
    .set({ created_at: '2026-02-01 00:00:00', updated_at: '2026-02-01 00:00:00' })
    .execute()
  return { user, rows }
}

for (const engine of ENGINES) {
  t.test(`random queries on ${engine}`, async t => {
    const database = await createDatabase(t, engine)
    t.teardown(() => database.close())
    const app = await startApp(t, { database, environment: { RATE_LIMIT_AUTHENTICATED: '1000000' } })

    await t.test('every answer is the one of a model in memory', async t => {
      const { user, rows } = await aUserWithModel(database)
      let compared = 0
      await fc.assert(
        fc.asyncProperty(queries, async query => {
          const { status, json } = await get(app, queryUrl(query), user.token)
          if (status !== 200) throw new Error(`${status} ${JSON.stringify(json)}`)
          const expected = expectedAnswer(rows, query)
          const actual = { playlists: json.playlists, hasNext: json.links.next !== null }
          if (JSON.stringify(actual) !== JSON.stringify(expected)) {
            throw new Error(
              `${decodeURIComponent(queryUrl(query))}\n${JSON.stringify(actual)}\n${JSON.stringify(expected)}`,
            )
          }
          compared += 1
        }),
        { numRuns: 400 },
      )
      t.equal(compared, 400)
    })

    await t.test('an invalid query returns 422 with errors, and never a server error', async t => {
      const user = await aUser(database, { roles: ['Verified'] })
      const playlist = await aPlaylist(database, user.id)
      await addTracks(database, playlist.id, [1, 1, null])
      await anExternalProfile(database, user.id)
      await aNotification(database, user.id)
      const seen = new Map<number, number>()
      await fc.assert(
        fc.asyncProperty(
          fc.constantFrom('/api/me', '/api/me/playlist', '/api/me/externalprofile', '/api/me/notification'),
          invalidQueryStrings,
          async (path, query) => {
            const { status, json } = await get(app, `${path}?${query}`, user.token)
            if (status !== 200 && status !== 422)
              throw new Error(`${status} ${path}?${query} ${JSON.stringify(json)}`)
            if (status === 422 && typeof Object.values(json.errors)[0] !== 'object')
              throw new Error('no errors')
            seen.set(status, (seen.get(status) ?? 0) + 1)
          },
        ),
        { numRuns: 600 },
      )
      t.ok((seen.get(200) ?? 0) > 30 && (seen.get(422) ?? 0) > 30, 'both statuses occur')
    })
  })
}
