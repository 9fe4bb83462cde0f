/**
 * `node dist/bench/floods/login.js`: floods logins from 8 and from 60 addresses, for one account and for many, and
 * measures the effect on others: a user at an address with earlier logins, users at new addresses, and callers of
 * `/api/me`. Limits are off, so that only the password queue separates the flood from the others. With BASELINE, the
 * folder of another build of this server, both are measured in turns. BENCH_DATABASE_URL, BENCH_ROUNDS and
 * BENCH_SECONDS as with `make bench`; 20 seconds are enough for ten logins of each kind.
 */
import { once } from 'node:events'
import { Agent, request } from 'node:http'
import { resolve } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { isMainThread, Worker, workerData } from 'node:worker_threads'
import { type Call, pace } from '../load.ts'
import { ownServer, type Program, type Server, UNLIMITED, withServer } from '../servers.ts'
import { ROUNDS, SECONDS } from '../settings.ts'
import { onStage, type Stage } from '../stage.ts'
import { fixed, median, printTable, spread } from '../table.ts'

/** Concurrent logins per address of a flood. */
const AT_ONCE = 5

/** How long each of them waits after a refusal: less than Retry-After. */
const PAUSE_MS = 500

/** The client timeout of a login. */
const TIMEOUT_MS = 10_000

/** The interval between two logins of one kind. */
const BETWEEN_MS = 1_000

/** The time in which a flood fills the queue. */
const FILLED_MS = 2_000

/** Requests per second to `/api/me` meanwhile. */
const PACE = 500

interface Flood {
  url: string
  addresses: number
  calls: Call[]
}

const FLOODS = [
  { name: 'no flood', addresses: 0, accounts: 0 },
  { name: '8 addresses, one account', addresses: 8, accounts: 1 },
  { name: '8 addresses, many accounts', addresses: 8, accounts: 64 },
  { name: '60 addresses, one account', addresses: 60, accounts: 1 },
  { name: '60 addresses, many accounts', addresses: 60, accounts: 64 },
]

/** A login as forwarded by a proxy on this machine. */
const from = (address: string, { headers, body }: Call): Call => ({
  method: 'POST',
  headers: { ...headers, 'x-forwarded-for': address },
  ...(body !== undefined && { body }),
})

/** Logs in and returns the status; null without a response in time. */
const logIn = (url: string, { headers, body }: Call, agent?: Agent): Promise<number | null> =>
  new Promise(resolve => {
    const signal = AbortSignal.timeout(TIMEOUT_MS)
    const sent = request(`${url}/login`, { method: 'POST', headers, signal, agent }, response => {
      response.resume().once('end', () => resolve(response.statusCode ?? null))
    })
    sent.once('error', () => resolve(null)).end(body)
  })

if (isMainThread) await onStage(measure)
else await attack(workerData as Flood)

/** Sends wrong logins in an endless loop. */
async function attack({ url, addresses, calls }: Flood) {
  const agent = new Agent({ keepAlive: true, maxSockets: Number.POSITIVE_INFINITY })
  let next = 0
  const keepTrying = async (address: string) => {
    for (;;) {
      const call = calls[next++ % calls.length] as Call
      const status = await logIn(url, from(address, call), agent)
      if (status !== 422) await delay(PAUSE_MS)
    }
  }
  await Promise.all(
    Array.from({ length: addresses * AT_ONCE }, (_, n) => keepTrying(`203.0.113.${1 + (n % addresses)}`)),
  )
}

interface Measured {
  p99: number
  late: number
  known: Probe
  stranger: Probe
}

/** The results of logins of one kind. */
interface Probe {
  tried: number
  succeeded: number
  /** The durations of successful logins. */
  durations: number[]
}

