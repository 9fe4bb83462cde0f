import t from 'tap'
import { NOT_FOUND, UNAUTHORIZED } from '../../../fixtures/answers.ts'
import {
  anEntry,
  aProfile,
  aProfileWithEntries,
  BYPASS,
  call,
  checkErrors,
  checkIncludesAndFields,
  entryWrites,
  INVALID_FILTER,
  INVALID_IDS,
  INVALID_INCLUDE,
  PRIVATE,
  PROFILE_PATH,
  PROHIBITED_PAGE,
  PROHIBITED_SEARCH,
  profileJson,
  profileRow,
  QUERIES,
  UNTYPED_SORT,
  VIEW_PROFILE,
} from '../../../fixtures/external-profiles.ts'
import { startUnlimited } from '../../../fixtures/server.ts'
import { aUser } from '../../../fixtures/users.ts'
import { createDatabase, ENGINES, type TestDatabase } from '../../../support/databases.ts'

/** An owner who may view profiles, and users of other kinds. */
const callersOf = async (database: TestDatabase) => ({
  guest: null,
  owner: await aUser(database, { permissions: [VIEW_PROFILE] }),
  other: await aUser(database, { permissions: [VIEW_PROFILE] }),
  powerless: await aUser(database),
  admin: await aUser(database, { roles: ['Admin'] }),
  bypass: await aUser(database, { permissions: [BYPASS] }),
})

