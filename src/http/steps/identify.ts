import type { FastifyReply, FastifyRequest } from 'fastify'
import { LRUCache } from 'lru-cache'
import type { Devices } from '#src/accounts/devices.ts'
import type { Sessions } from '#src/accounts/sessions.ts'
import type { AuthenticationOutcome } from '#src/auth/authentication-outcome.ts'
import type { DeviceFailure } from '#src/auth/device.ts'
import {
  type SessionIdentity,
  type StoredToken,
  validateFoundToken,
  validateToken,
} from '#src/auth/identity.ts'
import type { SessionFailure } from '#src/auth/stored-session.ts'
import { HOUR_MS } from '#src/auth/time.ts'
import { bearerCredential, soleBearer, type TokenCredential } from '#src/auth/token.ts'
import type { Config } from '#src/config/config.ts'
import type { Identities } from '#src/database/identities.ts'
import { HttpError, unauthenticated } from '#src/responses/errors.ts'
import { lazy } from '#src/runtime/lazy.ts'
import type { EpochMillis, Millis, MonotonicMillis } from '#src/runtime/units.ts'
import type { Step } from '../step.ts'

/** The caller is authenticated again if the body arrives later than this after the head. */
const LATE_BODY_MS: Millis = 50

/** Runs a token lookup within the attempt limit for wrong tokens. Throws 429. */
type LimitAttempts = <T extends { isRight: boolean }>(
  request: FastifyRequest,
  digest: string,
  lookUp: () => Promise<T>,
) => Promise<T>

/** The dependencies of authentication. */
interface Dependencies {
  config: Config
  identities: Identities
  sessions: Sessions
  devices: Devices
  guess: LimitAttempts
  /** Whether the limit would not make a lookup of this token wait. */
  isVerified(request: FastifyRequest, digest: string): boolean
  /** Counts the result of a lookup outside of {@link Dependencies.guess}. */
  settle(request: FastifyRequest, digest: string, isRight: boolean): Promise<unknown> | undefined
  metrics: { countAuthentication(outcome: AuthenticationOutcome): void }
  clock: () => EpochMillis
  monotonic: () => MonotonicMillis
}

/** @fastify/bearer-auth: parses the `Authorization` header and calls {@link Identification.authenticate}. */
type VerifyBearer = (request: FastifyRequest, reply: FastifyReply, done: (error?: Error) => void) => void

/** Authenticates requests. */
export interface Identification {
  /** Sets `request.identity` from the token of the `Authorization` header. Returns whether it is valid. */
  authenticate(request: FastifyRequest): Promise<boolean>
  /**
   * Sets `request.identity`. An invalid credential leaves the caller a guest: the route decides whether guests are
   * accepted. Only too many wrong tokens are refused here (429), before the database lookup.
   */
  identifyStep(verifyBearer: VerifyBearer): Step
  /**
   * Authenticates again if the body arrived late, since the token or session may have been revoked since the head of the
   * request. Throws 401 if it was.
   */
  reidentifyStep: Step
}

/** Looks up tokens. */
interface TokenLookup {
  /** Sets the identity from a credential. Returns whether it is valid. */
  resolve(request: FastifyRequest, credential: TokenCredential): Promise<boolean>
  /** As {@link TokenLookup.resolve}, for the `Authorization` header and within the attempt limit. */
  authenticate(request: FastifyRequest): Promise<boolean>
  /** Sets the identity from the cache. Returns false if the database must be asked. */
  findCached(request: FastifyRequest, credential: TokenCredential): boolean
  /**
   * As {@link TokenLookup.authenticate} for a token that was right within the last minutes, with fewer promises.
   *
   * @param count counts the outcome
   * @returns undefined for other tokens
   */
  authenticateVerified(
    request: FastifyRequest,
    credential: TokenCredential,
    count: Count,
  ): Promise<unknown> | undefined
}

