import { Busboy } from '@fastify/busboy'
import { HttpError } from './api/errors.ts'
import { withLists } from './api/input.ts'
import { MESSAGES } from './api/messages.ts'
import { parseQueryString, QUERY_LIMITS, QueryTooLarge } from './api/query/querystring.ts'

/** The content types in which browsers send forms (HTML §4.10.21.8). */
export const FORM_TYPES = {
  urlencoded: 'application/x-www-form-urlencoded',
  multipart: 'multipart/form-data',
} as const

/** Every part of a form of several parts has two or three header fields. */
const HEADERS_OF_A_PART = 20

/** The longest header that says what stands between parts, which is 70 characters at most (RFC 2046 §5.1.1). */
const MAX_CONTENT_TYPE = 256

/**
 * The values of a form, or of a query string, as PHP reads them.
 *
 * @param text in latin1, one character for each byte that was sent
 * @param most how many values there can be
 * @throws {HttpError} 400 for more than anybody means
 */
export function parseForm(text: string, most: number = QUERY_LIMITS.parameters): Record<string, unknown> {
  try {
    return withLists(parseQueryString(text, { trim: false, most }))
  } catch (error) {
    throw error instanceof QueryTooLarge ? new HttpError(400, MESSAGES.badRequest) : error
  }
}

/**
 * A form of several parts (RFC 7578) as one of type `application/x-www-form-urlencoded`. Nothing here takes files: those
 * are left out.
 *
 * @param contentType the header, which says what stands between the parts
 * @param most how many values there can be, in twice as many parts
 * @throws {HttpError} 400 for what is none, or has more than anybody means
 */
export async function urlencoded(
  contentType: string,
  body: Buffer,
  most: number = QUERY_LIMITS.parameters,
): Promise<string> {
  const pairs: string[] = []
  if (body.length === 0) return ''
  const limits = { fields: most, parts: 2 * most, headerPairs: HEADERS_OF_A_PART }
  const stop = () => {
    throw new HttpError(400, MESSAGES.badRequest)
  }
  try {
    if (contentType.length > MAX_CONTENT_TYPE) stop()
    await new Promise<void>((resolve, reject) => {
      const busboy = new Busboy({ headers: { 'content-type': contentType }, limits })
      busboy.on('field', (name, value) => {
        if (name !== undefined) pairs.push(`${encodeURIComponent(name)}=${encodeURIComponent(value)}`)
      })
      // It would read on and leave the rest out.
      busboy.on('fieldsLimit', stop).on('partsLimit', stop)
      busboy.on('finish', resolve).on('error', reject)
      busboy.end(body)
    })
  } catch (error) {
    throw error instanceof HttpError ? error : new HttpError(400, MESSAGES.malformedForm)
  }
  return pairs.join('&')
}
