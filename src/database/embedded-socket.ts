import { chmod } from 'node:fs/promises'
import { connect, createServer, type Server, type Socket } from 'node:net'
import { relative, resolve } from 'node:path'
import type { Millis } from '#src/runtime/units.ts'
import type { Connection, ConnectionSource, NotificationListener, StatementResult } from './dialect.ts'

interface Request {
  sql: string
  parameters: unknown[]
}

type Response = StatementResult | { error: Record<string, unknown> }

// The error fields that node-postgres sets too. PGlite adds the parameters, which must not be logged.
const ERROR_FIELDS = 'message severity code detail hint position where schema table column constraint'.split(
  ' ',
)

// `sun_path` holds 107 bytes on Linux, 103 on macOS.
const MAX_SOCKET_PATH = 103

/**
 * Returns a path to a socket in the data directory that fits a unix socket address: absolute, or relative to the
 * current directory.
 *
 * @throws {Error} when neither fits
 */
export function socketPath(dataDir: string, name: string): string {
  const absolute = resolve(dataDir, name)
  for (const path of [absolute, relative(process.cwd(), absolute)]) {
    if (Buffer.byteLength(path) <= MAX_SOCKET_PATH) return path
  }
  const excess = Buffer.byteLength(absolute) - MAX_SOCKET_PATH
  throw new Error(
    `DATA_DIR (${dataDir}) must be shorter, by ${excess} bytes, for the path of a unix socket in it to fit.`,
  )
}

/** A unix socket that only this user can connect to. Connections wait until {@link serve} is called. */
export class Listener {
  readonly #path: string
  readonly #server: Server
  readonly #sockets = new Set<Socket>()
  #serve: ((socket: Socket) => void) | undefined

  constructor(path: string) {
    this.#path = path
    this.#server = createServer(socket => {
      this.#sockets.add(socket)
      socket.once('close', () => this.#sockets.delete(socket))
      // Readers see the connection end; while the connection waits, there is no reader.
      socket.on('error', () => {})
      this.#serve?.(socket)
    })
  }

  /** @throws {Error} when the socket cannot be opened at the path */
  async open(): Promise<void> {
    const server = this.#server
    if (server.listening) return
    await new Promise<void>((done, fail) => server.on('error', fail).listen(this.#path, done))
    // Does not keep the process alive: the kernel closes the socket at its end.
    server.unref()
    await chmod(this.#path, 0o600)
  }

  /** Serves the waiting connections and all new ones. */
  serve(serve: (socket: Socket) => void): void {
    this.#serve = serve
    for (const socket of this.#sockets) serve(socket)
  }

  /** Closes all connections and continues to listen. */
  disconnect(): void {
    for (const socket of this.#sockets) socket.destroy()
  }

  /** Closes all connections, stops listening and removes the socket's file, synchronously. */
  close(): void {
    this.#server.close()
    this.disconnect()
  }
}

/** Returns the fields of a failed statement's error, including `code` (the SQLSTATE). */
export function describeError(error: unknown): Record<string, unknown> {
  const known = new Map(Object.entries(Object(error)))
  if (error instanceof Error) known.set('message', error.message)
  return Object.fromEntries(ERROR_FIELDS.map(field => [field, known.get(field)]))
}

/** Restores an error from {@link describeError}. */
export function restoreError(fields: Record<string, unknown>): Error {
  return Object.assign(new Error(String(fields.message)), fields)
}

/**
 * Gives the peer of a connection one session until the connection closes. The protocol is JSON lines: one response line
 * per request line, after a first line that says that the session is ready.
 *
 * @param idleLimit after which a silent peer is disconnected
 */
export async function serveConnection(
  socket: Socket,
  acquire: () => Promise<Connection>,
  idleLimit: Millis,
): Promise<void> {
  let session: Connection | undefined
  let working = false
  try {
    session = await acquire()
    socket.setTimeout(idleLimit, () => {
      // After a statement that blocked the process, timers fire before the data that arrived meanwhile is read.
      const { bytesRead } = socket
      setImmediate(() => {
        if (!working && socket.bytesRead === bytesRead) socket.destroy()
      })
    })
    socket.write('{"ready":true}\n')
    for await (const line of readLines(socket)) {
      working = true
      const { sql, parameters } = parseRequest(line)
      const response: Response = await session
        .query(sql, parameters)
        .catch(error => ({ error: describeError(error) }))
      working = false
      socket.write(`${JSON.stringify(response)}\n`)
    }
  } catch {
    // The peer disconnected, sent an invalid request, or the database is closed: there is no response to send.
  } finally {
    socket.destroy()
    // A failed rollback shows at the next statement; it must not end this process.
    await session?.release().catch(() => {})
  }
}

/** Sessions of a database that another process holds and serves by {@link serveConnection}. */
export class SocketConnections implements ConnectionSource {
  readonly #path: string
  readonly #sockets = new Set<Socket>()
  #closed = false

  /** @param path the holder's socket */
  constructor(path: string) {
    this.#path = path
  }

  /**
   * Waits for a session of the database.
   *
   * @throws {Error} when this source is closed, or the holder has ended or is closing
   */
  async acquire(): Promise<Connection> {
    if (this.#closed) throw new Error('The embedded database is closed.')
    const socket = connect(this.#path)
    this.#sockets.add(socket)
    socket.on('error', () => {})
    socket.once('close', () => this.#sockets.delete(socket))
    const lines = readLines(socket)
    const readLine = async () => {
      const line = await lines.next().catch(() => undefined)
      if (!line || line.done)
        throw new Error('The process that holds the embedded database ended the connection.')
      return line.value
    }
    await readLine()
    return {
      query: async (sql, parameters) => {
        socket.write(`${JSON.stringify({ sql, parameters: parameters.map(toText) })}\n`)
        const response = JSON.parse(await readLine()) as Response
        if ('error' in response) throw restoreError(response.error)
        return response
      },
      release: async () => {
        socket.destroy()
      },
    }
  }

  async listen(): Promise<NotificationListener> {
    throw new Error('Only the process that holds the embedded database can listen.')
  }

  async close(): Promise<void> {
    this.#closed = true
    for (const socket of this.#sockets) socket.destroy()
  }
}

/** Converts a parameter to the text format that node-postgres sends. */
export function toText(value: unknown): string | null {
  if (value === null || value === undefined) return null
  if (Array.isArray(value)) return `{${value.map(arrayElement).join(',')}}`
  return typeof value === 'object' ? JSON.stringify(value) : String(value)
}

function arrayElement(value: unknown): string {
  const text = toText(value)
  if (text === null) return 'NULL'
  return Array.isArray(value) ? text : `"${text.replace(/["\\]/g, '\\$&')}"`
}

function parseRequest(line: string): Request {
  const request = JSON.parse(line) as Partial<Request> | null
  if (typeof request?.sql !== 'string' || !Array.isArray(request.parameters)) throw new Error('not a request')
  return { sql: request.sql, parameters: request.parameters }
}

/** Not `node:readline`, which also ends a line at U+2028; JSON does not escape that. */
async function* readLines(socket: Socket): AsyncGenerator<string, void> {
  socket.setEncoding('utf8')
  let start = ''
  for await (const chunk of socket as AsyncIterable<string>) {
    const [first = '', ...rest] = chunk.split('\n')
    start += first
    for (const next of rest) {
      yield start
      start = next
    }
  }
}
