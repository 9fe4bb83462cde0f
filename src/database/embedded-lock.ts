import { randomBytes } from 'node:crypto'
import { link, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { connect } from 'node:net'
import { resolve } from 'node:path'
import { makeDataDir } from '#src/runtime/data-dir.ts'
import { Listener, socketPath } from './embedded-socket.ts'

/** The process that holds a data directory, as stored in its lock file. */
export interface Holder {
  pid: number
  command: string
  /** ISO 8601, in UTC. */
  since: string
  /** File name of the unix socket in the data directory. */
  socket: string
}

/** The holder of a data directory. `listener` is set when it is this process: closing it releases the lock. */
export interface Lock {
  holder: Holder
  listener?: Listener
}

/**
 * Makes this process the only holder of a data directory, or returns the current holder. The directory is created when
 * missing.
 *
 * A holder is alive while its unix socket accepts connections: the kernel closes the socket when the process ends.
 * Numbered lock files name the sockets; the highest number counts. File n + 1 is linked only when the holder of n is
 * dead, so two processes could hold the lock only if the highest number decreased or a number was used twice. Therefore
 * the highest file is never deleted, not even on release.
 *
 * Reading a directory is no snapshot: while it is read, a higher file may be added and the next one deleted. So a new
 * holder deletes from the lowest number upwards: a process that missed a higher file for that reason also misses its
 * ownNumber file afterwards, and has lost. It leaves its ownNumber file, if it exists, to the next holder.
 *
 * @throws {DataDirError} when the directory cannot be created
 * @throws {Error} when the socket's path would be too long, or the directory cannot be read or written
 */
export async function takeLock(dataDir: string, command: string): Promise<Lock> {
  const since = new Date().toISOString().replace(/\.\d+/, '')
  const holder: Holder = {
    pid: process.pid,
    command,
    since,
    socket: `${randomBytes(4).toString('hex')}.sock`,
  }
  const listener = new Listener(socketPath(dataDir, holder.socket))
  await makeDataDir(dataDir)
  try {
    for (;;) {
      const highest = (await lockNumbers(dataDir)).at(-1) ?? 0
      const other = await readHolder(dataDir, highest)
      if (other && (await isAlive(dataDir, other))) {
        listener.close()
        return { holder: other }
      }
      await listener.open()
      const ownNumber = highest + 1
      if (!(await createLockFile(dataDir, ownNumber, holder))) continue
      const numbers = await lockNumbers(dataDir)
      if (numbers.at(-1) !== ownNumber || (await readHolder(dataDir, ownNumber))?.socket !== holder.socket)
        continue
      for (const lower of numbers.slice(0, -1)) await removeLockFile(dataDir, lower)
      return { holder, listener }
    }
  } catch (error) {
    listener.close()
    throw error
  }
}

const lockFile = (dataDir: string, number: number) => resolve(dataDir, `lock.${number}`)

async function lockNumbers(dataDir: string): Promise<number[]> {
  const names = await readdir(dataDir)
  return names
    .flatMap(name => /^lock\.([1-9]\d*)$/.exec(name)?.[1] ?? [])
    .map(Number)
    .sort((a, b) => a - b)
}

/** Returns undefined for a missing or unreadable file: its socket cannot be found, so no holder is alive. */
async function readHolder(dataDir: string, number: number): Promise<Holder | undefined> {
  let text: string
  try {
    text = await readFile(lockFile(dataDir, number), 'utf8')
  } catch (error) {
    if (hasCode(error, 'ENOENT')) return undefined
    throw error
  }
  try {
    const holder = JSON.parse(text) as Holder
    return /^[0-9a-f]{8}\.sock$/.test(holder.socket) ? holder : undefined
  } catch {
    return undefined
  }
}

async function createLockFile(dataDir: string, number: number, holder: Holder): Promise<boolean> {
  const temporary = resolve(dataDir, `${holder.socket}.lock`)
  await writeFile(temporary, JSON.stringify(holder), { mode: 0o600 })
  try {
    await link(temporary, lockFile(dataDir, number))
    return true
  } catch (error) {
    if (hasCode(error, 'EEXIST')) return false
    throw error
  } finally {
    await rm(temporary, { force: true })
  }
}

/**
 * The socket stays when it accepts connections: it belongs to a process that lost and may still try the next number.
 */
async function removeLockFile(dataDir: string, number: number): Promise<void> {
  const holder = await readHolder(dataDir, number)
  if (holder && !(await isAlive(dataDir, holder))) await rm(resolve(dataDir, holder.socket), { force: true })
  await rm(lockFile(dataDir, number), { force: true })
}

function isAlive(dataDir: string, holder: Holder): Promise<boolean> {
  return new Promise(done => {
    const socket = connect(socketPath(dataDir, holder.socket))
    socket.once('connect', () => {
      socket.destroy()
      done(true)
    })
    // Any other error, such as a full backlog or a missing permission, comes from a socket that a process holds.
    socket.once('error', error => done(!hasCode(error, 'ENOENT') && !hasCode(error, 'ECONNREFUSED')))
  })
}

function hasCode(error: unknown, code: string): boolean {
  return error instanceof Error && 'code' in error && error.code === code
}
