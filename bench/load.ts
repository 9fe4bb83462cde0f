import { execFile } from 'node:child_process'
import { Agent, get } from 'node:http'
import { join } from 'node:path'
import { createHistogram, monitorEventLoopDelay, performance } from 'node:perf_hooks'
import { setTimeout as delay } from 'node:timers/promises'
import { CONNECTIONS, ROOT } from './settings.ts'

/** The resolution of the timer that measures this process's own delay, which the measurement includes. */
const OWN_TIMER_MS = 1

/** A request of a caller; the load determines the path. */
export interface Call {
  headers: Record<string, string>
  method?: 'POST'
  body?: string
}

/** The result of a load. Latencies are in milliseconds. */
export interface Loaded {
  /** Responses per second. */
  rate: number
  p50: number
  p99: number
  /** Responses with status 2xx. */
  requests: number
  failed: number
}

/** The load. */
interface Load {
  path: string
  connections?: number
  /** Its duration. */
  seconds?: number
  /** The number of requests, regardless of the time. */
  amount?: number
}

/** Sends requests as fast as responses arrive, from a separate process, to one server or several in turn. */
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

/**
 * Sends requests at a constant rate, whether or not earlier ones have a response: autocannon sends those of a second at
 * once at its start, and reports whole milliseconds.
 *
 * @returns with `late`, the 99th percentile of this process's own delay, which latencies include
 */
export async function pace(
  { url }: { url: string },
  calls: readonly Call[],
  { path, rate, seconds }: { path: string; rate: number; seconds: number },
): Promise<Pick<Loaded, 'p50' | 'p99' | 'failed'> & { late: number }> {
  const agent = new Agent({ keepAlive: true, maxSockets: CONNECTIONS, scheduling: 'fifo' })
  const microseconds = createHistogram()
  const own = monitorEventLoopDelay({ resolution: OWN_TIMER_MS })
  let failed = 0

  const send = ({ headers }: Call) =>
    new Promise<void>(resolve => {
      const end = (isSuccess: boolean) => {
        if (!isSuccess) failed += 1
        resolve()
      }
      // Waiting for a connection counts, since the server keeps it busy; this process's delay does not.
      const from = performance.now()
      get(url + path, { agent, headers }, response => {
        response.resume().once('end', () => {
          microseconds.record(Math.max(1, Math.round((performance.now() - from) * 1000)))
          end(response.statusCode === 200)
        })
      }).once('error', () => end(false))
    })

  own.enable()
  const start = performance.now()
  const sent: Promise<void>[] = []
  for (let n = 0; n < rate * seconds; n++) {
    const early = start + (n / rate) * 1000 - performance.now()
    if (early > 0) await delay(early)
    sent.push(send(calls[n % calls.length] as Call))
  }
  await Promise.all(sent)
  own.disable()
  agent.destroy()
  return {
    p50: microseconds.percentile(50) / 1000,
    p99: microseconds.percentile(99) / 1000,
    late: Math.max(0, own.percentile(99) / 1e6 - OWN_TIMER_MS),
    failed,
  }
}
