import fp from 'fastify-plugin'
import { firstPartyStep } from '#src/http/steps/first-party.ts'

declare module 'fastify' {
  interface FastifyRequest {
    /** Whether the request may use a session: it is from a first party, or its route is for browsers. */
    isStateful: boolean
    /** Why a request to the API is not stateful, for the log; null if it is, or was not checked. */
    notStatefulBecause: string | null
  }
}

/** Decides which requests may use a session. */
export default fp(
  async app => {
    app.addStep('onRequest', firstPartyStep(app.firstParty))
  },
  { name: 'first-party', dependencies: ['area', 'cors', 'steps'] },
)
