import { once } from 'node:events'
import type { Server } from 'node:http'
import { type AddressInfo, connect } from 'node:net'
import type { FastifyInstance, FastifyReply } from 'fastify'
import pg from 'pg'
import t, { type Test } from 'tap'
import { type Database, databaseOver } from '#src/database/connect.ts'
import { keyedMutex } from '#src/database/keyed-mutex.ts'
import { postgresConnections } from '#src/database/postgres.ts'
import type { DatabaseLimits } from '#src/database/postgres-limits.ts'
import { TestBrowser } from '../fixtures/browser.ts'
import { aPlaylist } from '../fixtures/lists.ts'
import { aMember, aUser } from '../fixtures/users.ts'
import { get, send, startApp } from '../support/app.ts'
import { createDatabase, createPostgresDatabase, ENGINES } from '../support/databases.ts'
import { tcpProxy } from '../support/tcp-proxy.ts'

/** A short limit in milliseconds. */
const SHORT = 200

const SHORT_LIMITS: Partial<DatabaseLimits> = {
  lockMs: SHORT,
  cancelMs: SHORT,
  waitMs: { write: SHORT },
  statementMs: { identity: SHORT, login: 5_000, write: 2 * SHORT, list: 5_000 },
}

async function connectWithLimits(t: Test, url: string, limits: Partial<DatabaseLimits> = {}) {
  const lost: Error[] = []
  const source = postgresConnections(url, error => lost.push(error), { limits })
  const database: Database = databaseOver({ ...source, open: async () => {} })
  t.teardown(() => database.close())
  return { database, lost }
}

// PostgreSQL only: the embedded database has a single session, so no row is locked by another.
t.test('logins of a user whose row is locked do not block logins of other users', async t => {
  const url = await createPostgresDatabase(t)
  const { database } = await connectWithLimits(t, url, { waitMs: { login: SHORT } })
  const app = await startApp(t, { database })
  const [locked, other] = [await aMember(database), await aMember(database)]
  const [holder, observer] = [await connectTo(t, url), await connectTo(t, url)]
  const isLockAwaited = async () => {
    const { rows } = await observer.query(
      "select from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'",
    )
    return rows.length > 0
  }
  await holder.query('begin')
  await holder.query('select from users where id = $1 for update', [locked.id])
  const blocked = Array.from({ length: 4 }, () => new TestBrowser(app).logIn(locked))
  while (!(await isLockAwaited())) await new Promise(setImmediate)
  t.equal((await new TestBrowser(app).logIn(other)).status, 200)
  await holder.query('rollback')
  for (const { status } of await Promise.all(blocked)) t.equal(status, 200)
})

async function connectTo(t: Test, url: string) {
  const client = new pg.Client(url)
  await client.connect()
  t.teardown(() => client.end())
  return client
}

// PostgreSQL only: the embedded database has a single session, so no row is locked by another.
t.test('writes that wait for a locked row are 503, and writes of other users succeed', async t => {
  const url = await createPostgresDatabase(t)
  const { database, lost } = await connectWithLimits(t, url, SHORT_LIMITS)
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
  // Waits until one of them waits for the lock.
  for (;;) {
    const { rows } = await observer.query(
      "select from pg_stat_activity where wait_event_type = 'Lock' and datname = current_database()",
    )
    if (rows.length > 0) break
  }
  t.equal((await get(app, '/api/me', other.token)).status, 200)
  const payload = { name: 'Another', visibility: 'Public' }
  t.equal((await write(other.token, 'POST', '/api/playlist', payload)).status, 201, 'another user can write')
  for (const { status, headers, json } of await hung) {
    t.equal(status, 503)
    t.equal(headers['retry-after'], '5')
    t.strictSame(json, { message: 'Service Unavailable' })
  }
  await holder.query('commit')
  for (const { status } of await Promise.all(Array.from({ length: 12 }, rename))) t.equal(status, 200)
  t.strictSame(lost, [], 'no connection was lost')
})

