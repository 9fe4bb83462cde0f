import { createServer, type RequestListener, type Server } from 'node:http'
import type { Drain } from './drain.ts'

/** The longest that a client may take to send a request, its head included, in milliseconds. */
const RECEIVE_MS = 30_000

/** Node's limits of time for connections. REQUEST_TIMEOUT may be shorter than what a client may take to send. */
const timeouts = (requestTimeoutMs: number) => ({
  headersTimeout: receiveMs(requestTimeoutMs),
  requestTimeout: receiveMs(requestTimeoutMs),
  // Node looks every half minute unless told otherwise, and would end a slow client after a minute.
  connectionsCheckingInterval: CHECK_MS,
  // Proxies keep a connection for a minute: it has to be they who close it.
  keepAliveTimeout: 72_000,
})

/** How often Node looks for clients that send their requests slowly, in milliseconds. */
const CHECK_MS = 1_000

const receiveMs = (requestTimeoutMs: number) => Math.min(RECEIVE_MS, requestTimeoutMs)

/**
 * Fastify's own server, which also closes connections on which nothing was sent or received for longer than a request
 * and the reading of its answer may take: a client that reads nothing (slow read attack) would keep whole answers in
 * memory for as long as it likes.
 */
export function httpServer(requestTimeoutMs: number, drain: Drain, handle: RequestListener): Server {
  const server = createServer({ ...timeouts(requestTimeoutMs), ServerResponse: drain.ServerResponse }, handle)
  drain.watch(server)
  // Slow requests are looked for before that: they are answered with 408.
  server.timeout = requestTimeoutMs + receiveMs(requestTimeoutMs) + CHECK_MS
  return server
}
