import { Redis } from 'ioredis'
import t from 'tap'
import { clientAddresses } from '#src/limits/client-address.ts'
import { type Count, type Counters, memoryCounters, redisCounters } from '#src/limits/counters.ts'
import { guessLimit } from '#src/limits/guess-limit.ts'
import { steadyClock } from '#src/runtime/steady-clock.ts'
import { MINUTE, NOW, testClock } from '../fixtures/clock.ts'

const REDIS_URL = process.env.TEST_REDIS_URL
const skip = REDIS_URL ? false : 'no Redis was found'

t.test('counters in memory', async t => {
  const clock = testClock()
  const counters = memoryCounters(clock)

  t.strictSame(await counters.read('a', MINUTE), { current: 0, ttl: 0 })
  t.strictSame(await counters.hit('a', MINUTE), { current: 1, ttl: MINUTE })
  clock.advance(10_000)
  t.strictSame(await counters.hit('a', MINUTE), { current: 2, ttl: 50_000 }, 'the window is fixed')
  t.strictSame(await counters.read('a', MINUTE), { current: 2, ttl: 50_000 }, 'looking does not count')
  t.strictSame(await counters.hit('b', MINUTE), { current: 1, ttl: MINUTE }, 'keys are apart')
  clock.advance(49_999)
  t.strictSame(await counters.hit('a', MINUTE), { current: 3, ttl: 1 })
  clock.advance(1)
  t.strictSame(await counters.read('a', MINUTE), { current: 0, ttl: 0 })
  t.strictSame(await counters.hit('a', MINUTE), { current: 1, ttl: MINUTE }, 'and begins anew')
})

t.test('counters in Redis', { skip }, async t => {
  const redis = new Redis(REDIS_URL ?? '')
  t.teardown(() => redis.disconnect())
  const prefix = `test-${process.pid}-${Math.random()}`
  const changes: unknown[] = []
  const kinds = redisCounters(redis, testClock(), change => changes.push(change))
  const counters = kinds(prefix)
  const other = redisCounters(redis, testClock(), change => changes.push(change))(prefix)

  t.strictSame(await counters.read('a', MINUTE), { current: 0, ttl: 0 })
  t.match(await counters.hit('a', MINUTE), { current: 1, ttl: MINUTE })
  t.match(await other.hit('a', MINUTE), { current: 2 }, 'are shared')
  const { current, ttl } = await other.read('a', MINUTE)
  t.equal(current, 2)
  t.ok(ttl > MINUTE - 10_000 && ttl <= MINUTE, 'the window goes on')

  await redis.persist(`animethemes-auth:${prefix}:a`)
  t.match(await counters.hit('a', MINUTE), { current: 3, ttl: MINUTE }, 'a lost expiry is set anew')
  t.ok((await redis.pttl(`animethemes-auth:${prefix}:a`)) > 0)

  // As when the clock of Redis is set back.
  for (const look of ['hit', 'read'] as const) {
    await redis.pexpire(`animethemes-auth:${prefix}:a`, 60 * MINUTE)
    t.match(await counters[look]('a', MINUTE), { ttl: MINUTE }, 'an expiry that is too late is cut')
    t.ok((await redis.pttl(`animethemes-auth:${prefix}:a`)) <= MINUTE)
  }
  t.strictSame(await kinds('another kind').read('a', MINUTE), { current: 0, ttl: 0 })
  t.strictSame(changes, [])
})

t.test('counters whose Redis goes away', async t => {
  const clock = testClock()
  const changes: unknown[] = []
  let isUp = true
  let asked = 0
  let inRedis = 0
  const redis = {
    async eval() {
      asked += 1
      if (!isUp) throw new Error('gone')
      inRedis += 1
      return [inRedis, MINUTE]
    },
  } as unknown as Redis
  const counters = redisCounters(redis, clock, change => changes.push(change))('test')

  t.match(await counters.hit('a', MINUTE), { current: 1 })
  isUp = false
  t.match(await counters.hit('a', MINUTE), { current: 1 }, 'this process counts by itself')
  t.match(await counters.hit('a', MINUTE), { current: 2 })
  t.match(await counters.read('a', MINUTE), { current: 2 })
  t.equal(asked, 2, 'and does not wait for Redis at every request')
  clock.advance(1_000)
  t.match(await counters.hit('a', MINUTE), { current: 3 })
  t.equal(asked, 3, 'but tries it again after a second')
  t.equal(changes.length, 1, 'which is told once')
  t.match(changes[0], { message: 'gone' })
  isUp = true
  clock.advance(1_000)
  t.match(await counters.hit('a', MINUTE), { current: 2 }, 'until Redis is back')
  t.strictSame(changes.slice(1), [null])
})

