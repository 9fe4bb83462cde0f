import t from 'tap'
import { aLoggedInUser, TestBrowser } from '../../fixtures/browser.ts'
import { addTracks, anEntryVideo, anExternalProfile, aPlaylist, chainOf } from '../../fixtures/lists.ts'
import { UNLIMITED } from '../../fixtures/settings.ts'
import { aUser } from '../../fixtures/users.ts'
import { get, startApp, type TestApp } from '../../support/app.ts'
import { createDatabase, ENGINES, type TestDatabase } from '../../support/databases.ts'

/** What the website includes of a track on the page of a playlist. */
const TRACK_INCLUDES = [
  'animethemeentry.animetheme.anime.images',
  'animethemeentry.animetheme.song.artists',
  'animethemeentry.animetheme.group',
  'video.audio',
].join()

const PLAYLIST_FIELDS = 'fields[playlist]=id,name,description,visibility,tracks_count'

/** A user who is logged in on the website, with functions that send the website's requests. */
async function aWebsiteUser(app: TestApp, database: TestDatabase) {
  const { user, browser } = await aLoggedInUser(app, database, { roles: ['Verified'] })
  const call = async (method: string, path: string, payload?: object) => {
    const { status, json } = await browser.send(method, `/api${path}`, { ...(payload && { payload }) })
    return { status, json }
  }
  /** The items of all pages of a list. */
  const fetchAll = async (path: string, plural: string) => {
    const items = []
    for (let next: string | null = path; next !== null; ) {
      const { json } = await browser.get(next.startsWith('http') ? next : `/api${next}`)
      items.push(...json[plural])
      next = json.links.next
    }
    return items
  }
  /** Creates a playlist with a track for each of some new videos. */
  const createPlaylist = async (name: string, videos: number) => {
    const { id } = (await call('POST', '/playlist', { name, visibility: 'PUBLIC' })).json.playlist
    const pairs = []
    for (let n = 0; n < videos; n += 1) {
      const pair = await anEntryVideo(database)
      await call('POST', `/playlist/${id}/track`, pair)
      pairs.push(pair)
    }
    const { playlist_id } = await database.kysely
      .selectFrom('playlists')
      .select('playlist_id')
      .where('hashid', '=', id)
      .executeTakeFirstOrThrow()
    return { id: id as string, pairs, chain: () => chainOf(database, playlist_id) }
  }
  return { user, call, fetchAll, createPlaylist }
}

