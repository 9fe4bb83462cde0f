import pg from 'pg'
import t, { type Test } from 'tap'
import { type Database, databaseOver } from '#src/database/connect.ts'
import type { Connection } from '#src/database/dialect.ts'
import { postgresConnections } from '#src/database/postgres.ts'
import type { DatabaseLimits } from '#src/database/postgres-limits.ts'
import { DatabaseBusy, DatabaseUnavailable } from '#src/database/unavailable.ts'
import { connectionShares } from '#src/runtime/connection-shares.ts'
import { createDatabase, createPostgresDatabase } from '../support/databases.ts'
import { tcpProxy } from '../support/tcp-proxy.ts'

/** A short limit in milliseconds. */
const SHORT = 100

/** PostgreSQL only: the embedded database has a single session without locks and cancellation. */
async function connectWithLimits(
  t: Test,
  url: string,
  limits: Partial<DatabaseLimits> = {},
  connections = 5,
) {
  const lost: Error[] = []
  const source = postgresConnections(url, error => lost.push(error), { limits, connections })
  const database: Database = databaseOver({ ...source, open: async () => {} }, { connections })
  t.teardown(() => source.close())
  return { source, database, lost }
}

/** Another client of the PostgreSQL server. */
async function connectTo(t: Test, url: string) {
  const client = new pg.Client(url)
  await client.connect()
  t.teardown(() => client.end())
  return client
}

const pidOf = async (session: Connection) =>
  (await session.query('select pg_backend_pid() as pid', [])).rows[0]?.pid

/** Waits until the server runs a statement that matches, or runs none. */
async function untilActive(client: pg.Client, pattern: string, isActive: boolean) {
  for (;;) {
    const { rows } = await client.query(
      `select from pg_stat_activity where datname = current_database() and state = 'active'
        and pid <> pg_backend_pid() and query like $1`,
      [pattern],
    )
    if (rows.length > 0 === isActive) return
  }
}

/** Blocks the event loop. */
function stall(ms: number) {
  const end = performance.now() + ms
  while (performance.now() < end);
}

t.test('shares of connections', async t => {
  t.strictSame(connectionShares(5), { identity: 1, login: 1, write: 2, list: 1 })
  t.strictSame(connectionShares(10), { identity: 2, login: 2, write: 3, list: 3 })
  t.strictSame(connectionShares(40), { identity: 8, login: 8, write: 12, list: 12 })
})

t.test('the single session of the embedded database goes to the most urgent claim', async t => {
  const { source, close } = await createDatabase(t, 'pglite')
  t.teardown(close)
  const held = await source.acquire()
  const order: string[] = []
  const gone = new AbortController()
  const given = t.rejects(
    source.acquire({ connectionClass: 'identity', signal: () => gone.signal }),
    DatabaseBusy,
  )
  const all = (['list', 'write', 'login', 'identity', 'list', 'identity'] as const).map(
    async (lane, index) => {
      const session = await source.acquire({ connectionClass: lane })
      order.push(`${lane} ${index}`)
      await session.query('select 1', [])
      await session.release()
    },
  )
  gone.abort()
  await held.release()
  await Promise.all([given, ...all])
  t.strictSame(order, ['identity 3', 'identity 5', 'login 2', 'write 1', 'list 0', 'list 4'])
})

t.test('lists leave connections for other statements', async t => {
  const url = await createPostgresDatabase(t)
  const { source, database } = await connectWithLimits(t, url, { waitMs: { list: SHORT } })
  const held = await source.acquire({ connectionClass: 'list' })
  await t.rejects(
    source.acquire({ connectionClass: 'list' }),
    DatabaseBusy,
    'the second list waits at most its limit',
  )
  t.match(await database.prepare('one', 'select 1 as one')([]), [{ one: 1 }], 'a look-up')
  for (const kysely of [database.logins, database.kysely]) {
    t.equal((await kysely.selectFrom('users').select('id').execute()).length, 0)
  }
  await held.release()
  const freed = await source.acquire({ connectionClass: 'list' })
  t.match(
    await freed.query('select 1 as one', []),
    { rows: [{ one: 1 }] },
    'the freed connection serves lists',
  )
  await freed.release()
})

