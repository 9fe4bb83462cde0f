import { randomBytes } from 'node:crypto'
import { link, readFile, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { DataDirError, ignoreExisting, makeDataDir } from '#src/runtime/data-dir.ts'
import { AppKey } from './app-key.ts'
import type { Config } from './config.ts'

/**
 * Adds the key to the configuration: APP_KEY, or the key persisted in DATA_DIR, which is generated at the first start
 * and readable only by its owner.
 *
 * @throws when the file cannot be read or written, or has other content
 */
export async function withAppKey(config: Config): Promise<Config & { appKey: AppKey }> {
  return Object.freeze({ ...config, appKey: config.appKey ?? (await persistedKey(config.dataDir)) })
}

async function persistedKey(dataDir: string) {
  await makeDataDir(dataDir)
  const path = join(dataDir, 'app.key')
  try {
    return await readKey(path)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw DataDirError.from(dataDir, error) ?? error
  }
  // Written under another name first, so that a killed process leaves no partial key.
  const temporary = join(dataDir, `app.key.${randomBytes(4).toString('hex')}`)
  try {
    await writeFile(temporary, `${AppKey.generate(randomBytes)}\n`, { mode: 0o600 })
    // Unlike a rename, a link does not overwrite a key that another process has created concurrently.
    await link(temporary, path).catch(ignoreExisting)
  } catch (error) {
    throw DataDirError.from(dataDir, error) ?? error
  } finally {
    await rm(temporary, { force: true }).catch(() => {})
  }
  return readKey(path)
}

async function readKey(path: string): Promise<AppKey> {
  const text = await readFile(path, 'utf8').catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'EISDIR') return ''
    throw error
  })
  try {
    return new AppKey(text.trim())
  } catch {
    throw new Error(`${path} holds no key: expected base64: and then 32 bytes. Restore it, or set APP_KEY.`)
  }
}
