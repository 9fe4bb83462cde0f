import cookie from '@fastify/cookie'
import type { FastifyReply, FastifyRequest } from 'fastify'
import fp from 'fastify-plugin'
import { LRUCache } from 'lru-cache'
import type { SessionIdentity } from '../src/auth/identity.ts'
import {
  type Challenge,
  judgeSession,
  mintSessionId,
  parseSessionId,
  remainingMs,
  type Session,
  type SessionDigest,
  type SessionFailure,
  type SessionId,
  type StoredSession,
} from '../src/auth/session.ts'
import { type Browser, replaceSession, type SessionLogin } from '../src/database/sessions.ts'
import { CSRF_COOKIE, sessionCookies } from '../src/session-cookies.ts'

declare module 'fastify' {
  interface FastifyInstance {
    sessions: Sessions
  }
  interface FastifyRequest {
    /** The session that a stateful request came with, or was given; null as long as there is none. */
    session: Session | null
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
  /**
   * Gives the request a new session, and ends the one that it had: of somebody who logged in, of nobody who owes a
   * second factor, or of nobody at all.
   */
  start(
    request: FastifyRequest,
    owner?: { login?: SessionLogin; challenge?: Omit<Challenge, 'at'> },
  ): Promise<void>
}

/** How many ended sessions are remembered, for requests that were under way in them. */
const ENDED_CAPACITY = 10_000

/** Keeps the sessions of browsers: finds them, replaces them, and sends their cookies along. */
export default fp(
  async app => {
    const { config, clock, random, database } = app
    const cookies = sessionCookies(config)
    const ended = new LRUCache<SessionDigest, true>({ max: ENDED_CAPACITY })

    app.decorateRequest('session', null)
    const idOf = ({ headers }: FastifyRequest): SessionId | null | SessionFailure => {
      const [value, ...more] = new Set(cookies.session.read(headers.cookie))
      if (value === undefined) return null
      // Another host of the domain has set one as well, and nothing tells which of them is ours.
      if (more.length > 0) return 'session_ambiguous'
      return parseSessionId(value) ?? 'session_malformed'
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
        if (id === null || typeof id === 'string') return id
        const now = clock()
        const stored = await app.identities.session(id.digest(), request.raw.socket)
        return adopt(request, id, stored, now)
      },
      async start(request, { login = null, challenge } = {}) {
        const now = clock()
        const old = request.session?.id.digest() ?? null
        request.session = await replaceSession(database.kysely, old, {
          id: mintSessionId(random),
          login,
          challenge: challenge === undefined ? null : { ...challenge, at: now },
          browser: browserOf(request),
          now,
        })
        if (old !== null) ended.set(old, true)
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

    const setCookies = (reply: FastifyReply, { id, createdAt }: Session) => {
      const now = clock()
      const ms = remainingMs({ createdAt }, now, config)
      const [end, maxAge] = [Math.floor((now + ms) / 1000), Math.floor(ms / 1000)]
      if (last.end !== end || last.maxAge !== maxAge) last = attributesUntil(end, maxAge)
      const session = `${cookies.session.name}=${id.reveal()}${last.hidden}`
      const withToken = config.csrfMode === 'token' && reply.statusCode !== 419
      reply.header(
        'set-cookie',
        withToken ? [`${CSRF_COOKIE}=${id.csrfToken()}${last.readable}`, session] : [session],
      )
    }

    app.addHook('onSend', (request, reply, _payload, done) => {
      if (request.isStateful && !request.is404) sendSession(request, reply).then(() => done(), done)
      else done()
    })

    const sendSession = async (request: FastifyRequest, reply: FastifyReply) => {
      if (request.session === null && deservesSession(reply.statusCode)) {
        try {
          await app.sessions.start(request)
        } catch (error) {
          request.log.warn({ err: error }, 'a session could not be stored')
        }
      }
      const { session } = request
      // A slow request's cookie would take the place of the one that login or logout has set meanwhile.
      if (session !== null && !ended.has(session.id.digest())) setCookies(reply, session)
    }

    // Values are ours and need no encoding: what the plugin writes is the rest.
    await app.register(cookie, { hook: false })
  },
  { name: 'session', dependencies: ['database', 'stateful'] },
)

/** What is stored of the browser that sent a request. */
export const browserOf = ({ ip, headers }: FastifyRequest): Browser => ({
  address: ip,
  userAgent: headers['user-agent'],
})

/** Whether an answer brings a session along: not one to a request that was refused before anybody looked at it. */
const deservesSession = (status: number) => status !== 419 && status !== 429 && status < 500
