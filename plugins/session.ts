import cookie from '@fastify/cookie'
import type { FastifyReply, FastifyRequest } from 'fastify'
import fp from 'fastify-plugin'
import { LRUCache } from 'lru-cache'
import type { SessionIdentity } from '#src/auth/identity.ts'
import {
  judgeSession,
  mintSessionId,
  parseSessionId,
  remainingMs,
  type Session,
  type SessionDigest,
  type SessionFailure,
  type SessionId,
  type StoredSession,
} from '#src/auth/session.ts'
import { CSRF_COOKIE, sessionCookies } from '#src/auth/session-cookies.ts'
import { type NewSession, replaceSession } from '#src/database/sessions.ts'
import { browserOf } from '#src/http/http.ts'
import { lazy } from '#src/runtime/lazy.ts'

declare module 'fastify' {
  interface FastifyInstance {
    sessions: Sessions
  }
  interface FastifyRequest {
    /** The session that a stateful request came with, or was given; null as long as there is none. */
    session: Session | null
    /** Why its cookie opened none; null if it did, or there was none. */
    sessionFailure: SessionFailure | null
    /** Whether it was given one. */
    hasNewSession: boolean
    /** Whether that came in the place of one that other requests of the browser may have been sent with. */
    replacesSession: boolean
  }
}

interface Sessions {
  /** The same as `resume`, without asking; null unless it is remembered who logged in. */
  recall(request: FastifyRequest): SessionIdentity | null
  /**
   * Finds the session that the request was given or that its cookie names, and sets `request.session`.
   *
   * @returns who logged in to it; null for nobody; otherwise why it opens nothing
   */
  resume(request: FastifyRequest): Promise<SessionIdentity | null | SessionFailure>
  /** Whether the browser may keep the cookie to itself, since the way here began on a page of another site. */
  isWithheld(request: FastifyRequest): boolean
  /**
   * Gives the request a session of nobody's if it has none, unless that would take the place of one that counts.
   *
   * @param isAskedFor whether a browser wants it whose last one was replaced a moment ago
   */
  offer(request: FastifyRequest, isAskedFor?: boolean): Promise<void>
  /** What a new session of the request begins with, and the one in whose place it comes; null for none. */
  next(request: FastifyRequest): {
    old: SessionDigest | null
    fresh: Pick<NewSession, 'id' | 'browser' | 'now'>
  }
  /** Makes a session that was stored in place of the request's own the request's: its answer brings the cookies. */
  adopt(request: FastifyRequest, session: Session): void
  /** Has the request's cookie be another one from now on, of a session that another request has begun. */
  join(request: FastifyRequest, id: SessionId): Promise<SessionIdentity | null | SessionFailure>
  /** Gives the request a new session of no user, and ends the one that it had. */
  start(request: FastifyRequest): Promise<void>
}

/** How many ended sessions are remembered, for requests that were under way in them. */
const ENDED_CAPACITY = 10_000

/**
 * How long an answer may take, in milliseconds, before it is asked again whether its session is over; and how long an
 * answer waits that brings a session in the place of another one. So on whichever instance they are, answers with the
 * cookies of the old session are sent before the one with the new cookies: those that began before the old session ended
 * are either quick enough, or ask again.
 */
const SLOW_MS = 20

