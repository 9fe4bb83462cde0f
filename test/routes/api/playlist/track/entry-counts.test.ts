import { sql } from 'kysely'
import t from 'tap'
import { DAY_MS } from '#src/auth/time.ts'
import { pruneUsers } from '#src/database/deleted-users.ts'
import { entryTrackCounts } from '#src/database/migrations/0019_entry_track_counts.ts'
import { NOW } from '../../../../fixtures/clock.ts'
import { anEntryVideo } from '../../../../fixtures/lists.ts'
import { requestWith } from '../../../../fixtures/requests.ts'
import {
  aPlaylistWithTracks,
  CHANGE_TRACKS,
  type EntryVideo,
  TRACK_SETTINGS,
  trackOf,
  tracksUrl,
  trackUrl,
} from '../../../../fixtures/tracks.ts'
import { aUser, USER_TYPE } from '../../../../fixtures/users.ts'
import { get, startApp } from '../../../../support/app.ts'

import { createDatabase, ENGINES, PRODUCTION_ENGINE } from '../../../../support/databases.ts'
import { until } from '../../../../support/until.ts'

const PERMISSIONS = [...CHANGE_TRACKS, 'delete playlist']

for (const engine of ENGINES) {
  t.test(`the number of an entry's tracks on ${engine}`, async t => {
    const database = await createDatabase(t, engine)
    t.teardown(() => database.close())
    const { kysely } = database
    const app = await startApp(t, { database, environment: TRACK_SETTINGS })
    const twin = await startApp(t, { database, environment: TRACK_SETTINGS })

    const countOf = async ({ entry_id }: EntryVideo) =>
      (
        await kysely
          .selectFrom('anime_theme_entries')
          .select('tracks_count')
          .where('entry_id', '=', entry_id)
          .executeTakeFirstOrThrow()
      ).tracks_count
    /** The transaction that wrote the entry's row last. */
    const writerOf = async ({ entry_id }: EntryVideo) =>
      (
        await sql<{
          xmin: string
        }>`select xmin from anime_theme_entries where entry_id = ${entry_id}`.execute(kysely)
      ).rows[0]?.xmin
    /** A user, with functions that send requests to one of two servers. */
    const anOwner = async () => {
      const owner = await aUser(database, { permissions: PERMISSIONS })
      const servers = [requestWith(app, owner.token), requestWith(twin, owner.token)] as const
      return { owner, request: servers[0], servers }
    }

    await t.test('it follows tracks that are added, get another entry, and are deleted', async t => {
      const { owner, request } = await anOwner()
      const [one, other] = [await anEntryVideo(database), await anEntryVideo(database)]
      const playlist = await aPlaylistWithTracks(database, owner, { count: 2, content: one })
      t.equal(await countOf(one), 2, 'in several at once')
      t.equal((await request('POST', tracksUrl(playlist), one)).status, 201)
      t.equal(await countOf(one), 3)
      const url = trackUrl(playlist, 'A')
      t.equal((await request('PUT', url, other)).status, 200)
      t.strictSame([await countOf(one), await countOf(other)], [2, 1])
      const { json } = await get(app, `${url}?include=animethemeentry`)
      t.equal(json.track.animethemeentry.tracks_count, 1, 'in responses')
      t.equal((await request('DELETE', url)).status, 200)
      t.strictSame([await countOf(one), await countOf(other)], [2, 0])
      t.equal((await request('POST', tracksUrl(playlist), { ...one, video_id: other.video_id })).status, 422)
      t.equal(await countOf(one), 2, 'a refused track does not count')
    })

    await t.test('it follows deleted playlists and users', async t => {
      const { owner, request } = await anOwner()
      const [one, other] = [await anEntryVideo(database), await anEntryVideo(database)]
      const playlist = await aPlaylistWithTracks(database, owner, { count: 3, content: one })
      const gone = await aUser(database)
      await aPlaylistWithTracks(database, gone, { count: 2, content: one })
      await aPlaylistWithTracks(database, gone, { count: 2, content: other })
      t.equal((await request('DELETE', `/api/playlist/${playlist.hashid}`)).status, 200)
      t.strictSame([await countOf(one), await countOf(other)], [2, 2])
      const deletedAt = { deleted_at: '2026-01-01 00:00:00' }
      await kysely.updateTable('users').set(deletedAt).where('id', '=', gone.id).execute()
      t.equal(await pruneUsers(kysely, NOW - DAY_MS, [USER_TYPE]), 1)
      t.strictSame([await countOf(one), await countOf(other)], [0, 0])
    })

    await t.test('another order of tracks writes no entry', async t => {
      const { owner, request } = await anOwner()
      const content = await anEntryVideo(database)
      const playlist = await aPlaylistWithTracks(database, owner, { count: 3, content })
      const writer = await writerOf(content)
      t.equal(
        (await request('PUT', trackUrl(playlist, 'C'), { next: trackOf(playlist, 'A').hashid })).status,
        200,
      )
      t.equal((await request('PUT', trackUrl(playlist, 'C'), content)).status, 200, 'nor does the same entry')
      t.equal(await writerOf(content), writer)
    })

    await t.test('it takes no statement besides those of the change', async t => {
      const { owner, request } = await anOwner()
      const [one, other] = [await anEntryVideo(database), await anEntryVideo(database)]
      const playlist = await aPlaylistWithTracks(database, owner, { count: 2, content: one })
      const url = trackUrl(playlist, 'A')
      for (const [method, path, payload] of [
        ['POST', tracksUrl(playlist), one],
        ['PUT', url, other],
        ['DELETE', url],
        ['DELETE', `/api/playlist/${playlist.hashid}`],
      ] as const) {
        database.statements.length = 0
        const { status } = await request(method, path, payload)
        t.ok(status < 300, `${method} ${path}`)
        const counting = database.statements.filter(statement => /tracks_count/.test(statement))
        t.strictSame(counting, [], `${method} ${path}`)
      }
      t.strictSame([await countOf(one), await countOf(other)], [0, 0])
    })

    await t.test('a wrong number, as imported rows may have, is corrected by the next change', async t => {
      const { owner, request } = await anOwner()
      const content = await anEntryVideo(database)
      const playlist = await aPlaylistWithTracks(database, owner, { count: 1, content })
      await kysely.updateTable('anime_theme_entries').set({ tracks_count: 70 }).execute()
      await request('POST', tracksUrl(playlist), content)
      t.equal(await countOf(content), 2)
    })

    await t.test('two servers that add tracks of one entry at once lose none', async t => {
      const content = await anEntryVideo(database)
      const answers = await Promise.all(
        Array.from({ length: 8 }, async (_, index) => {
          const { owner, servers } = await anOwner()
          const playlist = await aPlaylistWithTracks(database, owner, { count: 0 })
          const request = servers[index % 2] as (typeof servers)[0]
          const added = await request('POST', tracksUrl(playlist), content)
          const again = await request('POST', tracksUrl(playlist), content)
          const removed = await request('DELETE', `${tracksUrl(playlist)}/${added.json.track.id}`)
          return [added.status, again.status, removed.status]
        }),
      )
      t.strictSame(answers, new Array(8).fill([201, 201, 200]))
      t.equal(await countOf(content), 8)
    })

    await t.test('the migration corrects existing numbers', async t => {
      const { owner } = await anOwner()
      const [one, other] = [await anEntryVideo(database), await anEntryVideo(database)]
      await aPlaylistWithTracks(database, owner, { count: 3, content: one })
      for (const signature of [
        'count_tracks_of_changed()',
        'count_tracks_of_moved()',
        'count_entry_tracks(bigint[])',
      ])
        await sql.raw(`drop function ${signature} cascade`).execute(kysely)
      await aPlaylistWithTracks(database, owner, { count: 2, content: other })
      await kysely.updateTable('anime_theme_entries').set({ tracks_count: 12 }).execute()
      await entryTrackCounts.up(kysely)
      t.strictSame([await countOf(one), await countOf(other)], [3, 2])
      await aPlaylistWithTracks(database, owner, { count: 2, content: other })
      t.equal(await countOf(other), 4, 'and keeps them current')
    })
  })
}

