import { spawn } from 'node:child_process'
import { once } from 'node:events'
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs'
import { connect } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import t, { type Test } from 'tap'
import { loadConfig } from '#src/config/load.ts'
import { withAppKey } from '#src/config/persisted-key.ts'
import type { ConnectionSource } from '#src/database/dialect.ts'
import { EmbeddedDatabaseInUse, openEmbedded } from '#src/database/embedded.ts'
import { socketPath } from '#src/database/embedded-socket.ts'

// One directory serves all tests, in this order: a new database takes seconds.
const dataDir = join(mkdtempSync(join(tmpdir(), 'animethemes-auth-embedded-')), 'data')
mkdirSync(join(dataDir, 'database.unfinished'), { recursive: true })
writeFileSync(join(dataDir, 'database.unfinished/PG_VERSION'), '18\n')
t.teardown(() => rmSync(join(dataDir, '..'), { recursive: true, force: true }))
const files = (pattern: RegExp) => readdirSync(dataDir).filter(name => pattern.test(name))
const socketFile = () => join(dataDir, files(/\.sock$/)[0]!)

const script = `
import { createInterface } from 'node:readline'
const [, url, options] = process.argv
const { openEmbedded } = await import(url)
let source, session
const calls = {
  open: async () => { source = await openEmbedded(JSON.parse(options)) },
  acquire: async () => { session = await source.acquire() },
  query: (sql, parameters = []) => session.query(sql, parameters),
  release: () => session.release(),
  close: () => source.close(),
}
console.log('{}')
for await (const line of createInterface({ input: process.stdin })) {
  const [call, ...rest] = JSON.parse(line)
  const answer = await calls[call](...rest).then(
    result => ({ result }),
    ({ name, message, code }) => ({ error: { name, message, code } }),
  )
  console.log(JSON.stringify(answer))
}
`

interface Answer {
  result?: { rows: Record<string, unknown>[]; affected: number }
  error?: { name: string; message: string; code?: string }
}

/** A process that opens the database and so on when told, and ends when its input does. */
async function startProcess(command: string, more: { share?: boolean; idleLimit?: number } = {}) {
  const url = new URL('../../src/database/embedded.js', import.meta.url).href
  const options = JSON.stringify({ dataDir, command, share: false, ...more })
  const child = spawn(process.execPath, ['--input-type=module', '-e', script, url, options], {
    stdio: ['pipe', 'pipe', 'inherit'],
  })
  t.teardown(() => child.kill('SIGKILL'))
  const exit = once(child, 'exit') as Promise<[code: number | null, signal: string | null]>
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]()
  await lines.next()
  return {
    pid: child.pid,
    async call(...call: unknown[]): Promise<Answer> {
      child.stdin.write(`${JSON.stringify(call)}\n`)
      const line = await lines.next()
      return line.done ? {} : (JSON.parse(line.value) as Answer)
    },
    end() {
      child.stdin.end()
      return exit
    },
    kill() {
      child.kill('SIGKILL')
      return exit
    },
  }
}

async function run(source: ConnectionSource, sql: string, parameters: unknown[] = []) {
  const session = await source.acquire()
  try {
    return await session.query(sql, parameters)
  } finally {
    await session.release()
  }
}

const countOf = async (source: ConnectionSource, note: string) =>
  (await run(source, 'select count(*) from notes where note = $1', [note])).rows[0]?.count

