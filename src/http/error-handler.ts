import type { FastifyBaseLogger, FastifyError, FastifyReply, FastifyRequest } from 'fastify'
import { HttpError } from '#src/responses/errors.ts'
import { countedLog } from '#src/runtime/counted-log.ts'
import type { Schedule } from '#src/runtime/schedule.ts'
import { isBusy, isPassing, toHttpError } from './errors.ts'

/** Answers an error in another way than as JSON, such as by a page. */
export type ErrorRenderer = (
  request: FastifyRequest,
  reply: FastifyReply,
  answer: HttpError,
) => Promise<FastifyReply>

interface Needs {
  log: FastifyBaseLogger
  schedule: Schedule
  noteOutage: (error: unknown) => boolean
  /** What renders the errors of a request; null for JSON. */
  rendererOf: (request: FastifyRequest) => ErrorRenderer | null
}

/** Makes the handler that renders every error as Laravel's JSON. What went wrong inside goes to the log, never to the client. */
export function errorHandler({ log, schedule, noteOutage, rendererOf }: Needs) {
  const logPassing = countedLog<{ error: Error; request: FastifyRequest }>(schedule, {
    first: ({ error, request }) => {
      if (isBusy(error)) request.log.warn({ err: error }, 'request refused, since there is too much to do')
      else request.log.error({ err: error }, 'request failed')
    },
    further: (kind, count) => log.warn({ kind, count }, 'further requests failed within a second'),
  })
  const logError = (error: FastifyError | HttpError, request: FastifyRequest, status: number) => {
    if (noteOutage(error)) request.log.debug({ err: error }, 'request failed')
    else if (isPassing(error) && !request.raw.socket.destroyed) logPassing(error.name, { error, request })
    else if (status >= 500 && !isPassing(error) && !(error instanceof HttpError))
      request.log.error({ err: error }, 'request failed')
    else request.log.debug({ err: error }, 'request refused')
  }
  return (error: FastifyError | HttpError, request: FastifyRequest, reply: FastifyReply) => {
    const answer = toHttpError(error, {
      contentType: request.headers['content-type'],
      bodyLimit: request.routeOptions.bodyLimit,
    })
    logError(error, request, answer.statusCode)
    // A status of Laravel's own, for which HTTP has no words.
    if (answer.statusCode === 419) reply.raw.statusMessage = 'CSRF Token Mismatch'
    const render = rendererOf(request)
    if (render !== null) return render(request, reply, answer)
    return reply.code(answer.statusCode).headers(answer.headers).send(answer.body)
  }
}
