import bearerAuth from '@fastify/bearer-auth'
import fp from 'fastify-plugin'
import type { AuthenticationOutcome } from '#src/auth/authentication-outcome.ts'
import type { Identity } from '#src/auth/identity.ts'
import { createIdentification } from '#src/http/steps/identify.ts'
import type { MonotonicMillis } from '#src/runtime/units.ts'

declare module 'fastify' {
  interface FastifyRequest {
    /** The authenticated caller; null for a guest. */
    identity: Identity | null
    /** The outcome of authentication, for log and metrics; null if the route needs none. */
    authenticationOutcome: AuthenticationOutcome | null
    /** When authentication started. */
    identifiedAt: MonotonicMillis
    /** Whether the caller was authenticated again after a late body. */
    isReidentified: boolean
  }
}

/** Authenticates requests in `onRequest`, and again if the body arrives late. */
export default fp(
  async app => {
    const { authenticate, identifyStep, reidentifyStep } = createIdentification({
      config: app.config,
      identities: app.identities,
      sessions: app.sessions,
      devices: app.devices,
      guess: app.attempts.lookUpToken,
      isVerified: app.attempts.isTokenVerified,
      settle: app.attempts.settleToken,
      metrics: app.metrics,
      clock: app.clock,
      monotonic: app.monotonic,
    })
    await app.register(bearerAuth, {
      keys: [],
      addHook: false,
      specCompliance: 'rfc6749',
      verifyErrorLogLevel: 'trace',
      auth: (_key, request) => authenticate(request),
    })
    const verifyBearer = app.verifyBearerAuth as NonNullable<typeof app.verifyBearerAuth>
    app.addStep('onRequest', identifyStep(verifyBearer))
    app.addStep('preValidation', reidentifyStep)
  },
  {
    name: 'identify',
    dependencies: [
      'area',
      'attempts',
      'client-address',
      'database',
      'events',
      'first-party',
      'metrics',
      'sessions',
    ],
  },
)
