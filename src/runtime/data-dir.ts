import { mkdir, stat } from 'node:fs/promises'
import { dirname, resolve } from 'node:path'

/** Reasons by the code of a file system error. */
const REASONS: Readonly<Record<string, string>> = {
  EACCES: 'this user may not write there',
  EPERM: 'this user may not write there',
  EROFS: 'the file system is read-only',
  ENOTDIR: 'a part of the path is a file, not a folder',
  EEXIST: 'there is a file or a broken link instead of a folder',
  ENOENT: 'no folder can be made there',
  ENOSPC: 'there is no space left on the device',
  EDQUOT: 'the disk quota is used up',
  ENAMETOOLONG: 'the path is too long',
  ELOOP: 'its symbolic links go round in a circle',
  EIO: 'the device does not read or write',
}

/** The directory of the embedded database cannot be used. The message names the setting, the reason and the remedy. */
export class DataDirError extends Error {
  override readonly name = 'DataDirError'

  /** Describes a file system error; returns null for any other error. */
  static from(dataDir: string, error: unknown): DataDirError | null {
    const { code } = error as { code?: unknown }
    const reason = typeof code === 'string' ? REASONS[code] : undefined
    if (reason === undefined) return null
    return new DataDirError(
      `DATA_DIR=${dataDir}: nothing can be written there, since ${reason} (${code}). Set DATA_DIR to a folder that this user can write, or DATABASE_URL to a PostgreSQL server.`,
    )
  }
}

/**
 * Creates DATA_DIR with access for this user only, unless it exists.
 *
 * @throws {DataDirError} when it cannot be created
 */
export async function makeDataDir(dataDir: string): Promise<void> {
  try {
    await makeDirectory(resolve(dataDir))
  } catch (error) {
    throw DataDirError.from(dataDir, error) ?? error
  }
}

/** Not `mkdir` with `recursive`, which never returns when a missing parent cannot be created, as in /proc. */
async function makeDirectory(path: string): Promise<void> {
  try {
    await mkdir(path, { mode: 0o700 })
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    if (code === 'ENOENT' && dirname(path) !== path) {
      await makeDirectory(dirname(path))
      await mkdir(path, { mode: 0o700 }).catch(ignoreExisting)
    } else if (!(await isDirectory(path))) throw error
  }
}

/** A `catch` handler that ignores EEXIST. */
export function ignoreExisting(error: NodeJS.ErrnoException) {
  if (error.code !== 'EEXIST') throw error
}

const isDirectory = (path: string) =>
  stat(path).then(
    found => found.isDirectory(),
    () => false,
  )
