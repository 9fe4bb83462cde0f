import { spawn } from 'node:child_process'
import { join } from 'node:path'
import { createInterface } from 'node:readline'

/** The result of a test file. */
export interface TestRun {
  outcome: 'passed' | 'failed' | 'timed out' | 'broken'
  /** The first failed assertion, else the output on stderr. */
  detail: string
  ms: number
}

/** A TAP line of an unexpected failure. */
const FAILURE = /^\s*not ok \d+ - (?!.*# (?:TODO|SKIP))(.*?)(?: \{)?$/

/** The messages of tap for a test beyond TAP_TIMEOUT, and for one whose event loop is empty. */
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
    // A separate process group, so that servers started by the test end with it.
    detached: true,
  })
  const end = (name: NodeJS.Signals) => {
    try {
      if (child.pid !== undefined) process.kill(-child.pid, name)
    } catch {
      // All processes of the group have exited.
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
