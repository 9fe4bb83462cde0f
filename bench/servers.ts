import { spawn } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { closeSync, openSync, readFileSync, rmSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import type { Call } from './load.ts'
import { cpuSeconds } from './processes.ts'
import { ROOT } from './settings.ts'

/** The origin of this server's pages. */
export const APP_URL = 'http://127.0.0.1'

/** A limit that is never reached. */
export const UNLIMITED = '1000000'

const START_MS = 60_000
const POLL_MS = 5

/** A server program. */
export interface Program {
  /** Its path, relative to the project. */
  script: string
  args?: readonly string[]
  environment?: Readonly<Record<string, string>>
  /** Whether its heap is measured. */
  isProbed?: boolean
}

const METRICS_TOKEN = randomBytes(16).toString('hex')
const METRICS_HEADERS = { authorization: `Bearer ${METRICS_TOKEN}` }

/** This project's server in production, with its own settings; that of BENCH_MAIN, to compare another build. */
export const ownServer = (environment: Record<string, string> = {}): Program => ({
  script: process.env.BENCH_MAIN ?? 'dist/src/main.js',
  args: ['serve'],
  environment: {
    APP_KEY: `base64:${randomBytes(32).toString('base64')}`,
    APP_URL,
    APP_ENV: 'production',
    PORT: '0',
    LOG_REQUESTS: 'errors',
    METRICS_TOKEN,
    // All callers share one address.
    RATE_LIMIT_ANONYMOUS: '1000000',
    ...environment,
  },
})

/** A running server. */
export interface Server {
  pid: number
  url: string
  /** The time from its start until it listened. */
  startMs: number
  /** The CPU time of its process until it listened. */
  startCpuMs: number
  /** The requests of its callers, if it made its own credentials. */
  calls: Call[] | null
  /** Reads /metrics, by name and labels. Some metrics reset at each read. */
  metrics(): Promise<Map<string, number>>
  /** The megabytes in use on its heap after garbage collection; for a probed program. */
  heapMb(): Promise<number>
}

/** The environment of the servers. */
export interface BenchEnvironment {
  databaseUrl: string
  /** Their working directory, which also has their logs. */
  folder: string
}

/** Starts servers, runs the work, and stops them. */
export async function withServers<T>(
  surroundings: BenchEnvironment,
  programs: readonly Program[],
  work: (servers: Server[]) => Promise<T>,
): Promise<T> {
  const started: Awaited<ReturnType<typeof start>>[] = []
  try {
    for (const program of programs) started.push(await start(surroundings, program))
    return await work(started)
  } finally {
    await Promise.all(started.map(server => server.stop()))
  }
}

/** The same with one server. */
export const withServer = <T>(
  surroundings: BenchEnvironment,
  program: Program,
  work: (server: Server) => Promise<T>,
): Promise<T> => withServers(surroundings, [program], ([server]) => work(server as Server))

let count = 0

async function start(
  { databaseUrl, folder }: BenchEnvironment,
  { script, args = [], environment, isProbed = false }: Program,
): Promise<Server & { stop(): Promise<void> }> {
  count += 1
  // A file, as in production: reading a pipe would be work for the same processors.
  const logPath = join(folder, `${count}.log`)
  const log = openSync(logPath, 'a')
  const probe = isProbed ? ['--expose-gc', '--import', join(ROOT, 'dist/bench/heap-probe.js')] : []
  const startedAt = performance.now()
  const child = spawn(process.execPath, [...probe, resolve(ROOT, script), ...args], {
    cwd: folder,
    env: {
      PATH: process.env.PATH,
      BENCH_DATABASE_URL: databaseUrl,
      DATABASE_URL: databaseUrl,
      NODE_ENV: 'production',
      ...environment,
    },
    stdio: ['ignore', log, log, ...(isProbed ? ['ipc' as const] : [])],
  })
  closeSync(log)
  const ended = once(child, 'exit')

  const stop = async () => {
    child.kill('SIGKILL')
    await ended
    rmSync(logPath)
  }

  for (;;) {
    await delay(POLL_MS)
    const output = readFileSync(logPath, 'utf8')
    const port = /READY (\d+)\n|Server listening at http:\/\/127\.0\.0\.1:(\d+)"/.exec(output)
    if (port !== null) {
      const url = `http://127.0.0.1:${port[1] ?? port[2]}`
      return {
        pid: child.pid as number,
        url,
        startMs: performance.now() - startedAt,
        startCpuMs: cpuSeconds(child.pid as number) * 1000,
        calls: ownCalls(output),
        metrics: async () =>
          parseMetrics(await (await fetch(`${url}/metrics`, { headers: METRICS_HEADERS })).text()),
        async heapMb() {
          const reply = once(child, 'message')
          child.send('bytes')
          const [bytes] = (await reply) as [number]
          return bytes / 1024 ** 2
        },
        stop,
      }
    }
    const hasEnded = child.exitCode !== null || child.signalCode !== null
    if (hasEnded || performance.now() - startedAt > START_MS) {
      await stop()
      throw new Error(`${script} did not start:\n${output}`)
    }
  }
}

/** Returns the calls with the tokens that a contender prints. */
function ownCalls(output: string): Call[] | null {
  const tokens = /^TOKENS (.+)$/m.exec(output)?.[1]
  if (tokens === undefined) return null
  return (JSON.parse(tokens) as string[]).map(token => ({ headers: { authorization: `Bearer ${token}` } }))
}

const parseMetrics = (text: string) =>
  new Map(
    [...text.matchAll(/^([^#\s].*) (\S+)$/gm)].map(([, name, value]) => [name as string, Number(value)]),
  )
