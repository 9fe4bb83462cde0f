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

/** How long it may take until all is right again, in milliseconds. */
const RECOVERY_LIMIT_MS = 30_000

/** How long all must be right before a fault begins. */
const WARM_UP_MS = 700

/** With a cache, how long it may take at most until other instances hear of a revocation, in milliseconds. */
const HEARD_MS = 2_000

const APP_KEY = `base64:${randomBytes(32).toString('base64')}`
const UNLIMITED = '1000000'

/** Settings of every instance: none of its limits is in the way of so many requests by one address. */
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

/** Two instances on one database and one Redis, with ways to both that can be cut. */
export interface Stand {
  world: World
  instances: readonly [Instance, Instance]
  users: readonly User[]
  /** The name of the database. */
  database: string
  toPostgres: TcpProxy
  toRedis: TcpProxy
  /** The clients, which are at work while a fault strikes. */
  workload: Workload
  /** What is wrong besides answers and lost writes, each in a sentence. */
  problems: string[]
  /** Lets a fault last, shorter in a quick run. */
  hold(seconds: number): Promise<void>
}

/** What an instance is given besides what all have. */
export type Extra = (name: string) => Record<string, string>

/** Builds a stand in which the instances run, and takes it down after some work. */
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

/** A fault that strikes while clients are at work. */
interface Strike extends Pick<Fault, 'name' | 'caches' | 'quick'> {
  tolerance: Tolerance
  /** Whether it goes unnoticed unless some requests fail: without that it did not strike. */
  isFelt: boolean
  /** Has it begin, lets it last, and ends it. */
  strike(stand: Stand): Promise<void>
  extra?: Extra
}

/** Makes a fault that strikes under load: what clients are told meanwhile is judged, and what is left of their writes. */
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

/** What has become of the clients' work, with what else was wrong. */
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

/** What an instance's log has that may never be there, and whether it ended by itself. */
export function complaints(instance: Instance): string[] {
  const { name, crashes } = instance
  const said = crashes.map(({ code, signal }) => `${name} ended by itself, with ${code ?? signal}`)
  for (const { level = FATAL, text } of logLines(instance)) {
    if (level >= FATAL) said.push(`${name} has in its log: ${text.slice(0, 200)}`)
  }
  return said
}

/** A line of a log: without a level when it is not the logger's. */
interface LogLine {
  text: string
  level?: number
  err?: { stack?: string; message?: string }
  /** Of the answer, in the line of a request. */
  status?: number
}

/** The lines of an instance's log. */
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
