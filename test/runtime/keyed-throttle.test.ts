import t from 'tap'
import { keyedThrottle } from '#src/runtime/keyed-throttle.ts'
import { testClock } from '../fixtures/clock.ts'

t.test('keyedThrottle()', async t => {
  await t.test('a key passes once in the interval, also when forgotten keys are swept', async t => {
    const clock = testClock(0)
    const throttle = keyedThrottle<string>(1_000, clock)
    const passes = (key: string) => {
      throttle.sweep()
      return throttle.pass(key)
    }
    t.equal(passes('a'), true)
    clock.advance(500)
    t.equal(passes('b'), true)
    clock.advance(499)
    t.equal(passes('a'), false)
    clock.advance(1)
    t.equal(throttle.pass('a'), true)
    clock.advance(499)
    t.equal(passes('b'), false)
    clock.advance(1)
    t.equal(passes('b'), true)
    t.equal(passes('a'), false, 'the interval counts from the last time that it passed')
  })

  await t.test('keys beyond the capacity pass each time, until others are swept', async t => {
    const clock = testClock(0)
    const throttle = keyedThrottle<number>(1_000, clock, 1)
    t.strictSame([1, 2, 2, 1].map(throttle.pass), [true, true, true, false])
    clock.advance(1_000)
    throttle.sweep()
    t.strictSame([2, 2].map(throttle.pass), [true, false])
  })

  await t.test('without an interval everything passes', async t => {
    const throttle = keyedThrottle<number>(0, testClock())
    t.strictSame([1, 1].map(throttle.pass), [true, true])
  })
})