for (const engine of PRODUCTION_ENGINE) {
  t.test(`a statement locks the entries of its tracks in order on ${engine}`, async t => {
    const database = await createDatabase(t, engine)
    t.teardown(() => database.close())
    const { kysely } = database
    const [one, other] = [await anEntryVideo(database), await anEntryVideo(database)]
    const owner = await aUser(database, { permissions: PERMISSIONS })
    const request = requestWith(await startApp(t, { database, environment: TRACK_SETTINGS }), owner.token)
    const lock = ({ entry_id }: EntryVideo) =>
      sql`select from anime_theme_entries where entry_id = ${entry_id} for no key update nowait`
    const isWaiting = async () => {
      const { rows } = await sql`
        select from pg_stat_activity
        where datname = current_database() and cardinality(pg_blocking_pids(pid)) > 0`.execute(kysely)
      return rows.length > 0
    }
    /** A playlist of a user with the other entry first. */
    const aPlaylistOfBoth = async (user: { id: number }) => {
      const playlist = await aPlaylistWithTracks(database, user, { count: 2, content: other })
      await kysely
        .insertInto('playlist_tracks')
        .values({ playlist_id: playlist.id, ...one })
        .execute()
      return playlist
    }

    for (const [name, change] of [
      [
        'deleting a playlist',
        async () => {
          const { hashid } = await aPlaylistOfBoth(owner)
          return async () => (await request('DELETE', `/api/playlist/${hashid}`)).status
        },
      ],
      [
        'a track that gets another entry',
        async () => {
          const playlist = await aPlaylistOfBoth(owner)
          return async () => (await request('PUT', trackUrl(playlist, 'A'), one)).status
        },
      ],
      [
        'pruning users',
        async () => {
          for (let n = 0; n < 2; n += 1) {
            const gone = await aUser(database)
            await aPlaylistWithTracks(database, gone, { count: 2, content: n === 0 ? other : one })
            const deletedAt = { deleted_at: '2026-01-01 00:00:00' }
            await kysely.updateTable('users').set(deletedAt).where('id', '=', gone.id).execute()
          }
          return async () => ((await pruneUsers(kysely, NOW - DAY_MS, [USER_TYPE])) === 2 ? 200 : 0)
        },
      ],
    ] as const) {
      await t.test(name, async t => {
        const start = await change()
        let changing: Promise<number> = Promise.resolve(0)
        await kysely.transaction().execute(async transaction => {
          await lock(one).execute(transaction)
          changing = start()
          await until(isWaiting)
          await lock(other).execute(transaction)
        })
        t.equal(await changing, 200)
      })
    }
    const { rows } = await sql`
      select from anime_theme_entries e
      where tracks_count <> (select count(*) from playlist_tracks t where t.entry_id = e.entry_id)`.execute(
      kysely,
    )
    t.equal(rows.length, 0)
  })
}
