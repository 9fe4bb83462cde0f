/**
 * Compares this server with others, in rounds that take turns: `make bench`. All use one PostgreSQL, the one of
 * BENCH_DATABASE_URL or one that is started. BENCH_ROUNDS and BENCH_SECONDS say how long.
 */
import { type ChildProcess, execFile, spawn } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { mkdtempSync, openSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { cpus, tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { promisify } from 'node:util'
import pg from 'pg'
import { startPostgres } from '../test/support/services.ts'
import { fill } from './fill.ts'

const ROUNDS = Number(process.env.BENCH_ROUNDS ?? 5)
const SECONDS = Number(process.env.BENCH_SECONDS ?? 5)
const CONNECTIONS = 32
const WARM_UP = 3
const ONLY = process.env.BENCH_ONLY?.split(',')

const root = join(import.meta.dirname, '../..')
const scratch = mkdtempSync(join(tmpdir(), 'animethemes-auth-bench-'))
const run = promisify(execFile)

/** One who is measured: how it is started, and what callers send to it. */
interface Contender {
  name: string
  script: string
  environment?: Record<string, string>
  /** Headers of one caller a line; the contender prints its own if this is not given. */
  callers?: 'tokens' | 'sessions'
}

const OURS = 'dist/src/main.js'
const contender = (name: string) => `bench/contenders/${name}.js`

const CONTENDERS: Contender[] = [
  { name: 'bare Fastify', script: contender('bare'), callers: 'tokens' },
  { name: 'hand-written, one SELECT', script: contender('floor'), callers: 'tokens' },
  { name: 'ours, token', script: OURS, environment: { LOG_REQUESTS: 'errors' }, callers: 'tokens' },
  { name: 'ours, session', script: OURS, environment: { LOG_REQUESTS: 'errors' }, callers: 'sessions' },
  { name: 'ours, token, logging all', script: OURS, environment: { LOG_REQUESTS: 'all' }, callers: 'tokens' },
  { name: '@fastify/jwt', script: contender('jwt') },
  { name: '@fastify/jwt, dressed', script: contender('jwt'), environment: { BENCH_DRESSED: '1' } },
  { name: 'express + passport', script: contender('express'), callers: 'tokens' },
  {
    name: 'better-auth, session',
    script: contender('better-auth'),
    environment: { BENCH_CREDENTIAL: 'session' },
  },
  {
    name: 'better-auth, API key',
    script: contender('better-auth'),
    environment: { BENCH_CREDENTIAL: 'key' },
  },
]

interface Running {
  process: ChildProcess
  url: string
  callers: string
}

interface Sample {
  rate: number
  p50: number
  p99: number
  requests: number
  failed: number
  transactions: number
  rss: number
}

async function start({ script, environment, callers }: Contender, databaseUrl: string): Promise<Running> {
  const log = openSync(join(scratch, 'log'), 'a')
  const child = spawn(process.execPath, [join(root, script), ...(script === OURS ? ['serve'] : [])], {
    cwd: scratch,
    env: {
      PATH: process.env.PATH,
      BENCH_DATABASE_URL: databaseUrl,
      DATABASE_URL: databaseUrl,
      APP_KEY: `base64:${randomBytes(32).toString('base64')}`,
      APP_URL: 'http://127.0.0.1',
      APP_ENV: 'production',
      PORT: '0',
      NODE_ENV: 'production',
      ...environment,
    },
    stdio: ['ignore', 'pipe', log],
  })
  let file = join(scratch, callers ?? 'own')
  for await (const line of createInterface({ input: child.stdout as NodeJS.ReadableStream })) {
    if (line.startsWith('TOKENS ')) {
      file = join(scratch, `${child.pid}`)
      const tokens = JSON.parse(line.slice(7)) as string[]
      writeFileSync(
        file,
        tokens.map(token => JSON.stringify({ authorization: `Bearer ${token}` })).join('\n'),
      )
    }
    const port =
      /READY (\d+)/.exec(line)?.[1] ?? /Server listening at http:\/\/127\.0\.0\.1:(\d+)/.exec(line)?.[1]
    if (port === undefined) continue
    child.stdout?.on('data', () => {})
    child.stdout?.resume()
    return { process: child, url: `http://127.0.0.1:${port}/api/me`, callers: file }
  }
  throw new Error(`${script} did not start: see ${scratch}/log`)
}

async function load({ url, callers }: Running, seconds: number) {
  const args = [join(root, 'bench/contenders/load.js'), url, String(seconds), String(CONNECTIONS), callers]
  const { stdout } = await run(process.execPath, args)
  return JSON.parse(stdout) as Omit<Sample, 'transactions' | 'rss'>
}

const rssOf = (pid: number) =>
  Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1] ?? 0) / 1024

