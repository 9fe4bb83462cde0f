import type { Bytes } from '#src/runtime/units.ts'

/** A part of a form that is not a file. */
export interface FormField {
  /** Undefined for a part without a name. */
  name: string | undefined
  value: string
}

/** The body is not well-formed `multipart/form-data`, or has another boundary than its header. */
export class MalformedMultipart extends Error {
  override readonly name = 'MalformedMultipart'
}

/** The longest boundary (RFC 2046 §5.1.1). */
const MAX_BOUNDARY = 70

/** The largest head of a part. */
const MAX_HEAD: Bytes = 8_192

const CRLF = '\r\n'

/** A parameter of a header value, with the semicolon before it: a token or a quoted string (RFC 9110 §5.6.6). */
const PARAMETER = /;\s*([^=;\s]+)\s*=\s*("(?:[^"\\]|\\[\s\S])*"|[^;]*)/y

/**
 * Parses `multipart/form-data` (RFC 7578) from memory. Yields the fields in order, decoded as UTF-8, and null for each
 * skipped part: files, and parts with another disposition. A generator, so that the caller can stop at a limit.
 *
 * Runs in time linear in the length of the body. A streaming parser took 0.9 s for a megabyte of line breaks.
 *
 * @param contentType the header with the boundary
 * @throws {MalformedMultipart} for malformed or truncated bodies
 */
export function* readMultipart(contentType: string, body: Buffer): Generator<FormField | null> {
  const delimiter = Buffer.from(`--${boundaryOf(contentType)}`, 'latin1')
  const lineAndDelimiter = Buffer.concat([Buffer.from(CRLF), delimiter])
  // The first delimiter is at the beginning of the body, or at the beginning of a line after a preamble.
  const isFirst = body.subarray(0, delimiter.length).equals(delimiter)
  const first = isFirst ? -CRLF.length : body.indexOf(lineAndDelimiter)
  if (first === -1) throwMalformed()
  let at = first + lineAndDelimiter.length
  while (body.toString('latin1', at, at + 2) !== '--') {
    // Transport padding, which gateways may add (RFC 2046 §5.1.1).
    while (body[at] === 0x20 || body[at] === 0x09) at += 1
    if (body.toString('latin1', at, at + 2) !== CRLF) throwMalformed()
    const start = at + 2
    // A part without headers begins with the empty line.
    const headEnd =
      body.toString('latin1', start, start + 2) === CRLF ? start : body.indexOf(`${CRLF}${CRLF}`, start) + 2
    if (headEnd < start || headEnd - start > MAX_HEAD) throwMalformed()
    // Search from the CRLF before the head: a delimiter inside the head is malformed.
    const end = body.indexOf(lineAndDelimiter, start - 2)
    if (end < headEnd) throwMalformed()
    yield fieldOf(body.toString('latin1', start, headEnd), () =>
      // If the part is empty, the CRLF that ends the head belongs to the delimiter.
      body.toString('utf8', Math.min(headEnd + 2, end), end),
    )
    at = end + lineAndDelimiter.length
  }
}

function throwMalformed(): never {
  throw new MalformedMultipart('a delimiter or the end of a head is missing')
}

function boundaryOf(contentType: string): string {
  const boundary = parametersOf(contentType).get('boundary') ?? ''
  if (boundary === '' || boundary.length > MAX_BOUNDARY) throw new MalformedMultipart('no boundary')
  return boundary
}

/** Returns the field that a part's head describes; null for files and other parts. */
function fieldOf(head: string, read: () => string): FormField | null {
  // Unfold lines: one that begins with white space continues the one before.
  const lines = head.replaceAll(/\r\n[ \t]+/g, ' ').split(CRLF)
  const headerOf = (name: string) =>
    lines.find(line => line.toLowerCase().startsWith(name))?.slice(name.length) ?? ''
  const disposition = headerOf('content-disposition:')
  if (typeOf(disposition) !== 'form-data') return null
  const parameters = parametersOf(disposition)
  const isFile =
    parameters.has('filename') ||
    parameters.has('filename*') ||
    typeOf(headerOf('content-type:')) === 'application/octet-stream'
  const name = parameters.get('name')
  // Line breaks in names are percent-encoded (HTML §4.10.21.8).
  if (isFile || (name !== undefined && /[\r\n]/.test(name))) return null
  return {
    name: name === undefined ? undefined : Buffer.from(name, 'latin1').toString('utf8'),
    value: read(),
  }
}

const typeOf = (value: string) => value.split(';', 1)[0]?.trim().toLowerCase()

/** Parses the parameters of a header value, without quotes. */
function parametersOf(value: string): Map<string, string> {
  const parameters = new Map<string, string>()
  PARAMETER.lastIndex = Math.max(value.indexOf(';'), 0)
  for (;;) {
    const [, name, text = ''] = PARAMETER.exec(value) ?? []
    if (name === undefined) return parameters
    const isQuoted = text.length >= 2 && text.startsWith('"')
    parameters.set(
      name.toLowerCase(),
      isQuoted ? text.slice(1, -1).replaceAll(/\\(["\\])/g, '$1') : text.trim(),
    )
    // Text between a quoted string and the next semicolon is ignored.
    const next = value.indexOf(';', PARAMETER.lastIndex)
    if (next === -1) return parameters
    PARAMETER.lastIndex = next
  }
}
