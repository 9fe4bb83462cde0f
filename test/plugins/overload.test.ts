import t from 'tap'
import { testClock } from '../fixtures/clock.ts'
import { startApp } from '../support/app.ts'
import { createDatabase } from '../support/databases.ts'

t.test('a server that has no time for a request says so, counts it and logs it once a second', async t => {
  const database = await createDatabase(t, 'postgres')
  t.teardown(() => database.close())
  const clock = testClock()
  const app = await startApp(t, { database, clock })
  const base = await app.listen({ host: '127.0.0.1', port: 0 })
  const { admission, server } = app

  /** Has one request in the queue, which has waited for half a second, whenever another one comes. */
  const overload = () => {
    admission.admit(() => clock.advance(2))
    admission.admit(() => {})
    clock.advance(500)
  }
  server.prependListener('request', overload)
  const ask = async (path: string) => {
    const sent = fetch(base + path)
    // The answer is held until a second has passed.
    while (admission.waiting === 0) await new Promise(setImmediate)
    while (admission.waiting > 0) await new Promise(setImmediate)
    clock.advance(1_000)
    return sent
  }

  for (let n = 1; n <= 3; n++) {
    const answer = await ask('/api/me')
    t.equal(answer.status, 503)
    t.equal(answer.headers.get('retry-after'), '5')
    t.equal(answer.headers.get('cache-control'), 'no-store, private')
    t.strictSame(await answer.json(), { message: 'Service Unavailable' })
  }
  const live = await ask('/health/live')
  t.equal(live.status, 200, 'health checks are answered')
  t.strictSame(await live.json(), { status: 'live' })

  server.off('request', overload)
  t.equal((await fetch(`${base}/api/me`)).status, 401, 'and so are others, once there is time')
  const metrics = await (await fetch(`${base}/metrics`)).text()
  t.match(metrics, /^http_requests_shed_total 3$/m)
  t.match(metrics, /^http_requests_waiting 0$/m)

  clock.advance(10_000)
  const lines = app.logged.filter(({ msg }) => /requests (are|were) shed/.test(String(msg)))
  t.ok(lines.length < 5, 'fewer lines than requests and seconds')
  t.equal(lines[0]?.level, 40, 'a warning, not an error')
  const total = lines.reduce((sum, { count = 1 }) => sum + Number(count), 0)
  t.equal(total, 3, 'which tell of all')
  t.notOk(
    app.logged.some(({ status }) => status === 503),
    'no request has a line of its own',
  )
})
