import fp from 'fastify-plugin'
import { parseBodies } from '#src/http/body-parsers.ts'
import { inputStep, slowFormStep, unreadBodyStep } from '#src/http/steps/body.ts'
import { SMALL_BODY_LIMIT_BYTES } from '#src/responses/errors.ts'

declare module 'fastify' {
  interface FastifyContextConfig {
    /** Whether the route takes a body, by its schema. */
    hasBody?: boolean
    /** Whether what the body does not have may stand in the query string. */
    takesQuery?: boolean
  }
}

/**
 * Reads bodies as JSON or as forms, and makes Laravel's input of them. They are bounded by route, and what is left of one
 * that is not read ends with its connection.
 */
export default fp(
  async app => {
    parseBodies(app)
    app.addHook('onRoute', route => {
      const { access, isWeb } = route.config ?? {}
      if (isWeb || access?.auth !== 'required') route.bodyLimit ??= SMALL_BODY_LIMIT_BYTES
      if (route.schema?.body !== undefined) route.config = { ...route.config, hasBody: true }
    })
    app.addStep('onRequest', slowFormStep)
    app.addStep('preValidation', inputStep)
    app.addStep('onSend', unreadBodyStep)
  },
  { name: 'body', dependencies: ['area', 'steps'] },
)
