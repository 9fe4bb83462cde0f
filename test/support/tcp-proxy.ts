import { once } from 'node:events'
import { type AddressInfo, createServer, connect as dial, type Socket } from 'node:net'
import { setTimeout as delay } from 'node:timers/promises'
import type { Test } from 'tap'

/** A way to a server, which a test can block, slow down or cut. */
export interface TcpProxy {
  /** The server's URL, by this way. */
  url: string
  /** Drops all data from now on, without closing connections. */
  block(): void
  /** Ends all connections, and lets new ones through. */
  cut(): void
  /**
   * Ends each connection in the middle of an answer: as soon as the server has sent so many bytes more on it, of which
   * the client gets all but the last. Null ends that.
   */
  cutAfter(bytes: number | null): void
  /** From now on everything arrives so much later, in milliseconds. */
  delay(ms: number): void
}

/** Opens a way to the server of a URL. It is closed with the test. */
export async function tcpProxy(t: Pick<Test, 'teardown'>, target: string): Promise<TcpProxy> {
  const { hostname, port } = new URL(target)
  const sockets = new Set<Socket>()
  let isBlocked = false
  let cutAfter: number | null = null
  let delayMs = 0
  const server = createServer(near => {
    const far = dial(Number(port || 5432), hostname)
    let answered = 0
    for (const [from, to] of [
      [near, far],
      [far, near],
    ] as const) {
      sockets.add(from)
      // Delayed chunks keep their order, whatever the delay was when each of them came.
      let last = IDLE
      const pass = (chunk: Buffer) => {
        if (isBlocked) return
        if (from === far) answered += chunk.length
        if (from === near || cutAfter === null || answered < cutAfter) {
          to.write(chunk)
          return
        }
        to.write(chunk.subarray(0, Math.max(0, chunk.length - 1)), () => to.destroy())
        from.destroy()
      }
      from.on('data', chunk => {
        if (delayMs === 0 && last === IDLE) return pass(chunk)
        const turn = Promise.all([last, delay(delayMs)]).then(() => pass(chunk))
        last = turn
        void turn.then(() => {
          if (last === turn) last = IDLE
        })
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
    cutAfter(bytes) {
      cutAfter = bytes
    },
    delay(ms) {
      delayMs = ms
    },
  }
}

/** What is waited for when nothing is delayed. */
const IDLE: Promise<unknown> = Promise.resolve()
