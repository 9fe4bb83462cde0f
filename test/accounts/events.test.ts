import t from 'tap'
import { BATCH_SIZE, createEvents, type EventSource, QUEUE_CAPACITY, RETRY_MS } from '#src/accounts/events.ts'
import type { AccountEvent } from '#src/auth/events.ts'
import { NOW } from '../fixtures/clock.ts'

/** Events with a store that can fail, and timers that the test runs. */
function createTestEvents() {
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

function aRequest(): EventSource & { lines: object[] } {
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

t.test('events are logged at once and stored in batches', async t => {
  const { events, stored } = createTestEvents()
  const request = aRequest()
  events.record(request, 'login', { userId: 1, cause: 'password' })
  events.record(request, 'banned', { userId: 2, by: 1, name: 'spam' })
  t.strictSame(request.lines, [
    { userId: 1, cause: 'password', address: '192.0.2.7', message: 'login' },
    { userId: 2, by: 1, name: 'spam', address: '192.0.2.7', message: 'banned' },
  ])
  t.strictSame(stored, [])
  await events.drain()
  const from = { address: '192.0.2.7', userAgent: 'curl/8', at: NOW }
  t.strictSame(stored, [
    [
      { userId: 1, event: 'login', details: { cause: 'password' }, ...from, isByOther: false },
      { userId: 2, event: 'banned', details: { by: 1, name: 'spam' }, ...from, isByOther: true },
    ],
  ])
})

t.test('an event without a user is logged, but not stored or passed to listeners', async t => {
  const { events, stored } = createTestEvents()
  const request = aRequest()
  const received: unknown[] = []
  events.onRecorded((event, from) => received.push([event.event, from]))
  events.record(request, 'wrong password', { userId: null })
  events.record(request, 'logout', { userId: 1 })
  await events.drain()
  t.equal(request.lines.length, 2)
  t.strictSame(received, [['logout', request]])
  t.strictSame(
    stored.flat().map(({ event }) => event),
    ['logout'],
  )
})

t.test('an event of a command has no address and is not passed to listeners', async t => {
  const { events, stored } = createTestEvents()
  events.onRecorded(() => t.fail('a listener was called'))
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

t.test('a failed write is retried once, together with newer events', async t => {
  const { events, stored, failures, timers, state } = createTestEvents()
  state.isDown = true
  events.record(aRequest(), 'login', { userId: 1 })
  events.flush()
  await new Promise(setImmediate)
  events.record(aRequest(), 'logout', { userId: 1 })
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

t.test('close() writes once and cancels retries', async t => {
  const { events, failures, timers, state } = createTestEvents()
  state.isDown = true
  events.record('command line', 'notified', { userId: 1 })
  await events.close()
  t.strictSame([failures, timers], [[1], []])
})

t.test('the oldest events are dropped beyond a limit, and batches are bounded', async t => {
  const { events, stored } = createTestEvents()
  for (let userId = 0; userId <= QUEUE_CAPACITY; userId += 1)
    events.record('command line', 'notified', { userId })
  await events.drain()
  t.equal(stored.flat().length, QUEUE_CAPACITY)
  t.equal(stored[0]?.[0]?.userId, 1)
  t.ok(stored.every(({ length }) => length <= BATCH_SIZE))
})