for (const engine of ENGINES) {
  t.test(`the requests of AnimeThemes' website on ${engine}`, async t => {
    const database = await createDatabase(t, engine)
    t.teardown(() => database.close())
    const app = await startApp(t, { database, environment: UNLIMITED })

    await t.test('the website creates a playlist', async t => {
      const { call } = await aWebsiteUser(app, database)
      const created = await call('POST', '/playlist', { name: 'Best OPs', visibility: 'PUBLIC' })
      t.equal(created.status, 201)
      t.match(created.json.playlist, { name: 'Best OPs', description: null, visibility: 'Public' })
    })

    await t.test('the website adds a video to a playlist, and shows the reason when that fails', async t => {
      const { call, createPlaylist } = await aWebsiteUser(app, database)
      const { id } = await createPlaylist('Best OPs', 0)
      const pairs = [await anEntryVideo(database), await anEntryVideo(database), await anEntryVideo(database)]
      for (const pair of pairs) {
        const { status, json } = await call('POST', `/playlist/${id}/track`, pair)
        t.equal(status, 201)
        t.match(json, { track: { id: String } })
      }
      const mismatched = { video_id: pairs[0]?.video_id, entry_id: pairs[1]?.entry_id }
      const { status, json } = await call('POST', `/playlist/${id}/track`, mismatched)
      t.equal(status, 422)
      t.equal(json.message, 'The selected entry id is invalid. (and 1 more error)')
    })

    await t.test('the website shows in which own playlists a video is, and as which track', async t => {
      const { fetchAll, createPlaylist } = await aWebsiteUser(app, database)
      const { id, pairs } = await createPlaylist('Best OPs', 2)
      const video = pairs[1]?.video_id
      const path = `/me/playlist?fields[playlist]=id,name,visibility,tracks_count&filter[track][video_id]=${video}`
      t.strictSame(await fetchAll(`${path}&page[size]=25`, 'playlists'), [
        { id, name: 'Best OPs', visibility: 'Public', tracks_count: 1 },
      ])
      const [{ tracks }] = await fetchAll(`${path}&include=tracks&page[size]=25`, 'playlists')
      t.equal(tracks.length, 1)
    })

    await t.test('the website shows a playlist and its owner', async t => {
      const { user, call, fetchAll, createPlaylist } = await aWebsiteUser(app, database)
      const { id } = await createPlaylist('Best OPs', 3)
      const { json } = await call('GET', `/playlist/${id}?${PLAYLIST_FIELDS}&include=user`)
      t.strictSame(json.playlist, {
        id,
        name: 'Best OPs',
        description: null,
        visibility: 'Public',
        tracks_count: 3,
        user: { name: user.name },
      })
      const path = `/playlist?sort=-tracks_count&${PLAYLIST_FIELDS}&filter[playlist][tracks_count-gte]=1`
      const all = await fetchAll(path, 'playlists')
      t.equal(all.find(playlist => playlist.id === id)?.tracks_count, 3)
      const guest = new TestBrowser(app)
      t.equal((await guest.get(`/api/playlist/${id}?${PLAYLIST_FIELDS}`)).status, 200, 'to a guest')
    })

    await t.test('the website shows the tracks of a playlist with their anime', async t => {
      const { call, fetchAll, createPlaylist } = await aWebsiteUser(app, database)
      const { id } = await createPlaylist('Best OPs', 3)
      for (const path of ['/track', '/forward']) {
        const tracks = await fetchAll(
          `/playlist/${id}${path}?include=${TRACK_INCLUDES}&page[size]=2`,
          'tracks',
        )
        t.equal(tracks.length, 3)
        for (const track of tracks) {
          t.match(track, { id: String, animethemeentry: { id: Number, version: 1 }, video: { id: Number } })
        }
        const shown = await call('GET', `/playlist/${id}/track/${tracks[0].id}?include=${TRACK_INCLUDES}`)
        t.strictSame(shown.json.track, tracks[0])
      }
    })

    await t.test('the website moves a track', async t => {
      const { call, createPlaylist } = await aWebsiteUser(app, database)
      const { id, chain } = await createPlaylist('Best OPs', 3)
      const [first, second, third] = (await chain()) as [string, string, string]
      const move = (track: string, place: object) => call('PUT', `/playlist/${id}/track/${track}`, place)
      t.strictSame(await move(third, { next: first }), { status: 200, json: { track: { id: third } } })
      t.strictSame(await chain(), [third, first, second])
      await move(third, { previous: second })
      t.strictSame(await chain(), [first, second, third])
    })

    await t.test('the website removes a track', async t => {
      const { call, createPlaylist } = await aWebsiteUser(app, database)
      const { id, chain } = await createPlaylist('Best OPs', 3)
      const [first, second, third] = (await chain()) as [string, string, string]
      t.equal((await call('DELETE', `/playlist/${id}/track/${second}`)).status, 200)
      t.strictSame(await chain(), [first, third])
    })

    await t.test('the website edits a playlist, which a guest cannot see once it is private', async t => {
      const { call, createPlaylist } = await aWebsiteUser(app, database)
      const { id } = await createPlaylist('Best OPs', 0)
      t.strictSame(await call('PUT', `/playlist/${id}`, { name: 'Best', visibility: 'PRIVATE' }), {
        status: 200,
        json: { playlist: { id, name: 'Best', description: null, visibility: 'Private' } },
      })
      t.match((await call('PUT', `/playlist/${id}`, { description: 'Really.' })).json.playlist, {
        name: 'Best',
        description: 'Really.',
      })
      const guest = await new TestBrowser(app).get(`/api/playlist/${id}`)
      t.equal(guest.status, 404)
      t.equal(guest.json.message, 'Not Found.')
    })

    await t.test('the website deletes a playlist', async t => {
      const { call, createPlaylist } = await aWebsiteUser(app, database)
      const { id } = await createPlaylist('Best', 1)
      t.strictSame(await call('DELETE', `/playlist/${id}`), {
        status: 200,
        json: { message: "Playlist 'Best' was deleted." },
      })
      t.equal((await call('GET', `/playlist/${id}`)).status, 404)
    })

    await t.test('the website shows profiles on other sites', async t => {
      const { user, call, fetchAll } = await aWebsiteUser(app, database)
      const profile = await anExternalProfile(database, user.id, { name: 'alice', site: 1 })
      await anExternalProfile(database, user.id, { name: 'alice', site: 2 })
      const path =
        '/externalprofile?filter[externalprofile][name]=alice&filter[externalprofile][site]=AniList'
      t.strictSame(
        (await fetchAll(path, 'externalprofiles')).map(item => item.id),
        [profile],
      )
      const { json } = await call('GET', `/externalprofile/${profile}?include=externalentries.anime.images`)
      t.strictSame(json.externalprofile.externalentries, [])
    })

    await t.test('the website shows the user with permissions, by a bearer token', async t => {
      const user = await aUser(database, { roles: ['Verified'] })
      for (const include of ['permissions,roles.permissions', 'roles.permissions,permissions']) {
        const { json } = await get(
          app,
          `/api/me?fields[user]=id,name,email,email_verified_at,created_at&include=${include}`,
          user.token,
        )
        t.match(json.user, {
          id: user.id,
          name: user.name,
          email: user.email,
          created_at: String,
          email_verified_at: String,
        })
        t.strictSame(json.user.permissions, [])
        t.ok(json.user.roles[0].permissions.some(({ name }: { name: string }) => name === 'create playlist'))
      }
      t.equal((await get(app, '/api/me')).status, 401, 'a guest is not logged in')
    })

    await t.test('the website fetches all own playlists page by page, by a bearer token', async t => {
      const user = await aUser(database, { roles: ['Verified'] })
      for (let i = 0; i < 30; i += 1) {
        const { id } = await aPlaylist(database, user.id, { name: `p${i}`, visibility: i % 3 })
        if (i % 10 === 0) await addTracks(database, id, [2712])
      }
      const collected: { tracks_count: number; name: string }[] = []
      let next: string | null =
        '/api/me/playlist?fields[playlist]=id,name,visibility,tracks_count&filter[track][video_id]=2712&page[size]=25'
      while (next !== null) {
        const {
          json,
        }: { json: { playlists: { tracks_count: number; name: string }[]; links: { next: string | null } } } =
          await get(app, next, user.token)
        collected.push(...json.playlists)
        next = json.links.next
      }
      t.equal(collected.length, 30)
      t.equal(collected.filter(({ tracks_count }) => tracks_count === 1).length, 3)
      t.strictSame(Object.keys(collected[0] ?? {}), ['id', 'name', 'visibility', 'tracks_count'])
      const included = await get(app, '/api/me/playlist?include=tracks&page[size]=25', user.token)
      t.equal(included.json.playlists.length, 25)
    })
  })
}
