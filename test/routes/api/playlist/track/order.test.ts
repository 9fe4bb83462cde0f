import t from 'tap'
import { anEntryVideo, aPlaylist, chainOf } from '../../../../fixtures/lists.ts'
import { randomNumbers } from '../../../../fixtures/numbers.ts'
import { requestWith } from '../../../../fixtures/requests.ts'
import { expectedTracks, randomTrackChange, requestTrackChange } from '../../../../fixtures/track-changes.ts'
import {
  aPlaylistWithTracks,
  CHANGE_TRACKS,
  type EntryVideo,
  orderOf,
  type PlaylistWithTracks,
  setOrder,
  TRACK_SETTINGS,
  trackAt,
  trackOf,
  tracksUrl,
  trackUrl,
  urlIn,
} from '../../../../fixtures/tracks.ts'
import { aUser, type TestUser } from '../../../../fixtures/users.ts'
import { type Answer, get, startApp, type TestApp } from '../../../../support/app.ts'
import { createDatabase, ENGINES, type TestDatabase } from '../../../../support/databases.ts'

interface Context {
  database: TestDatabase
  app: TestApp
  owner: TestUser
  content: EntryVideo
}

/** Sets the positions of tracks, in the order of their letters. */
async function setPositions(
  { kysely }: TestDatabase,
  playlist: PlaylistWithTracks,
  positions: readonly number[],
) {
  for (const [index, position] of positions.entries()) {
    const { id } = trackAt(playlist, index)
    await kysely.updateTable('playlist_tracks').set({ position }).where('track_id', '=', id).execute()
  }
}

/** Makes all links of a playlist point to one track, or to none. */
async function setLinks({ kysely }: TestDatabase, { id }: PlaylistWithTracks, target: number | null) {
  await kysely
    .updateTable('playlist_tracks')
    .set({ previous_id: target, next_id: target })
    .where('playlist_id', '=', id)
    .execute()
  await setEnds({ kysely }, { id }, target)
}

const setEnds = (
  { kysely }: Pick<TestDatabase, 'kysely'>,
  { id }: Pick<PlaylistWithTracks, 'id'>,
  target: number | null,
) =>
  kysely
    .updateTable('playlists')
    .set({ first_id: target, last_id: target })
    .where('playlist_id', '=', id)
    .execute()

/** Inconsistent data, and the order that positions and then ids give. */
const DAMAGES: [
  name: string,
  order: string,
  damage: (
    database: TestDatabase,
    playlist: PlaylistWithTracks,
    other: PlaylistWithTracks,
  ) => Promise<unknown>,
][] = [
  ['positions that are all 1', 'ABCD', (database, list) => setPositions(database, list, [1, 1, 1, 1])],
  [
    'positions with gaps, duplicates and negative numbers',
    'CABD',
    (database, list) => setPositions(database, list, [5, 5, -7, 90]),
  ],
  [
    'no links',
    'BDCA',
    async (database, list) => {
      await setPositions(database, list, [4, 1, 3, 2])
      await setLinks(database, list, null)
    },
  ],
  [
    'links that all point to one track',
    'ABCD',
    (database, list) => setLinks(database, list, trackAt(list, 2).id),
  ],
  [
    'links to another playlist',
    'ABCD',
    (database, list, other) => setLinks(database, list, trackAt(other, 1).id),
  ],
  ['neither a first nor a last track', 'ABCD', (database, list) => setEnds(database, list, null)],
  [
    'links in another order, and positions that are all 1',
    'ABCD',
    async (database, list) => {
      await setOrder(database, list, 'DBCA')
      await setPositions(database, list, [1, 1, 1, 1])
    },
  ],
]

