import { Redis } from 'ioredis'
import t from 'tap'
import { clientAddressResolver } from '#src/limits/client-address.ts'
import { type Count, type Counters, memoryCounters, redisCounters } from '#src/limits/counters.ts'
import { wrongCredentialLimit } from '#src/limits/wrong-credential-limit.ts'
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
  t.strictSame(await counters.read('a', MINUTE), { current: 2, ttl: 50_000 }, 'reading does not count')
  t.strictSame(await counters.hit('b', MINUTE), { current: 1, ttl: MINUTE }, 'keys are separate')
  clock.advance(49_999)
  t.strictSame(await counters.hit('a', MINUTE), { current: 3, ttl: 1 })
  clock.advance(1)
  t.strictSame(await counters.read('a', MINUTE), { current: 0, ttl: 0 })
  t.strictSame(await counters.hit('a', MINUTE), { current: 1, ttl: MINUTE }, 'a new window')
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
  t.match(await other.hit('a', MINUTE), { current: 2 }, 'shared between processes')
  const { current, ttl } = await other.read('a', MINUTE)
  t.equal(current, 2)
  t.ok(ttl > MINUTE - 10_000 && ttl <= MINUTE, 'the window is not extended')

  await redis.persist(`animethemes-auth:${prefix}:a`)
  t.match(await counters.hit('a', MINUTE), { current: 3, ttl: MINUTE }, 'a lost expiry is set again')
  t.ok((await redis.pttl(`animethemes-auth:${prefix}:a`)) > 0)

  // As if the clock of Redis was set back.
  for (const look of ['hit', 'read'] as const) {
    await redis.pexpire(`animethemes-auth:${prefix}:a`, 60 * MINUTE)
    t.match(await counters[look]('a', MINUTE), { ttl: MINUTE }, 'an expiry in the far future is shortened')
    t.ok((await redis.pttl(`animethemes-auth:${prefix}:a`)) <= MINUTE)
  }
  t.strictSame(await kinds('another kind').read('a', MINUTE), { current: 0, ttl: 0 })
  t.strictSame(changes, [])
})

t.test('counters during an outage of Redis', async t => {
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
  t.match(await counters.hit('a', MINUTE), { current: 1 }, 'the process counts locally')
  t.match(await counters.hit('a', MINUTE), { current: 2 })
  t.match(await counters.read('a', MINUTE), { current: 2 })
  t.equal(asked, 2, 'Redis is not asked at every request')
  clock.advance(1_000)
  t.match(await counters.hit('a', MINUTE), { current: 3 })
  t.equal(asked, 3, 'Redis is tried again after a second')
  t.equal(changes.length, 1, 'the outage is reported once')
  t.match(changes[0], { message: 'gone' })
  isUp = true
  clock.advance(1_000)
  t.match(await counters.hit('a', MINUTE), { current: 2 }, 'until Redis is available')
  t.strictSame(changes.slice(1), [null])
})

t.test('steadyClock() ignores changes of the system clock', async t => {
  const [clock, monotonic] = [testClock(), testClock(1234.5)]
  const steady = steadyClock(clock, monotonic)
  t.equal(steady(), NOW)
  for (const ms of [-60 * MINUTE, 120 * MINUTE]) {
    clock.advance(ms)
    t.equal(steady(), NOW)
  }
  monotonic.advance(1_000.4)
  t.equal(steady(), NOW + 1_000, 'in whole milliseconds')
  t.equal(steadyClock(clock, monotonic)(), NOW + 60 * MINUTE, 'a new one starts at the current time')
})

const bound = (max: number) => ({ max, windowMs: MINUTE })

