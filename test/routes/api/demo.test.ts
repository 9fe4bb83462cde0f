import { randomBytes } from 'node:crypto'
import t from 'tap'
import { seedDemo } from '#src/database/demo.ts'
import { TestBrowser } from '../../fixtures/browser.ts'
import { NOW } from '../../fixtures/clock.ts'
import { FILE_URLS } from '../../fixtures/playlist-wiki.ts'
import { UNLIMITED } from '../../fixtures/settings.ts'
import { TEST_ROUNDS, USER_TYPE } from '../../fixtures/users.ts'
import { startApp } from '../../support/app.ts'
import { createDatabase, ENGINES } from '../../support/databases.ts'

/** What the pages of AnimeThemes' website show of a track. */
const CONTENT = [
  'animethemeentry.animetheme.anime.images',
  'animethemeentry.animetheme.song.artists',
  'animethemeentry.animetheme.group',
  'video.audio',
]
const PLAYLIST_INCLUDES = ['user', 'images', 'first', 'last', ...CONTENT.map(path => `tracks.${path}`)]
const PROFILE_INCLUDES = [
  'user',
  'externalentries.anime.images',
  'externalentries.anime.animethemes.song',
  'externalentries.anime.animethemes.group',
  'externalentries.anime.animethemes.animethemeentries.videos',
]

/** Values that most rows of the wiki lack, and pages omit: the demo data has some of each but of those below. */
const RARE = ['group', 'notes', 'as']
const RARER = ['alias', 'member_alias', 'member_as']

/** The paths of a body at which a value is null or an empty list. */
function emptyAt(value: unknown, path = ''): string[] {
  if (value === null) return [path]
  if (typeof value !== 'object') return []
  if (Array.isArray(value) && value.length === 0) return [path]
  return Object.entries(value).flatMap(([name, inner]) => emptyAt(inner, `${path}.${name}`))
}
const lastName = (path: string) => path.slice(path.lastIndexOf('.') + 1)

