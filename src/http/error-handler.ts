import type { FastifyBaseLogger, FastifyError, FastifyReply, FastifyRequest } from 'fastify'
import { HttpError } from '#src/responses/errors.ts'
import type { Schedule } from '#src/runtime/schedule.ts'
import { throttledLog } from '#src/runtime/throttled-log.ts'
import { isOverloadError, isTransientError, toHttpError } from './errors.ts'

/** Renders an error in another format than JSON, such as a page. */
export type ErrorRenderer = (
  request: FastifyRequest,
  reply: FastifyReply,
  response: HttpError,
) => Promise<FastifyReply>

interface Dependencies {
  log: FastifyBaseLogger
  schedule: Schedule
  noteOutage: (error: unknown) => boolean
  /** Returns the renderer for the errors of a request. Null for JSON. */
  rendererOf: (request: FastifyRequest) => ErrorRenderer | null
}

/** Creates the handler that renders errors as Laravel's JSON. Details of internal errors are logged, never sent. */
export function createErrorHandler({ log, schedule, noteOutage, rendererOf }: Dependencies) {
  const logTransient = throttledLog<{ error: Error; request: FastifyRequest }>(schedule, {
    first: ({ error, request }) => {
      if (isOverloadError(error))
        request.log.warn({ err: error }, 'request refused: the server is overloaded')
      else request.log.error({ err: error }, 'request failed')
    },
    repeated: (kind, count) => log.warn({ kind, count }, 'further requests failed within a second'),
  })
  const logError = (error: FastifyError | HttpError, request: FastifyRequest, status: number) => {
    if (noteOutage(error)) request.log.debug({ err: error }, 'request failed')
    else if (isTransientError(error) && !request.raw.socket.destroyed)
      logTransient(error.name, { error, request })
    else if (status >= 500 && !isTransientError(error) && !(error instanceof HttpError))
      request.log.error({ err: error }, 'request failed')
    else request.log.debug({ err: error }, 'request refused')
  }
  return (error: FastifyError | HttpError, request: FastifyRequest, reply: FastifyReply) => {
    const response = toHttpError(error, {
      contentType: request.headers['content-type'],
      bodyLimit: request.routeOptions.bodyLimit,
    })
    logError(error, request, response.statusCode)
    // 419 is Laravel's own status: Node has no reason phrase for it.
    if (response.statusCode === 419) reply.raw.statusMessage = 'CSRF Token Mismatch'
    const render = rendererOf(request)
    if (render !== null) return render(request, reply, response)
    return reply.code(response.statusCode).headers(response.headers).send(response.body)
  }
}
