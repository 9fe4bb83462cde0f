import { type ChildProcess, spawn } from 'node:child_process'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import type { Test } from 'tap'

const main = join(import.meta.dirname, '../../src/main.js')

/**
 * For processes that open an embedded database and end soon: optimizing PGlite's WebAssembly would take longer than
 * they run.
 */
export const SHORT_LIVED = '--liftoff-only'

/** The environment of a command: nothing of this process's but what programs need to run. */
const minimal = { PATH: process.env.PATH ?? '', HOME: process.env.HOME ?? '' }

export interface Finished {
  code: number | null
  out: string
  err: string
}

/** Runs a command of the program to its end, in a folder where there is no `.env`. */
export async function run(
  environment: Record<string, string>,
  args: readonly string[],
  { input = '', cwd = import.meta.dirname }: { input?: string; cwd?: string } = {},
): Promise<Finished> {
  const child = spawn(process.execPath, [SHORT_LIVED, main, ...args], {
    cwd,
    env: { ...minimal, ...environment },
  })
  let out = ''
  let err = ''
  child.stdout.on('data', chunk => {
    out += chunk
  })
  child.stderr.on('data', chunk => {
    err += chunk
  })
  child.stdin.end(input)
  const code = await new Promise<number | null>(resolve => child.once('close', resolve))
  return { code, out, err }
}

export interface RunningServer {
  process: ChildProcess
  base: string
  /** What it has printed until now, line by line. */
  lines: string[]
  /** Waits for a line that matches, printed already or still to come. */
  line(pattern: RegExp): Promise<string>
  /** Ends it with a signal and returns its exit code. */
  stop(signal?: NodeJS.Signals): Promise<number | null>
}

/** Starts a server on a free port and waits until it listens. It is killed with the test. */
export async function serve(t: Test, environment: Record<string, string>): Promise<RunningServer> {
  const child = spawn(process.execPath, [SHORT_LIVED, main, 'serve'], {
    cwd: import.meta.dirname,
    env: { ...minimal, PORT: '0', ...environment },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  t.teardown(() => child.kill('SIGKILL'))
  const lines: string[] = []
  const waiting: { pattern: RegExp; found: (line: string) => void; failed: (error: Error) => void }[] = []
  for (const input of [child.stdout, child.stderr]) {
    createInterface({ input }).on('line', line => {
      lines.push(line)
      for (const waiter of waiting) if (waiter.pattern.test(line)) waiter.found(line)
    })
  }
  const closed = new Promise<number | null>(resolve => child.once('close', resolve))
  void closed.then(code => {
    for (const { pattern, failed } of waiting) {
      failed(new Error(`the server ended with ${code} before ${pattern}:\n${lines.join('\n')}`))
    }
  })
  const line = (pattern: RegExp) =>
    new Promise<string>((found, failed) => {
      const known = lines.find(candidate => pattern.test(candidate))
      if (known !== undefined) found(known)
      else waiting.push({ pattern, found, failed })
    })
  const listening = JSON.parse(await line(/Server listening at/)) as { msg: string }
  return {
    process: child,
    base: listening.msg.replace('Server listening at ', ''),
    lines,
    line,
    stop(signal = 'SIGTERM') {
      child.kill(signal)
      return closed
    },
  }
}
