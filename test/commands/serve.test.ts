import { once } from 'node:events'
import { existsSync, mkdtempSync, readdirSync } from 'node:fs'
import { type AddressInfo, createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Redis } from 'ioredis'
import pg from 'pg'
import t, { type Test } from 'tap'
import { databaseOver } from '#src/database/connect.ts'
import { postgresConnections } from '#src/database/postgres.ts'
import { aUser } from '../fixtures/users.ts'
import { TEST_KEY } from '../support/app.ts'
import { createPostgresDatabase } from '../support/databases.ts'
import { run, serve } from '../support/processes.ts'
import { freePort } from '../support/services.ts'

const REDIS_URL = process.env.TEST_REDIS_URL

const me = (base: string, token: string) =>
  fetch(`${base}/api/me`, { headers: { authorization: `Bearer ${token}` } })

const connect = (t: Test, url: string) => {
  const database = databaseOver({ ...postgresConnections(url, () => {}), open: async () => {} })
  t.teardown(() => database.close())
  return database
}

t.test('without settings the server starts with an embedded database and demo data', async t => {
  const folder = mkdtempSync(join(tmpdir(), 'animethemes-auth-serve-'))
  const environment = { DATA_DIR: join(folder, 'data'), HASH_ROUNDS: '4' }
  const server = await serve(t, environment)
  t.match(server.base, /^http:\/\/127\.0\.0\.1:\d+$/)

  const curl = await server.line(/curl -H/)
  const [, token = '', url = ''] = /'Authorization: Bearer (\S+)' (\S+)/.exec(curl) ?? []
  const origin = server.base.replace('127.0.0.1', 'localhost')
  t.equal(url, `${origin}/api/me`)
  const answer = await me(server.base, token)
  t.equal(answer.status, 200)
  t.match(await answer.json(), { user: { name: 'demo', email: 'demo@example.org' } })
  t.match(await server.line(/Demo user/), /demo@example\.org, password \S{12,}/)
  t.match(await server.line(/Documentation/), `${origin}/docs`)
  t.ok(existsSync(join(folder, 'data/app.key')))

  await t.test('commands use the embedded database of the running server', async t => {
    const created = await run(environment, [
      'token',
      'create',
      '--email',
      'demo@example.org',
      '--name',
      'cli',
    ])
    t.equal(created.err, '')
    t.equal(created.code, 0)
    t.equal((await me(server.base, created.out.trim())).status, 200)
    const id = created.out.split('|')[0] ?? ''
    t.equal((await run(environment, ['token', 'revoke', id])).code, 0)
    t.equal((await me(server.base, created.out.trim())).status, 401)
    const failed = await run(environment, [
      'role',
      'grant',
      '--email',
      'unknown@example.org',
      '--role',
      'Admin',
    ])
    t.equal(failed.code, 1)
    t.equal(failed.err, 'error: There is no user with the e-mail address unknown@example.org.\n')
  })

  await t.test('a second server is refused and the error names the first process', async t => {
    const second = await run({ ...environment, PORT: '0' }, ['serve'])
    t.equal(second.code, 1)
    t.match(
      second.err,
      new RegExp(
        `^error: The embedded database in .* is in use by "serve" \\(process ${server.process.pid}, since [^\\n]*\\n$`,
      ),
    )
    t.equal((await me(server.base, token)).status, 200)
  })

  await t.test('it publishes metrics, those of the process included', async t => {
    for (const _ of [1, 2]) {
      const answer = await fetch(`${server.base}/metrics`)
      t.equal(answer.status, 200)
      const text = await answer.text()
      t.match(text, /^process_cpu_user_seconds_total /m)
      t.match(text, /^http_request_duration_seconds_count\{/m)
    }
  })

  await t.test('it stops with code 0 and restarts with its data', async t => {
    t.equal(await server.stop(), 0)
    t.strictSame(
      readdirSync(join(folder, 'data')).filter(name => name.endsWith('.sock')),
      [],
    )
    const again = await serve(t, environment)
    await again.line(/token create --email demo@example\.org/)
    const listed = await run(environment, ['token', 'list', '--email', 'demo@example.org'])
    t.match(listed.out, /demo/)
    t.notMatch(listed.out, /never +never/, 'the last use of the token was stored')
    t.equal((await me(again.base, token)).status, 200)
    t.notOk(
      again.lines.some(line => line.includes('Demo user')),
      'demo secrets are printed once',
    )
    t.notMatch(
      again.lines.concat(server.lines.filter(line => line.startsWith('{'))).join('\n'),
      token.split('|')[1] ?? '',
    )
    t.equal(await again.stop('SIGINT'), 0)
  })
})

t.test(
  'two processes share rate limits over PostgreSQL and Redis',
  { skip: REDIS_URL ? false : 'no Redis was found' },
  async t => {
    const url = await createPostgresDatabase(t, { empty: true })
    const redis = new Redis(REDIS_URL ?? '')
    t.teardown(() => redis.disconnect())
    const environment = {
      DATABASE_URL: url,
      APP_KEY: TEST_KEY,
      REDIS_URL: REDIS_URL ?? '',
      APP_ENV: 'local',
      TRUSTED_PROXIES: '127.0.0.1',
    }
    const servers = await Promise.all([serve(t, environment), serve(t, environment)])
    const bases = servers.map(({ base }) => base)
    await Promise.all(servers.map(server => server.line(/the tables are up to date/)))
    t.equal(
      (await run(environment, ['seed'])).code,
      0,
      'both processes migrated the empty database concurrently',
    )
    const user = await aUser(connect(t, url))
    t.teardown(() => redis.del(`animethemes-auth:api:user:${user.id}`))
    await redis.del(`animethemes-auth:api:user:${user.id}`)

    const statuses: number[] = []
    for (let i = 0; i < 91; i += 1) {
      const answer = await me(bases[i % 2] ?? '', user.token)
      await answer.arrayBuffer()
      statuses.push(answer.status)
    }
    t.strictSame(statuses.slice(0, 90), Array(90).fill(200))
    t.equal(statuses[90], 429, 'the 91st is refused')
    for (const base of bases) t.equal((await me(base, user.token)).status, 429, 'on each process')

    await t.test('failed authentications are counted together', async t => {
      const address = `2001:db8:${Math.floor(Math.random() * 65_000).toString(16)}::1`
      const guess = (base = '', i = 0) =>
        fetch(`${base}/api/me`, {
          headers: { authorization: `Bearer ${user.tokenId}|guess${i}`, 'x-forwarded-for': address },
        })
      for (let i = 0; i < 60; i += 1) t.equal((await guess(bases[i % 2], i)).status, 401)
      for (const base of bases) t.equal((await guess(base, 99)).status, 429)
    })
    for (const server of servers) t.equal(await server.stop(), 0)
  },
)

t.test('without Redis each process enforces the limits itself', async t => {
  const url = await createPostgresDatabase(t)
  const user = await aUser(connect(t, url))
  const server = await serve(t, {
    DATABASE_URL: url,
    APP_KEY: TEST_KEY,
    APP_ENV: 'local',
    REDIS_URL: `redis://127.0.0.1:${await freePort()}`,
    RATE_LIMIT_AUTHENTICATED: '2',
  })
  await server.line(/REDIS_URL: redis does not respond/)
  const statuses: number[] = []
  for (let i = 0; i < 3; i += 1) statuses.push((await me(server.base, user.token)).status)
  t.strictSame(statuses, [200, 200, 429])
  t.equal(
    server.lines.filter(line => /REDIS_URL: redis does not respond \(.+\)/.test(line)).length,
    1,
    'the outage is logged once',
  )
  t.equal(await server.stop(), 0)
})

t.test('the server survives an outage of the database', async t => {
  const url = await createPostgresDatabase(t, { empty: true })
  const name = new URL(url).pathname.slice(1)
  const admin = new pg.Client(process.env.TEST_DATABASE_URL)
  await admin.connect()
  t.teardown(() => admin.end())
  const setReachable = async (isReachable: boolean) => {
    await admin.query(`alter database ${name} with allow_connections ${isReachable}`)
    if (!isReachable) {
      await admin.query('select pg_terminate_backend(pid) from pg_stat_activity where datname = $1', [name])
    }
  }

  await setReachable(false)
  const server = await serve(t, { DATABASE_URL: url, APP_KEY: TEST_KEY, APP_ENV: 'local' })
  const ready = async () => (await fetch(`${server.base}/health/ready`)).status
  await server.line(/The database is not available: database .* is not currently accepting connections/)
  t.equal(await ready(), 503, 'not ready before the database is there')
  t.equal((await fetch(`${server.base}/health/live`)).status, 200)
  const early = await me(server.base, '1|x')
  t.equal(early.status, 503)
  t.equal(early.headers.get('retry-after'), '5')
  t.strictSame(await early.json(), { message: 'Service Unavailable' })

  await setReachable(true)
  await server.line(/the tables are up to date/)
  t.equal(await ready(), 200)
  await server.line(/there are no permissions in the database/)
  const database = connect(t, url)
  const user = await aUser(database)
  t.equal((await me(server.base, user.token)).status, 200)

  await setReachable(false)
  t.equal((await me(server.base, user.token)).status, 503)
  t.equal(await ready(), 503)
  t.equal(server.process.exitCode, null, 'the process stays up')
  await setReachable(true)
  t.equal((await me(server.base, user.token)).status, 200, 'it recovers')
  const lines = server.lines.filter(line => /"level":[45]0/.test(line))
  t.equal(lines.filter(line => line.includes('not available')).length, 1, 'the outage is logged once')
  t.notMatch(lines.join('\n'), /"stack"/)
  t.equal(await server.stop(), 0)
})

t.test('the server keeps serving when its output is not read', async t => {
  const environment = {
    DATABASE_URL: await createPostgresDatabase(t),
    APP_KEY: TEST_KEY,
    APP_ENV: 'local',
    LOG_LEVEL: 'trace',
    RATE_LIMIT_ANONYMOUS: '1000000',
  }
  const until = async (path: string, base: string) => {
    while ((await fetch(base + path)).status !== 200);
  }

  await t.test('the reader of its output exits, as in "serve 2>&1 | head -1"', async t => {
    const server = await serve(t, environment)
    server.process.stdout?.destroy()
    server.process.stderr?.destroy()
    // The start message and each log line go to a closed pipe.
    for (let i = 0; i < 20; i += 1) t.equal((await fetch(`${server.base}/unknown`)).status, 404)
    await until('/health/ready', server.base)
    t.equal(await server.stop(), 0)
  })

  await t.test('the reader of its output stops reading', async t => {
    const server = await serve(t, environment)
    await until('/health/ready', server.base)
    server.process.stdout?.pause()
    const path = `/${'x'.repeat(7_000)}`
    for (let i = 0; i < 100; i += 1) t.equal((await fetch(server.base + path)).status, 404)
    server.process.kill('SIGTERM')
    await once(server.process, 'exit')
    t.equal(server.process.exitCode, 0, 'it exits although its output was not read')
  })
})

t.test('commands before "migrate" fail and name it', async t => {
  const environment = { DATABASE_URL: await createPostgresDatabase(t, { empty: true }), APP_KEY: TEST_KEY }
  for (const args of [
    ['token', 'list', '--email', 'demo@example.org'],
    ['seed'],
    ['role', 'grant', '--email', 'demo@example.org', '--role', 'Admin'],
  ]) {
    const { code, err } = await run(environment, args)
    t.equal(
      err,
      'error: The database lacks tables of this version: run "migrate" first, and "seed" if it is new.\n',
    )
    t.equal(code, 1)
  }
})

t.test('a server does not start with a taken port, a foreign address or without a key', async t => {
  const other = createServer().listen(0, '127.0.0.1')
  t.teardown(() => other.close())
  await once(other, 'listening')
  const port = String((other.address() as AddressInfo).port)
  const url = await createPostgresDatabase(t)
  const second = await run({ DATABASE_URL: url, APP_KEY: TEST_KEY, APP_ENV: 'local', PORT: port }, ['serve'])
  t.equal(second.code, 1)
  t.match(second.err, new RegExp(`^error: PORT=${port}: 127\\.0\\.0\\.1:${port} is in use`))

  const metrics = await run(
    { DATABASE_URL: url, APP_KEY: TEST_KEY, APP_ENV: 'local', PORT: '0', METRICS_PORT: port },
    ['serve'],
  )
  t.equal(metrics.code, 1)
  t.match(metrics.err, new RegExp(`^error: METRICS_PORT=${port}: 127\\.0\\.0\\.1:${port} is in use`))

  const foreign = await run({ DATABASE_URL: url, APP_KEY: TEST_KEY, APP_ENV: 'local', HOST: '192.0.2.1' }, [
    'serve',
  ])
  t.equal(foreign.err, 'error: HOST=192.0.2.1: this machine has no such address.\n')

  const keyless = await run({ DATABASE_URL: url }, ['serve'])
  t.equal(keyless.code, 1)
  t.match(keyless.err, /^error: APP_KEY is not set/)

  const trusting = await run({ DATABASE_URL: url, APP_KEY: TEST_KEY, TRUSTED_PROXIES: '*' }, ['serve'])
  t.match(trusting.err, /^error: TRUSTED_PROXIES=\*: expected named proxies in production/)
})