/** What node-postgres answers with this project's settings. */
async function checkValues(t: Test, source: ConnectionSource) {
  const { rows } = await run(
    source,
    `select 9007199254740991::bigint as big, 7 as small, 1.5::float8 as float, '12.50'::numeric as exact,
      true as yes, null::text as nothing, '2026-03-01 12:34:56.123456'::timestamp as moment,
      '2026-03-01 12:34:56+00'::timestamptz as zoned, '2026-03-01'::date as day,
      '{"a": [1, null]}'::json as js, '{"a": "ü"}'::jsonb as jsb, '{1,2,NULL}'::bigint[] as bigs,
      array['2026-03-01'::timestamp] as moments, array['2026-03-01'::date] as days, array[1.50] as exacts,
      array['{"a":1}'::jsonb] as jsbs, array[true, false] as bools, array['a"b', 'c,\\d', '', null] as texts`,
  )
  t.strictSame(rows, [
    {
      big: 9007199254740991,
      small: 7,
      float: 1.5,
      exact: '12.50',
      yes: true,
      nothing: null,
      moment: '2026-03-01 12:34:56.123456',
      zoned: '2026-03-01 12:34:56+00',
      day: '2026-03-01',
      js: { a: [1, null] },
      jsb: { a: 'ü' },
      bigs: [1, 2, null],
      moments: ['2026-03-01 00:00:00'],
      days: ['2026-03-01'],
      exacts: ['1.50'],
      jsbs: [{ a: 1 }],
      bools: [true, false],
      texts: ['a"b', 'c,\\d', '', null],
    },
  ])
  const parameters: [type: string, value: unknown, text: string | null][] = [
    ['bigint', 12, '12'],
    ['bigint', '9007199254740993', '9007199254740993'],
    ['bigint', undefined, null],
    ['float8', Number.NaN, 'NaN'],
    ['text', 'ünï "x" \\ \u2028', 'ünï "x" \\ \u2028'],
    ['text', 5, '5'],
    ['text', true, 'true'],
    ['text', null, null],
    ['text', ['a', 1], '{"a","1"}'],
    ['jsonb', '{"a":1}', '{"a": 1}'],
    ['jsonb', '"a"', '"a"'],
    ['jsonb', 5, '5'],
    ['json', '[1]', '[1]'],
    ['timestamp', '2026-03-01 12:34:56.123456', '2026-03-01 12:34:56.123456'],
    ['boolean', true, 'true'],
    ['boolean', 'tru', 'true'],
    ['boolean', 0, 'false'],
    ['bytea', '\\x00ff', '\\x00ff'],
    ['bigint[]', [1, '2', null, undefined], '{1,2,NULL,NULL}'],
    [
      'bigint[]',
      [
        [1, 2],
        [3, 4],
      ],
      '{{1,2},{3,4}}',
    ],
    ['bigint[]', [], '{}'],
    ['timestamp[]', ['2026-03-01 12:00:00'], '{"2026-03-01 12:00:00"}'],
    ['text[]', ['a"b', '\\', '', 'NULL', 'c,d'], '{"a\\"b","\\\\","","NULL","c,d"}'],
    ['jsonb[]', ['{"a":1}'], '{"{\\"a\\": 1}"}'],
  ]
  for (const [type, value, text] of parameters) {
    const { rows } = await run(source, `select $1::${type}::text as text`, [value])
    t.equal(rows[0]?.text, text, `${typeof value} as ${type}`)
  }
  await t.rejects(run(source, 'select $1::bigint', [7.5]), { code: '22P02' })
  await t.rejects(run(source, 'select $1::timestamp', [5]), { code: '22007' })
}

t.test('in one process', async t => {
  const source = await openEmbedded({ dataDir, command: 'first', share: false })
  t.equal(statSync(socketFile()).mode & 0o777, 0o600)
  t.strictSame(files(/unfinished/), [], 'what a killed first opening left is gone')

  await run(
    source,
    `create table notes (id bigint generated by default as identity primary key, note text unique);
     create table other (id int)`,
  )
  const inserted = await run(source, 'insert into notes (note) values ($1), ($2) returning id', ['a', 'b'])
  t.strictSame(inserted, { rows: [{ id: 1 }, { id: 2 }], affected: 2 })
  t.equal((await run(source, 'select * from notes')).affected, 0)
  t.equal((await run(source, 'update notes set note = note')).affected, 2)
  await checkValues(t, source)

  const error: object = await run(source, 'insert into notes (note) values ($1)', ['a']).then(Object, e => e)
  t.match(error, { code: '23505', constraint: 'notes_note_key', table: 'notes' })
  t.match(error, { message: /duplicate key/, detail: /already exists/ })
  t.notOk('params' in error, 'a log does not show the parameters')

  const first = await source.acquire()
  const order: number[] = []
  const turns = [1, 2, 3].map(async number => {
    const session = await source.acquire()
    order.push(number)
    await session.release()
  })
  await first.query('begin', [])
  await first.query('insert into notes (note) values ($1)', ['lost'])
  await t.rejects(first.query('select 1/0', []), { code: '22012' })
  t.strictSame(order, [])
  await first.release()
  await first.release()
  await t.rejects(first.query('select 1', []), /released/)
  await Promise.all(turns)
  t.strictSame(order, [1, 2, 3], 'turns are given in the order of asking')
  t.equal(await countOf(source, 'lost'), 0, 'release in a transaction rolls back')

  const held = await source.acquire()
  const refused = t.rejects(source.acquire(), /is closed/)
  const closed = Promise.all([source.close(), source.close()])
  await held.query('insert into notes (note) values ($1)', ['kept'])
  await held.release()
  await Promise.all([refused, closed])
  await t.rejects(source.acquire(), /is closed/)
  t.strictSame(files(/./), ['database', 'database.created', 'lock.1'])
})