t.test('a clock that goes on when the wall clock is set', async t => {
  const [clock, monotonic] = [testClock(), testClock(1234.5)]
  const steady = steadyClock(clock, monotonic)
  t.equal(steady(), NOW)
  for (const ms of [-60 * MINUTE, 120 * MINUTE]) {
    clock.advance(ms)
    t.equal(steady(), NOW)
  }
  monotonic.advance(1_000.4)
  t.equal(steady(), NOW + 1_000, 'in whole milliseconds')
  t.equal(steadyClock(clock, monotonic)(), NOW + 60 * MINUTE, 'another begins at the time of then')
})

const bound = (max: number) => ({ max, windowMs: MINUTE })

t.test('guessing', async t => {
  const right = async () => true
  const wrong = async () => false

  t.test('ends at the limit, without another look-up, until the minute is over', async t => {
    const clock = testClock()
    const limit = guessLimit(memoryCounters(clock), bound(3), clock)
    let lookUps = 0
    const guess = (digest: string) =>
      limit.attempt('198.51.100.7', digest, async () => {
        lookUps += 1
        return false
      })
    for (const digest of ['a', 'b', 'c']) await guess(digest)
    clock.advance(20_000)
    await t.rejects(guess('d'), { name: 'LimitExceeded', ttl: 40_000 })
    t.equal(lookUps, 3)
    await limit.attempt('203.0.113.9', 'x', wrong)
    clock.advance(40_000)
    await guess('e')
    t.equal(lookUps, 4, 'and then goes on')
  })

  t.test('does not shut out who was in within ten minutes', async t => {
    const clock = testClock()
    const limit = guessLimit(memoryCounters(clock), bound(2), clock)
    await limit.attempt('198.51.100.7', 'neighbour', right)
    const exhaust = async () => {
      for (const digest of ['a', 'b']) await limit.attempt('198.51.100.7', digest, wrong)
    }
    await exhaust()
    await limit.attempt('198.51.100.7', 'neighbour', right)
    await t.rejects(limit.attempt('198.51.100.7', 'newcomer', right), { name: 'LimitExceeded' })

    clock.advance(10 * MINUTE + 1)
    await exhaust()
    await t.rejects(
      limit.attempt('198.51.100.7', 'neighbour', right),
      { name: 'LimitExceeded' },
      'but who was not',
    )
  })

  t.test('nor who is in all the time', async t => {
    const clock = testClock()
    const limit = guessLimit(memoryCounters(clock), bound(2), clock)
    for (let n = 0; n < 3; n += 1) {
      await limit.attempt('198.51.100.7', 'neighbour', right)
      clock.advance(9 * MINUTE)
    }
    for (const digest of ['a', 'b']) await limit.attempt('198.51.100.7', digest, wrong)
    await t.resolves(limit.attempt('198.51.100.7', 'neighbour', right))
  })

  t.test('with a credential that was right and is no longer counts like any other', async t => {
    const clock = testClock()
    const limit = guessLimit(memoryCounters(clock), bound(2), clock)
    await limit.attempt('198.51.100.7', 'revoked', right)
    await limit.attempt('198.51.100.7', 'revoked', wrong)
    await limit.attempt('198.51.100.7', 'revoked', wrong)
    await t.rejects(limit.attempt('198.51.100.7', 'revoked', wrong), { name: 'LimitExceeded' })
  })

  t.test('two hundred times at once gets no further than one after the other', async t => {
    const clock = testClock()
    const slow = slowCounters(memoryCounters(clock))
    const limit = guessLimit(slow, bound(60), clock)
    let lookUps = 0
    const results = await Promise.allSettled(
      Array.from({ length: 200 }, (_, i) =>
        limit.attempt('198.51.100.7', `guess ${i}`, async () => {
          lookUps += 1
          await tick()
          return false
        }),
      ),
    )
    t.equal(lookUps, 60)
    t.equal(results.filter(result => result.status === 'rejected').length, 140)
  })

  t.test('is not let in by a count that was read before another guess failed', async t => {
    const clock = testClock()
    const counters = memoryCounters(clock)
    const reads: (() => void)[] = []
    const limit = guessLimit(
      {
        hit: (key, windowMs) => counters.hit(key, windowMs),
        async read(key, windowMs) {
          const count = await counters.read(key, windowMs)
          await new Promise<void>(resolve => reads.push(resolve))
          return count
        },
      },
      bound(1),
      clock,
    )
    const answerReads = async () => {
      await tick()
      for (const answer of reads.splice(0)) answer()
      await tick()
    }
    let fail = () => {}
    const first = limit.attempt(
      '198.51.100.7',
      'a',
      () => new Promise<boolean>(resolve => (fail = () => resolve(false))),
    )
    await answerReads()
    let isLookedUp = false
    const second = t.rejects(
      limit.attempt('198.51.100.7', 'b', async () => {
        isLookedUp = true
        return false
      }),
      { name: 'LimitExceeded' },
    )
    await tick()
    fail()
    await first
    await answerReads()
    await answerReads()
    await second
    t.equal(isLookedUp, false)
  })

  t.test('two hundred right credentials at once all get in', async t => {
    const clock = testClock()
    const limit = guessLimit(slowCounters(memoryCounters(clock)), bound(60), clock)
    const attempts = Array.from({ length: 200 }, (_, i) =>
      limit.attempt('198.51.100.7', `right ${i}`, async () => {
        await tick()
        return true
      }),
    )
    t.equal((await Promise.allSettled(attempts)).filter(result => result.status === 'rejected').length, 0)
  })

  t.test('that cannot be judged counts neither way', async t => {
    const clock = testClock()
    const limit = guessLimit(memoryCounters(clock), bound(1), clock)
    const broken = async () => {
      throw new Error('database gone')
    }
    for (let i = 0; i < 5; i += 1) {
      await t.rejects(limit.attempt('198.51.100.7', 'a', broken), { message: 'database gone' })
    }
    await limit.attempt('198.51.100.7', 'a', right)
  })
})

