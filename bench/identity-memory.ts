import { setTimeout as delay } from 'node:timers/promises'
import { type Call, load } from './load.ts'
import { ownServer, type Server, withServer } from './servers.ts'
import { isSelected, WARM_UP } from './settings.ts'
import type { Stage } from './stage.ts'
import { fixed, printTable } from './table.ts'

const COUNTS = [10_000, 100_000]

/** A divisor of each count, so that each token is sent once. */
const CONNECTIONS = 20

/** Longer than the interval of the last-use write-behind. */
const SETTLED_MS = 6_000

const MODES = [
  { name: 'identities, strict', environment: { IDENTITY_CACHE: 'off' } },
  { name: 'identities, cached', environment: { IDENTITY_CACHE: 'on' } },
]

/** Measures the memory that a server keeps per token, and prints a table. */
export async function measureIdentities(stage: Stage): Promise<void> {
  const modes = MODES.filter(isSelected)
  if (modes.length === 0) return
  const rows: (string | number)[][] = []
  for (const { name, environment } of modes) {
    const program = { ...ownServer(environment), isProbed: true }
    rows.push([name, ...(await withServer(stage, program, server => measure(stage, server)))])
    process.stderr.write(`${name}\n`)
  }
  const tokens = (count: number) => `${count.toLocaleString('en')} tokens`
  const heads = ['look-ups', 'MB in use', 'failed']
  printTable(
    [...heads, ...COUNTS.flatMap(count => [`MB after ${tokens(count)}`, `bytes each of ${tokens(count)}`])],
    rows,
    'bytes in use on the heap after garbage collection, one round',
  )
}

async function measure({ calls }: Stage, server: Server): Promise<(string | number)[]> {
  // A few callers whose code is compiled and whose identities do not count.
  const warm = calls.allTokens.slice(0, CONNECTIONS)
  const settledHeap = async () => {
    await delay(SETTLED_MS)
    return server.heapMb()
  }
  const touch = (these: readonly Call[]) =>
    load([server], these, { path: '/api/me', connections: CONNECTIONS, amount: these.length })

  await load([server], warm, { path: '/api/me', connections: CONNECTIONS, seconds: WARM_UP })
  const before = await settledHeap()
  const cells: string[] = []
  let failures = 0
  for (const count of COUNTS) {
    const { failed } = await touch(calls.allTokens.slice(0, count))
    failures += failed
    const heap = await settledHeap()
    cells.push(fixed(heap, 1), fixed(((heap - before) * 1024 ** 2) / count, 0))
  }
  return [fixed(before, 1), failures, ...cells]
}
