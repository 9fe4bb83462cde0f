import fp from 'fastify-plugin'
import { loadRowStep } from '#src/http/steps/access.ts'

/** Runs loaders that find, authorize and write a row in one statement. */
export default fp(
  async app => {
    app.addStep('preHandler', loadRowStep(app.accessGuard, 'preHandler'))
  },
  { name: 'row-writes', dependencies: ['access', 'user-writes'] },
)
