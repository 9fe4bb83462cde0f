import t, { type Test } from 'tap'
import type { Database } from '#src/database/connect.ts'
import { databaseOver } from '#src/database/connect.ts'
import { postgresConnections } from '#src/database/postgres.ts'
import { addTracks, anEntryVideo, aPlaylist, chainOf } from '../../../../fixtures/lists.ts'
import { randomNumbers } from '../../../../fixtures/numbers.ts'
import { requestWith } from '../../../../fixtures/requests.ts'
import {
  randomTrackChange,
  requestTrackChange,
  type TrackChange,
} from '../../../../fixtures/track-changes.ts'
import {
  aPlaylistWithTracks,
  CHANGE_TRACKS,
  MOST_TRACKS,
  orderOf,
  TOO_MANY_TRACKS,
  TRACK_SETTINGS,
  trackAt,
  trackOf,
  tracksUrl,
  trackUrl,
  urlIn,
} from '../../../../fixtures/tracks.ts'
import { aUser, type TestUser } from '../../../../fixtures/users.ts'
import { type Answer, startApp, type TestApp } from '../../../../support/app.ts'
import {
  createDatabase,
  createPostgresDatabase,
  ENGINES,
  PRODUCTION_ENGINE,
} from '../../../../support/databases.ts'

const WITHOUT_TRACK_LIMIT = { ...TRACK_SETTINGS, PLAYLIST_MAX_TRACKS: '100000' }

/** With more, requests would wait longer for the lock of the playlist than the limit of 5 seconds on a slow machine. */
const MOST_AT_ONCE = 25

const statusesOf = (answers: readonly Answer[]) => answers.map(({ status }) => status).sort()
const repeat = <T>(count: number, work: (index: number) => T): T[] =>
  Array.from({ length: count }, (_, index) => work(index))

