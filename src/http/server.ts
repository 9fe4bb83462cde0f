import { createServer, type RequestListener, type Server, type ServerResponse } from 'node:http'
import type { Millis } from '#src/runtime/units.ts'
import { batchWrites } from './batched-writes.ts'
import type { Drain } from './drain.ts'
import type { createResponseClass } from './response.ts'

/** The longest that a client may take to send a request, head included. */
const RECEIVE_MS: Millis = 30_000

/** The timeouts of a server. */
interface Timeouts {
  requestTimeoutMs: Millis
  /** How long a connection stays open without a request. */
  keepAliveTimeoutMs: Millis
}

/** Returns Node's timeouts. */
const timeouts = ({ requestTimeoutMs, keepAliveTimeoutMs }: Timeouts) => ({
  headersTimeout: receiveMs(requestTimeoutMs),
  requestTimeout: receiveMs(requestTimeoutMs),
  // Node's default of 30 s would let a slow client take up to a minute.
  connectionsCheckingInterval: CHECK_MS,
  keepAliveTimeout: keepAliveTimeoutMs,
})

/** How often Node checks for slow requests. */
const CHECK_MS: Millis = 1_000

const receiveMs = (requestTimeoutMs: Millis) => Math.min(RECEIVE_MS, requestTimeoutMs)

/**
 * Creates the HTTP server for Fastify. It also closes connections without traffic for longer than a request and reading
 * its response may take: a client that does not read (slow read attack) would keep responses in memory.
 */
export function createHttpServer(
  limits: Timeouts,
  { drain, Response }: { drain: Drain; Response: ReturnType<typeof createResponseClass> },
  handle: RequestListener,
): Server {
  const { requestTimeoutMs } = limits
  const server = createServer(
    { ...timeouts(limits), ServerResponse: Response as unknown as typeof ServerResponse },
    handle,
  )
  drain.watch(server)
  batchWrites(server)
  // Longer than requestTimeout: slow requests get 408 before their socket times out.
  server.timeout = requestTimeoutMs + receiveMs(requestTimeoutMs) + CHECK_MS
  return server
}
