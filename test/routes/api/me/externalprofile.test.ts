import t from 'tap'
import { errorsOf } from '../../../fixtures/answers.ts'
import { anExternalProfile } from '../../../fixtures/lists.ts'
import { urlOf } from '../../../fixtures/queries.ts'
import { UNLIMITED } from '../../../fixtures/settings.ts'
import { aUser } from '../../../fixtures/users.ts'
import { get, send, startApp } from '../../../support/app.ts'
import { createDatabase, ENGINES } from '../../../support/databases.ts'

const PATH = '/api/me/externalprofile'
const permissions = ['view external profile']

for (const engine of ENGINES) {
  t.test(`GET /api/me/externalprofile on ${engine}`, async t => {
    const database = await createDatabase(t, engine)
    t.teardown(() => database.close())
    const app = await startApp(t, { database, environment: UNLIMITED })
    const list = (token: string, query: Record<string, string> = {}) => get(app, urlOf(PATH, query), token)
    /** A user with a profile of two entries, one of them a favourite with a score. */
    const aUserWithProfile = async () => {
      const user = await aUser(database, { permissions })
      const id = await anExternalProfile(database, user.id, { name: 'mine', site: 2, visibility: 1 })
      await database.kysely
        .insertInto('external_entries')
        .values([
          { profile_id: id, status: 4, score: 8.5, is_favorite: true, anime_id: 3 },
          { profile_id: id, status: 0, score: null, is_favorite: false, anime_id: null },
        ])
        .execute()
      return { user, id }
    }

    await t.test('a guest gets 401, and a user without the permission 403', async t => {
      t.equal((await get(app, PATH)).status, 401)
      t.equal((await get(app, `${PATH}?page[size]=x`)).status, 401, 'before the query is validated')
      const { token } = await aUser(database)
      t.equal((await get(app, PATH, token)).status, 403)
      t.equal((await get(app, `${PATH}?page[size]=x`, token)).status, 403, 'before the query is validated')
    })

    await t.test('a user without profiles gets an empty list, to HEAD as well', async t => {
      const user = await aUser(database, { permissions })
      const { json, status } = await list(user.token)
      t.equal(status, 200)
      t.strictSame(json.externalprofiles, [])
      t.match(json.meta, { from: null, to: null, current_page: 1, per_page: 15 })
      const head = await send(app, 'HEAD', PATH, { headers: { authorization: `Bearer ${user.token}` } })
      t.equal(head.status, 200)
    })

    await t.test('the list has the own profiles, and none of another user or without a user', async t => {
      const { user, id } = await aUserWithProfile()
      const other = await aUser(database)
      await anExternalProfile(database, other.id)
      await anExternalProfile(database, null)
      t.strictSame((await list(user.token)).json.externalprofiles, [
        { id, name: 'mine', site: 'Kitsu', visibility: 'Private' },
      ])
    })

    await t.test('entries and the owner can be included', async t => {
      const { user } = await aUserWithProfile()
      const { json } = await list(user.token, {
        include: 'externalentries,user',
        'sort[externalentry]': 'score',
      })
      t.match(json.externalprofiles[0], {
        user: { name: user.name },
        externalentries: [
          { id: Number, score: null, is_favorite: false, status: 'Watching' },
          { id: Number, score: 8.5, is_favorite: true, status: 'Plan to Watch' },
        ],
      })
    })

    await t.test('included entries are filtered by score, favourite and status', async t => {
      const { user } = await aUserWithProfile()
      for (const [query, count] of [
        [{ 'filter[externalentry][score-gte]': '8.5' }, 1],
        [{ 'filter[externalentry][score-lt]': '1e1' }, 1],
        [{ 'filter[is_favorite]': 'false' }, 1],
        [{ 'filter[is_favorite]': 'true,false' }, 2],
        [{ 'filter[status]': 'plan to watch,Dropped' }, 1],
        [{ 'filter[score]': '8.5,9' }, 1],
      ] as const) {
        const { json } = await list(user.token, { include: 'externalentries', ...query } as never)
        t.equal(json.externalprofiles[0].externalentries.length, count, JSON.stringify(query))
      }
    })

    await t.test('a score that is not a finite number returns 422', async t => {
      const { token } = await aUser(database, { permissions })
      for (const score of ['x', '1e999']) {
        t.strictSame(errorsOf(await list(token, { 'filter[score]': score })), {
          'filter.score': ['The filter.score must be a number.'],
        })
      }
    })

    await t.test('a list takes one statement', async t => {
      const user = await aUser(database, { roles: ['Verified'] })
      await anExternalProfile(database, user.id)
      // The first look-up also reads the permissions.
      await list(user.token)
      database.statements.length = 0
      t.equal((await list(user.token)).status, 200)
      t.equal(database.statements.length, 2, 'after one that authenticates')
    })
  })
}
