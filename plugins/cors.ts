import fp from 'fastify-plugin'
import { corsStep } from '#src/http/steps/cors.ts'

/** Sets the CORS headers. */
export default fp(
  async app => {
    app.addStep('onRequest', corsStep(app.corsHeaders))
  },
  { name: 'cors', dependencies: ['steps'] },
)
