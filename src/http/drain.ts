import { type IncomingMessage, type Server, ServerResponse } from 'node:http'
import type { Socket } from 'node:net'
import type { Schedule } from '#src/runtime/schedule.ts'

/** How often idle connections are looked for while the server drains, in milliseconds. */
const SWEEP_MS = 50

/**
 * How long connections are still accepted once the server is to finish, in milliseconds: those that the kernel has
 * accepted wait in its queue, and closing the listening socket would reset them with their requests.
 */
const ACCEPT_MS = 100

/**
 * How long a connection that was opened just before may take to send its first byte, in milliseconds. Browsers open
 * connections ahead of need, and may never send anything.
 */
const FIRST_BYTE_MS = 250

/** The response to the last request of a connection. */
const RESPONSE = Symbol('response')

/** Without a response there was no request yet; with null each was answered, and handed to the kernel as a whole. */
type Connection = Socket & { [RESPONSE]?: ServerResponse | null }

/** Ends a server's service without cutting off what is under way: graceful shutdown, or connection draining. */
export interface Drain {
  /** Whether the server is about to stop: it is not ready, and each answer closes its connection. */
  readonly hasBegun: boolean
  /** The class of the server's responses, for `http.createServer`. */
  readonly ServerResponse: typeof ServerResponse
  /** Watches the connections of a server that was just created. There may be one for each address that it listens on. */
  watch(server: Server): void
  /** Has each answer from now on close its connection. Connections are still accepted, until {@link Drain.finish}. */
  begin(): void
  /**
   * Stops accepting connections, closes idle ones, and waits for the requests under way.
   *
   * @param graceMs how long they may take, in milliseconds; connections that are open by then are cut
   * @returns how many connections were cut
   */
  finish(graceMs: number): Promise<number>
}

/**
 * Makes the {@link Drain} of one server.
 *
 * Node's own `server.close()` leaves connections open whose request was under way, until their keep-alive ends, and its
 * `closeIdleConnections()` cuts answers that are not flushed yet: a response counts as finished once `end()` was called.
 *
 * @param options.monotonic milliseconds since a moment that does not change
 */
export function drain({ schedule, monotonic }: { schedule: Schedule; monotonic: () => number }): Drain {
  let hasBegun = false
  const servers: Server[] = []
  const connections = new Set<Connection>()

  class DrainingResponse<Request extends IncomingMessage> extends ServerResponse<Request> {
    // Node passes options that its types leave out.
    constructor(...parameters: [request: Request]) {
      super(...parameters)
      const connection: Connection = parameters[0].socket
      connection[RESPONSE] = this
    }

    // Node calls it once the response is written.
    override detachSocket(connection: Connection): void {
      // With pipelining the next one is under way already.
      if (connection[RESPONSE] === this) connection[RESPONSE] = null
      super.detachSocket(connection)
    }

    // Node calls it for responses without an explicit head, too.
    override writeHead(status: number, ...more: unknown[]): this {
      if (hasBegun) this.setHeader('connection', 'close')
      return super.writeHead(status, ...(more as []))
    }
  }

  const closeIdle = (acceptsFirstByte: boolean) => {
    for (const connection of connections) if (isIdle(connection, acceptsFirstByte)) connection.destroy()
  }

  return {
    get hasBegun() {
      return hasBegun
    },
    ServerResponse: DrainingResponse,
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
      // After a turn of the event loop, which reads the requests that have arrived.
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

/** Whether no request of a connection is under way, as far as whole heads have arrived. */
function isIdle(connection: Connection, acceptsFirstByte: boolean): boolean {
  const response = connection[RESPONSE]
  if (response === undefined) return connection.bytesRead === 0 && !acceptsFirstByte
  return response === null && connection.writableLength === 0
}
