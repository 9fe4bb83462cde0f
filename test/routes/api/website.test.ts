import t from 'tap'
import { TestBrowser } from '../../fixtures/browser.ts'
import { anEntryVideo, anExternalProfile, chainOf } from '../../fixtures/lists.ts'
import { aUser } from '../../fixtures/users.ts'
import { startApp } from '../../support/app.ts'
import { createDatabase, ENGINES } from '../../support/databases.ts'

/** What the website includes of a track on the page of a playlist. */
const SHOWN = [
  'animethemeentry.animetheme.anime.images',
  'animethemeentry.animetheme.song.artists',
  'animethemeentry.animetheme.group',
  'video.audio',
].join()

for (const engine of ENGINES) {
  t.test(`AnimeThemes' website keeps playlists on ${engine}`, async t => {
    const database = await createDatabase(t, engine)
    t.teardown(() => database.close())
    const environment = { RATE_LIMIT_AUTHENTICATED: '1000', RATE_LIMIT_ANONYMOUS: '1000' }
    const app = await startApp(t, { database, environment })
    const password = 'a password for the website'
    const user = await aUser(database, { roles: ['Verified'], password })
    const browser = new TestBrowser(app)
    await browser.logIn({ email: user.email, password })
    const call = async (method: string, path: string, payload?: object) => {
      const { status, json } = await browser.send(method, `/api${path}`, { ...(payload && { payload }) })
      return { status, json }
    }
    const follow = async (path: string, plural: string) => {
      const items = []
      for (let next: string | null = path; next !== null; ) {
        const { json } = await browser.get(next.startsWith('http') ? next : `/api${next}`)
        items.push(...json[plural])
        next = json.links.next
      }
      return items
    }

    const created = await call('POST', '/playlist', { name: 'Best OPs', visibility: 'PUBLIC' })
    t.equal(created.status, 201)
    t.match(created.json.playlist, { name: 'Best OPs', description: null, visibility: 'Public' })
    const { id } = created.json.playlist
    const { playlist_id } = await database.kysely
      .selectFrom('playlists')
      .select('playlist_id')
      .where('hashid', '=', id)
      .executeTakeFirstOrThrow()

    t.test('adds videos to them', async t => {
      const pairs = [await anEntryVideo(database), await anEntryVideo(database), await anEntryVideo(database)]
      for (const { video_id, entry_id } of pairs) {
        const { status, json } = await call('POST', `/playlist/${id}/track`, { video_id, entry_id })
        t.equal(status, 201)
        t.match(json, { track: { id: String } })
      }
      const wrong = { video_id: pairs[0]?.video_id, entry_id: pairs[1]?.entry_id }
      const { status, json } = await call('POST', `/playlist/${id}/track`, wrong)
      t.equal(status, 422)
      t.equal(
        json.message,
        'The selected entry id is invalid. (and 1 more error)',
        'what went wrong is shown',
      )

      const video = pairs[1]?.video_id
      const mine = `/me/playlist?fields[playlist]=id,name,visibility,tracks_count&filter[track][video_id]=${video}`
      t.strictSame(
        await follow(`${mine}&page[size]=25`, 'playlists'),
        [{ id, name: 'Best OPs', visibility: 'Public', tracks_count: 1 }],
        'in which playlists a video is',
      )
      const [{ tracks }] = await follow(`${mine}&include=tracks&page[size]=25`, 'playlists')
      t.equal(tracks.length, 1, 'and as which track')
    })

    t.test('shows them', async t => {
      const fields = 'fields[playlist]=id,name,description,visibility,tracks_count'
      const one = await call('GET', `/playlist/${id}?${fields}&include=user`)
      t.strictSame(one.json.playlist, {
        id,
        name: 'Best OPs',
        description: null,
        visibility: 'Public',
        tracks_count: 3,
        user: { name: user.name },
      })
      const all = `/playlist?sort=-tracks_count&${fields}&filter[playlist][tracks_count-gte]=1`
      t.strictSame(
        (await follow(all, 'playlists')).map(playlist => [playlist.id, playlist.tracks_count]),
        [[id, 3]],
      )
      for (const path of ['/track', '/forward']) {
        const tracks = await follow(`/playlist/${id}${path}?include=${SHOWN}&page[size]=2`, 'tracks')
        t.equal(tracks.length, 3)
        for (const track of tracks) {
          t.match(track, { id: String, animethemeentry: { id: Number, version: 1 }, video: { id: Number } })
        }
        const shown = await call('GET', `/playlist/${id}/track/${tracks[0].id}?include=${SHOWN}`)
        t.strictSame(shown.json.track, tracks[0])
      }
      const guest = new TestBrowser(app)
      t.equal((await guest.get(`/api/playlist/${id}?${fields}`)).status, 200, 'to everybody')
    })

    t.test('changes them', async t => {
      const [first, second, third] = (await chainOf(database, playlist_id)) as [string, string, string]
      const move = (track: string, place: object) => call('PUT', `/playlist/${id}/track/${track}`, place)
      t.strictSame(await move(third, { next: first }), { status: 200, json: { track: { id: third } } })
      t.strictSame(await chainOf(database, playlist_id), [third, first, second])
      await move(third, { previous: second })
      t.strictSame(await chainOf(database, playlist_id), [first, second, third])

      t.strictSame(await call('PUT', `/playlist/${id}`, { name: 'Best', visibility: 'PRIVATE' }), {
        status: 200,
        json: { playlist: { id, name: 'Best', description: null, visibility: 'Private' } },
      })
      t.match((await call('PUT', `/playlist/${id}`, { description: 'Really.' })).json.playlist, {
        name: 'Best',
        description: 'Really.',
      })
      const stranger = await new TestBrowser(app).get(`/api/playlist/${id}`)
      t.equal(stranger.status, 404)
      t.equal(stranger.json.message, 'Not Found.')

      const { status } = await call('DELETE', `/playlist/${id}/track/${second}`)
      t.equal(status, 200)
      t.strictSame(await chainOf(database, playlist_id), [first, third])
      t.strictSame(await call('DELETE', `/playlist/${id}`), {
        status: 200,
        json: { message: "Playlist 'Best' was deleted." },
      })
      t.equal((await call('GET', `/playlist/${id}`)).status, 404)
    })

    t.test('shows profiles on other sites', async t => {
      const profile = await anExternalProfile(database, user.id, { name: 'alice', site: 1 })
      await anExternalProfile(database, user.id, { name: 'alice', site: 2 })
      const found =
        '/externalprofile?filter[externalprofile][name]=alice&filter[externalprofile][site]=AniList'
      t.strictSame(
        (await follow(found, 'externalprofiles')).map(item => item.id),
        [profile],
      )
      const { json } = await call('GET', `/externalprofile/${profile}?include=externalentries.anime.images`)
      t.strictSame(json.externalprofile.externalentries, [])
    })
  })
}
