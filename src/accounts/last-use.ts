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
import { type WriteBehind, writeBehind } from '#src/runtime/write-behind.ts'
import { browserOf, type Caller, type Origin } from './caller.ts'

/** When and from where tokens and sessions were last used. No request waits for the write. */
export interface LastUse {
  /** By the ids of their rows. */
  tokens: WriteBehind<number, Use>
  sessions: WriteBehind<SessionDigest, Use>
  /** Notes the token or the session that a request came with. */
  note(caller: Origin & Pick<Caller, 'identity' | 'session'>): void
  /** Writes both. What cannot be written yet is written the next time. */
  flush(): Promise<void>
}

interface LastUseOptions {
  kysely: Kysely<Schema>
  /** Milliseconds since the epoch. */
  clock(): number
  /** Milliseconds since a moment that does not change. */
  monotonic(): number
  /** Told of a write that failed, with a sentence for the log. */
  onFailure(error: Error, sentence: string): void
}

/** A session's time is written once in this time at most, in milliseconds. */
const SESSION_INTERVAL_MS = MINUTE_MS

/** How many sessions are known to have been noted within that time. */
const NOTED_CAPACITY = 10_000

/** Makes the {@link LastUse} of a server. */
export function createLastUse({ kysely, clock, monotonic, onFailure }: LastUseOptions): LastUse {
  const tokens = writeBehind<number, Use>(uses => writeTokenUses(kysely, uses, clock()))
  const sessions = writeBehind<SessionDigest, Use>(uses => writeSessionUses(kysely, uses, clock()))

  // When each was noted, in milliseconds of the monotonic clock.
  const noted = lazy(() => new LRUCache<SessionDigest, number>({ max: NOTED_CAPACITY }))

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
      // What the request knew of the session may be from before the last note.
      if (now - (noted().get(digest) ?? Number.NEGATIVE_INFINITY) < SESSION_INTERVAL_MS) return
      noted().set(digest, now)
      sessions.note(digest, { at, ...browserOf(caller) })
    },
    async flush() {
      await tokens.flush().catch(error => onFailure(error, 'last_used_at could not be written yet'))
      await sessions.flush().catch(error => onFailure(error, 'last_activity could not be written yet'))
    },
  }
}

/** Whether a session's stored time is to be written anew: it is too old, or so late that a wrong clock wrote it. */
const isOutdated = (storedAt: number, now: number) =>
  now - storedAt >= SESSION_INTERVAL_MS || storedAt > latestUse(now)
