import { sql } from 'kysely'
import t from 'tap'
import { UNAUTHORIZED } from '../../../../fixtures/answers.ts'
import { PLAYLIST_FEATURE, whileFeatureIsOff } from '../../../../fixtures/features.ts'
import { anEntryVideo, aPlaylist, chainOf } from '../../../../fixtures/lists.ts'
import { urlOf } from '../../../../fixtures/queries.ts'
import { requestWith } from '../../../../fixtures/requests.ts'
import {
  aPlaylistWithTracks,
  BOTH_PLACES,
  type EntryVideo,
  endsOf,
  MOST_TRACKS,
  NOT_LINKED,
  neighboursOf,
  orderOf,
  TOO_MANY_TRACKS,
  TRACK_SETTINGS,
  trackAt,
  trackHashid,
  trackOf,
  tracksUrl,
  trackUrl,
  urlIn,
} from '../../../../fixtures/tracks.ts'
import { aUser } from '../../../../fixtures/users.ts'
import { requiredError, selectedError } from '../../../../fixtures/validation.ts'
import { get, startApp } from '../../../../support/app.ts'
import { createDatabase, ENGINES, type TestDatabase } from '../../../../support/databases.ts'

const permissions = ['create playlist track']
const MISSING_ID = 999_999_999

/** Makes the next row of a table get an id. */
const setNextId = ({ kysely }: TestDatabase, table: string, key: string, id: number) =>
  sql`select setval(pg_get_serial_sequence(${table}, ${key}), ${id}::bigint, false)`.execute(kysely)