for (const engine of ENGINES) {
  t.test(`concurrent changes of playlist tracks on ${engine}`, async t => {
    const database = await createDatabase(t, engine)
    t.teardown(() => database.close())
    const app = await startApp(t, { database, environment: TRACK_SETTINGS })
    // Another instance on the same database. Its salt makes the hashids of its tracks differ.
    const twin = await startApp(t, {
      database,
      environment: { ...TRACK_SETTINGS, HASHIDS_SALT_PLAYLISTS: 'playlists-salt' },
    })
    const anOwner = () => aUser(database, { permissions: CHANGE_TRACKS })
    /** Requests of a user, sent to one server, or to both in turn. */
    const toOne =
      ({ token }: TestUser) =>
      () =>
        requestWith(app, token)
    const toBoth =
      ({ token }: TestUser) =>
      (index: number) =>
        requestWith(index % 2 === 0 ? app : twin, token)
    const SERVERS = [
      ['one server', toOne],
      ['two servers', toBoth],
    ] as const

    for (const [servers, to] of SERVERS) {
      t.test(`20 concurrent appends by ${servers} all succeed`, async t => {
        const owner = await anOwner()
        const content = await anEntryVideo(database)
        const playlist = await aPlaylistWithTracks(database, owner, { count: 0 })
        const answers = await Promise.all(
          repeat(20, index => to(owner)(index)('POST', tracksUrl(playlist), content)),
        )
        t.strictSame(statusesOf(answers), new Array(20).fill(201))
        const chain = await chainOf(database, playlist.id)
        t.strictSame([...chain].sort(), answers.map(({ json }) => json.track.id).sort())
      })

      t.test(`24 concurrent moves by ${servers} lose no track`, async t => {
        const owner = await anOwner()
        const playlist = await aPlaylistWithTracks(database, owner, { count: 8 })
        const answers = await Promise.all(
          repeat(24, index => {
            const track = index % 8
            const other = (track + 1 + (index % 5)) % 8
            const url = urlIn(playlist, '/track/{track}', trackAt(playlist, track))
            const side = index % 2 === 0 ? 'next' : 'previous'
            return to(owner)(index)('PUT', url, { [side]: trackAt(playlist, other).hashid })
          }),
        )
        t.strictSame(statusesOf(answers), new Array(24).fill(200))
        t.equal([...(await orderOf(database, playlist))].sort().join(''), 'ABCDEFGH')
      })

      t.test(`concurrent appends by ${servers} do not exceed the limit`, async t => {
        const owner = await anOwner()
        const content = await anEntryVideo(database)
        const playlist = await aPlaylistWithTracks(database, owner, { count: MOST_TRACKS - 1 })
        const answers = await Promise.all(
          repeat(10, index => to(owner)(index)('POST', tracksUrl(playlist), content)),
        )
        t.strictSame(statusesOf(answers), [201, ...new Array(9).fill(403)])
        for (const { json } of answers.filter(({ status }) => status === 403)) {
          t.strictSame(json, TOO_MANY_TRACKS)
        }
        t.equal(await orderOf(database, playlist), 'ABCDEFGHIJKLMNOPQRSTUVWX+')
      })
    }

    t.test('concurrent insertions before or after the same track all succeed', async t => {
      const owner = await anOwner()
      const content = await anEntryVideo(database)
      for (const [side, letter] of [
        ['next', 'A'],
        ['previous', 'A'],
        ['next', 'C'],
      ] as const) {
        const playlist = await aPlaylistWithTracks(database, owner)
        const payload = { ...content, [side]: trackOf(playlist, letter).hashid }
        const answers = await Promise.all(
          repeat(10, index => toBoth(owner)(index)('POST', tracksUrl(playlist), payload)),
        )
        t.strictSame(statusesOf(answers), new Array(10).fill(201))
        const added = '+'.repeat(10)
        const expected = 'ABC'.replace(letter, side === 'next' ? `${added}${letter}` : `${letter}${added}`)
        t.equal(await orderOf(database, playlist), expected, `${side} ${letter}`)
      }
    })

    t.test('concurrent appends, moves and deletions all succeed', async t => {
      const owner = await anOwner()
      const content = await anEntryVideo(database)
      const playlist = await aPlaylistWithTracks(database, owner, { count: 12 })
      const urlAt = (index: number) => urlIn(playlist, '/track/{track}', trackAt(playlist, index))
      const server = toBoth(owner)
      const answers = await Promise.all(
        repeat(6, index => [
          server(index)('DELETE', urlAt(index * 2)),
          server(index + 1)('POST', tracksUrl(playlist), content),
          server(index)('PUT', urlAt(index * 2 + 1), {
            next: trackAt(playlist, (index * 2 + 3) % 12).hashid,
          }),
        ]).flat(),
      )
      t.strictSame(statusesOf(answers), [...new Array(12).fill(200), ...new Array(6).fill(201)])
      t.equal([...(await orderOf(database, playlist))].sort().join(''), '++++++BDFHJL')
    })

    t.test('one of several concurrent deletions of a track succeeds', async t => {
      const owner = await anOwner()
      const playlist = await aPlaylistWithTracks(database, owner, { count: 1 })
      const answers = await Promise.all(
        repeat(6, index => toBoth(owner)(index)('DELETE', trackUrl(playlist))),
      )
      t.strictSame(statusesOf(answers), [200, 404, 404, 404, 404, 404])
      t.equal(await orderOf(database, playlist), '')
    })

    t.test('200 concurrent random changes lose no acknowledged change', async t => {
      const unlimited = await startApp(t, { database, environment: WITHOUT_TRACK_LIMIT })
      await changeAtOnce(t, { apps: [unlimited], database, count: 200 })
      t.strictSame(unlimited.logged, [], 'the server logs no error')
    })

    t.test('the servers log no error', async t => t.strictSame([...app.logged, ...twin.logged], []))
  })
}

t.test('1000 concurrent random changes by two instances lose no acknowledged change', async t => {
  const url = await createPostgresDatabase(t)
  const [one, other] = [0, 1].map(() =>
    databaseOver({ ...postgresConnections(url, () => {}), open: async () => {} }),
  ) as [Database, Database]
  t.teardown(() => Promise.all([one.close(), other.close()]))
  const apps = [
    await startApp(t, { database: one, environment: WITHOUT_TRACK_LIMIT }),
    await startApp(t, { database: other, environment: WITHOUT_TRACK_LIMIT }),
  ]
  await changeAtOnce(t, { apps, database: one, count: 1000 })
  t.strictSame(
    apps.flatMap(({ logged }) => logged),
    [],
    'the servers log no error',
  )
})

