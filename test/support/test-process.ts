import { spawn } from 'node:child_process'
import { createInterface } from 'node:readline'

/** What became of one test file. */
export interface FileResult {
  /** Assertions that held, and those that did not; at least one of the latter if the file did not end as it should. */
  passed: number
  failed: number
  /** Null for a file that passed; otherwise in words. */
  fault: string | null
  /** What failed, with its diagnostics, as TAP; all that was printed when it cannot be told. */
  details: string[]
  seconds: number
}

/** The line in which tap counts the assertions of a whole file. */
const COUNTS = /^# \{ total: (\d+)(?:, pass: (\d+))?(?:, fail: (\d+))?/

const FAILURE = /^\s*not ok /

/** The most lines that are shown of one file's failures. */
const MOST_LINES = 200

/** How much longer than tap's own limit a file may take before it is killed, in seconds. */
const KILL_AFTER_S = 10

/**
 * Runs a compiled test file in a process of its own, with nothing loaded before it: tap's runner loads a compiler and
 * mocks into each, and into the servers that they start, which takes longer than most files.
 *
 * @param limitS how long it may take, in seconds
 * @param signal ends it before that
 */
export async function runFile(
  file: string,
  {
    cwd,
    environment,
    limitS,
    signal,
  }: { cwd: string; environment: Record<string, string>; limitS: number; signal: AbortSignal },
): Promise<FileResult> {
  const startedAt = performance.now()
  const child = spawn(process.execPath, ['--enable-source-maps', file], {
    cwd,
    env: { ...process.env, ...environment, TAP: '1', TAP_TIMEOUT: String(limitS) },
    stdio: ['ignore', 'pipe', 'pipe'],
    // A group of its own, to end whatever it has started.
    detached: true,
  })
  let stopped: string | null = null
  const stop = (why: string) => {
    stopped ??= why
    try {
      process.kill(-(child.pid as number), 'SIGKILL')
    } catch {
      // It has just ended.
    }
  }
  const timer = setTimeout(() => stop(`timed out after ${limitS} s`), (limitS + KILL_AFTER_S) * 1_000)
  const onAbort = () => stop('was stopped')
  signal.addEventListener('abort', onAbort)

  const lines: string[] = []
  for (const input of [child.stdout, child.stderr])
    createInterface({ input }).on('line', line => lines.push(line))
  const code = await new Promise<number | string>(resolve =>
    child.once('close', (status, by) => resolve(status ?? by ?? 'nothing')),
  )
  clearTimeout(timer)
  signal.removeEventListener('abort', onAbort)

  const counts = lines.findLast(line => COUNTS.test(line))
  const [, total = '0', pass = '0', fail = '0'] = COUNTS.exec(counts ?? '') ?? []
  const fault =
    stopped ??
    (counts === undefined
      ? `ended with ${code} before it was done`
      : Number(fail) > 0
        ? `${fail} failed`
        : code !== 0
          ? `ended with ${code}`
          : Number(total) === 0
            ? 'has no assertion'
            : null)
  return {
    passed: Number(pass),
    failed: fault === null ? 0 : Math.max(1, Number(fail)),
    fault,
    details: fault === null ? [] : failuresIn(lines),
    seconds: (performance.now() - startedAt) / 1_000,
  }
}

/** The lines of TAP that tell of failures, each with the block of diagnostics behind it. */
function failuresIn(lines: readonly string[]): string[] {
  const told: string[] = []
  let end: string | null = null
  for (const line of lines) {
    if (FAILURE.test(line)) {
      told.push(line)
      end = `${/^\s*/.exec(line)?.[0]}  ...`
    } else if (end !== null) {
      told.push(line)
      if (line === end) end = null
    }
  }
  if (told.length === 0) return lines.slice(-MOST_LINES)
  const more = told.length - MOST_LINES
  return more > 0 ? [...told.slice(0, MOST_LINES), `… and ${more} lines more`] : told
}
