import fc from 'fast-check'
import t from 'tap'
import {
  type FairQueueOptions,
  fairQueue,
  type Lane,
  type QueuedCaller,
  SlotRefused,
} from '#src/runtime/fair-queue.ts'
import { testClock } from '../fixtures/clock.ts'

const DEADLINE = 5_000

const MEMORY = { known: 0, stranger: 20 }

/** A queue whose turns the test ends. */
function manualQueue(options: Partial<FairQueueOptions> = {}) {
  const clock = testClock(0)
  const queue = fairQueue({
    concurrency: 1,
    capacity: { known: 50, stranger: 100 },
    maxPerNetwork: 4,
    slotMemory: MEMORY,
    deadlineMs: DEADLINE,
    schedule: clock.schedule,
    monotonic: clock,
    ...options,
  })
  const started: string[] = []
  const ends: (() => void)[] = []
  const refused = new Map<string, SlotRefused>()

  /** Ends the oldest running turn after some milliseconds. */
  const endTurn = async (ms = 0) => {
    await settled()
    clock.advance(ms)
    ends.shift()?.()
    await settled()
  }

  /** Ends all turns and returns the names that got one, in order. */
  const drain = async () => {
    await settled()
    while (ends.length > 0) await endTurn()
    return started
  }

  return {
    queue,
    clock,
    /** Names that got a turn, in order. */
    started,
    /** Refusals by name. */
    refused,
    reasonOf: (name: string) => refused.get(name)?.reason,
    /** Requests a turn. */
    ask(name: string, caller: Partial<QueuedCaller> = {}): Promise<unknown> {
      const work = () =>
        new Promise<void>(resolve => {
          started.push(name)
          ends.push(resolve)
        })
      const asked = {
        network: name,
        lane: 'stranger',
        isUnbounded: false,
        connection: { destroyed: false },
        ...caller,
      } as const
      return queue.run(asked, work).catch(error => {
        if (!(error instanceof SlotRefused)) throw error
        refused.set(name, error)
      })
    },
    endTurn,
    drain,
  }
}

const settled = () => new Promise<void>(resolve => setImmediate(resolve))

t.test('a free turn starts at once and returns its result', async t => {
  const { queue } = manualQueue({ concurrency: 2 })
  const caller = {
    network: 'a',
    lane: 'stranger',
    isUnbounded: false,
    connection: { destroyed: false },
  } as const
  t.equal(queue.isFree, true)
  t.equal(await queue.run(caller, async () => 'done'), 'done')
  await t.rejects(
    queue.run(caller, async () => {
      throw new Error('failed')
    }),
    /^failed$/,
  )
  await t.rejects(
    queue.run(caller, () => {
      throw new Error('thrown')
    }),
    /^thrown$/,
  )
  t.equal(queue.isFree, true, 'a failure ends its turn')
})

t.test('concurrent turns are limited', async t => {
  const { queue, ask, started, endTurn } = manualQueue({ concurrency: 2 })
  for (const name of ['a', 'b', 'c']) void ask(name)
  await settled()
  t.strictSame(started, ['a', 'b'])
  t.equal(queue.isFree, false)
  t.equal(queue.waiting('stranger'), 1)
  await endTurn()
  t.strictSame(started, ['a', 'b', 'c'])
})

t.test('networks take turns, in order of arrival within each', async t => {
  const { ask, drain } = manualQueue()
  void ask('running')
  for (const name of ['a1', 'a2', 'a3', 'b1', 'b2', 'c1']) void ask(name, { network: name.slice(0, 1) })
  t.strictSame(await drain(), ['running', 'a1', 'b1', 'c1', 'a2', 'b2', 'a3'])
})

t.test('a network without a recent turn precedes one that had a turn', async t => {
  const { ask, drain, endTurn } = manualQueue()
  for (const name of ['a', 'b', 'c']) {
    void ask(name)
    await endTurn()
  }
  void ask('running')
  for (const name of ['c', 'b', 'a', 'new']) void ask(`${name} again`, { network: name })
  t.strictSame((await drain()).slice(4), ['new again', 'a again', 'b again', 'c again'])
})

t.test('a stream of new networks does not starve one that had a turn', async t => {
  const { ask, started, endTurn } = manualQueue()
  void ask('a1', { network: 'a' })
  void ask('a2', { network: 'a' })
  for (let n = 0; n < 2 * MEMORY.stranger && !started.includes('a2'); n++) {
    void ask(`new ${n}`)
    await endTurn()
  }
  t.equal(started.at(-1), 'a2')
  t.equal(started.length, MEMORY.stranger + 2)
})

t.test('without memory networks take turns in order of arrival', async t => {
  const { ask, started, endTurn } = manualQueue()
  const lane = 'known'
  void ask('a1', { network: 'a', lane })
  void ask('a2', { network: 'a', lane })
  for (const name of ['b1', 'c1']) {
    void ask(name, { network: name.slice(0, 1), lane })
    await endTurn()
  }
  t.strictSame(started, ['a1', 'a2', 'b1'], 'earlier turns do not count')
})

