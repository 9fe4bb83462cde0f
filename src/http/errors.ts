import type { FastifyError } from 'fastify'
import { HashWorkerLost } from '#src/auth/hash-workers.ts'
import { MAX_INCLUDED, TooManyIncluded } from '#src/database/select/found.ts'
import { LookupRefused } from '#src/database/shared-lookup.ts'
import { DatabaseBusy, DatabaseUnavailable } from '#src/database/unavailable.ts'
import { BODY_LIMIT_BYTES, HttpError, serviceUnavailable, unprocessable } from '#src/responses/errors.ts'
import { MESSAGES } from '#src/responses/messages.ts'
import { validationMessages } from '#src/responses/validation.ts'
import { SlotRefused } from '#src/runtime/fair-queue.ts'
import type { Bytes } from '#src/runtime/units.ts'

/** There was no response within REQUEST_TIMEOUT. */
export class RequestTimedOut extends Error {
  constructor() {
    super('The request timed out.')
    this.name = 'RequestTimedOut'
  }
}

/** Errors that mean overload, not failure. */
const OVERLOAD_ERRORS = [DatabaseBusy, LookupRefused, SlotRefused]

/** Errors that go away without intervention. */
const TRANSIENT_ERRORS = [...OVERLOAD_ERRORS, DatabaseUnavailable, HashWorkerLost, RequestTimedOut]

/** Whether an error only means overload. */
export const isOverloadError = (error: Error): boolean => OVERLOAD_ERRORS.some(kind => error instanceof kind)

/** Whether an error is one that many requests get at the same time, because a service is down or overloaded. */
export const isTransientError = (error: Error): boolean =>
  TRANSIENT_ERRORS.some(kind => error instanceof kind)

/**
 * Returns the response for an error. Unexpected errors become 500 without details.
 *
 * @param request.bodyLimit the largest body that the route accepts
 */
export function toHttpError(
  error: (Error & Partial<FastifyError>) | HttpError,
  { contentType, bodyLimit = BODY_LIMIT_BYTES }: { contentType?: string; bodyLimit?: Bytes } = {},
): HttpError {
  if (error instanceof HttpError) return error
  if (error instanceof SlotRefused) return serviceUnavailable(error.retryAfterMs)
  if (isTransientError(error)) return serviceUnavailable()
  if (error instanceof TooManyIncluded) {
    return unprocessable({ include: [MESSAGES.tooMuchIncluded(MAX_INCLUDED)] })
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