async function measure(stage: Stage) {
  const program = ownServer({
    TRUSTED_PROXIES: 'loopback',
    LOGIN_RATE_LIMIT: UNLIMITED,
    LOGIN_FAILURE_LIMIT: UNLIMITED,
    RATE_LIMIT_ANONYMOUS: UNLIMITED,
  })
  const baseline = process.env.BASELINE
  const programs: [string, Program][] = [
    ...(baseline
      ? [['before', { ...program, script: resolve(baseline, 'dist/src/main.js') }] as [string, Program]]
      : []),
    [baseline ? 'after' : 'this build', program],
  ]
  const results = new Map<string, Measured[]>()
  for (let round = 1; round <= ROUNDS; round++) {
    for (const flood of FLOODS) {
      for (const [name, one] of programs) {
        const key = `${flood.name} | ${name}`
        const measured = await withServer(stage, one, server => underFlood(stage, server, flood))
        results.set(key, [...(results.get(key) ?? []), measured])
        process.stderr.write(`${round}/${ROUNDS} ${key}\n`)
      }
    }
  }
  printTable(
    [
      'flood | build',
      'known address: logins',
      'median ms',
      'new address: logins',
      'median ms',
      '/api/me p99 ms',
      'spread',
      'late',
    ],
    [...results].map(([key, all]) => {
      const p99 = all.map(one => one.p99)
      return [
        key,
        ...probeCells(all.map(({ known }) => known)),
        ...probeCells(all.map(({ stranger }) => stranger)),
        fixed(median(p99), 1),
        spread(p99, 1),
        fixed(median(all.map(({ late }) => late)), 1),
      ]
    }),
    `${AT_ONCE} logins at once from each address of the flood, one a second of each other kind, ${PACE} requests a second to /api/me, medians of ${ROUNDS} rounds of ${SECONDS} s`,
  )
}

function probeCells(probes: readonly Probe[]): string[] {
  const sum = (count: (probe: Probe) => number) => probes.reduce((total, probe) => total + count(probe), 0)
  const durations = probes.flatMap(probe => probe.durations)
  return [`${sum(({ succeeded }) => succeeded)} of ${sum(({ tried }) => tried)}`, fixed(median(durations), 0)]
}

async function underFlood(
  stage: Stage,
  server: Server,
  { addresses, accounts }: { addresses: number; accounts: number },
): Promise<Measured> {
  const { calls } = stage
  const { url } = server
  const [owner, ...others] = calls.logins as [Call, ...Call[]]
  const wrong = calls.logins.slice(0, accounts).map(call => ({
    ...call,
    body: (call.body ?? '').replace('"password":"password"', '"password":"wrong"'),
  }))
  await stage.query('delete from login_addresses')
  const home = from('198.51.100.1', owner)
  if ((await logIn(url, home)) !== 200) throw new Error('the owner could not log in')
  await pace(server, calls.tokens, { path: '/api/me', rate: PACE, seconds: 2 })

  const flood =
    addresses === 0
      ? null
      : new Worker(import.meta.filename, { workerData: { url, addresses, calls: wrong } })
  if (flood !== null) {
    await once(flood, 'online')
    await delay(FILLED_MS)
  }
  let isOver = false
  const probe = async (callOf: (n: number) => Call): Promise<Probe> => {
    const probed: Probe = { tried: 0, succeeded: 0, durations: [] }
    while (!isOver) {
      const startedAt = performance.now()
      const status = await logIn(url, callOf(probed.tried))
      const ms = performance.now() - startedAt
      probed.tried += 1
      if (status === 200) {
        probed.succeeded += 1
        probed.durations.push(ms)
      }
      await delay(Math.max(0, BETWEEN_MS - ms))
    }
    return probed
  }
  const known = probe(() => home)
  const stranger = probe(n => from(`192.0.2.${1 + n}`, others[n % others.length] as Call))
  const { p99, late } = await pace(server, calls.tokens, { path: '/api/me', rate: PACE, seconds: SECONDS })
  isOver = true
  const measured = { p99, late, known: await known, stranger: await stranger }
  await flood?.terminate()
  return measured
}
