import { BOTH, type Fault } from '../fault.ts'
import { underLoad } from '../stand.ts'

/** Without Redis each instance counts locally, so that callers notice a short delay only. */
const UNNOTICED = { busy: false, slowMs: 3_000 }

/** Less memory than an empty Redis uses. */
const FULL_BYTES = 1_000

/** Faults of Redis. */
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
