/**
 * `make bench-scale`: measures one instance of this server and then two, on one PostgreSQL and one Redis, the memory of
 * the cache, and the delay of revocations. PostgreSQL is that of BENCH_DATABASE_URL, Redis that of TEST_REDIS_URL or of
 * this machine, or else both are started. BENCH_ROUNDS and BENCH_SECONDS set the duration, and BENCH_ONLY selects.
 *
 * The callers share the processors: an instance's capacity shows in CPU time, not in requests per second.
 */
import { Redis } from 'ioredis'
import { type Service, startRedis } from '../test/support/services.ts'
import type { Calls } from './fill.ts'
import { measureIdentities } from './identity-memory.ts'
import { load } from './load.ts'
import { cpuSeconds, cpuSecondsOfFamily, postmasterOf, rssMb } from './processes.ts'
import { measureRevocations } from './revocations.ts'
import { ownServer, type Server, UNLIMITED, withServers } from './servers.ts'
import { CONNECTIONS, isSelected, ROUNDS, SECONDS, WARM_UP } from './settings.ts'
import { onStage, type Stage } from './stage.ts'
import { fixed, median, printTable } from './table.ts'

/** A configuration of instances, and their callers. */
interface Mode {
  name: string
  environment: Record<string, string>
  callers: keyof Calls
}

const MODES: Mode[] = [
  { name: 'strict', environment: {}, callers: 'tokens' },
  { name: 'cached', environment: { IDENTITY_CACHE: 'on' }, callers: 'tokens' },
  {
    name: 'strict, limits in Redis',
    environment: { RATE_LIMIT_AUTHENTICATED: UNLIMITED },
    callers: 'limited',
  },
]

const INSTANCES = [1, 2]

const PATH = '/api/me'
const RESPONSES = `http_request_duration_seconds_count{method="GET",route="${PATH}",status="200"}`

/** The measurements of one round. */
interface Sample {
  rate: number
  p50: number
  p99: number
  failed: number
  /** CPU seconds per thousand requests: of all instances, of PostgreSQL and of Redis. */
  serverCpu: number
  postgresCpu: number
  redisCpu: number
  /** Database transactions per request. */
  transactions: number
  connections: number
  /** Per instance. */
  rates: number[]
  rss: number[]
}

/** Reads the CPU times of all instances, of PostgreSQL and of Redis. */
type CpuTimes = (servers: readonly Server[]) => Promise<number[]>

async function measureScale(stage: Stage, redis: Service) {
  const client = new Redis(redis.url)
  const cpuTimes = await cpuClock(stage, client)
  const all = MODES.flatMap(mode =>
    INSTANCES.map(instances => ({ mode, instances, samples: [] as Sample[] })),
  ).filter(({ mode }) => isSelected(mode))
  try {
    for (let round = 1; round <= ROUNDS; round++) {
      for (const { mode, instances, samples } of all) {
        const program = ownServer({ REDIS_URL: redis.url, ...mode.environment })
        const programs = Array.from({ length: instances }, () => program)
        const sample = await withServers(stage, programs, servers =>
          measure(stage, servers, mode.callers, cpuTimes),
        )
        samples.push(sample)
        process.stderr.write(`${round}/${ROUNDS} ${mode.name}, ${instances}: ${Math.round(sample.rate)}/s\n`)
      }
    }
  } finally {
    client.disconnect()
  }
  if (all.length > 0) report(all)
}

