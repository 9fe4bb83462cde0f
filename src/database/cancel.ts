import { connect, type Socket } from 'node:net'
import { type ConnectionOptions, connect as connectTls } from 'node:tls'
import type pg from 'pg'

/** What a cancel request needs of a connection: private fields of node-postgres that its types do not declare. */
interface Cancellable {
  host: string
  port: number
  ssl: boolean | ConnectionOptions
  processID: number | null
  secretKey: number | null
}

const SSL_REQUEST = Buffer.from([0, 0, 0, 8, 4, 210, 22, 47])

/**
 * Sends a cancel request for a connection's running statement, over a new connection. Poolers such as PgBouncer forward
 * it.
 *
 * @returns once the server has closed the connection, which means that the signal was sent
 * @throws {Error} when the connection has no cancel key or the server is not reached
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
    const stream = ssl ? await upgradeToTls(socket, host, ssl === true ? {} : ssl) : socket
    stream.end(request)
    stream.resume()
    await waitForClose(stream)
  } finally {
    signal.removeEventListener('abort', abort)
    socket.destroy()
  }
}

/** Upgrades a connection to TLS by PostgreSQL's SSLRequest. */
async function upgradeToTls(socket: Socket, host: string, options: ConnectionOptions): Promise<Socket> {
  socket.write(SSL_REQUEST)
  const reply = await new Promise<Buffer>((resolve, reject) => {
    socket.once('error', reject)
    socket.once('close', () => reject(new Error('The connection was closed.')))
    socket.once('data', resolve)
  })
  if (reply.toString() !== 'S') throw new Error('The server does not support SSL connections.')
  return connectTls({ ...options, socket, host })
}

const waitForClose = (socket: Socket) =>
  new Promise<void>((resolve, reject) => {
    socket.once('error', reject)
    socket.once('close', () => resolve())
  })
