import { once } from 'node:events'
import { createServer, type ServerResponse } from 'node:http'
import { type AddressInfo, connect, type Socket } from 'node:net'
import t from 'tap'
import { batchWrites } from '#src/http/batched-writes.ts'

t.test('responses of one turn are written together at its end', async t => {
  const responses: ServerResponse[] = []
  let notify = () => {}
  const server = createServer((_request, response) => {
    responses.push(response)
    if (responses.length === 3) notify()
  })
  batchWrites(server)
  t.teardown(() => server.close())
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo

  const received = ['', '', '']
  const arrived = new Promise<void>(resolve => {
    notify = resolve
  })
  const sockets = received.map((_, index) => {
    const socket = connect(port, '127.0.0.1')
    socket.on('data', chunk => {
      received[index] = `${received[index]}${chunk}`
    })
    t.teardown(() => socket.destroy())
    socket.write('GET / HTTP/1.1\r\nHost: a\r\n\r\n')
    return socket
  })
  await arrived
  for (const response of responses.slice(0, 2)) response.end('done')
  const waiting = responses.map(({ socket }) => socket?.writableLength ?? 0)
  t.ok(waiting[0] && waiting[1], 'nothing is written yet')
  t.equal(waiting[2], 0)
  t.ok(responses[0]?.writableEnded, 'the response is complete all the same')
  await Promise.all(sockets.slice(0, 2).map(socket => once(socket, 'data')))
  t.strictSame(
    received.map(text => text.endsWith('\r\n\r\ndone')),
    [true, true, false],
  )

  responses[2]?.end('late')
  await once(sockets[2] as Socket, 'data')
  t.match(received[2], /late$/)
})