t.test('with a second process', async t => {
  const holder = await startProcess('serve')
  t.strictSame(await holder.call('open'), {})

  const second = openEmbedded({ dataDir, command: 'second', share: false })
  await t.rejects(second, EmbeddedDatabaseInUse)
  const error: Error = await second.then(
    () => new Error('it opened'),
    (e: Error) => e,
  )
  const [start, end] = error.message.split(/\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ/)
  t.equal(start, `The embedded database in ${dataDir} is in use by "serve" (process ${holder.pid}, since `)
  t.equal(end, '). Stop it first, or set DATABASE_URL to a PostgreSQL server.')

  const source = await openEmbedded({ dataDir, command: 'second', share: true })
  t.equal(await countOf(source, 'kept'), 1)
  await checkValues(t, source)
  await t.rejects(run(source, 'insert into notes (note) values ($1)', ['kept']), {
    message: /duplicate key/,
    code: '23505',
    constraint: 'notes_note_key',
    table: 'notes',
  })

  await t.test('sessions are exclusive, and transactions theirs', async t => {
    const session = await source.acquire()
    await session.query('begin', [])
    await session.query('insert into notes (note) values ($1)', ['shared'])
    const holdersTurn = holder.call('acquire')
    const thirdTurn = countOf(source, 'shared')
    await t.rejects(session.query('select 1/0', []), { code: '22012' })
    await session.query('rollback', [])
    await session.query('begin', [])
    await session.query('insert into notes (note) values ($1)', ['shared'])
    await session.query('commit', [])
    await session.release()
    await t.rejects(session.query('select 1', []), /ended the connection/)
    await holdersTurn
    const own = await holder.call('query', 'delete from notes where note = $1', ['shared'])
    t.equal(own.result?.affected, 1)
    await holder.call('release')
    t.equal(await thirdTurn, 0)
  })

  await t.test('a large text', async t => {
    const text = 'ä€😀\u2028"\\\n'.repeat(150_000)
    t.ok(Buffer.byteLength(text) > 2_000_000)
    const { rows } = await run(source, 'select $1::text as text', [text])
    t.ok(rows[0]?.text === text)
  })

  await t.test('what is no request ends the connection', async () => {
    for (const line of ['nonsense', 'null', '{"sql":1,"parameters":[]}', '{"sql":"select 1"}']) {
      const socket = connect(socketFile())
      await once(socket, 'data')
      socket.write(`${line}\n`)
      await once(socket, 'close')
    }
  })

  await t.test('probes do not disturb', async t => {
    const session = await source.acquire()
    for (let probe = 0; probe < 20; probe++) {
      const socket = connect(socketFile())
      await once(socket, 'connect')
      socket.destroy()
    }
    t.equal((await session.query('select 1 as one', [])).rows[0]?.one, 1)
    await session.release()
    t.equal(await countOf(source, 'kept'), 1)
  })

  await t.test('a client that dies in a transaction', async t => {
    const client = await startProcess('client', { share: true })
    await client.call('open')
    await client.call('acquire')
    await client.call('query', 'begin')
    await client.call('query', 'insert into notes (note) values ($1)', ['dead'])
    const start = performance.now()
    const count = countOf(source, 'dead')
    await client.kill()
    t.equal(await count, 0)
    t.ok(performance.now() - start < 5000, 'well before the limit for a silent client')
  })

  await t.test('a holder that dies', async t => {
    const session = await source.acquire()
    await session.query('begin', [])
    await session.query('insert into notes (note) values ($1)', ['unfinished'])
    const waiting = t.rejects(source.acquire(), /ended the connection/)
    await holder.kill()
    await waiting
    await t.rejects(session.query('commit', []), /ended the connection/)
    await t.rejects(source.acquire(), /ended the connection/)
  })
  await source.close()
  await t.rejects(source.acquire(), /is closed/)
})

t.test('six processes at once after one was killed', async t => {
  const commands = ['a', 'b', 'c', 'd', 'e', 'f']
  const processes = await Promise.all(commands.map(command => startProcess(command, { idleLimit: 1000 })))
  const answers = await Promise.all(processes.map(process => process.call('open')))
  const winners = processes.filter((_, index) => !answers[index]?.error)
  t.equal(winners.length, 1)
  const winner = winners[0]!
  for (const { error } of answers) {
    if (error) t.match(error, { name: 'EmbeddedDatabaseInUse', message: `(process ${winner.pid}, since` })
  }
  t.strictSame(files(/./).length, 4, 'the database, its marker, one lock, one socket')
  t.equal(files(/\.sock$/).length, 1)

  await winner.call('acquire')
  const kept = await winner.call('query', "select note from notes where note in ('kept', 'unfinished')")
  t.strictSame(kept.result?.rows, [{ note: 'kept' }])
  await winner.call('release')

  await t.test('a hung client is cut off', async t => {
    const source = await openEmbedded({ dataDir, command: 'hung', share: true })
    const hung = await source.acquire()
    await hung.query('begin', [])
    await hung.query('insert into notes (note) values ($1)', ['hung'])
    const start = performance.now()
    const next = await source.acquire()
    t.ok(performance.now() - start > 700, 'not before the limit')
    await next.release()
    await t.rejects(hung.query('commit', []), /ended the connection/)
    t.equal(await countOf(source, 'hung'), 0)
    await source.close()
  })

  await winner.call('close')
  const exits = await Promise.all(processes.map(process => process.end()))
  for (const exit of exits) t.strictSame(exit, [0, null], 'neither the holder nor the others are kept alive')
})

