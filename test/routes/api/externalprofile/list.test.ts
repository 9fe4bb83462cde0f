import t from 'tap'
import { anAnime } from '../../../fixtures/anime.ts'
import { UNAUTHORIZED } from '../../../fixtures/answers.ts'
import { inSession } from '../../../fixtures/callers.ts'
import {
  anEntry,
  aProfile,
  aProfileWithEntries,
  BYPASS,
  call,
  checkErrors,
  checkIncludesAndFields,
  checkSorts,
  deleteProfiles,
  INVALID_FILTER,
  INVALID_INCLUDE,
  INVALID_SORT,
  idsOf,
  invalidField,
  listedIds,
  PRIVATE,
  PROFILE_PATH,
  PUBLIC,
  profileJson,
  profileResource,
  type TestProfile,
  UPDATE_PROFILE,
  VIEW_PROFILE,
} from '../../../fixtures/external-profiles.ts'
import { aResource } from '../../../fixtures/includes.ts'
import { startUnlimited } from '../../../fixtures/server.ts'
import { aMember, aUser, type TestUser } from '../../../fixtures/users.ts'
import type { Answer } from '../../../support/app.ts'
import { createDatabase, ENGINES } from '../../../support/databases.ts'

for (const engine of ENGINES) {
  t.test(`the list of external profiles on ${engine}`, async t => {
    const database = await createDatabase(t, engine)
    t.teardown(() => database.close())
    const app = await startUnlimited(t, database, {
      HIDE_PRIVATE: 'off',
      VIDEO_URL: 'https://v.example.org/',
      IMAGE_URL: 'https://i.example.org',
    })
    t.beforeEach(() => deleteProfiles(database))
    const list = (caller: TestUser | null, query = '') => call(app, 'GET', PROFILE_PATH, caller, { query })
    const listed = async (caller: TestUser | null, query = '') =>
      (await list(caller, query)).json.externalprofiles

    t.test('the list has public profiles and the private ones of the caller, ordered by id', async t => {
      const owner = await aUser(database, { permissions: [VIEW_PROFILE] })
      const other = await aUser(database)
      const bypass = await aUser(database, { permissions: [BYPASS] })
      const a = await aProfile(database, other, { name: 'a', site: 0 })
      await aProfile(database, other, { visibility: PRIVATE })
      const b = await aProfile(database, null, { name: 'b', site: 2 })
      await aProfile(database, null, { visibility: PRIVATE })
      const c = await aProfile(database, owner, { name: 'c', visibility: PRIVATE })
      const d = await aProfile(database, owner, { name: 'd' })
      const { status, json } = await list(null)
      t.equal(status, 200)
      t.strictSame(json.externalprofiles, [a, b, d].map(profileJson), 'a guest')
      t.strictSame(Object.keys(json), ['externalprofiles', 'links', 'meta'], 'the list is paginated')
      t.match(json.links, { first: String, last: null, prev: null, next: null })
      t.match(json.meta, { current_page: 1, per_page: 15, from: 1, to: 3 })
      t.strictSame(await listed(owner), [a, b, c, d].map(profileJson), 'the owner of a private profile')
      t.strictSame(
        await listed(bypass),
        [a, b, d].map(profileJson),
        'a user with the bypass of authorization',
      )
      t.equal((await call(app, 'HEAD', PROFILE_PATH)).status, 200, 'HEAD is allowed')
    })

    t.test('the list is empty when there are no profiles', async t => {
      t.strictSame(await listed(null), [])
    })

    t.test('a user without the permission gets 403, also with an invalid query', async t => {
      const powerless = await aUser(database)
      for (const query of ['', 'page[size]=x']) {
        const { status, json } = await list(powerless, query)
        t.equal(status, 403, query)
        t.strictSame(json, UNAUTHORIZED, query)
      }
    })

    t.test('the pages contain each visible profile once', async t => {
      const viewer = await aUser(database, { permissions: [VIEW_PROFILE] })
      const other = await aUser(database)
      const visible: TestProfile[] = []
      for (let i = 0; i < 17; i += 1) {
        const visibility = i % 4 === 0 ? PRIVATE : PUBLIC
        const owner = i % 2 === 0 ? viewer : other
        visible.push(await aProfile(database, owner, { name: `n${i % 3}`, visibility }))
        await aProfile(database, other, { visibility: PRIVATE })
      }
      const first = await list(viewer)
      t.equal(first.json.externalprofiles.length, 15)
      t.match(first.json.meta, { from: 1, to: 15, per_page: 15 })
      for (const sort of ['id', '-name']) {
        const ids: number[] = []
        let next: string | null = `${PROFILE_PATH}?page[size]=5&sort=${sort}`
        let pages = 0
        while (next !== null) {
          const answer: Answer = await call(app, 'GET', next, viewer)
          ids.push(...listedIds(answer))
          next = answer.json.links.next
          pages += 1
        }
        t.equal(pages, 4)
        t.strictSame(
          ids.sort((a, b) => a - b),
          idsOf(visible),
          `sort=${sort}`,
        )
      }
      const beyond = await list(viewer, 'page[number]=9')
      t.match(beyond.json, { externalprofiles: [], links: { next: null }, meta: { from: null, to: null } })
    })

    t.test('a guest can include and select everything of public profiles', async t => {
      const owner = await aUser(database)
      const { resource } = await aProfileWithEntries(database, owner)
      const ownerless = await aProfile(database, null)
      const expected = [resource, profileResource(ownerless, { externalentries: [], user: null })]
      await checkIncludesAndFields(t, expected, 'externalprofile', query => listed(null, query))
      const query = [
        'include=externalentries,user',
        ...['fields[externalprofile]=user_id', 'fields[externalentry]=status', 'fields[user]=id'],
      ].join('&')
      t.strictSame(
        await listed(null, query),
        [
          { externalentries: [{ status: 'Plan to Watch' }, { status: 'Watching' }], user: {} },
          { externalentries: [], user: null },
        ],
        'sparse fieldsets of included relations',
      )
    })

    t.test('the owner can include and select everything of private profiles', async t => {
      const owner = await aUser(database, { permissions: [VIEW_PROFILE] })
      const { resource } = await aProfileWithEntries(database, owner)
      const hidden = await aProfile(database, owner, { visibility: PRIVATE })
      const user = aResource({ name: owner.name })
      const expected = [resource, profileResource(hidden, { externalentries: [], user })]
      await checkIncludesAndFields(t, expected, 'externalprofile', query => listed(owner, query))
    })

    t.test('an invalid query returns 422', t =>
      checkErrors(t, query => list(null, query), [
        ['include=externalentries.externalprofile', ...INVALID_INCLUDE],
        ['include=externalentries.anime.animethemes.song.artists', ...INVALID_INCLUDE],
        ['include=externaltoken', ...INVALID_INCLUDE],
        ['fields[externalprofile]=synced_at', ...invalidField('externalprofile')],
        ['fields[externalprofile]=external_user_id', ...invalidField('externalprofile')],
        ['fields[user]=email', ...invalidField('user')],
        ['fields[playlist]=id', 'fields', 'The fields must be an array.'],
        ['sort=user_id', ...INVALID_SORT],
        ['filter[user_id]=1', ...INVALID_FILTER],
        ['filter[site]=1', 'filter.site', 'The selected filter.site is invalid.'],
        ['filter[visibility]=unlisted', 'filter.visibility', 'The selected filter.visibility is invalid.'],
        ['filter[id]=x', 'filter.id', 'The filter.id must be an integer.'],
        ['filter[has]=externaltoken', 'filter.has', 'The selected filter.has is invalid.'],
        ['page[size]=101', 'page.size', 'The page.size must not be greater than 100.'],
        ['q=', 'q', 'The q field is required.'],
      ]),
    )

    t.test('sorts and filters of dates', async t => {
      const owner = await aUser(database, { permissions: [VIEW_PROFILE] })
      const rows: TestProfile[] = []
      for (const [name, site, visibility, created_at, updated_at] of [
        ['b', 2, PUBLIC, '2025-01-01 00:00:00', '2025-06-01 00:00:00'],
        ['C', 0, PRIVATE, '2025-02-01 00:00:00', '2025-05-01 00:00:00.000001'],
        ['a', 1, PUBLIC, '2025-02-01 00:00:00', '2025-05-01 00:00:00'],
        ['D', 1, PRIVATE, '2025-01-01 00:00:00', '2025-06-01 00:00:00'],
        ['B', 0, PUBLIC, '2025-02-01 00:00:00.000001', '2025-05-01 00:00:00'],
      ] as const) {
        rows.push(await aProfile(database, owner, { name, site, visibility, created_at, updated_at }))
      }
      const request = async (query: string) => listedIds(await list(owner, query))
      await checkSorts(t, rows, 'externalprofile', request)
      const names = (await listed(owner, 'sort=-site,name')).map(({ name }: TestProfile) => name)
      t.strictSame(names, ['b', 'a', 'D', 'B', 'C'], 'sort=-site,name')
      for (const [field, day] of [
        ['created_at', '2025-02-01'],
        ['updated_at', '2025-05-01'],
      ] as const) {
        const at = `${day} 00:00:00`
        t.strictSame(
          await request(`filter[${field}]=${day}&page[size]=100`),
          idsOf(rows.filter(row => row[field] === at)),
          `filter[${field}]`,
        )
        t.strictSame(
          await request(`filter[${field}-gt]=${day}`),
          idsOf(rows.filter(row => row[field] > at)),
          `filter[${field}-gt]`,
        )
      }
    })

    t.test('no filter finds a private profile of another user', async t => {
      const alice = await aUser(database, { permissions: [VIEW_PROFILE] })
      const bob = await aUser(database, { permissions: [VIEW_PROFILE] })
      const anime = await anAnime(database)
      const alpha = await aProfile(database, alice, { name: 'Alpha', site: 1 })
      const hidden = await aProfile(database, alice, { name: 'hidden', site: 2, visibility: PRIVATE })
      const created_at = '2024-01-01 00:00:00'
      const beta = await aProfile(database, bob, { name: 'Beta', site: 2, created_at })
      const secret = await aProfile(database, bob, { name: 'secret', site: 2, visibility: PRIVATE })
      const gamma = await aProfile(database, null, { name: 'Gamma', site: 0 })
      const lost = await aProfile(database, null, { name: 'lost', site: 2, visibility: PRIVATE })
      const rows = [alpha, hidden, beta, secret, gamma, lost]
      for (const [profile, status, anime_id] of [
        [alpha, 1, null],
        [hidden, 1, null],
        [hidden, 3, null],
        [beta, 3, anime.id],
        [secret, 3, null],
      ] as const) {
        await anEntry(database, profile, { status, anime_id })
      }
      const privates = [hidden, secret, lost]
      const kitsu = [hidden, beta, secret, lost]
      const otherSites = [alpha, gamma]
      const withEntries = [alpha, hidden, beta, secret]

      for (const [query, matches] of [
        ['', rows],
        ['filter[site]=KITSU', kitsu],
        ['filter[site-ne]=kitsu', otherSites],
        ['filter[site]=anilist,myanimelist', otherSites],
        ['filter[site-not]=anilist,myanimelist', kitsu],
        ['filter[site]=anilist,myanimelist,kitsu', rows],
        ['filter[name]=ALPHA', [alpha]],
        ['filter[name-ne]=alpha', [hidden, beta, secret, gamma, lost]],
        ['filter[name-like]=%E%', [hidden, beta, secret]],
        ['filter[name-notlike]=%e%', [alpha, gamma, lost]],
        ['filter[visibility]=private', privates],
        ['filter[visibility]=Public', [alpha, beta, gamma]],
        ['filter[visibility]=public,private', rows],
        [`filter[id]=${idsOf([alpha, secret, lost])}`, [alpha, secret, lost]],
        [`filter[id]=${secret.id}`, [secret]],
        ['filter[id-gte]=0', rows],
        ['filter[created_at-lt]=2025', [beta]],
        ['filter[externalprofile][site]=kitsu', kitsu],
        ['filter[name]=unknown', []],
        ['filter[name-or]=secret', [secret]],
        ['filter[name]=alpha&filter[name-or]=secret', [alpha, secret]],
        ['filter[name]=unknown&filter[visibility-or]=private', privates],
        ['filter[name]=unknown&filter[site-or]=kitsu', kitsu],
        ['filter[name]=unknown&filter[id-gt-or]=0', rows],
        ['filter[name]=unknown&filter[name-or]=secret,lost,beta', [beta, secret, lost]],
        ['filter[externalprofile][name]=unknown&filter[externalprofile][visibility-or]=private', privates],
        ['filter[name]=alpha&filter[visibility-or]=private&filter[site]=anilist', [alpha]],
        ['filter[name]=unknown&filter[has-or]=externalentries', withEntries],
        ['filter[has]=externalentries', withEntries],
        ['filter[has-lt]=externalentries', [gamma, lost]],
        ['filter[has-eq]=externalentries', [alpha, beta, secret]],
        ['filter[has-gt]=externalentries', [hidden]],
        ['filter[externalprofile][has]=externalentries', withEntries],
        ['filter[has]=externalentries.anime.animethemes', [beta]],
        ['filter[has]=user', [alpha, hidden, beta, secret]],
        ['filter[has]=externalentries&filter[status]=dropped', [hidden, beta, secret]],
        ['filter[has]=externalentries&filter[externalentry][status]=completed', [alpha, hidden]],
        ['filter[externalentry][status]=completed', rows],
      ] as [string, TestProfile[]][]) {
        for (const [who, caller] of [
          ['a guest', null],
          ['the owner of two profiles', alice],
          ['the owner of two other profiles', bob],
        ] as const) {
          const visible = matches.filter(
            ({ visibility, owner }) => visibility === PUBLIC || owner === caller?.id,
          )
          t.strictSame(listedIds(await list(caller, query)), idsOf(visible), `${query}, ${who}`)
        }
      }
    })

    t.test('a filter of entries also filters included entries', async t => {
      const owner = await aUser(database, { permissions: [VIEW_PROFILE] })
      const profile = await aProfile(database, owner, { name: 'hidden', visibility: PRIVATE })
      for (const status of [1, 3]) await anEntry(database, profile, { status })
      const [found] = await listed(
        owner,
        'include=externalentries&filter[name]=hidden&filter[status]=dropped',
      )
      t.strictSame(
        found.externalentries.map(({ status }: { status: string }) => status),
        ['Dropped'],
      )
    })

    t.test('a search finds words in the names of public profiles, for every caller', async t => {
      const owner = await aMember(database, { permissions: [VIEW_PROFILE, UPDATE_PROFILE] })
      const other = await aUser(database, { permissions: [VIEW_PROFILE] })
      const long = await aProfile(database, other, { name: 'The monogatari' })
      const prefixed = await aProfile(database, owner, { name: 'Monogatari fan', site: 2 })
      const exact = await aProfile(database, null, { name: 'monogatari' })
      const hidden = await aProfile(database, owner, { name: 'monogatari secret', visibility: PRIVATE })
      await aProfile(database, other, { name: '100% kitsu' })
      const browser = await inSession(app, owner)
      const search = async (query: string, expected: TestProfile[], label = 'found') => {
        for (const [who, caller] of Object.entries({ guest: null, owner, other }))
          t.strictSame(listedIds(await list(caller, query)), idsOf(expected), `${query}: ${label}, ${who}`)
        const inBrowser = await browser('GET', `${PROFILE_PATH}?${new URLSearchParams(query)}`)
        t.strictSame(listedIds(inBrowser), idsOf(expected), `${query}: ${label}, the owner in a session`)
      }
      await search('q=MONOGATARI', [exact, prefixed, long], 'the best match first')
      await search('q=secret', [], 'not a private profile')
      await search('q=monogatari secret', [], 'not a private profile')
      await search('q=fan mono', [prefixed], 'every word in any place')
      await search('q=unknown', [], 'no match')
      await search('q=o%t', [], '% is no wildcard')
      await search('q=monogatari&sort=-name', [long, prefixed, exact])
      await search('q=monogatari&filter[site]=kitsu', [prefixed])
      const disjunction = 'q=monogatari&filter[site]=kitsu&filter[visibility-or]=private'
      await search(disjunction, [prefixed], 'a disjunction finds no private profile')
      await search('q=monogatari&page[size]=1&page[number]=2', [prefixed])
      const payload = { visibility: 'Public' }
      t.equal((await call(app, 'PUT', `${PROFILE_PATH}/${hidden.id}`, owner, { payload })).status, 200)
      await search('q=secret', [hidden], 'once the profile is public')
    })
  })
}