function createTokenLookup({
  config,
  identities,
  guess,
  isVerified,
  settle,
  clock,
  monotonic,
}: Dependencies): TokenLookup {
  const recordExpired = createExpiredTokenRecorder(monotonic)

  /** Sets the identity from the row that a credential led to. Returns whether it is valid. */
  const decide = (
    request: FastifyRequest,
    credential: TokenCredential,
    stored: StoredToken | null,
    now: EpochMillis,
  ): boolean => {
    const verdict = validateToken(credential, stored, now, config, request.clientAddress.ip)
    const isIdentity = typeof verdict === 'object'
    request.identity = isIdentity ? verdict : null
    request.authenticationOutcome = isIdentity ? 'authenticated' : verdict
    if (verdict === 'expired' && stored !== null) recordExpired(request, stored)
    return isIdentity
  }

  const resolve = async (request: FastifyRequest, credential: TokenCredential): Promise<boolean> => {
    const now = clock()
    request.authenticationOutcome = 'unavailable'
    const stored = await identities.token(credential, request.raw.socket)
    return decide(request, credential, stored, now)
  }

  return {
    resolve,
    async authenticate(request) {
      const credential = bearerCredential(request.headers.authorization ?? '')
      if (credential === null) return false
      const { isRight } = await guess(request, credential.digest, async () => ({
        isRight: await resolve(request, credential),
      }))
      return isRight
    },
    findCached(request, credential) {
      const stored = identities.rememberedToken(credential)
      if (!stored) return false
      const verdict = validateFoundToken(stored, clock(), config, request.clientAddress.ip)
      if (typeof verdict === 'string') return false
      request.identity = verdict
      request.authenticationOutcome = 'authenticated'
      return true
    },
    authenticateVerified(request, credential, count) {
      if (!isVerified(request, credential.digest)) return undefined
      const now = clock()
      request.authenticationOutcome = 'unavailable'
      return identities.token(credential, request.raw.socket).then(
        stored => {
          const isRight = decide(request, credential, stored, now)
          count(request)
          return settle(request, credential.digest, isRight)
        },
        error => {
          count(request, error)
          throw error
        },
      )
    },
  }
}

/**
 * Creates the function that records the event of an expired token's use, at most once an hour per token: programs keep
 * sending expired tokens.
 */
function createExpiredTokenRecorder(monotonic: () => MonotonicMillis) {
  const recorded = lazy(
    () => new LRUCache<number, true>({ max: 10_000, ttl: HOUR_MS, perf: { now: monotonic } }),
  )
  return (request: FastifyRequest, { id, owner }: StoredToken): void => {
    if (recorded().has(id)) return
    recorded().set(id, true)
    request.record('expired token used', { userId: owner?.user.id ?? null, tokenId: id })
  }
}

/** Sets `request.identity` from the session, or else from a remembered device. */
async function resumeSession(request: FastifyRequest, { sessions, devices }: Dependencies): Promise<void> {
  request.authenticationOutcome = 'unavailable'
  let resumed: SessionIdentity | SessionFailure | DeviceFailure | null = await sessions.resume(request)
  if (resumed === null || typeof resumed === 'string') {
    const recognized = await devices.recognize(request)
    if (recognized === true) resumed = await sessions.resume(request)
    else if (typeof recognized === 'string') resumed = recognized
  }
  if (typeof resumed === 'string') {
    request.authenticationOutcome = resumed
  } else {
    request.identity = resumed
    request.authenticationOutcome = resumed === null ? 'anonymous' : 'authenticated'
  }
}

/** Error codes of @fastify/bearer-auth for malformed headers and invalid credentials. */
const REFUSALS = new Set<string | undefined>([
  'FST_BEARER_AUTH_MISSING_AUTHORIZATION_HEADER',
  'FST_BEARER_AUTH_INVALID_AUTHORIZATION_HEADER',
])

/** Counts the outcome of authentication in the metrics. */
type Count = (request: FastifyRequest, error?: unknown) => void

