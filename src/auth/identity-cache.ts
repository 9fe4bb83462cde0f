import { LRUCache } from 'lru-cache'
import type { EpochMillis, Millis, MonotonicMillis } from '#src/runtime/units.ts'
import type { StoredToken, StoredUser } from './identity.ts'
import type { SessionDigest } from './session.ts'
import type { StoredSession } from './stored-session.ts'
import { MINUTE_MS } from './time.ts'
import type { TokenDigest } from './token.ts'

/** How long the cache stays valid after the last acknowledged heartbeat. */
export const HEARTBEAT_LIMIT_MS: Millis = 2_000

/** The maximum age of an entry. */
const MAX_AGE_MS: Millis = MINUTE_MS

/** The state of the cache when a query began. */
export interface Fill {
  readonly at: MonotonicMillis
  readonly epoch: number
}

/** Cached rows of one kind, by the digest of their credential. */
export interface CachedRows<Key, Stored> {
  /** The cached row, if it is still valid. */
  get(key: Key): Stored | undefined
  /** Caches a row whose query began at `fill`, unless a change was reported since. */
  put(fill: Fill, key: Key, stored: Stored): void
  readonly size: number
}

/** A cache of the rows behind credentials. */
export interface IdentityCache {
  readonly tokens: CachedRows<TokenDigest, StoredToken>
  readonly sessions: CachedRows<SessionDigest, StoredSession>
  /** Counts of hits and misses. */
  readonly found: { readonly hits: number; readonly misses: number }
  /** Returns the state to pass to `put`. Call it before the query. */
  begin(): Fill
  /** Invalidates the entries of users, or all entries (null). */
  forget(userIds: readonly number[] | null): void
  /** Reports a heartbeat: all changes committed before `at` have been passed to `forget`. */
  reportHeartbeat(at: MonotonicMillis): void
  /** Reports that notifications of changes are lost. The cache is cleared and stays empty until the next heartbeat. */
  reportLoss(): void
}

interface Entry<Stored> {
  stored: Stored
  userId: number
  at: MonotonicMillis
  until: EpochMillis
}

/**
 * Caches the rows that credentials lead to, while notifications of all changes arrive. It holds digests, not secrets.
 *
 * Cached rows must still be validated: they carry dates of expiry. A row that was read before a change is never
 * cached after it. An entry lives for a minute at most, and not beyond the earliest end of its user's prohibitions.
 * All entries are dropped when no heartbeat was {@link IdentityCache.reportHeartbeat} for two seconds.
 *
 * @param time.clock for the ends of prohibitions
 * @param time.monotonic for all durations
 * @param capacity of each kind; least recently used entries are evicted
 */
export function createIdentityCache(
  { clock, monotonic }: { clock: () => EpochMillis; monotonic: () => MonotonicMillis },
  capacity = 100_000,
): IdentityCache {
  let epoch = 0
  let heartbeatAt = Number.NaN
  const found = { hits: 0, misses: 0 }

  const isFresh = (now: number) => now - heartbeatAt <= HEARTBEAT_LIMIT_MS

  const createRowCache = <Key extends string, Stored extends { owner: StoredUser | null }>() => {
    const keysOf = new Map<number, Set<Key>>()
    const entries = new LRUCache<Key, Entry<Stored>>({
      max: capacity,
      dispose({ userId }, key) {
        const keys = keysOf.get(userId)
        keys?.delete(key)
        if (keys?.size === 0) keysOf.delete(userId)
      },
    })
    return {
      get(key: Key) {
        const entry = entries.get(key)
        if (entry !== undefined) {
          const now = monotonic()
          if (!isFresh(now)) clearAll()
          else if (now - entry.at <= MAX_AGE_MS && clock() < entry.until) {
            found.hits += 1
            return entry.stored
          } else entries.delete(key)
        }
        found.misses += 1
        return undefined
      },
      put(fill: Fill, key: Key, stored: Stored) {
        if (fill.epoch !== epoch || stored.owner === null || !isFresh(monotonic())) return
        const userId = stored.owner.user.id
        const until = stored.owner.changesAt ?? Number.POSITIVE_INFINITY
        // The old entry leaves the index of keys (dispose) before the new one enters it.
        entries.delete(key)
        entries.set(key, { stored, userId, at: fill.at, until })
        const keys = keysOf.get(userId)
        if (keys === undefined) keysOf.set(userId, new Set([key]))
        else keys.add(key)
      },
      get size() {
        return entries.size
      },
      forget(userId: number) {
        for (const key of keysOf.get(userId) ?? []) entries.delete(key)
      },
      clear() {
        entries.clear()
      },
    }
  }

  const tokens = createRowCache<TokenDigest, StoredToken>()
  const sessions = createRowCache<SessionDigest, StoredSession>()

  const clearAll = () => {
    epoch += 1
    tokens.clear()
    sessions.clear()
  }

  return {
    tokens,
    sessions,
    found,
    begin: () => ({ at: monotonic(), epoch }),
    forget(userIds) {
      if (userIds === null) return clearAll()
      epoch += 1
      for (const userId of userIds) {
        tokens.forget(userId)
        sessions.forget(userId)
      }
    },
    reportHeartbeat(at) {
      if (!isFresh(monotonic())) clearAll()
      heartbeatAt = at
    },
    reportLoss() {
      heartbeatAt = Number.NaN
      clearAll()
    },
  }
}
