import { once } from 'node:events'
import { type AddressInfo, createServer, connect as dial, type Socket } from 'node:net'
import type { Test } from 'tap'

/** A way to a server, which a test can block or cut. */
export interface TcpProxy {
  /** The server's URL, by this way. */
  url: string
  /** From now on nothing gets through, and nobody is told. */
  block(): void
  /** Ends all connections, and lets new ones through. */
  cut(): void
}

/** Opens a way to the server of a URL. It is closed with the test. */
export async function tcpProxy(t: Test, target: string): Promise<TcpProxy> {
  const { hostname, port } = new URL(target)
  const sockets = new Set<Socket>()
  let isBlocked = false
  const server = createServer(near => {
    const far = dial(Number(port || 5432), hostname)
    for (const [from, to] of [
      [near, far],
      [far, near],
    ] as const) {
      sockets.add(from)
      from.on('data', chunk => {
        if (!isBlocked) to.write(chunk)
      })
      from.on('error', () => {})
      from.on('close', () => {
        sockets.delete(from)
        if (!isBlocked) to.destroy()
      })
    }
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const cut = () => {
    isBlocked = false
    for (const socket of sockets) socket.destroy()
  }
  t.teardown(() => {
    cut()
    server.close()
  })
  const url = new URL(target)
  url.hostname = '127.0.0.1'
  url.port = String((server.address() as AddressInfo).port)
  return {
    url: url.href,
    block() {
      isBlocked = true
    },
    cut,
  }
}
