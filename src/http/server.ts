import { createServer, type RequestListener, type Server } from 'node:http'
import type { Millis } from '#src/runtime/units.ts'
import type { Drain } from './drain.ts'

/** The longest that a client may take to send a request, head included. */
const RECEIVE_MS: Millis = 30_000

/** Returns Node's timeouts. */
const timeouts = (requestTimeoutMs: Millis) => ({
  headersTimeout: receiveMs(requestTimeoutMs),
  requestTimeout: receiveMs(requestTimeoutMs),
  // Node's default of 30 s would let a slow client take up to a minute.
  connectionsCheckingInterval: CHECK_MS,
  // Longer than the usual 60 s of proxies: the proxy must close first, or it may send a request to a closed connection.
  keepAliveTimeout: 72_000,
})

/** How often Node checks for slow requests. */
const CHECK_MS: Millis = 1_000

const receiveMs = (requestTimeoutMs: Millis) => Math.min(RECEIVE_MS, requestTimeoutMs)

/**
 * Creates the HTTP server for Fastify. It also closes connections without traffic for longer than a request and reading
 * its response may take: a client that does not read (slow read attack) would keep responses in memory.
 */
export function createHttpServer(requestTimeoutMs: Millis, drain: Drain, handle: RequestListener): Server {
  const server = createServer({ ...timeouts(requestTimeoutMs), ServerResponse: drain.ServerResponse }, handle)
  drain.watch(server)
  // Longer than requestTimeout: slow requests get 408 before their socket times out.
  server.timeout = requestTimeoutMs + receiveMs(requestTimeoutMs) + CHECK_MS
  return server
}
