import fp from 'fastify-plugin'
import { preflightStep } from '#src/http/steps/cors.ts'

/** Answers preflights, which have their headers by then. */
export default fp(async app => app.addStep('onRequest', preflightStep), {
  name: 'preflight',
  dependencies: ['cors', 'steps'],
})
