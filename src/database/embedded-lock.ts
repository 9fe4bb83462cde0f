import { randomBytes } from 'node:crypto'
import { link, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { connect } from 'node:net'
import { resolve } from 'node:path'
import { makeDataDir } from '#src/runtime/data-dir.ts'
import { Listener, socketPath } from './embedded-socket.ts'

/** The process that holds a data directory, as its lock file names it. */
export interface Holder {
  pid: number
  command: string
  /** ISO 8601, in UTC. */
  since: string
  /** File name of the unix socket in the data directory. */
  socket: string
}

/** Who holds the data directory. `listener` is there when it is this process: closing it gives the lock up. */
export interface Lock {
  holder: Holder
  listener?: Listener
}

/**
 * Makes this process the only holder of a data directory, or says who holds it. The directory is created
 * when missing.
 *
 * A holder is alive while its socket accepts connections: the kernel ends that together with the process.
 * Numbered lock files say whose socket counts. Nobody links number n + 1 while the holder of n, the highest,
 * is alive, so two can hold only if the highest number ever falls or a number is taken twice. Therefore the
 * highest file is never deleted, on release neither. Listing a directory is no snapshot: while it is read a
 * higher file may come and the next one go. So a new holder deletes upwards from the lowest number: whoever
 * missed a higher file for that reason misses its own file afterwards, and has lost. It leaves its own file,
 * if there is one, to the next holder.
 *
 * @throws {DataDirError} when the directory cannot be made
 * @throws Error when the socket's path would be too long, or the directory cannot be read or written.
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
      const own = highest + 1
      if (!(await createLockFile(dataDir, own, holder))) continue
      const numbers = await lockNumbers(dataDir)
      if (numbers.at(-1) !== own || (await readHolder(dataDir, own))?.socket !== holder.socket) continue
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

/** Undefined for a file that is gone or says nothing: its socket cannot be found, so nobody answers there. */
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

/** The socket stays when it answers: it belongs to one that lost and may still try for the next number. */
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
    // Any other refusal, a full queue or a missing permission say, comes from a socket that somebody holds.
    socket.once('error', error => done(!hasCode(error, 'ENOENT') && !hasCode(error, 'ECONNREFUSED')))
  })
}

function hasCode(error: unknown, code: string): boolean {
  return error instanceof Error && 'code' in error && error.code === code
}
