import type { FastifyRequest } from 'fastify'
import fp from 'fastify-plugin'
import { createErrorHandler, type ErrorRenderer } from '#src/http/error-handler.ts'

declare module 'fastify' {
  interface FastifyInstance {
    /** Renders the errors of matching requests in another format than JSON. */
    renderErrors(handles: (request: FastifyRequest) => boolean, render: ErrorRenderer): void
  }
}

/** Renders errors as Laravel's JSON, unless another renderer handles the request. */
export default fp(
  async app => {
    const renderers: [isFor: (request: FastifyRequest) => boolean, render: ErrorRenderer][] = []
    app.decorate('renderErrors', (isFor, render) => {
      renderers.push([isFor, render])
    })
    const rendererOf = (request: FastifyRequest) => renderers.find(([isFor]) => isFor(request))?.[1] ?? null
    const { log, schedule, noteOutage } = app
    app.setErrorHandler(createErrorHandler({ log, schedule, noteOutage, rendererOf }))
  },
  { name: 'errors' },
)
