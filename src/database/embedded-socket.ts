import { chmod } from 'node:fs/promises'
import { connect, createServer, type Server, type Socket } from 'node:net'
import { relative, resolve } from 'node:path'
import type { Connection, ConnectionSource, NotificationListener, StatementResult } from './dialect.ts'

interface Request {
  sql: string
  parameters: unknown[]
}

type Answer = StatementResult | { error: Record<string, unknown> }

// What node-postgres puts on its errors too. PGlite adds the parameters, which no log should show.
const errorFields = 'message severity code detail hint position where schema table column constraint'.split(
  ' ',
)

// 107 bytes on Linux, 103 on macOS.
const socketPathLimit = 103

/**
 * The path by which a socket in the data directory can be reached.
 *
 * @throws Error when neither the absolute path nor the one from the current directory fits a unix socket.
 */
export function socketPath(dataDir: string, name: string): string {
  const absolute = resolve(dataDir, name)
  for (const path of [absolute, relative(process.cwd(), absolute)]) {
    if (Buffer.byteLength(path) <= socketPathLimit) return path
  }
  const excess = Buffer.byteLength(absolute) - socketPathLimit
  throw new Error(
    `DATA_DIR (${dataDir}) must be shorter, by ${excess} bytes, for the path of a unix socket in it to fit.`,
  )
}

/** A unix socket that only this user can connect to. Connections wait until they are served. */
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
      // Whoever reads sees the connection end, and while it waits nobody does.
      socket.on('error', () => {})
      this.#serve?.(socket)
    })
  }

  /** @throws Error when nothing can listen at the path. */
  async open(): Promise<void> {
    const server = this.#server
    if (server.listening) return
    await new Promise<void>((done, fail) => server.on('error', fail).listen(this.#path, done))
    // A process with nothing else to do may end: the kernel closes the socket then.
    server.unref()
    await chmod(this.#path, 0o600)
  }

  /** Serves the connections that wait, and each that comes. */
  serve(serve: (socket: Socket) => void): void {
    this.#serve = serve
    for (const socket of this.#sockets) serve(socket)
  }

  /** Ends all connections and goes on listening. */
  disconnect(): void {
    for (const socket of this.#sockets) socket.destroy()
  }

  /** Ends all connections and stops listening, before it returns; the socket's file goes with it. */
  close(): void {
    this.#server.close()
    this.disconnect()
  }
}

/** The fields of a failed statement's error, `code` (the SQLSTATE) among them. */
export function describeError(error: unknown): Record<string, unknown> {
  const known = new Map(Object.entries(Object(error)))
  if (error instanceof Error) known.set('message', error.message)
  return Object.fromEntries(errorFields.map(field => [field, known.get(field)]))
}

/** The error that {@link describeError} described. */
export function restoreError(fields: Record<string, unknown>): Error {
  return Object.assign(new Error(String(fields.message)), fields)
}

/**
 * Lets the peer of a connection use one session for as long as the connection lasts. Each line is a request
 * in JSON and is answered by one line; the first line sent says that the session is the peer's.
 *
 * @param idleLimit milliseconds after which a silent peer is disconnected
 */
export async function serveConnection(
  socket: Socket,
  acquire: () => Promise<Connection>,
  idleLimit: number,
): Promise<void> {
  let session: Connection | undefined
  let working = false
  try {
    session = await acquire()
    socket.setTimeout(idleLimit, () => {
      // After a statement that blocked the process, timers come before the data that waited meanwhile.
      const { bytesRead } = socket
      setImmediate(() => {
        if (!working && socket.bytesRead === bytesRead) socket.destroy()
      })
    })
    socket.write('{"ready":true}\n')
    for await (const line of readLines(socket)) {
      working = true
      const { sql, parameters } = parseRequest(line)
      const answer: Answer = await session
        .query(sql, parameters)
        .catch(error => ({ error: describeError(error) }))
      working = false
      socket.write(`${JSON.stringify(answer)}\n`)
    }
  } catch {
    // The peer is gone, or sent what is no request, or no session is to be had any more: nothing to answer.
  } finally {
    socket.destroy()
    // A rollback that fails shows at the next statement; it must not end this process.
    await session?.release().catch(() => {})
  }
}

/** Sessions of a database that another process holds and serves with {@link serveConnection}. */
export class SocketConnections implements ConnectionSource {
  readonly #path: string
  readonly #sockets = new Set<Socket>()
  #closed = false

  /** @param path where the holder listens */
  constructor(path: string) {
    this.#path = path
  }

  /**
   * Waits for this process's turn on the database.
   *
   * @throws Error when this source is closed, or the holder is gone or closing.
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
        const answer = JSON.parse(await readLine()) as Answer
        if ('error' in answer) throw restoreError(answer.error)
        return answer
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

/** A parameter in the form in which node-postgres sends it. */
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

/** Not `node:readline`: that ends a line at U+2028 too, which JSON leaves as it is. */
async function* readLines(socket: Socket): AsyncGenerator<string, void> {
  socket.setEncoding('utf8')
  let start = ''
  for await (const chunk of socket as AsyncIterable<string>) {
    const [first = '', ...others] = chunk.split('\n')
    start += first
    for (const other of others) {
      yield start
      start = other
    }
  }
}
