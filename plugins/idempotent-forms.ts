import { setTimeout as delay } from 'node:timers/promises'
import fp from 'fastify-plugin'
import { idempotentFormSteps } from '#src/panel/idempotent-forms.ts'

declare module 'fastify' {
  interface FastifyRequest {
    /** What the form of this request is known by while it is done; null for one that may be done twice. */
    takenForm: string | null
  }
}

/** Has forms of the panel that are sent twice do once what they do. */
export default fp(
  async app => {
    app.decorateRequest('takenForm', null)
    const { take, finish } = idempotentFormSteps({ database: app.database, clock: app.clock, delay })
    app.addStep('preHandler', take)
    app.addStep('onSend', finish)
  },
  { name: 'sent-once', dependencies: ['database', 'identify', 'panel', 'steps'] },
)
