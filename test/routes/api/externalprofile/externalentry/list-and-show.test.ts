import { sql } from 'kysely'
import t from 'tap'
import { anAnime } from '../../../../fixtures/anime.ts'
import { NOT_FOUND, UNAUTHENTICATED, UNAUTHORIZED } from '../../../../fixtures/answers.ts'
import {
  anEntry,
  aProfile,
  aProfileWithEntries,
  BYPASS,
  BYPASS_FEATURES,
  call,
  checkErrors,
  checkIncludesAndFields,
  checkSorts,
  entryWrites,
  INVALID_FILTER,
  INVALID_INCLUDE,
  INVALID_SORT,
  idsOf,
  invalidField,
  listedIds,
  PRIVATE,
  PROFILE_PATH,
  PROHIBITED_PAGE,
  PROHIBITED_SEARCH,
  profileJson,
  STATUSES,
  type TestEntry,
  UNTYPED_SORT,
  VIEW_ENTRY,
  VIEW_PROFILE,
} from '../../../../fixtures/external-profiles.ts'
import type { Resource } from '../../../../fixtures/includes.ts'
import { startUnlimited } from '../../../../fixtures/server.ts'
import { aUser } from '../../../../fixtures/users.ts'
import { createDatabase, ENGINES } from '../../../../support/databases.ts'

const listPath = ({ id }: { id: number }) => `${PROFILE_PATH}/${id}/externalentry`
const onePath = (profile: { id: number }, entry: { id: number }) => `${listPath(profile)}/${entry.id}`

