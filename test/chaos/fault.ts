import type { PostgresCluster } from './postgres.ts'
import type { RedisServer } from './redis.ts'
import type { User } from './seed.ts'

/** Resources that all faults share. */
export interface World {
  postgres: PostgresCluster
  redis: RedisServer
  /** The users in each new database. */
  users(): User[]
  /** Creates a database on the cluster: migrated and seeded, unless it is to be empty. */
  database(options?: { empty?: boolean }): Promise<string>
  /** The duration of faults in seconds, shorter in a quick run. */
  isQuick: boolean
}

export type Cache = 'off' | 'on'

/** The result of a fault. */
export interface Result {
  requests: number
  acknowledged: number
  /** Forbidden responses and other errors except lost writes, a sentence each. */
  wrong: string[]
  /** Acknowledged writes that are not stored exactly once, a sentence each. */
  lost: string[]
  /** Seconds until recovery; null if there is nothing to recover. */
  recovery: number | null
}

/** A fault that is injected, and the check of how the servers handle it. */
export interface Fault {
  name: string
  /** The values of IDENTITY_CACHE that are tested. */
  caches: readonly Cache[]
  /** The values tested in a quick run. */
  quick: readonly Cache[]
  /**
   * Injects the fault.
   *
   * @param folder for logs, which is kept after a failure
   */
  run(world: World, cache: Cache, folder: string): Promise<Result>
}

/** For faults that do not depend on the cache. */
export const ONCE: readonly Cache[] = ['off']
export const BOTH: readonly Cache[] = ['off', 'on']

/** A dependency of a fault is not installed. */
export class NotRun extends Error {}
