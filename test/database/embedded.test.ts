import { existsSync, mkdirSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { loadConfig } from '#src/config/load.ts'
import { withAppKey } from '#src/config/persisted-key.ts'
import { openEmbedded } from '#src/database/embedded.ts'
import { socketPath } from '#src/database/embedded-socket.ts'
import { checkValues, countOf, filesIn, makeDataDirs, run, socketIn } from '../fixtures/embedded.ts'

const { template, copyDataDir } = await makeDataDirs(t)

t.test('one process', async t => {
  const dataDir = copyDataDir()
  const source = await openEmbedded({ dataDir, command: 'first', share: false })
  t.equal(statSync(socketIn(dataDir)).mode & 0o777, 0o600)
  t.strictSame(filesIn(template, /unfinished/), [], 'remains of a killed first opening are removed')

  const inserted = await run(source, 'insert into notes (note) values ($1), ($2) returning id', ['a', 'b'])
  t.strictSame(inserted, { rows: [{ id: 2 }, { id: 3 }], affected: 2 })
  t.equal((await run(source, 'select * from notes')).affected, 0)
  t.equal((await run(source, 'update notes set note = note')).affected, 3)
  await checkValues(t, source)

  const error: object = await run(source, 'insert into notes (note) values ($1)', ['a']).then(Object, e => e)
  t.match(error, { code: '23505', constraint: 'notes_note_key', table: 'notes' })
  t.match(error, { message: /duplicate key/, detail: /already exists/ })
  t.notOk('params' in error, 'the error has no parameters, which may be secret')

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
  t.strictSame(order, [1, 2, 3], 'sessions are acquired in order')
  t.equal(await countOf(source, 'lost'), 0, 'releasing during a transaction rolls back')

  const held = await source.acquire()
  const refused = t.rejects(source.acquire(), /is closed/)
  const closed = Promise.all([source.close(), source.close()])
  await held.query('insert into notes (note) values ($1)', ['last'])
  await held.release()
  await Promise.all([refused, closed])
  await t.rejects(source.acquire(), /is closed/)
  t.strictSame(filesIn(dataDir, /./), ['database', 'database.created', 'lock.2'])
})

t.test('a damaged database is an error and never replaced by a new one', async t => {
  const dataDir = copyDataDir()
  const database = join(dataDir, 'database')
  const marker = join(dataDir, 'database.created')
  const aside = `${dataDir}.aside`
  const open = () => openEmbedded({ dataDir, command: 'damaged', share: false })
  const expectDamage = (reason: string) =>
    t.rejects(open(), {
      name: 'DatabaseDamaged',
      message: `The embedded database in ${database} cannot be opened: ${reason}. Restore the folder from a backup; or, to begin with an empty database, move ${dataDir} away.`,
    })

  renameSync(join(database, 'PG_VERSION'), aside)
  await expectDamage('its file PG_VERSION is missing')
  renameSync(aside, join(database, 'PG_VERSION'))

  const control = join(database, 'global/pg_control')
  renameSync(control, aside)
  await expectDamage('PostgreSQL ended while it started')
  renameSync(aside, control)

  renameSync(database, aside)
  await expectDamage('the folder is gone')
  mkdirSync(database)
  await expectDamage('the folder is empty')
  rmSync(marker)
  await expectDamage('the folder is empty')
  rmSync(database, { recursive: true })
  renameSync(aside, database)

  const source = await open()
  t.equal(await countOf(source, 'kept'), 1, 'a database of an earlier version gets a marker')
  t.ok(existsSync(marker))
  await source.close()
})

t.test('a data directory that cannot be created is an error with its cause', async t => {
  const dataDir = copyDataDir()
  const file = join(dataDir, 'lock.file')
  writeFileSync(file, '')
  for (const [folder, reason] of [
    ['/proc/unknown/folder', 'no folder can be made there (ENOENT)'],
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

t.test('the path of a data directory is limited by that of its socket', async t => {
  const fits = 'x'.repeat(103 - '/a.sock'.length)
  t.equal(socketPath(fits, 'a.sock'), `${fits}/a.sock`, 'a path of the maximum length')
  t.equal(socketPath('/x', 'a.sock'), '/x/a.sock')
  const long = `/tmp/${'x'.repeat(120)}`
  await t.rejects(openEmbedded({ dataDir: long, command: 'long', share: false }), {
    message: new RegExp(`DATA_DIR \\(${long}\\) must be shorter`),
  })
  t.notOk(existsSync(long))
})
