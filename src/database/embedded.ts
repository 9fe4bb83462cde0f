import { existsSync } from 'node:fs'
import { mkdir, rename, rm } from 'node:fs/promises'
import { resolve } from 'node:path'
import { PGlite } from '@electric-sql/pglite'
import type { SessionSource } from './dialect.ts'
import { type Holder, takeLock } from './embedded-lock.ts'
import { SocketSource, serveSession, socketPath } from './embedded-socket.ts'
import { type Claim, WRITE } from './lanes.ts'
import { PGLITE_OPTIONS, PgliteSource } from './pglite.ts'

/** Commands of other processes wait for their turn for as long as it takes. */
const PATIENT: Claim = { ...WRITE, isPatient: true }

export interface EmbeddedOptions {
  /** The directory that holds the database, its lock and its socket. */
  dataDir: string
  /** What this process does, for the message that another process gets. */
  command: string
  /** Whether to use the database of the process that holds it, rather than to fail. */
  share: boolean
  /** Milliseconds for which another process may hold its session without a statement; 10 000 by default. */
  idleLimit?: number
}

/** Another process holds the embedded database. The message names it and says what to do. */
export class EmbeddedDatabaseInUse extends Error {
  override readonly name = 'EmbeddedDatabaseInUse'

  constructor(dataDir: string, holder: Holder) {
    super(
      `The embedded database in ${dataDir} is in use by "${holder.command}" (process ${holder.pid}, ` +
        `since ${holder.since}). Stop it first, or set DATABASE_URL to a PostgreSQL server.`,
    )
  }
}

/**
 * Opens the embedded PostgreSQL in a directory, which is created when missing. This process then holds it,
 * and serves it to others, until the source is closed. When another process holds it and `share` is set,
 * statements run there.
 *
 * @throws EmbeddedDatabaseInUse when another process holds the directory and `share` is not set.
 * @throws Error when the directory cannot be used, or its path is too long for a unix socket.
 */
export async function openEmbedded(options: EmbeddedOptions): Promise<SessionSource> {
  const { dataDir, command, share, idleLimit = 10_000 } = options
  const { holder, listener } = await takeLock(dataDir, command)
  if (!listener) {
    if (!share) throw new EmbeddedDatabaseInUse(dataDir, holder)
    return new SocketSource(socketPath(dataDir, holder.socket))
  }
  try {
    const source = new PgliteSource(await openDatabase(dataDir), {
      before: () => listener.disconnect(),
      // Not before: once nothing listens, another process may open the database.
      after: () => listener.close(),
    })
    listener.serve(socket => serveSession(socket, () => source.acquire(PATIENT), idleLimit))
    return source
  } catch (error) {
    listener.close()
    throw error
  }
}

/**
 * PGlite writes the files of a new database one by one, and when killed meanwhile takes a part of them for the
 * whole. So a database gets its name once it is complete.
 */
async function openDatabase(dataDir: string): Promise<PGlite> {
  const directory = resolve(dataDir, 'database')
  if (!existsSync(directory)) {
    const unfinished = `${directory}.unfinished`
    await rm(unfinished, { recursive: true, force: true })
    await mkdir(unfinished, { mode: 0o700 })
    await (await PGlite.create(unfinished)).close()
    await rename(unfinished, directory)
  }
  return PGlite.create(directory, { ...PGLITE_OPTIONS, startParams })
}

// Recovery after a killed process starts a timer that goes on until close, and keeps a process that fails alive.
const startParams = [...PGlite.defaultStartParams, '-c', 'log_startup_progress_interval=0']
