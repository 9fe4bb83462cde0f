import { once } from 'node:events'
import { createServer, type ServerResponse } from 'node:http'
import { type AddressInfo, connect } from 'node:net'
import t from 'tap'
import { batchWrites } from '#src/http/batched-writes.ts'
import { aUser } from '../fixtures/users.ts'
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
  const app = await startApp(t, { database, environment: { EXPORT_DAILY_LIMIT: '100' } })
  const { token } = await aUser(database)
  await app.listen({ host: '127.0.0.1', port: 0 })
  const { port } = app.server.address() as AddressInfo
  for (const order of ['MEME', 'MMEMEEEEMM', 'EMMEEM', 'MMMM', 'EEE']) {
    const socket = connect(port, '127.0.0.1')
    t.teardown(() => socket.destroy())
    let text = ''
    socket.on('data', chunk => {
      text += chunk
    })
    const head = `HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer ${token}\r\n\r\n`
    socket.write([...order].map(kind => `GET /api/me${kind === 'E' ? '/export' : ''} ${head}`).join(''))
    const types = () => [...text.matchAll(/\r\ncontent-(?:disposition|length): /gi)]
    const answered = () =>
      types()
        .map(([line]) => (/disposition/i.test(line) ? 'E' : 'M'))
        .join('')
    await until(async () => answered().length >= order.length)
    t.equal(answered(), order)
    t.equal(text.match(/HTTP\/1\.1 200 OK/g)?.length, order.length)
    socket.destroy()
  }
})
