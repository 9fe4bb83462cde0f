/** What Linux tells of processes on this machine, in /proc. */
import { readFileSync } from 'node:fs'

/** The memory that a process occupies, in megabytes. */
export const rssMb = (pid: number): number =>
  Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1] ?? 0) / 1024
