import { once } from 'node:events'
import type { Server } from 'node:http'
import { type AddressInfo, connect } from 'node:net'
import t from 'tap'
import { startApp } from '../support/app.ts'
import { createDatabase } from '../support/databases.ts'

/** How often a server looks for slow requests, in milliseconds: Node has it without a type. */
const checkingInterval = (server: Server) =>
  (server as unknown as { connectionsCheckingInterval: number }).connectionsCheckingInterval

t.test('clients that send their requests slowly are cut off (Slowloris)', async t => {
  const database = await createDatabase(t, 'postgres')
  t.teardown(() => database.close())

  await t.test('with 408, when the head or the body does not come', async t => {
    // Node's own timers: a second is the shortest that the setting allows.
    const app = await startApp(t, { database, environment: { REQUEST_TIMEOUT: '1' } })
    await app.listen({ host: '127.0.0.1', port: 0 })
    const { port } = app.server.address() as AddressInfo
    const answerTo = async (bytes: string) => {
      const socket = connect(port, '127.0.0.1')
      let text = ''
      socket.setEncoding('latin1').on('data', chunk => {
        text += chunk
      })
      socket.write(bytes)
      await once(socket, 'end')
      socket.destroy()
      return text
    }
    const answers = await Promise.all([
      answerTo('GET /api/me HTTP/1.1\r\nHost: a\r\nX-Slow: '),
      answerTo('GET'),
      answerTo(
        'POST /login HTTP/1.1\r\nHost: a\r\nSec-Fetch-Site: same-origin\r\nContent-Type: application/json\r\nContent-Length: 99\r\n\r\n{',
      ),
    ])
    for (const answer of answers) {
      t.match(answer, /^HTTP\/1\.1 408 Request Timeout\r\n/)
      t.match(answer, /\r\nconnection: close\r\n/i)
    }
  })

  await t.test('when they do not read their answers either', async t => {
    const app = await startApp(t, { database, environment: { REQUEST_TIMEOUT: '1' } })
    await app.listen({ host: '127.0.0.1', port: 0 })
    const { port } = app.server.address() as AddressInfo
    const socket = connect(port, '127.0.0.1')
    t.teardown(() => socket.destroy())
    socket.on('error', () => {}).pause()
    const [connection] = await once(app.server, 'connection')
    // More than the kernel holds.
    socket.write('GET /openapi.json HTTP/1.1\r\nHost: a\r\n\r\n'.repeat(40))
    await once(connection, 'close')
    t.ok(connection.bytesWritten < 40 * 500_000, 'the server has not sent all')
  })

  await t.test('after half a minute, whatever longer a request may take', async t => {
    const app = await startApp(t, { database, environment: { REQUEST_TIMEOUT: '3600' } })
    const { headersTimeout, requestTimeout } = app.server
    t.strictSame([headersTimeout, requestTimeout], [30_000, 30_000])
    t.equal(app.server.timeout, 3_631_000, 'and as much to read the answer')
    t.ok(checkingInterval(app.server) <= 1_000, 'which Node looks for once a second, not twice a minute')
  })

  await t.test('whose connection is not cut before slow requests were looked for', async t => {
    const app = await startApp(t, { database, environment: { REQUEST_TIMEOUT: '1' } })
    const { timeout, requestTimeout } = app.server
    t.ok(timeout > requestTimeout + checkingInterval(app.server), '408 comes first')
  })
})
