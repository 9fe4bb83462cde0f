/**
 * Measures what a flood of expensive list queries does to other users: thirty concurrent queries by guests or users,
 * while another user requests /api/me fifty times a second. `node dist/bench/floods/lists.js [guest|user] [tree]`;
 * `tree` is another built checkout, to compare with. Uses the PostgreSQL of BENCH_DATABASE_URL, or one that is started.
 */
import { spawn } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { playlists } from '#src/api/endpoints.ts'
import { includePaths } from '#src/query/resource.ts'
import { startPostgres } from '../../test/support/services.ts'
import { fillLists } from './fill-lists.ts'

const [callerKind = 'guest', tree = join(import.meta.dirname, '../../..')] = process.argv.slice(2)

const AT_ONCE = 30
const SECONDS = Number(process.env.BENCH_SECONDS ?? 15)
/** How long a caller waits before the next request: this process shares the cores with the server. */
const PAUSE_MS = 250

/** The client timeout. */
const TIMEOUT_MS = 20_000
const REQUESTS_PER_SECOND = 50
const PORT = Number(process.env.BENCH_PORT ?? 18_745)

/** The most expensive queries that are allowed, within the limit of guests. */
const QUERIES = {
  'has-eq with 16 relations': `filter[has-eq]=${includePaths(playlists).join()}`,
  'has with 16 relations': `filter[has]=${includePaths(playlists).join()}`,
}

const externalUrl = process.env.BENCH_DATABASE_URL
const postgres = externalUrl ? null : await startPostgres()
const databaseUrl = externalUrl || (postgres?.url ?? '')
await fillLists(databaseUrl)
const folder = mkdtempSync(join(tmpdir(), 'animethemes-auth-flood-'))
const server = spawn(process.execPath, [join(tree, 'dist/src/main.js'), 'serve'], {
  cwd: folder,
  env: {
    PATH: process.env.PATH,
    DATABASE_URL: databaseUrl,
    APP_KEY: `base64:${randomBytes(32).toString('base64')}`,
    APP_URL: 'http://127.0.0.1',
    PORT: String(PORT),
    LOG_LEVEL: 'silent',
    RATE_LIMIT_AUTHENTICATED: '1000000',
    RATE_LIMIT_ANONYMOUS: '1000000',
  },
  stdio: 'ignore',
})
const url = `http://127.0.0.1:${PORT}`
try {
  while ((await statusOf(`${url}/health/ready`)) !== '200') await delay(200)
  for (const [name, queryString] of Object.entries(QUERIES)) await flood(name, queryString)
} finally {
  server.kill('SIGKILL')
  await once(server, 'exit')
  rmSync(folder, { recursive: true, force: true })
  await postgres?.stop()
}

async function statusOf(address: string, token?: string): Promise<string> {
  try {
    const response = await fetch(address, {
      headers: token ? { authorization: `Bearer ${token}` } : {},
      signal: AbortSignal.timeout(TIMEOUT_MS),
    })
    await response.arrayBuffer()
    return String(response.status)
  } catch (error) {
    return (error as Error).name
  }
}

/** Tokens are numbered in order of creation. */
function tokenOf(n: number): string {
  return `${n}|secret${n}`
}

async function flood(name: string, queryString: string): Promise<void> {
  const end = performance.now() + SECONDS * 1_000
  const lists = new Map<string, number>()
  const samples: { status: string; ms: number }[] = []

  const sendLists = async (n: number) => {
    while (performance.now() < end) {
      const token = callerKind === 'user' ? tokenOf(2 + n) : undefined
      const status = await statusOf(`${url}/api/playlist?${queryString}&n=${Math.random()}`, token)
      lists.set(status, (lists.get(status) ?? 0) + 1)
      // A refused caller does not retry as fast as a loop can.
      await delay(PAUSE_MS)
    }
  }
  const flooding = Array.from({ length: AT_ONCE }, (_, n) => sendLists(n))
  const pending: Promise<void>[] = []
  while (performance.now() < end) {
    const begun = performance.now()
    pending.push(
      statusOf(`${url}/api/me`, tokenOf(1)).then(status => {
        samples.push({ status, ms: performance.now() - begun })
      }),
    )
    await delay(1_000 / REQUESTS_PER_SECOND)
  }
  await Promise.all([...flooding, ...pending])

  const times = samples.map(({ ms }) => ms).sort((a, b) => a - b)
  const at = (share: number) =>
    Math.round(times[Math.min(times.length - 1, Math.floor(times.length * share))] ?? 0)
  const failed = samples.filter(({ status }) => status !== '200')
  const responses = [...lists].map(([status, count]) => `${count} × ${status}`).join(', ')
  console.log(
    `| ${callerKind} | ${name} | ${samples.length} | ${at(0.5)} | ${at(0.99)} | ${at(1)} | ${failed.length} | ${responses} |`,
  )
}
