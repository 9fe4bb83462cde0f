import { once } from 'node:events'
import { writeFileSync } from 'node:fs'
import { connect } from 'node:net'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { EmbeddedDatabaseInUse, openEmbedded } from '#src/database/embedded.ts'
import {
  checkValues,
  countOf,
  filesIn,
  makeDataDirs,
  run,
  socketIn,
  startProcess,
} from '../fixtures/embedded.ts'

const { copyDataDir } = await makeDataDirs(t)

/** Opens a database in another process, the holder, and shares it in this one. */
async function openShared(t: Test) {
  const dataDir = copyDataDir()
  const holder = await startProcess(t, dataDir, 'serve')
  await holder.call('open')
  const source = await openEmbedded({ dataDir, command: 'second', share: true })
  t.teardown(() => source.close())
  return { dataDir, holder, source }
}

t.test('a second process', async t => {
  const dataDir = copyDataDir()
  const holder = await startProcess(t, dataDir, 'serve')
  t.strictSame(await holder.call('open'), {})

  const second = openEmbedded({ dataDir, command: 'second', share: false })
  await t.rejects(second, EmbeddedDatabaseInUse)
  const error: Error = await second.then(
    () => new Error('the database was opened'),
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
  await source.close()
  await holder.kill()
})

t.test('sharing a database with another process', async t => {
  await t.test('sessions are exclusive, and transactions belong to one session', async t => {
    const { holder, source } = await openShared(t)
    const session = await source.acquire()
    await session.query('begin', [])
    await session.query('insert into notes (note) values ($1)', ['shared'])
    const holderSession = holder.call('acquire')
    const thirdCount = countOf(source, 'shared')
    await t.rejects(session.query('select 1/0', []), { code: '22012' })
    await session.query('rollback', [])
    await session.query('begin', [])
    await session.query('insert into notes (note) values ($1)', ['shared'])
    await session.query('commit', [])
    await session.release()
    await t.rejects(session.query('select 1', []), /ended the connection/)
    await holderSession
    const own = await holder.call('query', 'delete from notes where note = $1', ['shared'])
    t.equal(own.result?.affected, 1)
    await holder.call('release')
    t.equal(await thirdCount, 0)
  })

  await t.test('statements and sockets that change nothing', async t => {
    const { dataDir, source } = await openShared(t)

    await t.test('a text of two megabytes', async t => {
      const text = 'ä€😀\u2028"\\\n'.repeat(150_000)
      t.ok(Buffer.byteLength(text) > 2_000_000)
      const { rows } = await run(source, 'select $1::text as text', [text])
      t.ok(rows[0]?.text === text)
    })

    await t.test('an invalid request ends the connection', async () => {
      for (const line of ['nonsense', 'null', '{"sql":1,"parameters":[]}', '{"sql":"select 1"}']) {
        const socket = connect(socketIn(dataDir))
        await once(socket, 'data')
        socket.write(`${line}\n`)
        await once(socket, 'close')
      }
    })

    await t.test('connections without a request do not disturb sessions', async t => {
      const session = await source.acquire()
      for (let probe = 0; probe < 20; probe++) {
        const socket = connect(socketIn(dataDir))
        await once(socket, 'connect')
        socket.destroy()
      }
      t.equal((await session.query('select 1 as one', [])).rows[0]?.one, 1)
      await session.release()
      t.equal(await countOf(source, 'kept'), 1)
    })
  })

  await t.test('a transaction of a killed client is rolled back', async t => {
    const { dataDir, source } = await openShared(t)
    const client = await startProcess(t, dataDir, 'client', { share: true })
    await client.call('open')
    await client.call('acquire')
    await client.call('query', 'begin')
    await client.call('query', 'insert into notes (note) values ($1)', ['dead'])
    const start = performance.now()
    const count = countOf(source, 'dead')
    await client.kill()
    t.equal(await count, 0)
    t.ok(performance.now() - start < 5000, 'before the limit for a silent client')
  })

  await t.test('killing the holder ends the sessions of others', async t => {
    const { holder, source } = await openShared(t)
    const session = await source.acquire()
    await session.query('begin', [])
    await session.query('insert into notes (note) values ($1)', ['unfinished'])
    const waiting = t.rejects(source.acquire(), /ended the connection/)
    await holder.kill()
    await waiting
    await t.rejects(session.query('commit', []), /ended the connection/)
    await t.rejects(source.acquire(), /ended the connection/)
    await source.close()
    await t.rejects(source.acquire(), /is closed/)
  })
})

t.test('after the holder was killed one of six concurrent processes opens the database', async t => {
  const dataDir = copyDataDir()
  const killed = await startProcess(t, dataDir, 'killed')
  await killed.call('open')
  await killed.call('acquire')
  await killed.call('query', 'begin')
  await killed.call('query', 'insert into notes (note) values ($1)', ['unfinished'])
  await killed.kill()

  const commands = ['a', 'b', 'c', 'd', 'e', 'f']
  const processes = await Promise.all(
    commands.map(command => startProcess(t, dataDir, command, { idleLimit: 1000 })),
  )
  const answers = await Promise.all(processes.map(process => process.call('open')))
  const winners = processes.filter((_, index) => !answers[index]?.error)
  t.equal(winners.length, 1)
  const winner = winners[0]!
  for (const { error } of answers) {
    if (error) t.match(error, { name: 'EmbeddedDatabaseInUse', message: `(process ${winner.pid}, since` })
  }
  t.strictSame(filesIn(dataDir, /./).length, 4, 'database, marker, lock and socket')
  t.equal(filesIn(dataDir, /\.sock$/).length, 1)

  await winner.call('acquire')
  const kept = await winner.call('query', "select note from notes where note in ('kept', 'unfinished')")
  t.strictSame(kept.result?.rows, [{ note: 'kept' }])
  await winner.call('release')

  await t.test('a client that hangs in a transaction is disconnected', async t => {
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
  for (const exit of exits) t.strictSame(exit, [0, null], 'all processes exit')
})

t.test('a damaged lock file is replaced, and close() ends the sessions of others', async t => {
  const dataDir = copyDataDir()
  const highest = Number(filesIn(dataDir, /^lock/)[0]?.slice(5))
  writeFileSync(join(dataDir, `lock.${highest + 1}`), '{"pid":')
  const source = await openEmbedded({ dataDir, command: 'last', share: true })
  t.strictSame(filesIn(dataDir, /^lock/), [`lock.${highest + 2}`])

  const client = await startProcess(t, dataDir, 'client', { share: true })
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
  t.strictSame(filesIn(dataDir, /./), ['database', 'database.created', `lock.${highest + 2}`])

  const again = await openEmbedded({ dataDir, command: 'again', share: false })
  t.equal(await countOf(again, 'cut'), 0)
  await again.close()
})
