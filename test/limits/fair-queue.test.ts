import fc from 'fast-check'
import t from 'tap'
import {
  type FairQueueOptions,
  fairQueue,
  type Lane,
  type QueuedCaller,
  TurnRefused,
} from '#src/runtime/fair-queue.ts'
import { testClock } from '../fixtures/clock.ts'

const DEADLINE = 5_000

const MEMORY = { known: 0, stranger: 20 }

/** A queue whose turns end on command. */
function manualQueue(options: Partial<FairQueueOptions> = {}) {
  const clock = testClock(0)
  const queue = fairQueue({
    concurrency: 1,
    places: { known: 50, stranger: 100 },
    perNetwork: 4,
    memory: MEMORY,
    deadlineMs: DEADLINE,
    schedule: clock.schedule,
    monotonic: clock,
    ...options,
  })
  const started: string[] = []
  const ends: (() => void)[] = []
  const refused = new Map<string, TurnRefused>()

  /** Ends the turn that began first of those under way, after some milliseconds. */
  const endTurn = async (ms = 0) => {
    await settled()
    clock.advance(ms)
    ends.shift()?.()
    await settled()
  }

  /** Ends all turns, and returns who got one, in order. */
  const drain = async () => {
    await settled()
    while (ends.length > 0) await endTurn()
    return started
  }

  return {
    queue,
    clock,
    /** The names of those who got a turn, in order. */
    started,
    /** Those who got none, by name. */
    refused,
    reasonOf: (name: string) => refused.get(name)?.reason,
    /** Asks for a turn. */
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
        if (!(error instanceof TurnRefused)) throw error
        refused.set(name, error)
      })
    },
    endTurn,
    drain,
  }
}

const settled = () => new Promise<void>(resolve => setImmediate(resolve))

t.test('a turn is had at once while one is free, and its result returned', async t => {
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
  t.equal(queue.isFree, true, 'failures end their turns as well')
})

t.test('turns at the same time are bounded', async t => {
  const { queue, ask, started, endTurn } = manualQueue({ concurrency: 2 })
  for (const name of ['a', 'b', 'c']) void ask(name)
  await settled()
  t.strictSame(started, ['a', 'b'])
  t.equal(queue.isFree, false)
  t.equal(queue.waiting('stranger'), 1)
  await endTurn()
  t.strictSame(started, ['a', 'b', 'c'])
})

t.test('turns go round by network, in order of arrival within each', async t => {
  const { ask, drain } = manualQueue()
  void ask('running')
  for (const name of ['a1', 'a2', 'a3', 'b1', 'b2', 'c1']) void ask(name, { network: name.slice(0, 1) })
  t.strictSame(await drain(), ['running', 'a1', 'b1', 'c1', 'a2', 'b2', 'a3'])
})

