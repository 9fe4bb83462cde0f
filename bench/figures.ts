import { setTimeout as delay } from 'node:timers/promises'
import { measureCeiling, measureDecoding } from './decoding.ts'
import { type Loaded, load, pace } from './load.ts'
import { rssMb, settledRssMb } from './processes.ts'
import { ownServer, type Program, type Server, UNLIMITED, withServer } from './servers.ts'
import { CONNECTIONS, isSelected, MEMORY_REQUESTS, ROUNDS, SECONDS, WARM_UP } from './settings.ts'
import type { Stage } from './stage.ts'
import { fixed, median, printTable, spread } from './table.ts'

/** A value of a figure in one round. */
interface Reading {
  figure: string
  value: number
  decimals: number
  /** Requests without a 2xx response, if there were requests. */
  failed?: number
}

/** A group of figures that are measured together. */
interface Group {
  name: string
  /** Whether it is measured in one round only, because it takes long. */
  isOnce?: boolean
  measure(stage: Stage): Promise<Reading[]>
}

/** Requests per second during logins: far fewer than the server's capacity. */
const PACE = 500

const LOGINS_AT_ONCE = 8

/** Seconds of logins before and after the measurement. */
const EDGE = 1

const POLL_MS = 5

/** How long after a server listened its memory is measured. */
const SETTLE_MS = 10_000

const GROUPS: Group[] = [
  { name: 'logins', measure: measureLogins },
  { name: 'lists', measure: measureLists },
  { name: 'openapi', measure: measureDocument },
  { name: 'start-up', measure: measureStart },
  { name: 'memory', isOnce: true, measure: measureMemory },
  { name: 'decoding', isOnce: true, measure: async () => measureDecoding() },
  { name: 'ceiling', measure: async () => measureCeiling() },
]

/** Measures this server alone, in interleaved rounds, and prints a table. */
export async function measureFigures(stage: Stage): Promise<void> {
  const readings: Reading[] = []
  for (let round = 1; round <= ROUNDS; round++) {
    for (const { name, isOnce = false, measure } of GROUPS.filter(isSelected)) {
      if (isOnce && round > 1) continue
      readings.push(...(await measure(stage)))
      process.stderr.write(`${round}/${ROUNDS} ${name}\n`)
    }
  }
  if (readings.length > 0) report(readings)
}

/** Measures logins, and their effect on authenticated users. */
function measureLogins(stage: Stage) {
  const program = ownServer({
    LOGIN_RATE_LIMIT: UNLIMITED,
    LOGIN_FAILURE_LIMIT: UNLIMITED,
    RATE_LIMIT_ANONYMOUS: UNLIMITED,
  })
  return warmServer(stage, program, async server => {
    const quiet = await paced(stage, server)
    const loggingIn = load([server], stage.calls.logins, {
      path: '/login',
      connections: LOGINS_AT_ONCE,
      seconds: EDGE + SECONDS + EDGE,
    })
    await delay(EDGE * 1000)
    const busy = await paced(stage, server)
    const logins = await loggingIn
    return [
      ...loadReadings(`login, ${LOGINS_AT_ONCE} at once`, logins, 1),
      ...pacedReadings('', quiet),
      ...pacedReadings(' under logins', busy),
      { figure: 'p99 of /api/me, under logins ÷ without', value: busy.p99 / quiet.p99, decimals: 2 },
    ]
  })
}

/** Measures `/api/me` at a constant rate, and the server's event loop meanwhile. */
async function paced({ calls }: Stage, server: Server) {
  // The server measures its event loop between two reads of its metrics.
  await server.metrics()
  const latency = await pace(server, calls.tokens, { path: '/api/me', rate: PACE, seconds: SECONDS })
  return { ...latency, metrics: await server.metrics() }
}

function pacedReadings(when: string, { p50, p99, late, failed, metrics }: Awaited<ReturnType<typeof paced>>) {
  const delayOf = (name: string) => ({
    figure: `event-loop delay${when}, ${name} ms`,
    // The measurement includes the timer's resolution of ten milliseconds.
    value: Math.max(0, (metrics.get(`nodejs_eventloop_lag_${name}_seconds`) ?? Number.NaN) * 1000 - 10),
    decimals: 1,
  })
  const figure = `/api/me, ${PACE}/s${when}`
  return [
    { figure: `${figure}, p50 ms`, value: p50, decimals: 2, failed },
    { figure: `${figure}, p99 ms`, value: p99, decimals: 2, failed },
    { figure: `${figure}, p99 ms by which the caller itself was late`, value: late, decimals: 2 },
    ...['p50', 'p99', 'max'].map(delayOf),
  ]
}