const median = (values: number[]) => [...values].sort((a, b) => a - b)[values.length >> 1] ?? Number.NaN

async function main(databaseUrl: string) {
  const client = new pg.Client(databaseUrl)
  await client.connect()
  const { tokens, sessions } = await fill(databaseUrl)
  writeFileSync(join(scratch, 'tokens'), tokens.join('\n'))
  writeFileSync(join(scratch, 'sessions'), sessions.join('\n'))
  const transactions = async () => {
    await new Promise(resolve => setTimeout(resolve, 1_200))
    const { rows } = await client.query(
      'select xact_commit::int as count from pg_stat_database where datname = current_database()',
    )
    return rows[0].count as number
  }

  const contenders = CONTENDERS.filter(
    ({ name }) => ONLY === undefined || ONLY.some(part => name.includes(part)),
  )
  const samples = new Map<string, Sample[]>(contenders.map(({ name }) => [name, []]))
  for (let round = 0; round < ROUNDS; round++) {
    for (const one of contenders) {
      const running = await start(one, databaseUrl)
      try {
        await load(running, WARM_UP)
        const before = await transactions()
        const measured = await load(running, SECONDS)
        const rss = rssOf(running.process.pid as number)
        const used = (await transactions()) - before
        samples.get(one.name)?.push({ ...measured, rss, transactions: used / measured.requests })
        process.stderr.write(`${round + 1}/${ROUNDS} ${one.name}: ${Math.round(measured.rate)}/s\n`)
      } finally {
        running.process.kill('SIGKILL')
        await new Promise(resolve => running.process.once('close', resolve))
      }
    }
  }
  await client.end()
  report(samples)
}

function report(samples: Map<string, Sample[]>) {
  const rateOf = (name: string) => median((samples.get(name) ?? []).map(({ rate }) => rate))
  const [bare, floor] = [rateOf('bare Fastify'), rateOf('hand-written, one SELECT')]
  const rows = [...samples].map(([name, all]) => {
    const of = (key: keyof Sample) => median(all.map(sample => sample[key]))
    const rates = all.map(({ rate }) => rate)
    return [
      name,
      Math.round(of('rate')),
      `${Math.round(Math.min(...rates))}–${Math.round(Math.max(...rates))}`,
      (of('rate') / bare).toFixed(3),
      (of('rate') / floor).toFixed(2),
      of('p50'),
      of('p99'),
      of('transactions').toFixed(2),
      Math.round(of('rss')),
      all.reduce((sum, { failed }) => sum + failed, 0),
    ]
  })
  const heads = [
    'server',
    'requests/s',
    'spread',
    '× bare',
    '× SELECT',
    'p50 ms',
    'p99 ms',
    'SQL/request',
    'RSS MB',
    'failed',
  ]
  for (const cells of [heads, heads.map(() => '---'), ...rows])
    process.stdout.write(`| ${cells.join(' | ')} |\n`)
  process.stdout.write(
    `\n${cpus().length} × ${cpus()[0]?.model.trim()}, Node ${process.version}, ${CONNECTIONS} connections, medians of ${ROUNDS} rounds of ${SECONDS} s\n`,
  )
}

const postgres = process.env.BENCH_DATABASE_URL ? null : await startPostgres()
try {
  await main(process.env.BENCH_DATABASE_URL ?? postgres?.url ?? '')
} finally {
  await postgres?.stop()
  rmSync(scratch, { recursive: true, force: true })
}
