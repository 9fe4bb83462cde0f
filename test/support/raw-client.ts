import { type AddressInfo, connect, type Socket } from 'node:net'
import type { FastifyInstance } from 'fastify'
import type { Test } from 'tap'

/** An answer as it came over the connection. */
export interface RawAnswer {
  status: number
  /** By lower-case name; the last of equal ones. */
  headers: Record<string, string>
  body: string
}

/** A connection on which a test writes bytes, for requests that no client would send. */
export class RawClient {
  readonly #socket: Socket
  /** Resolves once the server has closed the connection. */
  readonly closed: Promise<void>
  #received = ''
  #notify = () => {}

  /** Listens if the server does not yet, and connects. The connection ends with the test. */
  static async connect(t: Test, app: FastifyInstance): Promise<RawClient> {
    if (!app.server.listening) await app.listen({ host: '127.0.0.1', port: 0 })
    return RawClient.open(t, (app.server.address() as AddressInfo).port)
  }

  /** Connects to a port of this machine. The connection ends with the test. */
  static async open(t: Test, port: number): Promise<RawClient> {
    const socket = connect(port, '127.0.0.1')
    t.teardown(() => socket.destroy())
    await new Promise<void>((resolve, reject) => socket.once('connect', resolve).once('error', reject))
    return new RawClient(socket)
  }

  private constructor(socket: Socket) {
    this.#socket = socket
    this.closed = new Promise(resolve => socket.on('close', () => resolve()))
    // A server that closes while it is written to resets the connection.
    socket.on('error', () => {})
    socket.on('data', chunk => {
      this.#received += chunk.toString('latin1')
      this.#notify()
    })
    socket.on('close', () => this.#notify())
  }

  write(text: string): void {
    this.#socket.write(text, 'latin1')
  }

  /** Writes the head of a request, to the host `localhost` unless another is named. */
  head(line: string, headers: Record<string, string | number> = {}): void {
    const lines = Object.entries({ host: 'localhost', ...headers }).map(
      ([name, value]) => `${name}: ${value}`,
    )
    this.write(`${line} HTTP/1.1\r\n${lines.join('\r\n')}\r\n\r\n`)
  }

  /** Closes the connection. */
  destroy(): void {
    this.#socket.destroy()
  }

  /** The next answer on the connection. @throws {Error} when it ends before */
  async answer(): Promise<RawAnswer> {
    for (;;) {
      const end = this.#received.indexOf('\r\n\r\n')
      if (end !== -1) {
        const [line = '', ...lines] = this.#received.slice(0, end).split('\r\n')
        const headers = Object.fromEntries(
          lines.map(one => {
            const colon = one.indexOf(':')
            return [one.slice(0, colon).toLowerCase(), one.slice(colon + 1).trim()]
          }),
        )
        const size = Number(headers['content-length'] ?? 0)
        if (this.#received.length >= end + 4 + size) {
          const body = this.#received.slice(end + 4, end + 4 + size)
          this.#received = this.#received.slice(end + 4 + size)
          return { status: Number(line.split(' ')[1]), headers, body }
        }
      }
      if (this.#socket.closed || this.#socket.destroyed) throw new Error(`no answer: ${this.#received}`)
      await new Promise<void>(resolve => {
        this.#notify = resolve
      })
    }
  }
}
