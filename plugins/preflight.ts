import fp from 'fastify-plugin'
import { preflightStep } from '#src/http/steps/cors.ts'

/** Responds to preflights. The headers are set by plugins/cors.ts. */
export default fp(async app => app.addStep('onRequest', preflightStep), {
  name: 'preflight',
  dependencies: ['cors', 'steps'],
})
