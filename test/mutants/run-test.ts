import { spawn } from 'node:child_process'
import { join } from 'node:path'
import { createInterface } from 'node:readline'

/** How a test file ended. */
export interface TestRun {
  outcome: 'passed' | 'failed' | 'timed out' | 'broken'
  /** The first assertion that failed; what was said on stderr when there is none. */
  detail: string
  ms: number
}

/** A line of TAP that says that something failed, and is not expected to. */
const FAILURE = /^\s*not ok \d+ - (?!.*# (?:TODO|SKIP))(.*?)(?: \{)?$/

/** What tap says of a test that took longer than TAP_TIMEOUT, and of one that waits for what cannot come any more. */
const ENDLESS = /\b(timeout!|test unfinished|test left in queue)/

/**
 * Runs one compiled test file until its first failing assertion.
 *
 * @param folder where `dist` is
 * @param file the TypeScript source of the test
 */
export async function runTest(
  folder: string,
  file: string,
  {
    environment,
    limitMs,
    signal,
  }: { environment: Record<string, string>; limitMs: number; signal: AbortSignal },
): Promise<TestRun> {
  const startedAt = performance.now()
  const seconds = Math.ceil(limitMs / 1000)
  const child = spawn(process.execPath, [join('dist', file.replace(/\.tsx?$/, '.js'))], {
    cwd: folder,
    env: { ...process.env, ...environment, TAP_TIMEOUT: String(seconds) },
    stdio: ['ignore', 'pipe', 'pipe'],
    // A process group of its own: servers that the test has started end with it.
    detached: true,
  })
  const end = (name: NodeJS.Signals) => {
    try {
      if (child.pid !== undefined) process.kill(-child.pid, name)
    } catch {
      // All of them have ended.
    }
  }
  let outcome: TestRun['outcome'] | null = null
  let detail = ''
  const stop = (why: TestRun['outcome'], what: string) => {
    if (outcome !== null) return
    outcome = why
    detail = what
    end('SIGTERM')
    setTimeout(end, 2_000, 'SIGKILL').unref()
  }
  const timer = setTimeout(() => stop('timed out', `after ${seconds} s`), limitMs + 2_000)
  const abort = () => stop('broken', 'interrupted')
  signal.addEventListener('abort', abort)
  let stderr = ''
  child.stderr.on('data', chunk => {
    stderr = `${stderr}${chunk}`.slice(-2_000)
  })
  const closed = new Promise<number | null>(resolve => child.once('close', resolve))
  for await (const line of createInterface({ input: child.stdout })) {
    const failure = FAILURE.exec(line)?.[1]
    if (failure !== undefined) stop(ENDLESS.test(failure) ? 'timed out' : 'failed', failure)
  }
  const code = await closed
  clearTimeout(timer)
  signal.removeEventListener('abort', abort)
  end('SIGKILL')
  if (outcome === null) {
    outcome = code === 0 ? 'passed' : 'broken'
    if (code !== 0) detail = /^\w*Error.*$/m.exec(stderr)?.[0] ?? `exit code ${code}`
  }
  return { outcome, detail, ms: performance.now() - startedAt }
}
