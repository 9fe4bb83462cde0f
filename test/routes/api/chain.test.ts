import t from 'tap'
import type { Database } from '#src/database/connect.ts'
import { databaseOver } from '#src/database/connect.ts'
import { postgresSource } from '#src/database/postgres.ts'
import { anEntryVideo, aPlaylist, chainOf } from '../../fixtures/lists.ts'
import { aUser, type TestUser } from '../../fixtures/users.ts'
import { type Answer, get, send, startApp, type TestApp } from '../../support/app.ts'
import { createDatabase, createPostgresDatabase, ENGINES } from '../../support/databases.ts'

const UNLIMITED = { RATE_LIMIT_AUTHENTICATED: '100000', PLAYLIST_MAX_TRACKS: '100000' }
const OWNER = ['view', 'create', 'update', 'delete'].map(verb => `${verb} playlist track`)

/** Numbers that look random, and are the same in every run (mulberry32). */
function numbers(seed: number): (below: number) => number {
  let state = seed
  return below => {
    state = (state + 0x6d2b79f5) | 0
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state)
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed
    return ((mixed ^ (mixed >>> 14)) >>> 0) % below
  }
}

/** What is done to a playlist's tracks. */
type Operation =
  | { does: 'add'; next?: string; previous?: string }
  | { does: 'move'; track: string; next?: string; previous?: string }
  | { does: 'remove'; track: string }

/** Any operation on the tracks that there are, rarely one that removes. */
function anyOperation(tracks: readonly string[], pick: (below: number) => number): Operation {
  const one = () => tracks[pick(tracks.length)] as string
  const place = () => (pick(2) === 0 ? { next: one() } : { previous: one() })
  if (tracks.length === 0) return { does: 'add' }
  const kind = pick(10)
  if (kind < 2) return { does: 'add' }
  if (kind < 5) return { does: 'add', ...place() }
  return kind < 9 ? { does: 'move', track: one(), ...place() } : { does: 'remove', track: one() }
}

/** A playlist of somebody who may do everything with it. */
async function ownPlaylist(database: Database) {
  const owner = await aUser(database, { permissions: OWNER })
  const playlist = await aPlaylist(database, owner.id)
  const content = await anEntryVideo(database)
  const path = `/api/playlist/${playlist.hashid}/track`
  const perform = (app: TestApp, operation: Operation): Promise<Answer> => {
    const headers = { authorization: `Bearer ${owner.token}` }
    const { does, ...rest } = operation
    if (does === 'add') return send(app, 'POST', path, { headers, payload: { ...content, ...rest } })
    const { track, ...place } = rest as { track: string }
    return does === 'move'
      ? send(app, 'PUT', `${path}/${track}`, { headers, payload: place })
      : send(app, 'DELETE', `${path}/${track}`, { headers })
  }
  return { owner, playlist, perform }
}

/** The list that an operation makes of another one, by the simplest means. */
function expectedAfter(tracks: readonly string[], operation: Operation, added: string): string[] {
  const moved = operation.does === 'add' ? added : operation.track
  const rest = tracks.filter(track => track !== moved)
  if (operation.does === 'remove') return rest
  const { next, previous } = operation
  const index =
    next !== undefined
      ? rest.indexOf(next)
      : previous !== undefined
        ? rest.indexOf(previous) + 1
        : rest.length
  return [...rest.slice(0, index), moved, ...rest.slice(index)]
}

