import fp from 'fastify-plugin'
import { addBodyParsers, replayEarlyBody } from '#src/http/body-parsers.ts'
import { traitsOf } from '#src/http/step.ts'
import { earlyFormStep, inputStep, unreadBodyStep } from '#src/http/steps/body.ts'
import { SMALL_BODY_LIMIT_BYTES } from '#src/responses/errors.ts'

declare module 'fastify' {
  interface FastifyContextConfig {
    /** Whether the route has a body, from its schema. */
    hasBody?: boolean
    /** Whether fields that the body lacks are taken from the query string. */
    takesQuery?: boolean
  }
}

/**
 * Parses bodies as JSON or forms, and normalizes them as Laravel does. Their size is limited per route. The connection is
 * closed after an unread body.
 */
export default fp(
  async app => {
    addBodyParsers(app)
    app.addHook('onRoute', route => {
      const { access, isWeb } = route.config ?? {}
      if (isWeb || access?.auth !== 'required') route.bodyLimit ??= SMALL_BODY_LIMIT_BYTES
      if (route.schema?.body !== undefined) route.config = { ...route.config, hasBody: true }
      if (traitsOf(route).isUnsafe) route.preParsing = replayEarlyBody
    })
    app.addStep('onRequest', earlyFormStep)
    app.addStep('preValidation', inputStep)
    app.addStep('onSend', unreadBodyStep)
  },
  { name: 'body', dependencies: ['area', 'steps'] },
)
