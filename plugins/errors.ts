import type { FastifyError, FastifyRequest } from 'fastify'
import fp from 'fastify-plugin'
import { HttpError } from '#src/answers/errors.ts'
import { isBusy, isPassing, toHttpError } from '#src/http/http.ts'
import { countedLog } from '#src/runtime/counted-log.ts'

/** Renders every error as Laravel's JSON. What went wrong inside goes to the log, never to the client. */
export default fp(
  async app => {
    const logPassing = countedLog<{ error: Error; request: FastifyRequest }>(app.schedule, {
      first: ({ error, request }) => {
        if (isBusy(error)) request.log.warn({ err: error }, 'request refused, since there is too much to do')
        else request.log.error({ err: error }, 'request failed')
      },
      further: (kind, count) => app.log.warn({ kind, count }, 'further requests failed within a second'),
    })
    app.setErrorHandler<FastifyError | HttpError>((error, request, reply) => {
      const answer = toHttpError(error, {
        contentType: request.headers['content-type'],
        bodyLimit: request.routeOptions.bodyLimit,
      })
      if (app.noteOutage(error)) request.log.debug({ err: error }, 'request failed')
      else if (isPassing(error) && !request.raw.socket.destroyed) logPassing(error.name, { error, request })
      else if (answer.statusCode >= 500 && !isPassing(error) && !(error instanceof HttpError))
        request.log.error({ err: error }, 'request failed')
      else request.log.debug({ err: error }, 'request refused')
      // A status of Laravel's own, for which HTTP has no words.
      if (answer.statusCode === 419) reply.raw.statusMessage = 'CSRF Token Mismatch'
      if (request.isPanel) return app.panel.refuse(request, reply, answer)
      return reply.code(answer.statusCode).headers(answer.headers).send(answer.body)
    })
  },
  { name: 'errors' },
)