/**
 * Creates the function that authenticates by the `Authorization` header, unless a session did already: as with Sanctum,
 * the session takes precedence.
 */
const createTokenReader =
  ({ findCached, authenticateVerified }: TokenLookup, verifyBearer: VerifyBearer, count: Count) =>
  (request: FastifyRequest, reply: FastifyReply): Promise<unknown> | undefined => {
    const isDecided = request.identity !== null || request.routeConfig.access?.via === 'session'
    const { headers } = request.raw
    // Also for who reads the header later, to check the token again.
    if (headers.authorization !== undefined) headers.authorization = soleBearer(headers.authorization)
    const { authorization } = headers
    if (isDecided || authorization === undefined) {
      count(request)
      return undefined
    }
    const credential = bearerCredential(authorization)
    if (credential !== null) {
      if (findCached(request, credential)) {
        count(request)
        return undefined
      }
      const authenticated = authenticateVerified(request, credential, count)
      if (authenticated !== undefined) return authenticated
    }
    request.authenticationOutcome = 'malformed'
    return new Promise<void>((resolve, reject) => {
      // The bearer plugin reports invalid credentials as errors too.
      verifyBearer(request, reply, error => {
        // Reset the status that the plugin has set: the route decides whether guests are accepted.
        reply.code(200)
        count(request, error)
        if (error === undefined || REFUSALS.has((error as { code?: string }).code)) resolve()
        else reject(error)
      })
    })
  }

/** Creates {@link Identification.identifyStep}. */
function createIdentifyStep(needs: Dependencies, tokens: TokenLookup, verifyBearer: VerifyBearer): Step {
  const { sessions, metrics, monotonic } = needs
  const count: Count = (request, error) => {
    if (error instanceof HttpError && error.statusCode === 429) request.authenticationOutcome = 'throttled'
    metrics.countAuthentication(request.authenticationOutcome ?? 'anonymous')
  }
  const readToken = createTokenReader(tokens, verifyBearer, count)
  return {
    appliesTo: route =>
      route === null ||
      route.config.isApi === true ||
      route.config.isWeb === true ||
      route.config.access?.auth !== 'none',
    run(request, reply) {
      const { access } = request.routeConfig
      const needsIdentity = request.isApi || (access !== undefined && access.auth !== 'none')
      if (!needsIdentity && !request.isStateful) return
      request.authenticationOutcome = 'anonymous'
      request.identifiedAt = monotonic()
      if (!request.isStateful) return readToken(request, reply)
      request.identity = sessions.resumeFromCache(request)
      if (request.identity !== null) {
        request.authenticationOutcome = 'authenticated'
        count(request)
        return
      }
      return resumeSession(request, needs).then(
        () => readToken(request, reply),
        error => {
          count(request, error)
          throw error
        },
      )
    },
  }
}

/** Creates {@link Identification.reidentifyStep}. */
function createReidentifyStep({ sessions, monotonic }: Dependencies, { resolve }: TokenLookup): Step {
  const reidentify = async (request: FastifyRequest): Promise<void> => {
    if (request.identity?.via === 'session') {
      const resumed = await sessions.resume(request)
      request.identity = typeof resumed === 'string' ? null : resumed
    } else {
      const credential = bearerCredential(request.headers.authorization ?? '')
      if (credential !== null) await resolve(request, credential)
    }
    if (request.identity === null) throw unauthenticated()
    request.isReidentified = true
  }
  return {
    run(request) {
      const isLate = request.identity !== null && monotonic() - request.identifiedAt > LATE_BODY_MS
      return isLate ? reidentify(request) : undefined
    },
  }
}

/** Creates the {@link Identification} of a server. */
export function createIdentification(needs: Dependencies): Identification {
  const tokens = createTokenLookup(needs)
  return {
    authenticate: tokens.authenticate,
    identifyStep: verifyBearer => createIdentifyStep(needs, tokens, verifyBearer),
    reidentifyStep: createReidentifyStep(needs, tokens),
  }
}
