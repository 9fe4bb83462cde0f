import { execFile } from 'node:child_process'
import { readdirSync, readFileSync } from 'node:fs'
import { getPriority } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { Worker } from 'node:worker_threads'
import t, { type Test } from 'tap'
import { hashWorkers, startHashWorker } from '#src/auth/hash-workers.ts'
import { hashPassword } from '#src/auth/password.ts'
import { TestBrowser } from '../fixtures/browser.ts'
import { laravelRows as laravel } from '../fixtures/laravel.ts'
import { aUser } from '../fixtures/users.ts'
import { startApp } from '../support/app.ts'
import { createDatabase } from '../support/databases.ts'

/** Workers that are ended with the test, and all of them that were started. */
function startWorkers(t: Test, start: () => Worker = startHashWorker) {
  const started: Worker[] = []
  const workers = hashWorkers({
    start() {
      const worker = start()
      started.push(worker)
      return worker
    },
  })
  t.teardown(() => workers.close())
  return { ...workers, started }
}

/** Waits for the end of a thread, which keeps no process alive by itself. */
const exitOf = (worker: Worker) =>
  new Promise<void>(resolve => {
    // One that has ended already has no id any more, and will not tell again.
    if (worker.threadId === -1) return resolve()
    worker.ref()
    worker.once('exit', () => resolve())
  })

/** The nice values of this process's threads, by their numbers. */
const niceValues = () =>
  new Map(
    readdirSync('/proc/self/task').map(thread => {
      const stat = readFileSync(`/proc/self/task/${thread}/stat`, 'utf8')
      // The 19th field; the second is a name with anything in it.
      return [Number(thread), Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[16])]
    }),
  )

t.test('passwords are checked and hashed as in this thread', async t => {
  const { verify, hash, started } = startWorkers(t)
  t.strictSame(started, [], 'no thread is started before there is a password')
  for (const { row, password } of laravel.users) {
    t.equal(await verify(password, row.password), true, row.name)
    t.equal(await verify(`X${password}`, row.password), false, `${row.name}: a wrong one`)
  }
  const hashed = await hash('pässwörd-日本', 4)
  t.match(hashed, /^\$2y\$04\$.{53}$/)
  t.equal(await verify('pässwörd-日本', hashed), true)
  await t.rejects(hash('a\0b', 4), RangeError)
  t.equal(started.length, 1, 'one after the other by one thread')
  await Promise.all([verify('a', hashed), verify('b', hashed)])
  t.equal(started.length, 2)
})

t.test(
  'their threads leave the processor to others',
  { skip: process.platform === 'linux' ? false : 'threads have no priority of their own' },
  async t => {
    const { verify } = startWorkers(t)
    const before = new Set(niceValues().keys())
    await verify('a', await hashPassword('a', 4))
    const after = [...niceValues()].filter(([thread]) => !before.has(thread))
    t.ok(after.some(([, nice]) => nice === getPriority() + 10))
    t.equal(niceValues().get(process.pid), getPriority(), 'and this one keeps its priority')
  },
)

t.test('a thread that ends in the middle of its work is replaced', async t => {
  const { verify, started } = startWorkers(t)
  const hash = await hashPassword('right', 10)
  const first = verify('right', hash)
  void started[0]?.terminate()
  t.equal(await first, true, 'a new one')
  const second = verify('wrong', hash)
  void started[1]?.terminate()
  t.equal(await second, false, 'and one that has worked')
  t.equal(started.length, 3)
})

t.test('a thread that ended while it was idle is replaced', async t => {
  const { verify, started } = startWorkers(t)
  const hash = await hashPassword('right', 4)
  await verify('right', hash)
  await started[0]?.terminate()
  t.equal(await verify('right', hash), true)
  t.equal(started.length, 2)
})

t.test('a thread that fails while it is idle is replaced', async t => {
  const failing = `
    const { parentPort } = require('node:worker_threads')
    parentPort.on('message', () => {
      parentPort.postMessage(true)
      setImmediate(() => { throw new Error('late') })
    })`
  const { verify, started } = startWorkers(t, () => new Worker(failing, { eval: true }))
  t.equal(await verify('a', 'b'), true)
  await exitOf(started[0] as Worker)
  t.equal(await verify('a', 'b'), true)
  t.equal(started.length, 2)
  await exitOf(started[1] as Worker)
})

t.test('work at which one thread after the other ends is given up', async t => {
  for (const [script, cause] of [
    ['process.exit(1)', undefined],
    ['throw new Error("broken")', { message: 'broken' }],
  ] as const) {
    const { verify, started } = startWorkers(t, () => new Worker(script, { eval: true }))
    await t.rejects(verify('a', 'b'), { name: 'HashWorkerLost', ...(cause && { cause }) })
    t.equal(started.length, 2)
  }
})

t.test('work under way is rejected at the end, and so is what comes later', async t => {
  const { verify, close, started } = startWorkers(t)
  const rejected = t.rejects(verify('a', await hashPassword('a', 4)), { name: 'HashWorkerLost' })
  await close()
  await rejected
  await t.rejects(verify('a', 'b'), { name: 'HashWorkerLost' })
  t.equal(started.length, 1)
})

t.test('working threads keep a process alive, and idle ones do not', async t => {
  const script = `
    import { hashWorkers } from ${JSON.stringify(join(import.meta.dirname, '../../src/auth/hash-workers.js'))}
    const { hash } = hashWorkers()
    await hash('a', 4)
    console.log(await hash('a', 10))`
  const { stdout } = await promisify(execFile)(process.execPath, ['--input-type=module', '--eval', script])
  t.match(stdout, /^\$2y\$10\$/)
})

t.test('a server checks passwords in threads of its own', async t => {
  const database = await createDatabase(t, 'postgres')
  t.teardown(() => database.close())
  const app = await startApp(t, { database, passwordWork: null })
  const user = { ...(await aUser(database, { password: 'Correct horse 1' })), password: 'Correct horse 1' }
  const wrong = await new TestBrowser(app).logIn({ ...user, password: 'wrong' })
  t.equal(wrong.status, 422)
  t.equal((await new TestBrowser(app).logIn(user)).status, 200)
})
