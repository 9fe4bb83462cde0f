import { spawn } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { closeSync, openSync, readFileSync, rmSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import type { Call } from './load.ts'
import { ROOT } from './settings.ts'

/** The origin of our server's own pages. */
export const APP_URL = 'http://127.0.0.1'

/** A limit that nobody reaches. */
export const UNLIMITED = '1000000'

const START_MS = 60_000
const POLL_MS = 5

/** A server that can be started. */
export interface Program {
  /** Its path, from the project's folder. */
  script: string
  args?: readonly string[]
  environment?: Readonly<Record<string, string>>
  /** Whether the bytes on its heap will be asked for. */
  isProbed?: boolean
}

const METRICS_TOKEN = randomBytes(16).toString('hex')
const METRICS_HEADERS = { authorization: `Bearer ${METRICS_TOKEN}` }

/** This project's server, in production, with settings of its own: of BENCH_MAIN, to compare with another build. */
export const ours = (environment: Record<string, string> = {}): Program => ({
  script: process.env.BENCH_MAIN ?? 'dist/src/main.js',
  args: ['serve'],
  environment: {
    APP_KEY: `base64:${randomBytes(32).toString('base64')}`,
    APP_URL,
    APP_ENV: 'production',
    PORT: '0',
    LOG_REQUESTS: 'errors',
    METRICS_TOKEN,
    // All callers have one address.
    RATE_LIMIT_ANONYMOUS: '1000000',
    ...environment,
  },
})

/** A server that runs. */
export interface Server {
  pid: number
  url: string
  /** Milliseconds from its start until it listened. */
  startMs: number
  /** What its callers send, if it has made credentials of its own. */
  calls: Call[] | null
  /** What it publishes under /metrics, by name and labels. Some of it starts anew each time. */
  metrics(): Promise<Map<string, number>>
  /** The megabytes in use on its heap once garbage is gone; for a program that is probed. */
  heapMb(): Promise<number>
}

/** Where servers find what they need. */
export interface Surroundings {
  databaseUrl: string
  /** Their current folder, and that of their logs. */
  folder: string
}

/** Starts servers, and ends them once the work with them is done. */
export async function withServers<T>(
  surroundings: Surroundings,
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
  surroundings: Surroundings,
  program: Program,
  work: (server: Server) => Promise<T>,
): Promise<T> => withServers(surroundings, [program], ([server]) => work(server as Server))

let count = 0

async function start(
  { databaseUrl, folder }: Surroundings,
  { script, args = [], environment, isProbed = false }: Program,
): Promise<Server & { stop(): Promise<void> }> {
  count += 1
  // A file, as in production: reading from a pipe would be work for the same processors.
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
    const said = readFileSync(logPath, 'utf8')
    const port = /READY (\d+)\n|Server listening at http:\/\/127\.0\.0\.1:(\d+)"/.exec(said)
    if (port !== null) {
      const url = `http://127.0.0.1:${port[1] ?? port[2]}`
      return {
        pid: child.pid as number,
        url,
        startMs: performance.now() - startedAt,
        calls: ownCalls(said),
        metrics: async () =>
          parseMetrics(await (await fetch(`${url}/metrics`, { headers: METRICS_HEADERS })).text()),
        async heapMb() {
          const answer = once(child, 'message')
          child.send('bytes')
          const [bytes] = (await answer) as [number]
          return bytes / 1024 ** 2
        },
        stop,
      }
    }
    const hasEnded = child.exitCode !== null || child.signalCode !== null
    if (hasEnded || performance.now() - startedAt > START_MS) {
      await stop()
      throw new Error(`${script} did not start:\n${said}`)
    }
  }
}

/** The calls with the tokens that a contender says it has made. */
function ownCalls(said: string): Call[] | null {
  const tokens = /^TOKENS (.+)$/m.exec(said)?.[1]
  if (tokens === undefined) return null
  return (JSON.parse(tokens) as string[]).map(token => ({ headers: { authorization: `Bearer ${token}` } }))
}

const parseMetrics = (text: string) =>
  new Map(
    [...text.matchAll(/^([^#\s].*) (\S+)$/gm)].map(([, name, value]) => [name as string, Number(value)]),
  )
