import { connect, type Socket } from 'node:net'
import { type ConnectionOptions, connect as connectTls } from 'node:tls'
import type pg from 'pg'

/** What a cancel request needs of a connection: node-postgres keeps these, and its types do not tell. */
interface Cancellable {
  host: string
  port: number
  ssl: boolean | ConnectionOptions
  processID: number | null
  secretKey: number | null
}

const SSL_REQUEST = Buffer.from([0, 0, 0, 8, 4, 210, 22, 47])

/**
 * Asks the server, on a connection of its own, to cancel what another connection is running. Poolers such as PgBouncer
 * pass the request on.
 *
 * @returns once the server has closed the connection, by which it tells that the signal was sent
 * @throws when there is no such connection
 * @see https://www.postgresql.org/docs/current/protocol-flow.html#PROTOCOL-FLOW-CANCELING-REQUESTS
 */
export async function cancelStatement(client: pg.Client, signal: AbortSignal): Promise<void> {
  const { host, port, ssl, processID, secretKey } = client as unknown as Cancellable
  if (processID === null || secretKey === null) throw new Error('The connection has no key to cancel it by.')
  const request = Buffer.alloc(16)
  request.writeInt32BE(request.length, 0)
  request.writeInt32BE(80_877_102, 4)
  request.writeInt32BE(processID, 8)
  request.writeInt32BE(secretKey, 12)
  const socket = host.startsWith('/') ? connect(`${host}/.s.PGSQL.${port}`) : connect(port, host)
  const abort = () => socket.destroy(new Error('The cancel request took too long.'))
  signal.addEventListener('abort', abort)
  try {
    const way = ssl ? await encrypted(socket, host, ssl === true ? {} : ssl) : socket
    way.end(request)
    way.resume()
    await closed(way)
  } finally {
    signal.removeEventListener('abort', abort)
    socket.destroy()
  }
}

/** The same connection within TLS, as the server's other connections are. */
async function encrypted(socket: Socket, host: string, options: ConnectionOptions): Promise<Socket> {
  socket.write(SSL_REQUEST)
  const answer = await new Promise<Buffer>((resolve, reject) => {
    socket.once('error', reject)
    socket.once('close', () => reject(new Error('The connection was closed.')))
    socket.once('data', resolve)
  })
  if (answer.toString() !== 'S') throw new Error('The server does not support SSL connections.')
  return connectTls({ ...options, socket, host })
}

const closed = (socket: Socket) =>
  new Promise<void>((resolve, reject) => {
    socket.once('error', reject)
    socket.once('close', () => resolve())
  })
