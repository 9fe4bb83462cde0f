import t from 'tap'
import { commandLine } from '../fixtures/command-line.ts'
import { addTracks, aPlaylist, chainOf, PANEL_NOTIFICATION, SYNCED } from '../fixtures/lists.ts'
import { aUser } from '../fixtures/users.ts'
import { get, send, startApp } from '../support/app.ts'

const { database, command } = await commandLine(t)

t.test('notification send adds a notification, and refuses invalid types and data', async t => {
  const user = await aUser(database, { permissions: ['view notification'] })
  const app = await startApp(t, { database })
  const sendNotification = (email: string, type: string, data: string) =>
    command('notification', 'send', '--email', email, '--type', type, '--data', data)
  const data = '{"profileId":3,"profileName":"alice"}'
  const { out, error } = await sendNotification(user.email.toUpperCase(), SYNCED, data)
  t.equal(error, null)
  const { json } = await get(
    app,
    '/api/me/notification?fields[notification]=id,data,read_at,created_at',
    user.token,
  )
  t.strictSame(json.notifications, [
    {
      created_at: '2026-03-01T12:00:00.000000Z',
      id: /[0-9a-f-]{36}/.exec(out[0] ?? '')?.[0],
      data: { profileId: 3, profileName: 'alice' },
      read_at: null,
    },
  ])
  t.match(
    (await sendNotification('unknown@example.org', SYNCED, data)).error,
    'There is no user with the e-mail address',
  )
  for (const [type, invalid, expected] of [
    ['no class', data, '--type'],
    [PANEL_NOTIFICATION, data, '--type'],
    ['x'.repeat(256), data, '--type'],
    [SYNCED, '[]', '--data'],
    [SYNCED, '"text"', '--data'],
    [SYNCED, '{', '--data'],
    [SYNCED, `{"a":"${'x'.repeat(10_000)}"}`, '--data'],
  ] as const) {
    const { err, error } = await sendNotification(user.email, type, invalid)
    t.match(error, expected)
    t.match(err, [expected])
  }
  t.equal((await get(app, '/api/me/notification', user.token)).json.notifications.length, 1)
})

t.test('feature on and feature off switch a feature at once', async t => {
  const { database, command } = await commandLine(t)
  const user = await aUser(database, { permissions: ['create playlist'] })
  const app = await startApp(t, { database })
  const createPlaylist = async () =>
    (
      await send(app, 'POST', '/api/playlist?name=a&visibility=public', {
        headers: { authorization: `Bearer ${user.token}` },
      })
    ).status
  const listFeatures = async () =>
    (await command('feature', 'list')).out.slice(1).map(line => line.split(/ +/))
  t.equal(await createPlaylist(), 201, 'on by default')
  t.strictSame(await listFeatures(), [
    ['playlists', 'on'],
    ['externalprofiles', 'on'],
  ])
  t.strictSame((await command('feature', 'off', 'playlists')).out, ['Turned off: playlists.'])
  t.equal(await createPlaylist(), 403, 'turned off')
  t.strictSame(await listFeatures(), [
    ['playlists', 'off'],
    ['externalprofiles', 'on'],
  ])
  await command('feature', 'on', 'playlists')
  t.equal(await createPlaylist(), 201)
  for (const [value, status] of [
    ['false', 403],
    ['true', 201],
    ['', 403],
    ['nonsense', 403],
  ] as const) {
    await database.kysely.updateTable('features').set({ value }).execute()
    t.equal(await createPlaylist(), status, `${value} in the row`)
  }
  t.match(
    (await command('feature', 'off', 'everything')).error,
    /Allowed choices are playlists, externalprofiles/,
  )
})

t.test('playlist repair restores broken chains of tracks', async t => {
  const { database, command } = await commandLine(t)
  const { kysely } = database
  const { id: userId } = await aUser(database)
  const repair = async () => (await command('playlist', 'repair')).out
  const createPlaylist = async () => {
    const { id } = await aPlaylist(database, userId)
    const tracks = await addTracks(database, id, [1, 2, 3, 4])
    const order = (...indexes: number[]) => indexes.map(index => tracks[index]?.hashid)
    return { id, ids: tracks.map(track => track.id), order }
  }
  const [intact, flat, crossed, cut, headless] = [
    await createPlaylist(),
    await createPlaylist(),
    await createPlaylist(),
    await createPlaylist(),
    await createPlaylist(),
  ]
  const updateTrack = (id: number | undefined, values: object) =>
    kysely.updateTable('playlist_tracks').set(values).where('track_id', '=', Number(id)).execute()
  const updateEnds = (id: number, values: object) =>
    kysely.updateTable('playlists').set(values).where('playlist_id', '=', id).execute()

  await aPlaylist(database, userId)
  t.strictSame(await repair(), ['All playlists are in order.'])
  await kysely
    .updateTable('playlist_tracks')
    .set({ position: 1 })
    .where('playlist_id', '=', flat.id)
    .execute()
  await updateTrack(crossed.ids[0], { next_id: crossed.ids[2] })
  await updateTrack(crossed.ids[2], { next_id: crossed.ids[0] })
  await updateTrack(cut.ids[1], { next_id: null })
  await updateEnds(headless.id, { first_id: null, last_id: headless.ids[0] })
  await t.rejects(chainOf(database, crossed.id))

  t.strictSame(await repair(), ['Repaired 4 playlists.'])
  t.strictSame(await chainOf(database, intact.id), intact.order(0, 1, 2, 3))
  t.strictSame(await chainOf(database, flat.id), flat.order(0, 1, 2, 3), 'in the order of the links')
  t.strictSame(await chainOf(database, crossed.id), crossed.order(0, 2, 1, 3), 'unlinked tracks are appended')
  t.strictSame(await chainOf(database, cut.id), cut.order(0, 1, 2, 3))
  t.strictSame(await chainOf(database, headless.id), headless.order(0, 1, 2, 3))
  t.strictSame(await repair(), ['All playlists are in order.'], 'a repair is complete')
  await updateTrack(cut.ids[3], { position: 9 })
  t.strictSame(await repair(), ['Repaired 1 playlist.'])
})
