import { once } from 'node:events'
import type { AddressInfo } from 'node:net'
import type { FastifyInstance, FastifyReply } from 'fastify'
import pg from 'pg'
import t, { type Test } from 'tap'
import { type Database, databaseOver } from '#src/database/connect.ts'
import { keyedMutex } from '#src/database/keyed-mutex.ts'
import { postgresSource } from '#src/database/postgres.ts'
import type { DatabaseLimits } from '#src/database/postgres-limits.ts'
import { TestBrowser } from '../fixtures/browser.ts'
import { aPlaylist } from '../fixtures/lists.ts'
import { aUser } from '../fixtures/users.ts'
import { get, send, startApp } from '../support/app.ts'
import { createDatabase, createPostgresDatabase, ENGINES } from '../support/databases.ts'
import { tcpProxy } from '../support/tcp-proxy.ts'

/** Milliseconds that are over soon. */
const SOON = 200

const IMPATIENT: Partial<DatabaseLimits> = {
  lockMs: SOON,
  cancelMs: SOON,
  waitMs: { write: SOON },
  statementMs: { identity: SOON, login: 5_000, write: 2 * SOON, list: 5_000 },
}

async function open(t: Test, url: string, limits: Partial<DatabaseLimits> = {}) {
  const lost: Error[] = []
  const source = postgresSource(url, error => lost.push(error), { limits })
  const database: Database = databaseOver({ ...source, open: async () => {} })
  t.teardown(() => database.close())
  return { database, lost }
}

// PostgreSQL alone: the embedded database has one session, and nothing that holds a row against it.
t.test('logins of one user, whose row is locked, leave connections to the logins of others', async t => {
  const url = await createPostgresDatabase(t)
  const { database } = await open(t, url, { waitMs: { login: SOON } })
  const app = await startApp(t, { database })
  const password = 'Correct horse 1'
  const [locked, other] = [await aUser(database, { password }), await aUser(database, { password })]
  const [holder, observer] = [await connectTo(t, url), await connectTo(t, url)]
  const isWaitedFor = async () => {
    const { rows } = await observer.query(
      "select from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'",
    )
    return rows.length > 0
  }
  await holder.query('begin')
  await holder.query('select from users where id = $1 for update', [locked.id])
  const blocked = Array.from({ length: 4 }, () => new TestBrowser(app).logIn({ ...locked, password }))
  while (!(await isWaitedFor())) await new Promise(setImmediate)
  t.equal((await new TestBrowser(app).logIn({ ...other, password })).status, 200)
  await holder.query('rollback')
  for (const { status } of await Promise.all(blocked)) t.equal(status, 200)
})

async function connectTo(t: Test, url: string) {
  const client = new pg.Client(url)
  await client.connect()
  t.teardown(() => client.end())
  return client
}

// PostgreSQL alone: the embedded database has one session, and nothing that holds a row against it.
t.test('writes that meet a locked row', async t => {
  const url = await createPostgresDatabase(t)
  const { database, lost } = await open(t, url, IMPATIENT)
  const app = await startApp(t, { database })
  await database.kysely
    .insertInto('features')
    .values({
      name: 'App\\Features\\AllowPlaylistManagement',
      scope: '__laravel_null',
      value: 'true',
      created_at: null,
      updated_at: null,
    })
    .execute()
  const [owner, other] = [
    await aUser(database, { roles: ['Verified'] }),
    await aUser(database, { roles: ['Verified'] }),
  ]
  const { hashid } = await aPlaylist(database, owner.id)
  const write = (token: string, method: 'PUT' | 'POST' | 'DELETE', path: string, payload?: object) =>
    send(app, method, path, { headers: { authorization: `Bearer ${token}` }, ...(payload && { payload }) })
  const rename = () =>
    write(owner.token, 'PUT', `/api/playlist/${hashid}`, { name: 'Renamed', visibility: 'Public' })

  const [holder, observer] = [await connectTo(t, url), await connectTo(t, url)]
  await holder.query('begin')
  await holder.query('select from playlists for update')
  const hung = Promise.all(Array.from({ length: 12 }, rename))
  // Some of them wait for the lock by now.
  for (;;) {
    const { rows } = await observer.query(
      "select from pg_stat_activity where wait_event_type = 'Lock' and datname = current_database()",
    )
    if (rows.length > 0) break
  }
  t.equal((await get(app, '/api/me', other.token)).status, 200)
  const payload = { name: 'Another', visibility: 'Public' }
  t.equal((await write(other.token, 'POST', '/api/playlist', payload)).status, 201, 'others go on writing')
  for (const { status, headers, json } of await hung) {
    t.equal(status, 503)
    t.equal(headers['retry-after'], '5')
    t.strictSame(json, { message: 'Service Unavailable' })
  }
  await holder.query('commit')
  for (const { status } of await Promise.all(Array.from({ length: 12 }, rename))) t.equal(status, 200)
  t.strictSame(lost, [], 'no connection was given up')
})

