import fp from 'fastify-plugin'
import { ceilingStep } from '#src/http/steps/ceiling.ts'

/** Refuses clients over the ceiling of their address, before any lookup. */
export default fp(async app => app.addStep('onRequest', ceilingStep(app)), {
  name: 'ceiling',
  dependencies: ['client-address', 'metrics', 'steps'],
})
