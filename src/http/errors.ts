import type { FastifyError } from 'fastify'
import { HashWorkerLost } from '#src/auth/hash-workers.ts'
import { MOST_INCLUDED, TooMuchIncluded } from '#src/database/select/found.ts'
import { LookupRefused } from '#src/database/shared-lookup.ts'
import { DatabaseBusy, DatabaseUnavailable } from '#src/database/unavailable.ts'
import { BODY_LIMIT_BYTES, HttpError, serviceUnavailable, unprocessable } from '#src/responses/errors.ts'
import { MESSAGES } from '#src/responses/messages.ts'
import { validationMessages } from '#src/responses/validation.ts'
import { TurnRefused } from '#src/runtime/fair-queue.ts'

/** A request was not answered within REQUEST_TIMEOUT. */
export class RequestTimedOut extends Error {
  constructor() {
    super('The request was not answered in time.')
    this.name = 'RequestTimedOut'
  }
}

/** What has too much to do, where nothing is wrong. */
const BUSY = [DatabaseBusy, LookupRefused, TurnRefused]

/** What will work again by itself. */
const PASSING = [...BUSY, DatabaseUnavailable, HashWorkerLost, RequestTimedOut]

/** Whether an error says no more than that there is too much to do. */
export const isBusy = (error: Error): boolean => BUSY.some(kind => error instanceof kind)

/** Whether an error is one that many requests meet at the same time, since something is down or has too much to do. */
export const isPassing = (error: Error): boolean => PASSING.some(kind => error instanceof kind)

/**
 * The answer that an error stands for. What nobody foresaw is a 500 without details.
 *
 * @param request.bodyLimit the largest body that the route takes, in bytes
 */
export function toHttpError(
  error: (Error & Partial<FastifyError>) | HttpError,
  { contentType, bodyLimit = BODY_LIMIT_BYTES }: { contentType?: string; bodyLimit?: number } = {},
): HttpError {
  if (error instanceof HttpError) return error
  if (error instanceof TurnRefused) return serviceUnavailable(error.retryAfterMs)
  if (isPassing(error)) return serviceUnavailable()
  if (error instanceof TooMuchIncluded) {
    return unprocessable({ include: [MESSAGES.tooMuchIncluded(MOST_INCLUDED)] })
  }
  const { code, statusCode, validation } = error
  if (validation) return unprocessable(validationMessages(validation))
  switch (code) {
    case 'FST_ERR_CTP_BODY_TOO_LARGE':
      return new HttpError(413, MESSAGES.bodyTooLarge(bodyLimit))
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
