import fp from 'fastify-plugin'
import { bodyTokenStep, csrfStep } from '#src/http/steps/csrf.ts'

declare module 'fastify' {
  interface FastifyRequest {
    /** Why a client may lack the CSRF token, for the log; null for no reason that is known. */
    csrfHint: string | null
  }
}

/** CSRF protection of unsafe requests with a session. */
export default fp(
  async app => {
    app.addStep('onRequest', csrfStep(app.config))
    app.addStep('preValidation', bodyTokenStep(app.config))
  },
  { name: 'csrf', dependencies: ['first-party', 'sessions', 'steps'] },
)
