import type { Server } from 'node:http'
import { Socket } from 'node:net'

/** Whether the writes of a socket wait for the end of the turn. */
const IS_WAITING = Symbol('is waiting')

type BatchedSocket = Socket & { [IS_WAITING]?: boolean }

const { uncork } = Socket.prototype

/**
 * Makes a server write the responses of one turn of the event loop at its end, instead of each when it is complete. A write
 * wakes its client, which costs as much as a third of a request: clients that are woken together find several responses,
 * and send their next requests together. A response waits at most for those that are made in the same turn.
 */
export function batchWrites(server: Server): void {
  let waiting: BatchedSocket[] = []
  const flush = () => {
    const sockets = waiting
    waiting = []
    for (const socket of sockets) {
      socket[IS_WAITING] = false
      uncork.call(socket)
    }
  }
  // Node corks a socket for each response, and uncorks it when the response is complete.
  function uncorkLater(this: BatchedSocket) {
    if (this[IS_WAITING] === true) return
    this[IS_WAITING] = true
    if (waiting.push(this) === 1) setImmediate(flush)
  }
  server.on('connection', socket => {
    socket.uncork = uncorkLater
  })
}
