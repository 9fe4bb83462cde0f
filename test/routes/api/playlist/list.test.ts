import t from 'tap'
import { errorsOf, UNAUTHORIZED } from '../../../fixtures/answers.ts'
import { asGuest, CREDENTIALS, statusAndBody, withToken } from '../../../fixtures/callers.ts'
import { aPlaylist } from '../../../fixtures/lists.ts'
import {
  deletePlaylists,
  onePlaylist,
  PLAYLIST_PATH,
  PRIVATE,
  PUBLIC,
  playlistIds,
  playlistJson,
  playlistNames,
  UNLISTED,
} from '../../../fixtures/playlists.ts'
import { urlOf } from '../../../fixtures/queries.ts'
import { startUnlimited } from '../../../fixtures/server.ts'
import { aMember, aUser } from '../../../fixtures/users.ts'
import type { Answer } from '../../../support/app.ts'
import { createDatabase, ENGINES, type TestDatabase } from '../../../support/databases.ts'

type Query = Readonly<Record<string, string | number>>

const listUrl = (query: Query = {}) => urlOf(PLAYLIST_PATH, query)

/** Adds playlists of each visibility, the newest first, and returns the JSON of the public ones. */
async function addOfEachVisibility(database: TestDatabase, userIds: readonly number[]) {
  const expected: object[] = []
  for (const [index, visibility] of [PRIVATE, PUBLIC, UNLISTED, PUBLIC, PRIVATE, PUBLIC].entries()) {
    // Ids ascend while dates descend, so that the order shows which of them the list is sorted by.
    const row = { name: `n${index}`, visibility, createdAt: `2026-02-0${9 - index} 00:00:00` }
    const { hashid } = await aPlaylist(database, userIds[index % userIds.length]!, row)
    if (visibility === PUBLIC) expected.push(playlistJson(hashid, { name: row.name }))
  }
  return expected
}

/** Requests a list and follows its links to the last page. */
async function allPages(first: string, request: (url: string) => Promise<Answer>): Promise<Answer[]> {
  const pages: Answer[] = []
  let next: string | null = first
  while (next !== null) {
    const page = await request(next)
    pages.push(page)
    next = page.json.links.next
  }
  return pages
}