/** Keeps the sessions of browsers: finds them, replaces them, and sends their cookies along. */
export default fp(
  async app => {
    const { config, clock, monotonic, random, database } = app
    const cookies = sessionCookies(config)
    const ended = lazy(() => new LRUCache<SessionDigest, true>({ max: ENDED_CAPACITY }))

    app.decorateRequest('session', null)
    app.decorateRequest('sessionFailure', null)
    app.decorateRequest('hasNewSession', false)
    app.decorateRequest('replacesSession', false)
    const idOf = ({ headers }: FastifyRequest): SessionId | null | SessionFailure => {
      const values = cookies.session.read(headers.cookie)
      if (values.length === 0) return null
      const [id, ...more] = values.map(parseSessionId).filter(id => id !== null)
      if (id === undefined) return 'session_malformed'
      // Another host of the domain has set one as well, and nothing tells which of them is ours.
      return more.length === 0 ? id : 'session_ambiguous'
    }

    /** Makes a session the request's, if it is valid; otherwise says why it is not. */
    const adopt = (request: FastifyRequest, id: SessionId, stored: StoredSession | null, now: number) => {
      const verdict = judgeSession(id, stored, now, config)
      if (typeof verdict === 'string') return verdict
      request.session = verdict.session
      return verdict.identity
    }

    app.decorate('sessions', {
      recall(request) {
        if (!config.identityCache) return null
        const id = idOf(request)
        if (id === null || typeof id === 'string') return null
        const stored = app.identities.rememberedSession(id.digest())
        if (stored === undefined) return null
        const adopted = adopt(request, id, stored, clock())
        // What is remembered says yes alone: a no is the database's to say.
        return typeof adopted === 'string' ? null : adopted
      },
      async resume(request) {
        const id = request.session?.id ?? idOf(request)
        if (id === null) return null
        const now = clock()
        const resumed =
          typeof id === 'string'
            ? id
            : adopt(request, id, await app.identities.session(id.digest(), request.raw.socket), now)
        request.sessionFailure = typeof resumed === 'string' ? resumed : null
        return resumed
      },
      isWithheld: ({ headers, session }) =>
        session === null && config.sessionSameSite === 'strict' && headers['sec-fetch-site'] === 'cross-site',
      async offer(request, isAskedFor = false) {
        const { session, sessionFailure } = request
        // Whoever comes with one that was replaced has the other one's cookie by now, or will in a moment.
        const hasAnother =
          app.sessions.isWithheld(request) ||
          sessionFailure === 'session_ambiguous' ||
          (sessionFailure === 'session_replaced' && !isAskedFor)
        if (session === null && !hasAnother) await app.sessions.start(request)
      },
      next: request => ({
        old: request.session?.id.digest() ?? null,
        fresh: { id: mintSessionId(random), browser: browserOf(request), now: clock() },
      }),
      adopt(request, session) {
        if (request.session !== null) {
          ended().set(request.session.id.digest(), true)
          request.replacesSession = true
        }
        request.session = session
        request.hasNewSession = true
      },
      async join(request, id) {
        const stored = await app.identities.session(id.digest(), request.raw.socket)
        const joined = adopt(request, id, stored, clock())
        request.sessionFailure = typeof joined === 'string' ? joined : null
        return joined
      },
      async start(request) {
        const { old, fresh } = app.sessions.next(request)
        const session = await replaceSession(database.logins, old, { ...fresh, login: null, challenge: null })
        app.sessions.adopt(request, session)
      },
    })

    /** What stands behind the values of cookies that end at a time, in seconds since the epoch. */
    const attributesUntil = (end: number, maxAge: number) => {
      const attributes = { ...cookies.attributes, maxAge, expires: new Date(end * 1000) }
      return {
        end,
        maxAge,
        readable: app.serializeCookie('n', '', attributes).slice('n='.length),
        hidden: app.serializeCookie('n', '', { ...attributes, httpOnly: true }).slice('n='.length),
      }
    }
    // The same for all whose cookies are set within a second.
    let last = { end: 0, maxAge: 0, readable: '', hidden: '' }

    const setCookies = (reply: FastifyReply, session: Session) => {
      const { id } = session
      const now = clock()
      const ms = remainingMs(session, now, config)
      const [end, maxAge] = [Math.floor((now + ms) / 1000), Math.floor(ms / 1000)]
      if (last.end !== end || last.maxAge !== maxAge) last = attributesUntil(end, maxAge)
      const cookie = `${cookies.session.name}=${id.reveal()}${last.hidden}`
      const withToken = config.csrfMode === 'token' && reply.statusCode !== 419
      reply.header(
        'set-cookie',
        withToken ? [`${CSRF_COOKIE}=${id.csrfToken()}${last.readable}`, cookie] : [cookie],
      )
    }

    app.addHook('onSend', (request, reply, _payload, done) => {
      if (request.isStateful && !request.is404 && !request.isGivenUp)
        sendSession(request, reply).then(() => done(), done)
      else done()
    })

    const sendSession = async (request: FastifyRequest, reply: FastifyReply) => {
      try {
        if (deservesSession(reply.statusCode)) await app.sessions.offer(request)
        if (request.replacesSession) await app.delay(SLOW_MS)
        if (request.session !== null && !(await isOver(request))) setCookies(reply, request.session)
      } catch (error) {
        if (!app.noteOutage(error)) {
          request.log.warn({ err: error }, 'a session could not be stored, or looked up again')
        }
      }
    }

    /** Whether the session has ended since the request began: its cookie would take the place of a newer one. */
    const isOver = async (request: FastifyRequest) => {
      if (request.hasNewSession) return false
      if (ended().has((request.session as Session).id.digest())) return true
      if (monotonic() - request.identifiedAt <= SLOW_MS) return false
      return typeof (await app.sessions.resume(request)) === 'string'
    }

    // Values are ours and need no encoding: what the plugin writes is the rest.
    await app.register(cookie, { hook: false })
  },
  { name: 'session', dependencies: ['database', 'stateful'] },
)

/** Whether an answer brings a session along: not one to a request that was refused before anybody looked at it. */
const deservesSession = (status: number) => status !== 419 && status !== 429 && status < 500
