import { type IncomingMessage, ServerResponse } from 'node:http'
import type { Socket } from 'node:net'
import type { FastifyReply } from 'fastify'
import type { MonotonicMillis } from '#src/runtime/units.ts'
import type { FixedHeaders, OutgoingHeaders } from './fixed-headers.ts'

/** A response of this server. Those of `app.inject()` are of another class. */
export interface AppResponse extends ServerResponse {
  /** When the head of the request had arrived. */
  readonly startedAt: MonotonicMillis
  /** Fastify's reply; null before the first step. */
  reply: FastifyReply | null
}

/** Tracks the connections of responses, for a graceful shutdown. */
export interface ConnectionTracker {
  /** Whether each response closes its connection. */
  readonly hasBegun: boolean
  /** The head of a request has arrived. */
  requested(connection: Socket, response: ServerResponse): void
  /** A response was handed to the kernel completely. */
  written(connection: Socket, response: ServerResponse): void
}

interface ResponseOptions {
  tracker: ConnectionTracker
  fixedHeaders: FixedHeaders
  /** Called when the response was handed to the kernel. */
  onWritten(response: AppResponse): void
  /** Called after that, or when the client disconnects before. */
  onClosed(response: AppResponse): void
  monotonic(): MonotonicMillis
}

/** The id of a request. */
const REQUEST_ID = Symbol('request id')

type Identified = IncomingMessage & { [REQUEST_ID]?: string }

/** Gives a request the id of the `X-Request-Id` header of its response. */
export function identifyRequest(request: IncomingMessage, id: string): string {
  ;(request as Identified)[REQUEST_ID] = id
  return id
}

/** The method by which Node formats the head of a response, which its types omit. */
type HeadFormatter = new (
  request: IncomingMessage,
  options?: object,
) => ServerResponse & { _storeHeader(statusLine: string, headers: OutgoingHeaders): void }

/**
 * Creates the response class of a server, for `http.createServer()`. Every response has the fixed headers and the id of
 * its request, whatever wrote it. Its end is detected without listeners, which would be added and removed for each
 * response.
 */
export function createResponseClass({
  tracker,
  fixedHeaders,
  onWritten,
  onClosed,
  monotonic,
}: ResponseOptions) {
  return class extends (ServerResponse as unknown as HeadFormatter) implements AppResponse {
    readonly startedAt = monotonic()
    reply: FastifyReply | null = null

    constructor(request: IncomingMessage, options?: object) {
      super(request, options)
      tracker.requested(request.socket, this)
    }

    // Node also calls it for responses without an explicit head.
    override writeHead(status: number, ...more: unknown[]): this {
      if (tracker.hasBegun) this.setHeader('connection', 'close')
      return super.writeHead(status, ...(more as []))
    }

    override _storeHeader(statusLine: string, headers: OutgoingHeaders): void {
      const id = (this.req as Identified)[REQUEST_ID]
      const idLine = id === undefined ? '' : `x-request-id: ${id}\r\n`
      super._storeHeader(statusLine + fixedHeaders.linesBeside(headers) + idLine, headers)
    }

    // Node calls it when the response is written.
    override detachSocket(connection: Socket): void {
      tracker.written(connection, this)
      super.detachSocket(connection)
    }

    override emit(event: string | symbol, ...values: unknown[]): boolean {
      if (event === 'finish') onWritten(this)
      else if (event === 'close') onClosed(this)
      return super.emit(event, ...values)
    }
  }
}

/** Whether a response is of the class of {@link createResponseClass}. */
export const isAppResponse = (response: ServerResponse): response is AppResponse => 'startedAt' in response

/** Sets the headers of every response where the class of the response does not: with `app.inject()`. */
export function setCommonHeaders(reply: FastifyReply, headers: Readonly<Record<string, string>>): void {
  if (!isAppResponse(reply.raw)) reply.headers(headers).header('x-request-id', reply.request.id)
}
