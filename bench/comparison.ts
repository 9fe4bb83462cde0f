import { load } from './load.ts'
import { cpuTimes, rssMb } from './processes.ts'
import { ownServer, type Program, withServer } from './servers.ts'
import { CONNECTIONS, isSelected, ROUNDS, SECONDS, WARM_UP } from './settings.ts'
import type { Stage } from './stage.ts'
import { fixed, median, printTable, spread } from './table.ts'

/** A compared server. It makes its own callers unless `callers` is set. */
interface Contender extends Program {
  name: string
  callers?: 'tokens' | 'manyTokens' | 'sessions'
}

const contender = (name: string, environment?: Record<string, string>): Program => ({
  script: `bench/contenders/${name}.js`,
  ...(environment && { environment }),
})

const DRESSED = 'bare Fastify, dressed'
const FLOOR = 'hand-written, one SELECT'

const CONTENDERS: Contender[] = [
  { name: 'bare Fastify', ...contender('bare'), callers: 'tokens' },
  { name: DRESSED, ...contender('dressed'), callers: 'tokens' },
  { name: FLOOR, ...contender('floor'), callers: 'tokens' },
  { name: 'ours, token', ...ownServer(), callers: 'tokens' },
  { name: 'ours, session', ...ownServer(), callers: 'sessions' },
  { name: 'ours, token, cached', ...ownServer({ IDENTITY_CACHE: 'on' }), callers: 'tokens' },
  { name: 'ours, session, cached', ...ownServer({ IDENTITY_CACHE: 'on' }), callers: 'sessions' },
  { name: 'ours, 10,000 tokens', ...ownServer(), callers: 'manyTokens' },
  { name: 'ours, 10,000 tokens, cached', ...ownServer({ IDENTITY_CACHE: 'on' }), callers: 'manyTokens' },
  { name: 'ours, token, logging all', ...ownServer({ LOG_REQUESTS: 'all' }), callers: 'tokens' },
  { name: '@fastify/jwt', ...contender('jwt') },
  { name: '@fastify/jwt, dressed', ...contender('jwt', { BENCH_DRESSED: '1' }) },
  { name: 'express + passport', ...contender('express'), callers: 'tokens' },
  { name: 'better-auth, session', ...contender('better-auth', { BENCH_CREDENTIAL: 'session' }) },
  { name: 'better-auth, API key', ...contender('better-auth', { BENCH_CREDENTIAL: 'key' }) },
]

interface Sample {
  rate: number
  p50: number
  p99: number
  failed: number
  /** CPU microseconds of the server per request, in its own code and in the kernel. */
  user: number
  system: number
  /** Database transactions per request. */
  transactions: number
  rss: number
}

/** Compares this server with others, in interleaved rounds, and prints a table. */
export async function compare(stage: Stage): Promise<void> {
  const samples = new Map<string, Sample[]>(CONTENDERS.filter(isSelected).map(({ name }) => [name, []]))
  if (samples.size === 0) return
  for (let round = 1; round <= ROUNDS; round++) {
    for (const one of CONTENDERS.filter(isSelected)) {
      const sample = await measure(stage, one)
      samples.get(one.name)?.push(sample)
      process.stderr.write(`${round}/${ROUNDS} ${one.name}: ${Math.round(sample.rate)}/s\n`)
    }
  }
  report(samples)
}

const measure = (stage: Stage, one: Contender): Promise<Sample> =>
  withServer(stage, one, async server => {
    const calls = one.callers === undefined ? server.calls : stage.calls[one.callers]
    if (calls === null) throw new Error(`${one.name} has no callers`)
    await load([server], calls, { path: '/api/me', seconds: WARM_UP })
    const nudge = () => load([server], calls, { path: '/api/me', amount: CONNECTIONS })
    const before = await stage.transactions(nudge)
    const from = cpuTimes(server.pid)
    const { requests, ...sample } = await load([server], calls, { path: '/api/me', seconds: SECONDS })
    const to = cpuTimes(server.pid)
    const microseconds = (seconds: number) => (seconds / requests) * 1e6
    const rss = rssMb(server.pid)
    const transactions = (await stage.transactions(nudge)) - before
    return {
      ...sample,
      user: microseconds(to.user - from.user),
      system: microseconds(to.system - from.system),
      rss,
      transactions: transactions / (requests + CONNECTIONS),
    }
  })

function report(samples: ReadonlyMap<string, readonly Sample[]>) {
  const rateOf = (name: string) => median((samples.get(name) ?? []).map(({ rate }) => rate))
  const cpuOf = (all: readonly Sample[]) => median(all.map(({ user, system }) => user + system))
  const dressedCpu = cpuOf(samples.get(DRESSED) ?? [])
  const heads = ['server', 'requests/s', 'spread', '× dressed', '× SELECT', 'p50 ms', 'p99 ms']
  const cpuHeads = ['user µs', 'system µs', 'CPU × dressed']
  const rows = [...samples].map(([name, all]) => {
    const of = (key: keyof Sample) => median(all.map(sample => sample[key]))
    return [
      name,
      fixed(of('rate'), 0),
      spread(
        all.map(({ rate }) => rate),
        0,
      ),
      fixed(of('rate') / rateOf(DRESSED), 2),
      fixed(of('rate') / rateOf(FLOOR), 2),
      of('p50'),
      of('p99'),
      fixed(of('user'), 1),
      fixed(of('system'), 1),
      fixed(cpuOf(all) / dressedCpu, 2),
      fixed(of('transactions'), 2),
      fixed(of('rss'), 0),
      all.reduce((sum, { failed }) => sum + failed, 0),
    ]
  })
  printTable(
    [...heads, ...cpuHeads, 'SQL/request', 'RSS MB', 'failed'],
    rows,
    `${CONNECTIONS} connections, medians of ${ROUNDS} rounds of ${SECONDS} s`,
  )
}