for (const engine of ENGINES) {
  t.test(`one external profile on ${engine}`, async t => {
    const database = await createDatabase(t, engine)
    t.teardown(() => database.close())
    const app = await startUnlimited(t, database, {
      HIDE_PRIVATE: 'off',
      VIDEO_URL: 'https://v.example.org/',
      IMAGE_URL: 'https://i.example.org',
    })

    t.test('a public profile is shown to guests and to users with the permission', async t => {
      const callers = await callersOf(database)
      const profile = await aProfile(database, callers.owner, { name: 'älice/x', site: 2 })
      const ownerless = await aProfile(database, null)
      for (const [row, who, status] of [
        [profile, 'guest', 200],
        [profile, 'other', 200],
        [profile, 'powerless', 403],
        [ownerless, 'guest', 200],
        [ownerless, 'owner', 200],
      ] as const) {
        const label = `${who}, ${row === profile ? 'a profile with a user' : 'a profile without a user'}`
        const answer = await call(app, 'GET', `${PROFILE_PATH}/${row.id}`, callers[who])
        t.equal(answer.status, status, label)
        const expected = status === 200 ? { externalprofile: profileJson(row) } : UNAUTHORIZED
        t.strictSame(answer.json, expected, label)
      }
      t.equal((await call(app, 'HEAD', `${PROFILE_PATH}/${profile.id}`)).status, 200, 'HEAD is allowed')
    })

    t.test('a private profile is shown to its owner with the permission, and with the bypass', async t => {
      const callers = await callersOf(database)
      const hidden = await aProfile(database, callers.owner, { visibility: PRIVATE })
      const ofPowerless = await aProfile(database, callers.powerless, { visibility: PRIVATE })
      const ownerless = await aProfile(database, null, { visibility: PRIVATE })
      for (const [label, row, who, status] of [
        ['a guest', hidden, 'guest', 403],
        ['another user', hidden, 'other', 403],
        ['the owner', hidden, 'owner', 200],
        ['an owner without the permission', ofPowerless, 'powerless', 403],
        ['an administrator', hidden, 'admin', 403],
        ['the bypass of authorization', hidden, 'bypass', 200],
        ['a guest, without a user', ownerless, 'guest', 403],
        ['a user, without a user', ownerless, 'owner', 403],
      ] as const) {
        const answer = await call(app, 'GET', `${PROFILE_PATH}/${row.id}`, callers[who])
        t.equal(answer.status, status, label)
        const expected = status === 200 ? { externalprofile: profileJson(row) } : UNAUTHORIZED
        t.strictSame(answer.json, expected, label)
      }
    })

    t.test('all includes and fields are shown, except insert songs and deleted rows', async t => {
      const owner = await aUser(database)
      const { profile, resource } = await aProfileWithEntries(database, owner)
      const show = (query: string) => call(app, 'GET', `${PROFILE_PATH}/${profile.id}`, null, { query })
      const json = async (query: string) => (await show(query)).json.externalprofile
      await checkIncludesAndFields(t, resource, 'externalprofile', json)
      const { text } = await show(`include=${QUERIES.externalprofile.includes}`)
      t.notMatch(text, /IN1|OP2|deleted\.jpg|artist\//)
      for (const query of [
        'filter[animetheme][type]=IN',
        'filter[animetheme][slug]=x&filter[animetheme][type-or]=IN',
        'filter[animetheme][slug]=OP2',
      ]) {
        const { externalentries } = await json(`include=externalentries.anime.animethemes&${query}`)
        t.strictSame(externalentries[0].anime.animethemes, [], query)
      }
    })

    t.test('included entries can be filtered and sorted', async t => {
      const owner = await aUser(database)
      const { profile, withAnime } = await aProfileWithEntries(database, owner)
      const path = `${PROFILE_PATH}/${profile.id}`
      const entriesOf = async (query: string) =>
        (await call(app, 'GET', path, null, { query: `include=externalentries&${query}` })).json
          .externalprofile.externalentries
      t.strictSame(await entriesOf('filter[externalentry][score-gte]=8.5'), [profileJson(withAnime)])
      t.strictSame(await entriesOf('filter[is_favorite]=yes'), [profileJson(withAnime)])
      t.equal((await entriesOf('sort[externalentry]=score'))[1].id, withAnime.id)
      t.equal((await entriesOf('sort[externalentry]=-score'))[0].id, withAnime.id)
    })

    t.test('the user of a profile without one is null', async t => {
      const profile = await aProfile(database, null)
      const { json } = await call(app, 'GET', `${PROFILE_PATH}/${profile.id}?include=user`)
      t.equal(json.externalprofile.user, null)
    })

    t.test('an invalid query returns 422', async t => {
      const profile = await aProfile(database, null)
      const show = (query: string) => call(app, 'GET', `${PROFILE_PATH}/${profile.id}`, null, { query })
      await checkErrors(t, show, [
        ['include=users', ...INVALID_INCLUDE],
        ['sort=name', ...UNTYPED_SORT],
        ['page[size]=1', ...PROHIBITED_PAGE],
        ['q=x', ...PROHIBITED_SEARCH],
        ['filter[site]=kitsu', ...INVALID_FILTER],
        ['filter[externalprofile][name]=x', ...INVALID_FILTER],
        ['filter[has]=user', ...INVALID_FILTER],
        ['fields[externalprofile]=name,name', 'fields.externalprofile', 'You may not specify duplicates.'],
      ])
    })

    t.test('a malformed id of a profile or an entry returns 404', async t => {
      const bypass = await aUser(database, { permissions: [BYPASS] })
      const profile = await aProfile(database, bypass)
      await anEntry(database, profile)
      const entries = `${PROFILE_PATH}/${profile.id}/externalentry`
      for (const id of INVALID_IDS) {
        for (const { method, path } of [
          ...['GET', 'PUT', 'PATCH', 'DELETE'].map(method => ({ method, path: `${PROFILE_PATH}/${id}` })),
          { method: 'GET', path: `${PROFILE_PATH}/${id}/externalentry` },
          { method: 'GET', path: `${entries}/${id}` },
          ...entryWrites(profile, { id }).slice(1),
          ...entryWrites({ id }, { id: 1 }),
        ]) {
          const { status, json } = await call(app, method, path, bypass)
          t.equal(status, 404, `${method} ${path}`)
          t.strictSame(json, NOT_FOUND, `${method} ${path}`)
        }
      }
      t.ok(await profileRow(database, profile.id), 'the profile is not deleted')
    })
  })
}
