import fp from 'fastify-plugin'
import { createFirstParty, type FirstParty } from '#src/auth/origin.ts'
import { corsStep } from '#src/http/steps/cors.ts'

declare module 'fastify' {
  interface FastifyInstance {
    /** The origins whose browsers get a session. */
    firstParty: FirstParty
  }
}

/** Sets the CORS headers, and adds `app.firstParty`. */
export default fp(
  async app => {
    const { statefulDomains, appUrl } = app.config
    app.decorate('firstParty', createFirstParty(statefulDomains, appUrl))
    app.addStep('onRequest', corsStep(app.corsHeaders))
  },
  { name: 'cors', dependencies: ['steps'] },
)