for (const engine of ENGINES) {
  t.test(`the list of playlists on ${engine}`, async t => {
    const database = await createDatabase(t, engine)
    t.teardown(() => database.close())
    const app = await startUnlimited(t, database, { HIDE_PRIVATE: 'off' })
    t.beforeEach(() => deletePlaylists(database))
    const guest = asGuest(app)
    const request = (query: Query) => guest('GET', listUrl(query))

    t.test('a guest gets the public playlists, ordered by id', async t => {
      const users = [await aUser(database), await aUser(database)]
      const expected = await addOfEachVisibility(
        database,
        users.map(({ id }) => id),
      )
      const { status, json } = await guest('GET', PLAYLIST_PATH)
      t.equal(status, 200)
      t.strictSame(json.playlists, expected)
      t.strictSame(Object.keys(json), ['playlists', 'links', 'meta'], 'the list is paginated')
      t.strictSame(Object.keys(json.playlists[0]), ['id', 'name', 'description', 'visibility'])
      t.equal((await guest('HEAD', PLAYLIST_PATH)).status, 200, 'HEAD is allowed')
    })

    t.test(
      'a user gets the public playlists alone, also as owner, administrator or with the bypass',
      async t => {
        const owner = await aMember(database, { permissions: ['view playlist'] })
        const other = await aUser(database)
        const bypass = await aMember(database, { permissions: ['bypass authorization'] })
        const admin = await aMember(database, { roles: ['Admin'] })
        const expected = await addOfEachVisibility(database, [other.id, owner.id])
        await aPlaylist(database, owner.id, { visibility: PRIVATE })
        await aPlaylist(database, owner.id, { visibility: UNLISTED })
        for (const [how, as] of CREDENTIALS) {
          for (const [who, user] of Object.entries({ owner, bypass, admin })) {
            const { json } = await (await as(app, user))('GET', PLAYLIST_PATH)
            t.strictSame(json.playlists, expected, `${who} ${how}`)
          }
        }
      },
    )

    t.test('a user without the permission gets 403, unlike a guest', async t => {
      const user = await aMember(database)
      for (const [how, as] of CREDENTIALS) {
        const answer = await (await as(app, user))('GET', PLAYLIST_PATH)
        t.strictSame(statusAndBody(answer), [403, UNAUTHORIZED], how)
      }
    })

    t.test('a page has the requested size, and links to the first, previous and next page', async t => {
      const user = await aUser(database)
      const ids: string[] = []
      for (let i = 0; i < 7; i += 1) ids.push((await aPlaylist(database, user.id)).hashid)
      const base = `http://localhost:80${PLAYLIST_PATH}`
      const second = await request({ 'page[size]': 3, 'page[number]': 2 })
      t.strictSame(playlistIds(second), ids.slice(3, 6))
      t.strictSame(second.json.links, {
        first: `${base}?page%5Bsize%5D=3&page%5Bnumber%5D=1`,
        last: null,
        prev: `${base}?page%5Bsize%5D=3&page%5Bnumber%5D=1`,
        next: `${base}?page%5Bsize%5D=3&page%5Bnumber%5D=3`,
      })
      t.strictSame(second.json.meta, {
        current_page: 2,
        current_page_url: `${base}?page%5Bsize%5D=3&page%5Bnumber%5D=2`,
        from: 4,
        path: base,
        per_page: 3,
        to: 6,
      })
      const last = await request({ 'page[size]': 3, 'page[number]': 3 })
      t.match(last.json, { links: { next: null }, meta: { from: 7, to: 7 } }, 'the last page has no next')
      const beyond = await request({ 'page[number]': 99 })
      t.strictSame(beyond.json.playlists, [], 'a page after the last is empty')
      t.match(beyond.json, { links: { next: null }, meta: { from: null, to: null, current_page: 99 } })
    })

    t.test('the next link keeps all parameters, with the page number at the end', async t => {
      const user = await aUser(database)
      for (let i = 0; i < 7; i += 1) await aPlaylist(database, user.id, { name: `n${i % 2}` })
      const query = {
        'fields[playlist]': 'id,name',
        include: 'tracks',
        'filter[name-like]': 'n%',
        sort: '-name',
        'page[number]': 2,
        'page[size]': 2,
        utm: 'x',
      }
      const { links } = (await request(query)).json
      const { 'page[number]': _, ...others } = query
      t.strictSame(
        [...new URL(links.next).searchParams].toSorted(),
        [
          ...Object.entries(others).map(([name, value]) => [name, String(value)]),
          ['page[number]', '3'],
        ].toSorted(),
      )
      t.match(links.next, /&page%5Bnumber%5D=3$/)
      t.equal(links.last, null, 'there is no link to the last page')
    })

    t.test('the pages of an order with equal values contain each public playlist once', async t => {
      const user = await aUser(database)
      const ids: string[] = []
      for (let i = 0; i < 7; i += 1) {
        ids.push((await aPlaylist(database, user.id, { name: `n${i % 2}` })).hashid)
        await aPlaylist(database, user.id, { visibility: i % 2 ? PRIVATE : UNLISTED })
      }
      for (const sort of ['name', '-name', 'visibility', undefined]) {
        const pages = await allPages(listUrl({ 'page[size]': 2, ...(sort && { sort }) }), url =>
          guest('GET', url),
        )
        t.strictSame(pages.flatMap(playlistIds).toSorted(), ids.toSorted(), `sort=${sort}`)
      }
    })

    /** Adds playlists to search, of which only the public ones may be found; the best results are the newest. */
    async function addSearchable() {
      const owner = await aUser(database, { permissions: ['view playlist'] })
      for (const name of [
        'All of the best openings there are',
        'The best opening',
        'BEST OPENINGS OF 2026',
        'Best openings',
        'Bestopenings',
        'Endings 100%',
        'Endings 1000',
        '% of everything',
        'under_score',
        'underXscore',
        'back\\slash',
        'backslash',
        "o'clock",
      ]) {
        await aPlaylist(database, owner.id, { name })
      }
      await aPlaylist(database, owner.id, { name: 'Best openings', visibility: PRIVATE })
      await aPlaylist(database, owner.id, { name: 'Best openings', visibility: UNLISTED })
      await aPlaylist(database, owner.id, { name: 'Some others', description: 'openings' })
      return owner
    }

    t.test(
      'a search finds parts of all words in the name of public playlists, the best match first',
      async t => {
        const owner = await addSearchable()
        const bypass = await aUser(database, { permissions: ['bypass authorization'] })
        for (const [q, expected, label] of [
          [
            'best openings',
            ['Best openings', 'BEST OPENINGS OF 2026', 'Bestopenings', 'All of the best openings there are'],
            'the best match first',
          ],
          [
            'BEST  oPen',
            [
              'Bestopenings',
              'Best openings',
              'The best opening',
              'BEST OPENINGS OF 2026',
              'All of the best openings there are',
            ],
            'parts of words in any case',
          ],
          ['openings best 2026', ['BEST OPENINGS OF 2026'], 'the words in any order'],
          ['openings endings', [], 'not if one of the words is missing'],
          ['100%', ['Endings 100%'], '% is no wildcard'],
          ['%', ['% of everything', 'Endings 100%'], '% is no wildcard'],
          ['r_s', ['under_score'], '_ is no wildcard'],
          ['_', ['under_score'], '_ is no wildcard'],
          ['k\\s', ['back\\slash'], 'a backslash is no escape'],
          ['\\', ['back\\slash'], 'a backslash is no escape'],
          ["o'clock", ["o'clock"], 'a quote does not end a literal'],
          ['others', ['Some others'], 'a single word'],
          ['no such words', [], 'no match'],
          [' slash ', ['backslash', 'back\\slash'], 'white space around the words is ignored'],
          ['x'.repeat(100), [], '100 characters'],
        ] as [string, string[], string][]) {
          // The owner, whose private and unlisted playlists would match as well.
          const found = await withToken(app, owner)('GET', listUrl({ q }))
          t.strictSame(playlistNames(found), expected, `q=${q}: ${label}`)
        }
        const found = await withToken(app, bypass)('GET', listUrl({ q: 'best openings' }))
        t.equal(found.json.playlists.length, 4, 'the bypass of authorization finds no private playlists')
      },
    )

    t.test('a search can be combined with sorts, filters, fields and includes', async t => {
      const owner = await addSearchable()
      const search = async (query: Query) => playlistNames(await request(query))
      const byName = [
        'All of the best openings there are',
        'Best openings',
        'BEST OPENINGS OF 2026',
        'Bestopenings',
      ]
      t.strictSame(await search({ q: 'best openings', sort: 'name' }), byName)
      t.strictSame(await search({ q: 'best openings', sort: '-name' }), byName.toReversed())
      t.strictSame(await search({ q: 'best openings', 'sort[playlist]': 'name' }), byName)
      t.strictSame(await search({ q: 'best', 'filter[name-like]': 'the%' }), ['The best opening'])
      t.strictSame(await search({ q: 'best', 'filter[visibility]': 'private' }), [])
      t.strictSame(
        await search({ q: 'unknown', 'filter[name-or]': 'x', 'filter[visibility-or]': 'private' }),
        [],
        'a disjunction does not find private playlists',
      )
      const shown = await request({ q: 'clock', 'fields[playlist]': 'name', include: 'user' })
      t.strictSame(shown.json.playlists, [{ name: "o'clock", user: { name: owner.name } }])
    })

    t.test('the pages of a search contain each result once, and their links keep the search', async t => {
      await addSearchable()
      const pages = await allPages(listUrl({ q: 'best openings', 'page[size]': 1 }), url => guest('GET', url))
      for (const { json } of pages) {
        const { first, next } = json.links
        for (const link of [first, json.meta.current_page_url, next ?? '?q=best%20openings'])
          t.match(link, /[?&]q=best%20openings/)
      }
      t.strictSame(pages.flatMap(playlistNames), playlistNames(await request({ q: 'best openings' })))
    })

    t.test('an invalid search returns 422', async t => {
      for (const [name, query, message] of [
        ['empty', 'q=', 'The q field is required.'],
        ['without a value', 'q', 'The q field is required.'],
        ['white space', 'q=%20+', 'The q field is required.'],
        ['101 characters', `q=${'x'.repeat(101)}`, 'The q must not be greater than 100 characters.'],
        ['a list', 'q[]=x', 'The q must be a string.'],
        ['a NUL', 'q=a%00b', 'The q must be a string.'],
      ] as const) {
        t.strictSame(errorsOf(await guest('GET', `${PLAYLIST_PATH}?${query}`)), { q: [message] }, name)
      }
    })

    t.test('a search finds a playlist by its present name, and only while it is public', async t => {
      const user = await aUser(database, {
        permissions: ['view playlist', 'update playlist', 'delete playlist'],
      })
      const owner = withToken(app, user)
      const { hashid } = await aPlaylist(database, user.id, { name: 'zebra', visibility: PRIVATE })
      for (const [visibility, expected] of [
        ['Private', []],
        ['Public', ['zebra']],
        ['Unlisted', []],
        ['Public', ['zebra']],
      ] as const) {
        await owner('PUT', onePlaylist(hashid), { visibility })
        for (const [who, as] of Object.entries({ owner, guest }))
          t.strictSame(
            playlistNames(await as('GET', listUrl({ q: 'zebra' }))),
            expected,
            `${visibility}, ${who}`,
          )
      }
      await owner('PUT', onePlaylist(hashid), { name: 'giraffe' })
      t.strictSame(playlistNames(await owner('GET', listUrl({ q: 'zebra' }))), [], 'the former name')
      t.strictSame(playlistNames(await owner('GET', listUrl({ q: 'giraffe' }))), ['giraffe'], 'the new name')
      await owner('DELETE', onePlaylist(hashid))
      t.strictSame(playlistNames(await owner('GET', listUrl({ q: 'giraffe' }))), [], 'after its deletion')
    })
  })
}
