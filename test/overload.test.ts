import { once } from 'node:events'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import { type AddressInfo, connect } from 'node:net'
import t from 'tap'
import { admission, withAdmission } from '#src/http/overload.ts'
import { testClock } from './fixtures/clock.ts'

/** One turn of the event loop. */
const turn = () => new Promise(resolve => setImmediate(resolve))

const turns = async (count: number) => {
  for (let n = 0; n < count; n++) await turn()
}

t.test('requests are begun in slices of time', async t => {
  const clock = testClock()
  const { admit, ...counts } = admission({ monotonic: clock })
  t.ok(counts)
  const begun: number[] = []
  /** A request whose synchronous part takes half a slice. */
  const work = (id: number) => () => {
    begun.push(id)
    clock.advance(1)
  }

  for (let id = 1; id <= 7; id++) t.equal(admit(work(id)), true)
  t.strictSame(begun, [1, 2], 'those that fit into the slice at once')
  await turn()
  t.strictSame(begun, [1, 2, 3, 4], 'two more in the next turn, in the order in which they came')
  t.equal(admit(work(8)), true)
  t.strictSame(begun, [1, 2, 3, 4], 'nobody overtakes those that wait')
  await turns(2)
  t.strictSame(begun, [1, 2, 3, 4, 5, 6, 7, 8])
  admit(work(9))
  t.equal(begun.at(-1), 9, 'at once again, once nobody waits')
})

t.test('what promises have left to do counts as the work of their request', async t => {
  const clock = testClock()
  const { admit } = admission({ monotonic: clock })
  const begun: number[] = []
  admit(() => clock.advance(2))
  for (let id = 1; id <= 4; id++) {
    admit(async () => {
      begun.push(id)
      await null
      clock.advance(2)
    })
  }
  await turn()
  t.strictSame(begun, [1])
})

t.test('load is shed once the first in the queue has waited for too long', async t => {
  const clock = testClock()
  const gate = admission({ monotonic: clock })
  let heard = 0
  gate.onShed(() => {
    heard += 1
  })
  const begun: string[] = []
  gate.admit(() => clock.advance(2))
  for (const id of ['a', 'b'])
    t.equal(
      gate.admit(() => begun.push(id)),
      true,
    )
  clock.advance(400)
  t.equal(
    gate.admit(() => begun.push('c')),
    true,
    'not yet',
  )
  clock.advance(1)
  t.equal(
    gate.admit(() => begun.push('d')),
    false,
  )
  t.strictSame([gate.shed, gate.waiting, heard], [1, 3, 1])
  await turns(2)
  t.strictSame(begun, ['a', 'b', 'c'], 'those that were let in are begun')
  t.equal(
    gate.admit(() => begun.push('e')),
    true,
    'and then others are let in again',
  )
})

t.test('a queue of thousands keeps its order', async t => {
  const clock = testClock()
  const gate = admission({ monotonic: clock })
  const begun: number[] = []
  gate.admit(() => clock.advance(2))
  for (let id = 0; id < 5_000; id++) gate.admit(() => begun.push(id))
  while (gate.waiting > 0) await turn()
  t.strictSame(
    begun,
    Array.from({ length: 5_000 }, (_, id) => id),
  )
})

