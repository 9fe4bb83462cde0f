import t from 'tap'
import * as endpoints from '#src/api/endpoints.ts'
import { estimateCost, isHeavy, MAX_COST, requireAffordable } from '#src/query/cost.ts'
import { queryParser } from '#src/query/parse.ts'
import { type Endpoint, includePaths } from '#src/query/resource.ts'
import { HttpError } from '#src/responses/errors.ts'
import { aUser } from '../fixtures/users.ts'
import { get, startApp } from '../support/app.ts'
import { createDatabase } from '../support/databases.ts'

const { playlists, onePlaylist, myPlaylists, me, tracks, oneTrack, externalProfiles, oneExternalProfile } =
  endpoints

const cost = (endpoint: Endpoint, query: string) =>
  estimateCost(endpoint, queryParser(endpoint)(`/list?${query}`))

const all = includePaths(playlists)
const has = (comparison: string, paths = all) => `filter[has-${comparison}]=${paths.join()}`

t.test('queries of animethemes-web are within the limit of guests', async t => {
  const asked: [Endpoint, string][] = [
    [me, 'fields[user]=id,name,email,email_verified_at,created_at&include=permissions,roles.permissions'],
    [myPlaylists, 'fields[playlist]=id,name,visibility,tracks_count&page[size]=25'],
    [
      myPlaylists,
      'fields[playlist]=id,name,visibility,tracks_count&filter[track][video_id]=1&include=tracks&page[size]=25',
    ],
    [onePlaylist, `fields[playlist]=id,name,description,visibility,tracks_count&include=${all.join()}`],
    ...['name', '-name', 'created_at', '-tracks_count', 'tracks_count', 'random'].map(
      (sort): [Endpoint, string] => [
        playlists,
        `sort=${sort}&fields[playlist]=id,name,tracks_count&filter[playlist][tracks_count-gte]=1&include=user,tracks.video,images`,
      ],
    ),
    [tracks, `include=${includePaths(tracks).join()}&page[size]=100`],
    [oneTrack, `include=${includePaths(oneTrack).join()}`],
  ]
  for (const [endpoint, query] of asked) {
    const { total } = cost(endpoint, query)
    t.ok(total <= MAX_COST.guest / 2, `${query}: ${total}`)
  }
})

t.test('queries of the tests of AnimeThemes are within the limit of guests', async t => {
  for (const [endpoint, query] of [
    [playlists, `include=${all.join()}`],
    [playlists, 'filter[created_at]=2024-01-01&page[size]=100'],
    [playlists, `include=images&filter[facet]=Grill&page[size]=100`],
    ...Object.keys(playlists.resource.fields).map(name => [playlists, `fields[playlist]=${name}`] as const),
    [externalProfiles, `include=${includePaths(externalProfiles).join()}`],
    [oneExternalProfile, `include=${includePaths(oneExternalProfile).join()}`],
  ] as [Endpoint, string][]) {
    const { total } = cost(endpoint, query)
    t.ok(total <= MAX_COST.guest, `${query}: ${total}`)
  }
})