t.test('the query of a list is cancelled when its client disconnects', async t => {
  const url = await createPostgresDatabase(t)
  const { database } = await connectWithLimits(t, url)
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
  const abort = new AbortController()
  const requests = Array.from({ length: 3 }, () =>
    fetch(`http://127.0.0.1:${port}/api/playlist`, { signal: abort.signal }).then(
      () => 'answered',
      () => 'aborted',
    ),
  )
  while ((await active()) === 0);
  abort.abort()
  t.strictSame(await Promise.all(requests), ['aborted', 'aborted', 'aborted'])
  while ((await active()) > 0);
  await holder.query('commit')
  t.equal((await get(app, '/api/playlist')).status, 200)
  t.notOk(
    app.logged.some(({ msg }) => msg === 'request failed'),
    'no failure is logged',
  )
})

t.test('readiness', async t => {
  for (const engine of ENGINES) {
    await t.test(`the database is checked at most once a second on ${engine}`, async t => {
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
      t.equal(statements(), 1, 'within a second')
      app.clock.advance(1)
      await get(app, '/health/ready')
      t.equal(statements(), 2)
    })
  }

  await t.test('a lost connection or an unresponsive database ends readiness', async t => {
    const proxy = await tcpProxy(t, await createPostgresDatabase(t))
    const { database, lost } = await connectWithLimits(t, proxy.url, { ...SHORT_LIMITS, connectMs: SHORT })
    const app = await startApp(t, { database })
    const ready = async () => (await get(app, '/health/ready')).status
    t.equal(await ready(), 200)
    proxy.block()
    t.equal(await ready(), 200, 'the result is cached')
    await t.rejects(database.prepare('one', 'select 1')([]), { name: 'DatabaseUnavailable' })
    t.equal(lost.length, 1)
    t.equal(await ready(), 503, 'a lost connection ends it')
    proxy.cut()
    app.clock.advance(1_001)
    t.equal(await ready(), 200)
    app.clock.advance(1_001)
    proxy.block()
    t.equal(await ready(), 503, 'it is checked again after a second')
  })
})

