import { type ChildProcess, spawn } from 'node:child_process'
import { join } from 'node:path'
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

/** What a worker prints behind the output of a file, before the counts of all its assertions so far. */
export const END_OF_FILE = '# end of file:'

const FAILURE = /^\s*not ok /

/** The maximum number of lines that are shown of one file's failures. */
const MAX_LINES = 200

/** How much longer than tap's own limit a file may take before its process is killed, in seconds. */
const KILL_AFTER_S = 15

interface Counts {
  pass: number
  fail: number
  skip: number
}

interface TestProcessOptions {
  cwd: string
  environment: Record<string, string>
  /** How long each file may take, in seconds. */
  limitS: number
  /** Kills the process. */
  signal: AbortSignal
}

/**
 * A process that runs test files, one after another. Tap's own runner starts one for each file, and loads a compiler
 * and mocks into it, which takes longer than most files.
 */
export class TestProcess {
  readonly #child: ChildProcess
  readonly #limitS: number
  readonly #exited: Promise<string>
  #lines: string[] = []
  #counted: Counts = { pass: 0, fail: 0, skip: 0 }
  #onEnd: (counts: Counts) => void = () => {}
  #killedFor: string | null = null

  constructor({ cwd, environment, limitS, signal }: TestProcessOptions) {
    this.#limitS = limitS
    const child = spawn(process.execPath, ['--enable-source-maps', join(import.meta.dirname, 'worker.js')], {
      cwd,
      // In a terminal that is called dumb, Node's readline edits no lines.
      env: { ...process.env, ...environment, TERM: 'xterm', TAP: '1', TAP_TIMEOUT: String(limitS) },
      stdio: ['ignore', 'pipe', 'pipe', 'ipc'],
      // A group of its own, to end the processes that tests have started.
      detached: true,
    })
    this.#child = child
    const onAbort = () => this.#kill('was stopped')
    signal.addEventListener('abort', onAbort)
    this.#exited = new Promise(resolve =>
      child.once('close', (code, by) => {
        signal.removeEventListener('abort', onAbort)
        resolve(String(code ?? by))
      }),
    )
    for (const stream of [child.stdout, child.stderr]) {
      if (stream) createInterface({ input: stream }).on('line', line => this.#read(line))
    }
  }

  /** Whether it can run another file: not after a failure. */
  get isUsable(): boolean {
    return this.#killedFor === null && this.#child.exitCode === null && this.#child.signalCode === null
  }

  /** Runs a compiled test file. */
  async run(file: string): Promise<FileResult> {
    const startedAt = performance.now()
    const before = this.#counted
    this.#lines = []
    const timer = setTimeout(
      () => this.#kill(`timed out after ${this.#limitS} s`),
      (this.#limitS + KILL_AFTER_S) * 1_000,
    )
    const ended = new Promise<Counts>(resolve => {
      this.#onEnd = resolve
    })
    this.#child.send(file, () => {
      // A process that has ended is noticed below.
    })
    const outcome = await Promise.race([ended, this.#exited])
    clearTimeout(timer)

    const counts = typeof outcome === 'string' ? before : outcome
    const passed = counts.pass - before.pass
    const failed = counts.fail - before.fail
    const fault =
      typeof outcome === 'string'
        ? (this.#killedFor ?? `ended with ${outcome} before it was done`)
        : failed > 0
          ? `${failed} failed`
          : passed === 0 && counts.skip === before.skip
            ? 'has no assertion'
            : null
    // A failure may leave tests running, or end tap's root test, into which the next file would put its own.
    if (fault !== null) this.#kill('was stopped after a failure')
    return {
      passed,
      failed: fault === null ? 0 : Math.max(1, failed),
      fault,
      details: fault === null ? [] : failuresIn(this.#lines),
      seconds: (performance.now() - startedAt) / 1_000,
    }
  }

  /** Ends the process, and what its tests have left running. */
  async end(): Promise<void> {
    this.#kill('was ended')
    await this.#exited
  }

  #read(line: string) {
    const [, counts] = line.split(`${END_OF_FILE} `)
    if (counts === undefined) {
      this.#lines.push(line)
      return
    }
    this.#counted = JSON.parse(counts)
    this.#onEnd(this.#counted)
  }

  #kill(reason: string) {
    this.#killedFor ??= reason
    try {
      process.kill(-(this.#child.pid as number), 'SIGKILL')
    } catch {
      // It has just ended.
    }
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
  if (told.length === 0) return lines.slice(-MAX_LINES)
  const more = told.length - MAX_LINES
  return more > 0 ? [...told.slice(0, MAX_LINES), `… and ${more} lines more`] : told
}
