import t from 'tap'
import { aNotification, anExternalProfile, aPlaylist } from '../../../fixtures/lists.ts'
import { namesOf, urlOf } from '../../../fixtures/queries.ts'
import { UNLIMITED } from '../../../fixtures/settings.ts'
import { aUser } from '../../../fixtures/users.ts'
import { get, startApp, type TestApp } from '../../../support/app.ts'
import { createDatabase, ENGINES } from '../../../support/databases.ts'

const PATH = '/api/me/playlist'
const BASE = `http://localhost:80${PATH}`
const permissions = ['view playlist']

for (const engine of ENGINES) {
  t.test(`sorts and pages on ${engine}`, async t => {
    const database = await createDatabase(t, engine)
    t.teardown(() => database.close())
    const app = await startApp(t, { database, environment: UNLIMITED })
    const list = (token: string, query: Record<string, string | number> = {}) =>
      get(app, urlOf(PATH, query), token)
    /** A user with seven playlists, which are named `n0` and `n1` in turn. */
    const aUserWithPlaylists = async () => {
      const user = await aUser(database, { permissions })
      const ids: string[] = []
      for (let n = 0; n < 7; n += 1) {
        ids.push((await aPlaylist(database, user.id, { name: `n${n % 2}` })).hashid)
      }
      return { user, ids }
    }

    await t.test('playlists are sorted by their age first, and then by the fields of sort', async t => {
      const user = await aUser(database, { permissions })
      for (const [name, createdAt] of [
        ['b', '2026-01-02 00:00:00'],
        ['C', '2026-01-01 00:00:00'],
        ['a', '2026-01-01 00:00:00'],
        ['d', '2026-01-01 00:00:00'],
      ] as const) {
        await aPlaylist(database, user.id, { name, createdAt, description: name === 'a' ? 'x' : null })
      }
      const order = async (sort: string) =>
        namesOf((await list(user.token, { sort })).json.playlists).join('')
      t.equal(await order('name'), 'baCd')
      t.equal(await order('-name'), 'bdCa')
      t.equal(await order('description,name'), 'bCda', 'NULL comes first')
      t.equal(await order('-description,name'), 'baCd')
      t.equal([...(await order('random'))].sort().join(''), 'Cabd')
    })

    await t.test('profiles are sorted by id, or by the fields of sort', async t => {
      const user = await aUser(database, { permissions: ['view external profile'] })
      await anExternalProfile(database, user.id, { name: 'y', site: 2 })
      await anExternalProfile(database, user.id, { name: 'X', site: 0 })
      await anExternalProfile(database, user.id, { name: 'z', site: 1 })
      const order = async (query: Record<string, string>) => {
        const { json } = await get(app, urlOf('/api/me/externalprofile', query), user.token)
        return namesOf(json.externalprofiles).join('')
      }
      t.equal(await order({}), 'yXz')
      t.equal(await order({ sort: 'name' }), 'Xyz')
      t.equal(await order({ sort: '-site' }), 'yzX', 'an enum is sorted by its value')
      t.equal(await order({ 'sort[externalprofile]': '-id' }), 'zXy')
    })

    await t.test('notifications are sorted by their age first, and then by the fields of sort', async t => {
      const user = await aUser(database, { permissions: ['view notification'] })
      const same = '2026-02-01 00:00:00'
      const read = await aNotification(database, user.id, { createdAt: same, readAt: same })
      const unread = await aNotification(database, user.id, { createdAt: same })
      const newer = await aNotification(database, user.id, { createdAt: '2026-02-02 00:00:00' })
      const order = async (sort: string) =>
        (await get(app, urlOf('/api/me/notification', { sort }), user.token)).json.notifications.map(
          ({ id }: { id: string }) => id,
        )
      t.strictSame(await order('-read_at'), [newer, read, unread])
      t.strictSame(await order('read_at'), [newer, unread, read])
    })

    await t.test('a page has links to its neighbours, and meta data without a total', async t => {
      const { user } = await aUserWithPlaylists()
      const { json } = await list(user.token, { 'page[size]': 3 })
      t.strictSame(json.links, {
        first: `${BASE}?page%5Bsize%5D=3&page%5Bnumber%5D=1`,
        last: null,
        prev: null,
        next: `${BASE}?page%5Bsize%5D=3&page%5Bnumber%5D=2`,
      })
      t.strictSame(json.meta, {
        current_page: 1,
        current_page_url: `${BASE}?page%5Bsize%5D=3&page%5Bnumber%5D=1`,
        from: 1,
        path: BASE,
        per_page: 3,
        to: 3,
      })
    })

    await t.test('a link keeps the parameters of the request, with the number of the page last', async t => {
      const { user } = await aUserWithPlaylists()
      const { json } = await list(user.token, {
        'page[number]': 2,
        'fields[playlist]': 'id,name',
        'filter[name-like]': "n%!'()*",
        sort: '-name',
        'page[size]': 2,
      })
      t.equal(
        json.links.prev,
        [
          `${BASE}?page%5Bsize%5D=2`,
          'fields%5Bplaylist%5D=id%2Cname',
          'filter%5Bname-like%5D=n%25%21%27%28%29%2A',
          'sort=-name',
          'page%5Bnumber%5D=1',
        ].join('&'),
      )
      const marks = await get(app, `${PATH}?filter[name-ne]=a?b&page[size]=2`, user.token)
      t.match(
        decodeURIComponent(marks.json.links.next),
        /\/api\/me\/playlist\?filter\[name-ne\]=a\?b&page\[size\]=2&page\[number\]=2$/,
        'a question mark in a value starts no query',
      )
    })

    await t.test('following the links visits each playlist once, in any order', async t => {
      const { user, ids } = await aUserWithPlaylists()
      for (const sort of ['name', '-name', 'visibility', undefined]) {
        const seen: string[] = []
        let next: string | null = urlOf(PATH, { 'page[size]': 2, ...(sort && { sort }) })
        let count = 0
        while (next !== null) {
          const page: { json: { playlists: { id: string }[]; links: { next: string | null; last: null } } } =
            await get(app, next, user.token)
          seen.push(...page.json.playlists.map(({ id }) => id))
          next = page.json.links.next
          t.equal(page.json.links.last, null)
          count += 1
        }
        t.equal(count, 4)
        t.strictSame([...seen].sort(), [...ids].sort(), sort ?? 'by default')
      }
    })

    await t.test('a page beyond the last is empty', async t => {
      const { user } = await aUserWithPlaylists()
      const { json } = await list(user.token, { 'page[number]': 99 })
      t.match(json, {
        playlists: [],
        links: { next: null },
        meta: { from: null, to: null, current_page: 99 },
      })
      const far = await list(user.token, { 'page[number]': '9223372036854775807', 'page[size]': 100 })
      t.equal(far.status, 200)
      t.strictSame(far.json.playlists, [])
    })

    await t.test('an unknown parameter of page returns 422', async t => {
      const { token } = await aUser(database, { permissions })
      for (const name of ['constructor', '__proto__', 'toString', 'limit']) {
        t.equal((await get(app, `${PATH}?page[${name}]=1`, token)).status, 422, name)
      }
    })

    await t.test('links have lists in one form, however the client wrote them', async t => {
      const { user } = await aUserWithPlaylists()
      const link = async (query: string) => {
        const { json } = await get(app, `/api/me/playlist?${query}`, user.token)
        return decodeURIComponent(json.links.next.replace(/.*\?/, ''))
      }
      const canonical =
        'sort=name,-id&include=images,user&fields[playlist]=id,name&filter[name-ne]=x,y&page[size]=1&page[number]=2'
      for (const query of [
        'sort=name,-id&include=images,user&fields[playlist]=id,name&filter[name-ne]=x,y&page[size]=1',
        'sort[]=name&sort[]=-id&include=images&include=user&fields[playlist][0]=id&fields[playlist][1]=name&filter[name-ne][]=x&filter[name-ne][]=y&page[size]=1',
      ]) {
        t.equal(await link(query), canonical)
      }
    })

    await t.test('links have no trailing slash', async t => {
      const { token } = await aUser(database, { permissions })
      t.equal((await get(app, `${PATH}/`, token)).json.meta.path, BASE)
    })

    await t.test('links are built on the host of the request, if it is one of the server', async t => {
      const user = await aUser(database, { permissions })
      const pathOf = async (host: string) => (await get(app, PATH, user.token, { host })).json.meta?.path
      for (const host of ['localhost:8000', '127.0.0.1', '[::1]:3000']) {
        t.equal(await pathOf(host), `http://${host}/api/me/playlist`)
      }
      t.equal(await pathOf('LOCALHOST:80'), 'http://localhost:80/api/me/playlist')
      t.equal(await pathOf('localhost:'), 'http://localhost/api/me/playlist')
      for (const host of ['internal', 'evil.example', 'localhost.evil.example', 'localhost@evil.example']) {
        const refused = await get(app, PATH, user.token, { host })
        t.equal(refused.status, 400, host)
        t.strictSame(refused.json, {
          message: 'The host that the request names is not one of this server.',
        })
        t.equal((await get(app, '/api/me', user.token, { host })).status, 200, 'without links it is ignored')
      }
    })

    await t.test('X-Forwarded-Host counts from a trusted proxy alone', async t => {
      const user = await aUser(database, { permissions })
      const pathOf = async (app: TestApp, headers: Record<string, string>) =>
        (await get(app, PATH, user.token, headers)).json.meta?.path
      const forwarded = {
        host: 'internal',
        'x-forwarded-host': 'api.example.org',
        'x-forwarded-proto': 'http',
      }
      const environment = {
        APP_URL: 'https://api.example.org',
        APP_HOSTS: 'internal, *.preview.example.org',
        TRUSTED_PROXIES: '127.0.0.1',
      }
      const behindProxy = await startApp(t, { database, environment })
      t.equal(await pathOf(behindProxy, forwarded), 'https://api.example.org/api/me/playlist')
      t.equal(
        await pathOf(behindProxy, { host: 'a.preview.example.org' }),
        'https://a.preview.example.org/api/me/playlist',
      )
      const direct = await startApp(t, { database, environment: { ...environment, TRUSTED_PROXIES: '' } })
      t.equal(await pathOf(direct, forwarded), 'https://internal/api/me/playlist')
    })

    await t.test('in production only configured hosts are accepted', async t => {
      const user = await aUser(database, { permissions })
      const production = await startApp(t, {
        database,
        environment: {
          APP_ENV: 'production',
          APP_URL: 'https://api.example.org',
          TRUSTED_PROXIES: '127.0.0.1',
        },
      })
      const show = (headers: Record<string, string>) => get(production, PATH, user.token, headers)
      t.equal((await show({ host: 'localhost' })).status, 400)
      const forwarded = { host: 'internal', 'x-forwarded-proto': 'http' }
      t.equal(
        (await show({ ...forwarded, 'x-forwarded-host': 'api.example.org' })).json.meta?.path,
        'https://api.example.org/api/me/playlist',
      )
      t.equal((await show({ ...forwarded, 'x-forwarded-host': 'evil.example' })).status, 400)
    })
  })
}
