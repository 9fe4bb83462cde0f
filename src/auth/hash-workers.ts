import { join } from 'node:path'
import { Worker } from 'node:worker_threads'
import { assertHashable, type PasswordHash, type PasswordWork } from './password.ts'

/** A job of a worker: verify a password against a hash, or hash it. */
export type HashJob = { password: string; hash: string } | { password: string; rounds: number }

/** Attempts per job, each in another worker: a worker may die of a cause outside the job. */
const ATTEMPTS = 2

/** Starts a thread that processes {@link HashJob}s one by one and posts their results. */
export const startHashWorker = (): Worker =>
  new Worker(join(import.meta.dirname, 'hash-worker.js'), { execArgv: [] })

/** The worker thread ended, or the server is closing. */
export class HashWorkerLost extends Error {
  constructor(cause?: unknown) {
    super('The thread that worked on a password ended.', { cause })
    this.name = 'HashWorkerLost'
  }
}

/** Threads that verify and hash passwords. */
export interface HashWorkers extends PasswordWork {
  /** Terminates the threads and rejects their jobs. */
  close(): Promise<void>
}

/**
 * Verifies and hashes passwords in threads with a lower priority than the event loop (on Linux), so that other
 * requests are hardly delayed. libuv's own threads have the priority of the process.
 *
 * A thread is started when a job finds none idle, and is kept. The caller limits the number of concurrent jobs.
 * Threads do not keep the process alive.
 */
export function createHashWorkers({ start = startHashWorker } = {}): HashWorkers {
  const workers = new Set<Worker>()
  const idle: Worker[] = []
  let isClosed = false

  const startWorker = () => {
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

  /** Runs a job in a worker. Rejects when the worker ends. */
  const runIn = (worker: Worker, job: HashJob) =>
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
        return await runIn(idle.pop() ?? startWorker(), job)
      } catch (error) {
        if (attempt === ATTEMPTS) throw error
      }
    }
  }

  return {
    verify: (password, hash) => run({ password, hash }) as Promise<boolean>,
    async hash(password, rounds) {
      assertHashable(password)
      return run({ password, rounds }) as Promise<PasswordHash>
    },
    async close() {
      isClosed = true
      await Promise.all([...workers].map(worker => worker.terminate()))
    },
  }
}