for (const engine of ENGINES) {
  t.test(`entries of external profiles on ${engine}`, async t => {
    const database = await createDatabase(t, engine)
    t.teardown(() => database.close())
    const app = await startUnlimited(t, database, {
      HIDE_PRIVATE: 'off',
      VIDEO_URL: 'https://v.example.org/',
      IMAGE_URL: 'https://i.example.org',
    })
    const get = (path: string, query = '') => call(app, 'GET', path, null, { query })

    t.test('scores that JSON cannot express are null, in a list as in a row', async t => {
      const owner = await aUser(database, { permissions: [VIEW_ENTRY] })
      const profile = await aProfile(database, owner)
      for (const score of ['NaN', 'Infinity', '1e300']) {
        const entry = await anEntry(database, profile)
        await database.kysely
          .updateTable('external_entries')
          .set({ score: sql`${score}::double precision` })
          .where('entry_id', '=', entry.id)
          .execute()
        const shown = score === '1e300' ? 1e300 : null
        const { json: listed } = await get(listPath(profile), `filter[id]=${entry.id}`)
        t.equal(listed.externalentries[0].score, shown)
        const { json: one } = await get(onePath(profile, entry))
        t.equal(one.externalentry.score, shown)
      }
    })

    for (const [what, pathOf] of [
      ['the list of entries', listPath],
      ['one entry', onePath],
    ] as const) {
      t.test(`${what} of a public profile is shown to guests and to users with the permission`, async t => {
        const owner = await aUser(database, { permissions: [VIEW_ENTRY] })
        const other = await aUser(database, { permissions: [VIEW_ENTRY] })
        const powerless = await aUser(database, { permissions: [VIEW_PROFILE] })
        const profile = await aProfile(database, owner)
        const ownerless = await aProfile(database, null)
        for (const [who, row, caller, status] of [
          ['a guest', profile, null, 200],
          ['another user', profile, other, 200],
          ['a user without the permission', profile, powerless, 403],
          ['a guest, a profile without a user', ownerless, null, 200],
        ] as const) {
          const answer = await call(app, 'GET', pathOf(row, await anEntry(database, row)), caller)
          t.equal(answer.status, status, who)
          if (status === 403) t.strictSame(answer.json, UNAUTHORIZED, who)
        }
      })

      t.test(`${what} of a private profile is shown to its owner and with the bypass`, async t => {
        const owner = await aUser(database, { permissions: [VIEW_ENTRY] })
        const other = await aUser(database, { permissions: [VIEW_ENTRY] })
        const admin = await aUser(database, { roles: ['Admin'] })
        const bypass = await aUser(database, { permissions: [BYPASS] })
        const hidden = await aProfile(database, owner, { visibility: PRIVATE })
        const ownerless = await aProfile(database, null, { visibility: PRIVATE })
        for (const [who, row, caller, status] of [
          ['a guest', hidden, null, 403],
          ['another user', hidden, other, 403],
          ['the owner', hidden, owner, 200],
          ['an administrator', hidden, admin, 403],
          ['the bypass of authorization', hidden, bypass, 200],
          ['a user, a profile without a user', ownerless, owner, 403],
        ] as const) {
          const answer = await call(app, 'GET', pathOf(row, await anEntry(database, row)), caller)
          t.equal(answer.status, status, who)
          if (status === 403) t.strictSame(answer.json, UNAUTHORIZED, who)
        }
      })
    }

    t.test('the list has the entries of one profile', async t => {
      const owner = await aUser(database)
      const { profile, withAnime, withoutAnime } = await aProfileWithEntries(database, owner)
      await anEntry(database, await aProfile(database, owner))
      const { json } = await get(listPath(profile))
      t.strictSame(json.externalentries, [withAnime, withoutAnime].map(profileJson))
      t.match(json.externalentries, [
        { score: 8.5, is_favorite: true, status: 'Plan to Watch' },
        { score: null, is_favorite: false, status: 'Watching' },
      ])
      t.strictSame(Object.keys(json), ['externalentries', 'links', 'meta'], 'the list is paginated')
      const empty = await get(listPath(await aProfile(database, null)))
      t.strictSame(empty.json.externalentries, [], 'a profile without entries')
    })

    t.test('all includes and fields are shown in the list', async t => {
      const { profile, entryResources } = await aProfileWithEntries(database, await aUser(database))
      await checkIncludesAndFields(
        t,
        entryResources,
        'externalentry',
        async query => (await get(listPath(profile), query)).json.externalentries,
      )
    })

    t.test('all includes and fields are shown of one entry, with and without an anime', async t => {
      const owner = await aUser(database)
      const { profile, withAnime, withoutAnime, entryResources } = await aProfileWithEntries(database, owner)
      for (const [index, entry] of [withAnime, withoutAnime].entries()) {
        const show = async (query = '') => (await get(onePath(profile, entry), query)).json
        t.strictSame(await show(), { externalentry: profileJson(entry) })
        const resource = entryResources[index] as Resource
        await checkIncludesAndFields(
          t,
          resource,
          'externalentry',
          async query => (await show(query)).externalentry,
        )
      }
    })

    t.test('an invalid query returns 422', async t => {
      const profile = await aProfile(database, null)
      const entry = await anEntry(database, profile)
      await checkErrors(t, query => get(listPath(profile), query), [
        ['include=anime.images', ...INVALID_INCLUDE],
        ['include=user', ...INVALID_INCLUDE],
        ['q=x', ...PROHIBITED_SEARCH],
        ['sort=anime_id', ...INVALID_SORT],
        ['fields[externalentry]=entry_id', ...invalidField('externalentry')],
        ['filter[anime_id]=1', ...INVALID_FILTER],
        ['filter[profile_id]=1', ...INVALID_FILTER],
        ['filter[score]=x', 'filter.score', 'The filter.score must be a number.'],
        ['filter[status]=1', 'filter.status', 'The selected filter.status is invalid.'],
        [
          'filter[is_favorite]=2',
          'filter.is_favorite',
          'The filter.is favorite field must be true or false.',
        ],
        ['filter[has]=externalentries', 'filter.has', 'The selected filter.has is invalid.'],
      ])
      await checkErrors(t, query => get(onePath(profile, entry), query), [
        ['include=externalentries', ...INVALID_INCLUDE],
        ['sort=score', ...UNTYPED_SORT],
        ['page[number]=1', ...PROHIBITED_PAGE],
        ['q=x', ...PROHIBITED_SEARCH],
        ['filter[score]=1', ...INVALID_FILTER],
        ['fields[user]=email', ...invalidField('user')],
      ])
    })

    /** Adds a profile with seven entries that differ in every field, and another one with the same. */
    async function aProfileWithVariedEntries() {
      const anime = await anAnime(database)
      const profile = await aProfile(database, null)
      const other = await aProfile(database, null)
      const rows: TestEntry[] = []
      for (const [score, status, is_favorite, created_at, updated_at, anime_id] of [
        [7, 0, false, '2025-02-01 00:00:00', '2025-06-01 00:00:00', anime.id],
        [8.5, 1, true, '2025-01-01 00:00:00', '2025-05-01 00:00:00', null],
        [null, 2, false, '2025-02-01 00:00:00', '2025-05-01 00:00:00.000001', 999_999],
        [10, 3, true, '2025-02-01 00:00:00.000001', '2025-06-01 00:00:00', anime.id],
        [0.1, 4, false, '2025-03-01 00:00:00', '2025-05-01 00:00:00', null],
        [0, 5, false, '2025-01-01 00:00:00', '2025-07-01 00:00:00', null],
        [7, 1, true, '2025-04-01 00:00:00', '2025-05-01 00:00:00', null],
      ] as const) {
        const row = { score, status, is_favorite, created_at, updated_at, anime_id }
        rows.push(await anEntry(database, profile, row))
        await anEntry(database, other, row)
      }
      const list = (query = '') => get(listPath(profile), query)
      const ids = async (query: string) => listedIds(await list(query), 'externalentries')
      return { anime, rows, list, ids }
    }

    t.test('the list can be sorted by each field and has pages', async t => {
      const { rows, list, ids } = await aProfileWithVariedEntries()
      t.strictSame((await list()).json.externalentries, rows.map(profileJson))
      await checkSorts(t, rows, 'externalentry', ids)
      const last = await list('page[size]=3&page[number]=3&sort=-id')
      t.strictSame(listedIds(last, 'externalentries'), idsOf(rows.slice(0, 1)), 'the last page')
      t.match(last.json, { links: { next: null }, meta: { from: 7, to: 7 } }, 'the last page')
    })

    t.test('filters select entries of the profile alone', async t => {
      const { anime, rows, ids } = await aProfileWithVariedEntries()
      const scored = (matches: (score: number) => boolean) => (entry: TestEntry) =>
        entry.score !== null && matches(entry.score)
      const favorite = ({ is_favorite }: TestEntry) => is_favorite
      const notFavorite = ({ is_favorite }: TestEntry) => !is_favorite
      const ofStatus =
        (...labels: string[]) =>
        ({ status }: TestEntry) =>
          labels.includes(STATUSES[status] ?? '')
      const at =
        (...indices: number[]) =>
        (entry: TestEntry) =>
          indices.includes(rows.indexOf(entry))
      for (const [query, matches] of [
        ['filter[score]=7', scored(score => score === 7)],
        ['filter[score]=7.0,0.1', scored(score => [7, 0.1].includes(score))],
        ['filter[score-ne]=7', scored(score => score !== 7)],
        ['filter[score-not]=7,8.5', scored(score => ![7, 8.5].includes(score))],
        ['filter[score-gte]=8.5', scored(score => score >= 8.5)],
        ['filter[score-gt]=8.5', scored(score => score > 8.5)],
        ['filter[score-lt]=1e1', scored(score => score < 10)],
        ['filter[score-lte]=.1', scored(score => score <= 0.1)],
        ['filter[score-gte]=7&filter[score-lt]=9', scored(score => score >= 7 && score < 9)],
        ['filter[externalentry][score-gte]=8.5', scored(score => score >= 8.5)],
        ...['true', '1', 'on', 'YES'].map(value => [`filter[is_favorite]=${value}`, favorite]),
        ...['false', '0', 'off', 'no'].map(value => [`filter[is_favorite]=${value}`, notFavorite]),
        ['filter[is_favorite-ne]=true', notFavorite],
        ['filter[is_favorite]=true,false', () => true],
        ...STATUSES.map(label => [`filter[status]=${label.toUpperCase()}`, ofStatus(label)]),
        ['filter[status]=completed,Dropped', ofStatus('Completed', 'Dropped')],
        ['filter[status-ne]=completed', ({ status }) => status !== 1],
        ['filter[status-not]=completed,dropped', ({ status }) => status !== 1 && status !== 3],
        [`filter[id-gt]=${rows[2]?.id}`, at(3, 4, 5, 6)],
        ['filter[score-gte]=10&filter[status-or]=paused', ofStatus('Dropped', 'Paused')],
        ['filter[score]=99&filter[id-gt-or]=0', () => true],
        ['filter[created_at]=2025-02-01&page[size]=100', at(0, 2)],
        ['filter[created_at-gte]=2025-03', at(4, 6)],
        ['filter[updated_at]=2025-05-01&page[size]=100', at(1, 4, 6)],
        ['filter[has]=anime', ({ anime_id }) => anime_id === anime.id],
        ['filter[has-lt]=anime', ({ anime_id }) => anime_id !== anime.id],
        ['filter[has]=anime&filter[anime][name]=bakemonogatari', ({ anime_id }) => anime_id === anime.id],
        ['filter[has]=anime&filter[anime][name]=nothing', () => false],
      ] as [string, (entry: TestEntry) => boolean][]) {
        t.strictSame(await ids(query), idsOf(rows.filter(matches)), query)
      }
    })

    t.test('an entry below another profile returns 404, before 403', async t => {
      const owner = await aUser(database, { permissions: [VIEW_ENTRY] })
      const profile = await aProfile(database, owner)
      const entry = await anEntry(database, profile)
      const other = await aProfile(database, owner)
      const hidden = await aProfile(database, owner, { visibility: PRIVATE })
      const hiddenEntry = await anEntry(database, hidden)
      for (const [label, row, below, caller] of [
        ['a guest', other, entry, null],
        ['the owner of both profiles', other, entry, owner],
        ['a guest, the entry of a private profile', other, hiddenEntry, null],
        ['a guest, below a private profile', hidden, entry, null],
      ] as const) {
        const answer = await call(app, 'GET', onePath(row, below), caller)
        t.equal(answer.status, 404, label)
        t.strictSame(answer.json, NOT_FOUND, label)
      }
    })

    t.test('no user can create, update or delete an entry', async t => {
      const callers = {
        owner: await aUser(database, { roles: ['Verified'] }),
        other: await aUser(database, { roles: ['Verified'] }),
        powerless: await aUser(database),
        admin: await aUser(database, { roles: ['Admin'] }),
        bypass: await aUser(database, { permissions: [BYPASS, BYPASS_FEATURES] }),
      }
      const profile = await aProfile(database, callers.owner)
      const hidden = await aProfile(database, callers.owner, { visibility: PRIVATE })
      const entry = await anEntry(database, profile, { score: 8.5 })
      const secret = await anEntry(database, hidden)
      const unknown = { id: profile.id + 1_000_000 }
      const allRows = () =>
        database.kysely.selectFrom('external_entries').selectAll().orderBy('entry_id').execute()
      const before = await allRows()
      const payload = { score: 1, status: 'Completed', is_favorite: true, anime_id: 1, profile_id: hidden.id }
      const existing = [...entryWrites(profile, entry), ...entryWrites(hidden, secret)]
      for (const { method, path } of [...existing, ...entryWrites(unknown, entry)]) {
        const answer = await call(app, method, path, null, { payload })
        t.equal(answer.status, 401, `${method} ${path} by a guest`)
        t.strictSame(answer.json, UNAUTHENTICATED, `${method} ${path} by a guest`)
      }
      const missing = [
        ...entryWrites(unknown, entry),
        // POST names no entry that could be unknown.
        ...[...entryWrites(profile, secret), ...entryWrites(profile, unknown)].filter(
          ({ method }) => method !== 'POST',
        ),
      ]
      for (const [who, caller] of Object.entries(callers)) {
        for (const { method, path } of existing) {
          for (const request of [{ payload }, {}]) {
            const answer = await call(app, method, path, caller, request)
            t.equal(answer.status, 403, `${method} ${path}, ${who}`)
            t.strictSame(answer.json, UNAUTHORIZED, `${method} ${path}, ${who}`)
          }
        }
        for (const { method, path } of missing) {
          const answer = await call(app, method, path, caller, { payload })
          t.equal(answer.status, 404, `${method} ${path}, ${who}`)
          t.strictSame(answer.json, NOT_FOUND, `${method} ${path}, ${who}`)
        }
      }
      t.strictSame(await allRows(), before)
    })
  })
}
