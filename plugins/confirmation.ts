import type { FastifyReply } from 'fastify'
import fp from 'fastify-plugin'
import { type ConfirmationBuilder, confirmationStep, sendConfirmation } from '#src/panel/confirmation.tsx'
import type { Confirmation } from '#src/panel/confirmation-form.ts'
import type { FieldErrors } from '#src/panel/elements.tsx'

declare module 'fastify' {
  interface FastifyContextConfig {
    /** Builds the confirmation of the route's form, which is shown unless the form has the field `confirmed`. */
    confirmation?: ConfirmationBuilder
  }
  interface FastifyReply {
    /** Sends the confirmation page for the form of the request; again with the errors of its own fields. */
    askConfirmation(
      confirmation: Confirmation,
      errors?: { problem?: string; errors?: FieldErrors },
    ): Promise<this>
  }
}

/** Asks for confirmation before actions that cannot be undone. */
export default fp(
  async app => {
    app.decorateReply('askConfirmation', function (this: FastifyReply, confirmation, errors) {
      return sendConfirmation(this, confirmation, errors)
    })
    app.addStep('preHandler', confirmationStep)
  },
  { name: 'confirmation', dependencies: ['panel', 'steps'] },
)
