import { connect } from 'node:net'
import { sql } from 'kysely'
import t from 'tap'
import { aUser } from '../fixtures/users.ts'
import { get, startApp, type TestApp } from '../support/app.ts'
import { createDatabase } from '../support/databases.ts'
import { RawClient } from '../support/raw-client.ts'
import { until } from '../support/until.ts'

const database = await createDatabase(t, 'postgres')
t.teardown(() => database.close())

/** The number of requests that were counted with a status. */
async function countRequests(app: TestApp, status: number): Promise<number> {
  const { text } = await app.metrics.render()
  const counts = text.matchAll(
    new RegExp(`^http_request_duration_seconds_count{.*status="${status}"} (\\d+)`, 'gm'),
  )
  return [...counts].reduce((sum, [, count]) => sum + Number(count), 0)
}

/** Locks a table until the returned function is called. */
async function lockTable(table: string) {
  const session = await database.source.acquire()
  await session.query('begin', [])
  await session.query(`lock table ${table} in access exclusive mode`, [])
  return async () => {
    await session.query('rollback', [])
    await session.release()
  }
}

const isWaiting = async () => {
  // Other test files use the same PostgreSQL server.
  const { rows } = await sql`
    select from pg_locks
    where not granted and database = (select oid from pg_database where datname = current_database())`.execute(
    database.kysely,
  )
  return rows.length > 0
}

const errorLines = (app: TestApp) => app.logged.filter(({ level }) => Number(level) >= 40)

t.test('a client that disconnects during authentication counts as 499', async t => {
  const app = await startApp(t, { database })
  const user = await aUser(database)
  const unblock = await lockTable('personal_access_tokens')
  const client = await RawClient.connect(t, app)
  client.head('GET /api/me', { authorization: `Bearer ${user.token}` })
  await until(isWaiting)
  client.destroy()
  await unblock()
  await until(async () => (await countRequests(app, 499)) === 1)
  t.match(
    app.logged.find(({ msg }) => msg === 'request'),
    { level: 30, status: 499, path: '/api/me', address: '127.0.0.1' },
  )
  t.strictSame(errorLines(app), [])
})

t.test('connections that are reset at once log no error', async t => {
  const app = await startApp(t, {
    database,
    environment: { TRUSTED_PROXIES: '127.0.0.1', LOCAL_IPS: '10.0.0.0/8' },
  })
  await app.listen({ host: '127.0.0.1', port: 0 })
  const { port } = app.server.address() as { port: number }
  const user = await aUser(database)
  const heads = [
    `GET /api/me HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer ${user.token}`,
    'GET /api/playlist HTTP/1.1\r\nHost: localhost\r\nX-Forwarded-For: 198.51.100.7:80',
    'POST /login HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100000\r\nContent-Type: application/json',
    'GET /%zz HTTP/1.1\r\nHost: localhost',
    'GET / HTTP/1.1\r\nHost: localhost\r\nHost: localhost',
  ]
  for (let i = 0; i < 200; i += 1) {
    await new Promise<void>(resolve => {
      const socket = connect(port, '127.0.0.1')
      socket.on('error', () => {})
      socket.once('close', () => resolve())
      socket.write(`${heads[i % heads.length]}\r\n\r\n`, () => socket.resetAndDestroy())
    })
  }
  t.equal((await get(app, '/api/me', user.token)).status, 200)
  await until(
    () =>
      new Promise<boolean>((resolve, reject) => {
        app.server.getConnections((error, count) => (error ? reject(error) : resolve(count === 0)))
      }),
  )
  t.strictSame(errorLines(app), [])
  for (const status of [500, 502, 503]) t.equal(await countRequests(app, status), 0, String(status))
})

t.test('a request without a remote address is no error', async t => {
  for (const environment of [{}, { TRUSTED_PROXIES: '*' }, { LOCAL_IPS: '127.0.0.1' }] as Record<
    string,
    string
  >[]) {
    const app = await startApp(t, { database, environment })
    for (const url of ['/api/me', '/health/live', '/%zz', '/unknown', '/login']) {
      const answer = await app.inject({
        url,
        remoteAddress: '',
        headers: { 'x-forwarded-for': '198.51.100.7' },
      })
      t.ok(answer.statusCode < 500, `${url} ${answer.statusCode}`)
    }
    t.strictSame(errorLines(app), [])
  }
})

t.test('a write completes after its client disconnects and releases its share of connections', async t => {
  const app = await startApp(t, { database })
  const user = await aUser(database, { permissions: ['create playlist'] })
  const sendPlaylist = async (i: number) => {
    const client = await RawClient.connect(t, app)
    const body = JSON.stringify({ name: `written ${i}`, visibility: 'Private' })
    client.head('POST /api/playlist', {
      authorization: `Bearer ${user.token}`,
      'content-type': 'application/json',
      'content-length': body.length,
    })
    client.write(body)
    return client
  }
  for (let i = 1; i <= 10; i += 1) {
    const unblock = await lockTable('playlists')
    const client = await sendPlaylist(i)
    await until(isWaiting)
    client.destroy()
    await client.closed
    await unblock()
    await until(async () => (await countRequests(app, 499)) === i)
  }
  const { status } = await (await sendPlaylist(11)).answer()
  t.equal(status, 201, 'the user can write again')
  t.strictSame(errorLines(app), [])

  const written = await database.kysely
    .selectFrom('playlists')
    .select('name')
    .where('user_id', '=', user.id)
    .execute()
  t.equal(written.length, 11)
})

t.test('the use of a token is recorded although its client disconnects', async t => {
  const app = await startApp(t, { database })
  const user = await aUser(database, { permissions: ['create playlist'] })
  const unblock = await lockTable('playlists')
  const client = await RawClient.connect(t, app)
  client.head('POST /api/playlist?name=x&visibility=Private', {
    authorization: `Bearer ${user.token}`,
    'content-length': 0,
  })
  await until(isWaiting)
  client.destroy()
  await client.closed
  await unblock()
  await until(async () => (await countRequests(app, 499)) === 1)
  await app.lastUse.flush()
  const token = await database.kysely
    .selectFrom('personal_access_tokens')
    .select('last_used_at')
    .where('id', '=', user.tokenId)
    .executeTakeFirstOrThrow()
  t.not(token.last_used_at, null)
})
