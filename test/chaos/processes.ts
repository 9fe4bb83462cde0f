import { readdirSync, readFileSync } from 'node:fs'

/** State and parent of a process; null when there is none. */
function statOf(pid: number): { state: string; parent: number } | null {
  try {
    const text = readFileSync(`/proc/${pid}/stat`, 'utf8')
    // The second field is a name with anything in it, parentheses and spaces too.
    const [state = '', parent] = text.slice(text.lastIndexOf(')') + 2).split(' ')
    return { state, parent: Number(parent) }
  } catch {
    return null
  }
}

/** Whether a process runs: one that has ended and was not waited for does not. */
export const isRunning = (pid: number): boolean => !['Z', 'X', undefined].includes(statOf(pid)?.state)

/** The processes that a process has started and that it has not waited for. */
export const childrenOf = (parent: number): number[] =>
  readdirSync('/proc')
    .map(Number)
    .filter(pid => Number.isInteger(pid) && statOf(pid)?.parent === parent)