t.test('limits of guesses', async t => {
  const right = async () => true
  const wrong = async () => false

  t.test('guesses beyond the limit make no look-up until the window ends', async t => {
    const clock = testClock()
    const limit = wrongCredentialLimit(memoryCounters(clock), bound(3), clock)
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
    t.equal(lookUps, 4, 'a new window')
  })

  t.test('a credential that was valid within ten minutes is still accepted', async t => {
    const clock = testClock()
    const limit = wrongCredentialLimit(memoryCounters(clock), bound(2), clock)
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
      'another credential',
    )
  })

  t.test('a credential in constant use is still accepted', async t => {
    const clock = testClock()
    const limit = wrongCredentialLimit(memoryCounters(clock), bound(2), clock)
    for (let n = 0; n < 3; n += 1) {
      await limit.attempt('198.51.100.7', 'neighbour', right)
      clock.advance(9 * MINUTE)
    }
    for (const digest of ['a', 'b']) await limit.attempt('198.51.100.7', digest, wrong)
    await t.resolves(limit.attempt('198.51.100.7', 'neighbour', right))
  })

  t.test('a revoked credential counts as a guess', async t => {
    const clock = testClock()
    const limit = wrongCredentialLimit(memoryCounters(clock), bound(2), clock)
    await limit.attempt('198.51.100.7', 'revoked', right)
    await limit.attempt('198.51.100.7', 'revoked', wrong)
    await limit.attempt('198.51.100.7', 'revoked', wrong)
    await t.rejects(limit.attempt('198.51.100.7', 'revoked', wrong), { name: 'LimitExceeded' })
  })

  t.test('two hundred concurrent guesses make as many look-ups as the limit', async t => {
    const clock = testClock()
    const slow = slowCounters(memoryCounters(clock))
    const limit = wrongCredentialLimit(slow, bound(60), clock)
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

  t.test('a concurrent failed guess is counted before the next look-up', async t => {
    const clock = testClock()
    const counters = memoryCounters(clock)
    const reads: (() => void)[] = []
    const limit = wrongCredentialLimit(
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

  t.test('two hundred concurrent valid credentials are accepted', async t => {
    const clock = testClock()
    const limit = wrongCredentialLimit(slowCounters(memoryCounters(clock)), bound(60), clock)
    const attempts = Array.from({ length: 200 }, (_, i) =>
      limit.attempt('198.51.100.7', `right ${i}`, async () => {
        await tick()
        return true
      }),
    )
    t.equal((await Promise.allSettled(attempts)).filter(result => result.status === 'rejected').length, 0)
  })

  t.test('a failed look-up does not count', async t => {
    const clock = testClock()
    const limit = wrongCredentialLimit(memoryCounters(clock), bound(1), clock)
    const broken = async () => {
      throw new Error('database gone')
    }
    for (let i = 0; i < 5; i += 1) {
      await t.rejects(limit.attempt('198.51.100.7', 'a', broken), { message: 'database gone' })
    }
    await limit.attempt('198.51.100.7', 'a', right)
  })
})

t.test('clientAddresses(): the address for which a request counts', async t => {
  const outside = clientAddressResolver([])
  t.match(outside('198.51.100.7', undefined), { key: '198.51.100.7', isLocal: false })
  t.equal(
    outside('2001:db8:1:2:aaaa::1', undefined).key,
    outside('2001:db8:1:2:bbbb::9', undefined).key,
    'a /64 network',
  )
  t.not(outside('2001:db8:1:2::1', undefined).key, outside('2001:db8:1:3::1', undefined).key, 'two /64')
  t.equal(
    outside('198.51.100.7', '203.0.113.9').key,
    '198.51.100.7',
    'X-Forwarded-IP of another address is ignored',
  )
  t.strictSame(
    outside('127.0.0.1', undefined),
    { ip: '127.0.0.1', key: '127.0.0.1', networks: [{ key: '127.0.0.1', share: 1 }], isLocal: false },
    'no address is local by default',
  )
  t.equal(typeof outside('', undefined).key, 'string', 'an ended connection')
  t.strictSame(
    outside('2001:db8:1:2:3::1', undefined).networks,
    [
      { key: '2001:db8:1:2::', share: 1 },
      { key: '2001:db8:1::/56', share: 4 },
      { key: '2001:db8:1::/48', share: 16 },
    ],
    'the networks of an IPv6 address with their shares',
  )
  t.strictSame(
    outside('198.51.100.7', undefined).networks,
    [{ key: '198.51.100.7', share: 1 }],
    'an IPv4 address',
  )

  const addressOf = clientAddressResolver(['127.0.0.1', '10.1.0.0/16', 'fd00::/8'])
  for (const ip of ['127.0.0.1', '10.1.2.3', 'fd00::7']) {
    t.equal(addressOf(ip, undefined).isLocal, true, `${ip} is in LOCAL_IPS`)
    t.strictSame(
      addressOf(ip, '203.0.113.9'),
      { ip, key: '203.0.113.9', networks: [{ key: '203.0.113.9', share: 1 }], isLocal: false },
      'its X-Forwarded-IP is used',
    )
  }
  t.equal(addressOf('10.2.0.1', undefined).isLocal, false)
  t.equal(addressOf('10.2.0.1', '203.0.113.9').key, '10.2.0.1')
  t.strictSame(
    addressOf('127.0.0.1', 'nonsense'),
    {
      ip: '127.0.0.1',
      key: '127.0.0.1',
      networks: [{ key: '127.0.0.1', share: 1 }],
      isLocal: false,
    },
    'unless that is invalid',
  )
  t.strictSame(addressOf('127.0.0.1', ['1.1.1.1', '2.2.2.2']), {
    ip: '127.0.0.1',
    key: '127.0.0.1',
    networks: [{ key: '127.0.0.1', share: 1 }],
    isLocal: false,
  })
})

const tick = () => new Promise(resolve => setImmediate(resolve))

/** Counters with a delay, like those of another machine. */
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