t.test('a list of which the client hangs up', async t => {
  const url = await createPostgresDatabase(t)
  const { database } = await open(t, url)
  const app = await startApp(t, { database })
  await app.listen({ port: 0, host: '127.0.0.1' })
  const { port } = app.server.address() as AddressInfo
  const [holder, observer] = [await connectTo(t, url), await connectTo(t, url)]
  await holder.query('begin; lock table playlists')
  const active = async () => {
    const { rows } = await observer.query(
      "select from pg_stat_activity where datname = current_database() and state = 'active' and query like '%\"playlists\"%' and pid <> pg_backend_pid()",
    )
    return rows.length
  }
  const hangUp = new AbortController()
  const asked = Array.from({ length: 3 }, () =>
    fetch(`http://127.0.0.1:${port}/api/playlist`, { signal: hangUp.signal }).then(
      () => 'answered',
      () => 'hung up',
    ),
  )
  while ((await active()) === 0);
  hangUp.abort()
  t.strictSame(await Promise.all(asked), ['hung up', 'hung up', 'hung up'])
  while ((await active()) > 0);
  await holder.query('commit')
  t.equal((await get(app, '/api/playlist')).status, 200)
  t.notOk(
    app.logged.some(({ msg }) => msg === 'request failed'),
    'which is no failure of ours',
  )
})

t.test('readiness', async t => {
  for (const engine of ENGINES) {
    t.test(`is asked for once a second on ${engine}`, async t => {
      const database = await createDatabase(t, engine)
      t.teardown(() => database.close())
      const app = await startApp(t, { database })
      const statements = () => database.statements.filter(text => text.includes('kysely_migration')).length
      database.statements.length = 0
      const probes = await Promise.all(Array.from({ length: 20 }, () => get(app, '/health/ready')))
      t.ok(probes.every(({ status }) => status === 200))
      t.equal(statements(), 1)
      app.clock.advance(1_000)
      await get(app, '/health/ready')
      t.equal(statements(), 1, 'for a second')
      app.clock.advance(1)
      await get(app, '/health/ready')
      t.equal(statements(), 2)
    })
  }

  t.test('ends with a connection that is lost, and with a database that is silent', async t => {
    const proxy = await tcpProxy(t, await createPostgresDatabase(t))
    const { database, lost } = await open(t, proxy.url, { ...IMPATIENT, connectMs: SOON })
    const app = await startApp(t, { database })
    const ready = async () => (await get(app, '/health/ready')).status
    t.equal(await ready(), 200)
    proxy.block()
    t.equal(await ready(), 200, 'it is remembered')
    await t.rejects(database.prepare('one', 'select 1')([]), { name: 'DatabaseUnavailable' })
    t.equal(lost.length, 1)
    t.equal(await ready(), 503, 'until a connection is lost')
    proxy.cut()
    app.clock.advance(1_001)
    t.equal(await ready(), 200)
    app.clock.advance(1_001)
    proxy.block()
    t.equal(await ready(), 503, 'or for a second')
  })
})

