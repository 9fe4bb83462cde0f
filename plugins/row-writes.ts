import fp from 'fastify-plugin'
import { rowStep } from '#src/http/steps/access.ts'

/** Has the row of a path judged and written in one statement, where a route's loader does that. */
export default fp(
  async app => {
    app.addStep('preHandler', rowStep(app.accessGuard, 'preHandler'))
  },
  { name: 'row-writes', dependencies: ['access', 'user-writes'] },
)
