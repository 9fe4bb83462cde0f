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
import { type SessionFailure, type StoredSession, validateSession } from '#src/auth/stored-session.ts'
import type { Config } from '#src/config/config.ts'
import type { Database } from '#src/database/connect.ts'
import type { Identities } from '#src/database/identities.ts'
import { type NewSession, replaceSession } from '#src/database/sessions.ts'
import { lazy } from '#src/runtime/lazy.ts'
import type { Bytes, EpochMillis, Millis, MonotonicMillis } from '#src/runtime/units.ts'
import { browserOf, type Caller, type Origin } from './caller.ts'

/** A caller that may have a session: a request with cookies. */
export interface SessionHolder extends Origin, Pick<Caller, 'session' | 'connection'> {
  readonly headers: { readonly cookie?: string; readonly 'sec-fetch-site'?: string | string[] }
  /** Why the session cookie was refused; null if it was accepted or absent. */
  sessionFailure: SessionFailure | null
  /** When the session was first looked up; 0 before that. */
  sessionReadAt: MonotonicMillis
  /** Whether the request was given a new session. */
  hasNewSession: boolean
  /** Whether the new session replaced one that concurrent requests of the browser may carry. */
  replacesSession: boolean
}

/** Finds and replaces the sessions of browsers. */
export interface Sessions {
  /**
   * Like `resume`, but from the identity cache only; null for a miss, and for a session that is not valid by the
   * cache.
   */
  resumeFromCache(holder: SessionHolder): SessionIdentity | null
  /**
   * Finds the session that the caller was given or that its cookie names, and sets `session`.
   *
   * @returns the identity of a logged-in user, null for a guest, or why the cookie was refused
   */
  resume(holder: SessionHolder): Promise<SessionIdentity | null | SessionFailure>
  /**
   * Whether the browser may have withheld the cookie (SameSite=Strict), because a page of another site started the
   * request.
   */
  isCookieWithheld(holder: SessionHolder): boolean
  /**
   * Starts a guest session if the caller has none, unless its cookie would overwrite that of a valid session.
   *
   * @param isAskedFor whether to start one even if the browser's session was replaced a moment ago, or it has two
   */
  ensureSession(holder: SessionHolder, isAskedFor?: boolean): Promise<void>
  /** The digest of the caller's session (null for none), and the id and browser of the session that replaces it. */
  prepareReplacement(holder: SessionHolder): {
    old: SessionDigest | null
    fresh: Pick<NewSession, 'id' | 'browser' | 'now'>
  }
  /** Sets a session that was stored instead of the caller's. The response carries its cookies. */
  adopt(holder: SessionHolder, session: Session): void
  /** Switches the caller to a session that a concurrent request has started. */
  join(holder: SessionHolder, id: SessionId): Promise<SessionIdentity | null | SessionFailure>
  /** Starts a guest session and ends the caller's one. */
  start(holder: SessionHolder): Promise<void>
  /**
   * Whether the caller's session has ended since it was looked up, so that its cookie must not overwrite the newer
   * one. Queries the database again after {@link SLOW_MS}.
   */
  hasEnded(holder: SessionHolder): Promise<boolean>
  /** Whether {@link Sessions.hasEnded} may be true. It is false at once for fast responses, which are most. */
  mayHaveEnded(holder: SessionHolder): boolean
}

/** How many ended sessions are remembered for concurrent requests. */
const ENDED_CAPACITY = 10_000

/**
 * How long a response may take before the end of its session is checked again, and how long a response that replaces
 * a session is delayed. So across all instances, responses with cookies of the old session are sent before the
 * response with the new cookies: a request that began before the old session ended is either fast enough, or checks
 * again.
 */
export const SLOW_MS: Millis = 20

interface SessionsDeps {
  config: Config
  database: Pick<Database, 'logins'>
  identities: Identities
  clock: () => EpochMillis
  monotonic: () => MonotonicMillis
  random: (size: Bytes) => Buffer
}

/** Creates the {@link Sessions} of a server. */
export function createSessions({
  config,
  database,
  identities,
  clock,
  monotonic,
  random,
}: SessionsDeps): Sessions {
  const cookies = sessionCookies(config)
  const ended = lazy(() => new LRUCache<SessionDigest, true>({ max: ENDED_CAPACITY }))

  const readSessionId = ({ headers }: SessionHolder): SessionId | null | SessionFailure => {
    const values = cookies.session.read(headers.cookie)
    if (values.length === 0) return null
    const [id, ...more] = values.map(parseSessionId).filter(id => id !== null)
    if (id === undefined) return 'session_malformed'
    // Another host of the domain has set a cookie of the same name, and the two cannot be told apart.
    return more.length === 0 ? id : 'session_ambiguous'
  }

  /** Validates a stored session and sets it as the caller's; otherwise returns why it is refused. */
  const acceptIfValid = (
    holder: SessionHolder,
    id: SessionId,
    stored: StoredSession | null,
    now: EpochMillis,
  ) => {
    const verdict = validateSession(id, stored, now, config)
    if (typeof verdict === 'string') return verdict
    holder.session = verdict.session
    return verdict.identity
  }

  const sessions: Sessions = {
    resumeFromCache(holder) {
      holder.sessionReadAt = monotonic()
      if (!config.identityCache) return null
      const id = readSessionId(holder)
      if (id === null || typeof id === 'string') return null
      const stored = identities.rememberedSession(id.digest())
      if (stored === undefined) return null
      const accepted = acceptIfValid(holder, id, stored, clock())
      // A cached row can only accept: a refusal needs the database.
      return typeof accepted === 'string' ? null : accepted
    },
    async resume(holder) {
      const id = holder.session?.id ?? readSessionId(holder)
      if (id === null) return null
      const now = clock()
      const resumed =
        typeof id === 'string'
          ? id
          : acceptIfValid(holder, id, await identities.session(id.digest(), holder.connection), now)
      holder.sessionFailure = typeof resumed === 'string' ? resumed : null
      return resumed
    },
    isCookieWithheld: ({ headers, session }) =>
      session === null && config.sessionSameSite === 'strict' && headers['sec-fetch-site'] === 'cross-site',
    async ensureSession(holder, isAskedFor = false) {
      const { session, sessionFailure } = holder
      // A replaced session's browser already received the new cookie, or will in a moment: do not send another.
      const hasAnother =
        sessions.isCookieWithheld(holder) ||
        ((sessionFailure === 'session_ambiguous' || sessionFailure === 'session_replaced') && !isAskedFor)
      if (session === null && !hasAnother) await sessions.start(holder)
    },
    prepareReplacement: holder => ({
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
      const joined = acceptIfValid(holder, id, stored, clock())
      holder.sessionFailure = typeof joined === 'string' ? joined : null
      return joined
    },
    async start(holder) {
      const { old, fresh } = sessions.prepareReplacement(holder)
      const session = await replaceSession(database.logins, old, { ...fresh, login: null, challenge: null })
      sessions.adopt(holder, session)
    },
    mayHaveEnded(holder) {
      if (holder.hasNewSession || holder.session === null) return false
      return ended().has(holder.session.id.digest()) || monotonic() - holder.sessionReadAt > SLOW_MS
    },
    async hasEnded(holder) {
      if (holder.session === null || !sessions.mayHaveEnded(holder)) return false
      return ended().has(holder.session.id.digest()) || typeof (await sessions.resume(holder)) === 'string'
    },
  }
  return sessions
}
