import { join } from 'node:path'
import { Worker } from 'node:worker_threads'
import { assertPossible, type PasswordHash, type PasswordWork } from './password.ts'

/** What a worker does: it checks a password against a hash, or hashes it. */
export type HashJob = { password: string; hash: string } | { password: string; rounds: number }

/** Starts of a worker for one job: a worker that dies may have died of something else. */
const ATTEMPTS = 2

/** Starts a thread that does {@link HashJob}s one by one, and answers each with its result. */
export const startHashWorker = (): Worker =>
  new Worker(join(import.meta.dirname, 'hash-worker.js'), { execArgv: [] })

/** The threads that worked on a password ended, or the server is closing. */
export class HashWorkerLost extends Error {
  constructor(cause?: unknown) {
    super('The thread that worked on a password ended.', { cause })
    this.name = 'HashWorkerLost'
  }
}

/** Threads that check and hash passwords. */
export interface HashWorkers extends PasswordWork {
  /** Ends the threads. What they work on is rejected. */
  close(): Promise<void>
}

/**
 * Checks and hashes passwords in threads of a lower priority than the event loop's (on Linux), so that requests
 * without a password hardly wait for those with one. libuv's own threads have the priority of the process.
 *
 * A thread is started when a job finds none idle, and stays: the caller bounds the jobs at the same time. Threads keep
 * no process alive, and end with it.
 *
 * @param options.start starts a thread
 */
export function hashWorkers({ start = startHashWorker } = {}): HashWorkers {
  const workers = new Set<Worker>()
  const idle: Worker[] = []
  let isClosed = false

  const add = () => {
    const worker = start()
    workers.add(worker)
    // Without a listener an error ends this process. An exit follows.
    worker.on('error', () => {})
    worker.once('exit', () => {
      workers.delete(worker)
      const index = idle.indexOf(worker)
      if (index >= 0) idle.splice(index, 1)
    })
    return worker
  }

  /** Does a job in a worker. Rejects with what ended the worker, if something did. */
  const workOn = (worker: Worker, job: HashJob) =>
    new Promise<unknown>((resolve, reject) => {
      const settle = (settleBy: () => void) => {
        worker.off('message', onMessage).off('error', onError).off('exit', onExit).unref()
        settleBy()
      }
      const onMessage = (result: unknown) =>
        settle(() => {
          idle.push(worker)
          resolve(result)
        })
      const onError = (error: unknown) => settle(() => reject(new HashWorkerLost(error)))
      const onExit = () => settle(() => reject(new HashWorkerLost()))
      worker.once('message', onMessage).once('error', onError).once('exit', onExit).ref()
      worker.postMessage(job)
    })

  const run = async (job: HashJob): Promise<unknown> => {
    for (let attempt = 1; ; attempt++) {
      if (isClosed) throw new HashWorkerLost()
      try {
        return await workOn(idle.pop() ?? add(), job)
      } catch (error) {
        if (attempt === ATTEMPTS) throw error
      }
    }
  }

  return {
    verify: (password, hash) => run({ password, hash }) as Promise<boolean>,
    async hash(password, rounds) {
      assertPossible(password)
      return run({ password, rounds }) as Promise<PasswordHash>
    },
    async close() {
      isClosed = true
      await Promise.all([...workers].map(worker => worker.terminate()))
    },
  }
}
