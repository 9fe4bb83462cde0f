/**
 * Prints the estimated cost of list queries beside their duration, for the weights in src/query/cost.ts: the fastest of
 * three runs. `node dist/bench/floods/costs.js`, on the PostgreSQL of BENCH_DATABASE_URL, or on one that is started.
 */
import { externalProfiles, playlists } from '#src/api/endpoints.ts'
import { databaseOver } from '#src/database/connect.ts'
import { postgresConnections } from '#src/database/postgres.ts'
import { estimateCost } from '#src/query/cost.ts'
import { createFinder } from '#src/query/find.ts'
import { queryParser } from '#src/query/parse.ts'
import { type Endpoint, includePaths } from '#src/query/resource.ts'
import { where } from '#src/query/scope.ts'
import { startPostgres } from '../../test/support/services.ts'
import { fillLists } from './fill-lists.ts'

const RUNS = 3
const UNLIMITED_MS = 600_000

const deep = 'tracks.animethemeentry.animetheme.song.artists'
const comparisons = ['gte', 'lt', 'eq', 'ne', 'lte', 'gt']
const allIncludes = (endpoint: Endpoint) => `include=${includePaths(endpoint).join()}`

const QUERIES: readonly [Endpoint, string][] = [
  ...[
    '',
    'page[number]=4000',
    'sort=random',
    'sort=name',
    'sort=tracks_count',
    'q=best',
    'filter[name]=none',
    'filter[name-notlike]=%volume%',
    'filter[tracks_count]=3',
    'filter[tracks_exists]=false',
    'sort=-tracks_count&filter[playlist][tracks_count-gte]=1',
    ...comparisons.flatMap(comparison =>
      ['tracks', 'tracks.video', deep, includePaths(playlists).join()].map(
        paths => `filter[has-${comparison}]=${paths}`,
      ),
    ),
    allIncludes(playlists),
    `${allIncludes(playlists)}&page[size]=100`,
  ].map((queryString): [Endpoint, string] => [playlists, queryString]),
  [externalProfiles, allIncludes(externalProfiles)],
  [externalProfiles, `${allIncludes(externalProfiles)}&page[size]=100`],
]

const externalUrl = process.env.BENCH_DATABASE_URL
const postgres = externalUrl ? null : await startPostgres()
const url = externalUrl || (postgres?.url ?? '')
await fillLists(url)
const statementMs = { identity: UNLIMITED_MS, login: UNLIMITED_MS, write: UNLIMITED_MS, list: UNLIMITED_MS }
const source = postgresConnections(url, () => {}, { limits: { statementMs } })
const database = databaseOver({ ...source, open: async () => {} })
const finder = createFinder({
  tokenableTypes: ['App\\Models\\Auth\\User'],
  videoUrl: null,
  audioUrl: null,
  imageUrl: null,
  tokenExpiration: null,
  tokenIdleExpiration: null,
})
const PUBLIC = 0

console.log('| ms | cost | queryString |\n| --- | --- | --- |')
for (const [endpoint, queryString] of QUERIES) {
  const query = queryParser(endpoint)(`/list?${encodeURI(queryString)}`)
  let best = Number.POSITIVE_INFINITY
  for (let run = 0; run < RUNS; run += 1) {
    const begun = performance.now()
    await database.listStatements({ caller: null, isHeavy: false, signal: undefined }, db =>
      finder.preparePage(endpoint, query)(db, where('visibility', '=', PUBLIC)),
    )
    best = Math.min(best, performance.now() - begun)
  }
  const { total } = estimateCost(endpoint, query)
  console.log(
    `| ${best.toFixed(1)} | ${Math.round(total)} | ${endpoint.resource.type} ${queryString.slice(0, 80)} |`,
  )
}
await database.close()
await postgres?.stop()
