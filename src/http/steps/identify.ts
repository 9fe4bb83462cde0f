import type { FastifyReply, FastifyRequest } from 'fastify'
import { LRUCache } from 'lru-cache'
import type { Devices } from '#src/accounts/devices.ts'
import type { Sessions } from '#src/accounts/sessions.ts'
import type { AuthenticationOutcome } from '#src/auth/authentication-outcome.ts'
import type { DeviceFailure } from '#src/auth/device.ts'
import { judgeToken, type SessionIdentity, type StoredToken } from '#src/auth/identity.ts'
import type { SessionFailure } from '#src/auth/stored-session.ts'
import { HOUR_MS } from '#src/auth/time.ts'
import { bearerCredential, type TokenCredential } from '#src/auth/token.ts'
import type { Config } from '#src/config/config.ts'
import type { Identities } from '#src/database/identities.ts'
import { HttpError, unauthenticated } from '#src/responses/errors.ts'
import { lazy } from '#src/runtime/lazy.ts'
import type { Step } from '../step.ts'

/** How long a body may take before it is asked again who calls, in milliseconds. */
const LATE_MS = 50

/** Runs a look-up of a token within the bound on wrong ones. */
type Guess = <T extends { isRight: boolean }>(
  request: FastifyRequest,
  digest: string,
  lookUp: () => Promise<T>,
) => Promise<T>

/** What the functions of this file need of the server. */
interface Needs {
  config: Config
  identities: Identities
  sessions: Sessions
  devices: Devices
  guess: Guess
  metrics: { authentication(outcome: AuthenticationOutcome): void }
  /** Milliseconds since the epoch. */
  clock: () => number
  /** Milliseconds since a moment that does not change. */
  monotonic: () => number
}

/** Has @fastify/bearer-auth read the `Authorization` header and ask {@link Identification.authenticate}. */
type VerifyBearer = (request: FastifyRequest, reply: FastifyReply, done: (error?: Error) => void) => void

/** Finds out who is calling. */
export interface Identification {
  /** Sets `request.identity` by the token of the `Authorization` header, and says whether it is anybody's. */
  authenticate(request: FastifyRequest): Promise<boolean>
  /**
   * Sets `request.identity`, whatever the route makes of it. A wrong credential leaves the caller anonymous; only
   * guessing is refused here (429), before the database is asked.
   */
  identifyStep(verifyBearer: VerifyBearer): Step
  /**
   * Finds out once more who calls if the body came late: who calls is decided by the head of a request, and may not be
   * true any longer. Throws 401 when it is not.
   */
  identifyAgainStep: Step
}

/** Finds the owners of tokens. */
interface TokenLookup {
  /** Looks a credential up, and says whether it is anybody's. */
  resolve(request: FastifyRequest, credential: TokenCredential): Promise<boolean>
  /** The same within the bound on wrong credentials, for the one of the `Authorization` header. */
  authenticate(request: FastifyRequest): Promise<boolean>
  /** Whether a credential is somebody's of whom that is remembered; a no is the database's to say. */
  recall(request: FastifyRequest, authorization: string): boolean
}

function tokenLookup({ config, identities, guess, clock, monotonic }: Needs): TokenLookup {
  const recordExpired = expiredTokenRecorder(monotonic)

  const resolve = async (request: FastifyRequest, credential: TokenCredential): Promise<boolean> => {
    const now = clock()
    request.authenticationOutcome = 'unavailable'
    const stored = await identities.token(credential, request.raw.socket)
    const verdict = judgeToken(credential, stored, now, config, request.clientAddress.ip)
    const isIdentity = typeof verdict === 'object'
    request.identity = isIdentity ? verdict : null
    request.authenticationOutcome = isIdentity ? 'authenticated' : verdict
    if (verdict === 'expired' && stored !== null) recordExpired(request, stored)
    return isIdentity
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
    recall(request, authorization) {
      if (!config.identityCache) return false
      const credential = bearerCredential(authorization)
      const stored = credential && identities.rememberedToken(credential)
      if (!stored) return false
      const verdict = judgeToken(credential, stored, clock(), config, request.clientAddress.ip)
      if (typeof verdict === 'string') return false
      request.identity = verdict
      request.authenticationOutcome = 'authenticated'
      return true
    },
  }
}

/**
 * Makes the function that records the use of an expired token. Programs go on asking with a token that has ended: once
 * an hour is enough to know.
 */
