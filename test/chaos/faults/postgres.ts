import { setTimeout as delay } from 'node:timers/promises'
import pg from 'pg'
import { BOTH, type Fault } from '../fault.ts'
import { ROLE } from '../postgres.ts'
import { type Stand, underLoad } from '../stand.ts'

const BUSY = { busy: true }

/** Terminates all sessions of the servers. */
const terminate = ({ world }: Stand) =>
  world.postgres.query('select pg_terminate_backend(pid) from pg_stat_activity where usename = $1', [ROLE])

/** Sets whether the cluster is read-only, like a standby. */
async function setReadOnly(stand: Stand, setting: 'on' | 'off') {
  const { postgres } = stand.world
  await postgres.query(`alter system set default_transaction_read_only = ${setting}`)
  await postgres.query('select pg_reload_conf()')
  await terminate(stand)
}

/** Opens all available connections, and those that become free. */
async function occupy({ world, database }: Stand, isOver: () => boolean): Promise<void> {
  const taken: pg.Client[] = []
  while (!isOver()) {
    const client = new pg.Client(world.postgres.url(database))
    client.on('error', () => {})
    try {
      await client.connect()
      taken.push(client)
    } catch {
      await delay(10)
    }
  }
  await Promise.all(taken.map(client => client.end().catch(() => {})))
}

/** Faults of PostgreSQL. */
export const postgresFaults: Fault[] = [
  underLoad({
    name: 'PostgreSQL stopped and started',
    caches: BOTH,
    quick: [],
    tolerance: BUSY,
    isFelt: true,
    async strike({ world: { postgres }, hold }) {
      await postgres.stop()
      await hold(4)
      await postgres.start()
    },
  }),
  underLoad({
    name: 'PostgreSQL killed and started',
    caches: BOTH,
    quick: ['on'],
    tolerance: BUSY,
    isFelt: true,
    async strike({ world: { postgres }, hold }) {
      for (let n = 0; n < 2; n++) {
        await postgres.kill()
        await hold(2)
        await postgres.start()
        await hold(1)
      }
    },
  }),
  underLoad({
    name: 'PostgreSQL hung',
    caches: BOTH,
    quick: ['on'],
    tolerance: BUSY,
    isFelt: true,
    async strike({ world: { postgres }, hold }) {
      postgres.pause()
      await hold(10)
      postgres.resume()
    },
  }),
  underLoad({
    name: 'PostgreSQL read-only',
    caches: BOTH,
    quick: ['off'],
    tolerance: BUSY,
    isFelt: true,
    async strike(stand) {
      await setReadOnly(stand, 'on')
      await stand.hold(4)
      await setReadOnly(stand, 'off')
    },
  }),
  underLoad({
    name: 'PostgreSQL out of connections',
    caches: BOTH,
    quick: [],
    tolerance: BUSY,
    isFelt: true,
    async strike(stand) {
      let isOver = false
      const occupied = Promise.all([1, 2, 3, 4].map(() => occupy(stand, () => isOver)))
      // Terminated connections of the servers are taken by others.
      await terminate(stand)
      await stand.hold(5)
      isOver = true
      await occupied
    },
  }),
  underLoad({
    name: 'connections cut in mid-answer',
    caches: BOTH,
    quick: ['on'],
    tolerance: BUSY,
    isFelt: true,
    async strike({ toPostgres, hold }) {
      for (const bytes of [1, 40, 700, 2_500, 9_000]) {
        toPostgres.cutAfter(bytes)
        await hold(1)
      }
      toPostgres.cutAfter(null)
    },
  }),
  underLoad({
    name: 'sessions terminated in a storm',
    caches: BOTH,
    quick: [],
    tolerance: BUSY,
    isFelt: true,
    async strike(stand) {
      for (let n = 0; n < 40; n++) {
        await terminate(stand)
        await stand.hold(0.1)
      }
    },
  }),
]
