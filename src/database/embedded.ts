import { existsSync } from 'node:fs'
import { mkdir, readdir, rename, rm, writeFile } from 'node:fs/promises'
import { resolve } from 'node:path'
import { PGlite } from '@electric-sql/pglite'
import { DataDirError } from '#src/runtime/data-dir.ts'
import type { Millis } from '#src/runtime/units.ts'
import { type ConnectionRequest, WRITE_REQUEST } from './connection-classes.ts'
import type { ConnectionSource } from './dialect.ts'
import { type Holder, takeLock } from './embedded-lock.ts'
import { SocketConnections, serveConnection, socketPath } from './embedded-socket.ts'
import { PGLITE_OPTIONS, PgliteConnections } from './pglite.ts'

/** Commands of other processes wait without a timeout. */
const NO_DEADLINE: ConnectionRequest = { ...WRITE_REQUEST, hasNoDeadline: true }

export interface EmbeddedOptions {
  /** The directory that holds the database, its lock and its socket. */
  dataDir: string
  /** What this process does, named in the error that another process gets. */
  command: string
  /** Whether to use the database of the process that holds it instead of failing. */
  share: boolean
  /** How long another process may hold its session without a statement; 10,000 ms by default. */
  idleLimit?: Millis
}

/** Another process holds the embedded database. The message names it and the remedy. */
export class EmbeddedDatabaseInUse extends Error {
  override readonly name = 'EmbeddedDatabaseInUse'

  constructor(dataDir: string, holder: Holder) {
    super(
      `The embedded database in ${dataDir} is in use by "${holder.command}" (process ${holder.pid}, ` +
        `since ${holder.since}). Stop it first, or set DATABASE_URL to a PostgreSQL server.`,
    )
  }
}

/** The database files are damaged or incomplete. The message names the remedy. */
export class DatabaseDamaged extends Error {
  override readonly name = 'DatabaseDamaged'

  constructor(dataDir: string, reason: string) {
    const directory = resolve(dataDir, 'database')
    super(
      `The embedded database in ${directory} cannot be opened: ${reason}. Restore the folder from a backup; ` +
        `or, to begin with an empty database, move ${resolve(dataDir)} away.`,
    )
  }
}

/**
 * Opens the embedded PostgreSQL in a directory, which is created when missing. This process then holds it and serves it
 * to other processes until the source is closed. If another process holds it and `share` is set, statements run there.
 *
 * @throws {EmbeddedDatabaseInUse} when another process holds the directory and `share` is not set
 * @throws {DatabaseDamaged} when an existing database cannot be opened
 * @throws {DataDirError} when the directory cannot be used
 * @throws {Error} when its path is too long for a unix socket
 */
export async function openEmbedded(options: EmbeddedOptions): Promise<ConnectionSource> {
  const { dataDir, command, share, idleLimit = 10_000 } = options
  const { holder, listener } = await takeLock(dataDir, command).catch(error => {
    throw DataDirError.from(dataDir, error) ?? error
  })
  if (!listener) {
    if (!share) throw new EmbeddedDatabaseInUse(dataDir, holder)
    return new SocketConnections(socketPath(dataDir, holder.socket))
  }
  try {
    const source = new PgliteConnections(await openDatabase(dataDir), {
      before: () => listener.disconnect(),
      // Only now: once the socket is closed, another process may open the database.
      after: () => listener.close(),
    })
    listener.serve(socket => serveConnection(socket, () => source.acquire(NO_DEADLINE), idleLimit))
    return source
  } catch (error) {
    listener.close()
    throw DataDirError.from(dataDir, error) ?? error
  }
}

/**
 * Opens the database, or creates one if there never was any. PGlite creates a new database in any folder without
 * PG_VERSION, and writes its files one by one: if killed meanwhile, it takes a part for the whole. So a database is
 * created under another name and renamed once it is complete, and a marker file records that it was.
 */
async function openDatabase(dataDir: string): Promise<PGlite> {
  const directory = resolve(dataDir, 'database')
  const marker = `${directory}.created`
  const isComplete = existsSync(resolve(directory, 'PG_VERSION'))
  if (!isComplete) {
    if (existsSync(marker) || existsSync(directory))
      throw new DatabaseDamaged(dataDir, await describeRemains(directory))
    const unfinished = `${directory}.unfinished`
    await rm(unfinished, { recursive: true, force: true })
    await mkdir(unfinished, { mode: 0o700 })
    try {
      await (await PGlite.create(unfinished)).close()
    } catch (error) {
      throw (
        DataDirError.from(dataDir, withErrorCode(error)) ??
        new Error(`DATA_DIR=${dataDir}: no database could be made there: ${reasonOf(error)}.`)
      )
    }
    await rename(unfinished, directory)
  }
  if (!existsSync(marker)) {
    await writeFile(marker, 'The database in the folder beside this file was complete. Keep both.\n', {
      mode: 0o600,
    })
  }
  try {
    return await PGlite.create(directory, { ...PGLITE_OPTIONS, startParams })
  } catch (error) {
    throw DataDirError.from(dataDir, withErrorCode(error)) ?? new DatabaseDamaged(dataDir, reasonOf(error))
  }
}

async function describeRemains(directory: string): Promise<string> {
  const names = await readdir(directory).catch(() => null)
  if (names === null) return 'the folder is gone'
  return names.length === 0 ? 'the folder is empty' : 'its file PG_VERSION is missing'
}

/** File system error numbers in WebAssembly (WASI), which have no names there. */
const WASI_ERRORS: Readonly<Record<number, string>> = {
  2: 'EACCES',
  19: 'EDQUOT',
  20: 'EEXIST',
  29: 'EIO',
  51: 'ENOSPC',
  54: 'ENOTDIR',
  63: 'EPERM',
  69: 'EROFS',
}

/** Returns an error's code, from its WASI number if it has none. */
function withErrorCode(error: unknown): { code?: unknown } {
  const { code, errno } = error as { code?: unknown; errno?: number }
  return { code: code ?? WASI_ERRORS[errno ?? 0] }
}

/** Describes what PGlite threw, which may be no Error. `Aborted()` means that PostgreSQL ended without a message. */
function reasonOf(error: unknown): string {
  const { message } = error as { message?: unknown }
  const text = typeof message === 'string' ? message : ''
  return text === '' || /^Aborted\(|^unreachable$|^FS error$|failed to initialize/.test(text)
    ? 'PostgreSQL ended while it started'
    : text
}

// Recovery after a killed process starts a timer that runs until close and keeps a failing process alive.
const startParams = [...PGlite.defaultStartParams, '-c', 'log_startup_progress_interval=0']
