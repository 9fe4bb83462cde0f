import t from 'tap'
import { NOT_FOUND } from '../../../fixtures/answers.ts'
import { CREDENTIALS, statusAndBody, withToken } from '../../../fixtures/callers.ts'
import { addTracks, aPlaylist } from '../../../fixtures/lists.ts'
import { onePlaylist, playlistRowsOf } from '../../../fixtures/playlists.ts'
import { startUnlimited } from '../../../fixtures/server.ts'
import { aMember, aUser } from '../../../fixtures/users.ts'
import { createDatabase, ENGINES } from '../../../support/databases.ts'

for (const engine of ENGINES) {
  t.test(`deleting playlists on ${engine}`, async t => {
    const database = await createDatabase(t, engine)
    t.teardown(() => database.close())
    const app = await startUnlimited(t, database)

    for (const [how, as] of CREDENTIALS) {
      t.test(`DELETE ${how} removes the playlist with its tracks, and no other playlist`, async t => {
        for (const name of ['Best OPs', `O'Clock "ä" 😀 <b>`]) {
          const user = await aMember(database, { permissions: ['delete playlist', 'view playlist'] })
          const owner = await as(app, user)
          const deleted = await aPlaylist(database, user.id, { name })
          const kept = await aPlaylist(database, user.id, { name })
          for (const { id } of [deleted, kept]) await addTracks(database, id, [2712, null, 3814])
          const message = `Playlist '${name}' was deleted.`
          const answer = await owner('DELETE', onePlaylist(deleted.hashid))
          t.strictSame(statusAndBody(answer), [200, { message }])
          t.strictSame(
            (await playlistRowsOf(database, user.id)).map(({ hashid }) => hashid),
            [kept.hashid],
            'the rows',
          )
          const tracks = await database.kysely
            .selectFrom('playlist_tracks')
            .select('playlist_id')
            .where('playlist_id', 'in', [deleted.id, kept.id])
            .execute()
          t.strictSame(tracks, Array(3).fill({ playlist_id: kept.id }), 'the rows of tracks')
          for (const method of ['GET', 'DELETE']) {
            const answer = await owner(method, onePlaylist(deleted.hashid))
            t.strictSame(statusAndBody(answer), [404, NOT_FOUND], `${method} of the deleted playlist`)
          }
          t.equal((await owner('GET', onePlaylist(kept.hashid))).status, 200, 'the other playlist')
        }
      })
    }

    t.test('of five concurrent requests one deletes the playlist, and the others return 404', async t => {
      const user = await aUser(database, { permissions: ['delete playlist'] })
      const owner = withToken(app, user)
      const { hashid } = await aPlaylist(database, user.id)
      const answers = await Promise.all(Array.from({ length: 5 }, () => owner('DELETE', onePlaylist(hashid))))
      t.strictSame(answers.map(({ status }) => status).toSorted(), [200, 404, 404, 404, 404])
    })
  })
}
