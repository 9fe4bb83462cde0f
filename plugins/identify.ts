import bearerAuth from '@fastify/bearer-auth'
import fp from 'fastify-plugin'
import type { AuthenticationOutcome } from '#src/auth/authentication-outcome.ts'
import type { Identity } from '#src/auth/identity.ts'
import { identification } from '#src/http/steps/identify.ts'

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

/** Finds out who is calling, with the head of a request and once more when its body came late. */
export default fp(
  async app => {
    app.decorateRequest('identity', null)
    app.decorateRequest('authenticationOutcome', null)
    app.decorateRequest('identifiedAt', 0)
    app.decorateRequest('isIdentifiedAgain', false)
    const { authenticate, identifyStep, identifyAgainStep } = identification({
      config: app.config,
      identities: app.identities,
      sessions: app.sessions,
      devices: app.devices,
      guess: app.attempts.guess,
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
    app.addStep('preValidation', identifyAgainStep)
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
