import t from 'tap'
import { errorsOf } from '../../../../fixtures/answers.ts'
import { MINUTE } from '../../../../fixtures/clock.ts'
import { anEntryVideo } from '../../../../fixtures/lists.ts'
import { urlOf } from '../../../../fixtures/queries.ts'
import { requestWith } from '../../../../fixtures/requests.ts'
import {
  aPlaylistWithTracks,
  BOTH_PLACES,
  CHANGE_TRACKS,
  type EntryVideo,
  NOT_LINKED,
  orderOf,
  type PlaylistWithTracks,
  TRACK_SETTINGS,
  trackAt,
  trackOf,
  trackRow,
  tracksUrl,
  trackUrl,
} from '../../../../fixtures/tracks.ts'
import { aUser } from '../../../../fixtures/users.ts'
import { requiredError, selectedError } from '../../../../fixtures/validation.ts'
import { get, startApp } from '../../../../support/app.ts'
import { createDatabase, ENGINES, type TestDatabase } from '../../../../support/databases.ts'

const permissions = ['update playlist track']
const MISSING_ID = 999_999_999

/** The entry and the video of a playlist's first track. */
const contentOf = async (database: TestDatabase, playlist: PlaylistWithTracks) => {
  const { entry_id, video_id } = (await trackRow(database, trackAt(playlist, 0).id)) ?? {}
  return { entry_id, video_id }
}

