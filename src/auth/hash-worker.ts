/** A worker thread that verifies and hashes passwords, one at a time: see hash-workers.ts. */
import { setPriority } from 'node:os'
import { parentPort } from 'node:worker_threads'
import type { HashJob } from './hash-workers.ts'
import { hashPasswordSync, verifyPassword } from './password.ts'

/** Under contention a thread of this priority gets about a tenth of the time of a default one. */
const NICENESS = 10

// On Linux a nice value applies to the thread. Elsewhere it applies to the process and would slow down the event
// loop.
if (process.platform === 'linux') setPriority(NICENESS)

parentPort?.on('message', (job: HashJob) => {
  const result =
    'hash' in job ? verifyPassword(job.password, job.hash) : hashPasswordSync(job.password, job.rounds)
  parentPort?.postMessage(result)
})
