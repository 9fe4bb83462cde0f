import { LRUCache } from 'lru-cache'
import type { SessionIdentity } from '#src/auth/identity.ts'
import {
  mintSessionId,
  parseSessionId,
  type Session,
  type SessionDigest,
  type SessionId,
} from '#src/auth/session.ts'
import { sessionCookies } from '#src/auth/session-cookies.ts'
import { judgeSession, type SessionFailure, type StoredSession } from '#src/auth/stored-session.ts'
import type { Config } from '#src/config/config.ts'
import type { Database } from '#src/database/connect.ts'
import type { Identities } from '#src/database/identities.ts'
import { type NewSession, replaceSession } from '#src/database/sessions.ts'
import { lazy } from '#src/runtime/lazy.ts'
import { browserOf, type Caller, type Origin } from './caller.ts'

/** A caller that may have a session: what a request with cookies is. */
export interface SessionHolder extends Origin, Pick<Caller, 'session' | 'connection'> {
  readonly headers: { readonly cookie?: string; readonly 'sec-fetch-site'?: string | string[] }
  /** Why the session's cookie opened none; null if it did, or there was none. */
  sessionFailure: SessionFailure | null
  /** When the session was first looked for, on the monotonic clock in milliseconds; 0 before that. */
  sessionReadAt: number
  /** Whether it was given one. */
  hasNewSession: boolean
  /** Whether that came in the place of one that other requests of the browser may have been sent with. */
  replacesSession: boolean
}

/** Finds the sessions of browsers, and replaces them. */
export interface Sessions {
  /** The same as `resume`, without asking the database; null unless it is remembered who logged in. */
  recall(holder: SessionHolder): SessionIdentity | null
  /**
   * Finds the session that the caller was given or that its cookie names, and sets `session`.
   *
   * @returns who logged in to it; null for nobody; otherwise why it opens nothing
   */
  resume(holder: SessionHolder): Promise<SessionIdentity | null | SessionFailure>
  /** Whether the browser may keep the cookie to itself, since the way here began on a page of another site. */
  isWithheld(holder: SessionHolder): boolean
  /**
   * Gives the caller a session of nobody's if it has none, unless that would take the place of one that counts.
   *
   * @param isAskedFor whether a browser wants it whose last one was replaced a moment ago
   */
  offer(holder: SessionHolder, isAskedFor?: boolean): Promise<void>
  /** What a new session of the caller begins with, and the one in whose place it comes; null for none. */
  next(holder: SessionHolder): {
    old: SessionDigest | null
    fresh: Pick<NewSession, 'id' | 'browser' | 'now'>
  }
  /** Makes a session that was stored in place of the caller's own the caller's: its answer brings the cookies. */
  adopt(holder: SessionHolder, session: Session): void
  /** Has the caller's cookie be another one from now on, of a session that another request has begun. */
  join(holder: SessionHolder, id: SessionId): Promise<SessionIdentity | null | SessionFailure>
  /** Gives the caller a new session of no user, and ends the one that it had. */
  start(holder: SessionHolder): Promise<void>
  /**
   * Whether the caller's session has ended since it was looked for: its cookie would take the place of a newer one. Asked
   * of the database again after {@link SLOW_MS}.
   */
  isOver(holder: SessionHolder): Promise<boolean>
}

/** How many ended sessions are remembered, for requests that were under way in them. */
const ENDED_CAPACITY = 10_000

/**
 * How long an answer may take, in milliseconds, before it is asked again whether its session is over; and how long an
 * answer waits that brings a session in the place of another one. So on whichever instance they are, answers with the
 * cookies of the old session are sent before the one with the new cookies: those that began before the old session ended
 * are either quick enough, or ask again.
 */
export const SLOW_MS = 20

interface Needs {
  config: Config
  database: Pick<Database, 'logins'>
  identities: Identities
  /** Milliseconds since the epoch. */
  clock: () => number
  /** Milliseconds since a moment that does not change. */
  monotonic: () => number
  random: (size: number) => Buffer
}

/** Makes the {@link Sessions} of a server. */
export function createSessions({ config, database, identities, clock, monotonic, random }: Needs): Sessions {
  const cookies = sessionCookies(config)
  const ended = lazy(() => new LRUCache<SessionDigest, true>({ max: ENDED_CAPACITY }))

  const idOf = ({ headers }: SessionHolder): SessionId | null | SessionFailure => {
    const values = cookies.session.read(headers.cookie)
    if (values.length === 0) return null
    const [id, ...more] = values.map(parseSessionId).filter(id => id !== null)
    if (id === undefined) return 'session_malformed'
    // Another host of the domain has set one as well, and nothing tells which of them is ours.
    return more.length === 0 ? id : 'session_ambiguous'
  }

  /** Makes a stored session the caller's, if it is valid; otherwise says why it is not. */
  const judge = (holder: SessionHolder, id: SessionId, stored: StoredSession | null, now: number) => {
    const verdict = judgeSession(id, stored, now, config)
    if (typeof verdict === 'string') return verdict
    holder.session = verdict.session
    return verdict.identity
  }

  const sessions: Sessions = {
    recall(holder) {
      holder.sessionReadAt = monotonic()
      if (!config.identityCache) return null
      const id = idOf(holder)
      if (id === null || typeof id === 'string') return null
      const stored = identities.rememberedSession(id.digest())
      if (stored === undefined) return null
      const judged = judge(holder, id, stored, clock())
      // What is remembered says yes alone: a no is the database's to say.
      return typeof judged === 'string' ? null : judged
    },
    async resume(holder) {
      const id = holder.session?.id ?? idOf(holder)
      if (id === null) return null
      const now = clock()
      const resumed =
        typeof id === 'string'
          ? id
          : judge(holder, id, await identities.session(id.digest(), holder.connection), now)
      holder.sessionFailure = typeof resumed === 'string' ? resumed : null
      return resumed
    },
    isWithheld: ({ headers, session }) =>
      session === null && config.sessionSameSite === 'strict' && headers['sec-fetch-site'] === 'cross-site',
    async offer(holder, isAskedFor = false) {
      const { session, sessionFailure } = holder
      // A replaced session's browser already received the cookie of the other one, or will in a moment.
      const hasAnother =
        sessions.isWithheld(holder) ||
        sessionFailure === 'session_ambiguous' ||
        (sessionFailure === 'session_replaced' && !isAskedFor)
      if (session === null && !hasAnother) await sessions.start(holder)
    },
    next: holder => ({
      old: holder.session?.id.digest() ?? null,
      fresh: { id: mintSessionId(random), browser: browserOf(holder), now: clock() },
    }),
    adopt(holder, session) {
      if (holder.session !== null) {
        ended().set(holder.session.id.digest(), true)
        holder.replacesSession = true
      }
      holder.session = session
      holder.hasNewSession = true
    },
    async join(holder, id) {
      const stored = await identities.session(id.digest(), holder.connection)
      const joined = judge(holder, id, stored, clock())
      holder.sessionFailure = typeof joined === 'string' ? joined : null
      return joined
    },
    async start(holder) {
      const { old, fresh } = sessions.next(holder)
      const session = await replaceSession(database.logins, old, { ...fresh, login: null, challenge: null })
      sessions.adopt(holder, session)
    },
    async isOver(holder) {
      if (holder.hasNewSession || holder.session === null) return false
      if (ended().has(holder.session.id.digest())) return true
      if (monotonic() - holder.sessionReadAt <= SLOW_MS) return false
      return typeof (await sessions.resume(holder)) === 'string'
    },
  }
  return sessions
}
