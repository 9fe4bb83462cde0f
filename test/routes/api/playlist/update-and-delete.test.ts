import t from 'tap'
import { invalidFieldsOf, NOT_FOUND } from '../../../fixtures/answers.ts'
import { CREDENTIALS, inSession, statusAndBody, withToken } from '../../../fixtures/callers.ts'
import { MINUTE } from '../../../fixtures/clock.ts'
import { addTracks, aPlaylist } from '../../../fixtures/lists.ts'
import { EMOJI, INVALID_VALUES, UNKNOWN_FIELDS, VISIBILITY_VALUES } from '../../../fixtures/playlist-input.ts'
import {
  onePlaylist,
  PRIVATE,
  playlistJson,
  playlistRow,
  playlistRowsOf,
  VISIBILITIES,
} from '../../../fixtures/playlists.ts'
import { urlOf } from '../../../fixtures/queries.ts'
import { FORM, JSON_TYPE } from '../../../fixtures/requests.ts'
import { startUnlimited } from '../../../fixtures/server.ts'
import { databaseTime } from '../../../fixtures/timestamps.ts'
import { aMember, aUser } from '../../../fixtures/users.ts'
import { createDatabase, ENGINES } from '../../../support/databases.ts'

type Query = Readonly<Record<string, string | number>>

const ORIGINAL = { name: 'Before', description: 'As it was', visibility: PRIVATE }
type Change = Partial<typeof ORIGINAL | { description: null }>
const CREATED_AT = '2026-02-01 00:00:00'
/** The id of a user in the input, which must not become the owner. */
const OTHER_USER = 1

/** Requests that change a playlist: parameters in query string and body, and what changes in the row. */
const CHANGES = [
  ['the name', {}, { name: 'After' }, { name: 'After' }],
  ['a name with white space around it', {}, { name: ' After ' }, { name: 'After' }],
  ['the description', {}, { description: 'Another' }, { description: 'Another' }],
  ['the visibility', {}, { visibility: 'Public' }, { visibility: 0 }],
  [
    'all fields',
    {},
    { name: 'After', description: 'x', visibility: 2 },
    { name: 'After', description: 'x', visibility: 2 },
  ],
  ['null clears the description', {}, { description: null }, { description: null }],
  ['an empty text clears the description', {}, { description: '' }, { description: null }],
  ['white space clears the description', {}, { description: '  ' }, { description: null }],
  ['a name of 192 characters', {}, { name: 'x'.repeat(192) }, { name: 'x'.repeat(192) }],
  ['a name of 192 emoji', {}, { name: EMOJI.repeat(192) }, { name: EMOJI.repeat(192) }],
  [
    'a description of 1000 emoji',
    {},
    { description: EMOJI.repeat(1000) },
    { description: EMOJI.repeat(1000) },
  ],
  ['one of all fields', {}, { ...ORIGINAL, name: 'After' }, { name: 'After' }],
  ['the query', { name: 'After', visibility: 0 }, undefined, { name: 'After', visibility: 0 }],
  ['the query with an empty body', { name: 'After' }, {}, { name: 'After' }],
  [
    'an empty text in the query clears the description',
    { description: '' },
    undefined,
    { description: null },
  ],
  [
    'the body takes precedence',
    { name: 'query', visibility: 0 },
    { name: 'body' },
    { name: 'body', visibility: 0 },
  ],
  [
    'null in the body takes precedence',
    { description: 'query' },
    { description: null },
    { description: null },
  ],
  ['a fieldset is ignored', { 'fields[playlist]': 'name' }, { name: 'After' }, { name: 'After' }],
  [
    'unknown fields are ignored',
    {},
    { ...UNKNOWN_FIELDS, user_id: OTHER_USER, name: 'After' },
    { name: 'After' },
  ],
] as [label: string, query: Query, body: object | undefined, change: Change][]

/** Requests that leave a playlist as it is, and its `updated_at` as well. */
const NO_CHANGES = [
  ['an empty body', {}, {}],
  ['no body', {}, undefined],
  ['the same name', {}, { name: 'Before' }],
  ['the same values of all fields', {}, { ...ORIGINAL, visibility: 'private' }],
  ['includes', { include: 'tracks,user' }, {}],
  ['invalid parameters of a list', { 'fields[x]': 'y', include: 'x', q: 'x', 'filter[x]': 'y' }, {}],
  ['unknown fields in the body', {}, { ...UNKNOWN_FIELDS, user_id: OTHER_USER }],
  ['unknown fields in the query', { user_id: OTHER_USER, first_id: 1, id: 'mine' }, {}],
] as [label: string, query: Query, body: object | undefined][]