t.test('who a request is counted for', async t => {
  const outside = clientAddresses([])
  t.match(outside('198.51.100.7', undefined), { key: '198.51.100.7', isLocal: false })
  t.equal(
    outside('2001:db8:1:2:aaaa::1', undefined).key,
    outside('2001:db8:1:2:bbbb::9', undefined).key,
    'one /64',
  )
  t.not(outside('2001:db8:1:2::1', undefined).key, outside('2001:db8:1:3::1', undefined).key, 'two /64')
  t.equal(
    outside('198.51.100.7', '203.0.113.9').key,
    '198.51.100.7',
    'x-forwarded-ip from anybody is ignored',
  )
  t.strictSame(
    outside('127.0.0.1', undefined),
    { ip: '127.0.0.1', key: '127.0.0.1', networks: [{ key: '127.0.0.1', share: 1 }], isLocal: false },
    'nobody is local by default',
  )
  t.equal(typeof outside('', undefined).key, 'string', 'a connection that has ended')
  t.strictSame(
    outside('2001:db8:1:2:3::1', undefined).networks,
    [
      { key: '2001:db8:1:2::', share: 1 },
      { key: '2001:db8:1::/56', share: 4 },
      { key: '2001:db8:1::/48', share: 16 },
    ],
    'the networks that an IPv6 address is in, each with its share',
  )
  t.strictSame(
    outside('198.51.100.7', undefined).networks,
    [{ key: '198.51.100.7', share: 1 }],
    'an IPv4 address is one by itself',
  )

  const ours = clientAddresses(['127.0.0.1', '10.1.0.0/16', 'fd00::/8'])
  for (const ip of ['127.0.0.1', '10.1.2.3', 'fd00::7']) {
    t.equal(ours(ip, undefined).isLocal, true, `${ip} is one of ours`)
    t.strictSame(
      ours(ip, '203.0.113.9'),
      { ip, key: '203.0.113.9', networks: [{ key: '203.0.113.9', share: 1 }], isLocal: false },
      'and is believed',
    )
  }
  t.equal(ours('10.2.0.1', undefined).isLocal, false)
  t.equal(ours('10.2.0.1', '203.0.113.9').key, '10.2.0.1')
  t.strictSame(
    ours('127.0.0.1', 'nonsense'),
    {
      ip: '127.0.0.1',
      key: '127.0.0.1',
      networks: [{ key: '127.0.0.1', share: 1 }],
      isLocal: false,
    },
    'unless it passes on nonsense',
  )
  t.strictSame(ours('127.0.0.1', ['1.1.1.1', '2.2.2.2']), {
    ip: '127.0.0.1',
    key: '127.0.0.1',
    networks: [{ key: '127.0.0.1', share: 1 }],
    isLocal: false,
  })
})

const tick = () => new Promise(resolve => setImmediate(resolve))

/** Counters that take their time, as those of another machine do. */
function slowCounters(counters: Counters): Counters {
  const late = async (count: Promise<Count>) => {
    await tick()
    const result = await count
    await tick()
    return result
  }
  return {
    hit: (key, windowMs) => late(counters.hit(key, windowMs)),
    read: (key, windowMs) => late(counters.read(key, windowMs)),
  }
}
