import pg from 'pg'
import t from 'tap'
import { databaseOver } from '#src/database/connect.ts'
import type { Connection } from '#src/database/dialect.ts'
import { postgresConnections } from '#src/database/postgres.ts'
import { pruneSessions } from '#src/database/sessions.ts'
import { createPostgresDatabase } from '../support/databases.ts'

t.test('a connection terminated by the server', async t => {
  const url = await createPostgresDatabase(t)
  const lost: Error[] = []
  const source = postgresConnections(url, error => lost.push(error))
  t.teardown(() => source.close())
  const admin = new pg.Client(url)
  await admin.connect()
  t.teardown(() => admin.end())

  const pidOf = async (session: Connection) => {
    const { rows } = await session.query('select pg_backend_pid() as pid', [])
    return rows[0]?.pid
  }
  const end = (pid: unknown) => admin.query('select pg_terminate_backend($1)', [pid])
  const unavailable = { name: 'DatabaseUnavailable' }

  await t.test('during a statement', async t => {
    const session = await source.acquire()
    const pid = await pidOf(session)
    const slow = t.rejects(session.query('select pg_sleep(60)', []), unavailable)
    await end(pid)
    await slow
    await session.release()
  })

  await t.test('between two statements', async t => {
    const session = await source.acquire()
    const heard = new Promise<void>(resolve => {
      const known = lost.length
      const look = () => (lost.length > known ? resolve() : setImmediate(look))
      look()
    })
    await end(await pidOf(session))
    await heard
    await t.rejects(session.query('select 1', []), unavailable)
    await session.release()
  })

  await t.test('while it is idle', async t => {
    const session = await source.acquire()
    const pid = await pidOf(session)
    await session.release()
    await end(pid)
    // The pool may still hand out that connection once.
    for (let attempt = 0; attempt < 2; attempt += 1) {
      const next = await source.acquire()
      const works = await next.query('select 1 as one', []).then(
        () => true,
        error => error.name !== 'DatabaseUnavailable',
      )
      await next.release()
      if (works) return
    }
    t.fail('no connection works any more')
  })

  const session = await source.acquire()
  t.match(
    await session.query('select 1 as one', []),
    { rows: [{ one: 1 }] },
    'the pool uses another connection',
  )
  await t.rejects(
    session.query('select nothing from nowhere', []),
    unavailable,
    'a missing table counts as unavailable, since it may be about to be migrated',
  )
  await session.release()
  const other = await source.acquire()
  await t.rejects(other.query('selec 1', []), { code: '42601' }, "the server's verdict is told as it is")
  t.match(await other.query('select 2 as two', []), { rows: [{ two: 2 }] }, 'the connection is reused')
  await other.release()
})

t.test('deadlocks', async t => {
  const source = postgresConnections(await createPostgresDatabase(t), () => {})
  t.teardown(() => source.close())
  const sessions = [await source.acquire(), await source.acquire()] as const
  const lock = (session: Connection, id: number) =>
    session.query('select from permissions where id = $1 for update', [id])
  for (const [index, session] of sessions.entries()) {
    await session.query('begin', [])
    await lock(session, index + 1)
  }
  const outcomes = await Promise.allSettled(
    sessions.map(async (session, index) => {
      await lock(session, 2 - index)
      await session.query('commit', [])
    }),
  )
  const [refused, ...others] = outcomes.filter(({ status }) => status === 'rejected')
  t.match(
    refused,
    { reason: { name: 'DatabaseUnavailable', message: /deadlock/ } },
    'one transaction can be retried',
  )
  t.strictSame(others, [])
  for (const session of sessions) await session.release()
})

t.test('deletion in batches skips locked rows', async t => {
  const database = databaseOver(
    Object.assign(
      postgresConnections(await createPostgresDatabase(t), () => {}),
      { open: async () => {} },
    ),
  )
  t.teardown(() => database.close())
  const { kysely } = database
  const rows = ['a', 'b'].map(id => ({ id, payload: '{}', last_activity: 1 }))
  await kysely.insertInto('sessions').values(rows).execute()
  await kysely.transaction().execute(async transaction => {
    await transaction.selectFrom('sessions').select('id').where('id', '=', 'a').forUpdate().execute()
    t.equal(await pruneSessions(kysely, 2_000), 1, 'a locked row is kept for the next time')
  })
  t.equal(await pruneSessions(kysely, 2_000), 1)
})

t.test('statements are prepared unless disabled for a pooler', async t => {
  const url = await createPostgresDatabase(t)
  for (const [prepares, expected] of [
    [true, ['one']],
    [false, []],
  ] as const) {
    const source = postgresConnections(url, () => {}, { prepares })
    const session = await source.acquire()
    t.match(await session.query('select $1::int as n', [7], 'one'), { rows: [{ n: 7 }] })
    const { rows } = await session.query('select name from pg_prepared_statements', [])
    t.strictSame(
      rows.map(({ name }) => name),
      expected,
    )
    await session.release()
    await source.close()
  }
})

t.test('an unreachable server', async t => {
  const source = postgresConnections('postgres://unknown@127.0.0.1:1/nothing', () => {})
  t.teardown(() => source.close())
  await t.rejects(source.acquire(), { name: 'DatabaseUnavailable', message: /ECONNREFUSED/ })
})
