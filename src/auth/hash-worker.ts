/** A thread that checks and hashes passwords, one at a time: see hash-workers.ts. */
import { setPriority } from 'node:os'
import { parentPort } from 'node:worker_threads'
import type { HashJob } from './hash-workers.ts'
import { hashPasswordSync, verifyPassword } from './password.ts'

/** Under contention it gets about a tenth of the time that a thread of the default priority gets. */
const NICENESS = 10

// A nice value belongs to a thread on Linux, to the process everywhere else, which would slow down the event loop.
if (process.platform === 'linux') setPriority(NICENESS)

parentPort?.on('message', (job: HashJob) => {
  const result =
    'hash' in job ? verifyPassword(job.password, job.hash) : hashPasswordSync(job.password, job.rounds)
  parentPort?.postMessage(result)
})
