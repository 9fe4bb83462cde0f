import { sql } from 'kysely'
import t from 'tap'
import { MAX_INCLUDED } from '#src/database/select/found.ts'
import { anEntryVideo, aPlaylist } from '../../../fixtures/lists.ts'
import { UNLIMITED } from '../../../fixtures/settings.ts'
import { aUser } from '../../../fixtures/users.ts'
import { get, startApp } from '../../../support/app.ts'
import { createDatabase, PRODUCTION_ENGINE, type TestDatabase } from '../../../support/databases.ts'

const RELATIONS = [
  ...['tracks', 'tracks.next', 'tracks.previous', 'tracks.video', 'tracks.video.audio', 'user', 'first'],
  'tracks.animethemeentry.animetheme.anime.images',
].join()

/** A query that requires eight relations in each of some filters. */
const filtersOfRelations = (count: number) =>
  ['has', 'has-gte', 'has-eq', 'has-gt']
    .slice(0, count)
    .map(name => `filter[${name}]=${RELATIONS}`)
    .join('&')

/** Adds tracks without links to a playlist, which is fast. */
async function addManyTracks({ kysely }: TestDatabase, playlistId: number, count: number, content: object) {
  const { entry_id, video_id } = content as { entry_id: number; video_id: number }
  await sql`
    insert into playlist_tracks (playlist_id, entry_id, video_id, position)
    select ${playlistId}, ${entry_id}, ${video_id}, n from generate_series(1, ${count}::int) as n`.execute(
    kysely,
  )
}

for (const engine of PRODUCTION_ENGINE) {
  t.test(`limits of the cost of playlist queries on ${engine}`, async t => {
    const database = await createDatabase(t, engine)
    t.teardown(() => database.close())
    const app = await startApp(t, { database, environment: UNLIMITED })

    t.test('filters can require at most 16 relations', async t => {
      t.equal((await get(app, `/api/playlist?${filtersOfRelations(2)}`)).status, 200)
      const { status, json } = await get(app, `/api/playlist?${filtersOfRelations(3)}`)
      t.equal(status, 422)
      t.strictSame(json.errors, { 'filter.has': ['The filter.has must not have more than 16 items.'] })
    })

    t.test('long lists of values count for each required relation', async t => {
      const dates = Array.from({ length: 100 }, (_, year) => 1900 + year).join()
      const lists = `filter[created_at-ne]=${dates}&filter[updated_at-ne]=${dates}`
      t.equal((await get(app, `/api/playlist?${lists}&filter[has]=tracks`)).status, 200)
      const { status, json } = await get(app, `/api/playlist?${lists}&${filtersOfRelations(2)}`)
      t.equal(status, 422)
      t.strictSame(Object.keys(json.errors), ['filter.has'])
    })

    t.test('an answer includes at most 50000 rows', async t => {
      const owner = await aUser(database, { roles: ['Verified'] })
      const { id, hashid } = await aPlaylist(database, owner.id)
      const content = await anEntryVideo(database)
      await addManyTracks(database, id, MAX_INCLUDED / 2, content)
      const path = `/api/playlist/${hashid}`
      const withVideos = await get(app, `${path}?include=tracks.video`)
      t.equal(withVideos.status, 200)
      t.equal(withVideos.json.playlist.tracks.length, MAX_INCLUDED / 2)

      await addManyTracks(database, id, 1, content)
      for (const url of [`${path}?include=tracks.video`, '/api/playlist?include=tracks.video']) {
        const { status, json } = await get(app, url, owner.token)
        t.equal(status, 422, url)
        t.match(json.errors.include, [/^The include would show more than 50000 rows\./])
      }
      const me = await get(app, '/api/me?include=playlists', owner.token)
      t.equal(me.status, 200, 'rows that are not included do not count')
      t.equal((await get(app, `${path}?include=tracks`)).status, 200)

      await addManyTracks(database, id, MAX_INCLUDED / 2, content)
      t.equal((await get(app, `${path}?include=tracks`)).status, 422, 'the rows of one relation')
      t.equal((await get(app, `${path}/track?include=video`)).status, 200, 'pages of tracks are shown')
    })
  })
}
