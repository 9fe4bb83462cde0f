import type { Kysely } from 'kysely'
import type { SessionDigest } from '#src/auth/session.ts'
import { MINUTE_MS } from '#src/auth/time.ts'
import type { Config } from '#src/config/config.ts'
import {
  latestUse,
  type LastUseNote as Use,
  writeSessionUses,
  writeTokenUses,
} from '#src/database/last-use.ts'
import type { Schema } from '#src/database/schema.ts'
import { keyedThrottle } from '#src/runtime/keyed-throttle.ts'
import type { EpochMillis, Millis, MonotonicMillis, Seconds } from '#src/runtime/units.ts'
import { type WriteBehind, writeBehind } from '#src/runtime/write-behind.ts'
import { browserOf, type Caller, type Origin } from './caller.ts'

/** Last-use notes of tokens and sessions, written behind: no request waits for the write. */
export interface LastUse {
  /** By row id. */
  tokens: WriteBehind<number, Use>
  sessions: WriteBehind<SessionDigest, Use>
  /** Notes the use of the request's token or session, unless its stored use is recent. */
  note(caller: Origin & Pick<Caller, 'identity' | 'session'>): void
  /** Writes the notes. Those that cannot be written stay for the next time. */
  flush(): Promise<void>
}

interface LastUseOptions {
  kysely: Kysely<Schema>
  config: Pick<Config, 'lastUsedInterval' | 'tokenIdleExpiration' | 'sessionLifetime'>
  clock(): EpochMillis
  monotonic(): MonotonicMillis
  /** Called for a failed write, with a sentence for the log. */
  onFailure(error: Error, sentence: string): void
}

/**
 * The share of an idle time by which a stored use may lag. Disuse is judged by the stored use, which all instances share
 * and which survives a restart: a credential ends early by this share at most, and never while it is used more often.
 */
const MAX_LAG = 1 / 60

/** Returns how often the last use of a credential is written that ends after some minutes without use; null for never. */
const intervalOf = (seconds: Seconds, idleMinutes: number | null): Millis =>
  Math.min(
    seconds * 1000,
    idleMinutes === null ? Number.POSITIVE_INFINITY : idleMinutes * MINUTE_MS * MAX_LAG,
  )

/** Creates the {@link LastUse} of a server. */
export function createLastUse({ kysely, config, clock, monotonic, onFailure }: LastUseOptions): LastUse {
  const { lastUsedInterval, tokenIdleExpiration, sessionLifetime } = config
  const tokenIntervalMs = intervalOf(lastUsedInterval, tokenIdleExpiration)
  const sessionIntervalMs = intervalOf(lastUsedInterval, sessionLifetime)
  const tokens = writeBehind<number, Use>(uses => writeTokenUses(kysely, uses, clock()))
  const sessions = writeBehind<SessionDigest, Use>(uses => writeSessionUses(kysely, uses, clock()))

  // The stored use that a request has read may be older than the one that was noted last: identities are cached, and
  // notes are written later.
  const tokenThrottle = keyedThrottle<number>(tokenIntervalMs, monotonic)
  const sessionThrottle = keyedThrottle<SessionDigest>(sessionIntervalMs, monotonic)

  return {
    tokens,
    sessions,
    // Runs for every request: it allocates nothing unless a use is due.
    note(caller) {
      const { identity, session } = caller
      if (identity?.via === 'token') {
        const { id, lastUsedAt } = identity.token
        const at = clock()
        if (isOutdated(lastUsedAt, at, tokenIntervalMs) && tokenThrottle.pass(id)) {
          tokens.note(id, { at, ...browserOf(caller) })
        }
      }
      if (session !== null) {
        const at = clock()
        if (!isOutdated(session.lastActivityAt, at, sessionIntervalMs)) return
        const digest = session.id.digest()
        if (sessionThrottle.pass(digest)) sessions.note(digest, { at, ...browserOf(caller) })
      }
    },
    async flush() {
      tokenThrottle.sweep()
      sessionThrottle.sweep()
      await tokens.flush().catch(error => onFailure(error, 'last_used_at could not be written yet'))
      await sessions.flush().catch(error => onFailure(error, 'last_activity could not be written yet'))
    },
  }
}

/** Whether a stored time must be written: it is too old, or in the future because of a wrong clock, or unreadable. */
const isOutdated = (storedAt: EpochMillis | null, now: EpochMillis, intervalMs: Millis) =>
  storedAt === null || !(now - storedAt < intervalMs && storedAt <= latestUse(now))