async function measure(
  stage: Stage,
  servers: Server[],
  callers: keyof Calls,
  cpuTimes: CpuTimes,
): Promise<Sample> {
  const countResponses = () =>
    Promise.all(servers.map(async server => (await server.metrics()).get(RESPONSES) ?? 0))
  const calls = stage.calls[callers]
  await load(servers, calls, { path: PATH, seconds: WARM_UP * servers.length })
  const nudge = () => load(servers, calls, { path: PATH, amount: CONNECTIONS })
  const before = await stage.transactions(nudge)
  const [counts, times] = [await countResponses(), await cpuTimes(servers)]
  const { requests, ...loaded } = await load(servers, calls, { path: PATH, seconds: SECONDS })
  const spent = difference(await cpuTimes(servers), times)
  const [serverCpu = 0, postgresCpu = 0, redisCpu = 0] = spent.map(seconds => (seconds / requests) * 1000)
  const shares = difference(await countResponses(), counts)
  const total = shares.reduce((sum, share) => sum + share, 0)
  const { connections } = await stage.query<{ connections: number }>(
    `select count(*)::int as connections from pg_stat_activity
    where datname = current_database() and application_name = 'animethemes-auth'`,
  )
  const rss = servers.map(({ pid }) => rssMb(pid))
  return {
    ...loaded,
    serverCpu,
    postgresCpu,
    redisCpu,
    connections,
    rss,
    rates: shares.map(share => (loaded.rate * share) / total),
    transactions: ((await stage.transactions(nudge)) - before) / (requests + CONNECTIONS),
  }
}

const difference = (after: readonly number[], before: readonly number[]) =>
  after.map((value, index) => value - (before[index] ?? 0))

/** PostgreSQL's CPU time is known if it runs on this machine; Redis reports its own anywhere. */
async function cpuClock({ query }: Stage, redis: Redis): Promise<CpuTimes> {
  const { pid, name } = await query<{ pid: number; name: string }>(
    'select pg_backend_pid() as pid, current_database() as name',
  )
  const postmaster = postmasterOf(pid, name)
  return async servers => {
    const info = await redis.info('cpu')
    const ofRedis = (kind: string) => Number(new RegExp(`used_cpu_${kind}:(\\S+)`).exec(info)?.[1])
    return [
      servers.reduce((sum, server) => sum + cpuSeconds(server.pid), 0),
      postmaster === null ? Number.NaN : cpuSecondsOfFamily(postmaster),
      ofRedis('user') + ofRedis('sys'),
    ]
  }
}

function report(all: readonly { mode: Mode; instances: number; samples: readonly Sample[] }[]) {
  const rows = all.map(({ mode, instances, samples }) => {
    const of = (read: (sample: Sample) => number, decimals: number) =>
      fixed(median(samples.map(read)), decimals)
    const each = (read: (sample: Sample) => number[]) =>
      Array.from({ length: instances }, (_, index) => of(sample => read(sample)[index] ?? 0, 0)).join(' + ')
    return [
      mode.name,
      instances,
      of(({ rate }) => rate, 0),
      each(({ rates }) => rates),
      of(({ p50 }) => p50, 0),
      of(({ p99 }) => p99, 0),
      of(({ serverCpu }) => serverCpu, 3),
      of(({ postgresCpu }) => postgresCpu, 3),
      of(({ redisCpu }) => redisCpu, 3),
      of(({ transactions }) => transactions, 3),
      of(({ connections }) => connections, 0),
      each(({ rss }) => rss),
      samples.reduce((sum, { failed }) => sum + failed, 0),
    ]
  })
  const heads = ['look-ups', 'instances', 'requests/s', 'each', 'p50 ms', 'p99 ms']
  const cpu = ['servers', 'PostgreSQL', 'Redis'].map(who => `${who}: CPU s/1,000`)
  printTable(
    [...heads, ...cpu, 'SQL/request', 'connections', 'RSS MB', 'failed'],
    rows,
    `${CONNECTIONS} connections in all, medians of ${ROUNDS} rounds of ${SECONDS} s`,
  )
}

await onStage(async stage => {
  const redis = await startRedis()
  try {
    if (redis === null) process.stderr.write('There is no Redis: only memory is measured.\n')
    else await measureScale(stage, redis)
    await measureIdentities(stage)
    await measureRevocations(stage)
  } finally {
    await redis?.stop()
  }
})
