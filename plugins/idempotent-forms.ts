import { setTimeout as delay } from 'node:timers/promises'
import fp from 'fastify-plugin'
import { idempotentFormSteps } from '#src/panel/idempotent-forms.ts'

declare module 'fastify' {
  interface FastifyRequest {
    /** The id of the form submission that this request is processing; null for other requests. */
    formSubmission: string | null
  }
}

/** Makes forms of the panel idempotent: a form that is submitted twice takes effect once. */
export default fp(
  async app => {
    const { take, finish } = idempotentFormSteps({ database: app.database, clock: app.clock, delay })
    app.addStep('preHandler', take)
    app.addStep('onSend', finish)
  },
  { name: 'idempotent-forms', dependencies: ['database', 'identify', 'panel', 'steps'] },
)
