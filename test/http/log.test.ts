import { execFileSync } from 'node:child_process'
import { closeSync, constants, mkdtempSync, openSync, readSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setImmediate as immediate } from 'node:timers/promises'
import type { FastifyReply, FastifyRequest } from 'fastify'
import t, { type Test } from 'tap'
import { LogOutput } from '#src/http/log-output.ts'
import { createRequestLog } from '#src/http/request-log.ts'
import { NOW, testClock } from '../fixtures/clock.ts'
import { aUser } from '../fixtures/users.ts'
import { get, startApp } from '../support/app.ts'
import { createDatabase } from '../support/databases.ts'

const database = await createDatabase(t, 'postgres')
t.teardown(() => database.close())

t.test('values of secret names are redacted in the log', async t => {
  const app = await startApp(t, { database })
  const secrets = {
    authorization: 's3cret',
    cookie: 's3cret',
    'set-cookie': 's3cret',
    password: 's3cret',
    token: 's3cret',
  }
  app.log.info({ ...secrets, user: secrets, request: { headers: secrets } }, 'with secrets')
  app.log.error(
    { err: Object.assign(new Error('failed'), { params: ['s3cret'], cause: secrets }) },
    'with an error',
  )
  const lines = JSON.stringify(app.logged.filter(({ msg }) => /^with /.test(String(msg))))
  t.match(lines, '[redacted]')
  t.notMatch(lines, 's3cret')
})

t.test('LOG_REQUESTS sets which requests are logged', async t => {
  for (const [setting, expected] of [
    ['all', 20],
    ['errors', 10],
    ['0.5', 15],
    ['0.1', 11],
  ] as const) {
    const app = await startApp(t, { database, environment: { LOG_REQUESTS: setting } })
    for (let n = 0; n < 10; n += 1) {
      await get(app, '/health/live')
      await get(app, '/api/me')
    }
    const lines = app.logged.filter(({ msg }) => msg === 'request')
    t.equal(lines.length, expected, setting)
    t.equal(lines.filter(({ status }) => status === 401).length, 10, 'failed requests are always logged')
    t.ok(lines.every(({ reqId }) => typeof reqId === 'string'))
  }
})

t.test('log lines of a request have its id', async t => {
  const app = await startApp(t, {
    database,
    environment: { LOG_LEVEL: 'info' },
    routes: app => {
      app.get('/logs', { config: { access: { auth: 'none' } } }, async ({ log, id }) => {
        log.debug('not written')
        log.info({ n: 1 }, 'written')
        log.child({ part: 'x' }).warn('child line')
        return { id, level: log.level }
      })
    },
  })
  const { json } = await get(app, '/logs')
  t.equal(json.level, 'info')
  const lines = app.logged.filter(({ reqId }) => reqId === json.id)
  t.match(lines, [
    { msg: 'written', n: 1 },
    { msg: 'child line', part: 'x', level: 40 },
    { msg: 'request', status: 200 },
  ])
  t.equal(lines.length, 3)
})

t.test('the line of a request has fixed fields in a fixed order', async t => {
  const app = await startApp(t, {
    database,
    environment: { APP_ENV: 'production', APP_URL: 'http://localhost' },
  })
  const { token, id } = await aUser(database)
  app.log.info('of pino')
  await get(app, '/api/me?filter=x', token, { host: 'localhost' })
  await get(app, '/api/me', 'wrong', { host: 'localhost' })
  const own = app.logged.find(({ msg }) => msg === 'of pino')
  const [authenticated, refused] = app.logged.filter(({ msg }) => msg === 'request')
  const { pid, hostname } = own as Record<string, unknown>
  const common = { level: 30, time: NOW, pid, hostname }
  const { reqId, status, ms, authentication } = authenticated as Record<string, unknown>
  t.equal(
    JSON.stringify(authenticated),
    JSON.stringify({
      ...common,
      ...{ reqId, method: 'GET', path: '/api/me', status, ms, address: '127.0.0.1', userId: id },
      ...{ authentication, msg: 'request' },
    }),
  )
  t.match([reqId, ms, authentication], [/^[\da-f-]{36}$/, Number, 'authenticated'])
  t.strictSame(
    Object.entries(refused ?? {}).filter(([name]) => !['reqId', 'ms'].includes(name)),
    Object.entries({
      ...common,
      ...{ method: 'GET', path: '/api/me', status: 401, address: '127.0.0.1' },
      ...{ authentication: 'unknown', msg: 'request' },
    }),
  )
})

t.test('LOG_LEVEL applies to the lines of requests', async t => {
  const app = await startApp(t, { database, environment: { LOG_LEVEL: 'warn' } })
  await get(app, '/api/me')
  t.strictSame(app.logged, [])
})