function measureLists(stage: Stage) {
  return warmServer(stage, ownServer(), async server => {
    const readings: Reading[] = []
    for (const size of [15, 100]) {
      const path = `/api/me/playlist?page[size]=${size}`
      await load([server], stage.calls.listers, { path, seconds: WARM_UP })
      const loaded = await load([server], stage.calls.listers, { path, seconds: SECONDS })
      readings.push(...loadReadings(`playlists, ${size} a page`, loaded, 0))
    }
    return readings
  })
}

function measureDocument(stage: Stage) {
  return withServer(stage, ownServer(), async server => {
    const path = '/openapi.json'
    const calls = [{ headers: {} }]
    await load([server], calls, { path, seconds: WARM_UP })
    const loaded = await load([server], calls, { path, seconds: SECONDS })
    const { byteLength } = await (await fetch(server.url + path)).arrayBuffer()
    return [
      ...loadReadings('/openapi.json', loaded, 0),
      { figure: '/openapi.json, bytes', value: byteLength, decimals: 0 },
    ]
  })
}

function measureStart(stage: Stage) {
  const from = performance.now()
  return withServer(stage, ownServer(), async server => {
    const listenedAt = performance.now()
    while (!(await fetch(`${server.url}/health/ready`)).ok) await delay(POLL_MS)
    const readyMs = performance.now() - from
    return [
      { figure: 'start-up, ms until it listens', value: server.startMs, decimals: 0 },
      { figure: 'start-up, CPU ms until it listens', value: server.startCpuMs, decimals: 0 },
      { figure: 'start-up, ms until /health/ready responds 200', value: readyMs, decimals: 0 },
      {
        figure: 'memory, RSS MB ten seconds after it listened',
        value: await settledRssMb(server.pid, listenedAt, SETTLE_MS),
        decimals: 0,
      },
    ]
  })
}

function measureMemory(stage: Stage) {
  return warmServer(stage, { ...ownServer(), isProbed: true }, async server => {
    // No garbage collection, which would show less memory than a server uses.
    const before = { rss: rssMb(server.pid), heap: await server.heapMb() }
    const { failed } = await load([server], stage.calls.tokens, { path: '/api/me', amount: MEMORY_REQUESTS })
    const after = { rss: rssMb(server.pid), heap: await server.heapMb() }
    const when = `after ${MEMORY_REQUESTS.toLocaleString('en')} requests`
    return [
      { figure: 'memory, RSS MB once warm', value: before.rss, decimals: 0 },
      { figure: `memory, RSS MB ${when}`, value: after.rss, decimals: 0, failed },
      { figure: 'memory, MB in use on the heap once warm', value: before.heap, decimals: 1 },
      { figure: `memory, MB in use on the heap ${when}`, value: after.heap, decimals: 1, failed },
    ]
  })
}

/** Runs work with a server whose code for `/api/me` is compiled (JIT). */
const warmServer = <T>(stage: Stage, program: Program, work: (server: Server) => Promise<T>) =>
  withServer(stage, program, async server => {
    await load([server], stage.calls.tokens, { path: '/api/me', seconds: WARM_UP })
    return work(server)
  })

const loadReadings = (figure: string, { rate, p50, p99, failed }: Loaded, decimals: number): Reading[] => [
  { figure: `${figure}, requests/s`, value: rate, decimals, failed },
  { figure: `${figure}, p50 ms`, value: p50, decimals: 0, failed },
  { figure: `${figure}, p99 ms`, value: p99, decimals: 0, failed },
]

function report(readings: readonly Reading[]) {
  const figures = [...new Set(readings.map(({ figure }) => figure))]
  const rows = figures.map(figure => {
    const all = readings.filter(reading => reading.figure === figure)
    const values = all.map(({ value }) => value)
    const decimals = all[0]?.decimals ?? 0
    const failed = all.reduce((sum, { failed = Number.NaN }) => sum + failed, 0)
    return [figure, fixed(median(values), decimals), spread(values, decimals), fixed(failed, 0)]
  })
  printTable(
    ['ours', 'median', 'spread', 'failed'],
    rows,
    `${CONNECTIONS} connections unless it says otherwise, medians of ${ROUNDS} rounds of ${SECONDS} s, memory once`,
  )
}
