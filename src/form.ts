import { Busboy } from '@fastify/busboy'
import { HttpError } from './api/errors.ts'
import { withLists } from './api/input.ts'
import { MESSAGES } from './api/messages.ts'
import { parseQueryString, QUERY_LIMITS, QueryTooLarge } from './api/query/querystring.ts'

/** The content types in which browsers send forms (HTML §4.10.21.8). */
export const URLENCODED = 'application/x-www-form-urlencoded'
export const MULTIPART = 'multipart/form-data'

/** Every part of a form of several parts has two or three header fields. */
const HEADERS_OF_A_PART = 20

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
 * The values of a form of several parts (RFC 7578), as {@link parseForm} has them. Nothing here takes files: those
 * are left out.
 *
 * @param contentType the header, which says what stands between the parts
 * @throws {HttpError} 400 for what is none, or has more values than anybody means
 */
export async function parseMultipart(
  contentType: string,
  body: Buffer,
  most: number = QUERY_LIMITS.parameters,
): Promise<Record<string, unknown>> {
  if (body.length === 0) return parseForm('')
  const pairs: string[] = []
  try {
    await new Promise<void>((resolve, reject) => {
      const limits = { fields: most + 1, parts: 2 * most, headerPairs: HEADERS_OF_A_PART }
      const busboy = new Busboy({ headers: { 'content-type': contentType }, limits })
      busboy.on('field', (name, value) => {
        if (name !== undefined) pairs.push(`${encodeURIComponent(name)}=${encodeURIComponent(value)}`)
      })
      busboy.on('finish', resolve)
      busboy.on('error', reject)
      busboy.end(body)
    })
  } catch {
    throw new HttpError(400, MESSAGES.malformedForm)
  }
  return parseForm(pairs.join('&'), most)
}
