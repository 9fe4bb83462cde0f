import type { FastifyError } from 'fastify'
import fp from 'fastify-plugin'
import { HttpError, serviceUnavailable, unprocessable } from '../src/api/errors.ts'
import { MESSAGES } from '../src/api/messages.ts'
import { validationMessages } from '../src/api/validation.ts'
import { DatabaseUnavailable } from '../src/database/unavailable.ts'

/** Renders every error as Laravel's JSON. What went wrong inside goes to the log, never to the client. */
export default fp(
  async app => {
    app.setErrorHandler<FastifyError | HttpError | DatabaseUnavailable>((error, request, reply) => {
      const answer = toHttpError(error, request.headers['content-type'])
      if (answer.statusCode >= 500) request.log.error({ err: error }, 'request failed')
      else request.log.debug({ err: error }, 'request refused')
      return reply.code(answer.statusCode).headers(answer.headers).send(answer.body)
    })
  },
  { name: 'errors' },
)

/** The answer that an error stands for. What nobody foresaw is a 500 without details. */
export function toHttpError(
  error: FastifyError | HttpError | DatabaseUnavailable,
  contentType?: string,
): HttpError {
  if (error instanceof HttpError) return error
  if (error instanceof DatabaseUnavailable) return serviceUnavailable()
  const { code, statusCode, validation } = error
  if (validation) return unprocessable(validationMessages(validation))
  switch (code) {
    case 'FST_ERR_CTP_BODY_TOO_LARGE':
      return new HttpError(413, MESSAGES.bodyTooLarge(BODY_LIMIT_BYTES))
    case 'FST_ERR_CTP_INVALID_MEDIA_TYPE':
      return new HttpError(415, MESSAGES.unsupportedMediaType(contentType))
    case 'FST_ERR_CTP_INVALID_JSON_BODY':
    case 'FST_ERR_CTP_EMPTY_JSON_BODY':
      return new HttpError(400, MESSAGES.malformedJson)
  }
  return statusCode !== undefined && statusCode >= 400 && statusCode < 500
    ? new HttpError(statusCode === 414 ? 414 : 400, MESSAGES.badRequest)
    : new HttpError(500, MESSAGES.serverError)
}

/** The largest request body, in bytes. */
export const BODY_LIMIT_BYTES = 1_048_576
