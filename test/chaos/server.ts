import { type ChildProcess, spawn } from 'node:child_process'
import { closeSync, existsSync, openSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { freePort } from '../support/services.ts'
import { send } from './http.ts'
import { own } from './owned.ts'
import { until } from './wait.ts'

/** The program, as it is run in production. */
export const MAIN = join(import.meta.dirname, '../../src/main.js')

/** The exit of a process. */
export interface Exit {
  code: number | null
  signal: NodeJS.Signals | null
}

/** Longer than a server may take to exit, in milliseconds. */
const END_MS = 20_000

/** The limit for becoming ready, in milliseconds: creating the embedded database takes seconds of CPU time. */
export const READY_MS = 90_000

/** The minimal environment of programs. */
export const minimal = (): Record<string, string> => ({
  PATH: process.env.PATH ?? '',
  HOME: process.env.HOME ?? '',
})

/** One instance of the server, which keeps its port over restarts. */
export class Instance {
  readonly name: string
  readonly base: string
  readonly logPath: string
  readonly #folder: string
  readonly #environment: Record<string, string>
  #child: ChildProcess | null = null
  #ended: Promise<Exit> = Promise.resolve({ code: null, signal: null })
  #isMeantToRun = false
  /** The last time at which it was not expected to respond. */
  #downAt = Number.NEGATIVE_INFINITY
  /** Its unexpected exit, if any. */
  readonly crashes: Exit[] = []

  private constructor(name: string, port: number, folder: string, environment: Record<string, string>) {
    this.name = name
    this.base = `http://127.0.0.1:${port}`
    this.logPath = join(folder, `${name}.log`)
    this.#folder = folder
    this.#environment = { ...minimal(), PORT: String(port), ...environment }
    own(() => this.#child?.kill('SIGKILL'))
  }

  /** Prepares an instance with a folder for its log, which is its working directory. */
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
   * Waits until it is ready.
   *
   * @throws {Error} with the end of its log if it exits before
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

  /** Ends it by a signal and returns its exit. It need not respond from now on. */
  async end(signal: NodeJS.Signals): Promise<Exit> {
    this.#isMeantToRun = false
    this.#downAt = Number.POSITIVE_INFINITY
    const child = this.#child
    child?.kill(signal)
    // An instance that does not exit fails its test but not the run.
    const timer = setTimeout(() => child?.kill('SIGKILL'), END_MS)
    const exit = await this.#ended
    clearTimeout(timer)
    return exit
  }

  /** Resolves when the process has exited. */
  get ended(): Promise<Exit> {
    return this.#ended
  }

  /** Whether it was not expected to respond at some time since a value of `performance.now()`. */
  wasDownSince(moment: number): boolean {
    return this.#downAt >= moment
  }

  /** Its output. */
  log(): string {
    return existsSync(this.logPath) ? readFileSync(this.logPath, 'utf8') : ''
  }
}
