import type { FastifyReply } from 'fastify'
import fp from 'fastify-plugin'
import { type Asks, ask, confirmationStep } from '#src/panel/confirmation.tsx'
import type { Confirmation } from '#src/panel/confirmation-form.ts'
import type { Faults } from '#src/panel/elements.tsx'

declare module 'fastify' {
  interface FastifyContextConfig {
    /** What is asked before a form of the panel is acted upon, unless its field `confirmed` says that it was. */
    asks?: Asks
  }
  interface FastifyReply {
    /** Asks a question about the form of the request; once more, with what was wrong with the answer. */
    ask(question: Confirmation, wrong?: { problem?: string; faults?: Faults }): Promise<this>
  }
}

/** Asks before a route does what cannot be undone. */
export default fp(
  async app => {
    app.decorateReply('ask', function (this: FastifyReply, question, wrong) {
      return ask(this, question, wrong)
    })
    app.addStep('preHandler', confirmationStep)
  },
  { name: 'confirmation', dependencies: ['panel', 'steps'] },
)
