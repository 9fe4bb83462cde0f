import { execFile } from 'node:child_process'
import { readdirSync, readFileSync } from 'node:fs'
import { getPriority } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { Worker } from 'node:worker_threads'
import t, { type Test } from 'tap'
import { createHashWorkers, startHashWorker } from '#src/auth/hash-workers.ts'
import { hashPassword } from '#src/auth/password.ts'
import { TestBrowser } from '../fixtures/browser.ts'
import { laravelRows as laravel } from '../fixtures/laravel.ts'
import { aMember } from '../fixtures/users.ts'
import { startApp } from '../support/app.ts'
import { createDatabase } from '../support/databases.ts'

/** Hash workers that are closed with the test, and the threads that were started. */
function startWorkers(t: Test, start: () => Worker = startHashWorker) {
  const started: Worker[] = []
  const workers = createHashWorkers({
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
    // A thread that has exited has no id and emits no further event.
    if (worker.threadId === -1) return resolve()
    worker.ref()
    worker.once('exit', () => resolve())
  })

/** The nice values of the threads of this process, by thread id. */
const niceValues = () =>
  new Map(
    readdirSync('/proc/self/task').map(thread => {
      const stat = readFileSync(`/proc/self/task/${thread}/stat`, 'utf8')
      // The 19th field; the second one, a name, may contain anything.
      return [Number(thread), Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[16])]
    }),
  )

t.test('worker threads verify and hash like the main thread', async t => {
  const { verify, hash, started } = startWorkers(t)
  t.strictSame(started, [], 'no thread is started before the first password')
  for (const { row, password } of laravel.users) {
    t.equal(await verify(password, row.password), true, row.name)
    t.equal(await verify(`X${password}`, row.password), false, `${row.name}: a wrong one`)
  }
  const hashed = await hash('pässwörd-日本', 4)
  t.match(hashed, /^\$2y\$04\$.{53}$/)
  t.equal(await verify('pässwörd-日本', hashed), true)
  await t.rejects(hash('a\0b', 4), RangeError)
  t.equal(started.length, 1, 'sequential work uses one thread')
  await Promise.all([verify('a', hashed), verify('b', hashed)])
  t.equal(started.length, 2)
})

t.test(
  'worker threads have a lower priority',
  { skip: process.platform === 'linux' ? false : 'threads have no priority of their own' },
  async t => {
    const { verify } = startWorkers(t)
    const before = new Set(niceValues().keys())
    await verify('a', await hashPassword('a', 4))
    const after = [...niceValues()].filter(([thread]) => !before.has(thread))
    t.ok(after.some(([, nice]) => nice === getPriority() + 10))
    t.equal(niceValues().get(process.pid), getPriority(), 'the main thread keeps its priority')
  },
)

t.test('a thread that exits during work is replaced', async t => {
  const { verify, started } = startWorkers(t)
  const hash = await hashPassword('right', 10)
  const first = verify('right', hash)
  void started[0]?.terminate()
  t.equal(await first, true, 'a new thread')
  const second = verify('wrong', hash)
  void started[1]?.terminate()
  t.equal(await second, false, 'a used thread')
  t.equal(started.length, 3)
})

t.test('a thread that exits while idle is replaced', async t => {
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
    parentPort.on('message', job => {
      if (job === 'fail') throw new Error('late')
      parentPort.postMessage(true)
    })`
  const fail = (worker: Worker) => {
    worker.postMessage('fail')
    return exitOf(worker)
  }
  const { verify, started } = startWorkers(t, () => new Worker(failing, { eval: true }))
  t.equal(await verify('a', 'b'), true)
  await fail(started[0] as Worker)
  t.equal(await verify('a', 'b'), true)
  t.equal(started.length, 2)
  await fail(started[1] as Worker)
})

t.test('work is rejected after several threads exited during it', async t => {
  for (const [script, cause] of [
    ['process.exit(1)', undefined],
    ['throw new Error("broken")', { message: 'broken' }],
  ] as const) {
    const { verify, started } = startWorkers(t, () => new Worker(script, { eval: true }))
    await t.rejects(verify('a', 'b'), { name: 'HashWorkerLost', ...(cause && { cause }) })
    t.equal(started.length, 2)
  }
})

t.test('close() rejects pending and later work', async t => {
  const { verify, close, started } = startWorkers(t)
  const rejected = t.rejects(verify('a', await hashPassword('a', 4)), { name: 'HashWorkerLost' })
  await close()
  await rejected
  await t.rejects(verify('a', 'b'), { name: 'HashWorkerLost' })
  t.equal(started.length, 1)
})

t.test('working threads keep the process alive, idle ones do not', async t => {
  const script = `
    import { createHashWorkers } from ${JSON.stringify(join(import.meta.dirname, '../../src/auth/hash-workers.js'))}
    const { hash } = createHashWorkers()
    await hash('a', 4)
    console.log(await hash('a', 10))`
  const { stdout } = await promisify(execFile)(process.execPath, ['--input-type=module', '--eval', script])
  t.match(stdout, /^\$2y\$10\$/)
})

t.test('a server verifies passwords in worker threads', async t => {
  const database = await createDatabase(t, 'postgres')
  t.teardown(() => database.close())
  const app = await startApp(t, { database, passwordWork: null })
  const user = await aMember(database)
  const wrong = await new TestBrowser(app).logIn({ ...user, password: 'wrong' })
  t.equal(wrong.status, 422)
  t.equal((await new TestBrowser(app).logIn(user)).status, 200)
})