t.test('lanes alternate', async t => {
  const { ask, drain } = manualQueue()
  void ask('running')
  for (const n of [1, 2, 3]) void ask(`stranger ${n}`)
  for (const n of [1, 2, 3, 4, 5]) void ask(`known ${n}`, { lane: 'known' })
  t.strictSame((await drain()).slice(1), [
    'known 1',
    'stranger 1',
    'known 2',
    'stranger 2',
    'known 3',
    'stranger 3',
    'known 4',
    'known 5',
  ])
})

t.test('a network has a limited number of places in each lane', async t => {
  const { ask, reasonOf, queue, drain } = manualQueue()
  void ask('running')
  for (const n of [1, 2, 3, 4, 5]) void ask(`a${n}`, { network: 'a' })
  void ask('known', { network: 'a', lane: 'known' })
  await settled()
  t.equal(reasonOf('a5'), 'network full')
  t.equal(queue.waiting('stranger'), 4)
  for (const n of [1, 2, 3, 4, 5]) void ask(`ours ${n}`, { network: 'ours', isUnbounded: true })
  t.equal((await drain()).length, 11, 'except an unlimited network')
})

t.test('a full lane refuses the waiter whose turn would be last', async t => {
  const { ask, refused, reasonOf, queue, drain } = manualQueue({ capacity: { known: 1, stranger: 6 } })
  void ask('running')
  for (const name of ['a1', 'a2', 'a3', 'b1', 'b2', 'c1']) void ask(name, { network: name.slice(0, 1) })
  void ask('d1', { network: 'd' })
  await settled()
  t.strictSame([...refused.keys()], ['a3'], 'the last waiter of the network with the most')
  t.equal(reasonOf('a3'), 'queue full')
  void ask('a3 again', { network: 'a' })
  await settled()
  t.strictSame([...refused.keys()], ['a3', 'a3 again'], 'a new waiter of that network is refused')
  void ask('c2', { network: 'c' })
  await settled()
  t.equal(refused.has('c2'), true, 'a waiter of a network with as many places is refused')
  void ask('known', { lane: 'known' })
  await settled()
  t.equal(queue.waiting('known'), 1, 'the other lane is separate')
  t.strictSame(await drain(), ['running', 'known', 'a1', 'b1', 'c1', 'd1', 'a2', 'b2'])
})

t.test('among networks with one waiter each the one with the latest turn is refused', async t => {
  const { ask, refused, endTurn } = manualQueue({ capacity: { known: 1, stranger: 2 } })
  for (const name of ['a', 'b']) {
    void ask(name)
    await endTurn()
  }
  void ask('running')
  for (const name of ['b', 'a']) void ask(`${name} again`, { network: name })
  void ask('new')
  await settled()
  t.strictSame([...refused.keys()], ['b again'], 'the network with the latest turn')
  void ask('newer')
  await settled()
  t.strictSame([...refused.keys()], ['b again', 'a again'])
  void ask('newest')
  await settled()
  t.strictSame([...refused.keys()], ['b again', 'a again', 'newest'], 'never a network without a turn')
})

t.test('a waiter is refused at the deadline, a running turn is not', async t => {
  const { ask, clock, refused, reasonOf, queue, drain } = manualQueue()
  void ask('running')
  void ask('waiting')
  await settled()
  clock.advance(DEADLINE - 1)
  await settled()
  t.equal(refused.size, 0)
  clock.advance(1)
  await settled()
  t.equal(reasonOf('waiting'), 'deadline')
  t.equal(queue.waiting('stranger'), 0)
  t.strictSame(await drain(), ['running'], 'a running turn has no deadline')
})

t.test('a disconnected client gets no turn and frees its place', async t => {
  const { ask, reasonOf, drain } = manualQueue()
  const connection = { destroyed: false }
  void ask('running')
  for (const n of [1, 2, 3, 4]) void ask(`a${n}`, { network: 'a', ...(n === 1 && { connection }) })
  connection.destroyed = true
  void ask('a5', { network: 'a' })
  await settled()
  t.equal(reasonOf('a1'), 'disconnected')
  const last = { destroyed: false }
  void ask('b', { connection: last })
  last.destroyed = true
  t.strictSame(await drain(), ['running', 'a2', 'a3', 'a4', 'a5'])
  t.equal(reasonOf('b'), 'disconnected')
})

t.test('Retry-After of a refusal estimates the length of the queue', async t => {
  const { ask, refused, endTurn } = manualQueue({ concurrency: 2 })
  const retryAfter = async (name: string) => {
    void ask(name, { network: 'a' })
    await settled()
    return refused.get(name)?.retryAfterMs
  }
  for (const n of [1, 2]) void ask(`running ${n}`)
  for (const n of [1, 2, 3, 4]) void ask(`a${n}`, { network: 'a' })
  t.equal(await retryAfter('early'), DEADLINE, 'the deadline before any measurement')
  await endTurn(400)
  void ask('a5', { network: 'a' })
  // Four waiting and two running: three rounds of two turns.
  t.equal(await retryAfter('later'), 3 * 400)
  await endTurn(500)
  void ask('a6', { network: 'a' })
  t.equal(await retryAfter('latest'), 3 * 500, 'moving average with a weight of one fifth')
})

