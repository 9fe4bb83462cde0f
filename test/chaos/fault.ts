import type { PostgresCluster } from './postgres.ts'
import type { RedisServer } from './redis.ts'
import type { User } from './seed.ts'

/** What all faults share. */
export interface World {
  postgres: PostgresCluster
  redis: RedisServer
  /** The users in each database that is made. */
  users(): User[]
  /** A new database on the cluster: migrated and filled, unless it is to be empty. */
  database(options?: { empty?: boolean }): Promise<string>
  /** Seconds by which faults last, shorter in a quick run. */
  isQuick: boolean
}

export type Cache = 'off' | 'on'

/** What a fault has shown. */
export interface Result {
  requests: number
  acknowledged: number
  /** Answers that may never be, and whatever else went wrong but lost writes; each in a sentence. */
  wrong: string[]
  /** Writes that were acknowledged and are not there once, each in a sentence. */
  lost: string[]
  /** Seconds until all was right again; null where nothing is to recover. */
  recovery: number | null
}

/** Something that goes wrong, and how the servers take it. */
export interface Fault {
  name: string
  /** With which settings of IDENTITY_CACHE it is tried. */
  caches: readonly Cache[]
  /** With which of them in a quick run. */
  quick: readonly Cache[]
  /**
   * Has it happen.
   *
   * @param folder for logs, which is kept if anything is wrong
   */
  run(world: World, cache: Cache, folder: string): Promise<Result>
}

/** Where the cache plays no part. */
export const ONCE: readonly Cache[] = ['off']
export const BOTH: readonly Cache[] = ['off', 'on']

/** Something that a fault needs is not installed. */
export class NotRun extends Error {}
