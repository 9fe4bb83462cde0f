import type { Kysely } from 'kysely'
import { LRUCache } from 'lru-cache'
import type { SessionDigest } from '#src/auth/session.ts'
import { MINUTE_MS } from '#src/auth/time.ts'
import {
  latestUse,
  type LastUseNote as Use,
  writeSessionUses,
  writeTokenUses,
} from '#src/database/last-use.ts'
import type { Schema } from '#src/database/schema.ts'
import { lazy } from '#src/runtime/lazy.ts'
import type { EpochMillis, Millis, MonotonicMillis } from '#src/runtime/units.ts'
import { type WriteBehind, writeBehind } from '#src/runtime/write-behind.ts'
import { browserOf, type Caller, type Origin } from './caller.ts'

/** Last-use notes of tokens and sessions, written behind: no request waits for the write. */
export interface LastUse {
  /** By row id. */
  tokens: WriteBehind<number, Use>
  sessions: WriteBehind<SessionDigest, Use>
  /** Notes the use of the request's token or session. */
  note(caller: Origin & Pick<Caller, 'identity' | 'session'>): void
  /** Writes the notes. Those that cannot be written stay for the next time. */
  flush(): Promise<void>
}

interface LastUseOptions {
  kysely: Kysely<Schema>
  clock(): EpochMillis
  monotonic(): MonotonicMillis
  /** Called for a failed write, with a sentence for the log. */
  onFailure(error: Error, sentence: string): void
}

/** A session's last use is written at most once in this time. */
const SESSION_INTERVAL_MS: Millis = MINUTE_MS

/** How many sessions are remembered as noted within that time. */
const NOTED_CAPACITY = 10_000

/** Creates the {@link LastUse} of a server. */
export function createLastUse({ kysely, clock, monotonic, onFailure }: LastUseOptions): LastUse {
  const tokens = writeBehind<number, Use>(uses => writeTokenUses(kysely, uses, clock()))
  const sessions = writeBehind<SessionDigest, Use>(uses => writeSessionUses(kysely, uses, clock()))

  // When each session was last noted.
  const lastNotedAt = lazy(() => new LRUCache<SessionDigest, MonotonicMillis>({ max: NOTED_CAPACITY }))

  return {
    tokens,
    sessions,
    note(caller) {
      const { identity, session } = caller
      const at = clock()
      if (identity?.via === 'token') tokens.note(identity.token.id, { at, ...browserOf(caller) })
      if (session === null || !isOutdated(session.lastActivityAt, at)) return
      const digest = session.id.digest()
      const now = monotonic()
      // The request may have read the session before its last note.
      if (now - (lastNotedAt().get(digest) ?? Number.NEGATIVE_INFINITY) < SESSION_INTERVAL_MS) return
      lastNotedAt().set(digest, now)
      sessions.note(digest, { at, ...browserOf(caller) })
    },
    async flush() {
      await tokens.flush().catch(error => onFailure(error, 'last_used_at could not be written yet'))
      await sessions.flush().catch(error => onFailure(error, 'last_activity could not be written yet'))
    },
  }
}

/** Whether a session's stored time must be written: it is too old, or in the future because of a wrong clock. */
const isOutdated = (storedAt: EpochMillis, now: EpochMillis) =>
  now - storedAt >= SESSION_INTERVAL_MS || storedAt > latestUse(now)
