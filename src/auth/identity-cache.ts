import { LRUCache } from 'lru-cache'
import type { StoredToken, StoredUser } from './identity.ts'
import type { SessionDigest } from './session.ts'
import type { StoredSession } from './stored-session.ts'
import { MINUTE_MS } from './time.ts'
import type { TokenDigest } from './token.ts'

/** For how long an answered heartbeat vouches for what is remembered, in milliseconds. */
export const HEARTBEAT_LIMIT_MS = 2_000

/** How long anything is remembered, whatever is heard of it, in milliseconds. */
const MAX_AGE_MS = MINUTE_MS

/** A moment at which a row began to be asked for. */
export interface Fill {
  /** Milliseconds of the monotonic clock. */
  readonly at: number
  readonly epoch: number
}

/** Rows of one kind, by the digest of the credential that leads to them. */
export interface Remembered<Key, Stored> {
  /** What is remembered, if it still holds. */
  get(key: Key): Stored | undefined
  /** Remembers a row of a user's that was asked for since `fill`, unless anything has changed meanwhile. */
  keep(fill: Fill, key: Key, stored: Stored): void
  readonly size: number
}

export interface IdentityCache {
  readonly tokens: Remembered<TokenDigest, StoredToken>
  readonly sessions: Remembered<SessionDigest, StoredSession>
  /** How often what was looked for was there, and was not. */
  readonly found: { readonly hits: number; readonly misses: number }
  /** To be called before a row is asked for. */
  begin(): Fill
  /** Forgets what is remembered of users, by their ids, or of everybody (null): something of theirs has changed. */
  forget(userIds: readonly number[] | null): void
  /** Every change that was committed before a moment, in milliseconds of the monotonic clock, has been told to `forget`. */
  heard(at: number): void
  /** Changes are not told any more. Nothing is remembered until they are again. */
  lost(): void
}

interface Entry<Stored> {
  stored: Stored
  userId: number
  /** Milliseconds of the monotonic clock. */
  at: number
  /** Milliseconds since the epoch. */
  until: number
}

/**
 * Remembers to whom credentials lead, as long as it is told of all changes. It knows digests, and no secret.
 *
 * What it gives must still be judged: it holds rows with their dates of expiry, not verdicts. A row that was read
 * before a change is never remembered after it; nothing is for longer than a minute, or than the earliest end of a
 * prohibition of its user's; and all is forgotten when no heartbeat was {@link IdentityCache.heard} for two seconds.
 *
 * @param time.clock milliseconds since the epoch, for the ends of prohibitions
 * @param time.monotonic milliseconds since a moment that does not change, for all durations
 * @param capacity of each kind; the least recently used are forgotten beyond it
 */
export function identityCache(
  { clock, monotonic }: { clock: () => number; monotonic: () => number },
  capacity = 100_000,
): IdentityCache {
  let epoch = 0
  let heardAt = Number.NaN
  const found = { hits: 0, misses: 0 }

  const isVouchedFor = (now: number) => now - heardAt <= HEARTBEAT_LIMIT_MS

  const shelf = <Key extends string, Stored extends { owner: StoredUser | null }>() => {
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
          if (!isVouchedFor(now)) empty()
          else if (now - entry.at <= MAX_AGE_MS && clock() < entry.until) {
            found.hits += 1
            return entry.stored
          } else entries.delete(key)
        }
        found.misses += 1
        return undefined
      },
      keep(fill: Fill, key: Key, stored: Stored) {
        if (fill.epoch !== epoch || stored.owner === null || !isVouchedFor(monotonic())) return
        const userId = stored.owner.user.id
        const until = stored.owner.changesAt ?? Number.POSITIVE_INFINITY
        // What stood there leaves the index before what comes enters it.
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

  const tokens = shelf<TokenDigest, StoredToken>()
  const sessions = shelf<SessionDigest, StoredSession>()

  const empty = () => {
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
      if (userIds === null) return empty()
      epoch += 1
      for (const userId of userIds) {
        tokens.forget(userId)
        sessions.forget(userId)
      }
    },
    heard(at) {
      if (!isVouchedFor(monotonic())) empty()
      heardAt = at
    },
    lost() {
      heardAt = Number.NaN
      empty()
    },
  }
}
