import fp from 'fastify-plugin'
import { bodyTokenStep, csrfStep } from '#src/http/steps/csrf.ts'

/** CSRF protection of unsafe requests with a session. */
export default fp(
  async app => {
    app.addStep('onRequest', csrfStep(app.config))
    app.addStep('preValidation', bodyTokenStep)
  },
  { name: 'csrf', dependencies: ['first-party', 'sessions', 'steps'] },
)