/** An app whose look-ups of callers never come back, with routes that hang. */
async function startHanging(t: Test, environment: Record<string, string> = {}) {
  const database = await createDatabase(t, 'pglite')
  t.teardown(() => database.close())
  const late: { finish: (value: unknown) => void; fail: (error: Error) => void }[] = []
  const app = await startApp(t, {
    database: { ...database, prepare: () => () => new Promise(() => {}) },
    environment,
    routes: app => {
      const options = { config: { access: { auth: 'none' } } } as const
      app.get('/hang', options, () => new Promise((finish, fail) => late.push({ finish, fail })))
      app.post('/hang', options, () => new Promise((finish, fail) => late.push({ finish, fail })))
      app.get('/begun', options, (_request, reply: FastifyReply) => {
        reply.hijack()
        reply.raw.writeHead(200).write('begun')
        late.push({ finish: () => reply.raw.end(), fail() {} })
      })
    },
  })
  return { app, late }
}

const turns = async (app: FastifyInstance) => {
  await app.ready()
  for (let turn = 0; turn < 5; turn += 1) await new Promise(setImmediate)
}

t.test('no request outlives REQUEST_TIMEOUT', async t => {
  const { app, late } = await startHanging(t, { REQUEST_TIMEOUT: '3' })
  const asked = [
    get(app, '/hang'),
    send(app, 'POST', '/hang', { payload: {} }),
    get(app, '/api/me', '1|x'),
    get(app, '/api/nothing', '1|x'),
  ]
  await turns(app)
  app.clock.advance(2_000)
  await turns(app)
  const young = get(app, '/hang')
  await turns(app)
  t.equal(late.length, 3)
  app.clock.advance(2_000)
  for (const { status, headers, json } of await Promise.all(asked)) {
    t.equal(status, 503)
    t.equal(headers['retry-after'], '5')
    t.ok(headers['x-content-type-options'], 'with all that answers have')
    t.strictSame(json, { message: 'Service Unavailable' })
  }
  late[0]?.fail(new Error('too late'))
  late[1]?.finish({ is: 'too late' })
  late[2]?.finish({ is: 'in time' })
  t.strictSame((await young).json, { is: 'in time' })
  await turns(app)
  app.clock.advance(1_000)
  const errors = app.logged.filter(({ level }) => (level as number) >= 40)
  const failed = errors.reduce((sum, { count = 1 }) => sum + Number(count), 0)
  t.equal(failed, asked.length, 'the log tells of each of them, and of nothing that comes too late')
})

t.test('an answer that has begun goes on, and a body that does not come is answered 408', async t => {
  const { app, late } = await startHanging(t, { REQUEST_TIMEOUT: '3' })
  const begun = app.inject('/begun')
  await turns(app)
  app.clock.advance(5_000)
  late[0]?.finish(null)
  t.equal((await begun).body, 'begun')

  await app.listen({ port: 0, host: '127.0.0.1' })
  const { port } = app.server.address() as AddressInfo
  const { connect } = await import('node:net')
  const socket = connect(port, '127.0.0.1')
  socket.setEncoding('utf8')
  const arrived = once(app.server, 'request')
  socket.write(
    'POST /hang HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-type: application/json\r\ncontent-length: 9\r\n\r\n{',
  )
  await arrived
  await turns(app)
  app.clock.advance(5_000)
  let answer = ''
  for await (const chunk of socket) answer += chunk
  t.match(answer, /^HTTP\/1\.1 408 /)
})

t.test('what waits for its turn waits no longer than it may', async t => {
  const inTurn = keyedMutex({ waitMs: SOON })
  let finish = () => {}
  const first = inTurn(
    1,
    () =>
      new Promise<void>(resolve => {
        finish = resolve
      }),
  )
  await t.rejects(
    inTurn(1, async () => t.fail('it was its turn')),
    { name: 'DatabaseBusy' },
  )
  t.equal(await inTurn(2, async () => 'two'), 'two', 'other keys have turns of their own')
  finish()
  await first
  t.equal(await inTurn(1, async () => 'next'), 'next')
})
