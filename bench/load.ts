import { execFile } from 'node:child_process'
import { join } from 'node:path'
import { CONNECTIONS, ROOT } from './settings.ts'

/** A request of a caller's. The load says to which path. */
export interface Call {
  headers: Record<string, string>
  method?: 'POST'
  body?: string
}

/** How a server did. Latencies are in milliseconds. */
export interface Loaded {
  /** Answers a second. */
  rate: number
  p50: number
  p99: number
  /** Answers of 2xx. */
  requests: number
  failed: number
}

/** How much load, and on what. */
interface Load {
  path: string
  connections?: number
  /** How long it lasts. */
  seconds?: number
  /** How many requests it is, however long they take. */
  amount?: number
}

/** Sends requests as fast as they are answered, from a process of its own, to one server or to several by turns. */
export function load(
  servers: readonly { url: string }[],
  calls: readonly Call[],
  { path, connections = CONNECTIONS, seconds, amount }: Load,
): Promise<Loaded> {
  const url = servers.map(server => server.url + path)
  const options = JSON.stringify({ url, connections, duration: seconds, amount })
  return new Promise((resolve, reject) => {
    const args = [join(ROOT, 'bench/contenders/load.js'), options]
    const child = execFile(process.execPath, args, (error, stdout) => {
      if (error) reject(error)
      else resolve(JSON.parse(stdout))
    })
    child.stdin?.end(calls.map(call => JSON.stringify(call)).join('\n'))
  })
}
