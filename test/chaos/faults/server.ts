import { execFile } from 'node:child_process'
import { connect } from 'node:net'
import { setTimeout as delay } from 'node:timers/promises'
import { promisify } from 'node:util'
import pg from 'pg'
import { BOTH, type Fault, ONCE, type Result, type World } from '../fault.ts'
import { describe, send } from '../http.ts'
import type { User } from '../seed.ts'
import { Instance, MAIN, minimal } from '../server.ts'
import { SlowRequest } from '../slow-request.ts'
import { complaints, logLines, resultOf, type Stand, settings, underLoad, withStand } from '../stand.ts'
import { NOTHING } from '../workload.ts'

const ERROR = 50

/** Faults of instances and of clients. */
export const serverFaults: Fault[] = [
  underLoad({
    name: 'instance killed while writing',
    caches: BOTH,
    quick: ['on'],
    // The other instance must not be affected.
    tolerance: NOTHING,
    isFelt: true,
    async strike({ world, instances, hold }) {
      for (const instance of world.isQuick ? instances : [...instances, ...instances]) {
        await instance.end('SIGKILL')
        await hold(0.3)
        await instance.start()
        await hold(0.7)
      }
    },
  }),
  underLoad({
    name: 'instances restarted in a storm',
    caches: BOTH,
    quick: ['off'],
    tolerance: NOTHING,
    isFelt: true,
    async strike({ world, instances, problems, hold }) {
      const times = world.isQuick ? 1 : 3
      for (const instance of Array.from({ length: times }, () => instances).flat()) {
        const { code, signal } = await instance.end('SIGTERM')
        if (code !== 0)
          problems.push(`SIGTERM to ${instance.name}: expected exit code 0, got ${code ?? signal}`)
        await instance.start()
        await hold(0.2)
      }
    },
  }),
  {
    name: 'two instances start on an empty database',
    caches: BOTH,
    quick: [],
    run: startOnEmpty,
  },
  {
    name: 'SIGTERM with requests under way',
    caches: ONCE,
    quick: ONCE,
    run: (world, cache, folder) => withStand(world, cache, folder, stopWhileAsked),
  },
  underLoad({
    name: 'clients reset their connections',
    caches: ONCE,
    quick: ONCE,
    tolerance: NOTHING,
    isFelt: false,
    async strike({ instances, users, problems, hold }) {
      const [user] = users as [User]
      for (let round = 0; round < 10; round++) {
        for (const { base } of instances) for (let n = 0; n < 30; n++) resetConnection(base, user.token, n)
        await hold(0.3)
      }
      for (const instance of instances) {
        for (const { level = 0, err, status = 0, text } of logLines(instance)) {
          if (status >= 500 || (level >= ERROR && err?.stack !== undefined)) {
            problems.push(`${instance.name} has in its log: ${text.slice(0, 300)}`)
          }
        }
      }
    },
  }),
]

/** Starts a request and resets the connection: at once, during the body, or during the response. */
function resetConnection(base: string, token: string, n: number) {
  const { hostname, port } = new URL(base)
  const socket = connect(Number(port), hostname)
  socket.on('error', () => {})
  const head = (line: string, ...headers: string[]) =>
    [`${line} HTTP/1.1`, `Host: ${hostname}`, `Authorization: Bearer ${token}`, ...headers, '', ''].join(
      '\r\n',
    )
  const post = head('POST /api/playlist', 'Content-Type: application/json', 'Content-Length: 1000')
  const texts = [
    head('GET /api/me'),
    `${post}{"name":`,
    head('GET /api/playlist'),
    head('GET /api/me').slice(0, 20),
    head('POST /login', 'Origin: http://localhost:3000', 'Content-Length: 10'),
  ]
  socket.once('connect', () => {
    socket.write(texts[n % texts.length] as string)
    setTimeout(() => socket.resetAndDestroy(), (n % 6) * 2)
  })
}

