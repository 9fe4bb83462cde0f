import fp from 'fastify-plugin'
import { bodyTokenStep, csrfStep } from '#src/http/steps/csrf.ts'

/** Refuses changes in the name of a session that no page of ours can be shown to have asked for. */
export default fp(
  async app => {
    app.addStep('onRequest', csrfStep(app.config))
    app.addStep('preValidation', bodyTokenStep)
  },
  { name: 'csrf', dependencies: ['first-party', 'sessions', 'steps'] },
)