t.test('a caller uses a limited share of the connections for lists', async t => {
  const url = await createPostgresDatabase(t)
  const { database } = await connectWithLimits(t, url, { waitMs: { list: SHORT } }, 10)
  let finish = () => {}
  const finished = new Promise<void>(resolve => {
    finish = resolve
  })
  const asker = (caller: string | null, isHeavy = false) => ({ caller, isHeavy, signal: undefined })
  const first = database.list(asker('a', true), () => finished)
  await t.rejects(
    database.list(asker('a'), async () => 'a'),
    DatabaseBusy,
    'one of three connections',
  )
  await t.rejects(
    database.list(asker('b', true), async () => 'b'),
    DatabaseBusy,
    'heavy queries are limited, too',
  )
  t.equal(await database.list(asker('b'), async () => 'b'), 'b')
  t.equal(await database.list(asker(null), async () => 'ours'), 'ours')
  finish()
  await first
  t.equal(await database.list(asker('a'), async () => 'a'), 'a')
})

t.test('an expensive list is limited in time and to one core', async t => {
  const url = await createPostgresDatabase(t)
  const { source } = await connectWithLimits(t, url, {
    statementMs: { identity: 1e4, login: 1e4, write: 1e4, list: SHORT },
  })
  const session = await source.acquire({ connectionClass: 'list', isReadOnly: true })
  const { rows } = await session.query(
    `select current_setting('transaction_read_only') as "readOnly",
      current_setting('max_parallel_workers_per_gather') as workers, current_setting('jit') as jit`,
    [],
  )
  t.strictSame(rows, [{ readOnly: 'on', workers: '0', jit: 'off' }])
  const pid = await pidOf(session)
  await t.rejects(session.query('select pg_sleep(60)', []), {
    name: 'DatabaseUnavailable',
    message: /timeout/,
  })
  await session.release()
  const next = await source.acquire({ connectionClass: 'list' })
  t.equal(await pidOf(next), pid, 'the connection is reused')
  await next.release()
  const other = await source.acquire()
  t.match(await other.query('show transaction_read_only', []), { rows: [{ transaction_read_only: 'off' }] })
  t.match(await other.query('show statement_timeout', []), { rows: [{ statement_timeout: '0' }] })
  await other.release()
})

t.test('a statement beyond its time limit is cancelled', async t => {
  const url = await createPostgresDatabase(t)
  const limits = { statementMs: { identity: SHORT, login: SHORT, write: SHORT, list: SHORT } }
  const { source, database, lost } = await connectWithLimits(t, url, limits)
  const other = await connectTo(t, url)
  for (const lane of ['identity', 'login', 'write', 'list'] as const) {
    const session = await source.acquire({ connectionClass: lane })
    const pid = await pidOf(session)
    await t.rejects(session.query('select pg_sleep(60)', []), DatabaseUnavailable, lane)
    await untilActive(other, '%pg_sleep%', false)
    await session.release()
    const next = await source.acquire({ connectionClass: lane })
    t.equal(await pidOf(next), pid, 'the connection is reused')
    for (let round = 0; round < 20; round += 1) await next.query('select 1', [])
    await next.release()
  }
  const patient = database.migrations
  const slept = await patient.selectNoFrom(({ fn, val }) => fn('pg_sleep', [val(0.3)]).as('slept')).execute()
  t.equal(slept.length, 1, 'migrations have no time limit')
  t.strictSame(lost, [])
})

t.test('the statement of a disconnected client is cancelled', async t => {
  const url = await createPostgresDatabase(t)
  const { source, database, lost } = await connectWithLimits(t, url)
  const other = await connectTo(t, url)
  const hangUp = new AbortController()
  const asker = { caller: 'a', isHeavy: false, signal: () => hangUp.signal }
  const list = database.list(asker, db =>
    db.selectNoFrom(({ fn, val }) => fn('pg_sleep', [val(60)]).as('slept')).execute(),
  )
  const refused = t.rejects(list, DatabaseBusy)
  await untilActive(other, '%pg_sleep%', true)
  const waiting = t.rejects(
    source.acquire({ connectionClass: 'list', signal: () => hangUp.signal }),
    DatabaseBusy,
  )
  hangUp.abort()
  await Promise.all([refused, waiting])
  await untilActive(other, '%pg_sleep%', false)
  for (let round = 0; round < 20; round += 1) {
    const session = await source.acquire({ connectionClass: 'list' })
    t.match(
      await session.query('select 1 as one', []),
      { rows: [{ one: 1 }] },
      'the next statement is not cancelled',
    )
    await session.release()
  }
  t.strictSame(lost, [])
})

