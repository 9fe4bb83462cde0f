import { type ChildProcess, spawn } from 'node:child_process'
import { closeSync, existsSync, openSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { freePort } from '../support/services.ts'
import { send } from './http.ts'
import { own } from './owned.ts'
import { until } from './wait.ts'

/** The program, as it is run in production. */
export const MAIN = join(import.meta.dirname, '../../src/main.js')

/** How a process ended. */
export interface Exit {
  code: number | null
  signal: NodeJS.Signals | null
}

/** Longer than a server may take to end, in milliseconds. */
const END_MS = 20_000

/** How long it may take until one is ready, in milliseconds: the embedded database is made in seconds of a free processor. */
export const READY_MS = 90_000

/** The environment of programs: nothing of this process's but what they need to run. */
export const minimal = (): Record<string, string> => ({
  PATH: process.env.PATH ?? '',
  HOME: process.env.HOME ?? '',
})

/** One instance of the server, on a port that it keeps when it is started anew. */
export class Instance {
  readonly name: string
  readonly base: string
  readonly logPath: string
  readonly #folder: string
  readonly #environment: Record<string, string>
  #child: ChildProcess | null = null
  #ended: Promise<Exit> = Promise.resolve({ code: null, signal: null })
  #isMeantToRun = false
  /** The last moment at which it was not meant to answer. */
  #downAt = Number.NEGATIVE_INFINITY
  /** How it ended without being told to. */
  readonly crashes: Exit[] = []

  private constructor(name: string, port: number, folder: string, environment: Record<string, string>) {
    this.name = name
    this.base = `http://127.0.0.1:${port}`
    this.logPath = join(folder, `${name}.log`)
    this.#folder = folder
    this.#environment = { ...minimal(), PORT: String(port), ...environment }
    own(() => this.#child?.kill('SIGKILL'))
  }

  /** Prepares an instance that writes its log into a folder, which is its current one. */
  static async create(name: string, folder: string, environment: Record<string, string>): Promise<Instance> {
    return new Instance(name, await freePort(), folder, environment)
  }

  /** The id of its process. */
  get pid(): number | undefined {
    return this.#child?.pid
  }

  /** Starts the process. */
  spawn(): void {
    const log = openSync(this.logPath, 'a')
    const child = spawn(process.execPath, [MAIN, 'serve'], {
      cwd: this.#folder,
      env: this.#environment,
      stdio: ['ignore', log, log],
    })
    closeSync(log)
    this.#child = child
    this.#ended = new Promise(resolve => {
      child.once('exit', (code, signal) => {
        if (this.#child === child && this.#isMeantToRun) this.crashes.push({ code, signal })
        resolve({ code, signal })
      })
    })
  }

  /** Starts it, and waits until it is ready. */
  async start(): Promise<void> {
    this.spawn()
    await this.ready()
  }

  /**
   * Waits until it says that it can work.
   *
   * @throws {Error} when it ends before, with the end of its log
   */
  async ready(): Promise<void> {
    await until(
      `${this.name} to be ready`,
      async () => {
        const hasEnded = this.#child?.exitCode !== null || this.#child.signalCode !== null
        if (hasEnded) throw new Error(`${this.name} did not start: ${this.log().slice(-600)}`)
        const outcome = await send(this.base, { path: '/health/ready' })
        return outcome.kind === 'answer' && outcome.status === 200
      },
      READY_MS,
    )
    this.#downAt = performance.now()
    this.#isMeantToRun = true
  }

  /** Ends it by a signal, and returns how it ended. From now on it need not answer. */
  async end(signal: NodeJS.Signals): Promise<Exit> {
    this.#isMeantToRun = false
    this.#downAt = Number.POSITIVE_INFINITY
    const child = this.#child
    child?.kill(signal)
    // One that does not end fails a test, and does not stop the run.
    const timer = setTimeout(() => child?.kill('SIGKILL'), END_MS)
    const exit = await this.#ended
    clearTimeout(timer)
    return exit
  }

  /** Resolves once the process has ended. */
  get ended(): Promise<Exit> {
    return this.#ended
  }

  /** Whether it was not meant to answer at some time since a moment of `performance.now()`. */
  wasDownSince(moment: number): boolean {
    return this.#downAt >= moment
  }

  /** What it has written. */
  log(): string {
    return existsSync(this.logPath) ? readFileSync(this.logPath, 'utf8') : ''
  }
}