/** Changes of a playlist, and what they make of an order. */
const CHANGES: [
  name: string,
  change: (context: Context, playlist: PlaylistWithTracks) => Promise<Answer>,
  expected: (order: string) => string,
][] = [
  [
    'POST',
    ({ app, owner, content }, list) => requestWith(app, owner.token)('POST', tracksUrl(list), content),
    order => `${order}+`,
  ],
  [
    'POST before C',
    ({ app, owner, content }, list) =>
      requestWith(app, owner.token)('POST', tracksUrl(list), { ...content, next: trackOf(list, 'C').hashid }),
    order => order.replace('C', '+C'),
  ],
  [
    'POST after B',
    ({ app, owner, content }, list) =>
      requestWith(app, owner.token)('POST', tracksUrl(list), {
        ...content,
        previous: trackOf(list, 'B').hashid,
      }),
    order => order.replace('B', 'B+'),
  ],
  [
    'PUT A after C',
    ({ app, owner }, list) =>
      requestWith(app, owner.token)('PUT', trackUrl(list, 'A'), { previous: trackOf(list, 'C').hashid }),
    order => order.replace('A', '').replace('C', 'CA'),
  ],
  [
    'PUT C before B',
    ({ app, owner }, list) =>
      requestWith(app, owner.token)('PUT', trackUrl(list, 'C'), { next: trackOf(list, 'B').hashid }),
    order => order.replace('C', '').replace('B', 'CB'),
  ],
  [
    'DELETE B',
    ({ app, owner }, list) => requestWith(app, owner.token)('DELETE', trackUrl(list, 'B')),
    order => order.replace('B', ''),
  ],
  [
    'DELETE A',
    ({ app, owner }, list) => requestWith(app, owner.token)('DELETE', trackUrl(list, 'A')),
    order => order.replace('A', ''),
  ],
]

for (const engine of ENGINES) {
  t.test(`the order of playlist tracks on ${engine}`, async t => {
    const database = await createDatabase(t, engine)
    t.teardown(() => database.close())
    const environment = { ...TRACK_SETTINGS, PLAYLIST_MAX_TRACKS: '1000' }
    const app = await startApp(t, { database, environment })

    for (const [damage, order, inflict] of DAMAGES) {
      t.test(`any change repairs a playlist with ${damage}`, async t => {
        const owner = await aUser(database, { permissions: CHANGE_TRACKS })
        const context = { database, app, owner, content: await anEntryVideo(database) }
        const other = await aPlaylistWithTracks(database, owner)
        for (const [name, change, expected] of CHANGES) {
          const playlist = await aPlaylistWithTracks(database, owner, { count: 4 })
          await inflict(database, playlist, other)
          t.ok((await change(context, playlist)).status < 300, name)
          t.equal(await orderOf(database, playlist), expected(order), name)
          t.strictSame(
            await listAll(app, urlIn(playlist, '/forward')),
            await chainOf(database, playlist.id),
            'the API shows this order',
          )
        }
        t.equal(await orderOf(database, other), 'ABC', 'the other playlist stays')
      })
    }

    t.test('random changes do to a playlist what they do to an array', async t => {
      const owner = await aUser(database, { permissions: CHANGE_TRACKS })
      const playlist = await aPlaylist(database, owner.id)
      const content = await anEntryVideo(database)
      const pick = randomNumbers(20_261_125)
      let tracks: string[] = []
      for (let step = 1; step <= 150; step += 1) {
        const change = randomTrackChange(tracks, pick)
        const isOnItself = change.type === 'move' && [change.next, change.previous].includes(change.track)
        const { status, json } = await requestTrackChange(app, owner, playlist, content, change)
        const message = `${step}: ${JSON.stringify(change)}`
        if (isOnItself) {
          t.equal(status, 422, `${message} is before or after itself`)
        } else {
          t.equal(status, change.type === 'add' ? 201 : 200, message)
          tracks = expectedTracks(tracks, change, json.track?.id)
        }
        t.strictSame(await chainOf(database, playlist.id), tracks, message)
      }
      t.ok(tracks.length > 10, `${tracks.length} tracks remain`)

      const backward = [...tracks].reverse()
      t.strictSame(await listAll(app, urlIn(playlist, '/forward')), tracks)
      t.strictSame(await listAll(app, urlIn(playlist, '/backward')), backward)
      for (const at of [0, 1, Math.floor(tracks.length / 2), tracks.length - 1]) {
        const track = { hashid: tracks[at] as string }
        const after = await listAll(app, urlIn(playlist, '/track/{track}/forward', track))
        const before = await listAll(app, urlIn(playlist, '/track/{track}/backward', track))
        t.strictSame(after, tracks.slice(at + 1))
        t.strictSame(before, backward.slice(backward.indexOf(track.hashid) + 1))
      }
    })

    t.test('the server logs no error', async t => t.strictSame(app.logged, []))
  })
}

/** The ids of a list of tracks, from pages of seven. */
async function listAll(app: TestApp, path: string): Promise<string[]> {
  const ids: string[] = []
  let url: string | null = `${path}?page[size]=7`
  while (url !== null) {
    const { json }: Answer = await get(app, url)
    ids.push(...json.tracks.map(({ id }: { id: string }) => id))
    url = json.links.next
  }
  return ids
}
