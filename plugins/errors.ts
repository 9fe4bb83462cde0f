import type { FastifyRequest } from 'fastify'
import fp from 'fastify-plugin'
import { type ErrorRenderer, errorHandler } from '#src/http/error-handler.ts'

declare module 'fastify' {
  interface FastifyInstance {
    /** Has the errors of some requests answered in another way than as JSON. */
    renderErrors(isFor: (request: FastifyRequest) => boolean, render: ErrorRenderer): void
  }
}

/** Renders every error as Laravel's JSON, unless somebody else is to. */
export default fp(
  async app => {
    const renderers: [isFor: (request: FastifyRequest) => boolean, render: ErrorRenderer][] = []
    app.decorate('renderErrors', (isFor, render) => {
      renderers.push([isFor, render])
    })
    const rendererOf = (request: FastifyRequest) => renderers.find(([isFor]) => isFor(request))?.[1] ?? null
    const { log, schedule, noteOutage } = app
    app.setErrorHandler(errorHandler({ log, schedule, noteOutage, rendererOf }))
  },
  { name: 'errors' },
)