t.test('invariants for any order of events (property test)', async t => {
  const NETWORKS = 6
  const PLACES = { known: 3, stranger: 8 }
  const PER_NETWORK = 3
  const step = fc.oneof(
    {
      weight: 4,
      arbitrary: fc.record({
        type: fc.constant('ask' as const),
        network: fc.nat({ max: NETWORKS - 1 }),
        lane: fc.constantFrom<Lane>('known', 'stranger'),
        isUnbounded: fc.boolean(),
      }),
    },
    { weight: 2, arbitrary: fc.record({ type: fc.constant('end' as const) }) },
    { weight: 1, arbitrary: fc.record({ type: fc.constant('disconnect' as const), who: fc.nat() }) },
    {
      weight: 1,
      arbitrary: fc.record({ type: fc.constant('time' as const), ms: fc.nat({ max: DEADLINE }) }),
    },
  )

  await fc.assert(
    fc.asyncProperty(
      fc.integer({ min: 1, max: 3 }),
      fc.nat({ max: 6 }),
      fc.array(step, { maxLength: 80 }),
      async (concurrency, memory, steps) => {
        const made = manualQueue({
          concurrency,
          capacity: PLACES,
          maxPerNetwork: PER_NETWORK,
          slotMemory: { known: memory, stranger: memory },
        })
        const { queue, started, refused, clock } = made
        interface Asked {
          name: string
          network: string
          lane: Lane
          isUnbounded: boolean
          at: number
          connection: { destroyed: boolean }
          /** Turns of others while it was the first waiter of its network, by network and lane. */
          seen: Map<string, number>
          outcome: Promise<unknown>
        }
        const all: Asked[] = []
        const isWaiting = ({ name }: Asked) => !started.includes(name) && !refused.has(name)
        let counted = 0

        /** Counts each turn for the first waiter of every network. */
        const observe = () => {
          for (; counted < started.length; counted++) {
            const turn = all.find(({ name }) => name === started[counted]) as Asked
            const earlier = all.filter(
              one => one !== turn && (isWaiting(one) || started.indexOf(one.name) > counted),
            )
            for (const one of earlier) {
              if (one.connection.destroyed) continue
              const isFirst =
                earlier.find(({ network, lane }) => network === one.network && lane === one.lane) === one
              if (!isFirst) continue
              const key = turn.lane === one.lane ? turn.network : turn.lane
              one.seen.set(key, (one.seen.get(key) ?? 0) + 1)
            }
          }
        }

        for (const [index, one] of steps.entries()) {
          if (one.type === 'ask') {
            const { lane, isUnbounded } = one
            const asked = { network: `n${one.network}`, lane, isUnbounded, connection: { destroyed: false } }
            const name = `${index}`
            const entry = {
              ...asked,
              name,
              at: clock(),
              seen: new Map(),
              outcome: Promise.resolve() as Promise<unknown>,
            }
            entry.connection = asked.connection
            all.push(entry)
            entry.outcome = made.ask(name, asked)
          }
          if (one.type === 'end') await made.endTurn()
          if (one.type === 'disconnect' && all.length > 0) {
            ;(all[one.who % all.length] as Asked).connection.destroyed = true
          }
          if (one.type === 'time') clock.advance(one.ms)
          await settled()
          observe()

          const waiting = all.filter(isWaiting)
          for (const lane of ['known', 'stranger'] as const) {
            const here = waiting.filter(other => other.lane === lane)
            if (here.length !== queue.waiting(lane) || here.length > PLACES[lane]) return false
            for (const { network } of here) {
              const bounded = here.filter(other => other.network === network && !other.isUnbounded)
              if (bounded.length > PER_NETWORK) return false
            }
          }
          if (waiting.length > 0 && queue.isFree) return false
          if (waiting.some(({ at }) => clock() - at >= DEADLINE)) return false
        }

        await made.drain()
        observe()
        await Promise.all(all.map(({ outcome }) => outcome))

        for (const one of all) {
          const others = [...one.seen].filter(([key]) => key !== 'known' && key !== 'stranger')
          const here = others.reduce((sum, [, turns]) => sum + turns, 0)
          const elsewhere = (one.seen.get('known') ?? 0) + (one.seen.get('stranger') ?? 0)
          if (others.some(([, turns]) => turns > 1)) return false
          // Each turn of the own lane allows one turn of the other lane before it.
          if (elsewhere > here + 1) return false
        }
        const fifo = (lane: Lane, network: string) => {
          const names = all
            .filter(one => one.lane === lane && one.network === network)
            .map(({ name }) => name)
          const order = started.filter(name => names.includes(name)).map(Number)
          return order.every((at, index) => index === 0 || at > (order[index - 1] as number))
        }
        return all.every(
          ({ lane, network, name }) => fifo(lane, network) && (started.includes(name) || refused.has(name)),
        )
      },
    ),
    { numRuns: 300 },
  )
  t.pass('has bounded places, settles, and gives others at most a turn each')
})
