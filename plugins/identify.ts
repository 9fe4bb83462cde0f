import bearerAuth from '@fastify/bearer-auth'
import type { FastifyRequest } from 'fastify'
import fp from 'fastify-plugin'
import { LRUCache } from 'lru-cache'
import { unauthenticated } from '#src/answers/errors.ts'
import type { DeviceFailure } from '#src/auth/device.ts'
import { type Identity, judgeToken, type SessionIdentity, type StoredToken } from '#src/auth/identity.ts'
import type { SessionFailure } from '#src/auth/session.ts'
import { HOUR_MS } from '#src/auth/time.ts'
import { bearerCredential, type TokenCredential } from '#src/auth/token.ts'
import { lazy } from '#src/runtime/lazy.ts'
import type { AuthenticationOutcome } from './metrics.ts'

declare module 'fastify' {
  interface FastifyRequest {
    /** Who is calling; null when nobody is known to. */
    identity: Identity | null
    /** How that was found out, for the log and the metrics only; null when nobody asked. */
    authenticationOutcome: AuthenticationOutcome | null
    /** When that began to be found out, in milliseconds of `app.monotonic`. */
    identifiedAt: number
    /** Whether it was found out once more, since the body came late. */
    isIdentifiedAgain: boolean
  }
}

/**
 * Finds out who is calling: sets `request.identity`, whatever the route makes of it. A wrong credential leaves
 * the caller anonymous; only guessing is refused here, before the database is asked.
 */
export default fp(
  async app => {
    const { config, clock, monotonic } = app
    app.decorateRequest('identity', null)
    app.decorateRequest('authenticationOutcome', null)
    app.decorateRequest('identifiedAt', 0)
    app.decorateRequest('isIdentifiedAgain', false)

    // Programs go on asking with a token that has ended: once in a while is enough to know.
    const recorded = lazy(
      () => new LRUCache<number, true>({ max: 10_000, ttl: HOUR_MS, perf: { now: monotonic } }),
    )
    const recordExpired = (request: FastifyRequest, { id, owner }: StoredToken) => {
      if (recorded().has(id)) return
      recorded().set(id, true)
      request.record('expired token used', { userId: owner?.user.id ?? null, tokenId: id })
    }

    /** Looks a credential up, and says whether it is anybody's. */
    const resolve = async (request: FastifyRequest, credential: TokenCredential): Promise<boolean> => {
      const now = clock()
      request.authenticationOutcome = 'unavailable'
      const stored = await app.identities.token(credential, request.raw.socket)
      const verdict = judgeToken(credential, stored, now, config, request.clientAddress.ip)
      const isIdentity = typeof verdict === 'object'
      request.identity = isIdentity ? verdict : null
      request.authenticationOutcome = isIdentity ? 'authenticated' : verdict
      if (verdict === 'expired' && stored !== null) recordExpired(request, stored)
      return isIdentity
    }

    /** Whether a credential is somebody's of whom that is remembered; a no is the database's to say. */
    const recall = (request: FastifyRequest, authorization: string): boolean => {
      if (!config.identityCache) return false
      const credential = bearerCredential(authorization)
      const stored = credential && app.identities.rememberedToken(credential)
      if (!stored) return false
      const verdict = judgeToken(credential, stored, clock(), config, request.clientAddress.ip)
      if (typeof verdict === 'string') return false
      request.identity = verdict
      request.authenticationOutcome = 'authenticated'
      return true
    }

    const authenticate = async (request: FastifyRequest): Promise<boolean> => {
      const credential = bearerCredential(request.headers.authorization ?? '')
      if (credential === null) return false
      const { isRight } = await app.attempts.guess(request, credential.digest, async () => ({
        isRight: await resolve(request, credential),
      }))
      return isRight
    }

    await app.register(bearerAuth, {
      keys: [],
      addHook: false,
      specCompliance: 'rfc6749',
      verifyErrorLogLevel: 'trace',
      auth: (_key, request) => authenticate(request),
    })
    const { verifyBearerAuth } = app

    /** Who logged in to the request's session, if anybody did. */
    const resumeSession = async (request: FastifyRequest) => {
      request.authenticationOutcome = 'unavailable'
      let resumed: SessionIdentity | SessionFailure | DeviceFailure | null =
        await app.sessions.resume(request)
      if (resumed === null || typeof resumed === 'string') {
        const recognized = await app.devices.recognize(request)
        if (recognized === true) resumed = await app.sessions.resume(request)
        else if (typeof recognized === 'string') resumed = recognized
      }
      if (typeof resumed === 'string') {
        request.authenticationOutcome = resumed
      } else {
        request.identity = resumed
        request.authenticationOutcome = resumed === null ? 'anonymous' : 'authenticated'
      }
    }

    // With callbacks, since every request comes by here: promises that nobody needs would cost it dearly.
    app.addHook('onRequest', (request, reply, done) => {
      const { access } = request.routeConfig
      const isAsked = request.isApi || (access !== undefined && access.auth !== 'none')
      if (!isAsked && !request.isStateful) return done()
      request.authenticationOutcome = 'anonymous'
      request.identifiedAt = monotonic()

      const finish = (error?: Error) => {
        app.metrics.authentication(request.authenticationOutcome ?? 'anonymous')
        done(error)
      }
      const readToken = () => {
        // Whoever logged in is the caller, whatever token comes along: as with Sanctum.
        const isDecided = request.identity !== null || access?.via === 'session'
        const { authorization } = request.headers
        if (isDecided || authorization === undefined || recall(request, authorization)) return finish()
        request.authenticationOutcome = 'malformed'
        // For the bearer plugin a wrong credential is an error, as everything else that goes wrong.
        verifyBearerAuth?.(request, reply, error => {
          // It has set the status of its verdict. Whether an anonymous caller may go on is the route's to say.
          reply.code(200)
          const isRefusal = error !== undefined && REFUSALS.has((error as { code?: string }).code)
          finish(isRefusal ? undefined : error)
        })
      }
      if (!request.isStateful) return readToken()
      request.identity = app.sessions.recall(request)
      if (request.identity === null) resumeSession(request).then(readToken, finish)
      else {
        request.authenticationOutcome = 'authenticated'
        finish()
      }
    })

    // Who calls is decided by the head of a request. Its body may come much later, when that is true no longer.
    app.addHook('preValidation', (request, _reply, done) => {
      const isLate = request.identity !== null && monotonic() - request.identifiedAt > LATE_MS
      if (isLate) identifyAgain(request).then(() => done(), done)
      else done()
    })
    const identifyAgain = async (request: FastifyRequest) => {
      if (request.identity?.via === 'session') {
        const resumed = await app.sessions.resume(request)
        request.identity = typeof resumed === 'string' ? null : resumed
      } else {
        const credential = bearerCredential(request.headers.authorization ?? '')
        if (credential !== null) await resolve(request, credential)
      }
      if (request.identity === null) throw unauthenticated()
      request.isIdentifiedAgain = true
    }
  },
  { name: 'identify', dependencies: ['attempts', 'devices', 'events', 'metrics'] },
)

/** How long a body may take before it is asked again who calls, in milliseconds. */
const LATE_MS = 50

/** What the bearer plugin says of a header that it does not like, or whose credential was not accepted. */
const REFUSALS = new Set<string | undefined>([
  'FST_BEARER_AUTH_MISSING_AUTHORIZATION_HEADER',
  'FST_BEARER_AUTH_INVALID_AUTHORIZATION_HEADER',
])
