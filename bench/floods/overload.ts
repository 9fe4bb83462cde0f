/**
 * `node dist/bench/floods/overload.js`: measures one instance at twice its capacity over a thousand connections, while
 * a probe requests /health/live.
 */
import { spawn } from 'node:child_process'
import { get } from 'node:http'
import { join } from 'node:path'
import { createHistogram, performance } from 'node:perf_hooks'
import { text } from 'node:stream/consumers'
import { setTimeout as delay } from 'node:timers/promises'
import type { Call } from '../load.ts'
import { ownServer, UNLIMITED, withServer } from '../servers.ts'
import { isSelected, ROOT, ROUNDS, SECONDS, WARM_UP } from '../settings.ts'
import { onStage } from '../stage.ts'
import { fixed, median, printTable } from '../table.ts'
import type { OpenLoop, OpenLoopResult } from './open-loop.ts'

const CONNECTIONS = 1_000

const MODES: { name: string; environment: Record<string, string> }[] = [
  { name: 'strict', environment: {} },
  { name: 'cached', environment: { IDENTITY_CACHE: 'on' } },
]

/** The effect of overload on a server. Shares relate to its capacity with a few connections. */
interface Sample extends OpenLoopResult {
  capacity: number
  live: { p99: number; max: number; failed: number }
}

async function openLoop(options: OpenLoop, calls: readonly Call[]): Promise<OpenLoopResult> {
  const script = join(ROOT, 'dist/bench/floods/open-loop.js')
  const child = spawn(process.execPath, [script, JSON.stringify(options)], {
    stdio: ['pipe', 'pipe', 'inherit'],
  })
  child.stdin.end(calls.map(call => JSON.stringify(call)).join('\n'))
  return JSON.parse(await text(child.stdout)) as OpenLoopResult
}

/** Probes /health/live periodically, on a new connection each time as orchestrators do. */
async function probeLive(url: string, seconds: number) {
  const latencies = createHistogram()
  let failed = 0
  const probe = () =>
    new Promise<void>(resolve => {
      const from = performance.now()
      get(`${url}/health/live`, { agent: false }, response => {
        response.resume().once('end', () => {
          latencies.record(Math.max(1, Math.round((performance.now() - from) * 1000)))
          if (response.statusCode !== 200) failed += 1
          resolve()
        })
      }).once('error', () => {
        failed += 1
        resolve()
      })
    })
  const end = performance.now() + seconds * 1000
  while (performance.now() < end) {
    await probe()
    await delay(50)
  }
  return { p99: latencies.percentile(99) / 1000, max: latencies.max / 1000, failed }
}

await onStage(async stage => {
  const samples = new Map<string, Sample[]>(MODES.filter(isSelected).map(({ name }) => [name, []]))
  const calls = stage.calls.tokens
  for (let round = 1; round <= ROUNDS; round++) {
    for (const { name, environment } of MODES.filter(isSelected)) {
      const program = ownServer({ RATE_LIMIT_ANONYMOUS: UNLIMITED, ...environment })
      await withServer(stage, program, async ({ url }) => {
        const at = (rate: number | null, connections: number, seconds: number) =>
          openLoop({ url, path: '/api/me', connections, rate, seconds }, calls)
        await at(null, 64, WARM_UP)
        const { accepted: capacity } = await at(null, 64, SECONDS)
        const live = delay(1_000).then(() => probeLive(url, SECONDS - 1))
        const flood = await at(2 * capacity, CONNECTIONS, SECONDS)
        samples.get(name)?.push({ ...flood, capacity, live: await live })
        process.stderr.write(
          `${round}/${ROUNDS} ${name}: ${JSON.stringify(samples.get(name)?.at(-1), (_, value) => (typeof value === 'number' ? Math.round(value * 10) / 10 : value))}\n`,
        )
      })
    }
  }
  const rows = [...samples].map(([name, all]) => {
    const of = (read: (sample: Sample) => number, decimals = 0) => fixed(median(all.map(read)), decimals)
    return [
      name,
      of(({ capacity }) => capacity),
      of(({ offered }) => offered),
      of(({ accepted }) => accepted),
      of(({ accepted, capacity }) => accepted / capacity, 2),
      of(({ shed }) => shed),
      of(({ p50 }) => p50),
      of(({ p99 }) => p99),
      of(({ max }) => max),
      of(({ shedP99 }) => shedP99),
      of(({ live }) => live.p99),
      of(({ live }) => live.max),
      all.reduce((sum, { failed, live }) => sum + failed + live.failed, 0),
    ]
  })
  printTable(
    [
      'look-ups',
      'capacity/s',
      'offered/s',
      'accepted/s',
      'of capacity',
      '503/s',
      'accepted p50 ms',
      'p99 ms',
      'max ms',
      '503 p99 ms',
      '/health/live p99 ms',
      'max ms',
      'failed',
    ],
    rows,
    `twice the capacity over ${CONNECTIONS.toLocaleString('en')} connections, medians of ${ROUNDS} rounds of ${SECONDS} s`,
  )
})