for (const engine of ENGINES) {
  t.test(`the website's pages of the demo data on ${engine}`, async t => {
    const database = await createDatabase(t, engine)
    t.teardown(() => database.close())
    const demo = await seedDemo(database.kysely, {
      now: NOW,
      random: randomBytes,
      hashRounds: TEST_ROUNDS,
      salt: '',
      userTypes: [USER_TYPE],
      tokenPrefix: '',
    })
    const app = await startApp(t, { database, environment: { ...UNLIMITED, ...FILE_URLS } })
    const browser = new TestBrowser(app)
    t.equal((await browser.logIn({ email: demo?.email ?? '', password: demo?.password ?? '' })).status, 200)
    const guest = new TestBrowser(app)
    const read = async (path: string, by = browser) => {
      const { status, json } = await by.get(path.startsWith('http') ? path : `/api${path}`)
      t.equal(status, 200, path)
      return json
    }
    /** The items of all pages of a list. */
    const readAll = async (path: string, plural: string, by = browser) => {
      const items = []
      for (let next: string | null = path; next !== null; ) {
        const json = await read(next, by)
        items.push(...json[plural])
        next = json.links.next
      }
      return items
    }
    const isShown = (path: string) => ![...RARE, ...RARER].includes(lastName(path))

    await t.test('the user, whose permissions come from roles', async t => {
      const { user } = await read(
        '/me?fields[user]=id,name,email,email_verified_at,created_at&include=permissions,roles.permissions',
      )
      // The colour of a role is not read.
      t.strictSame(emptyAt(user), ['.permissions', '.roles.0.color'])
    })

    await t.test('the own playlists', async t => {
      const fields = 'fields[playlist]=id,name,visibility,tracks_count'
      const own = await readAll(`/me/playlist?${fields}&page[size]=5`, 'playlists')
      t.ok(own.length > 5)
      t.strictSame(emptyAt(own), [])
      const counts = own.map(({ tracks_count }: { tracks_count: number }) => tracks_count)
      t.ok(Math.max(...counts) > 10)
      t.strictSame(new Set(own.map(({ visibility }: { visibility: string }) => visibility)).size, 3)

      const withTracks = own.filter(({ tracks_count }: { tracks_count: number }) => tracks_count > 0)
      for (const { id } of withTracks) {
        const shown = 'id,name,description,visibility,tracks_count'
        const path = `/playlist/${id}?fields[playlist]=${shown}&include=${PLAYLIST_INCLUDES}`
        const { playlist } = await read(path)
        t.strictSame(emptyAt(playlist).filter(isShown), [], path)
        t.equal(playlist.tracks.length, playlist.tracks_count)
        const [{ video, animethemeentry }] = playlist.tracks
        t.match(video, { link: /^https:.+\.webm$/, audio: { link: /^https:.+\.ogg$/ } })
        t.match(animethemeentry.animetheme.anime.images, [{ link: String }, { link: String }])
        const found = await read(
          `/me/playlist?${fields}&filter[track][video_id]=${video.id}&include=tracks&page[size]=25`,
        )
        const holding = found.playlists.find((one: { id: string }) => one.id === id)
        t.ok(holding.tracks_count > 0, 'a playlist is found by its video')
        t.strictSame(emptyAt(holding), [])
      }
      const rare = JSON.stringify(await read(`/playlist/${withTracks[0].id}?include=${PLAYLIST_INCLUDES}`))
      for (const name of RARE) t.match(rare, new RegExp(`"${name}":["{]`), `some have "${name}"`)
    })

    await t.test('the tracks of a public playlist, in order, to a guest', async t => {
      const fields = 'fields[playlist]=id,name,description,visibility,tracks_count'
      for (const sort of ['name', '-tracks_count', 'created_at', 'random']) {
        const list = `/playlist?sort=${sort}&${fields}&filter[playlist][tracks_count-gte]=1&include=user,images`
        const playlists = await readAll(list, 'playlists', guest)
        t.ok(playlists.length > 3)
        t.strictSame(emptyAt(playlists), [], list)
      }
      const [{ id, tracks_count }] = await readAll(
        `/playlist?sort=-tracks_count&${fields}`,
        'playlists',
        guest,
      )
      for (const path of ['/track', '/forward', '/backward']) {
        const tracks = await readAll(
          `/playlist/${id}${path}?include=${CONTENT}&page[size]=10`,
          'tracks',
          guest,
        )
        t.equal(tracks.length, tracks_count)
        t.strictSame(emptyAt(tracks).filter(isShown), [], path)
        const [first] = tracks
        const { track } = await read(`/playlist/${id}/track/${first.id}?include=${CONTENT}`, guest)
        t.strictSame(track, first)
        t.ok(track.animethemeentry.tracks_count > 0)
      }
    })

    await t.test('profiles on other sites, whose entries have an anime with themes', async t => {
      const profiles = await readAll('/me/externalprofile?include=user', 'externalprofiles')
      t.equal(profiles.length, 3)
      t.strictSame(emptyAt(profiles), [])
      for (const { id } of profiles) {
        const { externalprofile } = await read(`/externalprofile/${id}?include=${PROFILE_INCLUDES}`)
        t.strictSame(emptyAt(externalprofile).filter(isShown), [])
        const anime = externalprofile.externalentries.map(
          (entry: { anime: { id: number } }) => entry.anime.id,
        )
        t.equal(new Set(anime).size, anime.length, 'each anime once')
        const path = `/externalprofile/${id}/externalentry?include=anime,externalprofile.user`
        const entries = await readAll(path, 'externalentries')
        t.equal(entries.length, anime.length)
        t.strictSame(emptyAt(entries), [])
      }
    })

    await t.test('notifications', async t => {
      const notifications = await readAll('/me/notification', 'notifications')
      t.ok(notifications.length > 3)
      t.strictSame(emptyAt(notifications.map(({ data }: { data: object }) => data)), [])
    })
  })
}
