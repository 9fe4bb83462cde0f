/** Process statistics of Linux, from /proc. */
import { readdirSync, readFileSync } from 'node:fs'
import { setTimeout as delay } from 'node:timers/promises'

/** The unit of times in /proc, the same on every Linux that Node supports. */
const TICKS_PER_SECOND = 100

/** Returns the resident memory of a process, in megabytes. */
export const rssMb = (pid: number): number =>
  Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1] ?? 0) / 1024

/** Returns the CPU time of a process. */
export const cpuSeconds = (pid: number): number => statOf(pid)?.own ?? Number.NaN

/** Waits for a while after an event, and returns the resident memory of a process then, in megabytes. */
export async function settledRssMb(pid: number, since: number, waitMs: number): Promise<number> {
  await delay(Math.max(0, since + waitMs - performance.now()))
  return rssMb(pid)
}

/** Returns the CPU seconds of a process in its own code and in the kernel. */
export function cpuTimes(pid: number): { user: number; system: number } {
  const { user = Number.NaN, system = Number.NaN } = statOf(pid) ?? {}
  return { user, system }
}

/** Returns the CPU time of a process and its children, including those that ended. */
export function cpuSecondsOfFamily(parent: number): number {
  let seconds = 0
  for (const entry of readdirSync('/proc')) {
    const pid = Number(entry)
    const stat = Number.isInteger(pid) ? statOf(pid) : null
    if (stat === null) continue
    if (pid === parent) seconds += stat.own + stat.ofEndedChildren
    else if (stat.parent === parent) seconds += stat.own
  }
  return seconds
}

/**
 * Returns the postmaster, the parent process of all PostgreSQL sessions.
 *
 * @param backend the session's `pg_backend_pid()`
 * @param database the session's database, named in its process title
 * @returns null when it does not run on this machine
 */
export function postmasterOf(backend: number, database: string): number | null {
  const stat = statOf(backend)
  const title = read(`/proc/${backend}/cmdline`) ?? ''
  return stat !== null && title.startsWith('postgres: ') && title.includes(` ${database} `)
    ? stat.parent
    : null
}

interface Stat {
  parent: number
  user: number
  system: number
  own: number
  ofEndedChildren: number
}

function statOf(pid: number): Stat | null {
  const stat = read(`/proc/${pid}/stat`)
  if (stat === null) return null
  // The second field is a name that may contain parentheses and spaces.
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
  const seconds = (field: number) => Number(fields[field - 3]) / TICKS_PER_SECOND
  const [user, system] = [seconds(14), seconds(15)]
  const ofEndedChildren = seconds(16) + seconds(17)
  return { parent: Number(fields[1]), user, system, own: user + system, ofEndedChildren }
}

/** Reads a file of a process, which may end at any time. */
function read(path: string): string | null {
  try {
    return readFileSync(path, 'utf8')
  } catch {
    return null
  }
}
