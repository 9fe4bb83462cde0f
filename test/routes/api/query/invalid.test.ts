import t from 'tap'
import { errorsOf } from '../../../fixtures/answers.ts'
import { urlOf } from '../../../fixtures/queries.ts'
import { UNLIMITED } from '../../../fixtures/settings.ts'
import { aUser } from '../../../fixtures/users.ts'
import { get, startApp } from '../../../support/app.ts'
import { createDatabase, ENGINES } from '../../../support/databases.ts'

const PATH = '/api/me/playlist'

type Query = Readonly<Record<string, string | number>>
type Case = readonly [name: string, query: Query, errors: Readonly<Record<string, readonly string[]>>]

const FIELDS_NOT_AN_ARRAY = { fields: ['The fields must be an array.'] }
const FILTER_NOT_AN_ARRAY = { filter: ['The filter must be an array.'] }

const FIELDS: readonly Case[] = [
  ['an unknown type', { 'fields[unknown]': 'id' }, FIELDS_NOT_AN_ARRAY],
  ['a type that is no include of playlists', { 'fields[notification]': 'id' }, FIELDS_NOT_AN_ARRAY],
  ['no type', { fields: 'id' }, FIELDS_NOT_AN_ARRAY],
  ['an inherited name', { 'fields[__proto__]': 'id' }, FIELDS_NOT_AN_ARRAY],
  [
    'an unknown field',
    { 'fields[playlist]': 'id,views_count' },
    { 'fields.playlist': ['The selected playlist is invalid.'] },
  ],
  [
    'another case',
    { 'fields[playlist]': 'ID' },
    { 'fields.playlist': ['The selected playlist is invalid.'] },
  ],
  [
    'a duplicate',
    { 'fields[playlist]': 'id,id' },
    { 'fields.playlist': ['You may not specify duplicates.'] },
  ],
  [
    'an empty list',
    { 'fields[playlist]': '' },
    { 'fields.playlist': ['The fields.playlist field is required.'] },
  ],
  [
    'an empty item',
    { 'fields[playlist]': 'id,,name' },
    { 'fields.playlist': ['The selected playlist is invalid.'] },
  ],
  [
    'a key below the type',
    { 'fields[playlist][x]': 'id' },
    { 'fields.playlist': ['The fields.playlist must be a string.'] },
  ],
]

const INCLUDES: readonly Case[] = [
  ['an unknown include', { include: 'tracks,videos' }, { include: ['The selected include is invalid.'] }],
  [
    'an include of another list',
    { include: 'externalentries' },
    { include: ['The selected include is invalid.'] },
  ],
  ['a duplicate include', { include: 'tracks,tracks' }, { include: ['You may not specify duplicates.'] }],
  ['an empty include', { include: '' }, { include: ['The include field is required.'] }],
  ['includes by type', { 'include[playlist]': 'tracks' }, { include: ['The include must be a string.'] }],
]

const SORTS: readonly Case[] = [
  ['an unknown sort', { sort: 'user_id' }, { sort: ['The selected sort is invalid.'] }],
  ['a sort by a relation', { sort: 'tracks.created_at' }, { sort: ['The selected sort is invalid.'] }],
  ['a field in both directions', { sort: 'name,-name' }, { sort: ['The sort field has a duplicate value.'] }],
  ['a duplicate', { sort: 'name,name' }, { sort: ['You may not specify duplicates.'] }],
  [
    'random and a field',
    { sort: 'random,name' },
    { sort: ['The sort field prohibits random unless it is the sole value.'] },
  ],
  ['random backwards', { sort: '-random' }, { sort: ['The selected sort is invalid.'] }],
  ['a sort by an unknown type', { 'sort[role]': 'id' }, { sort: ['The sort must be an array.'] }],
  [
    'an unknown sort of a type',
    { 'sort[track]': 'video_id' },
    { 'sort.track': ['The selected track is invalid.'] },
  ],
]

const PAGES: readonly Case[] = [
  [
    'a size above the maximum',
    { 'page[size]': 101 },
    { 'page.size': ['The page.size must not be greater than 100.'] },
  ],
  ['a size of zero', { 'page[size]': 0 }, { 'page.size': ['The page.size must be at least 1.'] }],
  [
    'a size that is not a number',
    { 'page[size]': 'abc' },
    { 'page.size': ['The page.size must be an integer.'] },
  ],
  ['page zero', { 'page[number]': 0 }, { 'page.number': ['The page.number must be at least 1.'] }],
  [
    'a number that is not an integer',
    { 'page[number]': '1.5' },
    { 'page.number': ['The page.number must be an integer.'] },
  ],
  ['an unknown key', { 'page[limit]': 1 }, { page: ['The page must be an array.'] }],
  ['no key', { page: 2 }, { page: ['The page must be an array.'] }],
]

