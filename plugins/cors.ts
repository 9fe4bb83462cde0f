import fp from 'fastify-plugin'
import { type FirstParty, firstParty } from '#src/auth/origin.ts'
import { corsStep } from '#src/http/steps/cors.ts'

declare module 'fastify' {
  interface FastifyInstance {
    /** Which origins are pages of ours. */
    firstParty: FirstParty
  }
}

/** Says which pages of other origins may read answers, and adds `app.firstParty`. */
export default fp(
  async app => {
    const { corsAllowedOrigins, statefulDomains, appUrl } = app.config
    app.decorate('firstParty', firstParty(statefulDomains, appUrl))
    app.addStep('onRequest', corsStep(app.firstParty, corsAllowedOrigins))
  },
  { name: 'cors', dependencies: ['steps'] },
)
