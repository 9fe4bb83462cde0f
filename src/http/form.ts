import { nest, type Pair, QUERY_LIMITS, QueryTooLarge, splitPairs } from '#src/input/querystring.ts'
import { withLists } from '#src/input/values.ts'
import { HttpError } from '#src/responses/errors.ts'
import { MESSAGES } from '#src/responses/messages.ts'
import { MalformedMultipart, readMultipart } from './multipart.ts'

/** The content types in which browsers send forms (HTML §4.10.21.8). */
export const FORM_TYPES = {
  urlencoded: 'application/x-www-form-urlencoded',
  multipart: 'multipart/form-data',
} as const

/** The longest `Content-Type` that names a boundary, which is 70 characters at most (RFC 2046 §5.1.1). */
const MAX_CONTENT_TYPE = 256

/**
 * The values of a form, or of a query string, as PHP reads them.
 *
 * @param text in latin1, one character for each byte that was sent
 * @param most how many values there can be
 * @throws {HttpError} 400 for more than anybody means
 */
export const parseForm = (text: string, most?: number): Record<string, unknown> =>
  valuesOf(urlencodedPairs(text, most))

/**
 * The pairs of a form, as values by name.
 *
 * @throws {HttpError} 400 for names that nest too deep
 */
export const valuesOf = (pairs: readonly Pair[]): Record<string, unknown> =>
  refusingLarge(() => withLists(nest(pairs, false)))

/**
 * The pairs of a form of type `application/x-www-form-urlencoded`.
 *
 * @param text in latin1, one character for each byte that was sent
 * @throws {HttpError} 400 for more than `most` pairs
 */
export const urlencodedPairs = (text: string, most: number = QUERY_LIMITS.parameters): Pair[] =>
  refusingLarge(() => splitPairs(text, most))

/**
 * The pairs of a form of several parts (RFC 7578). Nothing here takes files: those are left out.
 *
 * @param contentType the header, which says what stands between the parts
 * @param most how many values there can be, in twice as many parts
 * @throws {HttpError} 400 for what is none, or has more than anybody means
 */
export function multipartPairs(
  contentType: string,
  body: Buffer,
  most: number = QUERY_LIMITS.parameters,
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
      if (fields > most || parts > 2 * most) throw new HttpError(400, MESSAGES.badRequest)
      if (field?.name !== undefined) pairs.push([field.name, field.value])
    }
  } catch (error) {
    throw error instanceof MalformedMultipart ? new HttpError(400, MESSAGES.malformedForm) : error
  }
  return pairs
}

function refusingLarge<T>(read: () => T): T {
  try {
    return read()
  } catch (error) {
    throw error instanceof QueryTooLarge ? new HttpError(400, MESSAGES.badRequest) : error
  }
}