/** Starts two instances concurrently on an empty database and uses both. */
async function startOnEmpty(world: World, cache: 'off' | 'on', folder: string): Promise<Result> {
  const environment = {
    ...settings(),
    DATABASE_URL: world.postgres.url(await world.database({ empty: true })),
    REDIS_URL: world.redis.url,
    IDENTITY_CACHE: cache,
  }
  const command = async (...args: string[]) => {
    const env = { ...minimal(), ...environment }
    const { stdout } = await promisify(execFile)(process.execPath, [MAIN, ...args], { env, cwd: folder })
    return stdout.trim()
  }
  const instances = [
    await Instance.create('A', folder, environment),
    await Instance.create('B', folder, environment),
  ]
  const wrong: string[] = []
  const client = new pg.Client(environment.DATABASE_URL)
  try {
    for (const instance of instances) instance.spawn()
    await Promise.all(instances.map(instance => instance.ready()))
    await client.connect()
    const { rows } = await client.query(
      'select count(*)::int as count, count(distinct name)::int as names from kysely_migration',
    )
    const { count, names } = rows[0]
    if (count === 0 || count !== names)
      wrong.push(`expected each migration once, got ${count} of ${names} names`)
    await command('seed')
    const email = 'first@example.org'
    await command(
      'user',
      'create',
      '--name',
      'first',
      '--email',
      email,
      '--password',
      'Correct horse 1',
      '--verified',
    )
    const token = await command('token', 'create', '--email', email, '--name', 'first')
    for (const { base, name } of instances) {
      const outcome = await send(base, { path: '/api/me', token })
      const isRight = outcome.kind === 'answer' && outcome.status === 200
      if (!isRight) wrong.push(`GET /api/me on ${name}: expected 200, got ${describe(outcome)}`)
    }
    for (const instance of instances) wrong.push(...complaints(instance))
    return { requests: instances.length, acknowledged: 0, wrong, lost: [], recovery: null }
  } finally {
    await client.end()
    await Promise.all(instances.map(instance => instance.end('SIGKILL')))
  }
}

/** The limit for the exit of the server with a margin, in milliseconds. */
const MOST_MS = 12_000

/** Stops an instance with a request that waits for a lock, an upload and a form on keep-alive connections. */
async function stopWhileAsked(stand: Stand): Promise<Result> {
  const { world, instances, users, database, problems, workload } = stand
  const [{ base, name }, instance] = [instances[0], instances[0]]
  const [slow, uploading, filling] = users as [User, User, User]

  const locker = new pg.Client(world.postgres.url(database))
  await locker.connect()
  await locker.query('begin')
  await locker.query('select from users where id = $1 for update', [slow.id])

  const json = (called: string, more = {}) => JSON.stringify({ name: called, visibility: 'Private', ...more })
  const form = new URLSearchParams({ name: 'form', visibility: 'Private', description: 'x'.repeat(900) })
  const type = { json: 'application/json', form: 'application/x-www-form-urlencoded' }
  const requests = await Promise.all([
    SlowRequest.begin(base, { key: 'slow', token: slow.token, type: type.json, body: json('slow') }),
    SlowRequest.begin(base, {
      key: 'upload',
      token: uploading.token,
      type: type.json,
      body: json('upload', { padding: 'x'.repeat(600_000) }),
    }),
    SlowRequest.begin(base, { key: 'form', token: filling.token, type: type.form, body: form.toString() }),
  ])
  const [waiting, ...sending] = requests as [SlowRequest, SlowRequest, SlowRequest]
  waiting.finish()
  await delay(400)

  const ended = instance.end('SIGTERM')
  const from = performance.now()
  await delay(300)
  const outcome = await send(base, { path: '/health/ready' })
  const isReady = outcome.kind === 'answer' && outcome.status !== 503
  if (isReady)
    problems.push(`GET /health/ready after SIGTERM: expected no answer or 503, got ${describe(outcome)}`)
  for (const request of sending) request.finish()
  await delay(300)
  await locker.query('commit')
  for (const request of requests) {
    const acknowledge = workload.ledger.sent('playlist', request.key)
    const answer = await request.answer
    workload.requests += 1
    const got = answer.kind === 'answer' ? `${answer.status}, Connection: ${answer.connection}` : answer.error
    if (got === '201, Connection: close') acknowledge()
    else problems.push(`the ${request.key} under way: expected 201, Connection: close, got ${got}`)
  }
  const { code, signal } = await ended
  const ms = performance.now() - from
  if (code !== 0) problems.push(`SIGTERM to ${name}: expected exit code 0, got ${code ?? signal}`)
  if (ms > MOST_MS) problems.push(`SIGTERM to ${name}: it took ${Math.round(ms)} ms`)
  await locker.end()
  return resultOf(stand, null)
}
