import { once } from 'node:events'
import { createServer, type ServerResponse } from 'node:http'
import { type AddressInfo, connect } from 'node:net'
import { Readable } from 'node:stream'
import t from 'tap'
import { batchWrites } from '#src/http/batched-writes.ts'
import { startApp } from '../support/app.ts'
import { createDatabase } from '../support/databases.ts'
import { until } from '../support/until.ts'

t.test('responses of one turn are written together, at its end or eight at a time', async t => {
  const COUNT = 10
  const responses: ServerResponse[] = []
  let notify = () => {}
  const server = createServer((_request, response) => {
    responses.push(response)
    if (responses.length === COUNT) notify()
  })
  batchWrites(server)
  t.teardown(() => server.close())
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo

  const received = Array.from({ length: COUNT }, () => '')
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
  const waiting = () => responses.filter(({ socket }) => (socket?.writableLength ?? 0) > 0).length
  for (const response of responses.slice(0, 2)) response.end('done')
  t.equal(waiting(), 2, 'nothing is written yet')
  t.ok(responses[0]?.writableEnded, 'the response is complete all the same')
  await Promise.all(sockets.slice(0, 2).map(socket => once(socket, 'data')))
  t.equal(received.filter(text => text.endsWith('\r\n\r\ndone')).length, 2)

  const rest = sockets.slice(2).map(socket => once(socket, 'data'))
  for (const response of responses.slice(2)) response.end('late')
  t.equal(waiting(), 0, 'eight are written at once')
  await Promise.all(rest)
  t.equal(received.filter(text => text.endsWith('late')).length, 8)
})

t.test('pipelined requests are all answered, in order, streams among them', async t => {
  const database = await createDatabase(t, 'postgres')
  t.teardown(() => database.close())
  const turn = () => new Promise(resolve => setImmediate(resolve))
  const app = await startApp(t, {
    database,
    routes(app) {
      app.get('/late', { config: { access: { auth: 'none' } } }, async () => {
        await turn()
        return 'L'
      })
      app.get('/stream', { config: { access: { auth: 'none' } } }, async (_request, reply) =>
        reply.type('text/plain').send(
          Readable.from(
            (async function* () {
              for (let part = 0; part < 5; part += 1) {
                await turn()
                yield 'S'.repeat(10_000)
              }
            })(),
          ),
        ),
      )
    },
  })
  await app.listen({ host: '127.0.0.1', port: 0 })
  const { port } = app.server.address() as AddressInfo
  for (const order of ['LSLS', 'LLSLSSSSLL', 'SLLSSL', 'LLLL', 'SSS']) {
    const socket = connect(port, '127.0.0.1')
    t.teardown(() => socket.destroy())
    let text = ''
    socket.on('data', chunk => {
      text += chunk
    })
    const pathOf = (kind: string) => (kind === 'S' ? '/stream' : '/late')
    socket.write([...order].map(kind => `GET ${pathOf(kind)} HTTP/1.1\r\nHost: localhost\r\n\r\n`).join(''))
    const answered = () =>
      text
        .split('HTTP/1.1 200 OK\r\n')
        .slice(1)
        .map(answer => (answer.at(-1) === 'L' ? 'L' : answer.endsWith('\r\n0\r\n\r\n') ? 'S' : ''))
        .join('')
    await until(async () => answered().length >= order.length)
    t.equal(answered(), order)
    socket.destroy()
  }
})