for (const engine of ENGINES) {
  t.test(`updating and deleting playlists on ${engine}`, async t => {
    const database = await createDatabase(t, engine)
    t.teardown(() => database.close())
    const app = await startUnlimited(t, database)

    /** Adds a user who may update playlists, with a playlist that has two tracks. */
    async function anOwnerWithPlaylist() {
      const user = await aMember(database, { permissions: ['update playlist'] })
      const { id, hashid } = await aPlaylist(database, user.id, ORIGINAL)
      const [first, last] = await addTracks(database, id, [2712, 3814])
      const row = await playlistRow(database, hashid)
      return { user, hashid, row, first, last, owner: withToken(app, user) }
    }

    for (const method of ['PUT', 'PATCH']) {
      t.test(`${method} changes the given fields, and the time of the update`, async t => {
        for (const [label, query, body, change] of CHANGES) {
          const { owner, hashid, row, first, last } = await anOwnerWithPlaylist()
          t.match(row, {
            created_at: CREATED_AT,
            updated_at: CREATED_AT,
            first_id: first?.id,
            last_id: last?.id,
          })
          app.clock.advance(MINUTE)
          const updated_at = databaseTime(app.clock())
          const answer = await owner(method, urlOf(onePlaylist(hashid), query), body)
          const playlist = playlistJson(hashid, { ...ORIGINAL, ...change })
          t.strictSame(statusAndBody(answer), [200, { playlist }], label)
          t.strictSame(
            await playlistRow(database, hashid),
            { ...row, ...change, updated_at },
            `${label}, the row`,
          )
        }
      })

      t.test(`${method} without a change keeps the time of the last update`, async t => {
        for (const [label, query, body] of NO_CHANGES) {
          const { owner, hashid, row, first, last } = await anOwnerWithPlaylist()
          t.match(row, {
            created_at: CREATED_AT,
            updated_at: CREATED_AT,
            first_id: first?.id,
            last_id: last?.id,
          })
          app.clock.advance(MINUTE)
          const answer = await owner(method, urlOf(onePlaylist(hashid), query), body)
          t.strictSame(statusAndBody(answer), [200, { playlist: playlistJson(hashid, ORIGINAL) }], label)
          t.strictSame(await playlistRow(database, hashid), row, `${label}, the row`)
        }
      })

      t.test(`${method} changes no other playlist of the user`, async t => {
        const { user, owner, hashid } = await anOwnerWithPlaylist()
        const other = await aPlaylist(database, user.id, ORIGINAL)
        await owner(method, onePlaylist(hashid), { name: 'After' })
        t.match(await playlistRow(database, other.hashid), { ...ORIGINAL, updated_at: CREATED_AT })
      })

      t.test(`${method} with an invalid field returns 422 and changes nothing`, async t => {
        const { owner, hashid, row } = await anOwnerWithPlaylist()
        for (const [label, field, value, message] of INVALID_VALUES) {
          const answer = await owner(method, onePlaylist(hashid), { name: 'After', [field]: value })
          t.equal(answer.status, 422, `${field}: ${label}`)
          t.strictSame(invalidFieldsOf(answer), [field], `${field}: ${label}`)
          if (message === null) continue
          t.strictSame(answer.json, { message, errors: { [field]: [message] } }, `${field}: ${label}`)
        }
        t.strictSame(await playlistRow(database, hashid), row)
      })

      t.test(`${method} accepts a visibility as a label in any case or as a number`, async t => {
        const { owner, hashid } = await anOwnerWithPlaylist()
        for (const [value, visibility] of VISIBILITY_VALUES) {
          const { json } = await owner(method, onePlaylist(hashid), { visibility: value })
          t.equal(json.playlist?.visibility, VISIBILITIES[visibility], JSON.stringify(value))
          t.equal((await playlistRow(database, hashid)).visibility, visibility, 'the row')
        }
      })

      t.test(`${method} accepts forms, and empty bodies of forms and of JSON`, async t => {
        const { owner, hashid } = await anOwnerWithPlaylist()
        const send = (body: string, headers: Record<string, string>) =>
          owner(method, onePlaylist(hashid), body, headers)
        const expected = [200, { playlist: playlistJson(hashid, { name: 'A form' }) }]
        const form = await send('name=A+form&visibility=0&description=', FORM)
        t.strictSame(statusAndBody(form), expected)
        t.strictSame(statusAndBody(await send('', FORM)), expected, 'an empty form')
        t.strictSame(statusAndBody(await send('', JSON_TYPE)), expected, 'an empty body of JSON')
      })

      t.test(`${method} in a session changes the playlist`, async t => {
        const { user, hashid } = await anOwnerWithPlaylist()
        const owner = await inSession(app, user)
        const { json } = await owner(method, onePlaylist(hashid), { name: 'In a session' })
        t.equal(json.playlist?.name, 'In a session')
      })
    }

    t.test('concurrent updates of different fields do not revert each other', async t => {
      const user = await aUser(database, { permissions: ['update playlist'] })
      const { hashid } = await aPlaylist(database, user.id)
      const owner = withToken(app, user)
      const answers = await Promise.all([
        ...Array.from({ length: 5 }, () => owner('PUT', onePlaylist(hashid), { name: 'After' })),
        ...Array.from({ length: 5 }, () => owner('PUT', onePlaylist(hashid), { description: 'Another' })),
      ])
      t.strictSame(
        answers.map(({ status }) => status),
        Array(10).fill(200),
      )
      t.match(await playlistRow(database, hashid), { name: 'After', description: 'Another' })
    })

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

    t.test(
      'of five concurrent DELETE requests one removes the playlist, and the others return 404',
      async t => {
        const user = await aUser(database, { permissions: ['delete playlist'] })
        const owner = withToken(app, user)
        const { hashid } = await aPlaylist(database, user.id)
        const answers = await Promise.all(
          Array.from({ length: 5 }, () => owner('DELETE', onePlaylist(hashid))),
        )
        t.strictSame(answers.map(({ status }) => status).toSorted(), [200, 404, 404, 404, 404])
      },
    )
  })
}
