import fp from 'fastify-plugin'
import { firstPartyStep } from '#src/http/steps/first-party.ts'

declare module 'fastify' {
  interface FastifyRequest {
    /** Whether the request has a session: one of ours in a browser, or a route that is for browsers alone. */
    isStateful: boolean
    /** Why a request to the API is not stateful, for the log; null when it is, and where nobody asked. */
    notStatefulBecause: string | null
  }
}

/** Decides which requests have a session. */
export default fp(
  async app => {
    app.decorateRequest('isStateful', false)
    app.decorateRequest('notStatefulBecause', null)
    app.addStep('onRequest', firstPartyStep(app.firstParty))
  },
  { name: 'first-party', dependencies: ['area', 'cors', 'steps'] },
)