t.test('over HTTP', async t => {
  const clock = testClock()
  const gate = admission({ monotonic: clock })
  const handled: string[] = []
  const handle = ({ url = '' }: IncomingMessage, response: ServerResponse) => {
    handled.push(url)
    response.end('done')
  }
  const options = {
    headers: { 'cache-control': 'no-store, private' },
    admits: ({ url }: IncomingMessage) => url !== '/flood',
    monotonic: clock,
    schedule: clock.schedule,
  }
  const server = createServer(withAdmission(gate, options, handle))
  t.teardown(() => server.close())
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo

  /** Fills the queue with a request that waits for too long already. */
  const overload = () => {
    gate.admit(() => clock.advance(2))
    gate.admit(() => {})
    clock.advance(500)
  }
  /** Sends bytes on a connection of its own, with the server overloaded as soon as it reads them. */
  const send = async (bytes: string) => {
    const socket = connect(port, '127.0.0.1')
    t.teardown(() => socket.destroy())
    let text = ''
    socket.setEncoding('latin1').on('data', chunk => {
      text += chunk
    })
    const ended = once(socket, 'end')
    await once(socket, 'connect')
    const arrival = once(server, 'request')
    server.prependOnceListener('request', overload)
    socket.write(bytes)
    await arrival
    return { socket, ended, text: () => text }
  }

  await t.test('503 with Retry-After, held for a second', async t => {
    const { socket, text } = await send('GET /api/me HTTP/1.1\r\nHost: a\r\n\r\n')
    clock.advance(999)
    await turns(5)
    t.equal(text(), '', 'a client that asks again at once would leave no time for others')
    clock.advance(1)
    await once(socket, 'data')
    t.match(text(), /^HTTP\/1\.1 503 Service Unavailable\r\n/)
    t.match(text(), /\r\nretry-after: 5\r\n/i)
    t.match(text(), /\r\ncache-control: no-store, private\r\n/i)
    t.match(text(), /\r\nconnection: keep-alive\r\n/i)
    t.match(text(), /\r\n\r\n\{"message":"Service Unavailable"\}$/)
    socket.write('GET /again HTTP/1.1\r\nHost: a\r\n\r\n')
    await once(socket, 'data')
    t.match(text(), /done$/, 'the connection goes on')
  })

  await t.test('each for a second', async t => {
    const first = await send('GET /first HTTP/1.1\r\nHost: a\r\n\r\n')
    const second = await send('GET /second HTTP/1.1\r\nHost: a\r\n\r\n')
    clock.advance(498)
    if (first.text() === '') await once(first.socket, 'data')
    t.match(first.text(), /^HTTP\/1\.1 503 /)
    await turns(5)
    t.equal(second.text(), '')
    clock.advance(1_000)
    await once(second.socket, 'data')
    t.match(second.text(), /^HTTP\/1\.1 503 /)
  })

  await t.test('a large body that was not read ends the connection', async t => {
    const { ended, text } = await send('POST /login HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n\r\n')
    clock.advance(1_000)
    await ended
    t.match(text(), /^HTTP\/1\.1 503 /)
    t.match(text(), /\r\nconnection: close\r\n/i)
    t.notOk(handled.includes('/login'))
  })

  await t.test('a client over its ceiling takes no place in the queue, and hears so later', async t => {
    server.prependOnceListener('request', () => {
      gate.admit(() => clock.advance(2))
      gate.admit(() => {})
    })
    const socket = connect(port, '127.0.0.1')
    t.teardown(() => socket.destroy())
    await once(socket, 'connect')
    const arrival = once(server, 'request')
    socket.write('GET /flood HTTP/1.1\r\nHost: a\r\n\r\n')
    await arrival
    t.equal(gate.waiting, 1)
    await turns(5)
    t.notOk(handled.includes('/flood'))
    clock.advance(1_000)
    t.ok(handled.includes('/flood'))
    await once(socket, 'data')
    socket.write('GET /flood HTTP/1.1\r\nHost: a\r\n\r\n')
    await once(socket, 'data')
    t.equal(handled.filter(url => url === '/flood').length, 2, 'at once, while nobody waits')
  })

  await t.test('health checks are always answered', async t => {
    const { socket, text } = await send('GET /health/live HTTP/1.1\r\nHost: a\r\n\r\n')
    if (text() === '') await once(socket, 'data')
    t.match(text(), /^HTTP\/1\.1 200 [\s\S]*done$/)
  })

  await t.test('nothing is done for a client that hung up while it waited', async t => {
    server.prependOnceListener('request', () => {
      gate.admit(() => clock.advance(2))
    })
    const socket = connect(port, '127.0.0.1')
    await once(socket, 'connect')
    const arrival = once(server, 'request')
    socket.write('GET /given-up HTTP/1.1\r\nHost: a\r\n\r\n')
    const [, response] = (await arrival) as [IncomingMessage, ServerResponse]
    response.destroy()
    await turns(5)
    t.notOk(handled.includes('/given-up'))
    socket.destroy()
  })
})
