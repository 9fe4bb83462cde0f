import fp from 'fastify-plugin'
import { ceilingStep } from '#src/http/steps/ceiling.ts'

/** Refuses clients that send far more than any limit allows, before anything is looked up. */
export default fp(async app => app.addStep('onRequest', ceilingStep(app)), {
  name: 'ceiling',
  dependencies: ['client-address', 'metrics', 'steps'],
})