t.test('waiting for a lock is limited', async t => {
  const url = await createPostgresDatabase(t)
  const { database, lost } = await connectWithLimits(t, url, { lockMs: SHORT })
  const other = await connectTo(t, url)
  await other.query('begin; lock table users')
  const insert = () =>
    database.kysely.transaction().execute(async transaction => {
      const [row] = await transaction.selectNoFrom(({ fn }) => fn('pg_backend_pid').as('pid')).execute()
      pids.push(row?.pid)
      await transaction.deleteFrom('users').execute()
    })
  const pids: unknown[] = []
  await t.rejects(insert(), { name: 'DatabaseUnavailable', cause: { code: '55P03' } })
  await other.query('commit')
  await insert()
  t.equal(pids[0], pids[1], 'the connection is reused')
  t.strictSame(lost, [])
})

t.test('an idle transaction is ended', async t => {
  const url = await createPostgresDatabase(t)
  const { database } = await connectWithLimits(t, url, { idleMs: SHORT })
  const other = await connectTo(t, url)
  const left = database.kysely.transaction().execute(async transaction => {
    await transaction.deleteFrom('users').execute()
    for (;;) {
      const { rows } = await other.query(
        "select from pg_stat_activity where datname = current_database() and state like 'idle in%'",
      )
      if (rows.length === 0) break
    }
    await transaction.deleteFrom('users').execute()
  })
  await t.rejects(left, DatabaseUnavailable)
  t.equal(
    (await database.kysely.selectFrom('users').select('id').execute()).length,
    0,
    'the next query works',
  )
})

t.test('a server that stops responding', async t => {
  const proxy = await tcpProxy(t, await createPostgresDatabase(t))
  const limits = {
    connectMs: SHORT,
    cancelMs: SHORT,
    statementMs: { identity: SHORT, login: SHORT, write: SHORT, list: SHORT },
  }
  const { database, lost } = await connectWithLimits(t, proxy.url, limits)
  const silent = database.kysely.transaction().execute(async transaction => {
    await transaction.deleteFrom('users').execute()
    proxy.block()
    await transaction.deleteFrom('users').execute()
  })
  await t.rejects(
    silent,
    { name: 'DatabaseUnavailable', message: /no response within/ },
    'the rollback does not wait either',
  )
  t.equal(lost.length, 1, 'the loss is reported once')
  const select = database.prepare('one', 'select 1 as one')
  await t.rejects(select([]), { name: 'DatabaseUnavailable', message: /no connection within/ })
  proxy.cut()
  t.match(await select([]), [{ one: 1 }])
})

t.test('nothing is sent in a broken session', async t => {
  const url = await createPostgresDatabase(t)
  const { source } = await connectWithLimits(t, url)
  const session = await source.acquire()
  const missing = { name: 'DatabaseUnavailable', cause: { code: '42P01' } }
  await t.rejects(session.query('select from nowhere', []), missing)
  await t.rejects(session.query('rollback', []), missing)
  await session.release()
})

t.test('after a blocked event loop received responses are processed before timeouts', async t => {
  const url = await createPostgresDatabase(t)
  const limits = {
    listenerMs: SHORT,
    statementMs: { identity: SHORT, login: SHORT, write: SHORT, list: SHORT },
  }
  const { source, lost } = await connectWithLimits(t, url, limits)
  for (const lane of ['identity', 'list'] as const) {
    const session = await source.acquire({ connectionClass: lane })
    await session.query('select 1', [])
    const answer = session.query('select 1 as one', [])
    stall(3 * SHORT)
    t.match(await answer, { rows: [{ one: 1 }] }, lane)
    await session.release()
  }
  const gone: Error[] = []
  const listener = await source.listen('x', { message() {}, lost: error => gone.push(error) })
  const trip = listener.roundTrip()
  stall(3 * SHORT)
  await trip
  await listener.roundTrip()
  t.strictSame([...gone, ...lost], [])
  await listener.close()
})

t.test('a session released during a transaction is not reused', async t => {
  const url = await createPostgresDatabase(t)
  const { source } = await connectWithLimits(t, url)
  const session = await source.acquire()
  const pid = await pidOf(session)
  await session.query('begin', [])
  await session.release()
  const next = await source.acquire()
  t.not(await pidOf(next), pid)
  await next.release()
})