for (const engine of PRODUCTION_ENGINE) {
  t.test(`concurrent changes of entry and video keep them linked on ${engine}`, async t => {
    const database = await createDatabase(t, engine)
    t.teardown(() => database.close())
    const app = await startApp(t, { database, environment: TRACK_SETTINGS })
    const owner = await aUser(database, { permissions: CHANGE_TRACKS })
    const [one, other] = [await anEntryVideo(database), await anEntryVideo(database)]
    // Both changes alone are valid after `one`, and both together are not: other's entry and video are not linked.
    await database.kysely
      .insertInto('anime_theme_entry_video')
      .values([
        { entry_id: one.entry_id, video_id: other.video_id },
        { entry_id: other.entry_id, video_id: one.video_id },
      ])
      .execute()
    await database.kysely
      .deleteFrom('anime_theme_entry_video')
      .where('entry_id', '=', other.entry_id)
      .where('video_id', '=', other.video_id)
      .execute()
    const playlist = await aPlaylist(database, owner.id)
    const [track] = await addTracks(database, playlist.id, [null])
    const put = (payload: object) =>
      requestWith(app, owner.token)('PUT', urlIn(playlist, '/track/{track}', track), payload)
    for (let round = 0; round < 10; round += 1) {
      t.equal((await put(one)).status, 200)
      const answers = await Promise.all([
        put({ entry_id: other.entry_id }),
        put({ video_id: other.video_id }),
      ])
      const rejected = answers.filter(({ status }) => status === 422)
      t.equal(rejected.length, 1, 'the second of both is rejected')
      t.match(Object.values(rejected[0]?.json.errors ?? {}), [
        [/^The selected (entry|video) id is invalid\.$/],
      ])
    }
  })
}

/** Requests random changes of a playlist concurrently, and compares the tracks with what was acknowledged. */
async function changeAtOnce(
  t: Test,
  { apps, database, count }: { apps: readonly TestApp[]; database: Database; count: number },
) {
  const owner = await aUser(database, { permissions: CHANGE_TRACKS })
  const playlist = await aPlaylist(database, owner.id)
  const content = await anEntryVideo(database)
  const requestAll = async (changes: readonly TrackChange[]) => {
    const answers: Answer[] = []
    let next = 0
    const worker = async () => {
      while (next < changes.length) {
        const index = next++
        const app = apps[index % apps.length] as TestApp
        const change = changes[index] as TrackChange
        answers[index] = await requestTrackChange(app, owner, playlist, content, change)
      }
    }
    await Promise.all(repeat(MOST_AT_ONCE, worker))
    return answers
  }
  const start = (await requestAll(repeat(count / 4, () => ({ type: 'add' })))).map(
    ({ json }) => json.track.id as string,
  )
  t.equal((await chainOf(database, playlist.id)).length, start.length)

  const pick = randomNumbers(count)
  const changes = repeat(count, () => randomTrackChange(start, pick))
  const answers = await requestAll(changes)

  const deleted = new Set<string>()
  const added: string[] = []
  const rejected = new Set<number>()
  for (const [index, { status, json }] of answers.entries()) {
    const change = changes[index] as TrackChange
    if (status >= 300) rejected.add(status)
    else if (change.type === 'add') added.push(json.track.id)
    else if (change.type === 'delete') deleted.add(change.track)
  }
  const acknowledged = answers.filter(({ status }) => status < 300).length
  t.ok(acknowledged > count / 2, `${acknowledged} of ${count} were acknowledged`)
  t.strictSame(
    [...rejected].filter(status => status !== 404 && status !== 422),
    [],
    'only changes of deleted tracks are rejected',
  )
  const expected = [...start.filter(id => !deleted.has(id)), ...added]
  t.strictSame([...(await chainOf(database, playlist.id))].sort(), expected.sort())
}
