import t from 'tap'
import { addTracks, aNotification, anExternalProfile, aPlaylist } from '../../../fixtures/lists.ts'
import { namesOf, urlOf } from '../../../fixtures/queries.ts'
import { UNLIMITED } from '../../../fixtures/settings.ts'
import { aUser } from '../../../fixtures/users.ts'
import { get, startApp } from '../../../support/app.ts'
import { createDatabase, ENGINES } from '../../../support/databases.ts'

const [ALPHA, BETA, GAMMA, SLASH] = ['Alpha', 'beta', 'Gamma 100%', 'back\\slash'] as const
const ALL = [ALPHA, BETA, GAMMA, SLASH]

type Query = Record<string, string>

for (const engine of ENGINES) {
  t.test(`filters on ${engine}`, async t => {
    const database = await createDatabase(t, engine)
    t.teardown(() => database.close())
    const app = await startApp(t, { database, environment: UNLIMITED })

    const user = await aUser(database, { permissions: ['view playlist'] })
    const rows = [
      { name: ALPHA, visibility: 0, createdAt: '2024-01-01 00:00:00', description: 'first' },
      { name: BETA, visibility: 1, createdAt: '2024-03-05 06:07:08.123456', description: null },
      { name: GAMMA, visibility: 2, createdAt: '2025-01-01 00:00:00', description: 'Third' },
      { name: SLASH, visibility: 0, createdAt: '2026-01-01 00:00:00', description: null },
    ]
    const hashids: string[] = []
    for (const [index, row] of rows.entries()) {
      const { id, hashid } = await aPlaylist(database, user.id, row)
      hashids.push(hashid)
      await addTracks(database, id, [[2712, 2712], [2712], [], [99, null]][index] ?? [])
    }
    const testFilters = (name: string, cases: [query: Query, expected: readonly string[]][]) =>
      t.test(name, async t => {
        for (const [query, expected] of cases) {
          const { json } = await get(
            app,
            urlOf('/api/me/playlist', { sort: 'created_at', ...query }),
            user.token,
          )
          t.strictSame(namesOf(json.playlists).reverse(), expected, JSON.stringify(query))
        }
      })

    await testFilters('text is compared without regard to case, by value, list or pattern', [
      [{ 'filter[name]': 'ALPHA' }, [ALPHA]],
      [{ 'filter[name-ne]': 'alpha' }, [BETA, GAMMA, SLASH]],
      [{ 'filter[name-like]': '%A' }, [ALPHA, BETA]],
      [{ 'filter[name-like]': 'gamma 100\\%' }, [GAMMA]],
      [{ 'filter[name-like]': 'back\\' }, []],
      [{ 'filter[name-like]': '%\\\\%' }, [SLASH]],
      [{ 'filter[name-notlike]': '%a%' }, []],
      [{ 'filter[name]': 'alpha,BETA' }, [ALPHA, BETA]],
      [{ 'filter[name-not]': 'alpha,beta' }, [GAMMA, SLASH]],
      [{ 'filter[name-not]': 'alpha' }, [BETA, GAMMA, SLASH]],
      [{ 'filter[name-ne]': 'alpha,beta' }, [GAMMA, SLASH]],
    ])

    const swapCase = (text: string) =>
      text.replace(/[a-z]/i, c => (c === c.toLowerCase() ? c.toUpperCase() : c.toLowerCase()))
    await testFilters('an id is compared with regard to case', [
      [{ 'filter[id]': hashids[0] ?? '' }, [ALPHA]],
      [{ 'filter[id]': swapCase(hashids[0] ?? '') }, []],
    ])

    await testFilters('an enum is compared by its label', [
      [{ 'filter[visibility]': 'PRIVATE' }, [BETA]],
      [{ 'filter[visibility-ne]': 'private' }, [ALPHA, GAMMA, SLASH]],
      [{ 'filter[visibility]': 'public,unlisted' }, [ALPHA, GAMMA, SLASH]],
      [{ 'filter[visibility]': 'public,unlisted,private' }, ALL],
      [{ 'filter[visibility-not]': 'public,unlisted,private' }, ALL],
    ])

    await testFilters('NULL is neither equal nor unequal to a value', [
      [{ 'filter[description]': 'THIRD' }, [GAMMA]],
      [{ 'filter[description-ne]': 'first' }, [GAMMA]],
    ])

    await testFilters('a date is compared at the precision in which it is written', [
      [{ 'filter[created_at]': '2024' }, [ALPHA]],
      [{ 'filter[created_at]': '2024-01' }, [ALPHA]],
      [{ 'filter[created_at]': '2024-01-01' }, [ALPHA]],
      [{ 'filter[created_at]': '2024-01-01T00' }, [ALPHA]],
      [{ 'filter[created_at]': '2024-01-01T00:00' }, [ALPHA]],
      [{ 'filter[created_at]': '2024-01-01T00:00:00' }, [ALPHA]],
      [{ 'filter[created_at]': '2024-03-05T06:07:08.123456' }, [BETA]],
      [{ 'filter[created_at]': '2024-03-05T06:07:08' }, []],
      [{ 'filter[created_at-gte]': '2024-03', 'filter[created_at-lt]': '2026' }, [BETA, GAMMA]],
      [{ 'filter[created_at]': '2024,2025' }, [ALPHA, GAMMA]],
    ])

    await testFilters('playlists are filtered by the number of their tracks', [
      [{ 'filter[tracks_count]': '2' }, [ALPHA, SLASH]],
      [{ 'filter[playlist][tracks_count-gte]': '1' }, [ALPHA, BETA, SLASH]],
      [{ 'filter[tracks_exists]': 'no' }, [GAMMA]],
      [{ 'filter[tracks_exists]': 'on' }, [ALPHA, BETA, SLASH]],
      [{ 'filter[tracks_count]': '1', 'filter[track][video_id]': '99' }, [SLASH]],
    ])

    await testFilters('has compares the number of related rows with one', [
      [{ 'filter[has]': 'tracks' }, [ALPHA, BETA, SLASH]],
      [{ 'filter[has-lt]': 'tracks' }, [GAMMA]],
      [{ 'filter[has-eq]': 'tracks' }, [BETA]],
      [{ 'filter[has-gt]': 'tracks' }, [ALPHA, SLASH]],
      [{ 'filter[has-lte]': 'tracks' }, [BETA, GAMMA]],
      [{ 'filter[has]': 'tracks.next' }, [ALPHA, SLASH]],
      [{ 'filter[has-lt]': 'tracks.next' }, [BETA, GAMMA]],
      [{ 'filter[has]': 'tracks,user' }, [ALPHA, BETA, SLASH]],
      [{ 'filter[playlist][has]': 'first' }, [ALPHA, BETA, SLASH]],
      [{ 'filter[has]': 'tracks', 'filter[track][video_id]': '2712' }, [ALPHA, BETA]],
      [{ 'filter[has]': 'tracks', 'filter[video_id]': '99' }, [SLASH]],
    ])

    await testFilters('filters are joined by AND, or by OR if their name ends in -or', [
      [{ 'filter[name]': 'alpha', 'filter[visibility-or]': 'private' }, [ALPHA, BETA]],
      [{ 'filter[name]': 'alpha', 'filter[visibility-or]': 'private', 'filter[name-like]': 'x%' }, [ALPHA]],
      [{ 'filter[name]': 'alpha', 'filter[name-eq-or]': 'BETA' }, [ALPHA, BETA]],
      [{ 'filter[name]': 'missing', 'filter[has-or]': 'tracks' }, [ALPHA, BETA, SLASH]],
      [{ 'filter[name]': 'alpha', 'filter[name-or]': 'gamma 100%,beta' }, [ALPHA, BETA, GAMMA]],
      [{ 'filter[name]': 'alpha', 'filter[playlist][name]': 'beta' }, []],
    ])

    await t.test('no filter finds rows of another user', async t => {
      const user = await aUser(database, {
        permissions: ['view playlist', 'view notification', 'view external profile'],
      })
      const other = await aUser(database)
      await aPlaylist(database, other.id, { name: 'secret', visibility: 1 })
      await anExternalProfile(database, other.id, { name: 'secret' })
      await aNotification(database, other.id)
      for (const [path, query] of [
        ['/api/me/playlist', { 'filter[name]': 'x', 'filter[name-or]': 'secret' }],
        ['/api/me/playlist', { 'filter[name-or]': 'secret' }],
        ['/api/me/playlist', { 'filter[tracks_count-or]': '0', 'filter[has-lt-or]': 'tracks' }],
        ['/api/me/externalprofile', { 'filter[site]': 'kitsu', 'filter[name-or]': 'secret' }],
        ['/api/me/notification', { 'filter[read_at-or]': '2020', 'filter[created_at-gt-or]': '2000' }],
      ] as const) {
        const { json, status } = await get(app, urlOf(path, query as never), user.token)
        t.equal(status, 200)
        t.equal(json.meta.from, null, JSON.stringify(query))
      }
    })
  })
}
