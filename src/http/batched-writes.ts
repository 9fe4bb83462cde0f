import type { Server } from 'node:http'
import { Socket } from 'node:net'

/**
 * How many calls of `uncork()` on a socket wait for the end of the turn. As many are made then: Node corks a socket again for
 * the next response of a pipeline, and it would stay corked otherwise.
 */
const WAITING = Symbol('waiting')

/** How many responses are written without waiting for the end of the turn, so that their clients can go on meanwhile. */
const MAX_WAITING = 8

type BatchedSocket = Socket & { [WAITING]?: number }

const { uncork } = Socket.prototype

/**
 * Makes a server write up to eight responses of a turn of the event loop together, instead of each when it is complete. A
 * write wakes its client, which costs as much as a third of a request: clients that are woken together find several
 * responses, and send their next requests together. A response waits until the end of its turn at most.
 */
export function batchWrites(server: Server): void {
  let waiting: BatchedSocket[] = []
  const flush = () => {
    const sockets = waiting
    waiting = []
    for (const socket of sockets) {
      const calls = socket[WAITING] ?? 0
      socket[WAITING] = 0
      for (let call = 0; call < calls; call += 1) uncork.call(socket)
    }
  }
  // Node corks a socket for each response, and uncorks it when the response is complete.
  function uncorkLater(this: BatchedSocket) {
    const calls = (this[WAITING] ?? 0) + 1
    this[WAITING] = calls
    if (calls > 1) return
    const count = waiting.push(this)
    if (count === 1) setImmediate(flush)
    else if (count === MAX_WAITING) flush()
  }
  server.on('connection', socket => {
    socket.uncork = uncorkLater
  })
}