for (const engine of ENGINES) {
  t.test(`adding tracks to a playlist on ${engine}`, async t => {
    const database = await createDatabase(t, engine)
    t.teardown(() => database.close())
    const app = await startApp(t, { database, environment: TRACK_SETTINGS })

    /** A playlist whose owner may add tracks, and a request that adds one. */
    const prepare = async (count = 3) => {
      const owner = await aUser(database, { permissions })
      const playlist = await aPlaylistWithTracks(database, owner, { count })
      const post = (payload?: object) => requestWith(app, owner.token)('POST', tracksUrl(playlist), payload)
      return { owner, playlist, post, content: await anEntryVideo(database) }
    }

    // Hashids that another implementation computed.
    for (const [salt, playlistId, trackId, expected] of [
      ['', 12, 345, 'vDTL1'],
      ['playlists-salt', 42, 1_000_000, 'OOu0dvZ'],
    ] as const) {
      t.test(`the id is the hashid of playlist and track, salt '${salt}'`, async t => {
        const server = await startApp(t, {
          database,
          environment: { ...TRACK_SETTINGS, HASHIDS_SALT_PLAYLISTS: salt },
        })
        const owner = await aUser(database, { permissions })
        await setNextId(database, 'playlists', 'playlist_id', playlistId)
        const playlist = await aPlaylist(database, owner.id)
        t.equal(playlist.id, playlistId)
        await setNextId(database, 'playlist_tracks', 'track_id', trackId)
        const post = requestWith(server, owner.token)
        const { json } = await post('POST', tracksUrl(playlist), await anEntryVideo(database))
        t.strictSame(json, { track: { id: expected } })
        t.strictSame(await chainOf(database, playlistId), [expected], 'it is stored')
        const found = await get(app, urlIn(playlist, `/track/${expected}`))
        t.equal(found.status, 200, 'a server with any salt finds it')
      })
    }

    t.test('the id is stored, and found by its text', async t => {
      const { playlist, post, content } = await prepare()
      const { json } = await post(content)
      const { track_id } = await database.kysely
        .selectFrom('playlist_tracks')
        .select('track_id')
        .where('hashid', '=', json.track.id)
        .executeTakeFirstOrThrow()
      t.equal(json.track.id, trackHashid(playlist.id, track_id))
      await database.kysely
        .updateTable('playlist_tracks')
        .set({ hashid: 'AnyText0' })
        .where('track_id', '=', track_id)
        .execute()
      const found = await get(app, urlIn(playlist, '/track/AnyText0'))
      t.strictSame(found.json, { track: { id: 'AnyText0' } }, 'it is not decoded')
    })

    t.test('invalid input returns 422 with the errors of all fields, and adds nothing', async t => {
      const { owner, playlist, post, content } = await prepare()
      const other = await anEntryVideo(database)
      const own = (letter: string) => trackOf(playlist, letter).hashid
      const foreign = trackAt(await aPlaylistWithTracks(database, owner), 0).hashid
      const noContent = { entry_id: requiredError('entry id'), video_id: requiredError('video id') }
      for (const [name, payload, errors] of [
        ['no body', undefined, noContent],
        ['an empty body', {}, noContent],
        ['null and empty ids', { entry_id: null, video_id: '' }, noContent],
        [
          'an entry alone',
          { entry_id: content.entry_id },
          { entry_id: selectedError('entry id'), video_id: requiredError('video id') },
        ],
        [
          'a video alone',
          { video_id: content.video_id },
          { entry_id: requiredError('entry id'), video_id: selectedError('video id') },
        ],
        ['not linked', { ...content, video_id: other.video_id }, NOT_LINKED],
        ['a missing video', { ...content, video_id: MISSING_ID }, NOT_LINKED],
        ['a missing entry', { ...content, entry_id: MISSING_ID }, NOT_LINKED],
        ['both missing', { entry_id: MISSING_ID, video_id: MISSING_ID }, NOT_LINKED],
        ['next and previous', { ...content, next: own('A'), previous: own('B') }, BOTH_PLACES],
        ['next and previous that agree', { ...content, next: own('B'), previous: own('A') }, BOTH_PLACES],
        ['next of another playlist', { ...content, next: foreign }, { next: selectedError('next') }],
        [
          'previous of another playlist',
          { ...content, previous: foreign },
          { previous: selectedError('previous') },
        ],
        ['next null', { ...content, next: null }, { next: requiredError('next') }],
        ['previous null', { ...content, previous: null }, { previous: requiredError('previous') }],
        ['next blank', { ...content, next: '  ' }, { next: requiredError('next') }],
        [
          'next and previous null',
          { ...content, next: null, previous: null },
          { next: requiredError('next'), previous: requiredError('previous') },
        ],
        [
          'next null with previous',
          { ...content, next: null, previous: own('A') },
          { next: requiredError('next') },
        ],
        [
          'no video, and next of another playlist',
          { entry_id: content.entry_id, next: foreign },
          {
            entry_id: selectedError('entry id'),
            video_id: requiredError('video id'),
            next: selectedError('next'),
          },
        ],
        [
          'not linked, and previous of another playlist',
          { ...content, video_id: other.video_id, previous: foreign },
          { ...NOT_LINKED, previous: selectedError('previous') },
        ],
        [
          'no content, next and previous',
          { next: own('A'), previous: own('B') },
          { ...noContent, ...BOTH_PLACES },
        ],
      ] as [string, object | undefined, object][]) {
        const { status, json } = await post(payload)
        t.equal(status, 422, name)
        t.strictSame(json.errors, errors, `${name}: ${JSON.stringify(payload)}`)
        const [first, ...more] = Object.values<string[]>(json.errors ?? {}).flat()
        const suffix =
          more.length === 0 ? '' : ` (and ${more.length} more error${more.length === 1 ? '' : 's'})`
        t.equal(json.message, `${first}${suffix}`, 'the message is the first error and the number of others')
        const fields = ['entry_id', 'video_id', 'next', 'previous'].filter(field => field in errors)
        t.strictSame(Object.keys(json.errors ?? {}), fields, 'errors are in the order of the rules')
      }
      t.equal(await orderOf(database, playlist), 'ABC')
    })

    t.test('a track is added last, before another one or after another one', async t => {
      for (const [name, count, place, expected] of [
        ['to an empty playlist', 0, {}, '+'],
        ['last without a place', 3, {}, 'ABC+'],
        ['after the last', 3, { previous: 'C' }, 'ABC+'],
        ['after the first', 3, { previous: 'A' }, 'A+BC'],
        ['before the last', 3, { next: 'C' }, 'AB+C'],
        ['before the first', 3, { next: 'A' }, '+ABC'],
        ['after the only one', 1, { previous: 'A' }, 'A+'],
        ['before the only one', 1, { next: 'A' }, '+A'],
      ] as const) {
        const { playlist, post, content } = await prepare(count)
        const ids = Object.entries(place).map(([side, letter]) => [side, trackOf(playlist, letter).hashid])
        const { status, json } = await post({ ...content, ...Object.fromEntries(ids) })
        t.equal(status, 201, name)
        t.strictSame(json, { track: { id: json.track.id } }, 'the answer has the id alone')
        t.equal(await orderOf(database, playlist), expected, name)
        const chain = await chainOf(database, playlist.id)
        t.equal(chain[expected.indexOf('+')], json.track.id, name)
      }
    })

    t.test('added tracks have neighbours, and the playlist has a first and a last track', async t => {
      const { playlist, post, content } = await prepare(0)
      t.strictSame(await endsOf(app, playlist), [null, null])
      const added: string[] = []
      for (const name of ['the first track', 'the second track', 'the third track']) {
        added.push((await post(content)).json.track.id)
        const expected = added.map((id, index) => [added[index - 1] ?? null, id, added[index + 1] ?? null])
        t.strictSame(await neighboursOf(app, playlist), expected, name)
        t.strictSame(await endsOf(app, playlist), [added[0], added.at(-1)], name)
      }
      t.strictSame(await chainOf(database, playlist.id), added)
    })

    t.test('a track that is added before or after another one changes the neighbours of both', async t => {
      for (const [side, letter, expected] of [
        ['previous', 'B', 'AB+'],
        ['previous', 'A', 'A+B'],
        ['next', 'A', '+AB'],
        ['next', 'B', 'A+B'],
      ] as const) {
        const { playlist, post, content } = await prepare(2)
        const { json } = await post({ ...content, [side]: trackOf(playlist, letter).hashid })
        const message = `${side} ${letter}`
        t.equal(await orderOf(database, playlist), expected, message)
        const chain = [...expected].map(sign =>
          sign === '+' ? json.track.id : trackOf(playlist, sign).hashid,
        )
        t.strictSame(await endsOf(app, playlist), [chain[0], chain[2]], message)
        t.strictSame(
          new Set((await neighboursOf(app, playlist)).map(String)),
          new Set(chain.map((id, index) => String([chain[index - 1], id, chain[index + 1]]))),
          message,
        )
      }
    })

    t.test('the same video can be added several times', async t => {
      const { playlist, post, content } = await prepare(0)
      const added: string[] = []
      for (let i = 0; i < 3; i += 1) added.push((await post(content)).json.track.id)
      t.equal(new Set(added).size, 3)
      t.strictSame(await chainOf(database, playlist.id), added)
      const query = { include: 'video', 'fields[track]': 'id,created_at' }
      const { json } = await get(app, urlOf(urlIn(playlist, '/forward'), query))
      const created_at = '2026-03-01T12:00:00.000000Z'
      t.match(
        json.tracks,
        added.map(id => ({ id, created_at, video: { id: content.video_id } })),
      )
    })

    t.test('other input is ignored', async t => {
      const { owner, playlist, post, content } = await prepare(1)
      const other = await aPlaylistWithTracks(database, owner)
      const { status, json } = await post({
        ...content,
        ...{ playlist_id: other.id, hashid: 'x', track_id: 1, position: 1, id: 'y', unknown: [{}] },
      })
      t.equal(status, 201)
      t.equal(await orderOf(database, playlist), 'A+')
      t.equal(await orderOf(database, other), 'ABC')
      t.equal((await get(app, urlIn(playlist, `/track/${json.track.id}`))).status, 200)
    })

    t.test('a full playlist is 403, after the feature and the owner are checked', async t => {
      const { owner, playlist, post, content } = await prepare(MOST_TRACKS)
      const { status, json } = await post(content)
      t.equal(status, 403)
      t.strictSame(json, TOO_MANY_TRACKS)
      t.strictSame((await post({})).json, TOO_MANY_TRACKS, 'the number is checked before input')
      const whileOff = await whileFeatureIsOff(database, PLAYLIST_FEATURE, () => post(content))
      t.strictSame(whileOff.json, UNAUTHORIZED, 'the feature is checked first')
      const other = await aUser(database, { permissions })
      const byOther = await requestWith(app, other.token)('POST', tracksUrl(playlist), content)
      t.strictSame(byOther.json, UNAUTHORIZED, 'the owner is checked first')
      t.equal((await chainOf(database, playlist.id)).length, MOST_TRACKS)
      const almostFull = await aPlaylistWithTracks(database, owner, { count: MOST_TRACKS - 1 })
      const add = () => requestWith(app, owner.token)('POST', tracksUrl(almostFull), content)
      t.equal((await add()).status, 201, 'the last that fits')
      t.strictSame((await add()).json, TOO_MANY_TRACKS)
    })

    t.test("'bypass feature flags' adds tracks to a full playlist", async t => {
      const owner = await aUser(database, { permissions: [...permissions, 'bypass feature flags'] })
      const playlist = await aPlaylistWithTracks(database, owner, { count: MOST_TRACKS })
      const content: EntryVideo = await anEntryVideo(database)
      const { status, json } = await requestWith(app, owner.token)('POST', tracksUrl(playlist), content)
      t.equal(status, 201)
      t.equal((await chainOf(database, playlist.id)).at(-1), json.track.id)
    })

    t.test('tracks of a playlist above the limit can be moved and deleted', async t => {
      const owner = await aUser(database, { permissions: ['update playlist track', 'delete playlist track'] })
      const playlist = await aPlaylistWithTracks(database, owner, { count: MOST_TRACKS + 1 })
      const request = requestWith(app, owner.token)
      const next = trackOf(playlist, 'A').hashid
      t.equal((await request('PUT', trackUrl(playlist, 'Z'), { next })).status, 200)
      t.equal((await request('DELETE', trackUrl(playlist, 'B'))).status, 200)
      t.equal(await orderOf(database, playlist), 'ZACDEFGHIJKLMNOPQRSTUVWXY')
    })

    t.test('the server logs no error', async t => t.strictSame(app.logged, []))
  })
}