t.test('the line of a request is JSON whatever the request contains', t => {
  const lines: string[] = []
  const log = createRequestLog({
    ...{ appEnv: 'local', logRequests: 1, clock: () => NOW },
    isEnabled: () => true,
    write: line => lines.push(line),
  })
  for (const text of [
    '"',
    '\\',
    '\u0000\n\u001f',
    '\ud800',
    '\udc00x',
    '\u2028',
    '😀',
    '</script>',
    'x'.repeat(70_000),
  ]) {
    const request = {
      ...{ id: text, method: text, url: `/${text}?token=secret`, clientAddress: { ip: text } },
      ...{ identity: null, authenticationOutcome: text, csrfHint: text, notStatefulBecause: text },
    }
    log(request as unknown as FastifyRequest, {} as FastifyReply, 419, 1.26)
    const line = lines.pop() ?? ''
    t.match(line, /^[^\n]*\n$/, 'one line')
    t.equal(Buffer.from(line).toString(), line, 'encoded without loss')
    const { pid, hostname, ...rest } = JSON.parse(line)
    t.strictSame(rest, {
      ...{ level: 30, time: NOW, reqId: text, method: text, path: `/${text}`, status: 419, ms: 1.3 },
      ...{ address: text, authentication: text, hint: text, notStatefulBecause: text, msg: 'request' },
    })
  }
  t.end()
})

/** Opens a pipe that the test reads. */
function openPipe(t: Test) {
  const folder = mkdtempSync(join(tmpdir(), 'animethemes-auth-log-'))
  const path = join(folder, 'pipe')
  execFileSync('mkfifo', [path])
  const reader = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK)
  const fd = openSync(path, constants.O_WRONLY | constants.O_NONBLOCK)
  let isOpen = true
  const closeReader = () => {
    if (isOpen) closeSync(reader)
    isOpen = false
  }
  t.teardown(() => {
    closeReader()
    closeSync(fd)
    rmSync(folder, { recursive: true })
  })
  return {
    fd,
    closeReader,
    /** Reads what the pipe contains. */
    read() {
      const chunks: Buffer[] = []
      for (;;) {
        const chunk = Buffer.alloc(65_536)
        try {
          const size = readSync(reader, chunk)
          if (size === 0) return Buffer.concat(chunks).toString()
          chunks.push(chunk.subarray(0, size))
        } catch {
          return Buffer.concat(chunks).toString()
        }
      }
    },
  }
}

const makeLines = (count: number, length = 1_000) =>
  Array.from({ length: count }, (_, i) => `${String(i).padEnd(length, '.')}\n`)

t.test('lines are written in order', async t => {
  const { fd, read } = openPipe(t)
  const output = new LogOutput(fd, testClock().schedule, () => {})
  for (const line of ['one\n', 'zwei ü\n', 'three\n']) output.write(line)
  await output.flush()
  t.equal(read(), 'one\nzwei ü\nthree\n')
  await output.flush()
  output.write('four\n')
  output.flushSync()
  output.write('five\n')
  await output.flush()
  t.match(read(), /^(four\n){1,2}five\n$/, 'a line that is being written during flushSync() may be repeated')
})

t.test('lines that are written within some milliseconds share a write', async t => {
  const { fd, read } = openPipe(t)
  const clock = testClock()
  const output = new LogOutput(fd, clock.schedule, () => {})
  const readSome = async () => {
    for (let turn = 0; turn < 1_000_000; turn += 1) {
      const text = read()
      if (text !== '') return text
      await immediate()
    }
    return ''
  }
  output.write('one\n')
  clock.advance(3)
  output.write('two\n')
  await immediate()
  t.equal(read(), '')
  clock.advance(1)
  t.equal(await readSome(), 'one\ntwo\n')

  await output.flush()
  output.write('three\n')
  output.flushSync()
  t.equal(read(), 'three\n', 'waiting lines are not lost at the end of the process')
  clock.advance(4)
  output.write('four\n')
  clock.advance(4)
  t.equal(await readSome(), 'four\n')
})

t.test('without a reader lines are buffered, and dropped beyond 4 MiB', async t => {
  const { fd, read } = openPipe(t)
  const clock = testClock()
  const dropped: number[] = []
  const output: LogOutput = new LogOutput(fd, clock.schedule, count => {
    dropped.push(count)
    output.write('dropped\n')
  })
  const sent = makeLines(10_000)
  for (const line of sent) output.write(line)
  let received = ''
  for (let i = 0; !received.endsWith('dropped\n'); i += 1) {
    await output.flush()
    received += read()
    clock.advance(100)
    if (i > 10_000) throw new Error('the dropped line never came')
  }
  const kept = received.slice(0, -'dropped\n'.length)
  t.ok(kept.length >= 4 * 1_048_576 && kept.length < 9 * 1_048_576, `${kept.length} bytes were kept`)
  t.ok(sent.join('').startsWith(kept), 'the first lines, complete and in order')
  t.strictSame(dropped, [sent.length - kept.length / 1_001])
})

t.test('a closed pipe (EPIPE) loses lines and throws nothing', async t => {
  const { fd, closeReader } = openPipe(t)
  const clock = testClock()
  const output = new LogOutput(fd, clock.schedule, () => {})
  closeReader()
  for (const line of makeLines(10)) output.write(line)
  await output.flush()
  clock.advance(100)
  await output.flush()
  output.flushSync()
  t.pass('flushing returns')
})
