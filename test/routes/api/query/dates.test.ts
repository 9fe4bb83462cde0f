import t from 'tap'
import { aNotification, anExternalProfile, aPlaylist } from '../../../fixtures/lists.ts'
import { urlOf } from '../../../fixtures/queries.ts'
import { UNLIMITED } from '../../../fixtures/settings.ts'
import { aUser } from '../../../fixtures/users.ts'
import { get, startApp } from '../../../support/app.ts'
import { createDatabase, ENGINES } from '../../../support/databases.ts'

/** What a comparison with its own date says of a row. */
const OF_ITSELF = {
  '': true,
  '-eq': true,
  '-ne': false,
  '-lt': false,
  '-gt': false,
  '-lte': true,
  '-gte': true,
}

for (const engine of ENGINES) {
  t.test(`filters by dates as responses show them on ${engine}`, async t => {
    const database = await createDatabase(t, engine)
    t.teardown(() => database.close())
    const { kysely } = database
    const app = await startApp(t, { database, environment: UNLIMITED })
    const user = await aUser(database, {
      permissions: ['view playlist', 'view notification', 'view external profile'].concat(
        ...['view playlist track', 'view external entry'],
      ),
    })
    const dates = { created_at: '2024-03-05 06:07:08.123456', updated_at: '2025-01-02 03:04:05.000007' }
    const playlist = await aPlaylist(database, user.id)
    await kysely.updateTable('playlists').set(dates).execute()
    await kysely
      .insertInto('playlist_tracks')
      .values({ playlist_id: playlist.id, ...dates })
      .execute()
    await kysely.updateTable('playlist_tracks').set({ hashid: 'abc' }).execute()
    const profile = await anExternalProfile(database, user.id)
    await kysely.updateTable('external_profiles').set(dates).execute()
    const entry = { status: 1, is_favorite: false, score: null, anime_id: null }
    await kysely
      .insertInto('external_entries')
      .values({ profile_id: profile, ...entry, ...dates })
      .execute()
    await aNotification(database, user.id, {
      createdAt: '2024-03-05 06:07:08',
      readAt: '2024-04-05 06:07:08',
    })
    const tokenDates = {
      ...{ created_at: '2026-02-05 06:07:08.123456', updated_at: dates.updated_at },
      ...{ last_used_at: '2026-02-06 02:02:02', expires_at: '2031-01-01 00:00:00' },
    }
    await kysely.updateTable('personal_access_tokens').set(tokenDates).execute()
    const event = { event: 'login', details: '{}', created_at: dates.created_at }
    await kysely
      .insertInto('account_events')
      .values({ user_id: user.id, ...event })
      .execute()

    const both = ['created_at', 'updated_at']
    for (const [path, type, plural, fields] of [
      ['/api/me/playlist', 'playlist', 'playlists', both],
      ['/api/playlist', 'playlist', 'playlists', both],
      [`/api/playlist/${playlist.hashid}/track`, 'track', 'tracks', both],
      ['/api/me/externalprofile', 'externalprofile', 'externalprofiles', both],
      [`/api/externalprofile/${profile}/externalentry`, 'externalentry', 'externalentries', both],
      ['/api/me/notification', 'notification', 'notifications', [...both, 'read_at']],
      ['/api/me/token', 'token', 'tokens', [...both, 'last_used_at', 'expires_at']],
      ['/api/me/activity', 'activity', 'activities', ['created_at']],
    ] as const) {
      await t.test(`${path}: ${fields.join(', ')}`, async t => {
        const list = async (query: Readonly<Record<string, string>>) => {
          const { status, json } = await get(app, urlOf(path, query), user.token)
          t.equal(status, 200, JSON.stringify({ query, json }))
          return json[plural]
        }
        const [shown] = await list({ [`fields[${type}]`]: fields.join() })
        for (const field of fields) {
          t.match(shown[field], /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z$/)
          for (const [comparison, isFound] of Object.entries(OF_ITSELF)) {
            const filter = { [`filter[${type}][${field}${comparison}]`]: shown[field] }
            t.equal((await list(filter)).length, isFound ? 1 : 0, JSON.stringify(filter))
          }
          t.equal((await list({ [`filter[${field}]`]: `${shown[field]},2001` })).length, 1, 'in a list')
          t.equal(
            (await list({ [`filter[${field}-not]`]: `${shown[field]},2001` })).length,
            0,
            'not in a list',
          )
        }
      })
    }

    await t.test('a date of an included row', async t => {
      const query = { include: 'tracks', 'fields[track]': 'created_at' }
      const tracksFor = async (filter: Readonly<Record<string, string>>) =>
        (await get(app, urlOf('/api/me/playlist', { ...query, ...filter }), user.token)).json.playlists[0]
          .tracks
      const [{ created_at }] = await tracksFor({})
      t.equal((await tracksFor({ 'filter[track][created_at]': created_at })).length, 1)
      t.equal((await tracksFor({ 'filter[track][created_at-ne]': created_at })).length, 0)
    })

    await t.test('dates at the ends of what the database can store', async t => {
      for (const stored of [
        '4714-11-24 00:00:00 BC',
        '0001-02-29 01:02:03.000004 BC',
        '0044-03-15 00:00:00 BC',
        '0001-01-01 00:00:00',
        '10000-02-29 00:00:00',
        '294276-12-31 23:59:59.999999',
      ]) {
        await kysely.updateTable('playlists').set({ created_at: stored }).execute()
        const fields = { 'fields[playlist]': 'created_at' }
        const [{ created_at: shown }] = (await get(app, urlOf('/api/playlist', fields))).json.playlists
        // A client that does not encode the sign sends a space.
        for (const value of [shown, shown.replace('+', ' ')]) {
          const { json } = await get(app, urlOf('/api/playlist', { 'filter[created_at]': value }))
          t.equal(json.playlists?.length, 1, `${stored} as ${value}`)
        }
      }
      for (const beyond of [
        '-004713-11-23T23:59:59.999999Z',
        '-004714-12-31T00:00:00.000000Z',
        '+294277-01-01T00:00:00.000000Z',
        '-999999-01-01T00:00:00.000000Z',
        '+010001-02-29T00:00:00.000000Z',
      ]) {
        const { status, json } = await get(app, urlOf('/api/playlist', { 'filter[created_at]': beyond }))
        t.equal(status, 422, beyond)
        t.strictSame(json.errors, {
          'filter.created_at': ['The filter.created at does not match the format Y-m-d\\TH:i:s.u.'],
        })
      }
    })

    await t.test(
      "a date in the database's format, as GET /me shows when a second factor was confirmed",
      async t => {
        await kysely.updateTable('users').set({ two_factor_confirmed_at: '2026-03-01 12:34:56' }).execute()
        await kysely.updateTable('playlists').set({ created_at: '2026-03-01 12:34:56' }).execute()
        const { json } = await get(app, '/api/me', user.token)
        const value = json.user.two_factor_confirmed_at
        t.equal(value, '2026-03-01 12:34:56')
        const found = await get(app, urlOf('/api/playlist', { 'filter[created_at]': value }))
        t.equal(found.json.playlists.length, 1)
      },
    )
  })
}