t.test('each part of a query adds to its cost', async t => {
  const plain = cost(playlists, '')
  t.equal(plain.total, 0)
  t.notOk(isHeavy(plain))
  const dearer: [string, string][] = [
    ['', 'filter[has]=user'],
    ['filter[has]=user', 'filter[has]=tracks.video'],
    ['filter[has]=tracks.video', 'filter[has-eq]=tracks.video'],
    ['filter[has-eq]=user', 'filter[has-eq]=tracks.video'],
    ['filter[has-lt]=user', 'filter[has-lte]=user'],
    ['', 'filter[name]=a'],
    ['filter[name]=a', 'filter[name]=a,b'],
    ['filter[name]=a', 'filter[tracks_count]=1'],
    ['', 'filter[video_id]=1'],
    ['', 'sort=name'],
    ['sort=name', 'sort=name,created_at'],
    ['sort=name', 'sort=tracks_count'],
    ['', 'sort=random'],
    ['', 'q=a'],
    ['q=a', 'q=a b'],
    ['', 'include=user'],
    ['include=user', 'include=user&page[size]=100'],
    ['include=user', 'include=tracks'],
    ['include=tracks', 'include=tracks.video'],
    ['', 'page[number]=1000'],
  ]
  for (const [one, other] of dearer) {
    t.ok(cost(playlists, other).total > cost(playlists, one).total, `${other} costs more than ${one}`)
  }
  t.ok(isHeavy(cost(playlists, has('gte'))))
  for (const [path, filter] of [
    ['tracks.video', 'filter[video][basename-like]=zz'],
    ['tracks.animethemeentry.animetheme.song', 'filter[song][title-like]=zz'],
    ['tracks.animethemeentry.animetheme.song.artists', 'filter[artist][name-like]=zz'],
  ]) {
    const { total } = cost(playlists, `filter[has]=${path}&${filter}`)
    t.ok(total > cost(playlists, `filter[has]=${path}`).total * 5, `${path} with ${filter}: ${total}`)
    t.ok(isHeavy(cost(playlists, `filter[has]=${path}&${filter}`)), 'it reads all rows of the path')
    t.ok(total <= MAX_COST.guest, 'allowed for guests')
    t.ok(cost(playlists, `${filter}&include=${path}`).total < 100, 'an include alone is cheap')
  }
  t.ok(
    cost(playlists, 'filter[tracks_count]=1&filter[track][video_id]=1').total >=
      cost(playlists, 'filter[tracks_count]=1').total + 100,
    'counted relations are read as well',
  )
  t.ok(cost(myPlaylists, has('eq')).total < MAX_COST.guest, 'rows of one user are cheap')
  t.equal(
    cost(playlists, 'page[number]=9223372036854775807').total,
    cost(playlists, 'page[number]=9000000').total,
  )
})

t.test('an expensive query is refused, naming its most expensive part', async t => {
  const refusal = (query: string, asker: keyof typeof MAX_COST, endpoint: Endpoint = playlists) => {
    try {
      requireAffordable(cost(endpoint, query), asker)
      return null
    } catch (error) {
      return error instanceof HttpError ? [error.statusCode, Object.keys(error.errors ?? {})] : error
    }
  }
  t.equal(refusal(has('gte'), 'guest'), null)
  t.strictSame(refusal(has('eq'), 'guest'), [422, ['filter.has']])
  t.strictSame(refusal(has('eq'), 'user'), [422, ['filter.has']])
  const half = has('eq', all.slice(0, 10))
  t.strictSame(refusal(half, 'guest'), [422, ['filter.has']])
  t.equal(refusal(half, 'user'), null, 'users have a higher limit')
  const profiles = `include=${includePaths(externalProfiles).join()}&page[size]=100&sort=name,site,created_at`
  t.strictSame(refusal(profiles, 'guest', externalProfiles), [422, ['include']])
})

t.test('query cost over HTTP', async t => {
  const database = await createDatabase(t, 'postgres')
  t.teardown(() => database.close())
  const app = await startApp(t, { database })
  const { token } = await aUser(database, { roles: ['Verified'] })
  database.statements.length = 0
  const { status, json } = await get(app, `/api/playlist?${has('eq')}`)
  t.equal(status, 422)
  t.match(json.errors['filter.has'], [/^This query costs \d+, and you may spend 1500\. Ask for fewer/])
  t.strictSame(database.statements, [], 'no query is made')
  const half = has('eq', all.slice(0, 10))
  t.equal((await get(app, `/api/playlist?${half}`)).status, 422)
  t.equal((await get(app, `/api/playlist?${half}`, token)).status, 200)
  t.equal((await get(app, `/api/playlist?${has('eq')}`, token)).status, 422)

  database.queries.length = 0
  t.equal(
    (await get(app, '/api/playlist?filter[has-lt]=tracks.animethemeentry.animetheme.song.artists')).status,
    200,
  )
  const list = database.queries.find(({ text }) => text.includes('from "playlists"'))
  const session = await database.source.acquire()
  const { rows } = await session.query(`explain ${list?.text}`, list?.parameters ?? [])
  await session.release()
  const plan = rows.map(row => row['QUERY PLAN']).join('\n')
  t.match(plan, /SubPlan/)
  t.notMatch(
    plan,
    /Anti Join/,
    'the subquery is not flattened into a join, which would take a minute for 100,000 playlists',
  )
})
