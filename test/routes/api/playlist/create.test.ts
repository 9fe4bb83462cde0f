import t from 'tap'
import { errorsOf, invalidFieldsOf, UNAUTHORIZED } from '../../../fixtures/answers.ts'
import { CREDENTIALS, statusAndBody, withToken } from '../../../fixtures/callers.ts'
import { PLAYLIST_FEATURE, whileFeatureIsOff } from '../../../fixtures/features.ts'
import { aPlaylist } from '../../../fixtures/lists.ts'
import { EMOJI, INVALID_VALUES, UNKNOWN_FIELDS, VISIBILITY_VALUES } from '../../../fixtures/playlist-input.ts'
import {
  countPlaylists,
  encodeHashid,
  NEW_PLAYLIST,
  onePlaylist,
  PLAYLIST_PATH,
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

const TOO_MANY = [403, { message: "User cannot have more than '3' playlists." }]

for (const engine of ENGINES) {
  t.test(`creating playlists on ${engine}`, async t => {
    const database = await createDatabase(t, engine)
    t.teardown(() => database.close())
    const app = await startUnlimited(t, database)
    const limited = await startUnlimited(t, database, { USER_MAX_PLAYLISTS: '3' })

    /** Adds a user who may create playlists, and returns a function that sends the request. */
    async function aCreator() {
      const user = await aUser(database, { permissions: ['create playlist', 'view playlist'] })
      const caller = withToken(app, user)
      const create = (payload?: object | string, query: Query = {}, headers: Record<string, string> = {}) =>
        caller('POST', urlOf(PLAYLIST_PATH, query), payload, headers)
      return { user, create }
    }

    for (const [how, as] of CREDENTIALS) {
      t.test(`a new playlist ${how} belongs to the caller, and an unlisted one has a random id`, async t => {
        const user = await aMember(database, { permissions: ['create playlist'] })
        const input = { ...NEW_PLAYLIST, description: ' Weekly ' }
        const { status, json } = await (await as(app, user))('POST', PLAYLIST_PATH, input)
        t.equal(status, 201)
        const hashid: string = json.playlist.id
        const { playlist_id, ...row } = await playlistRow(database, hashid)
        t.match(hashid, /^[A-Za-z0-9]{22}$/)
        t.not(hashid, encodeHashid([user.id, playlist_id]))
        t.strictSame(json, {
          playlist: { id: hashid, name: 'Best OPs', description: 'Weekly', visibility: 'Unlisted' },
        })
        t.strictSame(Object.keys(json.playlist), ['id', 'name', 'description', 'visibility'])
        const at = databaseTime(app.clock())
        t.strictSame(row, {
          ...{ created_at: at, updated_at: at, hashid, name: 'Best OPs', visibility: 2, user_id: user.id },
          ...{ description: 'Weekly', first_id: null, last_id: null },
        })
        t.equal(await countPlaylists(database, user.id), 1)
      })
    }

    t.test('name and visibility are required', async t => {
      const { create } = await aCreator()
      const required = {
        message: 'The name field is required. (and 1 more error)',
        errors: {
          name: ['The name field is required.'],
          visibility: ['The visibility field is required.'],
        },
      }
      for (const payload of [undefined, {}, []])
        t.strictSame(statusAndBody(await create(payload)), [422, required], JSON.stringify(payload))
      const form = await create('', {}, FORM)
      t.strictSame(invalidFieldsOf(form), ['name', 'visibility'], 'an empty form')
    })

    t.test('an invalid field returns 422 and creates nothing', async t => {
      const { user, create } = await aCreator()
      for (const [label, field, value, message] of INVALID_VALUES) {
        const answer = await create({ ...NEW_PLAYLIST, [field]: value })
        t.equal(answer.status, 422, `${field}: ${label}`)
        t.strictSame(invalidFieldsOf(answer), [field], `${field}: ${label}`)
        if (message === null) continue
        t.strictSame(answer.json, { message, errors: { [field]: [message] } }, `${field}: ${label}`)
      }
      const several = await create({ name: 7, visibility: 'secret', description: 7 })
      t.strictSame(invalidFieldsOf(several), ['description', 'name', 'visibility'], 'several fields')
      t.equal(await countPlaylists(database, user.id), 0)
    })

    t.test('a visibility is accepted as a label in any case or as a number', async t => {
      const { create } = await aCreator()
      for (const [value, visibility] of VISIBILITY_VALUES) {
        const { status, json } = await create({ name: 'x', visibility: value })
        t.equal(status, 201, JSON.stringify(value))
        t.equal(json.playlist.visibility, VISIBILITIES[visibility], JSON.stringify(value))
        t.equal((await playlistRow(database, json.playlist.id)).visibility, visibility, 'the row')
      }
    })

    t.test(
      'texts are trimmed, up to 192 and 1000 characters long, and an empty description is null',
      async t => {
        const { create } = await aCreator()
        for (const [field, value, stored] of [
          ['name', 'x'.repeat(192), 'x'.repeat(192)],
          ['name', EMOJI.repeat(192), EMOJI.repeat(192)],
          ['name', ` ${'x'.repeat(192)} `, 'x'.repeat(192)],
          ['name', '0', '0'],
          ['name', `<b>"O'Clock"</b> \\ %`, `<b>"O'Clock"</b> \\ %`],
          ['description', 'x'.repeat(1000), 'x'.repeat(1000)],
          ['description', EMOJI.repeat(1000), EMOJI.repeat(1000)],
          ['description', 'two\nlines', 'two\nlines'],
          ['description', '', null],
          ['description', '  ', null],
          ['description', null, null],
        ] as const) {
          const label = `${field}: ${JSON.stringify(value)?.slice(0, 20)}`
          const { status, json } = await create({ ...NEW_PLAYLIST, [field]: value })
          t.equal(status, 201, label)
          t.equal(json.playlist[field], stored, label)
          t.equal((await playlistRow(database, json.playlist.id))[field], stored, `${label}, the row`)
        }
      },
    )

    t.test('a user can have two playlists of one name', async t => {
      const { create } = await aCreator()
      const [first, second] = [await create(NEW_PLAYLIST), await create(NEW_PLAYLIST)]
      t.not(first.json.playlist.id, second.json.playlist.id)
    })

    t.test('unknown fields are ignored: no playlist is created for another user', async t => {
      const { user, create } = await aCreator()
      const other = await aUser(database)
      const inBody = await create({ ...NEW_PLAYLIST, ...UNKNOWN_FIELDS, user_id: other.id })
      t.equal(inBody.status, 201)
      t.match(await playlistRow(database, inBody.json.playlist.id), {
        ...{ user_id: user.id, first_id: null, last_id: null, visibility: 2 },
        created_at: databaseTime(app.clock()),
      })
      const inQuery = await create(NEW_PLAYLIST, { user_id: other.id, hashid: 'mine' })
      t.equal((await playlistRow(database, inQuery.json.playlist.id)).user_id, user.id)
      t.equal(await countPlaylists(database, other.id), 0)
    })

    t.test('parameters are read from body and query string, and the body takes precedence', async t => {
      const { user, create } = await aCreator()
      for (const [label, query, body, expected] of [
        [
          'the query',
          { ...NEW_PLAYLIST, description: 'Weekly' },
          undefined,
          { ...NEW_PLAYLIST, description: 'Weekly' },
        ],
        ['the query with an empty body', { ...NEW_PLAYLIST }, {}, NEW_PLAYLIST],
        [
          'numbers in the query',
          { name: '7', visibility: 1 },
          undefined,
          { name: '7', visibility: 'Private' },
        ],
        [
          'white space in the query',
          { name: ' x ', visibility: ' Public ' },
          undefined,
          { name: 'x', visibility: 'Public' },
        ],
        [
          'query and body',
          { name: 'query' },
          { visibility: 'Public' },
          { name: 'query', visibility: 'Public' },
        ],
        [
          'a name in both',
          { name: 'query', visibility: 'Public' },
          { name: 'body' },
          { name: 'body', visibility: 'Public' },
        ],
        [
          'a description in both, null in the body',
          { ...NEW_PLAYLIST, description: 'query' },
          { description: null },
          { ...NEW_PLAYLIST, description: null },
        ],
        ['a fieldset', { 'fields[playlist]': 'name' }, NEW_PLAYLIST, NEW_PLAYLIST],
        ['includes', { include: 'tracks,user' }, NEW_PLAYLIST, NEW_PLAYLIST],
        [
          'invalid parameters of a list',
          { 'fields[x]': 'y', include: 'x', sort: 'x', 'page[size]': 'x' },
          ...[NEW_PLAYLIST, NEW_PLAYLIST],
        ],
      ] as [string, Query, object | undefined, { name: string }][]) {
        const { status, json } = await create(body, query)
        t.equal(status, 201, label)
        const { id, ...rest } = json.playlist
        t.strictSame(rest, { description: null, ...expected }, label)
        t.match(await playlistRow(database, id), { name: expected.name, user_id: user.id }, label)
      }
    })

    t.test('an invalid parameter returns 422 from either place', async t => {
      const { create } = await aCreator()
      for (const [label, query, body, field] of [
        ['null in the body', NEW_PLAYLIST, { name: null }, 'name'],
        ['an empty text in the body', NEW_PLAYLIST, { visibility: '' }, 'visibility'],
        ['an invalid value in the body', NEW_PLAYLIST, { visibility: 'secret' }, 'visibility'],
        ['an invalid value in the query', { ...NEW_PLAYLIST, visibility: 'secret' }, undefined, 'visibility'],
        ['a list in the query', { 'name[]': 'x', visibility: 'Public' }, undefined, 'name'],
        ['a long name in the query', { ...NEW_PLAYLIST, name: 'x'.repeat(193) }, {}, 'name'],
      ] as const) {
        t.strictSame(Object.keys(errorsOf(await create(body, query))), [field], label)
      }
    })

    t.test('a form is accepted, alone or with a query string', async t => {
      const { create } = await aCreator()
      const form = await create('name=A+form+%C3%A4&visibility=1&description=', {}, FORM)
      t.equal(form.status, 201)
      t.match(form.json.playlist, { name: 'A form ä', visibility: 'Private', description: null })
      const withQuery = await create('name=form', NEW_PLAYLIST, FORM)
      t.match(withQuery.json.playlist, { name: 'form', visibility: 'Unlisted' }, 'with a query string')
      const empty = await create('', NEW_PLAYLIST, JSON_TYPE)
      t.equal(empty.status, 201, 'a query string with an empty body of JSON')
    })

    /** Adds a user with the permission to create and some playlists. */
    async function aUserWithPlaylists(count: number, permissions: string[] = []) {
      const user = await aMember(database, { permissions: ['create playlist', ...permissions] })
      for (let i = 0; i < count; i += 1) await aPlaylist(database, user.id)
      return user
    }

    t.test('the quota counts playlists of every visibility, and only those of the user', async t => {
      await aUserWithPlaylists(5)
      for (const [how, as] of CREDENTIALS) {
        const user = await aUserWithPlaylists(0)
        const by = await as(limited, user)
        for (const visibility of [0, 1, 2])
          t.equal(
            (await by('POST', PLAYLIST_PATH, { name: 'x', visibility })).status,
            201,
            `one of three, ${how}`,
          )
        t.strictSame(
          statusAndBody(await by('POST', PLAYLIST_PATH, NEW_PLAYLIST)),
          TOO_MANY,
          `a fourth, ${how}`,
        )
        t.equal(await countPlaylists(database, user.id), 3, how)
      }
    })

    t.test('the quota comes before 422 and after a feature that is off', async t => {
      for (const [how, as] of CREDENTIALS) {
        const by = await as(limited, await aUserWithPlaylists(3))
        t.strictSame(statusAndBody(await by('POST', PLAYLIST_PATH, {})), TOO_MANY, `invalid input, ${how}`)
        await whileFeatureIsOff(database, PLAYLIST_FEATURE, async () => {
          const answer = await by('POST', PLAYLIST_PATH, NEW_PLAYLIST)
          t.strictSame(statusAndBody(answer), [403, UNAUTHORIZED], `the feature is off, ${how}`)
        })
      }
    })

    t.test('after a deletion the user can create another playlist', async t => {
      for (const [how, as] of CREDENTIALS) {
        const user = await aUserWithPlaylists(3, ['delete playlist'])
        const by = await as(limited, user)
        const [first] = await playlistRowsOf(database, user.id)
        await by('DELETE', onePlaylist(first?.hashid ?? ''))
        t.equal((await by('POST', PLAYLIST_PATH, NEW_PLAYLIST)).status, 201, how)
      }
    })

    t.test('the bypass of features ignores the quota, the bypass of authorization does not', async t => {
      for (const [how, as] of CREDENTIALS) {
        const exempt = await as(limited, await aUserWithPlaylists(3, ['bypass feature flags']))
        t.equal((await exempt('POST', PLAYLIST_PATH, NEW_PLAYLIST)).status, 201, how)
      }
      const bypass = withToken(limited, await aUserWithPlaylists(3, ['bypass authorization']))
      t.strictSame(statusAndBody(await bypass('POST', PLAYLIST_PATH, NEW_PLAYLIST)), TOO_MANY)
    })

    t.test('ten concurrent requests do not exceed the quota', async t => {
      // Several rounds, as a race can go well by chance, and in the first round all wait for new connections.
      for (const round of [1, 2, 3, 4, 5]) {
        const user = await aUserWithPlaylists(2)
        const by = withToken(limited, user)
        const answers = await Promise.all(
          Array.from({ length: 10 }, () => by('POST', PLAYLIST_PATH, NEW_PLAYLIST)),
        )
        const refused = answers.filter(({ status }) => status === 403).map(statusAndBody)
        t.strictSame(refused, Array(9).fill(TOO_MANY), `one succeeds in round ${round}`)
        t.equal(await countPlaylists(database, user.id), 3, `the rows of round ${round}`)
      }
    })

    t.test('concurrent requests without a quota create playlists with different ids', async t => {
      const exempt = withToken(limited, await aUserWithPlaylists(0, ['bypass feature flags']))
      const answers = await Promise.all(
        Array.from({ length: 10 }, () => exempt('POST', PLAYLIST_PATH, NEW_PLAYLIST)),
      )
      t.equal(new Set(answers.map(({ json }) => json.playlist.id)).size, 10)
    })
  })
}