for (const engine of ENGINES) {
  t.test(`whatever is done to a playlist on ${engine}`, async t => {
    const database = await createDatabase(t, engine)
    t.teardown(() => database.close())
    const app = await startApp(t, { database, environment: UNLIMITED })

    t.test('one after the other, its tracks are what a list would be', async t => {
      const pick = numbers(20_261_125)
      const { owner, playlist, perform } = await ownPlaylist(database)
      let tracks: string[] = []
      for (let count = 0; count < 150; count += 1) {
        const operation = anyOperation(tracks, pick)
        const isOnItself =
          operation.does === 'move' && [operation.next, operation.previous].includes(operation.track)
        const { status, json } = await perform(app, operation)
        if (isOnItself) {
          t.equal(status, 422, 'nothing stands beside itself')
        } else {
          if (status >= 300) t.fail(`${JSON.stringify(operation)}: ${status} ${JSON.stringify(json)}`)
          tracks = expectedAfter(tracks, operation, json.track?.id)
        }
        const chain = await chainOf(database, playlist.id)
        if (String(chain) !== String(tracks)) {
          t.strictSame(chain, tracks, `${count}: ${JSON.stringify(operation)}`)
          return
        }
      }
      t.ok(tracks.length > 10, `${tracks.length} are left`)
      await sequences(app, owner, playlist.hashid, tracks)
    })

    /** What the API tells of the order, in pages of seven. */
    async function sequences(app: TestApp, { token }: TestUser, hashid: string, tracks: readonly string[]) {
      const listed = async (path: string) => {
        const ids: string[] = []
        let url: string | null = `/api/playlist/${hashid}${path}?page[size]=7`
        while (url !== null) {
          const { json }: Answer = await get(app, url, token)
          ids.push(...json.tracks.map(({ id }: { id: string }) => id))
          url = json.links.next
        }
        return ids
      }
      const backward = [...tracks].reverse()
      t.strictSame(await listed('/forward'), tracks)
      t.strictSame(await listed('/backward'), backward)
      for (const at of [0, 1, Math.floor(tracks.length / 2), tracks.length - 1]) {
        const track = tracks[at] as string
        t.strictSame(await listed(`/track/${track}/forward`), tracks.slice(at + 1))
        t.strictSame(await listed(`/track/${track}/backward`), backward.slice(backward.indexOf(track) + 1))
      }
    }

    t.test('at the same time, nothing that was acknowledged is lost', async t => {
      const { playlist, perform } = await ownPlaylist(database)
      await atOnce(t, { apps: [app], database, playlistId: playlist.id, perform, count: 200 })
    })
  })
}

/** More at once would wait for their turn for longer than anybody waits. */
const AT_ONCE = 50

/** Does many things to a playlist, many of them at once, and looks at what has come of it. */
async function atOnce(
  t: import('tap').Test,
  {
    apps,
    database,
    playlistId,
    perform,
    count,
  }: {
    apps: readonly TestApp[]
    database: Pick<Database, 'kysely'>
    playlistId: number
    perform: (app: TestApp, operation: Operation) => Promise<Answer>
    count: number
  },
) {
  const pick = numbers(count)
  const appOf = (index: number) => apps[index % apps.length] as TestApp
  const performAll = async (operations: readonly Operation[]) => {
    const answers: Answer[] = []
    let next = 0
    const worker = async () => {
      while (next < operations.length) {
        const index = next++
        answers[index] = await perform(appOf(index), operations[index] as Operation)
      }
    }
    await Promise.all(Array.from({ length: AT_ONCE }, worker))
    return answers
  }
  const first = await performAll(Array.from({ length: count / 4 }, () => ({ does: 'add' })))
  const start = first.map(({ json }) => json.track.id as string)
  t.equal((await chainOf(database, playlistId)).length, start.length)

  const operations = Array.from({ length: count }, () => anyOperation(start, pick))
  const answers = await performAll(operations)

  const chain = new Set(await chainOf(database, playlistId))
  const removed = new Set<string>()
  const added: string[] = []
  const refused = new Map<number, number>()
  answers.forEach(({ status, json }, index) => {
    const operation = operations[index] as Operation
    if (status >= 300) refused.set(status, (refused.get(status) ?? 0) + 1)
    else if (operation.does === 'add') added.push(json.track.id)
    else if (operation.does === 'remove') removed.add(operation.track)
  })
  const acknowledged = answers.filter(({ status }) => status < 300).length
  t.ok(acknowledged > count / 2, `${acknowledged} of ${count} were acknowledged`)
  t.strictSame(
    [...refused.keys()].filter(status => status !== 404 && status !== 422),
    [],
    'only what was gone already is refused',
  )
  const wanted = [...start.filter(id => !removed.has(id)), ...added]
  t.strictSame([...chain].sort(), wanted.sort(), 'all that was added is there, and nothing that was removed')
}

t.test('a thousand changes at once by two instances', async t => {
  const url = await createPostgresDatabase(t)
  const [one, other] = [0, 1].map(() =>
    databaseOver({ ...postgresSource(url, () => {}), open: async () => {} }),
  ) as [Database, Database]
  t.teardown(() => Promise.all([one.close(), other.close()]))
  const apps = [
    await startApp(t, { database: one, environment: UNLIMITED }),
    await startApp(t, { database: other, environment: UNLIMITED }),
  ]
  const { playlist, perform } = await ownPlaylist(one)
  await atOnce(t, { apps, database: one, playlistId: playlist.id, perform, count: 1000 })
})
