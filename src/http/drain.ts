import type { Server, ServerResponse } from 'node:http'
import type { Socket } from 'node:net'
import type { Schedule } from '#src/runtime/schedule.ts'
import type { Millis, MonotonicMillis } from '#src/runtime/units.ts'
import type { ConnectionTracker } from './response.ts'

/** How often idle connections are closed while the server drains. */
const SWEEP_MS: Millis = 50

/**
 * How long connections are still accepted when the server finishes. Closing the listening socket would reset the
 * connections that wait in the kernel's accept queue, with their requests.
 */
const ACCEPT_MS: Millis = 100

/**
 * How long a new connection may take to send its first byte. Browsers open connections ahead of need, and may never send
 * anything.
 */
const FIRST_BYTE_MS: Millis = 250

/** The key of the response to the last request of a connection. */
const RESPONSE = Symbol('response')

/** `undefined`: there was no request yet. `null`: all responses were written to the kernel completely. */
type Connection = Socket & { [RESPONSE]?: ServerResponse | null }

/**
 * Graceful shutdown: drains connections without interrupting the requests in progress. Once it has begun, the server is not
 * ready, and each response closes its connection.
 */
export interface Drain extends ConnectionTracker {
  /** Tracks the connections of a new server. Fastify creates one server for each address that it listens on. */
  watch(server: Server): void
  /** Makes each following response close its connection. Connections are accepted until {@link Drain.finish}. */
  begin(): void
  /**
   * Stops accepting connections, closes idle ones, and waits for the requests in progress.
   *
   * @param graceMs how long they may take; then the remaining connections are destroyed
   * @returns how many connections were destroyed
   */
  finish(graceMs: Millis): Promise<number>
}

/**
 * Creates the {@link Drain} of one server.
 *
 * Node's `server.close()` keeps connections with a request in progress open until their keep-alive timeout. Its
 * `closeIdleConnections()` truncates responses that are not flushed yet: it counts a response as finished after `end()`.
 */
export function createDrain({
  schedule,
  monotonic,
}: {
  schedule: Schedule
  monotonic: () => MonotonicMillis
}): Drain {
  let hasBegun = false
  const servers: Server[] = []
  const connections = new Set<Connection>()

  const closeIdle = (acceptsFirstByte: boolean) => {
    for (const connection of connections) if (isIdle(connection, acceptsFirstByte)) connection.destroy()
  }

  return {
    get hasBegun() {
      return hasBegun
    },
    requested(connection: Connection, response) {
      connection[RESPONSE] = response
    },
    written(connection: Connection, response) {
      // With pipelining the next response may be attached already.
      if (connection[RESPONSE] === response) connection[RESPONSE] = null
    },
    watch(server) {
      servers.push(server)
      server.on('connection', (connection: Connection) => {
        connections.add(connection)
        connection.once('close', () => connections.delete(connection))
      })
    },
    begin() {
      hasBegun = true
    },
    async finish(graceMs) {
      hasBegun = true
      const since = monotonic()
      const closed = new Promise<void>(resolve => {
        schedule(ACCEPT_MS, () => {
          const ends = servers.map(server => new Promise<void>(end => server.close(() => end())))
          void Promise.all(ends).then(() => resolve())
        })
      })
      let cancelSweep = () => {}
      const sweep = () => {
        closeIdle(monotonic() - since < FIRST_BYTE_MS)
        cancelSweep = schedule(SWEEP_MS, sweep)
      }
      // After one iteration of the event loop, which reads the requests that have arrived.
      setImmediate(sweep)
      let cut = 0
      const cancelCut = schedule(graceMs, () => {
        cut = connections.size
        for (const connection of connections) connection.destroy()
      })
      await closed
      cancelSweep()
      cancelCut()
      return cut
    },
  }
}

/** Whether a connection has no request in progress. Requests count from when their head is complete. */
function isIdle(connection: Connection, acceptsFirstByte: boolean): boolean {
  const response = connection[RESPONSE]
  if (response === undefined) return connection.bytesRead === 0 && !acceptsFirstByte
  return response === null && connection.writableLength === 0
}
