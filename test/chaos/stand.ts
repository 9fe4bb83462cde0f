import { randomBytes } from 'node:crypto'
import { setTimeout as delay } from 'node:timers/promises'
import pg from 'pg'
import { type TcpProxy, tcpProxy } from '../support/tcp-proxy.ts'
import { loginFault } from './browser.ts'
import type { Cache, Fault, Result, World } from './fault.ts'
import { hangUp } from './http.ts'
import type { User } from './seed.ts'
import { Instance } from './server.ts'
import { NOTHING, type Tolerance, Workload } from './workload.ts'

/** The limit for recovery, in milliseconds. */
const RECOVERY_LIMIT_MS = 30_000

/** How long everything must work before a fault starts. */
const WARM_UP_MS = 700

/** With a cache, the limit until other instances know a revocation, in milliseconds. */
const HEARD_MS = 2_000

const APP_KEY = `base64:${randomBytes(32).toString('base64')}`
const UNLIMITED = '1000000'

/** Settings of every instance, without rate limits for the load from one address. */
export const settings = (): Record<string, string> => ({
  APP_KEY,
  APP_URL: 'http://127.0.0.1',
  APP_ENV: 'production',
  LOG_REQUESTS: 'errors',
  RATE_LIMIT_ANONYMOUS: UNLIMITED,
  RATE_LIMIT_AUTHENTICATED: UNLIMITED,
  RATE_LIMIT_FAILED_AUTH: UNLIMITED,
  LOGIN_RATE_LIMIT: '1000',
  USER_MAX_PLAYLISTS: UNLIMITED,
  TOKENS_PER_USER: UNLIMITED,
  HASH_ROUNDS: '10',
})

/** Two instances on one database and one Redis, connected over proxies that can be cut. */
export interface Stand {
  world: World
  instances: readonly [Instance, Instance]
  users: readonly User[]
  /** The name of the database. */
  database: string
  toPostgres: TcpProxy
  toRedis: TcpProxy
  /** The clients that send requests during a fault. */
  workload: Workload
  /** Errors besides responses and lost writes, a sentence each. */
  problems: string[]
  /** Waits for the duration of a fault, shorter in a quick run. */
  hold(seconds: number): Promise<void>
}

/** Additional settings of an instance. */
export type Extra = (name: string) => Record<string, string>

/** Starts a test stand with instances, runs a function, and stops it. */
export async function withStand<T>(
  world: World,
  cache: Cache,
  folder: string,
  work: (stand: Stand) => Promise<T>,
  extra: Extra = () => ({}),
): Promise<T> {
  const ends: (() => unknown)[] = []
  const t = { teardown: (end: () => unknown) => void ends.push(end) }
  try {
    const database = await world.database()
    const toPostgres = await tcpProxy(t, world.postgres.url(database))
    const toRedis = await tcpProxy(t, world.redis.url)
    const create = async (name: string) => {
      const instance = await Instance.create(name, folder, {
        ...settings(),
        DATABASE_URL: toPostgres.url,
        REDIS_URL: toRedis.url,
        IDENTITY_CACHE: cache,
        ...extra(name),
      })
      ends.unshift(async () => {
        await instance.end('SIGKILL')
        hangUp(instance.base)
      })
      return instance
    }
    const instances = [await create('A'), await create('B')] as const
    await Promise.all(instances.map(instance => instance.start()))
    const users = world.users()
    const workload = new Workload(instances, users, cache === 'on' ? HEARD_MS : 0)
    const hold = (seconds: number) => delay(seconds * (world.isQuick ? 600 : 1_000))
    const problems: string[] = []
    return await work({ world, instances, users, database, toPostgres, toRedis, workload, problems, hold })
  } finally {
    for (const end of ends) await end()
  }
}

/** A fault that is injected under load. */
interface Strike extends Pick<Fault, 'name' | 'caches' | 'quick'> {
  tolerance: Tolerance
  /** Whether some requests must fail, since otherwise the fault was not injected. */
  isFelt: boolean
  /** Starts the fault, waits, and ends it. */
  strike(stand: Stand): Promise<void>
  extra?: Extra
}

/** Makes a fault under load, which checks the responses to clients and their stored writes. */
export const underLoad = ({ tolerance, isFelt, strike, extra, ...fault }: Strike): Fault => ({
  ...fault,
  run: (world, cache, folder) =>
    withStand(
      world,
      cache,
      folder,
      async stand => {
        const { workload, instances, users, problems } = stand
        await workload.start()
        await delay(WARM_UP_MS)
        workload.tolerate(tolerance)
        let recovery: number | null = null
        try {
          await strike(stand)
          recovery = await workload.recovered(RECOVERY_LIMIT_MS)
        } catch (error) {
          problems.push((error as Error).message)
        }
        workload.tolerate(NOTHING)
        await workload.stop()
        if (isFelt && workload.troubled === 0)
          problems.push('no request was troubled: the fault did not strike')
        for (const instance of instances) {
          const fault = await loginFault(instance.base, users[0] as User)
          if (fault !== null) problems.push(fault)
          problems.push(...complaints(instance))
        }
        return resultOf(stand, recovery)
      },
      extra,
    ),
})

/** The result of the workload with other errors. */
export async function resultOf(
  { world, workload, database, problems }: Stand,
  recovery: number | null,
): Promise<Result> {
  const client = new pg.Client(world.postgres.url(database))
  await client.connect()
  try {
    return {
      requests: workload.requests,
      acknowledged: workload.ledger.acknowledged,
      wrong: [...workload.wrong, ...problems],
      lost: await workload.ledger.faults((text, values) => client.query(text, values)),
      recovery,
    }
  } finally {
    await client.end()
  }
}

const FATAL = 60

/** Forbidden lines in the log of an instance, and an unexpected exit. */
export function complaints(instance: Instance): string[] {
  const { name, crashes } = instance
  const said = crashes.map(({ code, signal }) => `${name} ended by itself, with ${code ?? signal}`)
  for (const { level = FATAL, text } of logLines(instance)) {
    if (level >= FATAL) said.push(`${name} has in its log: ${text.slice(0, 200)}`)
  }
  return said
}

/** A log line; without a level if it is not from the logger. */
interface LogLine {
  text: string
  level?: number
  err?: { stack?: string; message?: string }
  /** The status of the response and its time, in the line of a request. */
  status?: number
  ms?: number
}

/** The log lines of an instance. */
export const logLines = (instance: Instance): LogLine[] =>
  instance
    .log()
    .split('\n')
    .filter(text => text !== '')
    .map(text => {
      try {
        return { ...JSON.parse(text), text }
      } catch {
        return { text }
      }
    })
