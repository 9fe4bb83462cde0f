import t from 'tap'
import { AT_ONCE, createEvents, type EventSource, RETRY_MS, WAITING } from '#src/accounts/events.ts'
import type { AccountEvent } from '#src/auth/events.ts'
import { NOW } from '../fixtures/clock.ts'

/** Events over a store that can be taken down, and timers that are let off by hand. */
function world() {
  const stored: AccountEvent[][] = []
  const failures: number[] = []
  const timers: { ms: number; act: () => void }[] = []
  const state = { isDown: false }
  const events = createEvents({
    async store(written) {
      if (state.isDown) throw new Error('down')
      stored.push([...written])
    },
    onFailure: (_error, waiting) => failures.push(waiting),
    clock: () => NOW,
    schedule(ms, act) {
      const timer = { ms, act }
      timers.push(timer)
      return () => void timers.splice(timers.indexOf(timer), 1)
    },
  })
  return { events, stored, failures, timers, state }
}

function source(): EventSource & { lines: object[] } {
  const lines: object[] = []
  return {
    lines,
    log: { info: (fields, message) => lines.push({ ...fields, message }) },
    clientAddress: {
      ip: '192.0.2.7',
      key: '192.0.2.7',
      networks: [{ key: '192.0.2.7', share: 1 }],
      isLocal: false,
    },
    userAgent: 'curl/8',
  }
}

t.test('an event is logged at once and stored together with others', async t => {
  const { events, stored } = world()
  const request = source()
  events.record(request, 'login', { userId: 1, cause: 'password' })
  events.record(request, 'banned', { userId: 2, by: 1, name: 'spam' })
  t.strictSame(request.lines, [
    { userId: 1, cause: 'password', address: '192.0.2.7', message: 'login' },
    { userId: 2, by: 1, name: 'spam', address: '192.0.2.7', message: 'banned' },
  ])
  t.strictSame(stored, [])
  await events.stored()
  const from = { address: '192.0.2.7', userAgent: 'curl/8', at: NOW }
  t.strictSame(stored, [
    [
      { userId: 1, event: 'login', details: { cause: 'password' }, ...from, isByOther: false },
      { userId: 2, event: 'banned', details: { by: 1, name: 'spam' }, ...from, isByOther: true },
    ],
  ])
})

t.test("what happens to nobody's account is logged alone, and no listener is told", async t => {
  const { events, stored } = world()
  const request = source()
  const told: unknown[] = []
  events.onRecorded((event, from) => told.push([event.event, from]))
  events.record(request, 'wrong password', { userId: null })
  events.record(request, 'logout', { userId: 1 })
  await events.stored()
  t.equal(request.lines.length, 2)
  t.strictSame(told, [['logout', request]])
  t.strictSame(
    stored.flat().map(({ event }) => event),
    ['logout'],
  )
})

t.test('a command has no address, and no listener is told', async t => {
  const { events, stored } = world()
  events.onRecorded(() => t.fail('told'))
  events.record('command line', 'role granted', { userId: 3, name: 'Admin' })
  await events.close()
  t.strictSame(stored, [
    [
      {
        userId: 3,
        event: 'role granted',
        details: { name: 'Admin', by: 'command line' },
        address: null,
        userAgent: null,
        isByOther: false,
        at: NOW,
      },
    ],
  ])
})

t.test('after a failure there is one more attempt, which takes along what came meanwhile', async t => {
  const { events, stored, failures, timers, state } = world()
  state.isDown = true
  events.record(source(), 'login', { userId: 1 })
  events.flush()
  await new Promise(setImmediate)
  events.record(source(), 'logout', { userId: 1 })
  events.flush()
  await new Promise(setImmediate)
  t.strictSame(failures, [1])
  t.strictSame(
    timers.map(({ ms }) => ms),
    [RETRY_MS],
  )
  state.isDown = false
  timers[0]?.act()
  await new Promise(setImmediate)
  t.strictSame(
    stored.map(written => written.map(({ event }) => event)),
    [['login', 'logout']],
  )
})

t.test('closing tries once, and cancels further attempts', async t => {
  const { events, failures, timers, state } = world()
  state.isDown = true
  events.record('command line', 'notified', { userId: 1 })
  await events.close()
  t.strictSame([failures, timers], [[1], []])
})

t.test('the oldest give way when too many wait, and a statement has a bounded size', async t => {
  const { events, stored } = world()
  for (let userId = 0; userId <= WAITING; userId += 1) events.record('command line', 'notified', { userId })
  await events.stored()
  t.equal(stored.flat().length, WAITING)
  t.equal(stored[0]?.[0]?.userId, 1)
  t.ok(stored.every(({ length }) => length <= AT_ONCE))
})
