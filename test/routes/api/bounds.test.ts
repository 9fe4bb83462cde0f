import { sql } from 'kysely'
import t from 'tap'
import { MOST_INCLUDED } from '#src/database/select/found.ts'
import { addTracks, anEntryVideo, aPlaylist } from '../../fixtures/lists.ts'
import { UNLIMITED } from '../../fixtures/settings.ts'
import { aUser } from '../../fixtures/users.ts'
import { get, send, startApp } from '../../support/app.ts'
import { createDatabase, PRODUCTION_ENGINE } from '../../support/databases.ts'

for (const engine of PRODUCTION_ENGINE) {
  t.test(`what anybody may ask of lists on ${engine}`, async t => {
    const database = await createDatabase(t, engine)
    t.teardown(() => database.close())
    const app = await startApp(t, { database, environment: UNLIMITED })
    const { kysely } = database
    const owner = await aUser(database, { roles: ['Verified'] })
    const { id, hashid } = await aPlaylist(database, owner.id)
    const paths = [
      ...['tracks', 'tracks.next', 'tracks.previous', 'tracks.video', 'tracks.video.audio', 'user', 'first'],
      'tracks.animethemeentry.animetheme.anime.images',
    ].join()

    t.test('relations that must be there', async t => {
      const has = (count: number) =>
        ['has', 'has-gte', 'has-eq', 'has-gt']
          .slice(0, count)
          .map(name => `filter[${name}]=${paths}`)
          .join('&')
      t.equal((await get(app, `/api/playlist?${has(2)}`)).status, 200)
      const { status, json } = await get(app, `/api/playlist?${has(3)}`)
      t.equal(status, 422)
      t.strictSame(json.errors, { 'filter.has': ['The filter.has must not have more than 16 items.'] })

      const dates = Array.from({ length: 100 }, (_, year) => 1900 + year).join()
      const lists = `filter[created_at-ne]=${dates}&filter[updated_at-ne]=${dates}`
      const some = await get(app, `/api/playlist?${lists}&filter[has]=tracks`)
      t.equal(some.status, 200, 'with long lists for what is related')
      const all = await get(app, `/api/playlist?${lists}&${has(2)}`)
      t.equal(all.status, 422, 'which cost too much for all of them')
      t.strictSame(Object.keys(all.json.errors), ['filter.has'])
    })

    t.test('rows that are included', async t => {
      const { entry_id, video_id } = await anEntryVideo(database)
      const add = (count: number) =>
        sql`
        insert into playlist_tracks (playlist_id, entry_id, video_id, position)
        select ${id}, ${entry_id}, ${video_id}, n from generate_series(1, ${count}::int) as n`.execute(kysely)
      await add(MOST_INCLUDED / 2)
      const path = `/api/playlist/${hashid}?include=tracks.video`
      const whole = await get(app, path)
      t.equal(whole.status, 200)
      t.equal(whole.json.playlist.tracks.length, MOST_INCLUDED / 2)

      await add(1)
      for (const asked of [path, '/api/playlist?include=tracks.video', '/api/me?include=playlists']) {
        const { status, json } = await get(app, asked, owner.token)
        if (asked.startsWith('/api/me')) t.equal(status, 200, 'what is not included does not count')
        else {
          t.equal(status, 422)
          t.match(json.errors.include, [/^The include would show more than 50000 rows\./])
        }
      }
      t.equal((await get(app, `/api/playlist/${hashid}?include=tracks`)).status, 200)
      await add(MOST_INCLUDED / 2)
      t.equal((await get(app, `/api/playlist/${hashid}?include=tracks`)).status, 422, 'of one relation')
      t.equal((await get(app, `/api/playlist/${hashid}/track?include=video`)).status, 200, 'pages go on')
    })

    t.test('what a track shows belongs together, whoever else changes it', async t => {
      const [one, other] = [await anEntryVideo(database), await anEntryVideo(database)]
      await kysely
        .insertInto('anime_theme_entry_video')
        .values([
          { entry_id: one.entry_id, video_id: other.video_id },
          { entry_id: other.entry_id, video_id: one.video_id },
        ])
        .execute()
      // Of four pairs three belong together.
      await kysely
        .deleteFrom('anime_theme_entry_video')
        .where('entry_id', '=', other.entry_id)
        .where('video_id', '=', other.video_id)
        .execute()
      const playlist = await aPlaylist(database, owner.id)
      const [track] = await addTracks(database, playlist.id, [null])
      const path = `/api/playlist/${playlist.hashid}/track/${track?.hashid}`
      const put = (payload: object) =>
        send(app, 'PUT', path, { headers: { authorization: `Bearer ${owner.token}` }, payload })
      for (let round = 0; round < 10; round += 1) {
        t.equal((await put(one)).status, 200)
        const answers = await Promise.all([
          put({ entry_id: other.entry_id }),
          put({ video_id: other.video_id }),
        ])
        const refused = answers.filter(({ status }) => status === 422)
        t.equal(refused.length, 1, 'one of two is too late')
        t.match(Object.values(refused[0]?.json.errors ?? {}), [
          [/^The selected (entry|video) id is invalid\.$/],
        ])
      }
    })

    t.test('nothing changes when nothing is different', async t => {
      const pair = await anEntryVideo(database)
      const playlist = await aPlaylist(database, owner.id)
      const headers = { authorization: `Bearer ${owner.token}` }
      const { json } = await send(app, 'POST', `/api/playlist/${playlist.hashid}/track`, {
        headers,
        payload: pair,
      })
      const dates = () =>
        kysely
          .selectFrom('playlist_tracks')
          .select('updated_at')
          .where('hashid', '=', json.track.id)
          .execute()
      const before = await dates()
      app.clock.advance(1000)
      await send(app, 'PUT', `/api/playlist/${playlist.hashid}/track/${json.track.id}`, {
        headers,
        payload: pair,
      })
      t.strictSame(await dates(), before)
    })
  })
}
