import { once } from 'node:events'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import { type AddressInfo, connect } from 'node:net'
import t, { type Test } from 'tap'
import { createAdmission, withAdmission } from '#src/http/overload.ts'
import { testClock } from '../fixtures/clock.ts'
import { startApp } from '../support/app.ts'
import { createDatabase } from '../support/databases.ts'

/** One turn of the event loop. */
const turn = () => new Promise(resolve => setImmediate(resolve))

const turns = async (count: number) => {
  for (let n = 0; n < count; n++) await turn()
}

t.test('requests start in time slices', async t => {
  const clock = testClock()
  const { admit, ...counts } = createAdmission({ monotonic: clock })
  t.ok(counts)
  const started: number[] = []
  /** A request whose synchronous work takes half a slice. */
  const work = (id: number) => () => {
    started.push(id)
    clock.advance(1)
  }

  for (let id = 1; id <= 7; id++) t.equal(admit(work(id)), true)
  t.strictSame(started, [1, 2], 'those that fit into the slice start at once')
  await turn()
  t.strictSame(started, [1, 2, 3, 4], 'two more start in the next turn, in order')
  t.equal(admit(work(8)), true)
  t.strictSame(started, [1, 2, 3, 4], 'a new request does not overtake waiting ones')
  await turns(2)
  t.strictSame(started, [1, 2, 3, 4, 5, 6, 7, 8])
  admit(work(9))
  t.equal(started.at(-1), 9, 'with an empty queue a request starts at once')
})

t.test('work in promises counts towards the slice of the request', async t => {
  const clock = testClock()
  const { admit } = createAdmission({ monotonic: clock })
  const started: number[] = []
  admit(() => clock.advance(2))
  for (let id = 1; id <= 4; id++) {
    admit(async () => {
      started.push(id)
      await null
      clock.advance(2)
    })
  }
  await turn()
  t.strictSame(started, [1])
})

t.test('requests are shed once the first in the queue has waited too long', async t => {
  const clock = testClock()
  const gate = createAdmission({ monotonic: clock })
  let shedCalls = 0
  gate.onShed(() => {
    shedCalls += 1
  })
  const started: string[] = []
  gate.admit(() => clock.advance(2))
  for (const id of ['a', 'b'])
    t.equal(
      gate.admit(() => started.push(id)),
      true,
    )
  clock.advance(400)
  t.equal(
    gate.admit(() => started.push('c')),
    true,
    'at the limit',
  )
  clock.advance(1)
  t.equal(
    gate.admit(() => started.push('d')),
    false,
  )
  t.strictSame([gate.shed, gate.waiting, shedCalls], [1, 3, 1])
  await turns(2)
  t.strictSame(started, ['a', 'b', 'c'], 'admitted requests start')
  t.equal(
    gate.admit(() => started.push('e')),
    true,
    'requests are admitted again',
  )
})

t.test('a queue of thousands keeps its order', async t => {
  const clock = testClock()
  const gate = createAdmission({ monotonic: clock })
  const started: number[] = []
  gate.admit(() => clock.advance(2))
  for (let id = 0; id < 5_000; id++) gate.admit(() => started.push(id))
  while (gate.waiting > 0) await turn()
  t.strictSame(
    started,
    Array.from({ length: 5_000 }, (_, id) => id),
  )
})