t.test('a network that had a turn lately goes after one that had none, whichever waits longer', async t => {
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

t.test('without a memory, turns go round in order of arrival', async t => {
  const { ask, started, endTurn } = manualQueue()
  const lane = 'known'
  void ask('a1', { network: 'a', lane })
  void ask('a2', { network: 'a', lane })
  for (const name of ['b1', 'c1']) {
    void ask(name, { network: name.slice(0, 1), lane })
    await endTurn()
  }
  t.strictSame(started, ['a1', 'a2', 'b1'], 'who had a turn before others came does not wait for them')
})

t.test('lanes take alternate turns', async t => {
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

t.test('a network holds a few places in each lane', async t => {
  const { ask, reasonOf, queue, drain } = manualQueue()
  void ask('running')
  for (const n of [1, 2, 3, 4, 5]) void ask(`a${n}`, { network: 'a' })
  void ask('known', { network: 'a', lane: 'known' })
  await settled()
  t.equal(reasonOf('a5'), 'network full')
  t.equal(queue.waiting('stranger'), 4)
  for (const n of [1, 2, 3, 4, 5]) void ask(`ours ${n}`, { network: 'ours', isUnbounded: true })
  t.equal((await drain()).length, 11, 'but for an unbounded one')
})

t.test('a full lane refuses whose turn would come last', async t => {
  const { ask, refused, reasonOf, queue, drain } = manualQueue({ places: { known: 1, stranger: 6 } })
  void ask('running')
  for (const name of ['a1', 'a2', 'a3', 'b1', 'b2', 'c1']) void ask(name, { network: name.slice(0, 1) })
  void ask('d1', { network: 'd' })
  await settled()
  t.strictSame([...refused.keys()], ['a3'], 'the last of the network with most waiters')
  t.equal(reasonOf('a3'), 'queue full')
  void ask('a3 again', { network: 'a' })
  await settled()
  t.strictSame([...refused.keys()], ['a3', 'a3 again'], 'who comes again displaces nobody')
  void ask('c2', { network: 'c' })
  await settled()
  t.equal(refused.has('c2'), true, 'nor does one who would have as many places')
  void ask('known', { lane: 'known' })
  await settled()
  t.equal(queue.waiting('known'), 1, 'the other lane has places of its own')
  t.strictSame(await drain(), ['running', 'known', 'a1', 'b1', 'c1', 'd1', 'a2', 'b2'])
})

t.test('of networks with one waiter each, one that had a turn lately gives way', async t => {
  const { ask, refused, endTurn } = manualQueue({ places: { known: 1, stranger: 2 } })
  for (const name of ['a', 'b']) {
    void ask(name)
    await endTurn()
  }
  void ask('running')
  for (const name of ['b', 'a']) void ask(`${name} again`, { network: name })
  void ask('new')
  await settled()
  t.strictSame([...refused.keys()], ['b again'], 'the one that had the latest')
  void ask('newer')
  await settled()
  t.strictSame([...refused.keys()], ['b again', 'a again'])
  void ask('newest')
  await settled()
  t.strictSame([...refused.keys()], ['b again', 'a again', 'newest'], 'never one that had none')
})

t.test('a caller waits until the deadline, and not for its turn to end', async t => {
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
  t.strictSame(await drain(), ['running'], 'whose deadline does not matter any more')
})

t.test('a caller that disconnected gets no turn, and holds no place', async t => {
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

t.test('a refusal tells when those who wait will have had their turns', async t => {
  const { ask, refused, endTurn } = manualQueue({ concurrency: 2 })
  const retryAfter = async (name: string) => {
    void ask(name, { network: 'a' })
    await settled()
    return refused.get(name)?.retryAfterMs
  }
  for (const n of [1, 2]) void ask(`running ${n}`)
  for (const n of [1, 2, 3, 4]) void ask(`a${n}`, { network: 'a' })
  t.equal(await retryAfter('early'), DEADLINE, 'the deadline, before any turn was measured')
  await endTurn(400)
  void ask('a5', { network: 'a' })
  // Four wait and two are under way: three rounds of two turns.
  t.equal(await retryAfter('later'), 3 * 400)
  await endTurn(500)
  void ask('a6', { network: 'a' })
  t.equal(await retryAfter('latest'), 3 * 500, '900 ms count a fifth in the average')
})

t.test('whatever comes in whatever order', async t => {
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
    { weight: 1, arbitrary: fc.record({ type: fc.constant('hang up' as const), who: fc.nat() }) },
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
          places: PLACES,
          perNetwork: PER_NETWORK,
          memory: { known: memory, stranger: memory },
        })
        const { queue, started, refused, clock } = made
        interface Asked {
          name: string
          network: string
          lane: Lane
          isUnbounded: boolean
          at: number
          connection: { destroyed: boolean }
          /** Turns of others that it saw while it waited as the first of its network, by network and lane. */
          seen: Map<string, number>
          outcome: Promise<unknown>
        }
        const all: Asked[] = []
        const isWaiting = ({ name }: Asked) => !started.includes(name) && !refused.has(name)
        let counted = 0

        /** Counts each turn for all who were first of their network when it began. */
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
          if (one.type === 'hang up' && all.length > 0) {
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
          // Each turn of the own lane, its own included, lets one of the other lane go before.
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