const FILTERS: readonly Case[] = [
  ['a field without a filter', { 'filter[user_id]': 1 }, FILTER_NOT_AN_ARRAY],
  ['trashed', { 'filter[trashed]': 'with' }, FILTER_NOT_AN_ARRAY],
  ['a relation', { 'filter[tracks.video_id]': 1 }, FILTER_NOT_AN_ARRAY],
  ['a comparison of another data type', { 'filter[name-gt]': 'a' }, FILTER_NOT_AN_ARRAY],
  ['a comparison behind the connector', { 'filter[name-or-like]': 'a' }, FILTER_NOT_AN_ARRAY],
  ['an unknown comparison', { 'filter[name-is]': 'a' }, FILTER_NOT_AN_ARRAY],
  ['a count', { 'filter[has-gte-2]': 'tracks' }, FILTER_NOT_AN_ARRAY],
  [
    'a field without a filter, of a type',
    { 'filter[track][name]': 'x' },
    { 'filter.track': ['The filter.track must be an array.'] },
  ],
  [
    'has of an included type',
    { 'filter[track][has]': 'next' },
    { 'filter.track': ['The filter.track must be an array.'] },
  ],
  [
    'has of an unknown relation',
    { 'filter[has]': 'notifications' },
    { 'filter.has': ['The selected filter.has is invalid.'] },
  ],
  [
    'an unknown label',
    { 'filter[visibility]': 'secret' },
    { 'filter.visibility': ['The selected filter.visibility is invalid.'] },
  ],
  [
    'a number for a label',
    { 'filter[visibility]': 0 },
    { 'filter.visibility': ['The selected filter.visibility is invalid.'] },
  ],
  [
    'a value that is not boolean',
    { 'filter[tracks_exists]': 2 },
    { 'filter.tracks_exists': ['The filter.tracks exists field must be true or false.'] },
  ],
  [
    'a value that is not a date',
    { 'filter[created_at]': 'yesterday' },
    { 'filter.created_at': ['The filter.created at does not match the format Y-m-d\\TH:i:s.u.'] },
  ],
  [
    'a value that is not an integer',
    { 'filter[track][video_id]': 'x' },
    { 'filter.track.video_id': ['The filter.track.video id must be an integer.'] },
  ],
  [
    'a list with a value that is not an integer',
    { 'filter[video_id]': '1,x' },
    { 'filter.video_id': ['The video id must be an integer.'] },
  ],
  [
    'a duplicate in a list',
    { 'filter[name]': 'a,a' },
    { 'filter.name': ['You may not specify duplicates.'] },
  ],
  [
    'a list with an empty item',
    { 'filter[name]': 'a,,b' },
    { 'filter.name': ['The name field is required.'] },
  ],
  ['an empty value', { 'filter[name]': '' }, { 'filter.name': ['The filter.name field is required.'] }],
  [
    'a list of counts',
    { 'filter[tracks_count]': '1,2' },
    { 'filter.tracks_count': ['The filter.tracks count field is prohibited.'] },
  ],
  [
    'a list of patterns',
    { 'filter[name-like]': 'a,b' },
    { 'filter.name-like': ['The filter.name-like field is prohibited.'] },
  ],
  [
    'a value that is too long',
    { 'filter[name]': 'x'.repeat(1001) },
    { 'filter.name': ['The filter.name must not be greater than 1000 characters.'] },
  ],
  [
    'a list with too many items',
    { 'filter[video_id]': Array.from({ length: 101 }, (_, i) => i).join() },
    { 'filter.video_id': ['The filter.video id must not have more than 100 items.'] },
  ],
  [
    'an integer beyond 64 bits',
    { 'filter[video_id]': '9223372036854775808' },
    { 'filter.video_id': ['The filter.video id must be an integer.'] },
  ],
  ['a NUL', { 'filter[name]': 'a\0' }, { 'filter.name': ['The filter.name must be a string.'] }],
  [
    'a key that is nested too deep',
    { 'filter[a][b][c][d][e]': 'x' },
    { query: ['The query must not be nested deeper than 4 levels.'] },
  ],
]

for (const engine of ENGINES) {
  t.test(`invalid queries on ${engine}`, async t => {
    const database = await createDatabase(t, engine)
    t.teardown(() => database.close())
    const app = await startApp(t, { database, environment: UNLIMITED })
    const aViewer = () => aUser(database, { permissions: ['view playlist'] })
    const list = (token: string, query: Query) => get(app, urlOf(PATH, query), token)

    for (const [parameter, cases] of Object.entries({
      fields: FIELDS,
      include: INCLUDES,
      sort: SORTS,
      page: PAGES,
      filter: FILTERS,
    })) {
      await t.test(`an invalid ${parameter} returns 422 with the reason`, async t => {
        const { token } = await aViewer()
        for (const [name, query, errors] of cases) {
          t.strictSame(errorsOf(await list(token, query)), errors, name)
        }
      })
    }

    await t.test('all errors of a query are returned at once', async t => {
      const { token } = await aViewer()
      const { json } = await list(token, { 'page[size]': 0, sort: 'x', 'filter[unknown]': 1 })
      t.equal(json.message, 'The filter must be an array. (and 2 more errors)')
    })

    await t.test('more than a hundred parameters return 422', async t => {
      const { token } = await aViewer()
      t.equal((await get(app, `${PATH}?${'a=1&'.repeat(101)}`, token)).status, 422)
    })

    await t.test('unknown parameters and invalid percent-encoding are ignored', async t => {
      const { token } = await aViewer()
      const unknown = { q: 'anything', utm: 'x', 'constructor[prototype][x]': '1' }
      t.equal((await list(token, unknown)).status, 200)
      t.equal((await get(app, `${PATH}?%ff=%fe&filter[name]=%ff%zz`, token)).status, 200)
    })
  })
}
