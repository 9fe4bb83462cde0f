import { nestParameters, type Pair, QUERY_LIMITS, QueryTooLarge, splitPairs } from '#src/input/querystring.ts'
import { arraysFromIndexes } from '#src/input/values.ts'
import { HttpError } from '#src/responses/errors.ts'
import { MESSAGES } from '#src/responses/messages.ts'
import { MalformedMultipart, readMultipart } from './multipart.ts'

/** The content types of HTML forms (HTML §4.10.21.8). */
export const FORM_TYPES = {
  urlencoded: 'application/x-www-form-urlencoded',
  multipart: 'multipart/form-data',
} as const

/** The longest accepted `Content-Type` with a boundary, which has 70 characters at most (RFC 2046 §5.1.1). */
const MAX_CONTENT_TYPE = 256

/**
 * Parses a form or a query string as PHP does.
 *
 * @param text in latin1: one character for each byte
 * @param max how many pairs are accepted
 * @throws {HttpError} 400 for more pairs, and for names that nest too deep
 */
export const parseForm = (text: string, max?: number): Record<string, unknown> =>
  nestPairs(parseUrlencodedPairs(text, max))

/**
 * Converts the pairs of a form to values by name, nested by the brackets in the names.
 *
 * @throws {HttpError} 400 for names that nest too deep
 */
export const nestPairs = (pairs: readonly Pair[]): Record<string, unknown> =>
  rejectTooLarge(() => arraysFromIndexes(nestParameters(pairs)))

/**
 * Parses a form of type `application/x-www-form-urlencoded` into pairs.
 *
 * @param text in latin1: one character for each byte
 * @throws {HttpError} 400 for more than `max` pairs
 */
export const parseUrlencodedPairs = (text: string, max: number = QUERY_LIMITS.parameters): Pair[] =>
  rejectTooLarge(() => splitPairs(text, max))

/**
 * Parses a form of type `multipart/form-data` (RFC 7578) into pairs. Files are skipped: no route accepts them.
 *
 * @param contentType the header with the boundary
 * @param max how many fields are accepted; twice as many parts are
 * @throws {HttpError} 400 for malformed forms, and for more fields or parts
 */
export function parseMultipartPairs(
  contentType: string,
  body: Buffer,
  max: number = QUERY_LIMITS.parameters,
): Pair[] {
  const pairs: Pair[] = []
  if (contentType.length > MAX_CONTENT_TYPE) throw new HttpError(400, MESSAGES.badRequest)
  if (body.length === 0) return pairs
  let fields = 0
  let parts = 0
  try {
    for (const field of readMultipart(contentType, body)) {
      parts += 1
      if (field !== null) fields += 1
      if (fields > max || parts > 2 * max) throw new HttpError(400, MESSAGES.badRequest)
      if (field?.name !== undefined) pairs.push([field.name, field.value])
    }
  } catch (error) {
    throw error instanceof MalformedMultipart ? new HttpError(400, MESSAGES.malformedForm) : error
  }
  return pairs
}

function rejectTooLarge<T>(read: () => T): T {
  try {
    return read()
  } catch (error) {
    throw error instanceof QueryTooLarge ? new HttpError(400, MESSAGES.badRequest) : error
  }
}
