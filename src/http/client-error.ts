import { STATUS_CODES } from 'node:http'
import type { Socket } from 'node:net'
import { MESSAGES } from '#src/responses/messages.ts'
import type { CorsHeaders } from './cors-headers.ts'

/** Node's error for a request that it cannot parse, with the bytes that it was parsing. */
type ClientError = Error & { code?: string; rawPacket?: unknown }

/**
 * Creates the handler of requests that Node cannot parse, or whose head is too large or too slow. It closes the connection.
 *
 * @param commonHeaders the headers of every response
 */
export const createClientErrorHandler =
  (commonHeaders: Readonly<Record<string, string>>, corsHeaders: CorsHeaders) =>
  (error: ClientError, socket: Socket): void => {
    if (error.code === 'ECONNRESET' || socket.destroyed || !socket.writable) {
      socket.destroy()
      return
    }
    const status =
      error.code === 'HPE_HEADER_OVERFLOW' ? 431 : error.code === 'ERR_HTTP_REQUEST_TIMEOUT' ? 408 : 400
    const message =
      status === 400 ? MESSAGES.badRequest : status === 431 ? MESSAGES.headersTooLarge : STATUS_CODES[status]
    const body = JSON.stringify({ message })
    const head = Buffer.isBuffer(error.rawPacket) ? error.rawPacket.toString('latin1') : ''
    // RFC 9110 §9.3.2. Node has no request yet, but the bytes with which it began, unless it came in several parts.
    const isHead = head.startsWith('HEAD ')
    const headers = {
      ...commonHeaders,
      'Content-Type': 'application/json',
      'Content-Length': Buffer.byteLength(body),
      ...corsHeaders(headerIn(head, 'origin'), headerIn(head, 'host') ?? ''),
      Connection: 'close',
    }
    const lines = Object.entries(headers).map(([name, value]) => `${name}: ${value}\r\n`)
    socket.end(`HTTP/1.1 ${status} ${STATUS_CODES[status]}\r\n${lines.join('')}\r\n${isHead ? '' : body}`)
  }

/** Returns a header from the beginning of an unparsed request; undefined if it is not there, or cannot be sent back. */
const headerIn = (head: string, name: string): string | undefined =>
  new RegExp(`\\r\\n${name}: *([\\x21-\\x7e]{1,300})\\r\\n`, 'i').exec(head)?.[1]
