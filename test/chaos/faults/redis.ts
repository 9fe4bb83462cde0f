import { BOTH, type Fault } from '../fault.ts'
import { underLoad } from '../stand.ts'

/** Without an answer from Redis each instance counts by itself: callers notice nothing but a moment's wait. */
const UNNOTICED = { busy: false, slowMs: 3_000 }

/** Less than an empty Redis has. */
const FULL_BYTES = 1_000

/** What happens to Redis. */
export const redisFaults: Fault[] = [
  underLoad({
    name: 'Redis stopped and started',
    caches: BOTH,
    quick: [],
    tolerance: UNNOTICED,
    isFelt: false,
    async strike({ world: { redis }, hold }) {
      await redis.stop()
      await hold(3)
      await redis.start()
    },
  }),
  underLoad({
    name: 'Redis hung',
    caches: BOTH,
    quick: ['on'],
    tolerance: UNNOTICED,
    isFelt: false,
    async strike({ world: { redis }, hold }) {
      redis.pause()
      await hold(4)
      redis.resume()
    },
  }),
  underLoad({
    name: 'Redis slow',
    caches: BOTH,
    quick: [],
    tolerance: UNNOTICED,
    isFelt: false,
    async strike({ toRedis, hold }) {
      for (const ms of [150, 700]) {
        toRedis.delay(ms)
        await hold(2)
      }
      toRedis.delay(0)
    },
  }),
  underLoad({
    name: 'Redis full',
    caches: BOTH,
    quick: [],
    tolerance: UNNOTICED,
    isFelt: false,
    async strike({ world: { redis }, hold }) {
      await redis.setMaxMemory(FULL_BYTES)
      await hold(3)
      await redis.setMaxMemory(0)
    },
  }),
]
