import { randomBytes } from 'node:crypto'
import { mkdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { AppKey, type Config } from './config.ts'

/**
 * The configuration with its key: the one from APP_KEY, or else the one kept in DATA_DIR, which is made at
 * the first start and readable by its owner only.
 *
 * @throws when the file cannot be read or written, or holds something else
 */
export async function withAppKey(config: Config): Promise<Config & { appKey: AppKey }> {
  return Object.freeze({ ...config, appKey: config.appKey ?? (await keptKey(config.dataDir)) })
}

async function keptKey(dataDir: string) {
  const path = join(dataDir, 'app.key')
  try {
    await mkdir(dataDir, { recursive: true, mode: 0o700 })
    await writeFile(path, `base64:${randomBytes(32).toString('base64')}\n`, { flag: 'wx', mode: 0o600 })
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException
    if (code !== 'EEXIST') throw new Error(`DATA_DIR=${dataDir}: nothing can be written there (${message}).`)
  }
  const text = (await readFile(path, 'utf8')).trim()
  try {
    return new AppKey(text)
  } catch {
    throw new Error(`${path} holds no key: expected base64: and then 32 bytes. Restore it, or set APP_KEY.`)
  }
}
