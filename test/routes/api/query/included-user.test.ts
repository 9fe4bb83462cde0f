import t from 'tap'
import { anExternalProfile, aPlaylist } from '../../../fixtures/lists.ts'
import { urlOf } from '../../../fixtures/queries.ts'
import { UNLIMITED } from '../../../fixtures/settings.ts'
import { aUser, type TestUser } from '../../../fixtures/users.ts'
import { get, startApp } from '../../../support/app.ts'
import { createDatabase, ENGINES } from '../../../support/databases.ts'

type Query = Readonly<Record<string, string>>
interface Listed {
  name: string
  user: { name: string } | null
}

for (const engine of ENGINES) {
  t.test(`filters and sorts of the included user on ${engine}`, async t => {
    const database = await createDatabase(t, engine)
    t.teardown(() => database.close())
    const app = await startApp(t, { database, environment: UNLIMITED })
    const owners = [await aUser(database), await aUser(database)]
    const [one, other] = owners as [TestUser, TestUser]
    for (const { id } of owners) {
      await aPlaylist(database, id, { name: 'shared' })
      await aPlaylist(database, id, { name: 'secret', visibility: 1 })
      await anExternalProfile(database, id, { name: 'shared' })
      await anExternalProfile(database, id, { name: 'secret', visibility: 1 })
    }
    // The name of a row may be that of a user.
    await aPlaylist(database, one.id, { name: one.name })
    await anExternalProfile(database, one.id, { name: one.name })

    for (const [path, plural] of [
      ['/api/playlist', 'playlists'],
      ['/api/externalprofile', 'externalprofiles'],
    ] as const) {
      const list = async (query: Query) => {
        const { status, json } = await get(app, urlOf(path, { include: 'user', ...query }))
        t.equal(status, 200, JSON.stringify({ query, json }))
        return (json[plural] as Listed[]).map(({ name, user }) => [name, user?.name ?? null])
      }

      await t.test(`${path}: rows are found by the name of their user`, async t => {
        const ofOne = [
          ['shared', one.name],
          [one.name, one.name],
        ]
        for (const filter of [
          { 'filter[user][name]': one.name },
          { 'filter[user][name]': one.name.toUpperCase() },
          { 'filter[user][name-like]': `%${one.name.slice(3)}` },
          { 'filter[user][name-ne]': other.name },
          { 'filter[user][name-not]': other.name },
          { 'filter[user][name]': `${one.name},no-such-user` },
        ] as Query[]) {
          t.strictSame(await list({ 'filter[has]': 'user', ...filter }), ofOne, JSON.stringify(filter))
        }
        t.strictSame(await list({ 'filter[has]': 'user', 'filter[user][name]': 'no-such-user' }), [])
      })

      await t.test(
        `${path}: without "has", a filter of users leaves the rows and hides other users`,
        async t => {
          t.strictSame(await list({ 'filter[user][name]': other.name }), [
            ['shared', null],
            ['shared', other.name],
            [one.name, null],
          ])
        },
      )

      await t.test(`${path}: a filter without a type applies to rows and users`, async t => {
        t.strictSame(await list({ 'filter[name]': 'shared' }), [
          ['shared', null],
          ['shared', null],
        ])
        t.strictSame(await list({ 'filter[name]': one.name }), [[one.name, one.name]])
        t.strictSame(await list({ 'filter[has]': 'user', 'filter[name]': 'shared' }), [])
      })

      await t.test(`${path}: users are sorted by name, which changes no order of rows`, async t => {
        const unsorted = await list({})
        for (const sort of ['name', '-name']) t.strictSame(await list({ 'sort[user]': sort }), unsorted)
      })

      await t.test(`${path}: nothing but the name of a user is filtered or sorted`, async t => {
        const secrets = ['email', 'password', 'id', 'created_at', 'email_verified_at', 'remember_token']
        for (const name of secrets) {
          for (const [key, value] of [
            [`filter[user][${name}]`, '1'],
            [`filter[user][${name}-ne]`, '1'],
            ['sort[user]', name],
            ['sort[user]', `-${name}`],
          ] as const) {
            const { status } = await get(app, urlOf(path, { include: 'user', [key]: value }))
            t.equal(status, 422, `${key}=${value}`)
          }
        }
        const { status } = await get(app, urlOf(path, { 'filter[email]': one.email }))
        t.equal(status, 422, 'without a type')
      })

      await t.test(`${path}: a deleted user is not found by name`, async t => {
        const gone = await aUser(database)
        await aPlaylist(database, gone.id, { name: 'orphan' })
        await anExternalProfile(database, gone.id, { name: 'orphan' })
        const byName = { 'filter[has]': 'user', 'filter[user][name]': gone.name }
        t.strictSame(await list(byName), [['orphan', gone.name]])
        await database.kysely
          .updateTable('users')
          .set({ deleted_at: '2026-01-01 00:00:00' })
          .where('id', '=', gone.id)
          .execute()
        t.strictSame(await list(byName), [])
        await database.kysely.deleteFrom('playlists').where('user_id', '=', gone.id).execute()
        await database.kysely.deleteFrom('external_profiles').where('user_id', '=', gone.id).execute()
      })
    }

    await t.test('an entry shows the user of its profile, filtered and sorted by name', async t => {
      const profile = await anExternalProfile(database, one.id)
      await database.kysely
        .insertInto('external_entries')
        .values({ profile_id: profile, status: 1, is_favorite: false, score: null, anime_id: null })
        .execute()
      const path = `/api/externalprofile/${profile}/externalentry`
      const usersFor = async (query: Query) =>
        (
          await get(app, urlOf(path, { include: 'externalprofile.user', 'sort[user]': '-name', ...query }))
        ).json.externalentries.map((entry: { externalprofile: Listed }) => entry.externalprofile.user)
      t.strictSame(await usersFor({ 'filter[user][name]': one.name }), [{ name: one.name }])
      t.strictSame(await usersFor({ 'filter[user][name]': other.name }), [null])
      const has = { 'filter[has]': 'externalprofile.user' }
      t.strictSame(await usersFor({ ...has, 'filter[user][name]': other.name }), [])
    })
  })
}
