import t from 'tap'
import { anEntryVideo } from '../../../../fixtures/lists.ts'
import { urlOf } from '../../../../fixtures/queries.ts'
import { FORM, JSON_TYPE, requestWith } from '../../../../fixtures/requests.ts'
import {
  aPlaylistWithTracks,
  endsOf,
  neighboursOf,
  orderOf,
  TRACK_READS,
  TRACK_SETTINGS,
  trackAt,
  trackOf,
  trackRow,
  trackUrl,
  urlIn,
} from '../../../../fixtures/tracks.ts'
import { aUser } from '../../../../fixtures/users.ts'
import { get, startApp } from '../../../../support/app.ts'
import { createDatabase, ENGINES } from '../../../../support/databases.ts'

const permissions = ['delete playlist track']

for (const engine of ENGINES) {
  t.test(`deleting tracks of a playlist on ${engine}`, async t => {
    const database = await createDatabase(t, engine)
    t.teardown(() => database.close())
    const app = await startApp(t, { database, environment: TRACK_SETTINGS })

    t.test('DELETE closes the gap in the order, and deletes the row', async t => {
      const owner = await aUser(database, { permissions })
      const content = await anEntryVideo(database)
      for (const [name, count, letter, expected] of [
        ['the only track', 1, 'A', ''],
        ['the first', 3, 'A', 'BC'],
        ['the last', 3, 'C', 'AB'],
        ['the second', 3, 'B', 'AC'],
        ['the first of two', 2, 'A', 'B'],
        ['the last of two', 2, 'B', 'A'],
        ['one of many', 9, 'E', 'ABCDFGHI'],
      ] as const) {
        const playlist = await aPlaylistWithTracks(database, owner, { count, content })
        const other = await aPlaylistWithTracks(database, owner)
        const { id } = trackOf(playlist, letter)
        const remove = () => requestWith(app, owner.token)('DELETE', trackUrl(playlist, letter))
        const { status, json } = await remove()
        t.equal(status, 200, name)
        t.strictSame(json, { message: `Playlist Track '${id}' was deleted.` }, 'the message has the row id')
        t.equal(await orderOf(database, playlist), expected, name)
        t.equal(await trackRow(database, id), undefined, 'the row is deleted')
        t.equal(await orderOf(database, other), 'ABC', 'the other playlist stays')
        t.equal((await remove()).status, 404, 'a deleted track cannot be deleted again')
        t.equal((await get(app, trackUrl(playlist, letter))).status, 404)
      }
    })

    t.test('DELETE updates the neighbours, and the first and last track of the playlist', async t => {
      const owner = await aUser(database, { permissions })
      for (const [name, count, letter, expected] of [
        ['the only track', 1, 'A', ''],
        ['the first', 2, 'A', 'B'],
        ['the last', 2, 'B', 'A'],
        ['the second', 3, 'B', 'AC'],
      ] as const) {
        const playlist = await aPlaylistWithTracks(database, owner, { count })
        await requestWith(app, owner.token)('DELETE', trackUrl(playlist, letter))
        t.equal(await orderOf(database, playlist), expected, name)
        const ids = [...expected].map(letter => trackOf(playlist, letter).hashid)
        t.strictSame(await endsOf(app, playlist), [ids[0] ?? null, ids.at(-1) ?? null], name)
        t.strictSame(
          await neighboursOf(app, playlist),
          ids.map((id, index) => [ids[index - 1] ?? null, id, ids[index + 1] ?? null]),
          name,
        )
      }
    })

    t.test('DELETE accepts a body of any type', async t => {
      const owner = await aUser(database, { permissions })
      const playlist = await aPlaylistWithTracks(database, owner, { order: 'CAB' })
      const remove = (letter: string, body: string, type: Record<string, string>) =>
        requestWith(app, owner.token)('DELETE', trackUrl(playlist, letter), body, type)
      t.equal((await remove('A', '', JSON_TYPE)).status, 200)
      t.equal(await orderOf(database, playlist), 'CB')
      t.equal((await remove('C', '', FORM)).status, 200)
      t.equal((await remove('B', '{"x":1}', JSON_TYPE)).status, 200)
      t.equal(await orderOf(database, playlist), '')
    })

    t.test('deleting a playlist deletes its tracks and no others', async t => {
      const owner = await aUser(database, { permissions: ['delete playlist', 'view playlist track'] })
      const content = await anEntryVideo(database)
      const playlist = await aPlaylistWithTracks(database, owner, { content })
      const other = await aPlaylistWithTracks(database, owner, { content })
      const remove = requestWith(app, owner.token)
      t.equal((await remove('DELETE', `/api/playlist/${playlist.hashid}`)).status, 200)
      for (const { id } of playlist.tracks) t.equal(await trackRow(database, id), undefined)
      for (const { path } of TRACK_READS) {
        const url = urlIn(playlist, path, trackAt(playlist, 0))
        t.equal((await get(app, url, owner.token)).status, 404, path)
      }
      t.equal(await orderOf(database, other), 'ABC')
    })

    t.test('tracks stay in the playlist when their video and entry are deleted from the wiki', async t => {
      const owner = await aUser(database, { permissions: ['update playlist track'] })
      const [content, other] = [await anEntryVideo(database), await anEntryVideo(database)]
      const playlist = await aPlaylistWithTracks(database, owner, { content })
      const track = trackOf(playlist, 'B')
      const show = () => get(app, urlOf(trackUrl(playlist, 'B'), { include: 'video,animethemeentry' }))
      const { kysely } = database
      await kysely.deleteFrom('videos').where('video_id', '=', content.video_id).execute()
      const { json } = await show()
      t.equal(json.track.video, null)
      t.equal(json.track.animethemeentry.id, content.entry_id)
      t.equal(await orderOf(database, playlist), 'ABC')
      await kysely.deleteFrom('anime_theme_entries').where('entry_id', '=', content.entry_id).execute()
      t.strictSame((await show()).json, { track: { id: track.hashid, animethemeentry: null, video: null } })
      t.equal(await orderOf(database, playlist), 'ABC')
      const change = (payload: object) =>
        requestWith(app, owner.token)('PUT', trackUrl(playlist, 'B'), payload)
      t.equal((await change({ next: trackOf(playlist, 'A').hashid })).status, 200, 'they can be moved')
      t.equal(await orderOf(database, playlist), 'BAC')
      t.equal((await change(other)).status, 200, 'they can get other content')
      t.match(await trackRow(database, track.id), other)
    })

    t.test('the server logs no error', async t => t.strictSame(app.logged, []))
  })
}
