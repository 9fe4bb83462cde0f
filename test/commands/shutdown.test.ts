import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import pg from 'pg'
import t, { type Test } from 'tap'
import { databaseOver } from '#src/database/connect.ts'
import { postgresConnections } from '#src/database/postgres.ts'
import { aUser } from '../fixtures/users.ts'
import { TEST_KEY } from '../support/app.ts'
import { createPostgresDatabase } from '../support/databases.ts'
import { type RunningServer, serve } from '../support/processes.ts'
import { RawClient } from '../support/raw-client.ts'

const MAIN = join(import.meta.dirname, '../../src/main.js')

/** Starts a server process with a user, and a database connection that can block requests. */
async function startServer(t: Test, environment: Record<string, string> = {}) {
  const url = await createPostgresDatabase(t)
  const database = databaseOver({ ...postgresConnections(url, () => {}), open: async () => {} })
  t.teardown(() => database.close())
  const { token } = await aUser(database, { permissions: ['view playlist', 'create playlist'] })
  const server = await serve(t, { DATABASE_URL: url, APP_KEY: TEST_KEY, APP_ENV: 'local', ...environment })
  await server.line(/the tables are up to date/)

  const locker = new pg.Client(url)
  await locker.connect()
  t.teardown(() => locker.end())
  const authorization = `Bearer ${token}`
  return {
    server,
    authorization,
    connect: () => RawClient.open(t, Number(new URL(server.base).port)),
    /** Blocks requests with a token until the returned function is called. */
    async block() {
      await locker.query('begin; lock table personal_access_tokens in access exclusive mode')
      return () => locker.query('rollback')
    },
    /** Resolves when a statement waits for the lock. */
    async isBlocking() {
      for (;;) {
        const { rows } = await locker.query(
          'select from pg_locks where not granted and database = (select oid from pg_database where datname = current_database())',
        )
        if (rows.length > 0) return
      }
    },
  }
}

const requestReadiness = async ({ base }: RunningServer) => (await fetch(`${base}/health/ready`)).status

t.test('SIGTERM: pending requests are answered with Connection: close', async t => {
  const { server, authorization, connect, block, isBlocking } = await startServer(t)
  const [idle, opened, slow, upload, form] = await Promise.all([
    connect(),
    connect(),
    connect(),
    connect(),
    connect(),
  ])
  idle.head('GET /health/live')
  t.equal((await idle.answer()).headers.connection, 'keep-alive')

  const json = JSON.stringify({ name: 'uploaded', visibility: 'Private' })
  upload.head('POST /api/playlist', {
    authorization,
    'content-type': 'application/json',
    'content-length': json.length,
  })
  upload.write(json.slice(0, 10))
  const fields = '_method=DELETE&x=1'
  form.head('POST /api/me/token/999', {
    authorization,
    'content-type': 'application/x-www-form-urlencoded',
    'content-length': fields.length,
  })
  form.write(fields.slice(0, 10))
  // Once this is answered the other requests were read: the server reads in the order of arrival.
  t.equal(await requestReadiness(server), 200)

  const unblock = await block()
  slow.head('GET /api/me', { authorization })
  await isBlocking()
  const exit = server.stop('SIGTERM')
  await Promise.all([idle.closed, opened.closed])
  t.pass('idle connections are closed at once')
  await t.rejects(connect(), { code: 'ECONNREFUSED' })

  upload.write(json.slice(10))
  form.write(fields.slice(10))
  await unblock()
  for (const [name, client, status] of [
    ['a request', slow, 200],
    ['an upload', upload, 201],
    ['a form', form, 404],
  ] as const) {
    const answer = await client.answer()
    t.match(answer, { status, headers: { connection: 'close' } }, `${name}: ${answer.body}`)
    await client.closed
  }
  t.equal(await exit, 0)
})

t.test('SHUTDOWN_DELAY: the server is not ready but still serves', async t => {
  const { server, authorization } = await startServer(t, { SHUTDOWN_DELAY: '1' })
  server.process.kill('SIGTERM')
  await server.line(/"stopping"/)
  const answer = await fetch(`${server.base}/health/ready`)
  t.equal(answer.status, 503)
  t.strictSame(await answer.json(), { message: 'Service Unavailable' })
  const served = await fetch(`${server.base}/api/me`, { headers: { authorization } })
  t.equal(served.status, 200)
  t.equal(served.headers.get('connection'), 'close')
  t.equal((await fetch(`${server.base}/health/live`)).status, 200)
  await once(server.process, 'exit')
  t.equal(server.process.exitCode, 0)
  t.notMatch(server.lines.join('\n'), /"level":[56]0/, 'no error is logged')
})

t.test('SIGTERM: requests in the accept queue are answered', async t => {
  const { server, connect } = await startServer(t)
  const clients = await Promise.all(Array.from({ length: 20 }, connect))
  for (const client of clients) client.head('GET /health/live')
  const exit = server.stop('SIGTERM')
  for (const client of clients) {
    t.match(await client.answer(), { status: 200, body: '{"status":"live"}' })
    await client.closed
  }
  t.equal(await exit, 0)
})

/** Sends SIGTERM as soon as the process has a listener for it. */
const SIGNAL_AT_ONCE = `data:text/javascript,process.on('newListener', name => {
  if (name === 'SIGTERM') setImmediate(() => process.kill(process.pid, name))
})`

t.test('SIGTERM during startup exits with code 0', async t => {
  const child = spawn(process.execPath, ['--import', SIGNAL_AT_ONCE, MAIN, 'serve'], { stdio: 'ignore' })
  t.teardown(() => child.kill('SIGKILL'))
  t.strictSame(await once(child, 'exit'), [0, null])
})

t.test('a second signal exits at once', async t => {
  const { server, authorization, connect, block, isBlocking } = await startServer(t)
  const unblock = await block()
  const client = await connect()
  client.head('GET /api/me', { authorization })
  await isBlocking()
  server.process.kill('SIGTERM')
  await server.line(/"stopping"/)
  t.equal(await server.stop('SIGINT'), 1)
  await client.closed
  await unblock()
})