/** Starts a server whose token look-ups never finish, with routes that hang. */
async function startHangingServer(t: Test, environment: Record<string, string> = {}) {
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
      app.get('/started', options, (_request, reply: FastifyReply) => {
        reply.hijack()
        reply.raw.writeHead(200).write('started')
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

t.test('a request is 503 after REQUEST_TIMEOUT', async t => {
  const { app, late } = await startHangingServer(t, { REQUEST_TIMEOUT: '3' })
  const expired = [
    get(app, '/hang'),
    send(app, 'POST', '/hang', { payload: {} }),
    get(app, '/api/me', '1|x'),
    get(app, '/api/unknown', '1|x'),
  ]
  await turns(app)
  app.clock.advance(2_000)
  await turns(app)
  const recent = get(app, '/hang')
  await turns(app)
  t.equal(late.length, 3)
  app.clock.advance(2_000)
  for (const { status, headers, json } of await Promise.all(expired)) {
    t.equal(status, 503)
    t.equal(headers['retry-after'], '5')
    t.ok(headers['x-content-type-options'], 'security headers are set')
    t.strictSame(json, { message: 'Service Unavailable' })
  }
  late[0]?.fail(new Error('too late'))
  late[1]?.finish({ is: 'too late' })
  late[2]?.finish({ is: 'in time' })
  t.strictSame((await recent).json, { is: 'in time' })
  await turns(app)
  app.clock.advance(1_000)
  const errors = app.logged.filter(({ level }) => (level as number) >= 40)
  const failed = errors.reduce((sum, { count = 1 }) => sum + Number(count), 0)
  t.equal(failed, expired.length, 'each timeout is logged, and late results are not')
})

t.test('a started response is not interrupted, and a missing body is 408', async t => {
  const { app, late } = await startHangingServer(t, { REQUEST_TIMEOUT: '3' })
  const started = app.inject('/started')
  await turns(app)
  app.clock.advance(5_000)
  late[0]?.finish(null)
  t.equal((await started).body, 'started')

  await app.listen({ port: 0, host: '127.0.0.1' })
  const { port } = app.server.address() as AddressInfo
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

t.test('keyedMutex() rejects a wait longer than waitMs', async t => {
  const withLock = keyedMutex({ waitMs: SHORT })
  let finish = () => {}
  const first = withLock(
    1,
    () =>
      new Promise<void>(resolve => {
        finish = resolve
      }),
  )
  await t.rejects(
    withLock(1, async () => t.fail('the lock was granted')),
    { name: 'DatabaseBusy' },
  )
  t.equal(await withLock(2, async () => 'two'), 'two', 'other keys are independent')
  finish()
  await first
  t.equal(await withLock(1, async () => 'next'), 'next')
})

/** The interval in milliseconds at which a server checks for slow requests; Node's types lack it. */
const checkInterval = (server: Server) =>
  (server as unknown as { connectionsCheckingInterval: number }).connectionsCheckingInterval

t.test('slow clients are disconnected (Slowloris)', async t => {
  const database = await createDatabase(t, 'postgres')
  t.teardown(() => database.close())

  await t.test('a head or body that does not arrive is 408', async t => {
    // Node's own timers cannot be replaced; one second is the minimum of the setting.
    const app = await startApp(t, { database, environment: { REQUEST_TIMEOUT: '1' } })
    await app.listen({ host: '127.0.0.1', port: 0 })
    const { port } = app.server.address() as AddressInfo
    const sendSlowly = async (bytes: string) => {
      const socket = connect(port, '127.0.0.1')
      let text = ''
      socket.setEncoding('latin1').on('data', chunk => {
        text += chunk
      })
      socket.write(bytes)
      await once(socket, 'end')
      socket.destroy()
      return text
    }
    const answers = await Promise.all([
      sendSlowly('GET /api/me HTTP/1.1\r\nHost: a\r\nX-Slow: '),
      sendSlowly('GET'),
      sendSlowly(
        'POST /login HTTP/1.1\r\nHost: a\r\nSec-Fetch-Site: same-origin\r\nContent-Type: application/json\r\nContent-Length: 99\r\n\r\n{',
      ),
    ])
    for (const answer of answers) {
      t.match(answer, /^HTTP\/1\.1 408 Request Timeout\r\n/)
      t.match(answer, /\r\nconnection: close\r\n/i)
    }
  })

  await t.test('a client that does not read responses is disconnected', async t => {
    const app = await startApp(t, { database, environment: { REQUEST_TIMEOUT: '1' } })
    await app.listen({ host: '127.0.0.1', port: 0 })
    const { port } = app.server.address() as AddressInfo
    const socket = connect(port, '127.0.0.1')
    t.teardown(() => socket.destroy())
    socket.on('error', () => {}).pause()
    const [connection] = await once(app.server, 'connection')
    // More than the socket buffers of the kernel.
    socket.write('GET /openapi.json HTTP/1.1\r\nHost: a\r\n\r\n'.repeat(40))
    await once(connection, 'close')
    t.ok(connection.bytesWritten < 40 * 500_000, 'the server has not sent everything')
  })

  await t.test('heads and bodies have thirty seconds, even under a longer REQUEST_TIMEOUT', async t => {
    const app = await startApp(t, { database, environment: { REQUEST_TIMEOUT: '3600' } })
    const { headersTimeout, requestTimeout } = app.server
    t.strictSame([headersTimeout, requestTimeout], [30_000, 30_000])
    t.equal(app.server.timeout, 3_631_000, 'idle timeout of the socket')
    t.ok(checkInterval(app.server) <= 1_000, 'checked once a second')
  })

  await t.test('the idle timeout is longer than the one for requests', async t => {
    const app = await startApp(t, { database, environment: { REQUEST_TIMEOUT: '1' } })
    const { timeout, requestTimeout } = app.server
    t.ok(timeout > requestTimeout + checkInterval(app.server), 'the 408 is sent first')
  })
})