for (const engine of ENGINES) {
  t.test(`changing tracks of a playlist on ${engine}`, async t => {
    const database = await createDatabase(t, engine)
    t.teardown(() => database.close())
    const app = await startApp(t, { database, environment: TRACK_SETTINGS })
    const { kysely } = database

    for (const method of ['PUT', 'PATCH']) {
      /** A playlist whose owner may change tracks, and a request that changes one. */
      const prepare = async (options: { count?: number; content?: EntryVideo } = {}) => {
        const owner = await aUser(database, { permissions })
        const playlist = await aPlaylistWithTracks(database, owner, options)
        const change = (letter: string, payload?: object) =>
          requestWith(app, owner.token)(method, trackUrl(playlist, letter), payload)
        return { owner, playlist, change }
      }

      t.test(
        `${method}: invalid input returns 422 with the errors of all fields, and changes nothing`,
        async t => {
          const [content, other] = [await anEntryVideo(database), await anEntryVideo(database)]
          const { owner, playlist, change } = await prepare({ content })
          const before = await trackRow(database, trackAt(playlist, 0).id)
          const own = (letter: string) => trackOf(playlist, letter).hashid
          const foreign = trackAt(await aPlaylistWithTracks(database, owner), 0).hashid
          for (const [name, payload, errors] of [
            ['previous of another playlist', { previous: foreign }, { previous: selectedError('previous') }],
            ['after itself', { previous: own('A') }, { previous: selectedError('previous') }],
            ['next of another playlist', { next: foreign }, { next: selectedError('next') }],
            ['before itself', { next: own('A') }, { next: selectedError('next') }],
            ['next and previous', { next: own('B'), previous: own('C') }, BOTH_PLACES],
            [
              'next and previous that are invalid',
              { next: own('A'), previous: foreign },
              {
                next: [...BOTH_PLACES.next, ...selectedError('next')],
                previous: [...BOTH_PLACES.previous, ...selectedError('previous')],
              },
            ],
            ['next null', { next: null }, { next: requiredError('next') }],
            ['previous null', { previous: null }, { previous: requiredError('previous') }],
            ['next empty', { next: '' }, { next: requiredError('next') }],
            [
              'next with previous null',
              { next: own('B'), previous: null },
              { previous: requiredError('previous') },
            ],
            [
              'an entry without the video',
              { entry_id: other.entry_id },
              { entry_id: selectedError('entry id') },
            ],
            [
              'a video without the entry',
              { video_id: other.video_id },
              { video_id: selectedError('video id') },
            ],
            ['a missing entry', { entry_id: MISSING_ID }, { entry_id: selectedError('entry id') }],
            ['a missing video', { video_id: MISSING_ID }, { video_id: selectedError('video id') }],
            ['entry null', { entry_id: null }, { entry_id: requiredError('entry id') }],
            ['video empty', { video_id: '' }, { video_id: requiredError('video id') }],
            [
              'entry null, and a video that is not linked with the current entry',
              { entry_id: null, video_id: other.video_id },
              { entry_id: requiredError('entry id') },
            ],
            ['not linked', { ...content, video_id: other.video_id }, NOT_LINKED],
            ['both missing', { entry_id: MISSING_ID, video_id: MISSING_ID }, NOT_LINKED],
            ['an entry with a missing video', { ...content, video_id: MISSING_ID }, NOT_LINKED],
            [
              'video null, and next of another playlist',
              { video_id: null, next: foreign },
              { video_id: requiredError('video id'), next: selectedError('next') },
            ],
            [
              'not linked, and after itself',
              { ...other, video_id: content.video_id, previous: own('A') },
              { ...NOT_LINKED, previous: selectedError('previous') },
            ],
            ['valid content, invalid place', { ...other, next: foreign }, { next: selectedError('next') }],
            [
              'valid place, invalid content',
              { next: own('C'), video_id: MISSING_ID },
              { video_id: selectedError('video id') },
            ],
          ] as const) {
            const errorsFound = errorsOf(await change('A', payload))
            t.strictSame(errorsFound, errors, `${name}: ${JSON.stringify(payload)}`)
          }
          t.equal(await orderOf(database, playlist), 'ABC')
          t.strictSame(await trackRow(database, trackAt(playlist, 0).id), before)
        },
      )

      t.test(`${method} moves a track before or after another one`, async t => {
        const content = await anEntryVideo(database)
        for (const [letter, side, other, expected] of [
          ['A', 'previous', 'B', 'BAC'],
          ['A', 'previous', 'C', 'BCA'],
          ['A', 'next', 'C', 'BAC'],
          ['B', 'previous', 'C', 'ACB'],
          ['B', 'next', 'A', 'BAC'],
          ['C', 'previous', 'A', 'ACB'],
          ['C', 'next', 'B', 'ACB'],
          ['C', 'next', 'A', 'CAB'],
          // Where the track is already.
          ['A', 'next', 'B', 'ABC'],
          ['B', 'previous', 'A', 'ABC'],
          ['B', 'next', 'C', 'ABC'],
          ['C', 'previous', 'B', 'ABC'],
        ] as const) {
          const name = `${letter} ${side === 'next' ? 'before' : 'after'} ${other}`
          const { owner, playlist, change } = await prepare({ content })
          const otherPlaylist = await aPlaylistWithTracks(database, owner)
          const { status, json } = await change(letter, { [side]: trackOf(playlist, other).hashid })
          const { id, hashid } = trackOf(playlist, letter)
          t.equal(status, 200, name)
          t.strictSame(json, { track: { id: hashid } }, 'the answer has the id alone')
          t.equal(await orderOf(database, playlist), expected, name)
          t.match(await trackRow(database, id), content, 'the content stays')
          t.equal(await orderOf(database, otherPlaylist), 'ABC', 'the other playlist stays')
        }
      })

      t.test(`${method} moves tracks of a longer playlist repeatedly`, async t => {
        const { playlist, change } = await prepare({ count: 6 })
        for (const [letter, side, other, expected] of [
          ['E', 'next', 'B', 'AEBCDF'],
          ['A', 'previous', 'D', 'EBCDAF'],
          ['F', 'next', 'E', 'FEBCDA'],
          ['C', 'previous', 'A', 'FEBDAC'],
          ['D', 'previous', 'F', 'FDEBAC'],
        ] as const) {
          await change(letter, { [side]: trackOf(playlist, other).hashid })
          t.equal(await orderOf(database, playlist), expected, `${letter} ${side} ${other}`)
        }
      })

      t.test(`${method} replaces entry and video`, async t => {
        const [content, other] = [await anEntryVideo(database), await anEntryVideo(database)]
        for (const [name, before, payload, after] of [
          [
            'without an entry any video is valid',
            { entry_id: null, video_id: content.video_id },
            { video_id: other.video_id },
            { entry_id: null, video_id: other.video_id },
          ],
          [
            'without entry and video any video is valid',
            { entry_id: null, video_id: null },
            { video_id: content.video_id },
            { entry_id: null, video_id: content.video_id },
          ],
          [
            'without a video any entry is valid',
            { entry_id: content.entry_id, video_id: null },
            { entry_id: other.entry_id },
            { ...other, video_id: null },
          ],
          ['both', content, other, other],
          ['both as they are', content, content, content],
          ['both where there were none', { entry_id: null, video_id: null }, content, content],
        ] as const) {
          const { playlist, change } = await prepare()
          await kysely
            .updateTable('playlist_tracks')
            .set(before)
            .where('playlist_id', '=', playlist.id)
            .execute()
          const { status, json } = await change('A', payload)
          t.equal(status, 200, name)
          t.strictSame(json, { track: { id: trackAt(playlist, 0).hashid } })
          t.strictSame(await contentOf(database, playlist), after, name)
          t.match(await trackRow(database, trackAt(playlist, 1).id), before, 'other tracks stay')
          t.equal(await orderOf(database, playlist), 'ABC', 'the order stays')
        }
        const { playlist, change } = await prepare()
        const errors = errorsOf(await change('A', { video_id: MISSING_ID }))
        t.strictSame(errors, { video_id: selectedError('video id') }, 'a missing video is never valid')
        t.strictSame(await contentOf(database, playlist), { entry_id: null, video_id: null })
      })

      t.test(`${method} replaces the entry or the video alone if they are linked with the other`, async t => {
        const [content, other] = [await anEntryVideo(database), await anEntryVideo(database)]
        const mixed = { entry_id: other.entry_id, video_id: content.video_id }
        await kysely.insertInto('anime_theme_entry_video').values(mixed).execute()
        const { playlist, change } = await prepare({ content })
        t.equal((await change('A', { entry_id: other.entry_id })).status, 200)
        t.strictSame(await contentOf(database, playlist), mixed)
        t.equal((await change('A', { video_id: other.video_id })).status, 200)
        t.strictSame(await contentOf(database, playlist), other)
      })

      t.test(`${method} changes place and content at once`, async t => {
        const [content, other] = [await anEntryVideo(database), await anEntryVideo(database)]
        const { playlist, change } = await prepare({ content })
        const previous = trackOf(playlist, 'C').hashid
        t.equal((await change('A', { ...other, previous })).status, 200)
        t.equal(await orderOf(database, playlist), 'BCA')
        t.strictSame(await contentOf(database, playlist), other)
      })

      t.test(`${method} without known input, or with the same content, changes nothing`, async t => {
        const content = await anEntryVideo(database)
        const { playlist, change } = await prepare({ content })
        const row = () => trackRow(database, trackAt(playlist, 0).id)
        const before = await row()
        for (const payload of [undefined, {}, { unknown: 1, position: 3, hashid: 'x', playlist_id: 1 }]) {
          const { status, json } = await change('A', payload)
          t.equal(status, 200, JSON.stringify(payload))
          t.strictSame(json, { track: { id: trackAt(playlist, 0).hashid } })
        }
        t.strictSame(await row(), before)
        app.clock.advance(1000)
        t.equal((await change('A', content)).status, 200)
        t.strictSame(await row(), before, 'the date stays when content is the same')
        t.equal(await orderOf(database, playlist), 'ABC')
      })
    }

    t.test('the date of a playlist changes with its order, that of a track with its content', async t => {
      const [content, other] = [await anEntryVideo(database), await anEntryVideo(database)]
      const owner = await aUser(database, { permissions: CHANGE_TRACKS })
      const playlist = await aPlaylistWithTracks(database, owner, { content })
      const request = requestWith(app, owner.token)
      const dateOf = async (url: string, type: string) => {
        const { json } = await get(app, urlOf(url, { [`fields[${type}]`]: 'updated_at' }))
        return json[type].updated_at
      }
      const playlistDate = () => dateOf(`/api/playlist/${playlist.hashid}`, 'playlist')
      const trackDate = () => dateOf(trackUrl(playlist, 'C'), 'track')
      const now = () => new Date(app.clock()).toISOString().replace('Z', '000Z')
      t.equal(await playlistDate(), '2026-02-01T00:00:00.000000Z')
      const { hashid } = trackOf(playlist, 'A')
      for (const [name, change] of [
        ['a track is added', () => request('POST', tracksUrl(playlist), content)],
        [
          'a track is added in the middle',
          () => request('POST', tracksUrl(playlist), { ...content, previous: hashid }),
        ],
        ['a track is moved', () => request('PUT', trackUrl(playlist, 'C'), { next: hashid })],
        ['a track is deleted', () => request('DELETE', trackUrl(playlist, 'B'))],
      ] as const) {
        app.clock.advance(MINUTE)
        t.ok((await change()).status < 300)
        t.equal(await playlistDate(), now(), name)
      }
      const [before, trackBefore] = [await playlistDate(), await trackDate()]
      app.clock.advance(MINUTE)
      await request('PUT', trackUrl(playlist, 'C'), {})
      await request('PUT', trackUrl(playlist, 'C'), { next: 'nope' })
      await get(app, trackUrl(playlist, 'C'))
      t.equal(await playlistDate(), before, 'reads, empty and invalid input do not change it')
      t.equal(await trackDate(), trackBefore)
      await request('PUT', trackUrl(playlist, 'C'), other)
      t.equal(await trackDate(), now(), 'the content of a track changes its date')
    })

    t.test('the server logs no error', async t => t.strictSame(app.logged, []))
  })
}