/** Starts an HTTP server with load shedding; `sendToOverloaded` sends bytes to it once it is overloaded. */
async function startShedding(t: Test) {
  const clock = testClock()
  const gate = createAdmission({ monotonic: clock })
  const handled: string[] = []
  const handle = ({ url = '' }: IncomingMessage, response: ServerResponse) => {
    handled.push(url)
    response.end('done')
  }
  const options = {
    corsHeaders: () => ({}),
    hostOf: () => '',
    admits: ({ url }: IncomingMessage) => url !== '/flood',
    monotonic: clock,
    schedule: clock.schedule,
  }
  const server = createServer(withAdmission(gate, options, handle))
  t.teardown(() => server.close())
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo

  /** Fills the queue with a request that has waited too long. */
  const overload = () => {
    gate.admit(() => clock.advance(2))
    gate.admit(() => {})
    clock.advance(500)
  }
  /** Sends bytes on a new connection to a server that is overloaded once it reads them. */
  const sendToOverloaded = async (bytes: string) => {
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
  return { server, port, clock, gate, handled, sendToOverloaded }
}

t.test('load shedding over HTTP', async t => {
  await t.test('the 503 has Retry-After and is delayed by a second', async t => {
    const { clock, sendToOverloaded } = await startShedding(t)
    const { socket, text } = await sendToOverloaded('GET /api/me HTTP/1.1\r\nHost: a\r\n\r\n')
    clock.advance(999)
    await turns(5)
    t.equal(text(), '', 'the delay slows down clients that retry at once')
    clock.advance(1)
    await once(socket, 'data')
    t.match(text(), /^HTTP\/1\.1 503 Service Unavailable\r\n/)
    t.match(text(), /\r\nretry-after: 5\r\n/i)
    t.match(text(), /\r\nconnection: keep-alive\r\n/i)
    t.match(text(), /\r\n\r\n\{"message":"Service Unavailable"\}$/)
    socket.write('GET /again HTTP/1.1\r\nHost: a\r\n\r\n')
    await once(socket, 'data')
    t.match(text(), /done$/, 'the connection is kept')
  })

  await t.test('each 503 is delayed by a second', async t => {
    const { clock, sendToOverloaded } = await startShedding(t)
    const first = await sendToOverloaded('GET /first HTTP/1.1\r\nHost: a\r\n\r\n')
    const second = await sendToOverloaded('GET /second HTTP/1.1\r\nHost: a\r\n\r\n')
    clock.advance(498)
    if (first.text() === '') await once(first.socket, 'data')
    t.match(first.text(), /^HTTP\/1\.1 503 /)
    await turns(5)
    t.equal(second.text(), '')
    clock.advance(1_000)
    await once(second.socket, 'data')
    t.match(second.text(), /^HTTP\/1\.1 503 /)
  })

  await t.test('a large unread body closes the connection', async t => {
    const { clock, handled, sendToOverloaded } = await startShedding(t)
    const { ended, text } = await sendToOverloaded(
      'POST /login HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n\r\n',
    )
    clock.advance(1_000)
    await ended
    t.match(text(), /^HTTP\/1\.1 503 /)
    t.match(text(), /\r\nconnection: close\r\n/i)
    t.notOk(handled.includes('/login'))
  })

  await t.test('a client over its limit takes no place in the queue and is answered later', async t => {
    const { server, port, clock, gate, handled } = await startShedding(t)
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
    t.equal(handled.filter(url => url === '/flood').length, 2, 'with an empty queue it is answered at once')
  })

  await t.test('health checks are answered under overload', async t => {
    const { sendToOverloaded } = await startShedding(t)
    const { socket, text } = await sendToOverloaded('GET /health/live HTTP/1.1\r\nHost: a\r\n\r\n')
    if (text() === '') await once(socket, 'data')
    t.match(text(), /^HTTP\/1\.1 200 [\s\S]*done$/)
  })

  await t.test('a request whose client disconnected in the queue is not handled', async t => {
    const { server, port, clock, gate, handled } = await startShedding(t)
    server.prependOnceListener('request', () => {
      gate.admit(() => clock.advance(2))
    })
    const socket = connect(port, '127.0.0.1')
    await once(socket, 'connect')
    const arrival = once(server, 'request')
    socket.write('GET /aborted HTTP/1.1\r\nHost: a\r\n\r\n')
    const [, response] = (await arrival) as [IncomingMessage, ServerResponse]
    response.destroy()
    await turns(5)
    t.notOk(handled.includes('/aborted'))
    socket.destroy()
  })
})

t.test('shed requests are 503, counted in the metrics, and logged once a second', async t => {
  const database = await createDatabase(t, 'postgres')
  t.teardown(() => database.close())
  const clock = testClock()
  const app = await startApp(t, { database, clock })
  const base = await app.listen({ host: '127.0.0.1', port: 0 })
  const { admission, server } = app

  /** Puts a request into the queue that has waited for half a second. */
  const overload = () => {
    admission.admit(() => clock.advance(2))
    admission.admit(() => {})
    clock.advance(500)
  }
  server.prependListener('request', overload)
  const request = async (path: string) => {
    const sent = fetch(base + path)
    // The response is delayed by a second.
    while (admission.waiting === 0) await new Promise(setImmediate)
    while (admission.waiting > 0) await new Promise(setImmediate)
    clock.advance(1_000)
    return sent
  }

  for (let n = 1; n <= 3; n++) {
    const answer = await request('/api/me')
    t.equal(answer.status, 503)
    t.equal(answer.headers.get('retry-after'), '5')
    t.equal(answer.headers.get('cache-control'), 'no-store, private')
    t.strictSame(await answer.json(), { message: 'Service Unavailable' })
  }
  const live = await request('/health/live')
  t.equal(live.status, 200, 'health checks are answered')
  t.strictSame(await live.json(), { status: 'live' })

  server.off('request', overload)
  t.equal((await fetch(`${base}/api/me`)).status, 401, 'other requests are answered after the overload')
  const metrics = await (await fetch(`${base}/metrics`)).text()
  t.match(metrics, /^http_requests_shed_total 3$/m)
  t.match(metrics, /^http_requests_waiting 0$/m)

  clock.advance(10_000)
  const lines = app.logged.filter(({ msg }) => /requests (are|were) shed/.test(String(msg)))
  t.ok(lines.length < 5, 'fewer lines than requests and seconds')
  t.equal(lines[0]?.level, 40, 'a warning, not an error')
  const total = lines.reduce((sum, { count = 1 }) => sum + Number(count), 0)
  t.equal(total, 3, 'the lines count all shed requests')
  t.notOk(
    app.logged.some(({ status }) => status === 503),
    'shed requests have no request line',
  )
})