function expiredTokenRecorder(monotonic: () => number) {
  const recorded = lazy(
    () => new LRUCache<number, true>({ max: 10_000, ttl: HOUR_MS, perf: { now: monotonic } }),
  )
  return (request: FastifyRequest, { id, owner }: StoredToken): void => {
    if (recorded().has(id)) return
    recorded().set(id, true)
    request.record('expired token used', { userId: owner?.user.id ?? null, tokenId: id })
  }
}

/** Sets `request.identity` to who logged in to the request's session, if anybody did. */
async function resumeSession(request: FastifyRequest, { sessions, devices }: Needs): Promise<void> {
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

/** What the bearer plugin says of a header that it does not like, or whose credential was not accepted. */
const REFUSALS = new Set<string | undefined>([
  'FST_BEARER_AUTH_MISSING_AUTHORIZATION_HEADER',
  'FST_BEARER_AUTH_INVALID_AUTHORIZATION_HEADER',
])

/** Counts how it was found out who calls, or that it was not: by an error. */
type Count = (request: FastifyRequest, error?: unknown) => void

/**
 * Makes the function that looks the token of the `Authorization` header up, unless somebody logged in: as with Sanctum,
 * that one counts.
 */
const tokenReader =
  ({ recall }: TokenLookup, verifyBearer: VerifyBearer, count: Count) =>
  (request: FastifyRequest, reply: FastifyReply): Promise<void> | undefined => {
    const isDecided = request.identity !== null || request.routeConfig.access?.via === 'session'
    const { authorization } = request.headers
    if (isDecided || authorization === undefined || recall(request, authorization)) {
      count(request)
      return undefined
    }
    request.authenticationOutcome = 'malformed'
    return new Promise((resolve, reject) => {
      // For the bearer plugin a wrong credential is an error, as everything else that goes wrong.
      verifyBearer(request, reply, error => {
        // It has set the status of its verdict. Whether an anonymous caller may go on is the route's to say.
        reply.code(200)
        count(request, error)
        if (error === undefined || REFUSALS.has((error as { code?: string }).code)) resolve()
        else reject(error)
      })
    })
  }

/** See {@link Identification.identifyStep}. */
function identifyingStep(needs: Needs, tokens: TokenLookup, verifyBearer: VerifyBearer): Step {
  const { sessions, metrics, monotonic } = needs
  const count: Count = (request, error) => {
    // Whatever credential it is that was guessed too often.
    if (error instanceof HttpError && error.statusCode === 429) request.authenticationOutcome = 'throttled'
    metrics.authentication(request.authenticationOutcome ?? 'anonymous')
  }
  const readToken = tokenReader(tokens, verifyBearer, count)
  return {
    appliesTo: route =>
      route === null ||
      route.config.isApi === true ||
      route.config.isWeb === true ||
      route.config.access?.auth !== 'none',
    run(request, reply) {
      const { access } = request.routeConfig
      const isAsked = request.isApi || (access !== undefined && access.auth !== 'none')
      if (!isAsked && !request.isStateful) return
      request.authenticationOutcome = 'anonymous'
      request.identifiedAt = monotonic()
      if (!request.isStateful) return readToken(request, reply)
      request.identity = sessions.recall(request)
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

/** See {@link Identification.identifyAgainStep}. */
function identifyingAgainStep({ sessions, monotonic }: Needs, { resolve }: TokenLookup): Step {
  const identifyAgain = async (request: FastifyRequest): Promise<void> => {
    if (request.identity?.via === 'session') {
      const resumed = await sessions.resume(request)
      request.identity = typeof resumed === 'string' ? null : resumed
    } else {
      const credential = bearerCredential(request.headers.authorization ?? '')
      if (credential !== null) await resolve(request, credential)
    }
    if (request.identity === null) throw unauthenticated()
    request.isIdentifiedAgain = true
  }
  return {
    run(request) {
      const isLate = request.identity !== null && monotonic() - request.identifiedAt > LATE_MS
      return isLate ? identifyAgain(request) : undefined
    },
  }
}

/** Makes the {@link Identification} of a server. */
export function identification(needs: Needs): Identification {
  const tokens = tokenLookup(needs)
  return {
    authenticate: tokens.authenticate,
    identifyStep: verifyBearer => identifyingStep(needs, tokens, verifyBearer),
    identifyAgainStep: identifyingAgainStep(needs, tokens),
  }
}