t.test('a damaged lock file, and closing while others use the database', async t => {
  const highest = Number(files(/^lock/)[0]?.slice(5))
  writeFileSync(join(dataDir, `lock.${highest + 1}`), '{"pid":')
  const source = await openEmbedded({ dataDir, command: 'last', share: true })
  t.strictSame(files(/^lock/), [`lock.${highest + 2}`])

  const client = await startProcess('client', { share: true })
  await client.call('open')
  await client.call('acquire')
  await client.call('query', 'begin')
  await client.call('query', 'insert into notes (note) values ($1)', ['cut'])
  const waiting = t.rejects(source.acquire(), /is closed/)
  await source.close()
  await waiting
  t.match(await client.call('query', 'commit'), { error: { message: /ended the connection/ } })
  t.match(await client.call('acquire'), { error: { message: /ended the connection/ } })
  t.strictSame(await client.end(), [0, null])
  t.strictSame(files(/./), ['database', 'database.created', `lock.${highest + 2}`])

  const again = await openEmbedded({ dataDir, command: 'again', share: false })
  t.equal(await countOf(again, 'cut'), 0)
  await again.close()
})

t.test('what is left of a database never becomes a new one', async t => {
  const database = join(dataDir, 'database')
  const marker = join(dataDir, 'database.created')
  const aside = join(dataDir, '..', 'aside')
  const open = () => openEmbedded({ dataDir, command: 'damaged', share: false })
  const refused = (reason: string) =>
    t.rejects(open(), {
      name: 'DatabaseDamaged',
      message: `The embedded database in ${database} cannot be opened: ${reason}. Restore the folder from a backup; or, to begin with an empty database, move ${dataDir} away.`,
    })

  renameSync(join(database, 'PG_VERSION'), aside)
  await refused('its file PG_VERSION is missing')
  renameSync(aside, join(database, 'PG_VERSION'))

  const control = join(database, 'global/pg_control')
  renameSync(control, aside)
  await refused('PostgreSQL ended while it started')
  renameSync(aside, control)

  renameSync(database, aside)
  await refused('the folder is gone')
  mkdirSync(database)
  await refused('the folder is empty')
  rmSync(marker)
  await refused('the folder is empty')
  rmSync(database, { recursive: true })
  renameSync(aside, database)

  const source = await open()
  t.equal(await countOf(source, 'kept'), 1, 'a database of an earlier version has no marker, and gets one')
  t.ok(existsSync(marker))
  await source.close()
})

t.test('a folder that cannot be made is an error that says why', async t => {
  const file = join(dataDir, 'lock.file')
  writeFileSync(file, '')
  for (const [folder, reason] of [
    ['/proc/nowhere/at/all', 'no folder can be made there (ENOENT)'],
    [file, 'there is a file or a broken link instead of a folder (EEXIST)'],
    [join(file, 'below'), 'a part of the path is a file, not a folder (ENOTDIR)'],
  ] as const) {
    const message = `DATA_DIR=${folder}: nothing can be written there, since ${reason}. Set DATA_DIR to a folder that this user can write, or DATABASE_URL to a PostgreSQL server.`
    await t.rejects(openEmbedded({ dataDir: folder, command: 'none', share: false }), {
      name: 'DataDirError',
      message,
    })
    await t.rejects(withAppKey(loadConfig({ DATA_DIR: folder })), { name: 'DataDirError', message })
  }
})

t.test('the length of the path', async t => {
  const fits = 'x'.repeat(103 - '/a.sock'.length)
  t.equal(socketPath(fits, 'a.sock'), `${fits}/a.sock`, 'from the current directory')
  t.equal(socketPath('/x', 'a.sock'), '/x/a.sock')
  const long = `/tmp/${'x'.repeat(120)}`
  await t.rejects(openEmbedded({ dataDir: long, command: 'long', share: false }), {
    message: new RegExp(`DATA_DIR \\(${long}\\) must be shorter`),
  })
  t.notOk(existsSync(long))
})
