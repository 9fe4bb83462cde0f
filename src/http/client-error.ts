import { STATUS_CODES } from 'node:http'
import type { Socket } from 'node:net'
import { MESSAGES } from '#src/responses/messages.ts'

/** Responds to requests that Node cannot parse, or whose head is too large or too slow, and closes the connection. */
export function onClientError(error: Error & { code?: string; rawPacket?: unknown }, socket: Socket): void {
  if (error.code === 'ECONNRESET' || socket.destroyed || !socket.writable) {
    socket.destroy()
    return
  }
  const status =
    error.code === 'HPE_HEADER_OVERFLOW' ? 431 : error.code === 'ERR_HTTP_REQUEST_TIMEOUT' ? 408 : 400
  const message =
    status === 400 ? MESSAGES.badRequest : status === 431 ? MESSAGES.headersTooLarge : STATUS_CODES[status]
  const body = JSON.stringify({ message })
  // RFC 9110 §9.3.2. Node has no request yet, but the bytes with which it began, unless it came in several parts.
  const { rawPacket } = error
  const isHead = Buffer.isBuffer(rawPacket) && rawPacket.toString('latin1', 0, 5) === 'HEAD '
  socket.end(
    `HTTP/1.1 ${status} ${STATUS_CODES[status]}\r\nContent-Type: application/json\r\n` +
      `Content-Length: ${Buffer.byteLength(body)}\r\nConnection: close\r\n\r\n${isHead ? '' : body}`,
  )
}
